"""Messages between the processes that train one network, each on a GPU of its own.

A process that trains alone sends none.
"""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bfncodec.runtime.devices import device_named


def start_processes() -> int:
    """Join the group of processes that torchrun started; return this one's rank (0 when alone)."""
    if "RANK" not in os.environ:
        return 0
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank()


def is_alone() -> bool:
    """Return whether this process trains alone."""
    return not dist.is_initialized()


def device_of(device: str, rank: int) -> torch.device:
    """Return the device of this process: of several, each has its own GPU. Raises InputError where there is none."""
    several = device == "cuda" and dist.is_initialized()
    return device_named(f"cuda:{os.environ.get('LOCAL_RANK', rank)}" if several else device)


def average_gradients(network: nn.Module) -> None:
    """Give each process the mean of the gradients of all."""
    if dist.is_initialized():
        for p in network.parameters():
            if p.grad is not None:
                dist.all_reduce(p.grad)
                p.grad /= dist.get_world_size()


def of_the_first(value: float, device: torch.device) -> float:
    """Return the value that the first process has, in all of them."""
    if not dist.is_initialized():
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=device)
    dist.broadcast(shared, 0)
    return float(shared)


def in_all(holds: bool, device: torch.device) -> bool:
    """Return whether `holds` is true in every process."""
    if not dist.is_initialized():
        return holds
    fails: Tensor = torch.tensor([float(not holds)], device=device)
    dist.all_reduce(fails)
    return float(fails) == 0
