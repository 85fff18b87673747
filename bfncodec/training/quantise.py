"""From trained weights to a model directory: int8 matrices, config.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

LARGEST = 127


def quantise_matrix(weight: Tensor) -> tuple[Tensor, Tensor]:
    """int8 [out, in] and the value of one unit of each row, float32 [out]."""
    scale = weight.abs().amax(1).clamp_min(1e-8) / LARGEST
    return (weight / scale[:, None]).round().clamp(-LARGEST, LARGEST).to(torch.int8), scale.float()


def remainder(weight: Tensor, q: Tensor, scale: Tensor) -> Tensor:
    """What rounding to `q` took away, in units of scale / 254: int8 [out, in]."""
    return ((weight / scale[:, None] - q) * (2 * LARGEST)).round().clamp(-LARGEST, LARGEST).to(torch.int8)


def quantised_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Stored tensors of a network: NAME.q, NAME.s and NAME.b for its matrices, NAME.r too for those in its `FINE`,
    everything else in float32.
    """
    fine: tuple[str, ...] = getattr(network, "FINE", ())
    result: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        tensor = tensor.detach().cpu().float()
        if name.endswith(".weight"):
            stem = name.removesuffix(".weight")
            result[f"{stem}.q"], result[f"{stem}.s"] = quantise_matrix(tensor)
            if fine and stem.startswith(fine):
                result[f"{stem}.r"] = remainder(tensor, result[f"{stem}.q"], result[f"{stem}.s"])
        elif name.endswith(".bias"):
            result[f"{name.removesuffix('.bias')}.b"] = tensor.contiguous()
        else:
            result[name] = tensor.contiguous()
    return result


def export(network: nn.Module, config: dict[str, Any], out: Path, tables: dict[str, Tensor] | None = None) -> None:
    """Write model.safetensors and config.json into `out`; `tables` are stored as they are."""
    tensors = {**quantised_tensors(network), **(tables or {})}
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.safetensors").write_bytes(save(tensors))  # save_file would make it readable by its owner only
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
