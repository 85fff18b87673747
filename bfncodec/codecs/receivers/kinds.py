"""Kinds of data that are sent side by side: the receiver of each, and how many sums an item has."""

from __future__ import annotations

import numpy as np

from bfncodec.codecs.receivers.classes import BinaryReceiver, DiscreteReceiver
from bfncodec.codecs.receivers.discretised import DiscretisedReceiver
from bfncodec.codecs.receivers.parallel import Grid
from bfncodec.networks.parallel.exact import ExactDenoiser
from bfncodec.networks.parallel.model import DenoiserConfig
from bfncodec.networks.sequence.model import SequenceConfig
from bfncodec.networks.wavefront.model import WavefrontConfig


def parallel_receiver(network: ExactDenoiser, grid: Grid) -> DiscretisedReceiver | BinaryReceiver | DiscreteReceiver:
    """The receiver of a network's kind of data."""
    kinds: dict[str, type[DiscretisedReceiver | BinaryReceiver | DiscreteReceiver]]
    kinds = {"discretised": DiscretisedReceiver, "binary": BinaryReceiver, "discrete": DiscreteReceiver}
    return kinds[network.config.kind](network, grid)


def sums_of(config: DenoiserConfig | SequenceConfig | WavefrontConfig) -> int:
    """Sums of an item."""
    size = int(np.prod(config.shape))
    return size * config.classes if config.kind == "discrete" else size
