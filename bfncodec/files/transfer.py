"""Compress, decompress and verify files on disk, and choose their names.

:mod:`bfncodec.files.sources` reads a source, :mod:`bfncodec.files.atomic` puts a target in its place. A source is
removed only when its target is on the disk and was read back, and only while it is the file that was read.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Protocol

from bfncodec.api import (
    CodecSource,
    Damage,
    Description,
    Models,
    Opened,
    decode_content,
    decode_frame,
    describe,
    describe_opened,
    encode_frame,
    open_file,
    preview,
)
from bfncodec.codecs.protocol import Capabilities
from bfncodec.content.arrays import arrays_of, is_npz
from bfncodec.content.folder import Folder, Shape, folder_of, picture_shape
from bfncodec.content.objects import is_identical, object_of
from bfncodec.content.regions import Part, part_of
from bfncodec.content.types import Content, Plain, same_content
from bfncodec.errors import BfncodecError, InputError, OutputError, reading
from bfncodec.files.atomic import (
    check_outside,
    check_target,
    check_written,
    is_stream,
    leftover_name,
    place,
    place_folder,
)
from bfncodec.files.sources import Identity, Slices, check_unchanged, opened, read, read_folder, read_known, remove
from bfncodec.format.container import SUFFIX, unpack
from bfncodec.format.header import NOWHERE, Header, Kind, Origin, Tag
from bfncodec.format.limits import OF_WRITERS, Limits, check_limit
from bfncodec.format.wire import Source
from bfncodec.images.picture import Picture
from bfncodec.models import DEFAULT_LEVEL, check_level
from bfncodec.runtime.arguments import check_callables, check_codecs, check_model, check_type, path_of, whole_number

__all__ = [
    "Made",
    "Options",
    "Reporter",
    "Result",
    "compress_file",
    "compressed_name",
    "decode_data",
    "decode_part",
    "decompress_file",
    "decompressed_name",
    "encode_data",
    "encode_folder",
    "holds_folder",
    "own_name",
    "place",
    "place_folder",
    "preview_data",
    "preview_file",
    "preview_name",
    "read",
    "size_of",
    "taken",
    "verify",
]

_SMALL = 1 << 20  # bytes of a picture file that is always coded as bytes, too

Made = bytes | dict[str, bytes]
"""What a compressed file becomes: a file's bytes, or those of each file of a folder by its path."""


@dataclass(frozen=True)
class Options:
    """How to treat files.

    model, level, preview, strip: as for :func:`bfncodec.compress`, and block, None where lines may be cut. exact:
    picture files too come back byte for byte. force: replace what is there. remove: delete the source once the result
    is safe, for which it is always verified. verify: decode the result before it counts. limits, on_damage, crop,
    line: as for :func:`bfncodec.decompress`.
    on_skip: told the path of what is left out of a folder, and what it is; without it that is an error.
    """

    model: str = "auto"
    exact: bool = False
    force: bool = False
    remove: bool = False
    verify: bool = True
    limits: Limits | None = None
    on_damage: Callable[[Damage], None] | None = None
    on_skip: Callable[[str, str], None] | None = None
    level: int = DEFAULT_LEVEL
    preview: bool | None = None
    crop: tuple[int, int, int, int] | None = None
    line: int | tuple[int, int] | None = None
    block: int | None = None
    strip: bool = False

    def __post_init__(self) -> None:
        """Raise InputError for values of a wrong type."""
        check_model(self.model)
        check_level(self.level)
        check_callables(on_damage=self.on_damage, on_skip=self.on_skip)
        check_type(self.limits, Limits, "limits")
        if self.block is not None:
            whole_number(self.block, "block")

    @property
    def part(self) -> Part | None:
        """Return what is to be decompressed, None for all. InputError for what is no part."""
        return part_of(self.crop, self.line)


@dataclass(frozen=True)
class Result:
    """What was done: bytes of the file, or of all files of a folder, as they were or are again, of the compressed file,
    dimensions, how it is coded (a part: how its segments are), bytes of the compressed file that were read, and whether
    what comes back, or came back, is the same byte for byte.
    """

    plain_bytes: int
    compressed_bytes: int
    dims: int
    coding: Description
    read_bytes: int = 0
    identical: bool = True

    @property
    def comes_back(self) -> str:
        """Return what comes back, in words: "identical file", or "same picture, file bytes differ"."""
        return replace(self.coding, identical=self.identical).comes_back

    @property
    def bits_per_dim(self) -> float:
        """Bits of the compressed file per byte or subpixel."""
        return 8 * self.compressed_bytes / self.dims if self.dims else 0.0

    @property
    def ratio(self) -> float:
        """Compressed size as a part of the other."""
        return self.compressed_bytes / self.plain_bytes if self.plain_bytes else 1.0


class Reporter(Protocol):
    """Shows progress."""

    def start(self, total: int) -> None:
        """Work of that many bytes or subpixels begins."""

    def advance(self, done: int) -> None:
        """So many more are done."""


class _Silent:
    def start(self, total: int) -> None:
        """Nothing is shown."""

    def advance(self, done: int) -> None:
        """Nothing is shown."""


# ---- data ---------------------------------------------------------------------------------------


def encode_data(
    data: bytes, options: Options, codecs: CodecSource, reporter: Reporter | None = None
) -> tuple[bytes, Content]:
    """The compressed file of a file's bytes, and the content it holds: a picture where that is smaller, or is to have a
    preview.

    Bytes are tried where the file is small, or the picture's is not half as large: LZMA takes long.
    """
    reporter = reporter or _Silent()
    given, data = data, taken(data, options)
    content = _classify(data, options, codecs)
    if isinstance(content, Picture) and given != data:  # what comes back is not the file that was given
        content = replace(content, extras=tuple(extra for extra in content.extras if extra.tag != Tag.SOURCE))
    reporter.start(_dims(content) * (1 + options.verify))
    frame = encode_frame(
        content, options.model, codecs, reporter.advance, options.level, options.preview, options.block
    )
    if isinstance(content, Picture) and not options.preview and (len(data) <= _SMALL or 2 * len(frame) > len(data)):
        plain = Plain(data)
        other = encode_frame(plain, "none", codecs)
        if len(other) <= len(frame) - describe(frame, limits=OF_WRITERS).preview_bytes:  # bytes have none
            return other, plain
    return frame, content


def taken(data: bytes, options: Options) -> bytes:
    """The bytes that are compressed of a file: of a picture that is to be stripped, those of the stripped file."""
    if not options.strip:
        return data
    from bfncodec.images.strip import stripped_file

    return stripped_file(data)


def encode_folder(
    folder: Path, options: Options, codecs: CodecSource, reporter: Reporter | None = None
) -> tuple[bytes, Folder]:
    """The compressed file of all files in a folder, and the content it holds. InputError where that cannot be."""
    shape = _item_shape(options, codecs)
    return _encode_files(read_folder(folder, options.on_skip), shape, options, codecs, reporter)


def _item_shape(options: Options, codecs: CodecSource) -> Shape:
    """The pictures that the model codes; InputError, before anything is read, where it codes none of one shape."""
    asked = _capabilities(options.model, codecs)
    if asked is None or not asked.codes_archives:
        raise InputError("is a folder", python="compress the files in it", command="use -r to take the files in it")
    if options.block is not None:
        raise InputError(
            "is a folder, which is not cut after lines",
            python="compress the files in it",
            command="use -r to take the files in it",
        )
    return picture_shape(asked.item_shape, options.model)


def _encode_files(
    files: Mapping[str, bytes], shape: Shape, options: Options, codecs: CodecSource, reporter: Reporter | None
) -> tuple[bytes, Folder]:
    reporter = reporter or _Silent()
    content = folder_of(files, shape, options.exact)
    reporter.start(_dims(content) * (1 + options.verify))
    return encode_frame(content, options.model, codecs, reporter.advance, options.level), content


def decode_data(
    blob: bytes, options: Options, codecs: CodecSource, reporter: Reporter | None = None
) -> tuple[Made, Content]:
    """The file's bytes again, or those of a folder's files, and the content they were made of.

    Objects that were no file become one.
    """
    return _decode(_open(blob, options, codecs), options, codecs, reporter)


def decode_part(source: Path, options: Options, codecs: CodecSource, reporter: Reporter | None = None) -> Made:
    """The bytes of a part of a compressed file, of which no more is read than that takes."""
    with opened(source) as blob:
        found = _open(blob, options, codecs)
    return _decode(found, options, codecs, reporter)[0]


def _open(blob: Source, options: Options, codecs: CodecSource) -> Opened:
    return open_file(blob, codecs, options.limits, options.on_damage, options.part)


def _decode(found: Opened, options: Options, codecs: CodecSource, reporter: Reporter | None) -> tuple[Made, Content]:
    reporter = reporter or _Silent()
    boxes = [part.box for frame in found.frames for part in frame.segments if part is not None]
    channels = found.header.mode.channels if found.header.kind is Kind.IMAGE else 1
    reporter.start(channels * sum(prod(stop - start for start, stop in box) for box in boxes))
    content = decode_content(found, codecs, reporter.advance, options.on_damage, options.part)
    made = _made(content)
    check_limit(
        "bytes of output", size_of(made), (options.limits or Limits()).output, "output", "a larger --max-output"
    )
    return made, content


def _made(content: Content) -> Made:
    return object_of(content) if isinstance(content, Folder) else _file_bytes(content)


def holds_folder(blob: bytes, limits: Limits | None = None) -> bool:
    """Return whether a compressed file becomes a folder; FormatErrors as :func:`bfncodec.decompress`."""
    return _is_folder(unpack(blob, limits, salvage=True).header)


def _is_folder(header: Header) -> bool:
    return header.extra(Tag.FILES) is not None


def preview_file(
    source: str | Path,
    target: str | Path | None = None,
    options: Options | None = None,
    codecs: CodecSource | None = None,
) -> bool:
    """Write the preview of a compressed picture: PNG, or what the target's name ends in; whether the file held one.

    The target is the picture's name with .preview.png where none is given. Raises InputError (source), OutputError
    (target) and what :func:`bfncodec.preview` raises.
    """
    check_type(options, Options, "options")
    check_codecs(codecs)
    source, options, codecs = path_of(source), options or Options(), codecs or Models()
    target = path_of(target) if target is not None else preview_name(source)
    check_target(target, source, options.force)
    made, stored = preview_data(source, target.suffix, options, codecs)
    _write(target, made, source, options.force, None)
    return stored


def preview_data(source: Path, suffix: str, options: Options, codecs: CodecSource) -> tuple[bytes, bool]:
    """The bytes of a preview's file, PNG where the suffix is no format's, and whether the file held it."""
    from PIL import Image

    from bfncodec.images import preview as previews

    with opened(source) as blob:
        stored = previews.find(unpack(blob, options.limits, place=lambda *_: NOWHERE).header)
        image = stored or preview(read(source), limits=options.limits, codecs=codecs)
    out = io.BytesIO()
    name = Image.registered_extensions().get(suffix.lower(), "PNG")
    try:
        image.save(out, name if name in Image.SAVE else "PNG")
    except Exception as error:
        raise OutputError(f"the preview cannot be a file of that kind ({error}): name one that ends in .png") from error
    return out.getvalue(), stored is not None


def verify(
    blob: bytes,
    content: Content,
    codecs: CodecSource,
    reporter: Reporter | None = None,
    source: bytes | Mapping[str, bytes] | None = None,
) -> None:
    """Raise OutputError unless a compressed file decodes to that content, and becomes the source again.

    source: the file, or the files by path, that were compressed. They must come back byte for byte where the compressed
    file says so; else picture files must have the same pixels, decoded by what did not write them, and the same of
    everything beside them.
    """
    try:
        found = decode_frame(blob, codecs, (reporter or _Silent()).advance, OF_WRITERS)
        same = same_content(content, found)
        same = same and (source is None or _becomes(found, source))
    except BfncodecError as error:
        raise OutputError(f"what was written does not decode ({error}): please report this") from error
    if not same:
        raise OutputError("what was written does not decode to the same content: please report this")


def _becomes(content: Content, source: bytes | Mapping[str, bytes]) -> bool:
    """Whether a content becomes these bytes or files again; where it does not promise that, others that say as much."""
    made = _made(content)
    if made == source:
        return True
    if content.header.extra(Tag.SOURCE) is not None:
        return False
    from bfncodec.images.files import same_file

    if isinstance(made, dict) and isinstance(source, Mapping):
        return made.keys() == source.keys() and all(same_file(source[path], made[path]) for path in made)
    return isinstance(made, bytes) and isinstance(source, bytes) and same_file(source, made)


def _classify(data: bytes, options: Options, codecs: CodecSource) -> Content:
    asked = _capabilities(options.model, codecs)
    if asked is not None and asked.codes_archives and is_npz(data):
        return arrays_of(data, asked.item_shape)
    in_lines = options.exact and options.block is not None
    if in_lines or (asked is not None and not asked.codes_pictures):  # even a picture file is to be coded by it
        return Plain(data)
    from bfncodec.images.files import read_file

    return read_file(data, options.exact) or Plain(data)


def _capabilities(model: str, codecs: CodecSource) -> Capabilities | None:
    """Return what the model that the caller named can code, None if none is named."""
    return None if model in ("auto", "none") else codecs.named(model).capabilities


def _dims(content: Content) -> int:
    return content.pixels.size if isinstance(content, Picture) else len(content.data)


def _file_bytes(content: Content) -> bytes:
    """The bytes of the file; of an object that was none: text as UTF-8, arrays as .npy, images as PNG."""
    if type(content) is Plain and content.kind is not Kind.ARRAY:
        return content.data
    made = object_of(content)
    if isinstance(made, bytes):
        return made
    out = io.BytesIO()
    if isinstance(content, Picture) and content.origin is Origin.OBJECT:
        with reading("the picture cannot become a PNG file"):
            made.save(out, "PNG")
    else:
        import numpy as np

        np.save(out, made)
    return out.getvalue()


# ---- files ------------------------------------------------------------------------------------


def compress_file(
    source: str | Path,
    target: str | Path | None = None,
    options: Options | None = None,
    codecs: CodecSource | None = None,
    reporter: Reporter | None = None,
) -> Result:
    """Compress a file. The target is the source's name with .bfn where none is given.

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
    if source.is_dir():
        return _compress_folder(source, target, options, codecs, reporter)
    _check_places(target, source, options)
    data, known = read_known(source)
    blob, content = encode_data(data, options, codecs, reporter)

    def check(written: bytes) -> None:
        verify(written, content, codecs, reporter, taken(data, options))

    _write(target, blob, source, options.force, check if options.verify else None)
    if options.remove:
        remove(source, known)
    return _result(data, blob, content)


def _check_places(target: Path, source: Path, options: Options, folder: bool = False) -> None:
    """Before any work: refuse what cannot be written there, and to remove a source for what cannot be read back."""
    check_target(target, source, options.force, folder)
    if options.remove and is_stream(target):
        raise OutputError(f"{target} is no file, so the source would be lost", command="leave out --rm")


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
    shape = _item_shape(options, codecs)
    _check_places(target, source, options)
    check_outside(target, source)
    known: dict[str, Identity] = {}
    files = read_folder(source, options.on_skip, known)
    blob, content = _encode_files(files, shape, options, codecs, reporter)

    def check(written: bytes) -> None:
        verify(written, content, codecs, reporter, files)

    _write(target, blob, source, options.force, check if options.verify else None)
    if options.remove:
        _remove_folder(source, known, skipped)
    return _result(files, blob, content)


def _result(source: bytes | Mapping[str, bytes], blob: bytes, content: Content) -> Result:
    coding = describe(blob, limits=OF_WRITERS)
    return Result(size_of(source), len(blob), _dims(content), coding, identical=coding.identical)


def decompress_file(
    source: str | Path,
    target: str | Path | None = None,
    options: Options | None = None,
    codecs: CodecSource | None = None,
    reporter: Reporter | None = None,
) -> Result:
    """Decompress a file. The target is the source's name without .bfn where none is given.

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
    with _compressed(source, options) as (blob, known):
        found = _open(blob, options, codecs)
        read_bytes = blob.read_bytes if isinstance(blob, Slices) else len(blob)
        coding = describe_opened(found)
    _check_places(target, source, options, _is_folder(found.header))
    made, content = _decode(found, options, codecs, reporter)
    if isinstance(made, dict):
        place_folder(target, made, force=options.force, check=options.remove)
    else:
        _write(target, made, source, options.force, partial(check_written, made) if options.remove else None)
    identical = options.part is None and is_identical(content, made)
    if coding.identical and not identical and options.remove:
        raise OutputError("decompressed, but not to the same bytes as on the machine that compressed it: it is kept")
    if known is not None and options.remove:
        remove(source, known)
    return Result(size_of(made), coding.file_bytes, _dims(content), coding, read_bytes, identical)


@contextmanager
def _compressed(source: Path, options: Options) -> Iterator[tuple[Source, Identity | None]]:
    """A compressed file's bytes with its identity; where only a part is wanted they are read when they are needed."""
    if options.part is None:
        yield read_known(source)
        return
    with opened(source) as blob:
        yield blob, None


def own_name(path: Path) -> Path:
    """The same path, ending in a name: . and .. have none."""
    return path.resolve() if path.name in ("", "..") else path


def compressed_name(source: Path) -> Path:
    """The name of a file's compressed file. InputError for one that has that suffix already."""
    source = own_name(source)
    if not source.name:
        raise InputError("expected a name to add .bfn to, found none: name a target")
    if source.suffix == SUFFIX:
        raise InputError(f"already ends in {SUFFIX}; name a target to compress it again")
    return source.with_name(source.name + SUFFIX)


def decompressed_name(source: Path) -> Path:
    """The name of a compressed file's file. InputError for one that does not end in .bfn."""
    if source.suffix != SUFFIX or source.name == SUFFIX:
        raise InputError(f"expected a name ending in {SUFFIX}; name a target to decompress it")
    return source.with_suffix("")


def preview_name(source: Path) -> Path:
    """The name of a compressed picture's preview."""
    return (decompressed_name(source) if source.suffix == SUFFIX else source).with_suffix(".preview.png")


def size_of(made: bytes | Mapping[str, bytes]) -> int:
    """Bytes of a file, or of all files of a folder."""
    return len(made) if isinstance(made, bytes) else sum(map(len, made.values()))


def _write(target: Path, data: bytes, like: Path, force: bool, check: Callable[[bytes], None] | None) -> None:
    """Write, then take over the mode and time of the file it was made from."""
    try:
        found = like.stat()
    except OSError:
        found = None
    place(target, data, force=force, like=found, check=check)


def _remove_folder(folder: Path, known: Mapping[str, Identity], skipped: list[str]) -> None:
    """Remove a folder of the files that were compressed; it is kept where one changed or others came.

    It loses its name first, so that a process that is killed meanwhile never leaves a part of it, which would replace
    the whole when it is compressed once more.
    """
    if skipped:
        raise OutputError("compressed, but not removed, as something in it was left out")
    try:
        if folder.is_symlink():  # as with files: the name goes, not what it leads to
            folder.unlink()
            return
        real = folder.resolve()
        hidden = real.rename(leftover_name(real, "old"))
        try:
            for name, identity in known.items():
                check_unchanged(hidden / name, identity)
            found = [Path(top, name) for top, _, names in os.walk(hidden) for name in names]
            if len(found) > len(known):
                raise OutputError("compressed, but not removed, as something has come into it since")
        except BaseException:
            hidden.rename(real)
            raise
        for path in found:
            path.unlink()
        for top, _, _ in os.walk(hidden, topdown=False):
            Path(top).rmdir()
    except OSError as error:
        raise OutputError(f"compressed, but the source cannot be removed: {error.strerror or error}") from error
