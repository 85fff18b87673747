"""Archives of items as sequences: any item is read and decoded alone, several together.

:mod:`bfncodec.files.archiving` is the encoder. Processes that are forked and threads may share an archive, and it can
be sent to other processes: each opens the file and loads models for itself.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from operator import index
from pathlib import Path
from typing import Any, BinaryIO, Self, overload

from bfncodec.codecs.sources import CodecSource, Models
from bfncodec.content.items import Whole, check_names, whole_of
from bfncodec.content.objects import object_of
from bfncodec.content.types import Content
from bfncodec.errors import FormatError, InputError
from bfncodec.files.data import name_of
from bfncodec.files.sources import Slices
from bfncodec.format.container import unpack
from bfncodec.format.cuts import NOWHERE
from bfncodec.format.frame import Frame
from bfncodec.format.items import Row, check_plain, counts_of, read_row
from bfncodec.format.limits import Limits
from bfncodec.images.picture import Picture
from bfncodec.runtime.arguments import check_codecs, check_machine, check_type, path_of
from bfncodec.segments.assemble import decode_items
from bfncodec.segments.description import Description, describe_file

__all__ = ["Archive"]

_KEPT = 16  # segments whose coded items are in memory
_TOGETHER = 256  # items that are decoded at once where all are wanted


class Archive(Sequence[Any]):
    """The items of an archive: ``archive[7]``, ``archive["name"]``, ``archive[10:20]``, a list.

    Nothing is decoded but what is asked for, and nothing read but its segments; the index is read when it is first
    needed, names when one is first asked for. The memory it takes depends on the number of segments, of some hundred
    items each, and where names are used on that of names.

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
        check_machine(device, threads)
        check_type(limits, Limits, "limits")
        self.path, self.arrays = path_of(path), arrays
        self._limits, self._codecs = limits, codecs
        self._make = partial(Models, device, threads)
        self._open: _Open | None = None
        self._lock = threading.Lock()
        if not self.path.is_file():
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
        return name in self._now().names() if isinstance(name, str) else False

    def read(self, numbers: Iterable[int]) -> list[Any]:
        """Return several items by their numbers, in that order; they are decoded together, which takes less time."""
        return [self._object(content) for content in self._contents(numbers)]

    def files(self, numbers: Iterable[int]) -> list[tuple[str, bytes]]:
        """Return the name and the bytes of several items as files: arrays as .npy, Pillow images as PNG."""
        numbers, now = list(numbers), self._now()
        names = now.listed() if now.is_named and numbers else None
        return [
            name_of(content, names[n] if names else str(n))
            for n, content in zip(numbers, self._contents(numbers), strict=True)
        ]

    def describe(self, number: int) -> Description:
        """Return what an item is and takes, without decoding it."""
        now = self._now()
        row, inside = now.place(self._checked(number))
        file = row.file(0 if row.is_stack else inside)
        return describe_file(file, self._limits)

    # ---- names ------------------------------------------------------------------------------------

    def keys(self) -> Iterator[str]:
        """Return the names of all items in their order; of an archive without names none. One segment is read at once.

        Names are paths; for files of a folder the relative ones.
        """
        now = self._now()
        return (name for number in range(len(now.starts) - 1) for name in now.row(number).names or ())

    def number(self, name: str) -> int:
        """Return the number of the item of a name. Raises KeyError."""
        return self._now().names()[name]

    @property
    def is_named(self) -> bool:
        """Items have names."""
        return self._now().is_named

    @property
    def is_array(self) -> bool:
        """Items are the rows of one array, which :func:`decompress` gives back."""
        return self._now().whole is Whole.ROWS

    # ---- the file ---------------------------------------------------------------------------------

    def verify(self) -> None:
        """Raise a FormatError unless all checksums of coded bytes hold; no model is needed."""
        now = self._now()
        for number in range(len(now.starts) - 1):
            now.row(number)
        if now.is_named:
            check_names(list(self.keys()))

    def close(self) -> None:
        """Close the file; it is opened again where something is asked for."""
        with self._lock:
            if self._open is not None:
                self._open.file.close()
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
        self.__dict__ |= state | {"_lock": threading.Lock()}

    def _now(self) -> _Open:
        """Return the file as this process has it open."""
        with self._lock:
            if self._open is None or self._open.process != os.getpid():
                self._open = _Open.of(self.path, self._limits or Limits(), self._codecs or self._make())
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
        contents = decode_items(rows, now.codecs, self._limits or Limits())
        found = dict(zip(sorted(set(wanted)), contents, strict=True))
        return [found[number] for number in wanted]

    def _object(self, content: Content) -> Any:
        if self.arrays and isinstance(content, Picture):
            pixels = content.pixels
            return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
        return object_of(content)


@dataclass
class _Open:
    """An archive as one process has it open.

    starts: number of the first item of each segment, and of all items. kept: segments that were read last. numbers:
    of items by name, once they were asked for.
    """

    process: int
    file: BinaryIO
    frame: Frame
    whole: Whole
    starts: tuple[int, ...]
    codecs: CodecSource
    kept: dict[int, Row]
    numbers: dict[str, int] | None
    lock: threading.Lock

    @classmethod
    def of(cls, path: Path, limits: Limits, codecs: CodecSource) -> _Open:
        """Return a file that was opened, its index read. Raises InputError, FormatErrors."""
        try:
            file = path.open("rb")
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
        try:
            frame = unpack(Slices(file), limits, place=lambda *_: NOWHERE)
            whole = whole_of(frame.header)
            if whole is None:
                raise InputError(f"{path} holds one object and no items: decompress it")
            check_plain(frame)
            counts = counts_of(frame.header, frame.cut)
            lock, read = threading.Lock(), range(frame.cut.count)
            starts = accumulate(counts or (read_row(frame, k).count for k in read), initial=0)
            return cls(os.getpid(), file, frame, whole, tuple(starts), codecs, {}, None, lock)
        except BaseException:
            file.close()
            raise

    def row(self, number: int) -> Row:
        """Return a segment, checked, not decoded. Raises FormatErrors."""
        with self.lock:
            found = self.kept.pop(number, None)
            if found is None:
                try:
                    found = read_row(self.frame, number)
                    found.check(self.starts[number + 1] - self.starts[number])
                except FormatError as error:
                    raise self.frame.placed(error, number) from error
            self.kept[number] = found  # the last of them, as dictionaries keep their order
            if len(self.kept) > _KEPT:
                del self.kept[next(iter(self.kept))]
            return found

    def place(self, number: int) -> tuple[Row, int]:
        """Return the segment of an item, and its number there."""
        segment = bisect_right(self.starts, number) - 1
        return self.row(segment), number - self.starts[segment]

    @property
    def is_named(self) -> bool:
        """Items have names, as those of the first segment have."""
        return self.row(0).names is not None

    def listed(self) -> list[str]:
        """Return the names of all items by their numbers."""
        return list(self.names())

    def names(self) -> dict[str, int]:
        """Return the numbers of items by name. Raises DamagedError for names that cannot be together."""
        if self.numbers is None:
            names = [name for k in range(len(self.starts) - 1) for name in self.row(k).names or ()]
            check_names(names)
            self.numbers = {name: number for number, name in enumerate(names)}
        return self.numbers
