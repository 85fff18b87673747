"""Content of files added to the end of a compressed one."""

from __future__ import annotations

import io
from pathlib import Path

from bfncodec.api import CodecSource, Models
from bfncodec.content.objects import content_of_array
from bfncodec.content.types import Content, Plain
from bfncodec.errors import BfncodecError, InputError, reading
from bfncodec.files.archiving import append_items, holds_items
from bfncodec.files.growing import check_coded_on_disk, identity_of, put_back
from bfncodec.files.itemsources import check_alone, items_of
from bfncodec.files.options import Options
from bfncodec.files.sources import opened, read
from bfncodec.format.container import unpack
from bfncodec.format.kinds import Kind
from bfncodec.format.limits import OF_WRITERS
from bfncodec.runtime.arguments import check_codecs, check_type, path_of
from bfncodec.runtime.progress import SILENT, Reporter
from bfncodec.segments.appending import appended
from bfncodec.segments.encode import Task

__all__ = ["append_file"]

_NPY = b"\x93NUMPY"


def append_file(
    target: str | Path,
    source: str | Path,
    options: Options | None = None,
    codecs: CodecSource | None = None,
    reporter: Reporter | None = None,
) -> int:
    """Add the content of a file to the end of a compressed one, and return the bytes by which that grew.

    target: a compressed file of bytes, of text, or of an array, which .npy files of the same element type and the same
    sides but the first are added to; or an archive, whose items become those of the source, which may be a folder, too:
    :func:`bfncodec.append_items`. What is coded already stays as it is. The file is written beside its old self and
    takes its place when it is whole and every checksum in it holds, unless another process has changed that meanwhile.

    Raises InputError for a file that cannot be added, OutputError (target), FormatErrors for a target that is damaged,
    and what :func:`bfncodec.compress` raises.
    """
    check_type(options, Options, "options")
    check_codecs(codecs)
    target, source, options, codecs = path_of(target), path_of(source), options or Options(), codecs or Models()
    known = identity_of(target)
    try:
        grows_by_items = holds_items(target)
    except BfncodecError as error:
        raise error.within(str(target)) from error
    if grows_by_items:
        before = target.stat().st_size
        append_items(target, items_of([source], options.on_skip), options, codecs, reporter)
        return target.stat().st_size - before
    task = Task(options.model, codecs, (reporter or SILENT).advance, options.level, options.policy)
    with opened(target) as blob:
        before, kind = len(blob), unpack(blob, OF_WRITERS).header.kind
        chunks = appended(blob, _content_of(read(source), kind), task, options.verify)
        put_back(target, known, chunks, check_coded_on_disk)
    return target.stat().st_size - before


def _content_of(data: bytes, kind: Kind) -> Content:
    """Return the content of a file that is to be added to one of a kind. Raises InputError for bytes that are no text
    where text is, which could not be decoded behind them, and for arrays where bytes are, behind which nobody would
    find them, and DamagedError for what is no .npy file.
    """
    if kind is Kind.STR:
        _check_text(data)
    elif kind is Kind.BYTES and data.startswith(_NPY):
        raise InputError(
            "expected bytes to add to bytes, found a .npy file, of which several in a row are read as the first alone",
            python="add to an array that compress made, or to an archive of rows",
            command="compress --items makes an archive of rows, to which rows are added",
        )
    if kind is not Kind.ARRAY:
        return Plain(data, kind)
    import numpy as np

    with reading("expected a .npy file to add to an array"):
        array = np.load(stream := io.BytesIO(data), allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise InputError("expected a .npy file to add to an array, found several arrays: add one at a time")
    check_alone(len(stream.read()), "what is to be added")
    return content_of_array(array)


def _check_text(data: bytes) -> None:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise InputError(
            f"expected UTF-8 to add to a text, found {error.reason} at byte {error.start}: give it a file of its own"
        ) from error
