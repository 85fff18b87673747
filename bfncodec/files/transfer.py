"""Compress and decompress files and folders on disk.

:mod:`bfncodec.files.sources` reads a source, :mod:`bfncodec.files.data` makes the bytes of its target,
:mod:`bfncodec.files.atomic` puts them in their place. A source is removed only when its target is on the disk and was
read back, and only while it is the file that was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from bfncodec.api import CodecSource, Description, Models, describe
from bfncodec.content.objects import is_identical
from bfncodec.content.types import Content
from bfncodec.errors import FormatError, InputError, OutputError
from bfncodec.files.atomic import (
    check_outside,
    check_target,
    check_written,
    is_stream,
    other_on_disk,
    place_folder,
    write_like,
)
from bfncodec.files.data import (
    decode_opened,
    dims_of,
    encode_data,
    encode_files,
    is_folder,
    item_shape,
    open_source,
    taken,
)
from bfncodec.files.names import compressed_name, decompressed_name
from bfncodec.files.options import Made, Options, Result, size_of
from bfncodec.files.places import file_at, folder_at
from bfncodec.files.sources import Identity, Slices, opened, read_folder, read_known, remove, remove_folder
from bfncodec.files.streaming import (
    Counted,
    Hashed,
    checked_length,
    compressed_chunks,
    decompressed_chunks,
    digest_of,
    reading,
)
from bfncodec.files.verify import verify
from bfncodec.format.concatenation import is_joinable, split
from bfncodec.format.container import unpack
from bfncodec.format.cuts import NOWHERE
from bfncodec.format.limits import OF_WRITERS
from bfncodec.format.wire import Source, StreamReader
from bfncodec.runtime.arguments import check_codecs, check_type, path_of
from bfncodec.runtime.progress import SILENT, Reporter
from bfncodec.segments.description import describe_file, describe_opened

__all__ = ["compress_file", "decompress_file", "is_long", "place_decoded", "place_made"]


def compress_file(
    source: str | Path,
    target: str | Path | None = None,
    options: Options | None = None,
    codecs: CodecSource | None = None,
    reporter: Reporter | None = None,
) -> Result:
    """Compress a file or folder. Without a target its name is the source's with .bfn.

    Picture files (PNG, lossless WebP, BMP, PPM, TIFF) are coded as pictures; all others as bytes. A folder becomes one
    file where the model codes many pictures of one shape; empty folders in it are not kept.
    Raises InputError (source), OutputError (target, or a result that does not verify) and what
    :func:`bfncodec.compress` raises. The target keeps the source's mode and time.
    """
    check_type(options, Options, "options")
    check_codecs(codecs)
    source, options, codecs = path_of(source), options or Options(), codecs or Models()
    options = replace(options, verify=options.verify or options.remove)
    target = path_of(target) if target is not None else compressed_name(source)
    if folder_at(source):
        return _compress_folder(source, target, options, codecs, reporter)
    _check_places(target, source, options)
    if file_at(source) and source.stat().st_size >= options.policy.stream_from:
        found = _compress_long(source, target, options, codecs, reporter)
        if found is not None:
            return found
    data, known = read_known(source)
    blob, content = encode_data(data, options, codecs, reporter)

    def check(written: Path) -> None:
        verify(written.read_bytes(), content, codecs, reporter, taken(data, options))

    write_like(target, blob, source, options.force, check if options.verify else None)
    if options.remove:
        remove(source, known)
    return _result(data, blob, content)


def place_made(
    source: Path, target: Path, options: Options, data: bytes, known: Identity, blob: bytes, content: Content
) -> Result:
    """Put a compressed file, made of the bytes of a source and verified, in its place. Errors as of `compress_file`."""
    _check_places(target, source, options)
    write_like(target, blob, source, options.force, partial(check_written, blob) if options.verify else None)
    if options.remove:
        remove(source, known)
    return _result(data, blob, content)


def _compress_long(
    source: Path, target: Path, options: Options, codecs: CodecSource, reporter: Reporter | None
) -> Result | None:
    """Compress a file a piece at a time; None for one that is better read whole."""
    with reading(source) as (read, identity):
        counted = Counted(read)
        chunks = compressed_chunks(StreamReader(counted), options, codecs, reporter)
        if chunks is None:
            return None
        (reporter or SILENT).start(source.stat().st_size)
        known: list[Identity] = []

        def check(written: Path) -> None:
            known.append(identity())
            if options.verify and checked_length(written, OF_WRITERS) != counted.size:
                raise other_on_disk()

        write_like(target, chunks, source, options.force, check)
    if options.remove:
        remove(source, known[0])
    with opened(target) as blob:
        coding = describe_file(blob, OF_WRITERS)
        return Result(counted.size, len(blob), counted.size, coding)


def _compress_folder(
    source: Path, target: Path, options: Options, codecs: CodecSource, reporter: Reporter | None
) -> Result:
    skipped: list[str] = []
    tell = options.on_skip

    def skip(path: str, what: str) -> None:
        skipped.append(path)
        if tell is not None:
            tell(path, what)

    options = replace(options, on_skip=tell and skip)
    shape = item_shape(options, codecs)
    _check_places(target, source, options)
    check_outside(target, source)
    known: dict[str, Identity] = {}
    files = read_folder(source, options.on_skip, known)
    blob, content = encode_files(files, shape, options, codecs, reporter)

    def check(written: Path) -> None:
        verify(written.read_bytes(), content, codecs, reporter, files)

    write_like(target, blob, source, options.force, check if options.verify else None)
    if options.remove:
        remove_folder(source, known, skipped)
    return _result(files, blob, content)


def _check_places(target: Path, source: Path, options: Options, folder: bool = False) -> None:
    """Raise OutputError, before any work, for a bad target, and for one that cannot be read back before removal."""
    check_target(target, source, options.force, folder)
    if options.remove and is_stream(target):
        raise OutputError(f"{target} is no file, so the source would be lost", command="leave out --rm")


def _result(source: bytes | Mapping[str, bytes], blob: bytes, content: Content) -> Result:
    coding = describe(blob, limits=OF_WRITERS)
    return Result(size_of(source), len(blob), dims_of(content), coding, identical=coding.identical)


def decompress_file(
    source: str | Path,
    target: str | Path | None = None,
    options: Options | None = None,
    codecs: CodecSource | None = None,
    reporter: Reporter | None = None,
) -> Result:
    """Decompress a file. Without a target its name is the source's without .bfn.

    It is a folder where the source was made of one.
    Raises InputError (source), OutputError (target) and what :func:`bfncodec.decompress` raises.
    """
    check_type(options, Options, "options")
    check_codecs(codecs)
    source, options, codecs = path_of(source), options or Options(), codecs or Models()
    target = path_of(target) if target is not None else decompressed_name(source)
    if options.remove and (options.part is not None or options.on_damage is not None):
        raise InputError(
            "a part, or what is left of a damaged file, is not the whole: the source is not removed for it"
        )
    if options.part is None and options.on_damage is None and file_at(source) and is_long(source, options):
        done = _decompress_long(source, target, options, codecs, reporter)
        if done is not None:
            return done
    with _compressed(source, options) as (blob, known):
        found = open_source(blob, options)
        coding = describe_opened(found)
        _check_places(target, source, options, is_folder(found.header))
        made, content = decode_opened(found, options, codecs, reporter)
        read_bytes = min(blob.read_bytes, len(blob)) if isinstance(blob, Slices) else len(blob)  # some are read twice
    return place_decoded(source, target, options, known, coding, made, content, read_bytes)


def place_decoded(
    source: Path,
    target: Path,
    options: Options,
    known: Identity | None,
    coding: Description,
    made: Made,
    content: Content,
    read_bytes: int,
) -> Result:
    """Put what a compressed file was decoded to in its place. Errors as of `decompress_file`.

    known: the identity of the source as it was read; None where a part was. read_bytes: bytes of it that were read.
    """
    _check_places(target, source, options, isinstance(made, dict))
    if isinstance(made, dict):
        place_folder(target, made, force=options.force, check=options.remove, like=source.stat())
    else:
        write_like(target, made, source, options.force, partial(check_written, made) if options.remove else None)
    identical = options.part is None and is_identical(content, made)
    if coding.identical and not identical and options.remove:
        raise OutputError("decompressed, but not to the same bytes as on the machine that compressed it: it is kept")
    if known is not None and options.remove:
        remove(source, known)
    return Result(size_of(made), coding.file_bytes, dims_of(content), coding, read_bytes, identical)


def is_long(source: Path, options: Options) -> bool:
    """Return whether a compressed file, or several in one, hold bytes or text that are decoded a piece at a time.

    That takes memory for a piece of it alone, so all of it may take more than the limits allow.
    """
    with opened(source) as blob:
        try:
            frames = [unpack(piece, options.limits, place=lambda *_: NOWHERE) for piece in split(blob)]
        except FormatError:
            return False  # which is told where it is read whole
        size = sum(frame.cut.sides[0] for frame in frames)
        return all(is_joinable(frame.header) for frame in frames) and size >= options.policy.stream_from


def _decompress_long(
    source: Path, target: Path, options: Options, codecs: CodecSource, reporter: Reporter | None
) -> Result | None:
    """Decompress a file a piece at a time; None for one that is better read whole, as is all that is not long."""
    _check_places(target, source, options)
    size = checked_length(source, options.limits)
    with reading(source) as (read, identity):
        chunks = decompressed_chunks(StreamReader(read), options, codecs, reporter)
        if chunks is None:
            return None
        (reporter or SILENT).start(size)
        counted = Hashed(chunks)

        def check(written: Path) -> None:
            known.append(identity())
            if options.remove and counted.digest != digest_of(written):
                raise other_on_disk()

        known: list[Identity] = []
        write_like(target, counted, source, options.force, check)
    with opened(source) as blob:
        coding, file_bytes = describe_file(blob, OF_WRITERS), len(blob)  # its limits were kept
    if options.remove:
        remove(source, known[0])
    return Result(counted.size, file_bytes, counted.size, coding, file_bytes)


@contextmanager
def _compressed(source: Path, options: Options) -> Iterator[tuple[Source, Identity | None]]:
    """Yield the bytes of a compressed file and its identity; without one and lazily where a part of it is wanted."""
    if options.part is None:
        yield read_known(source)
        return
    with opened(source) as blob:
        yield blob, None
