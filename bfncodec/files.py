"""Files on disk: what to do with them, names, and writing without ever leaving half a file.

A result is written beside its target under another name, forced to disk, read back and decoded
where that is asked for, and only then given the target's name. Whatever goes wrong before, a
signal included, leaves the target as it was and nothing behind. The same holds for a folder.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import BinaryIO, Protocol

from bfncodec.api import (
    CodecSource,
    Damage,
    Description,
    Models,
    decode_content,
    decode_frame,
    describe,
    describe_frame,
    encode_frame,
    open_frame,
    preview,
)
from bfncodec.arrays import arrays_of, is_npz
from bfncodec.container import SUFFIX, Frame, unpack
from bfncodec.content import Content, Folder, Plain, object_of, same_content
from bfncodec.errors import BfncodecError, InputError, OutputError
from bfncodec.folders import Shape, folder_of, item_shape, read_folder
from bfncodec.header import NOWHERE, Kind, Limits, Origin, Tag
from bfncodec.models import DEFAULT_LEVEL
from bfncodec.pictures import Picture
from bfncodec.regions import Part, part_of
from bfncodec.wire import Source

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
    "verify",
]

_WRITERS = 16  # files forced to disk at once, which takes a twentieth of the time of one after the other

Made = bytes | dict[str, bytes]
"""What a compressed file becomes: a file's bytes, or those of each file of a folder by its path."""


@dataclass(frozen=True)
class Options:
    """How to treat files.

    model, level, preview, strip: as for :func:`bfncodec.compress`, and block, None where lines may be cut. as_bytes:
    picture files too come back byte for byte. force: replace what is there. remove: delete the source once the result
    is safe. verify: decode the result before it counts. limits, on_damage, crop, line: as for
    :func:`bfncodec.decompress`.
    on_skip: told the path of what is left out of a folder, and what it is; without it that is an error.
    """

    model: str = "auto"
    as_bytes: bool = False
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

    @property
    def part(self) -> Part | None:
        """What is to be decompressed, None for all. InputError for what is no part."""
        return part_of(self.crop, self.line)


@dataclass(frozen=True)
class Result:
    """What was done: bytes of the file, or of all files of a folder, as they were or are again, of the compressed file,
    dimensions, how it is coded (a part: how its segments are), bytes of the compressed file that were read.
    """

    plain_bytes: int
    compressed_bytes: int
    dims: int
    coding: Description
    read_bytes: int = 0

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
    """The compressed file of a file's bytes, and the content it holds: a picture where that is smaller."""
    reporter = reporter or _Silent()
    content = _classify(data, options, codecs)
    reporter.start(_dims(content) * (1 + options.verify))
    frame = encode_frame(
        content, options.model, codecs, reporter.advance, options.level, options.preview, options.block
    )
    if isinstance(content, Picture) and 2 * len(frame) > len(data):
        plain = Plain(data)
        other = encode_frame(plain, "none", codecs)
        if len(other) <= len(frame) - describe(frame).preview_bytes:  # bytes have none
            return other, plain
    return frame, content


def encode_folder(
    folder: Path, options: Options, codecs: CodecSource, reporter: Reporter | None = None
) -> tuple[bytes, Folder]:
    """The compressed file of all files in a folder, and the content it holds. InputError where that cannot be."""
    shape = _item_shape(options, codecs)
    return _encode_files(read_folder(folder, options.on_skip), shape, options, codecs, reporter)


def _item_shape(options: Options, codecs: CodecSource) -> Shape:
    """The pictures that the model codes; InputError, before anything is read, where it codes none of one shape."""
    if _role(options.model, codecs) != "archive":
        raise InputError("is a folder; use -r to take the files in it")
    if options.block is not None:
        raise InputError("is a folder, which is not cut after lines: use -r to take the files in it")
    return item_shape(codecs.named(options.model))


def _encode_files(
    files: Mapping[str, bytes], shape: Shape, options: Options, codecs: CodecSource, reporter: Reporter | None
) -> tuple[bytes, Folder]:
    reporter = reporter or _Silent()
    content = folder_of(files, shape, options.as_bytes)
    reporter.start(_dims(content) * (1 + options.verify))
    return encode_frame(content, options.model, codecs, reporter.advance, options.level), content


def decode_data(
    blob: bytes, options: Options, codecs: CodecSource, reporter: Reporter | None = None
) -> tuple[Made, Content]:
    """The file's bytes again, or those of a folder's files, and the content they were made of.

    Objects that were no file become one.
    """
    return _decode(_open(blob, options), options, codecs, reporter)


def decode_part(source: Path, options: Options, codecs: CodecSource, reporter: Reporter | None = None) -> Made:
    """The bytes of a part of a compressed file, of which no more is read than that takes."""
    with _source(source) as blob:
        frame = _open(blob, options)
    return _decode(frame, options, codecs, reporter)[0]


def _open(blob: Source, options: Options) -> Frame:
    return open_frame(blob, options.limits, options.on_damage, options.part)


def _decode(frame: Frame, options: Options, codecs: CodecSource, reporter: Reporter | None) -> tuple[Made, Content]:
    reporter = reporter or _Silent()
    boxes = [part.box for part in frame.segments if part is not None]
    channels = frame.header.mode.channels if frame.header.kind is Kind.IMAGE else 1
    reporter.start(channels * sum(prod(stop - start for start, stop in box) for box in boxes))
    content = decode_content(frame, codecs, reporter.advance, options.on_damage, options.part)
    return object_of(content) if isinstance(content, Folder) else _file_bytes(content), content


def holds_folder(blob: bytes, limits: Limits | None = None) -> bool:
    """Whether a compressed file becomes a folder; FormatErrors as :func:`bfncodec.decompress`."""
    return _is_folder(unpack(blob, limits, salvage=True))


def _is_folder(frame: Frame) -> bool:
    return frame.header.extra(Tag.FILES) is not None


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
    source, options, codecs = Path(source), options or Options(), codecs or Models()
    target = Path(target) if target is not None else preview_name(source)
    _check_target(target, source, options.force)
    made, stored = preview_data(source, target.suffix, options, codecs)
    _write(target, made, source, options.force, None)
    return stored


def preview_data(source: Path, suffix: str, options: Options, codecs: CodecSource) -> tuple[bytes, bool]:
    """The bytes of a preview's file, PNG where the suffix is no format's, and whether the file held it."""
    from PIL import Image

    from bfncodec import previews

    with _source(source) as blob:
        stored = previews.find(unpack(blob, options.limits, place=lambda *_: NOWHERE).header)
        image = stored or preview(read(source), limits=options.limits, codecs=codecs)
    out = io.BytesIO()
    name = Image.registered_extensions().get(suffix.lower(), "PNG")
    image.save(out, name if name in Image.SAVE else "PNG")
    return out.getvalue(), stored is not None


def verify(blob: bytes, content: Content, codecs: CodecSource, reporter: Reporter | None = None) -> None:
    """Raise OutputError unless a compressed file decodes to that content."""
    try:
        same = same_content(content, decode_frame(blob, codecs, (reporter or _Silent()).advance))
    except BfncodecError as error:
        raise OutputError(f"what was written does not decode ({error}): please report this") from error
    if not same:
        raise OutputError("what was written does not decode to the same content: please report this")


def _classify(data: bytes, options: Options, codecs: CodecSource) -> Content:
    role = _role(options.model, codecs)
    if role == "archive" and is_npz(data):
        return arrays_of(data, tuple(codecs.named(options.model).info.config["network"]["shape"]))
    if options.as_bytes or role in ("text", "archive"):  # even a picture file is to be coded by it
        return Plain(data)
    from bfncodec.imagefiles import read_file
    from bfncodec.stripping import stripped_file

    picture = read_file(stripped_file(data) if options.strip else data)
    if picture is None or _dims(picture) // picture.mode.channels > Limits().pixels:
        return Plain(data)
    return picture


def _role(model: str, codecs: CodecSource) -> str:
    """What the model that the caller named codes; empty where none is named."""
    return "" if model in ("auto", "none") else codecs.named(model).info.role


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
    source, options, codecs = Path(source), options or Options(), codecs or Models()
    target = Path(target) if target is not None else compressed_name(source)
    if source.is_dir():
        return _compress_folder(source, target, options, codecs, reporter)
    _check_target(target, source, options.force)
    data = read(source)
    blob, content = encode_data(data, options, codecs, reporter)

    def check(written: bytes) -> None:
        verify(written, content, codecs, reporter)

    _write(target, blob, source, options.force, check if options.verify else None)
    _remove(source, options)
    return Result(len(data), len(blob), _dims(content), describe(blob))


def _compress_folder(
    source: Path, target: Path, options: Options, codecs: CodecSource, reporter: Reporter | None
) -> Result:
    skipped: list[str] = []
    tell = options.on_skip

    def skip(path: str, what: str) -> None:
        skipped.append(path)
        if tell is not None:
            tell(path, what)

    options = replace(options, verify=options.verify or options.remove, on_skip=tell and skip)
    shape = _item_shape(options, codecs)
    _check_target(target, source, options.force)
    _check_outside(target, source)
    files = read_folder(source, options.on_skip)
    blob, content = _encode_files(files, shape, options, codecs, reporter)

    def check(written: bytes) -> None:
        verify(written, content, codecs, reporter)

    _write(target, blob, source, options.force, check if options.verify else None)
    if options.remove:
        _remove_folder(source, files, skipped)
    return Result(size_of(files), len(blob), _dims(content), describe(blob))


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
    source, options, codecs = Path(source), options or Options(), codecs or Models()
    target = Path(target) if target is not None else decompressed_name(source)
    with _source(source, options.part is not None) as blob:
        frame = _open(blob, options)
        read_bytes = blob.read_bytes if isinstance(blob, _Slices) else len(blob)
        coding = describe_frame(frame, len(blob))
    _check_target(target, source, options.force, _is_folder(frame))
    made, content = _decode(frame, options, codecs, reporter)
    if isinstance(made, dict):
        place_folder(target, made, force=options.force)
    else:
        _write(target, made, source, options.force, None)
    _remove(source, options)
    return Result(size_of(made), coding.file_bytes, _dims(content), coding, read_bytes)


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


def read(path: Path) -> bytes:
    """A file's bytes; InputError where they cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {_reason(error)}") from error


class _Slices:
    """The bytes of a file, read where they are asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.read_bytes = file, 0

    def __len__(self) -> int:
        return self.file.seek(0, os.SEEK_END)

    def __getitem__(self, span: slice, /) -> bytes:
        start, stop, _ = span.indices(len(self))
        self.file.seek(start)
        data = self.file.read(max(stop - start, 0))
        self.read_bytes += len(data)
        return data


@contextmanager
def _source(path: Path, part: bool = True) -> Iterator[Source]:
    """A file's bytes; where only part of them is needed and it is a regular file, they stay there till they are."""
    if not part or not path.is_file():
        yield read(path)
        return
    try:
        with path.open("rb") as file:
            yield _Slices(file)
    except OSError as error:
        raise InputError(f"cannot be read: {_reason(error)}") from error


def size_of(made: bytes | Mapping[str, bytes]) -> int:
    """Bytes of a file, or of all files of a folder."""
    return len(made) if isinstance(made, bytes) else sum(map(len, made.values()))


def _check_target(target: Path, source: Path, force: bool, folder: bool = False) -> None:
    """Before any work: refuse to write over the source, over anything else without force, or a file over a folder."""
    if folder:
        _check_folder(target, force)
        _check_outside(source, target)
        return
    try:
        if not os.path.lexists(target):
            return
        if source.exists() and target.exists() and source.samefile(target):
            raise OutputError(f"{target} is the source itself: name another target")
        if target.is_dir():
            raise OutputError(f"{target} is a folder: name a file in it")
        if not force and not _is_device(target):
            raise OutputError(f"{target} exists already: use -f (force=True) to replace it")
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {_reason(error)}") from error


def _check_folder(target: Path, force: bool) -> None:
    """Refuse to write a folder over anything without force, and ever where things stop working."""
    if _is_device(target):
        raise OutputError(f"{target} cannot hold a folder: name another target")
    if os.path.lexists(target) and not force:
        raise OutputError(f"{target} exists already: use -f (force=True) to replace it")
    if target.is_dir() and Path.cwd().is_relative_to(target.resolve()):
        raise OutputError(f"{target} is the folder you are in: name another target")


def _check_outside(path: Path, folder: Path) -> None:
    """Refuse to mix up a folder with what is made of it, or it of."""
    if path.resolve().is_relative_to(folder.resolve()):
        raise OutputError(f"{path} is in the folder {folder}: name a target elsewhere")


def _write(target: Path, data: bytes, like: Path, force: bool, check: Callable[[bytes], None] | None) -> None:
    """Write, then take over the mode and time of the file it was made from."""
    try:
        found = like.stat()
    except OSError:
        found = None
    place(target, data, force=force, like=found, check=check)


def place(
    target: Path,
    data: bytes,
    *,
    force: bool = False,
    like: os.stat_result | None = None,
    check: Callable[[bytes], None] | None = None,
) -> None:
    """Put a file where it belongs, whole or not at all. OutputError where that fails.

    like: whose permissions and modification time it gets. check: is given what can be read back
    from the disk and raises where that is not good, before the target exists.
    """
    if _is_device(target):
        _write_device(target, data)
        return
    target = Path(os.path.realpath(target))
    beside = target.with_name(f".{secrets.token_hex(6)}{SUFFIX}.part")
    try:
        try:
            _write_synced(beside, data, like)
            if check is not None:
                check(beside.read_bytes())
            if not force and target.exists():
                raise OutputError(f"{target} exists already: use -f (force=True) to replace it")
            beside.replace(target)
            _sync_folder(target.parent)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {_reason(error)}") from error


def place_folder(target: Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Put a folder with these files where it belongs, whole or not at all. OutputError where that fails.

    force: what is there already, file or folder, is gone then.
    """
    _check_folder(target, force)
    target = Path(os.path.realpath(target))
    beside = target.with_name(f".{secrets.token_hex(6)}{SUFFIX}.part")
    try:
        try:
            beside.mkdir()
            for parent in {(beside / name).parent for name in files}:
                parent.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(_WRITERS) as pool:
                for _ in pool.map(lambda name: _write_synced(beside / name, files[name], None), files):
                    pass  # a failure is raised here
            _check_folder(target, force)
            _exchange(beside, target)
            _sync_folder(target.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {_reason(error)}") from error


def _exchange(new: Path, target: Path) -> None:
    """Give a folder the target's name; what had that name is gone, or has it again if that fails."""
    old = new.with_suffix(".old")
    try:
        if os.path.lexists(target):
            target.rename(old)
        new.rename(target)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(target):
            old.rename(target)
        raise
    try:
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{target} is written, but what it replaced is still there as {old}: remove it") from error


def _write_synced(path: Path, data: bytes, like: os.stat_result | None) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if like is not None and stat.S_ISREG(like.st_mode):
        path.chmod(stat.S_IMODE(like.st_mode))
        os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))


def _sync_folder(folder: Path) -> None:
    """Make a new name last: some systems cannot, and there it is not needed."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def _is_device(path: Path) -> bool:
    """Whether it is there and neither file nor folder: such a thing is written to, never replaced."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _write_device(path: Path, data: bytes) -> None:
    try:
        with path.open("wb") as file:
            file.write(data)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {_reason(error)}") from error


def _remove(source: Path, options: Options) -> None:
    if not options.remove:
        return
    try:
        source.unlink()
    except OSError as error:
        raise OutputError(f"compressed, but the source cannot be removed: {_reason(error)}") from error


def _remove_folder(folder: Path, files: Mapping[str, bytes], skipped: list[str]) -> None:
    """Remove the files that were compressed and the folders that are empty then: what came later stays."""
    if skipped:
        raise OutputError("compressed, but not removed, as something in it was left out")
    try:
        for name in files:
            (folder / name).unlink()
        for top, _, _ in os.walk(folder, topdown=False):
            Path(top).rmdir()
    except OSError as error:
        raise OutputError(f"compressed, but the source cannot be removed: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
