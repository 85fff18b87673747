"""Models on disk: a directory with config.json, model.safetensors and a card, named by the SHA-256 of the first two.

Imports neither torch nor numpy: listing models is instant. A published model is immutable: files name it by the
first four bytes of its hash.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bfncodec.errors import ModelError, ModelNotFoundError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
ROLES = ("image", "text", "archive")
ID_BYTES = 4


@dataclass(frozen=True)
class ModelInfo:
    """One model directory."""

    path: Path
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def role(self) -> str:
        """What it codes: "image", "text", or "archive" for many items of one shape."""
        return str(self.config["role"])

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of config.json followed by model.safetensors."""
        digest = hashlib.sha256()
        for part in (CONFIG, WEIGHTS):
            digest.update((self.path / part).read_bytes())
        return digest.hexdigest()

    @property
    def id(self) -> bytes:
        """The four bytes that files carry."""
        return bytes.fromhex(self.sha256)[:ID_BYTES]


def search_path() -> list[Path]:
    """Folders that hold models, first match wins: $BFNCODEC_MODELS, the user's, the package's own, the checkout's."""
    named = [Path(p) for p in os.environ.get("BFNCODEC_MODELS", "").split(os.pathsep) if p]
    user = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "bfncodec" / "models"
    package = Path(__file__).resolve().parent
    return [*named, user, package / "_models", package.parent / "models"]


def read(path: str | Path) -> ModelInfo:
    """The model in a directory. Raises ModelError if it is incomplete or its config cannot be read."""
    path = Path(path)
    for part in (CONFIG, WEIGHTS):
        if not (path / part).is_file():
            raise ModelError(
                f"{path}: a model directory holds {CONFIG} and {WEIGHTS}, {part} is missing; export the model again"
            )
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path / CONFIG}: cannot be read ({error}); export the model again") from error
    if (
        not isinstance(config, dict)
        or not isinstance(config.get("name"), str)
        or config.get("role") not in ROLES
        or not isinstance(config.get("network"), dict)
    ):
        raise ModelError(
            f"{path / CONFIG}: expected name, role ({' or '.join(ROLES)}) and network; export the model again"
        )
    return ModelInfo(path, config)


def available() -> list[ModelInfo]:
    """Every model on the search path, by name; of two with one name the first found."""
    found: dict[str, ModelInfo] = {}
    for info in _everything():
        found.setdefault(info.name, info)
    return [found[name] for name in sorted(found)]


def find(name_or_id: str | bytes | Path) -> ModelInfo:
    """A model by name, by identity (4 bytes, or 8 or more hex digits) or by directory. Raises ModelNotFoundError."""
    if isinstance(name_or_id, Path) or (isinstance(name_or_id, str) and os.sep in name_or_id):
        return read(name_or_id)
    models = _everything()
    if isinstance(name_or_id, bytes):
        matches = [m for m in models if m.id == name_or_id[:ID_BYTES]]
        wanted = name_or_id.hex()
    else:
        wanted = name_or_id
        matches = [m for m in models if m.name == wanted] or [
            m for m in models if len(wanted) >= 2 * ID_BYTES and m.sha256.startswith(wanted.lower())
        ]
    if not matches:
        known = ", ".join(f"{m.name} ({m.id.hex()})" for m in models) or "none"
        raise ModelNotFoundError(
            f"model {wanted} is not on this machine; found {known}. Put its directory into one of: "
            f"{', '.join(map(str, search_path()))}"
        )
    return matches[0]


def default(role: str) -> ModelInfo:
    """The model that serves a kind of data when none is named: "photo" for images, "text" for text."""
    return find({"image": "photo", "text": "text"}[role])


def _everything() -> list[ModelInfo]:
    """Every model directory on the search path, also those whose name is taken by an earlier one. Directories that
    are no whole models are passed over: one broken model must not hide the others.
    """
    found = []
    for folder in search_path():
        for config in sorted(folder.glob(f"*/{CONFIG}")):
            with suppress(ModelError):
                found.append(read(config.parent))
    return found
