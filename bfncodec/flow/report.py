"""Reports of a code length: one named field per term of L^n."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class CodeLength:
    """L^n of some data in bits, term by term (Graves et al. 2023, eqs. 16 to 18).

    Parameters
    ----------
    kl
        float64 [n]: bits of each step's KL(p_S || p_R), summed over all dimensions.
    reconstruction
        Bits of -log2 p_O(x | theta_n); 0 for an erasure sender that reveals everything.
    dims
        Number of dimensions the bits are spread over: bytes of text, subpixels of images.
    error
        Standard error of the bits, where they are a Monte-Carlo estimate; 0 where they are exact, as those of an
        erasure sender.

    >>> first = CodeLength(np.array([3.0, 1.0]), reconstruction=0.0, dims=2)
    >>> second = CodeLength(np.array([2.0]), reconstruction=0.5, dims=1)
    >>> (first + second).kl.tolist(), (first + second).bits_per_dim
    ([5.0, 1.0], 2.1666666666666665)
    """

    kl: NDArray[np.float64]
    reconstruction: float
    dims: int
    error: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "kl", np.asarray(self.kl, dtype=np.float64))
        if self.kl.ndim != 1:
            raise ValueError(f"kl: expected one number per step, found shape {self.kl.shape}")
        if self.dims < 0:
            raise ValueError(f"dims: expected 0 or more, found {self.dims}")

    @property
    def bits(self) -> float:
        """All terms together, in bits."""
        return float(self.kl.sum()) + self.reconstruction

    @property
    def bits_per_dim(self) -> float:
        """Bits per dimension; 0 where there is no dimension."""
        return self.bits / self.dims if self.dims else 0.0

    def __add__(self, other: CodeLength) -> CodeLength:
        """Both coded side by side: step i of the one beside step i of the other."""
        return CodeLength.joined([self, other]) if isinstance(other, CodeLength) else NotImplemented

    @classmethod
    def joined(cls, parts: Iterable[CodeLength]) -> CodeLength:
        """Sum any number of reports step by step; shorter ones are padded with zeros. Their errors are independent."""
        parts = list(parts)
        kl = np.zeros(max((part.kl.size for part in parts), default=0))
        for part in parts:
            kl[: part.kl.size] += part.kl
        reconstruction = sum(part.reconstruction for part in parts)
        error = math.hypot(*(part.error for part in parts))
        return cls(kl, float(reconstruction), sum(part.dims for part in parts), error)


class StepCosts:
    """Bits by step, added up while data are coded: what each step of a revealing schedule costs.

    The erasure sender reveals dimensions exactly, so KL(p_S || p_R) of a step is the sum of -log2 p_O(x_d | theta) over
    the dimensions that it reveals, and nothing is left to reconstruct.

    >>> costs = StepCosts(2)
    >>> costs.add(np.array([0, 0, 1]), np.array([1.0, 2.0, 0.5]))
    >>> costs.total(dims=3).kl.tolist()
    [3.0, 0.5]
    """

    def __init__(self, n_steps: int) -> None:
        self.kl = np.zeros(n_steps)

    def add(self, step: NDArray[np.int64], bits: NDArray[np.float64]) -> None:
        """Count so many bits [N] of what is revealed at these steps [N]."""
        self.kl += np.bincount(step, weights=bits, minlength=len(self.kl))

    def total(self, dims: int) -> CodeLength:
        """L^n of data of so many dimensions."""
        return CodeLength(self.kl, 0.0, dims)
