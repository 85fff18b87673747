"""Export of trained weights to a model directory, int8 matrices and config.json, and back to weights to go on from.

How a tensor is stored follows from its name and from what its network declares (`Export`); the first line holds that
applies. `SPECIFICATION` is this table in code.

    name        declared     stored as
    X.weight    by_column    X.q int8 [out, in], X.s float32 [in]
    X.weight    coarse       X.q uint8 [out, in / 2], two numbers of 4 bits each; X.s float16 [out]; levels int8 [16]
    X.weight    fine         X.q int8 [out, in], X.s float32 [out]; X.r int8 [out, in], in units of X.s / 254
    X.weight                 X.q int8 [out, in], X.s float32 [out]
    X.bias                   X.b float32
    others                   float32, under their own names
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor

from bfncodec.files.modelfolders import write_model
from bfncodec.models import CONFIG, WEIGHTS, ModelInfo
from bfncodec.networks.storage import Export, TrainableNetwork, packed
from bfncodec.networks.stored import CODEBOOK, table_rows

LARGEST = 127  # of an int8 that is stored
SIXTEEN = torch.tensor([-127, -100, -81, -65, -50, -37, -25, -12, 0, 12, 25, 38, 53, 70, 91, 123], dtype=torch.int8)
"""The values that 4 bits of a table stand for. Found by least squares, scale of each row and levels of all in turns, on
the tables of `text`; those of each order alone gave the same but for the last digit. Their error is 1.5 dB below that
of levels of equal distance.
"""
SEARCHED = 15  # scales of a row that are tried for these

Tensors = dict[str, Tensor]


# --- numbers -------------------------------------------------------------------------------------


def quantise_matrix(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round a float matrix [out, in] to (int8 [out, in], the value of one unit of each row, float32 [out])."""
    scale = weight.abs().amax(1).clamp_min(1e-8) / LARGEST
    return (weight / scale[:, None]).round().clamp(-LARGEST, LARGEST).to(torch.int8), scale.float()


def remainder(weight: Tensor, q: Tensor, scale: Tensor) -> Tensor:
    """Return what rounding to `q` took away, in units of scale / 254: int8 [out, in]."""
    return ((weight / scale[:, None] - q) * (2 * LARGEST)).round().clamp(-LARGEST, LARGEST).to(torch.int8)


def quantise_table(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round a table to 4 bits: (packed rows, uint8 [rows, columns / 2], the value of one unit of each, float16 [rows]).

    Of `SEARCHED` scales each row takes the one of least squared error. :func:`bfncodec.networks.stored.table_rows` is
    the inverse of the packing.
    """
    largest = weight.abs().amax(1, keepdim=True).clamp_min(1e-4)
    best = _at_scale(weight, largest / LARGEST)
    for factor in torch.linspace(0.6, 1.3, SEARCHED):
        found = _at_scale(weight, largest / LARGEST * factor)
        better = found.error < best.error
        best = _CoarseRows(*(torch.where(better, new, old) for new, old in zip(found, best, strict=True)))
    return packed(best.number), best.scale[:, 0].half()


class _CoarseRows(NamedTuple):
    """A table in 4 bits."""

    number: Tensor  # of one of the `SIXTEEN`, [rows, columns]
    scale: Tensor  # of each row, [rows, 1]
    error: Tensor  # squared, of each row, [rows, 1]


def _at_scale(weight: Tensor, scale: Tensor) -> _CoarseRows:
    """Round rows at a scale [rows, 1], then again at the scale that suits the numbers found (least squares)."""
    levels = SIXTEEN.float()
    edges = (levels[1:] + levels[:-1]) / 2
    near = levels[torch.bucketize(weight / scale, edges)]
    scale = (weight * near).sum(1, keepdim=True) / near.square().sum(1, keepdim=True).clamp_min(1)
    scale = scale.half().float()
    number = torch.bucketize(weight / scale.clamp_min(1e-7), edges)
    return _CoarseRows(number, scale, (levels[number] * scale - weight).square().sum(1, keepdim=True))


# --- tensors: each encoder above its decoder -----------------------------------------------------


def _store_columns(name: str, weight: Tensor) -> Tensors:
    stem = name.removesuffix(".weight")
    q, scale = quantise_matrix(weight.t())
    return {f"{stem}.q": q.t().contiguous(), f"{stem}.s": scale}


def _restore_columns(name: str, tensors: Tensors) -> Tensor | None:
    stem = name.removesuffix(".weight")
    return tensors[f"{stem}.q"].float() * tensors[f"{stem}.s"] if f"{stem}.q" in tensors else None


def _store_rows(name: str, weight: Tensor) -> Tensors:
    stem = name.removesuffix(".weight")
    q, scale = quantise_matrix(weight)
    return {f"{stem}.q": q, f"{stem}.s": scale}


def _store_fine_rows(name: str, weight: Tensor) -> Tensors:
    stem = name.removesuffix(".weight")
    stored = _store_rows(name, weight)
    return {**stored, f"{stem}.r": remainder(weight, stored[f"{stem}.q"], stored[f"{stem}.s"])}


def _store_coarse_rows(name: str, weight: Tensor) -> Tensors:
    stem = name.removesuffix(".weight")
    q, scale = quantise_table(weight)
    return {f"{stem}.q": q, f"{stem}.s": scale, CODEBOOK: SIXTEEN}


def _restore_rows(name: str, tensors: Tensors) -> Tensor | None:
    """Restore rows of 8, 16 or 4 bits, as they are stored: a network may declare other bits than the stored one had."""
    stem = name.removesuffix(".weight")
    if f"{stem}.q" not in tensors:
        return None
    stored = {key: tensors[key].numpy() for key in (f"{stem}.q", CODEBOOK) if key in tensors}
    rows = torch.from_numpy(table_rows(stored, stem)).float()
    if f"{stem}.r" in tensors:
        rows = rows + tensors[f"{stem}.r"].float() / (2 * LARGEST)
    return rows * tensors[f"{stem}.s"].float()[:, None]


def _store_bias(name: str, bias: Tensor) -> Tensors:
    return {f"{name.removesuffix('.bias')}.b": bias.contiguous()}


def _restore_bias(name: str, tensors: Tensors) -> Tensor | None:
    return tensors.get(f"{name.removesuffix('.bias')}.b")


def _store_other(name: str, tensor: Tensor) -> Tensors:
    return {name: tensor.contiguous()}


def _restore_other(name: str, tensors: Tensors) -> Tensor | None:
    return tensors.get(name)


# --- networks ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """One line of the specification: the tensors it is for, and how they are stored and restored."""

    suffix: str
    declared: Callable[[Export], tuple[str, ...]]  # beginnings of their names, one of which must fit
    store: Callable[[str, Tensor], Tensors]
    restore: Callable[[str, Tensors], Tensor | None]  # None where nothing is stored for the name

    def applies(self, name: str, export_as: Export) -> bool:
        """Return whether this rule is for the tensor `name` of a network stored as `export_as` says."""
        return name.endswith(self.suffix) and name.startswith(self.declared(export_as))


def _all(export_as: Export) -> tuple[str, ...]:
    """The beginning that every name has."""
    return ("",)


SPECIFICATION = (
    Rule(".weight", lambda export_as: export_as.by_column, _store_columns, _restore_columns),
    Rule(".weight", lambda export_as: export_as.coarse, _store_coarse_rows, _restore_rows),
    Rule(".weight", lambda export_as: export_as.fine, _store_fine_rows, _restore_rows),
    Rule(".weight", _all, _store_rows, _restore_rows),
    Rule(".bias", _all, _store_bias, _restore_bias),
    Rule("", _all, _store_other, _restore_other),
)
"""The first rule that applies to a tensor holds."""


def rule_of(name: str, export_as: Export) -> Rule:
    """Return the rule that holds for the tensor `name`."""
    return next(rule for rule in SPECIFICATION if rule.applies(name, export_as))


def quantised_tensors(network: TrainableNetwork) -> Tensors:
    """Return the stored tensors of a network, on the CPU."""
    result: Tensors = {}
    for name, tensor in network.state_dict().items():
        result |= rule_of(name, network.export_as).store(name, tensor.detach().cpu().float())
    return result


def restored_state(network: TrainableNetwork, tensors: Tensors) -> Tensors:
    """Return a state to begin a training with: the network's own, overwritten with stored tensors as far as they reach.

    A network that is wider or deeper than the stored one computes the same as it at first: what is new in a matrix has
    no weight on what was known (new columns are zero), and new blocks end in a zero matrix. A network may adapt a
    stored tensor first (`TrainableNetwork.fitted`), and begin parts of it as copies of others (`Export.copies`).

    Raises ValueError where a stored matrix is larger than the network's.
    """
    export_as = network.export_as
    state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    for name, tensor in state.items():
        known = _restored(name, tensors, export_as)
        if known is not None:
            known = network.fitted(name, known)
            if known.ndim != tensor.ndim or any(a > b for a, b in zip(known.shape, tensor.shape, strict=True)):
                raise ValueError(f"{name}: expected at most {list(tensor.shape)}, found {list(known.shape)}")
            matrix = name.split(".")[-2] if "." in name else name
            _overwrite(tensor, known, export_as.grids.get(matrix, (1, 1)))
    return state


def _restored(name: str, tensors: Tensors, export_as: Export) -> Tensor | None:
    """Return the float tensor stored for `name`, or else for the tensor that it begins as a copy of."""
    originals = [like + name.removeprefix(part) for part, like in export_as.copies.items() if name.startswith(part)]
    found = (rule_of(own, export_as).restore(own, tensors) for own in (name, *originals))
    return next((tensor for tensor in found if tensor is not None), None)


def _overwrite(tensor: Tensor, known: Tensor, grid: tuple[int, int]) -> None:
    """Overwrite each part of a grown matrix (or its bias) with the smaller one that is known, in place."""
    for old, new in zip(_parts(known, grid), _parts(tensor, grid), strict=True):
        if new.ndim == 2:
            new[: len(old), old.shape[1] :] = 0
        new[tuple(slice(length) for length in old.shape)] = old


def _parts(tensor: Tensor, grid: tuple[int, int]) -> list[Tensor]:
    """Return views of the parts a matrix (or its bias) is made of: rows, and columns where it has them."""
    rows = tensor.chunk(grid[0])
    return [part for row in rows for part in (row.chunk(grid[1], 1) if row.ndim == 2 else [row])]


def export(
    network: TrainableNetwork, config: Mapping[str, Any], out: Path, tables: Mapping[str, Tensor] | None = None
) -> Path | None:
    """Write model.safetensors and config.json into the folder `out`; `tables` are stored as they are. Return the folder
    in which the model is kept that was there before: its files need it. None where there was none, or the same.
    """
    tensors = {**quantised_tensors(network), **{name: table.cpu() for name, table in (tables or {}).items()}}
    weights, described = save(tensors), (json.dumps(config, indent=2) + "\n").encode()
    return write_model(out, {CONFIG: described, WEIGHTS: weights}, _identity(out, described, weights))


def _identity(out: Path, described: bytes, weights: bytes) -> str:
    """Return the SHA-256 of a model in a folder, with phrases that its configuration names, see `ModelInfo.sha256`."""
    phrases = ModelInfo(out.resolve(), json.loads(described)).phrases
    more = phrases.read_bytes() if phrases and phrases.exists() else b""
    return hashlib.sha256(described + weights + more).hexdigest()
