"""From trained weights to a model directory, int8 matrices and config.json, and back to weights to go on from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from bfncodec.files.atomic import place
from bfncodec.models import CONFIG, WEIGHTS
from bfncodec.networks.storage import LEVELS, packed, table_rows

LARGEST = 127
SIXTEEN = torch.tensor([-127, -100, -81, -65, -50, -37, -25, -12, 0, 12, 25, 38, 53, 70, 91, 123], dtype=torch.int8)
"""What 4 bits of a table stand for. Found by least squares, scale of each row and level of all in turns, on the tables
of `text`; those of each order alone gave the same but for the last digit. Their error is 1.5 dB below that of levels
of equal distance.
"""
SEARCHED = 15  # scales of a row that are tried for these


def quantise_matrix(weight: Tensor) -> tuple[Tensor, Tensor]:
    """int8 [out, in] and the value of one unit of each row, float32 [out]."""
    scale = weight.abs().amax(1).clamp_min(1e-8) / LARGEST
    return (weight / scale[:, None]).round().clamp(-LARGEST, LARGEST).to(torch.int8), scale.float()


def quantise_table(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A table in 4 bits (:func:`bfncodec.networks.storage.table_rows`): packed rows, uint8 [rows, columns / 2], and the
    value of one unit of each, float16 [rows], those of least squares among some scales.
    """
    levels = SIXTEEN.float()
    edges = (levels[1:] + levels[:-1]) / 2
    largest = weight.abs().amax(1, keepdim=True).clamp_min(1e-4)

    def fitted(scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers of levels, the scale that suits them, and the squared error of each row."""
        near = levels[torch.bucketize(weight / scale, edges)]
        scale = (weight * near).sum(1, keepdim=True) / near.square().sum(1, keepdim=True).clamp_min(1)
        scale = scale.half().float()
        index = torch.bucketize(weight / scale.clamp_min(1e-7), edges)
        return index, scale, (levels[index] * scale - weight).square().sum(1, keepdim=True)

    best = fitted(largest / LARGEST)
    for factor in torch.linspace(0.6, 1.3, SEARCHED):
        index, scale, error = fitted(largest / LARGEST * factor)
        better = error < best[2]
        best = (
            torch.where(better, index, best[0]),
            torch.where(better, scale, best[1]),
            torch.where(better, error, best[2]),
        )
    return packed(best[0]), best[1][:, 0].half()


def remainder(weight: Tensor, q: Tensor, scale: Tensor) -> Tensor:
    """Return what rounding to `q` took away, in units of scale / 254: int8 [out, in]."""
    return ((weight / scale[:, None] - q) * (2 * LARGEST)).round().clamp(-LARGEST, LARGEST).to(torch.int8)


def quantised_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Stored tensors of a network: NAME.q, NAME.s and NAME.b for its matrices, NAME.r too for those in its `fine`,
    everything else in float32. A scale is that of a row, but of a column in those of `tables`. Matrices in its `coarse`
    are stored in 4 bits.
    """
    fine: tuple[str, ...] = getattr(network, "fine", ())
    by_column: tuple[str, ...] = getattr(network, "tables", ())
    coarse: tuple[str, ...] = getattr(network, "coarse", ())
    result: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        tensor = tensor.detach().cpu().float()
        if name.endswith(".weight"):
            stem = name.removesuffix(".weight")
            if by_column and stem.startswith(by_column):
                q, result[f"{stem}.s"] = quantise_matrix(tensor.t())
                result[f"{stem}.q"] = q.t().contiguous()
                continue
            if coarse and stem.startswith(coarse):
                result[f"{stem}.q"], result[f"{stem}.s"] = quantise_table(tensor)
                result[LEVELS] = SIXTEEN
                continue
            result[f"{stem}.q"], result[f"{stem}.s"] = quantise_matrix(tensor)
            if fine and stem.startswith(fine):
                result[f"{stem}.r"] = remainder(tensor, result[f"{stem}.q"], result[f"{stem}.s"])
        elif name.endswith(".bias"):
            result[f"{name.removesuffix('.bias')}.b"] = tensor.contiguous()
        else:
            result[name] = tensor.contiguous()
    return result


def restored_state(network: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """State to begin a training with: that of the network, overwritten with stored tensors as far as they reach.

    A network that is wider or deeper than the stored one computes the same as it at first: what is new in a matrix
    has no weight on what was known (new columns are zero), and new blocks end in a zero matrix. Only a table of
    n-grams may be smaller than the stored one: rows that now share one hash give it their mean. Parts that begin as
    others do (`COPIES`) take theirs where they find none of their own. A network may say how it takes a tensor
    (`fitted`).

    Raises ValueError where a stored matrix is larger than the network's.
    """
    parts: dict[str, tuple[int, int]] = getattr(network, "PARTS", {})
    by_column: tuple[str, ...] = getattr(network, "tables", ())
    copies: dict[str, str] = getattr(network, "COPIES", {})
    fitted: Callable[[str, Tensor], Tensor] = getattr(network, "fitted", lambda name, stored: stored)
    state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    for name, tensor in state.items():
        known = _stored(tensors, name, bool(by_column) and name.startswith(by_column))
        for part, like in copies.items():
            if known is None and name.startswith(part):
                known = _stored(tensors, like + name.removeprefix(part), by_column=False)
        if known is None:
            continue
        known = fitted(name, known)
        if name.startswith("ngram.") and len(known) > len(tensor):  # a hash's first bits name its row
            known = known.view(len(tensor), -1, known.shape[1]).mean(1)
        if known.ndim != tensor.ndim or any(a > b for a, b in zip(known.shape, tensor.shape, strict=True)):
            raise ValueError(f"{name}: expected at most {list(tensor.shape)}, found {list(known.shape)}")
        grid = parts.get(name.split(".")[-2] if "." in name else name, (1, 1))
        for old, new in zip(_parts(known, grid), _parts(tensor, grid), strict=True):
            if new.ndim == 2:
                new[: len(old), old.shape[1] :] = 0
            new[tuple(slice(length) for length in old.shape)] = old
    return state


def _parts(tensor: Tensor, grid: tuple[int, int]) -> list[Tensor]:
    """Views of the parts a matrix (or its bias) is made of: rows, and columns where it has them."""
    rows = tensor.chunk(grid[0])
    return [part for row in rows for part in (row.chunk(grid[1], 1) if row.ndim == 2 else [row])]


def _stored(tensors: dict[str, Tensor], name: str, by_column: bool) -> Tensor | None:
    """The float tensor that `quantised_tensors` stored as `name`; None where there is none."""
    stem, _, kind = name.rpartition(".")
    if kind == "weight" and f"{stem}.q" in tensors:
        matrix = table_rows(tensors, stem).float()
        if f"{stem}.r" in tensors:
            matrix = matrix + tensors[f"{stem}.r"].float() / (2 * LARGEST)
        return matrix * (tensors[f"{stem}.s"] if by_column else tensors[f"{stem}.s"].float()[:, None])
    return tensors.get(f"{stem}.b" if kind == "bias" else name)


def export(network: nn.Module, config: dict[str, Any], out: Path, tables: dict[str, Tensor] | None = None) -> None:
    """Write model.safetensors and config.json into `out`; `tables` are stored as they are.

    Without a config.json a directory is no model: it goes first and comes last, so that no process that is killed
    meanwhile leaves one of weights and a configuration that do not belong together.
    """
    tensors = {**quantised_tensors(network), **{name: table.cpu() for name, table in (tables or {}).items()}}
    out.mkdir(parents=True, exist_ok=True)
    (out / CONFIG).unlink(missing_ok=True)
    place(out / WEIGHTS, save(tensors), force=True)  # save_file would make it readable by its owner only
    place(out / CONFIG, (json.dumps(config, indent=2) + "\n").encode(), force=True)
