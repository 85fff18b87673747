"""Files on disk: what to do with them, names, and writing without ever leaving half a file.

A result is written beside its target under another name, forced to disk, read back and decoded
where that is asked for, and only then given the target's name. Whatever goes wrong before, a
signal included, leaves the target as it was and nothing behind.
"""

from __future__ import annotations

import io
import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bfncodec.api import CodecSource, Damage, Description, Models, decode_frame, describe, encode_frame
from bfncodec.container import SUFFIX, unpack
from bfncodec.content import Content, Plain, object_of, same_content
from bfncodec.errors import BfncodecError, InputError, OutputError
from bfncodec.header import Kind, Limits, Origin
from bfncodec.pictures import Picture

__all__ = [
    "Options",
    "Reporter",
    "Result",
    "compress_file",
    "compressed_name",
    "decode_data",
    "decompress_file",
    "decompressed_name",
    "encode_data",
    "place",
    "read",
    "verify",
]


@dataclass(frozen=True)
class Options:
    """How to treat files.

    model: as for :func:`bfncodec.compress`. as_bytes: picture files too come back byte for byte. force: replace what
    is there. remove: delete the source once the result is safe. verify: decode the result before it counts.
    limits, on_damage: as for :func:`bfncodec.decompress`.
    """

    model: str = "auto"
    as_bytes: bool = False
    force: bool = False
    remove: bool = False
    verify: bool = True
    limits: Limits | None = None
    on_damage: Callable[[Damage], None] | None = None


@dataclass(frozen=True)
class Result:
    """What was done: bytes of the file as it was or is again, of its compressed file, dimensions, how it is coded."""

    plain_bytes: int
    compressed_bytes: int
    dims: int
    coding: Description

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
    frame = encode_frame(content, options.model, codecs, reporter.advance)
    if isinstance(content, Picture) and 2 * len(frame) > len(data):
        plain = Plain(data)
        other = encode_frame(plain, "none", codecs)
        if len(other) <= len(frame):
            return other, plain
    return frame, content


def decode_data(
    blob: bytes, options: Options, codecs: CodecSource, reporter: Reporter | None = None
) -> tuple[bytes, Content]:
    """The file's bytes again, and the content they were made of. Objects that were no file become one."""
    reporter = reporter or _Silent()
    frame = unpack(blob, options.limits, salvage=options.on_damage is not None)
    sides = [length for length, _ in frame.axes]
    channels = frame.header.mode.channels if len(sides) == 2 else 1
    reporter.start(sides[0] * sides[-1] * channels if len(sides) == 2 else sides[0])
    content = decode_frame(blob, codecs, reporter.advance, options.limits, options.on_damage)
    return _file_bytes(content), content


def verify(blob: bytes, content: Content, codecs: CodecSource, reporter: Reporter | None = None) -> None:
    """Raise OutputError unless a compressed file decodes to that content."""
    try:
        same = same_content(content, decode_frame(blob, codecs, (reporter or _Silent()).advance))
    except BfncodecError as error:
        raise OutputError(f"what was written does not decode ({error}): please report this") from error
    if not same:
        raise OutputError("what was written does not decode to the same content: please report this")


def _classify(data: bytes, options: Options, codecs: CodecSource) -> Content:
    if options.as_bytes or _codes_text(options.model, codecs):
        return Plain(data)
    from bfncodec.imagefiles import read_file

    picture = read_file(data)
    if picture is None or _dims(picture) // picture.mode.channels > Limits().pixels:
        return Plain(data)
    return picture


def _codes_text(model: str, codecs: CodecSource) -> bool:
    """Whether the caller named a model for text, so wants even a picture file coded by it."""
    return model not in ("auto", "none") and codecs.named(model).info.role in ("text", "archive")


def _dims(content: Content) -> int:
    return content.pixels.size if isinstance(content, Picture) else len(content.data)


def _file_bytes(content: Content) -> bytes:
    """The bytes of the file; of an object that was none: text as UTF-8, arrays as .npy, images as PNG."""
    if isinstance(content, Plain) and content.kind is not Kind.ARRAY:
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

    Picture files (PNG, lossless WebP, BMP, PPM, TIFF) are coded as pictures; all others as bytes.
    Raises InputError (source), OutputError (target, or a result that does not verify) and what
    :func:`bfncodec.compress` raises. The target keeps the source's mode and time.
    """
    source, options, codecs = Path(source), options or Options(), codecs or Models()
    target = Path(target) if target is not None else compressed_name(source)
    _check_target(target, source, options.force)
    data = read(source)
    blob, content = encode_data(data, options, codecs, reporter)

    def check(written: bytes) -> None:
        verify(written, content, codecs, reporter)

    _write(target, blob, source, options.force, check if options.verify else None)
    _remove(source, options)
    return Result(len(data), len(blob), _dims(content), describe(blob))


def decompress_file(
    source: str | Path,
    target: str | Path | None = None,
    options: Options | None = None,
    codecs: CodecSource | None = None,
    reporter: Reporter | None = None,
) -> Result:
    """Decompress a file. The target is the source's name without .bfn where none is given.

    Raises InputError (source), OutputError (target) and what :func:`bfncodec.decompress` raises.
    """
    source, options, codecs = Path(source), options or Options(), codecs or Models()
    target = Path(target) if target is not None else decompressed_name(source)
    _check_target(target, source, options.force)
    blob = read(source)
    data, content = decode_data(blob, options, codecs, reporter)
    _write(target, data, source, options.force, None)
    _remove(source, options)
    return Result(len(data), len(blob), _dims(content), describe(blob))


def compressed_name(source: Path) -> Path:
    """The name of a file's compressed file. InputError for one that has that suffix already."""
    if source.suffix == SUFFIX:
        raise InputError(f"already ends in {SUFFIX}; name a target to compress it again")
    return source.with_name(source.name + SUFFIX)


def decompressed_name(source: Path) -> Path:
    """The name of a compressed file's file. InputError for one that does not end in .bfn."""
    if source.suffix != SUFFIX or source.name == SUFFIX:
        raise InputError(f"expected a name ending in {SUFFIX}; name a target to decompress it")
    return source.with_suffix("")


def read(path: Path) -> bytes:
    """A file's bytes; InputError where they cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {_reason(error)}") from error


def _check_target(target: Path, source: Path, force: bool) -> None:
    """Before any work: refuse to write over the source, over a folder, or over a file without force."""
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


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
