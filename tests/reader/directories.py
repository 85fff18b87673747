"""Models in directories, as files ask for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reader.archive import decode_archive
from reader.methods import Model
from reader.model import Model as Weights
from reader.picture import decode_picture
from reader.text import decode_text


class Directory:
    """A model in a directory."""

    def __init__(self, folder: Path) -> None:
        self.folder, weights = folder, Weights(folder)
        self.role: str = weights.config["role"]
        self.sha256 = bytes.fromhex(weights.sha256)

    def decode_text(self, payload: bytes) -> bytes:
        """The content of a payload of bytes."""
        return (decode_archive if self.role == "archive" else decode_text)(self.folder, payload)

    def decode_picture(self, payload: bytes) -> tuple[int, int, bytes]:
        """Height, width and samples of an image payload."""
        return decode_picture(self.folder, payload)


def models_in(folders: Iterable[Path]) -> dict[bytes, list[Model]]:
    """Models by the first four bytes of their hash."""
    found: dict[bytes, list[Model]] = {}
    for folder in folders:
        model = Directory(folder)
        found.setdefault(model.sha256[:4], []).append(model)
    return found
