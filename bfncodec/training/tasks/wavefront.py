"""What the training loop needs for the Gaussian sender that sends pixel after pixel: a network and its loss.

The loss of an item is that of all its steps, each with one sample of the sender's noise, so that its mean is L^n.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from bfncodec.errors import InputError
from bfncodec.networks.convnet.model import ConvNetConfig
from bfncodec.networks.wavefront.model import LEVELS, TiledConfig


def network_of(table: dict[str, Any], make: Callable[..., Any]) -> TiledConfig:
    """The [network] table. Raises InputError for what is none; make: see `config.make`."""
    own = {name: table[name] for name in TiledConfig.OWN if name in table}
    make(ConvNetConfig, {name: value for name, value in table.items() if name not in own}, "network")
    try:
        return TiledConfig.from_dict(table)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"[network] of the training configuration: {error}") from error


def loss(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """L^n in bits per dimension, averaged over the batch."""
    x, _, noise, _ = batch
    levels = ((x + 1) * (LEVELS / 2) - 0.5).round()
    bits: Tensor = network(levels.permute(0, 3, 1, 2), noise.permute(0, 3, 1, 2)).mean()
    return bits
