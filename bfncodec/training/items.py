"""Training data of archive models: items of one shape, from arrays or from text of 27 letters."""

from __future__ import annotations

import lzma
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bfncodec.errors import InputError
from bfncodec.training.data import expand, load_text

ItemBatch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Items x [B, *shape], a time in [0, 1) for each [B], and two tensors of standard normal noise: of the sum of the
samples so far and of the next sample, both of the shape of x, with [K] besides for discrete data.
"""


class Items(Protocol):
    """The part of a network's configuration that says what its items are."""

    @property
    def kind(self) -> str:
        """Kind of data: "discretised", "binary" or "discrete"."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one item: [H, W, C] of images, [L] of text."""

    @property
    def classes(self) -> int:
        """Levels or letters K."""


@dataclass(frozen=True)
class ItemSource:
    """Items of one shape: .npy or .npy.xz arrays, or text. The last `skip_last` are kept for validation, `only_last`
    picks them.
    """

    paths: tuple[str, ...]
    skip_last: int = 0
    only_last: int = 0
    binarise: bool = False  # grey levels are probabilities of a white pixel, drawn anew each time
    warp: float = 0.0  # by how much every other picture is turned, sheared and scaled: 0.1 is 10% or 6 degrees


class ItemSampler:
    """Random items as a network's flow sees them: levels in [-1, 1], -1 or 1, or numbers of letters."""

    def __init__(self, source: ItemSource, config: Items, batch: int) -> None:
        self.source, self.config, self.batch = source, config, batch
        self.items = load_letters(source.paths) if config.kind == "discrete" else load_arrays(source, config)

    def __call__(self, rng: np.random.Generator) -> ItemBatch:
        """Draw a batch; the times are evenly spread over the protocol, from a random one on."""
        x = torch.from_numpy(self._draw(rng))
        noise_shape = (*x.shape, self.config.classes) if self.config.kind == "discrete" else tuple(x.shape)
        time = (rng.random() + np.arange(self.batch) / self.batch) % 1
        noise, fresh = (torch.from_numpy(rng.standard_normal(noise_shape, dtype=np.float32)) for _ in range(2))
        return x, torch.from_numpy(time.astype(np.float32)), noise, fresh

    def _draw(self, rng: np.random.Generator) -> NDArray[Any]:
        """Draw items: int64 [batch, L] letters, or float32 [batch, H, W, C]."""
        if self.config.kind == "discrete":
            length = self.config.shape[0]
            starts = rng.integers(len(self.items) - length, size=self.batch)
            return np.stack([self.items[s : s + length] for s in starts]).astype(np.int64)
        items = self.items[rng.integers(len(self.items), size=self.batch)]
        if self.source.warp:
            items = np.concatenate([items[::2], warped(items[1::2], self.source.warp, rng)])
        if self.config.kind == "binary":
            threshold = rng.random(items.shape) * 255 if self.source.binarise else 127.5
            return np.where(items > threshold, 1, -1).astype(np.float32)
        items = np.where(rng.random((self.batch, 1, 1, 1)) < 0.5, items, items[:, :, ::-1])
        return ((items.astype(np.float32) + 0.5) * (2 / self.config.classes) - 1).astype(np.float32)


def warped(items: NDArray[np.uint8], size: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Apply random linear maps around their middles to pictures [N, H, W, C], each entry `size` from the identity's."""
    turn = np.eye(2, 3, dtype=np.float32) + rng.normal(0, [size, size, 0], (len(items), 2, 3)).astype(np.float32)
    pixels = torch.from_numpy(items).permute(0, 3, 1, 2).float()
    grid = F.affine_grid(torch.from_numpy(turn), list(pixels.shape), align_corners=False)
    found = F.grid_sample(pixels, grid, mode="bicubic", align_corners=False).round_().clamp_(0, 255)
    moved: NDArray[np.uint8] = found.permute(0, 2, 3, 1).byte().numpy()
    return moved


def load_arrays(source: ItemSource, config: Items) -> NDArray[np.uint8]:
    """Load the items of a source, uint8 [N, *shape]. Raises InputError for arrays of other shapes, types or levels."""
    parts = []
    for path in expand(source.paths, (".npy", ".xz")):
        if path.suffix == ".xz":
            with lzma.open(path) as file:
                array = np.load(file)
        else:
            array = np.load(path)
        array = array[: len(array) - source.skip_last][-source.only_last :]
        if array[0].size != math.prod(config.shape) or array.dtype != np.uint8:
            raise InputError(
                f"{path}: expected uint8 items of shape {list(config.shape)}, "
                f"found {array.dtype} {list(array.shape[1:])}"
            )
        if config.kind == "discretised" and array.max(initial=0) >= config.classes:
            raise InputError(
                f"{path}: expected levels 0 to {config.classes - 1}, as many as the network has classes, "
                f"found {array.max()}"
            )
        parts.append(array.reshape(len(array), *config.shape))
    return np.concatenate(parts)


def load_letters(paths: Sequence[str]) -> NDArray[np.uint8]:
    """Load texts as 27 letters, uint8 [N]: 0 for runs of anything else, 1 to 26 for a to z."""
    return to_letters(load_text(paths))


def to_letters(text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn bytes into letters, both uint8; case is dropped, and a run of what is no letter becomes one space."""
    lower = text | 32
    letters = np.where((lower >= 97) & (lower <= 122), lower - 96, 0).astype(np.uint8)
    keep: NDArray[np.bool_] = letters != 0
    keep[1:] |= letters[:-1] != 0
    return letters[keep]
