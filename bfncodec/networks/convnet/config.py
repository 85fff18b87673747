"""The shape of the masked convolutional network, which its config.json tells, and the numbers that all its
implementations share.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# (row, column) offsets with column + 2 row < 0: revealed at an earlier step.
INPUT_TAPS = tuple((-r, c) for r in range(4) for c in range(-3, min(3, 2 * r - 1) + 1))
# Numbers of the nearest ones: west, north, north-east, north-west.
NEAREST = tuple(INPUT_TAPS.index(t) for t in ((0, -1), (-1, 0), (-1, 1), (-1, -1)))
BLOCK_TAPS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0))
CODING_ORDER = (1, 0, 2)  # green, red, blue
REACH = 3  # rows and columns that INPUT_TAPS look back
OUTSIDE = 128  # value of the pixels above the image
INPUT_SCALE = 32.0  # divides differences of pixel values
MEAN_SCALE = 16.0  # unit of the network's offsets to the predicted mean, in levels
LOG_SCALE_RANGE = (-5.0, 7.0)  # log2 of the logistic scale, in levels


@dataclass(frozen=True)
class ConvNetConfig:
    """Shape of the network; stored in a model's config.json.

    width: channels C of the residual stream. hidden: channels between a block's convolution and its last layer. blocks:
    their number. mixtures: logistics K in the mixture of a channel.
    """

    width: int = 64
    hidden: int = 128
    blocks: int = 6
    mixtures: int = 4
    dilations: tuple[int, ...] = (1,)  # distance of the taps of the blocks' convolutions, in turn
    bits: int = 8  # of the integer implementation's weights, 8 or 16, but for the first and last layers, which have 16

    @property
    def features(self) -> int:
        """Integers that enter at each pixel, F: of the taps, the causal prediction and the borders."""
        return 3 * len(INPUT_TAPS) + 3 + 3 * REACH

    def outputs(self, k: int) -> int:
        """Numbers that describe the k-th coded channel: weight, mean, scale of each component, one slope per earlier
        channel.
        """
        return 3 * self.mixtures + k

    def dilation(self, block: int) -> int:
        """Distance of the taps of a block's convolution: a multiple of BLOCK_TAPS is revealed earlier if these are."""
        return self.dilations[block % len(self.dilations)]

    @property
    def kinds(self) -> list[int]:
        """Return the dilations that occur, in their order."""
        return sorted({self.dilation(i) for i in range(self.blocks)})

    def to_dict(self) -> dict[str, Any]:
        """Return the table that `from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ConvNetConfig:
        """Read the table `network` of a model's config. Raises TypeError for keys that are none."""
        return cls(**{**values, "dilations": tuple(values.get("dilations", (1,)))})
