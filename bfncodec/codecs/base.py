"""What every codec offers, and the batching they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Generic, TypeVar

from bfncodec.errors import DamagedError
from bfncodec.flow.report import CodeLength
from bfncodec.models import ModelInfo
from bfncodec.networks.torch_threads import torch_threads
from bfncodec.networks.undisturbed import undisturbed

Item = TypeVar("Item")
Progress = Callable[[int], None]
"""Called now and then with the number of further symbols (bytes, pixels) that are done."""


def silent(done: int) -> None:
    """The progress of those who do not want to know."""


class Codec(ABC, Generic[Item]):
    """A model at work: items to payloads and back.

    A payload holds its own sizes and the range-coded body, nothing else: no magic number, no checksum, no model
    identity. :func:`bfncodec.compress` adds those. The decoder of any machine reproduces the item exactly.
    """

    info: ModelInfo
    threads: int | None = None
    """CPU threads that a call may use, None for as many as torch has where it is called."""

    def __init_subclass__(cls) -> None:
        """Networks compute the same whatever the program around has set torch to, which finds its settings again."""
        super().__init_subclass__()
        for name in ("__init__", "encode_batch", "decode_batch", "codelength", "ideal", "games", "draw"):
            if name in vars(cls):
                setattr(cls, name, undisturbed(_with_own_threads(vars(cls)[name])))

    @abstractmethod
    def encode_batch(self, xs: Sequence[Item], progress: Progress = silent) -> list[bytes]:
        """One payload for each item; the same bytes as one at a time."""

    @abstractmethod
    def decode_batch(self, payloads: Sequence[bytes], progress: Progress = silent) -> list[Item]:
        """Inverse of `encode_batch`. Raises DamagedError where sizes are impossible; wrong bytes give a wrong item."""

    @abstractmethod
    def codelength(self, x: Item) -> CodeLength:
        """L^n of an item: ideal bits by step, from the exact network, without coding."""

    def refusal(self, x: Item) -> str:
        """Why the model cannot code an item of the right type; empty where it can."""
        return ""

    def encode(self, x: Item, progress: Progress = silent) -> bytes:
        """The payload of one item."""
        return self.encode_batch([x], progress)[0]

    def decode(self, payload: bytes, progress: Progress = silent) -> Item:
        """Inverse of `encode`."""
        return self.decode_batch([payload], progress)[0]


def _with_own_threads(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a codec, in as many threads as the codec may use."""

    @wraps(method)
    def call(self: Codec[Any], *args: Any, **kwargs: Any) -> Any:
        with torch_threads(self.threads):
            return method(self, *args, **kwargs)

    return call


MOST_SYMBOLS = 1 << 40


def check_size(count: int, what: str) -> None:
    """Refuse sizes no encoder writes before anything is allocated."""
    if not 0 <= count < MOST_SYMBOLS:
        raise DamagedError(f"expected fewer than 2^40 {what}, found {count}: the payload is damaged")
