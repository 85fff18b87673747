"""What the training loop needs for the Gaussian sender under a schedule of ramps: L^n as a loss in bits per symbol.

Every item of a batch plays one step; its loss is n times what that step costs the symbols it sends, spread over all of
the item's, so that the mean over steps is L^n. At the end of the game p_O is the input distribution, and the
reconstruction has nothing to train.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bfncodec.errors import InputError
from bfncodec.networks.parallel.model import STATE_UNITS
from bfncodec.networks.sequence.model import Asked, SequenceConfig
from bfncodec.training.tasks.parallel import LN2, class_end, class_step, sum_of_samples


def check(config: SequenceConfig) -> None:
    """Refuse schedules that are none. Raises InputError."""
    try:
        steps = config.schedule.n_steps
    except ValueError as error:
        raise InputError(f"[network] of the training configuration: {error}") from error
    if config.kind != "discrete" or len(config.shape) != 1 or steps < 1:
        raise InputError(
            f"[network] of the training configuration: expected kind discrete and shape [length] beside a ramp, "
            f"found {config.kind!r} and {list(config.shape)}"
        )


def loss(network: nn.Module, batch: tuple[Tensor, ...], config: SequenceConfig) -> Tensor:
    """L^n in bits per symbol, averaged over the batch, from one step of each item."""
    x, time, noise, fresh = batch
    schedule, ramp = config.schedule, torch.tensor(config.ramp, device=x.device)
    step = (time * schedule.n_steps).long()
    place = torch.from_numpy(schedule.cohort_of).to(x.device)
    phase = (step[:, None] - place).clamp(0, config.steps_of_ramp)
    sent = (step[:, None] >= place) & (phase < config.steps_of_ramp)
    item, position = sent.nonzero(as_tuple=True)
    asked = Asked(item, position, phase[sent])
    at = asked.at(x.shape[1])
    beta = F.embedding(phase, ramp[:, None])
    s = sum_of_samples(x, beta, noise, config)
    raw = network(torch.softmax(s, -1), s, STATE_UNITS * (1 + beta * config.classes).rsqrt(), asked)
    p = F.log_softmax(raw.float() + s.flatten(0, 1).index_select(0, at), -1)
    target, own = x.flatten().index_select(0, at), fresh.flatten(0, 1).index_select(0, at)
    alpha = F.embedding(asked.phase, ramp.diff()[:, None])
    kl = (class_step(target, p, alpha, own) + class_step(target, p, alpha, -own)) / 2
    return (kl.sum() * (schedule.n_steps / x.numel()) + end(x, noise, config)) / LN2


@torch.no_grad()
def end(x: Tensor, noise: Tensor, config: SequenceConfig) -> Tensor:
    """-ln p_I(x) after the last step, averaged."""
    s = sum_of_samples(x, torch.tensor(config.ramp[-1], device=x.device), noise, config)
    return class_end(x, F.log_softmax(s, -1), config.classes).mean()
