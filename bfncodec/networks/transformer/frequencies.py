"""Frequencies of symbols on the device of a network: what :mod:`bfncodec.coding.cdf` has, to the bit."""

from __future__ import annotations

import torch
from torch import Tensor

from bfncodec.coding.rangecoder import total


def symbol_intervals(weights: Tensor, symbols: Tensor) -> Tensor:
    """Implement `cdf.softmax_intervals`: below and frequency of each symbol, int32 [2, N].

    weights: int32 [N, n], not negative, sums below 2^29; symbols: int64 [N].
    """
    count = weights.shape[1]
    place = torch.arange(count, device=weights.device)
    whole = torch.full((1, 1), float(total(count)), dtype=torch.float64, device=weights.device)
    share = weights.double()
    frequency = share.mul_(whole / weights.sum(1, keepdim=True).double()).floor_().int()
    # The first of the likeliest symbols gets what rounding left over.
    most = torch.where(weights == weights.amax(1, keepdim=True), place, count).amin(1, keepdim=True)
    rest = total(count) - frequency.sum(1, keepdim=True)
    known = symbols[:, None]
    own = torch.where(place == known, frequency, 0).sum(1)
    below = torch.where(place < known, frequency, 0).sum(1)
    more, before = torch.where(most == known, rest, 0)[:, 0], torch.where(most < known, rest, 0)[:, 0]
    return torch.stack([below + before, own + more]).int()
