"""Section 3: models."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, prod
from pathlib import Path
from typing import Any

from reader.errors import ModelUnreadableError

CODES = {"I8": "b", "U8": "B", "I16": "h", "U16": "H", "I64": "q", "F16": "e", "F32": "f"}


@dataclass(frozen=True)
class Tensor:
    """A tensor, of which numbers are read when they are asked for. code: of its elements, for `struct`."""

    shape: tuple[int, ...]
    code: str
    data: memoryview

    @property
    def values(self) -> tuple[float, ...]:
        """All numbers in C order."""
        return self._numbers(0, prod(self.shape))

    def row(self, k: int) -> tuple[float, ...]:
        """Row k of a matrix, or all that has the first index k."""
        width = prod(self.shape[1:])
        return self._numbers(k * width, width)

    def rows(self) -> list[tuple[float, ...]]:
        """All rows."""
        return [self.row(k) for k in range(self.shape[0])]

    def _numbers(self, first: int, count: int) -> tuple[float, ...]:
        found = struct.unpack_from(f"<{count}{self.code}", self.data, first * struct.calcsize(self.code))
        if not all(map(isfinite, found)):
            raise ModelUnreadableError("numbers that are not finite")
        return found


class Model:
    """A directory of config.json and model.safetensors."""

    def __init__(self, folder: Path) -> None:
        self._text = (folder / "config.json").read_bytes()
        self.config: dict[str, Any] = json.loads(self._text)
        place = folder.parent / self.config["weights"] if self.config.get("weights") else folder
        self._data = (place / "model.safetensors").read_bytes()
        self.network: dict[str, Any] = self.config["network"]
        mixing = self.config.get("mixing") or {}
        named = mixing.get("phrases")
        self._phrases = (folder.parent / named / "phrases.safetensors").read_bytes() if named else b""
        self.dictionary = (folder / "dictionary.bin").read_bytes() if mixing.get("dictionary") else b""

    @cached_property
    def sha256(self) -> str:
        """The hash that names the model, hexadecimal; files carry its first four bytes."""
        return hashlib.sha256(self._text + self._data + self._phrases + self.dictionary).hexdigest()

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors."""
        return _tensors(self._data)

    @cached_property
    def phrases(self) -> dict[str, Tensor]:
        """Tensors of the phrases, none if there are no phrases."""
        return _tensors(self._phrases) if self._phrases else {}

    def tensor(self, name: str, *shape: int) -> Tensor:
        """A tensor of a shape."""
        found = self.tensors.get(name)
        if found is None or found.shape != shape:
            raise ModelUnreadableError(f"expected {name} of shape {shape}, found {found and found.shape}")
        return found


def _tensors(file: bytes) -> dict[str, Tensor]:
    size = int.from_bytes(file[:8], "little")
    header, data = json.loads(file[8 : 8 + size]), memoryview(file)[8 + size :]
    return {name: _tensor(name, entry, data) for name, entry in header.items() if name != "__metadata__"}


def _tensor(name: str, entry: dict[str, Any], data: memoryview) -> Tensor:
    first, last = entry["data_offsets"]
    shape, code = tuple(entry["shape"]), CODES.get(entry["dtype"])
    if code is None or last - first != prod(shape) * struct.calcsize(code) or not 0 <= first <= last <= len(data):
        raise ModelUnreadableError(f"{name}: {entry}")
    return Tensor(shape, code, data[first:last])
