"""Damage: what a file that is salvaged has lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bfncodec.format.cuts import Extent


@dataclass(frozen=True)
class Damage:
    """A segment that was lost, wholly or in part, or the index behind all segments.

    Parameters
    ----------
    segment, count
        Number of the segment, from 0, and number of all segments; both are the same for the index.
    extent
        Place of what is lost: a range of bytes, or of rows and columns. It is empty if the segment was damaged, but
        nothing of it is lost.
    reason
        Error that the segment ended in.
    files
        Paths of the files of a folder that are lost with it.
    unknown
        The end of the file is missing: nobody can tell how much was there, behind an extent that is empty.
    """

    segment: int
    count: int
    extent: Extent
    reason: str
    files: tuple[str, ...] = ()
    unknown: bool = False

    @property
    def repaired(self) -> bool:
        """The segment was damaged, but nothing of it is lost."""
        return not self.unknown and any(start == stop for start, stop in self.extent)


OnDamage = Callable[[Damage], None]
"""Called for each damaged segment of a file that is to be salvaged."""
