"""Model directories written, and those kept that were there before: files that they coded need them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bfncodec.errors import ModelError
from bfncodec.files.atomic import place
from bfncodec.files.places import file_at
from bfncodec.models import CONFIG, DICTIONARY, ID_BYTES, STATED, WEIGHTS, read

__all__ = ["CARD", "write_model"]

CARD = "README.md"
_OWN = (CONFIG, WEIGHTS, DICTIONARY, CARD)  # what is kept of a model; phrases are never replaced, and others share them


def write_model(out: Path, parts: Mapping[str, bytes], sha256: str) -> Path | None:
    """Write a model into a folder. Return the folder in which the model is kept that was there before, None where there
    was none, or the same.

    parts: files by their names, the configuration among them. sha256: of the model.

    Without a config.json a directory is no model: it goes first and comes last, so that no process that is killed
    meanwhile leaves one of files that do not belong together. Other files in the folder stay.
    """
    kept = _kept_aside(out, sha256)
    _write(out, parts, sha256)
    return kept


def _kept_aside(out: Path, sha256: str) -> Path | None:
    """Keep the model of a folder beside it if it is another one, and return where: under its name and identity."""
    real = out.resolve()
    parts = {name: (real / name).read_bytes() for name in _OWN if file_at(real / name)}
    if CONFIG not in parts:
        return None
    found = _identity(real, parts)
    if found == sha256:
        return None
    aside = real.with_name(f"{real.name}-{found[: 2 * ID_BYTES]}")
    if not (aside / CONFIG).exists():
        _write(aside, parts, found)
    return aside


def _identity(folder: Path, parts: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of the model in a folder; of its own files, where others are missing."""
    with suppress(ModelError):
        return read(folder).sha256
    return hashlib.sha256(b"".join(data for name, data in parts.items() if name != CARD)).hexdigest()


def _write(out: Path, parts: Mapping[str, bytes], sha256: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / CONFIG).unlink(missing_ok=True)
    for name, data in parts.items():
        if name != CONFIG:
            place(out / name, data, force=True)
    place(out / STATED, f"{sha256}\n".encode(), force=True)
    place(out / CONFIG, parts[CONFIG], force=True)
