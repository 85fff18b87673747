"""Archives of items as sequences: any item is read and decoded alone, several together.

:mod:`bfncodec.files.archiving` is the encoder. Processes that are forked and threads may share an archive, and it can
be sent to other processes: each opens the file for itself.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import accumulate
from operator import index
from pathlib import Path
from typing import Any, Self, overload

from bfncodec.codecs.sources import CodecSource, Models
from bfncodec.content.items import Whole, check_names, whole_of
from bfncodec.content.objects import array_or_object
from bfncodec.content.paths import with_folders
from bfncodec.content.types import Content
from bfncodec.errors import DamagedError, FormatError, InputError
from bfncodec.files.data import name_of
from bfncodec.files.places import file_at
from bfncodec.files.sources import Slices
from bfncodec.forks import ProcessLock
from bfncodec.format.container import unpack
from bfncodec.format.cuts import NOWHERE
from bfncodec.format.frame import Frame
from bfncodec.format.items import Row, check_plain, counts_of, read_row, skim_names
from bfncodec.format.kinds import Method
from bfncodec.format.limits import Limits
from bfncodec.format.wire import Part
from bfncodec.runtime.arguments import check_codecs, check_type, path_of
from bfncodec.segments.assemble import decode_items
from bfncodec.segments.description import Description, describe_file

__all__ = ["Archive"]

_KEPT = 16  # segments that are LZMA and stay in memory
_TOGETHER = 256  # items that are decoded at once where all are wanted


class Archive(Sequence[Any]):
    """The items of an archive: ``archive[7]``, ``archive["name"]``, ``archive[10:20]``, a list.

    Nothing is decoded but what is asked for, and nothing read but its segments; the index is read when it is first
    needed, names when one is first asked for. A segment, of some hundred items, is read and checked whole when it is
    first needed, and then no more than the items themselves: what stays in memory is four bytes an item, and a name
    where names are asked for.

    Parameters
    ----------
    path
        A file that :func:`write_archive`, or ``bfncodec compress --items``, made.
    arrays
        Give pictures as arrays, uint8 or uint16 [H, W] or [H, W, C], also those that were files.
    device, threads, limits, codecs
        As for :func:`decompress`; limits are those of one call.

    Raises
    ------
    InputError
        A path that cannot be read, a file that is no archive, an item that is not there (for an index it is an
        IndexError, for a name a KeyError, as sequences and dictionaries have it).
    FormatError, ModelNotFoundError, ModelError
        As for :func:`decompress`, when the index or an item is read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        arrays: bool = False,
        device: str = "cpu",
        threads: int | None = None,
        limits: Limits | None = None,
        codecs: CodecSource | None = None,
    ) -> None:
        check_codecs(codecs)
        check_type(limits, Limits, "limits")
        self.path, self.arrays = path_of(path), arrays
        self._limits, self._codecs = limits, codecs or Models(device, threads)
        self._open: _Open | None = None
        self._lock = ProcessLock()
        if not file_at(self.path):
            raise InputError(f"{self.path} cannot be read: expected a file, found none")

    # ---- items ------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._now().starts[-1]

    @overload
    def __getitem__(self, which: int | str) -> Any: ...
    @overload
    def __getitem__(self, which: slice) -> list[Any]: ...
    def __getitem__(self, which: int | str | slice) -> Any:
        if isinstance(which, slice):
            return self.read(range(len(self))[which])
        return self.read([self.number(which) if isinstance(which, str) else which])[0]

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), _TOGETHER):
            yield from self.read(range(start, min(start + _TOGETHER, len(self))))

    def __contains__(self, name: object) -> bool:
        """Return whether there is an item of a name."""
        return isinstance(name, str) and self._now().number(name) is not None

    def read(self, numbers: Iterable[int]) -> list[Any]:
        """Return several items by their numbers, in that order; they are decoded together, which takes less time."""
        return [array_or_object(content, self.arrays) for content in self._contents(numbers)]

    def files(self, numbers: Iterable[int]) -> list[tuple[str, bytes]]:
        """Return the name and the bytes of several items as files: arrays as .npy, Pillow images as PNG."""
        numbers, now = list(numbers), self._now()
        names = list(now.numbers()) if now.is_named and numbers else []
        others = with_folders(names)
        return [
            name_of(content, names[n] if names else str(n), others)
            for n, content in zip(numbers, self._contents(numbers), strict=True)
        ]

    def describe(self, number: int) -> Description:
        """Return what an item is and takes, without decoding it; of a row that is coded with others, what these are."""
        now = self._now()
        row, inside = now.place(self._checked(number))
        file = row.file(0 if row.is_stack else inside)
        return describe_file(file, self._limits)

    # ---- names ------------------------------------------------------------------------------------

    def keys(self) -> Iterator[str]:
        """Return the names of all items in their order; of an archive without names none. One segment is read at once.

        Names are paths; for files of a folder the relative ones.
        """
        return self._now().keys()

    def number(self, name: str) -> int:
        """Return the number of the item of a name. Raises KeyError."""
        found = self._now().number(name)
        if found is None:
            raise KeyError(name)
        return found

    @property
    def is_named(self) -> bool:
        """Flag: items have names."""
        return self._now().is_named

    @property
    def is_array(self) -> bool:
        """Flag: items are the rows of one array, which :func:`decompress` gives back."""
        return self._now().whole is Whole.ROWS

    # ---- the file ---------------------------------------------------------------------------------

    def verify(self) -> None:
        """Raise a FormatError unless all checksums of coded bytes hold; no model is needed."""
        self._now().verify()

    @property
    def coded_end(self) -> int:
        """Byte behind the items, at which the index begins; what is before is never changed."""
        return self._now().frame.entries[-1].end

    @property
    def read_bytes(self) -> int:
        """Bytes of the file that this process has read since it was opened."""
        return self._now().file.read_bytes

    def close(self) -> None:
        """Close the file once no thread reads it any more; it is opened again where something is asked for."""
        with self._lock:
            self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(AttributeError):  # of one whose path was refused
            self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_lock": ProcessLock()}

    def _now(self) -> _Open:
        """Return the file as this process has it open."""
        with self._lock:
            if self._open is None or self._open.process != os.getpid():
                self._open = _Open(self.path, self._limits or Limits())
            return self._open

    def _checked(self, number: int) -> int:
        try:
            return range(len(self))[index(number)]
        except IndexError:
            raise IndexError(f"expected an item from 0 to {len(self) - 1}, found {number}") from None

    def _contents(self, numbers: Iterable[int]) -> list[Content]:
        now, wanted = self._now(), [self._checked(number) for number in numbers]
        places = defaultdict[int, list[int]](list)
        for number in sorted(set(wanted)):
            places[bisect_right(now.starts, number) - 1].append(number)
        rows = [(now.row(segment), [n - now.starts[segment] for n in found]) for segment, found in places.items()]
        contents = decode_items(rows, self._codecs, self._limits or Limits())
        found = dict(zip(sorted(set(wanted)), contents, strict=True))
        return [found[number] for number in wanted]


class _File:
    """Bytes of an open file, slice by slice, for several threads. It is closed when none has it any more.

    read_bytes: how many were read.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._slices = Slices(path.open("rb"))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
        self._size, self._lock = len(self._slices), threading.Lock()

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, span: slice, /) -> bytes:
        with self._lock:
            return self._slices[span]

    @property
    def read_bytes(self) -> int:
        return self._slices.read_bytes

    def close(self) -> None:
        """Close the file."""
        self._slices.file.close()

    def __del__(self) -> None:
        with suppress(AttributeError):  # of one that could not be opened
            self.close()


class _Open:
    """An archive as one process has it open.

    A segment is checked when it is first needed. What stays in memory is where its items are, four bytes of each, which
    are then read alone where the segment is stored; of those that are LZMA the last few stay.

    starts: number of the first item of each segment, and of all items.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.process, self.file = os.getpid(), _File(path)
        try:
            self.frame = unpack(self.file, limits, place=lambda *_: NOWHERE)
            self.whole = _whole_of(self.frame, path)
            counts = counts_of(self.frame.header, self.frame.cut)
            found = counts or (read_row(self.frame, k).count for k in range(self.frame.cut.count))
            self.starts = tuple(accumulate(found, initial=0))
        except BaseException:
            self.file.close()
            raise
        self._verified = False
        self._named: bool | None = None  # not known before a segment is read
        self._rows, self._whole, self._numbers = dict[int, Row](), dict[int, Row](), dict[str, int]()

    def row(self, number: int) -> Row:
        """Return a segment, checked, not decoded, without names. Raises FormatErrors."""
        found = self._rows.get(number) or self._whole.get(number)
        if found is not None:
            return found
        row, entry = replace(self.checked(number), names=None), self.frame.entries[number]
        if entry.method is Method.STORED:
            self._rows[number] = replace(row, content=Part(self.file, entry.start, entry.stop))
        else:
            self._whole[number] = row
            while len(self._whole) > _KEPT:
                self._whole.pop(next(iter(self._whole)), None)
        return row

    def checked(self, number: int) -> Row:
        """Return a segment as it was just read. Raises FormatErrors."""
        try:
            row = read_row(self.frame, number)
            row.check(self.starts[number + 1] - self.starts[number])
            named = row.names is not None
            if named is not (named if self._named is None else self._named):
                raise DamagedError("expected names of all items or of none")
        except FormatError as error:
            raise self.frame.placed(error, number) from error
        self._named = named
        return row

    @property
    def is_named(self) -> bool:
        """Flag: items have names."""
        if self._named is None:
            self.checked(0)
        return bool(self._named)

    def place(self, number: int) -> tuple[Row, int]:
        """Return the segment of an item, and its number there."""
        segment = bisect_right(self.starts, number) - 1
        return self.row(segment), number - self.starts[segment]

    def keys(self) -> Iterator[str]:
        """Yield the names of all items in their order."""
        return (name for number in range(len(self.starts) - 1) for name in self.checked(number).names or ())

    def numbers(self) -> dict[str, int]:
        """Return the numbers of items by name, which is read without the checksum of what is around it.

        Raises DamagedError for names that cannot be together.
        """
        if self.is_named and not self._numbers:
            rows = (skim_names(self.file, self.frame, number) for number in range(len(self.starts) - 1))
            names = [name for row in rows for name in row or ()]
            if len(names) != self.starts[-1]:
                raise DamagedError(f"expected the names of {self.starts[-1]} items, found {len(names)}")
            check_names(names)
            self._numbers = {name: number for number, name in enumerate(names)}
        return self._numbers

    def number(self, name: str) -> int | None:
        """Return the number of an item, None where no name is the one. Raises DamagedError where that may be damage."""
        number = self.numbers().get(name)
        if number is None:
            self.verify()
            return None
        segment = bisect_right(self.starts, number) - 1
        if segment not in self._rows:
            names = self.checked(segment).names or ()
            if names[number - self.starts[segment]] != name:
                raise DamagedError(f"expected the name {name!a} of item {number}, found another")
        return number

    def verify(self) -> None:
        """Raise a FormatError unless all checksums of coded bytes hold; once is enough."""
        if not self._verified:
            names = list(self.keys())
            if self.is_named:
                check_names(names)
        self._verified = True


def _whole_of(frame: Frame, path: Path) -> Whole:
    """Return what items are as a whole. Raises InputError for a file that has none, FormatErrors."""
    whole = whole_of(frame.header)
    if whole is None:
        raise InputError(f"{path} holds one object and no items: decompress it")
    check_plain(frame)
    return whole
