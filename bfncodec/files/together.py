"""Many small files, coded in few calls of a model and placed one after the other.

A model takes far less time for many small texts at once than for one after the other, above all to decode them, which
verifying does. What is written is what each file alone would become.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from os.path import lexists
from pathlib import Path

from bfncodec.api import CodecSource
from bfncodec.content.types import Content
from bfncodec.errors import FormatError, InputError
from bfncodec.files.atomic import WRITERS
from bfncodec.files.data import (
    content_in,
    decode_opened,
    dims_of,
    dims_to_decode,
    encode_content,
    is_folder,
    open_source,
    taken,
)
from bfncodec.files.options import Options, Result, size_of
from bfncodec.files.sources import Identity, read_known
from bfncodec.files.transfer import place_decoded, place_made
from bfncodec.files.verify import verify_decoded
from bfncodec.format.limits import OF_WRITERS
from bfncodec.segments.assemble import Decoding
from bfncodec.segments.description import describe_opened
from bfncodec.segments.opening import Opened
from bfncodec.segments.together import Task, run_together

__all__ = ["MOST", "compress_together", "decompress_together", "placed_together"]

MOST = 64
"""Files that are coded together at most."""
_SMALL, _ROOM = 1 << 16, 1 << 19  # bytes of a small file; bytes or subpixels that are coded together


@contextmanager
def placed_together(made: Mapping[Path, Callable[[], Result]]) -> Iterator[Mapping[Path, Callable[[], Result]]]:
    """Begin to put results in their places, some side by side, and yield what waits for each of them: it returns or
    raises what putting it there did. What has not begun when the block ends never does.
    """
    with ThreadPoolExecutor(WRITERS) as pool:
        try:
            yield {path: pool.submit(place).result for path, place in made.items()}
        finally:
            pool.shutdown(cancel_futures=True)


# ---- compress -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plain:
    """A file that was read."""

    source: Path
    target: Path
    data: bytes
    known: Identity
    content: Content


def compress_together(
    places: Sequence[tuple[Path, Path]], options: Options, codecs: CodecSource
) -> Mapping[Path, Callable[[], Result]]:
    """Return for each source, of those with their targets, what puts it in its place, compressed and verified.

    Sources that are not small, cannot be read or have a target already are left out, as are all of them where a model
    is named: it may have something to say of each. Raises what :func:`bfncodec.compress` raises.
    """
    if options.model != "auto":
        return {}
    options = replace(options, verify=options.verify or options.remove)
    found = _plain_files(places, options, codecs)

    def check(number: int, made: tuple[bytes, Content]) -> Task[None]:
        blob, content = made
        return partial(_verify, Decoding(blob, OF_WRITERS), content, taken(found[number].data, options))

    tasks = [partial(encode_content, each.data, each.content, options) for each in found]
    made = run_together(tasks, codecs, check if options.verify else None)
    return {
        each.source: partial(place_made, each.source, each.target, options, each.data, each.known, *of_one)
        for each, of_one in zip(found, made, strict=True)
    }


def _verify(decoding: Decoding, content: Content, source: bytes, *, codecs: CodecSource) -> None:
    verify_decoded(lambda: decoding(codecs=codecs), content, source)


def _plain_files(places: Sequence[tuple[Path, Path]], options: Options, codecs: CodecSource) -> list[_Plain]:
    """Return the small files among sources, as many as there is room for."""
    found, room = list[_Plain](), _ROOM
    for source, target in places:
        with suppress(OSError, InputError):  # which are told when the file is worked on alone
            if not _may_be(source, target, options):
                continue
            data, known = read_known(source)
            content = content_in(data, options, codecs)
            if dims_of(content) <= room:
                found.append(_Plain(source, target, data, known, content))
                room -= dims_of(content)
    return found


def _may_be(source: Path, target: Path, options: Options) -> bool:
    """Return whether a source is a small file, and nothing is in the place of its target."""
    found = source.stat()
    small = stat.S_ISREG(found.st_mode) and found.st_size <= _SMALL
    linked = options.remove and found.st_nlink > 1  # a file changes when another of its names is removed
    return small and not linked and (options.force or not lexists(target))


# ---- decompress ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Coded:
    """A compressed file that was read, and its head checked."""

    source: Path
    target: Path
    size: int
    known: Identity
    opened: Opened


def decompress_together(
    places: Sequence[tuple[Path, Path]], options: Options, codecs: CodecSource
) -> Mapping[Path, Callable[[], Result]]:
    """Return for each source, of those with their targets, what puts in its place what it was decompressed to.

    Sources that are not small, become folders, cannot be read or have a target already are left out, as are all of them
    where they are more than the limits allow. Raises what :func:`bfncodec.decompress` raises.
    """
    found = _coded_files(places, options)
    made = run_together([partial(decode_opened, each.opened, options) for each in found], codecs)
    if options.limits and sum(size_of(data) for data, _ in made) > options.limits.output:
        return {}
    return {
        each.source: partial(
            place_decoded,
            each.source,
            each.target,
            options,
            each.known,
            describe_opened(each.opened),
            *of_one,
            read_bytes=each.size,
        )
        for each, of_one in zip(found, made, strict=True)
    }


def _coded_files(places: Sequence[tuple[Path, Path]], options: Options) -> list[_Coded]:
    """Return the small compressed files among sources, as many as there is room for."""
    found, room = list[_Coded](), _ROOM if options.part is None else 0
    for source, target in places:
        with suppress(OSError, InputError, FormatError):  # which are told when the file is worked on alone
            if not _may_be(source, target, options):
                continue
            blob, known = read_known(source)
            opened = open_source(blob, options)
            if dims_to_decode(opened) <= room and not is_folder(opened.header):
                found.append(_Coded(source, target, len(blob), known, opened))
                room -= dims_to_decode(opened)
    return found
