"""The weights of the masked convolutional network as NumPy arrays, from which both integer implementations are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bfncodec.networks.convnet.config import BLOCK_TAPS, INPUT_SCALE, INPUT_TAPS, ConvNetConfig
from bfncodec.networks.convnet.front import WORD
from bfncodec.networks.stored import (
    LARGEST,
    LinearWeights,
    Shapes,
    Tensors,
    check_shapes,
    floats,
    integers,
    linear_shapes,
)
from bfncodec.runtime.arrays import Floats32


def stored_shapes(config: ConvNetConfig, slopes: int = 0) -> Shapes:
    """Names and shapes of the tensors a model of this shape is made of; slopes: that heads have besides."""
    width, hidden, fine = config.width, config.hidden, config.bits == 16
    shapes = linear_shapes("input", width, config.features, fine=True)
    shapes |= linear_shapes("trunk", 3 * width, width, fine=fine)
    for i in range(config.blocks):
        shapes |= linear_shapes(f"blocks.{i}.conv", hidden, len(BLOCK_TAPS) * width, fine=fine)
        shapes |= linear_shapes(f"blocks.{i}.out", width, hidden, fine=fine)
    for k in range(3):
        shapes |= linear_shapes(f"heads.{k}", config.outputs(k) + slopes, width, fine=True)
    return shapes | {"inside": (3, width)}


def by_words(weight: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the first matrix with its columns in the order in which a network finds features, where pixels are words
    of four bytes. int8 [out, F] -> int8 [out, F']
    """
    outputs, words = weight.shape[0], len(INPUT_TAPS) + 1  # the taps, and the simple prediction
    values = np.zeros((outputs, words, WORD), np.int8)
    values[:, :, :3] = weight[:, : 3 * words].reshape(outputs, words, 3)
    return np.concatenate([values.reshape(outputs, -1), weight[:, 3 * words :]], 1)


@dataclass(frozen=True)
class ConvNetWeights:
    """All that is stored of a network.

    entering: how the k-th coded channel enters those after it, which stand behind each other, float32 [C times their
    number]; own: how samples of a pixel's channels enter all, float32 [3, 3 C], [0, 3 C] where there are none.
    """

    config: ConvNetConfig
    input: LinearWeights
    convs: tuple[LinearWeights, ...]
    outs: tuple[LinearWeights, ...]
    trunk: LinearWeights
    heads: tuple[LinearWeights, ...]
    entering: tuple[Floats32, Floats32]
    own: Floats32

    @classmethod
    def of(cls, config: ConvNetConfig, tensors: Tensors, slopes: int = 0) -> ConvNetWeights:
        """Return what the stored tensors hold. slopes: that heads have besides. Raises ValueError where they do not fit
        the configuration.
        """
        check_shapes(tensors, stored_shapes(config, slopes))
        unit, blocks = 1 / LARGEST, range(config.blocks)
        words = {key: by_words(integers(tensors, key)) for key in ("input.q", "input.r")}
        inside = floats(tensors, "inside")
        return cls(
            config,
            LinearWeights.of({**tensors, **words}, "input", 1 / INPUT_SCALE),
            tuple(LinearWeights.of(tensors, f"blocks.{i}.conv", unit) for i in blocks),
            tuple(LinearWeights.of(tensors, f"blocks.{i}.out") for i in blocks),
            LinearWeights.of(tensors, "trunk", unit),
            tuple(LinearWeights.of(tensors, f"heads.{k}") for k in range(3)),
            (inside[:2].reshape(-1), inside[2]),
            floats(tensors, "own") if "own" in tensors else np.zeros((0, 3 * config.width), np.float32),
        )
