"""Plans: how content is cut into segments and coded, and the choice of codec that led there.

Everything is coded twice if that can pay, by a model in small segments and without one in large ones. The smaller is
kept, for each segment and for the whole. If a sample says that the model cannot win, its time is not spent; nor if the
classical result is already smaller than any payload that a reader takes from a model, which loses nothing.

A model that the caller names is used without a sample. It is refused if it cannot code the content: other values,
another shape, too few items. If it can, but every segment takes less without it, that is kept, and logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bfncodec.codecs.protocol import Codec
from bfncodec.format.cuts import Cut
from bfncodec.format.frame import Coded
from bfncodec.format.kinds import Method
from bfncodec.format.limits import least_payload
from bfncodec.format.lzmaraw import SLOWEST as SLOWEST_LZMA
from bfncodec.images.vp8l import CAREFUL, FAST, SLOWEST, Search
from bfncodec.models import DEFAULT_LEVEL, ID_BYTES
from bfncodec.segments.policy import Policy

__all__ = [
    "SLOW_LEVEL",
    "THOROUGH_LEVEL",
    "Choice",
    "Plan",
    "batches",
    "log_unasked",
    "log_unused",
    "may_pay",
    "parts_of",
    "smaller",
    "wins",
]

SLOW_LEVEL = 4
"""Level from which on no picture is larger than WebP's slowest search makes it, and LZMA is the slowest, too."""
THOROUGH_LEVEL = 8
"""Level from which on codecs code thoroughly, if they can."""
_SEGMENT_COST = 12  # bytes of frame for a segment: its head, twice
_LOG = logging.getLogger("bfncodec")
Part = TypeVar("Part")


@dataclass(frozen=True)
class Choice:
    """The codec for some content, and how much time to take.

    Parameters
    ----------
    find
        Returns the codec, None for none; called only if a model may win, as loading one takes a while.
    forced
        Use the codec without asking a sample, because the caller named its model.
    level
        Effort from 1, fast, to 9, small.
    beside
        Returns the codecs to try beside the one found; which of them codes the content, a sample says.
    wanted
        Log why no model was used; False for content that is never meant for one.
    """

    find: Callable[[], Codec[Any] | None]
    forced: bool = False
    level: int = DEFAULT_LEVEL
    beside: Callable[[Codec[Any]], Sequence[Codec[Any]]] = lambda codec: ()
    wanted: bool = True

    @classmethod
    def none(cls, level: int = DEFAULT_LEVEL) -> Choice:
        """Return the choice to use no model."""
        return cls(lambda: None, level=level, wanted=False)

    @property
    def search(self) -> Search:
        """Search of WebP in whole pictures."""
        return SLOWEST if self.level >= SLOW_LEVEL else FAST

    def lzma_preset(self, size: int, policy: Policy) -> int:
        """Return LZMA's preset for so many bytes: at the quick levels one more each, from 0, if there are many."""
        return self.level - 1 if self.level < SLOW_LEVEL and size > policy.quick_from else SLOWEST_LZMA

    @property
    def tile_search(self) -> Search:
        """Search of WebP in tiles of pictures, of which the whole is compared too."""
        return min(self.search, CAREFUL)


@dataclass(frozen=True)
class Plan:
    """Coded segments, and how the content was cut for them."""

    cut: Cut
    coded: tuple[Coded, ...]

    @property
    def size(self) -> int:
        """Bytes of payloads and segment heads."""
        return sum(len(coded.payload) + _SEGMENT_COST for coded in self.coded)

    @property
    def modelled(self) -> int:
        """Number of segments that a model codes."""
        return sum(coded.method is Method.MODEL for coded in self.coded)


def smaller(plan: Plan, other: Plan, credit: int = 0) -> Plan:
    """Return the plan of less bytes, the first if both take the same.

    credit: bytes less that each segment by a model counts.
    """
    return min(plan, other, key=lambda plan: plan.size - credit * plan.modelled)


def parts_of(length: int, largest: int) -> int:
    """Return the number of parts of a length, at least one, none of which is longer than ``largest``."""
    return max(1, -(-length // largest))


def may_pay(symbols: int, plain: int) -> bool:
    """Return whether a model's payload of that many symbols, if readers take it, can beat one of ``plain`` bytes."""
    return least_payload(symbols) + ID_BYTES < plain


def wins(symbols: int, payload: int, plain: int) -> bool:
    """Return whether a model's payload of so many bytes beats one of ``plain`` bytes, and readers take it."""
    return payload + ID_BYTES < plain and payload >= least_payload(symbols)


def batches(items: Sequence[Part], size: Callable[[Part], int], limit: int) -> Iterator[list[Part]]:
    """Yield consecutive items in batches, each of one item or of a total size within the limit."""
    batch: list[Part] = []
    total = 0
    for item in items:
        own = size(item)
        if batch and total + own > limit:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += own
    if batch:
        yield batch


def log_unused(codec: Codec[Any], plan: Plan, choice: Choice) -> None:
    """Log that a model codes no segment, as all take less without it; a mere detail unless the caller named it."""
    if not plan.modelled:
        size, level = sum(len(part.payload) for part in plan.coded), logging.INFO if choice.forced else logging.DEBUG
        _LOG.log(level, "model %s was not used: without it the data take less, %d bytes", codec.info.name, size)


def log_unasked(codec: Codec[Any] | None, beyond: bool) -> None:
    """Log why no model was asked to code the content. beyond: no model could win, whichever it is."""
    if beyond:
        _LOG.debug("no model was asked: the data are random, too short, or take next to nothing without")
    elif codec is not None:
        _LOG.debug("model %s was not used: a sample says that it does not win", codec.info.name)
