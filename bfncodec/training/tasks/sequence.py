"""Training of an archive model whose Gaussian sender sends symbol after symbol, under a staggered schedule.

Every item of a batch plays one step; its loss is n times what that step costs the symbols it sends, spread over all of
the item's, so that the mean over steps is L^n (Graves et al. 2023, eq. 16). After the last step p_O is the input
distribution, and the reconstruction has nothing to train.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bfncodec.errors import InputError
from bfncodec.networks.parallel.model import STATE_UNITS
from bfncodec.networks.sequence.model import SentSymbols, SequenceConfig, SequenceDenoiser
from bfncodec.training.config import Settings, make
from bfncodec.training.gaussian import LN2, class_end, class_step, sum_of_samples
from bfncodec.training.items import ItemBatch
from bfncodec.training.tasks.archive import ArchiveTask
from bfncodec.training.tasks.base import described


class SequenceTask(ArchiveTask):
    """A denoiser of the symbols that are being sent."""

    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.denoiser = make(SequenceConfig, settings.network, "network")
        check(self.denoiser)
        super().__init__(settings, self.denoiser)
        self.network = SequenceDenoiser(self.denoiser)
        self.config = described(
            settings,
            sender="gaussian",
            schedule=settings.schedule,
            steps=self.denoiser.schedule.n_steps,
            network=self.denoiser.to_dict(),
        )

    def loss(self, network: nn.Module, batch: ItemBatch) -> Tensor:
        """Return an estimate of L^n from one step of each item."""
        return loss(network, batch, self.denoiser)


def check(config: SequenceConfig) -> None:
    """Refuse schedules and data that cannot be. Raises InputError."""
    try:
        steps = config.schedule.n_steps
    except ValueError as error:
        raise InputError(f"[network] of the training configuration: {error}") from error
    if config.kind != "discrete" or len(config.shape) != 1 or steps < 1:
        raise InputError(
            f"[network] of the training configuration: expected kind discrete and shape [length] beside betas, "
            f"found {config.kind!r} and {list(config.shape)}"
        )


def loss(network: nn.Module, batch: ItemBatch, config: SequenceConfig) -> Tensor:
    """Return L^n in bits per symbol, averaged over the batch, from one step of each item."""
    x, time, noise, fresh = batch
    betas = torch.tensor(config.betas, device=x.device)
    phase, sent = sent_symbols(time, config)
    at = sent.at(x.shape[1])
    beta = F.embedding(phase, betas[:, None])
    s = sum_of_samples(x, beta, noise, config)
    raw = network(torch.softmax(s, -1), s, STATE_UNITS * (1 + beta * config.classes).rsqrt(), sent)
    p = F.log_softmax(raw.float() + s.flatten(0, 1).index_select(0, at), -1)
    target, own = x.flatten().index_select(0, at), fresh.flatten(0, 1).index_select(0, at)
    alpha = F.embedding(sent.phase, betas.diff()[:, None])
    kl = (class_step(target, p, alpha, own) + class_step(target, p, alpha, -own)) / 2
    return (kl.sum() * (config.schedule.n_steps / x.numel()) + end(x, noise, config)) / LN2


def sent_symbols(time: Tensor, config: SequenceConfig) -> tuple[Tensor, SentSymbols]:
    """Return (steps that all symbols have behind them, int64 [B, L], the symbols that are sent), each item at the step
    of its time [B].
    """
    schedule = config.schedule
    step = (time * schedule.n_steps).long()[:, None].cpu().numpy()
    phase, after = (torch.from_numpy(schedule.phase(i)).to(time.device) for i in (step, step + 1))
    item, position = (after > phase).nonzero(as_tuple=True)
    return phase, SentSymbols(item, position, phase[item, position])


@torch.no_grad()
def end(x: Tensor, noise: Tensor, config: SequenceConfig) -> Tensor:
    """Return -ln p_I(x) after the last step, averaged over symbols, a scalar."""
    s = sum_of_samples(x, torch.tensor(config.betas[-1], device=x.device), noise, config)
    return class_end(x, F.log_softmax(s, -1), config.classes).mean()
