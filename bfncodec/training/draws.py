"""Random numbers of one step of a training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bfncodec.forks import cached_property


class Draws:
    """The random numbers of a step: few on the host (`host`), many on the device where its data are.

    They depend on the seed alone, so that a step can be repeated.
    """

    def __init__(self, *seed: int, device: torch.device | str = "cpu") -> None:
        self.host = np.random.default_rng(seed)
        self.device = torch.device(device)

    @cached_property
    def generator(self) -> torch.Generator:
        """Generator on the device, seeded by the first number that it asks of the host."""
        return torch.Generator(self.device).manual_seed(int(self.host.integers(1 << 63)))

    def uniform(self, *shape: int) -> Tensor:
        """Draw uniform numbers in [0, 1) on the device, float32 of this shape."""
        return torch.rand(shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers on the device, float32 of this shape."""
        return torch.randn(shape, generator=self.generator, device=self.device)
