"""A little data for every model that ships, and what its codec makes of it: bytes that all machines must agree on."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import bfncodec
from benchmarks.demo import FILES
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import pop_items, push_items
from bfncodec.runtime.isolation import undisturbed

WORDS = 60_000  # random words of 32 bits to borrow from


def photo(side: int) -> NDArray[np.uint8]:
    """The middle of the demonstration's photo, uint8 [side, side, 3]."""
    whole = np.asarray(Image.open(FILES / "coffee.png").convert("RGB"))
    top, left = (whole.shape[0] - side) // 2, (whole.shape[1] - side) // 2
    return whole[top : top + side, left : left + side]


def text(size: int) -> bytes:
    """A piece of the demonstration's text."""
    return (FILES / "alice.txt").read_bytes()[2000 : 2000 + size]


def items(shape: tuple[int, ...], kind: str, count: int) -> bytes:
    """Items for an archive model of a kind of data, of a shape each."""
    size = int(np.prod(shape))
    if kind == "discrete":
        letters = re.sub(rb"[^a-z]+", b" ", text(2 * size * count).lower())
        return letters[: size * count]
    if kind == "binary":
        return ((np.random.RandomState(0).rand(size * count) < 0.13) * np.uint8(255)).tobytes()
    side = shape[0]
    return b"".join(photo(side * (k + 2))[:side, :side].tobytes() for k in range(count))


def coded(codec: Any, pixels: int = 16, letters: int = 100) -> bytes:
    """Encode a little and decode it. Returns the payload, or of an archive model what lies on the stack.

    Raises AssertionError where something else comes back.
    """
    if codec.info.role == "archive":
        return _through_a_stack(codec)
    x = photo(pixels) if codec.info.role == "image" else text(letters)
    payload: bytes = codec.encode(x)
    check(codec.decode(payload), x)
    return payload


def check(found: Any, wanted: Any) -> None:
    """Raise AssertionError where bytes or an image did not come back."""
    if not np.array_equal(np.asarray(found), np.asarray(wanted)):
        raise AssertionError("what was coded came back different")


@undisturbed
def _through_a_stack(codec: Any) -> bytes:
    """One item on a stack of random words, in as few steps as the model knows; whole archives hold many items."""
    grids = [int(steps) for steps in codec.info.config.get("grids", ())]
    codec = codec.with_steps(min(grids)) if grids else codec
    data = items(codec.config.shape, codec.config.kind, 1)
    values = codec.values(np.frombuffer(data, np.uint8))
    words = np.random.default_rng(0).integers(0, 1 << 32, WORDS, dtype=np.uint64).astype(np.uint32)
    stack, receiver = AnsStack(words, borrowed=True), codec.receiver
    push_items(stack, values, codec.sums, receiver)
    pushed = stack.written()
    check(pop_items(AnsStack(pushed), codec.sums, receiver), values)
    return pushed.tobytes()


def names(role: str | None = None) -> list[str]:
    """Models that ship, all or those of a role."""
    return [info.name for info in bfncodec.available() if role in (None, info.role)]
