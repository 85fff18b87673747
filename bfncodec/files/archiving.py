"""Items of any kind to an archive: coded some at a time, in memory that does not depend on how many there are.

:func:`write_archive` is the encoder, :class:`bfncodec.Archive` its decoder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Protocol

from bfncodec.api import CodecSource, Models, compress
from bfncodec.content.items import Whole
from bfncodec.content.objects import check_rows, content_of_array, object_of, same_object
from bfncodec.content.paths import bad_path
from bfncodec.content.types import Content
from bfncodec.errors import BfncodecError, InputError, OutputError
from bfncodec.files.archive import Archive
from bfncodec.files.atomic import check_target, place
from bfncodec.files.data import content_in, encode_content, taken
from bfncodec.files.growing import identity_of, put_back
from bfncodec.files.options import Options
from bfncodec.files.places import file_at
from bfncodec.files.sources import opened, read
from bfncodec.files.verify import verify_decoded
from bfncodec.format.container import copied, unpack
from bfncodec.format.cuts import NOWHERE
from bfncodec.format.extras import Tag
from bfncodec.format.frame import Frame
from bfncodec.format.limits import OF_WRITERS
from bfncodec.format.wire import Source
from bfncodec.runtime.arguments import check_codecs, check_type, path_of
from bfncodec.runtime.progress import SILENT, Reporter
from bfncodec.segments.archiving import ItemWriter
from bfncodec.segments.assemble import Decoding
from bfncodec.segments.encode import encode_frame
from bfncodec.segments.together import Task, run_together

__all__ = ["FileItem", "append_items", "holds_items", "write_archive"]

_TOGETHER = 256  # items that are coded at once
_ROOM = 1 << 24  # bytes of items, from which on there are fewer of them


@dataclass(frozen=True)
class FileItem:
    """A file on disk as an item: what :func:`bfncodec.compress_file` makes of it."""

    path: Path


def write_archive(
    target: str | os.PathLike[str],
    items: Any,
    options: Options | None = None,
    codecs: CodecSource | None = None,
    reporter: Reporter | None = None,
) -> int:
    """Write an archive, each item of which can be had alone, and return the number of items.

    Parameters
    ----------
    target
        Path of the file. It appears whole or not at all.
    items
        An array of one dimension and more, whose rows along the first side are the items; a mapping of names, which
        are relative paths with slashes, to objects; or objects one after the other, of which few are in memory at once:
        those that :func:`compress` takes, or pairs of a name and such an object.
    options
        Model, level, whether to verify, and whether to replace what is there: ``model``, ``level``, ``verify`` and
        ``force`` of :class:`bfncodec.files.options.Options`. A model of many items of one shape needs an array of them:
        ``policy.archive_segment`` bytes of rows are one chain of bits-back coding, at whose beginning decoding begins.
    codecs, reporter
        Where codecs come from, instead of the models on this machine; and what hears of progress, in items.

    Raises
    ------
    InputError
        Items that cannot be compressed, names that are no paths or of some items alone, or no items.
    OutputError
        A target that cannot be written, or is there already.
    ModelNotFoundError, ModelError
        As for :func:`compress`.
    """
    check_type(options, Options, "options")
    check_codecs(codecs)
    target, options, codecs = path_of(target), options or Options(), codecs or Models()
    check_target(target, Path(os.devnull), options.force)
    found = _Given.of(items, options, codecs)
    out = list[bytes]()
    writer = ItemWriter(out.append, found.whole, codecs, options.policy)
    count = _Count(reporter or SILENT)
    chunks = _chunks(writer, found, out, set(), count)
    place(target, chunks, force=options.force, check=_check if options.verify else None)
    return count.items


def append_items(
    target: str | os.PathLike[str],
    items: Any,
    options: Options | None = None,
    codecs: CodecSource | None = None,
    reporter: Reporter | None = None,
) -> int:
    """Add items to an archive, and return their number: nothing before its index is changed.

    items: as for :func:`write_archive`; named if those that are there are, and rows of an array of the same element
    type and the same sides but the first if those are. The file is written beside its old self and takes its place when
    it is whole and every checksum in it holds. Errors as there; FormatErrors for a target that is damaged, and an
    OutputError for one that another process has changed meanwhile.
    """
    check_type(options, Options, "options")
    check_codecs(codecs)
    target, options, codecs = path_of(target), options or Options(), codecs or Models()
    known, archive = identity_of(target), Archive(target, codecs=codecs)
    found = _Given.of(items, options, codecs)
    _check_like(archive, found)
    names = set(archive.keys()) if archive.is_named else set()
    count, out = _Count(reporter or SILENT), list[bytes]()
    with opened(target) as blob:
        frame = unpack(blob, OF_WRITERS)
        writer = ItemWriter.after(out.append, blob, frame, codecs, options.policy)
        chunks = _continued(blob, frame, _chunks(writer, found, out, names, count, archive.is_named))
        put_back(target, known, chunks, _check)
    archive.close()
    return count.items


def holds_items(path: Path) -> bool:
    """Return whether a file is an archive of items. Raises InputError, FormatErrors."""
    with opened(path) as blob:
        return unpack(blob, OF_WRITERS, place=lambda *_: NOWHERE).header.extra(Tag.ITEMS) is not None


def _check(written: Path) -> None:
    """Raise a FormatError unless all checksums of the coded bytes on the disk hold."""
    archive = Archive(written)
    try:
        archive.verify()
    finally:
        archive.close()


def _continued(blob: Source, frame: Frame, chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from copied(blob, frame.entries[-1].end)
    yield from chunks


def _check_like(archive: Archive, found: _Given) -> None:
    """Raise InputError for rows of an array that is not alike, or other items where there are rows."""
    if archive.is_array is not (found.whole is Whole.ROWS):
        wanted, other = ("rows of an array", "others") if archive.is_array else ("items", "rows of one array")
        raise InputError(f"expected {wanted} to add to their like, found {other}: give them an archive of their own")
    if found.rows is not None:
        old = archive[0]
        if (old.dtype, old.shape) != (found.rows.dtype, found.rows.shape[1:]):
            raise InputError(
                f"expected rows {old.dtype} of shape {old.shape}, "
                f"found {found.rows.dtype} of shape {found.rows.shape[1:]}"
            )


# ---- what was given ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Given:
    """Items that were given: name, if it has one, and object of each.

    rows: the array that they are rows of. step: rows at most that a model of many items codes at once, else 0.
    """

    whole: Whole
    pairs: Iterable[tuple[str | None, Any]]
    options: Options
    rows: Any = None
    step: int = 0

    @classmethod
    def of(cls, items: Any, options: Options, codecs: CodecSource) -> _Given:
        """Return what was given as items. Raises InputError."""
        archives = options.model not in ("auto", "none") and codecs.named(options.model).capabilities.codes_archives
        if hasattr(items, "to_numpy") or (hasattr(items, "dtype") and hasattr(items, "shape")):
            check_rows(items)
            if not items.ndim:
                raise InputError("expected an array of one dimension or more, found a number: pass a list of it")
            rows = ((None, _row(items, k)) for k in range(items.shape[0]))
            step = max(1, options.policy.archive_segment // max(1, items[:1].nbytes)) if archives else 0
            return cls(Whole.ROWS, rows, options, items, step)
        if archives:
            raise InputError(f"model {options.model} codes many items of one shape: give it an array of them")
        if isinstance(items, Mapping):
            return cls(Whole.EACH, items.items(), options)
        if isinstance(items, (str, bytes, bytearray, memoryview)) or not isinstance(items, Iterable):
            raise InputError(f"expected items one after the other, found {type(items).__name__}: pass a list of it")
        return cls(Whole.EACH, (_pair(item) for item in items), options)

    def batches(self) -> Iterator[list[tuple[str | None, _Task]]]:
        """Yield the names and the work of items that are coded together."""
        if self.step:
            count = self.rows.shape[0]
            parts = max(1, -(-count // self.step))
            edges = [k * count // parts for k in range(parts + 1)]
            for start, stop in pairwise(edges):
                yield [(None, _Stack(self.rows, start, stop, self.options))]
            return
        pairs = iter(self.pairs)
        while batch := list(_some(pairs)):
            yield [(name, _task(item, self.options)) for name, item in batch]


def _row(array: Any, number: int) -> Any:
    """Return a row as an array, in memory. One of no dimensions would be a number of the machine's byte order."""
    import numpy as np

    return np.array(array[number : number + 1]).reshape(array.shape[1:])


def _pair(item: Any) -> tuple[str | None, Any]:
    if isinstance(item, tuple):
        if len(item) != 2 or not isinstance(item[0], str):
            raise InputError("expected a pair of a name and an object, found another tuple")
        return item
    return None, item


def _some(pairs: Iterator[tuple[str | None, Any]]) -> Iterator[tuple[str | None, Any]]:
    """Yield the next items that are coded together."""
    size = 0
    for pair in islice(pairs, _TOGETHER):
        yield pair
        size += _size_of(pair[1])
        if size >= _ROOM:
            return


def _size_of(item: Any) -> int:
    if isinstance(item, FileItem):
        return item.path.stat().st_size if file_at(item.path) else 0
    return getattr(item, "nbytes", 0) or (len(item) if isinstance(item, (bytes, str)) else 1 << 10)


# ---- the work on an item ----------------------------------------------------------------------


class _Task(Protocol):
    """Work on an item, with others: its compressed file, and whether that is right."""

    def encode(self, *, codecs: CodecSource) -> bytes: ...

    def check(self, decoding: Decoding, *, codecs: CodecSource) -> None: ...


@dataclass(frozen=True)
class _Object:
    """Work on an object."""

    item: Any
    options: Options

    def encode(self, *, codecs: CodecSource) -> bytes:
        model, level, policy = self.options.model, self.options.level, self.options.policy
        return compress(self.item, model, level=level, verify=False, codecs=codecs, policy=policy)

    def check(self, decoding: Decoding, *, codecs: CodecSource) -> None:
        _compare(self.item, lambda: object_of(decoding(codecs=codecs)))


@dataclass(frozen=True)
class _Data:
    """Work on the bytes of a file, in which its content is found once, in the first run."""

    data: bytes
    options: Options
    found: list[Content] = field(default_factory=list)

    def encode(self, *, codecs: CodecSource) -> bytes:
        if not self.found:
            self.found.append(content_in(self.data, self.options, codecs))
        return encode_content(self.data, self.found[0], self.options, codecs)[0]

    def check(self, decoding: Decoding, *, codecs: CodecSource) -> None:
        verify_decoded(lambda: decoding(codecs=codecs), None, taken(self.data, self.options))


@dataclass(frozen=True)
class _Stack:
    """Work on some rows of an array that one chain codes."""

    rows: Any
    start: int
    stop: int
    options: Options

    @property
    def array(self) -> Any:
        """The rows, in memory."""
        import numpy as np

        return np.array(self.rows[self.start : self.stop])

    def encode(self, *, codecs: CodecSource) -> bytes:
        policy = self.options.policy
        return encode_frame(
            content_of_array(self.array), self.options.model, codecs, level=self.options.level, policy=policy
        )

    def check(self, decoding: Decoding, *, codecs: CodecSource) -> None:
        _compare(self.array, lambda: object_of(decoding(codecs=codecs)))


def _task(item: Any, options: Options) -> _Task:
    return _Data(read(item.path), options) if isinstance(item, FileItem) else _Object(item, options)


def _compare(given: Any, decode: Callable[[], Any]) -> None:
    """Raise OutputError unless what was made decodes to what was given."""
    try:
        same = same_object(given, decode())
    except BfncodecError as error:
        raise OutputError(f"what was made does not decode ({error}): keep the data, and please report this") from error
    if not same:
        raise OutputError("what was made does not decode to what was given: keep the data, and please report this")


# ---- the file ---------------------------------------------------------------------------------


@dataclass
class _Count:
    """Number of items that are written, of which a reporter hears."""

    reporter: Reporter
    items: int = 0

    def add(self, more: int) -> None:
        """Count further items."""
        self.items += more
        self.reporter.advance(more)


def _chunks(
    writer: ItemWriter,
    found: _Given,
    out: list[bytes],
    names: set[str],
    count: _Count,
    named: bool | None = None,
) -> Iterator[bytes]:
    """Yield the bytes of an archive, or those that are added to one.

    out: what the writer writes to. names, named: names that are there, and whether items must have one.
    """
    for batch in found.batches():
        files = _encoded([task for _, task in batch], writer, found.options)
        for (name, task), file in zip(batch, files, strict=True):
            named = name is not None if named is None else named
            _check_name(name, named, names)
            _add(writer, task, file, name)
            count.add(task.stop - task.start if isinstance(task, _Stack) else 1)
        yield b"".join(out)
        out.clear()
    if not count.items:
        raise InputError("expected items, found none")
    if names:
        _check_paths(names)
    writer.finish()
    yield b"".join(out)


def _encoded(tasks: Sequence[_Task], writer: ItemWriter, options: Options) -> list[bytes]:
    def check(number: int, file: bytes) -> Task[None]:
        return partial(tasks[number].check, Decoding(file, OF_WRITERS))

    return run_together([task.encode for task in tasks], writer.codecs, check if options.verify else None)


def _add(writer: ItemWriter, task: _Task, file: bytes, name: str | None) -> None:
    if isinstance(task, _Stack):
        models = {entry.model for entry in unpack(file, OF_WRITERS).entries}
        writer.add_stack(file, task.stop - task.start, models)
    else:
        writer.add(file, name)


def _check_name(name: str | None, named: bool, names: set[str]) -> None:
    """Take a name to those that are there. Raises InputError for one that is there, or missing, or one too many."""
    if named is not (name is not None):
        raise InputError(f"expected {'names of all items' if named else 'items without names'}, found another")
    if name is not None:
        if not isinstance(name, str):
            raise InputError(f"expected names that are relative paths, found {name!r}")
        if bad_path([name]) is not None:
            raise InputError(f"expected names that are relative paths in UTF-8, found {name!a}: rename it")
        if name in names:
            raise InputError(f"expected each name once, found {name!a} again: rename one")
        names.add(name)


def _check_paths(names: set[str]) -> None:
    if (bad := bad_path(sorted(names))) is not None:
        raise InputError(f"expected names none of which is a folder of another, found {bad!a} below one: rename one")
