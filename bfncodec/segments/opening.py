"""Opened files, of which nothing is decoded yet, but all that can be checked without a model is."""

from __future__ import annotations

from dataclasses import dataclass, field

from bfncodec.content.regions import Part
from bfncodec.errors import DamagedError, InputError
from bfncodec.format.concatenation import follower, is_joinable, split
from bfncodec.format.container import unpack
from bfncodec.format.frame import Frame
from bfncodec.format.header import Header
from bfncodec.format.limits import Limits
from bfncodec.format.sizes import check_together
from bfncodec.format.wire import Source
from bfncodec.segments.damage import OnDamage


@dataclass(frozen=True)
class Opened:
    """A file that was opened: one frame, or several if files of bytes or text were put one after the other."""

    frames: tuple[Frame, ...]
    blob: Source
    limits: Limits = field(default_factory=Limits)

    @property
    def header(self) -> Header:
        """First header. It holds for the whole, but that bytes and text together are bytes."""
        return self.frames[0].header


def open_file(
    blob: Source,
    limits: Limits | None = None,
    on_damage: OnDamage | None = None,
    part: Part | None = None,
) -> Opened:
    """Return an opened file, of which nothing is decoded yet, but unless it is to be salvaged all checksums of coded
    bytes hold.

    part: the part of the content that is wanted; other segments are not read.

    Raises a FormatError, and InputError for a part that cannot be had or files that cannot stand together.
    """
    salvage, limits = on_damage is not None, limits or Limits()
    if part is not None:
        try:
            return _verified(Opened((unpack(blob, limits, salvage, part.place),), blob, limits), salvage)
        except DamagedError:
            if len(split(blob, limits)) > 1:
                raise InputError("several files one after the other: a part can be had of one alone") from None
            raise
    pieces = split(blob, limits)
    frames = tuple(unpack(piece, limits, salvage) for piece in pieces)
    if len(frames) > 1 and not all(is_joinable(frame.header) for frame in frames):
        raise _not_joinable(len(pieces[0]))
    check_together([(frame.header, frame.cut) for frame in frames], limits)
    return _verified(Opened(frames, blob, limits), salvage)


def _verified(opened: Opened, salvage: bool) -> Opened:
    """Return an opened file. Raises DamagedError, before a network runs, for damage unless it is to be salvaged."""
    if not salvage:
        for frame in opened.frames:
            try:
                frame.verify()
            except DamagedError as error:
                place = follower(opened.blob, frame.header)
                if place is None:
                    raise
                raise _not_joinable(place) from error
    return opened


def _not_joinable(place: int) -> InputError:
    return InputError(
        f"several files one after the other, the second from byte {place} on: only files of bytes and text are read so"
    )
