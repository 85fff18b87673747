"""Golden files: what `tests/golden/index.json` says of each of them.

An entry has the file's name. Of a sound one it has the `type` of the object that it becomes, and two sums: `sha256`
covers all that must come back (:func:`digest`), `content` the bytes of the content as docs/format.md has it, of a
picture its samples, before anything is made of them. Of any other it has the `error` that must come and, of a damaged
one, what `salvage` gives: type, sums and damage as above, or an error.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np
from PIL import Image

import bfncodec
from bfncodec.content.objects import object_of
from bfncodec.errors import BfncodecError
from bfncodec.images.picture import Picture
from bfncodec.images.samples import to_samples
from bfncodec.segments.assemble import decode_frame
from bfncodec.segments.damage import Damage, OnDamage
from support.places import GOLDEN

Entry = dict[str, Any]
TIFF = (b"II*\0", b"MM\0*")


def entries() -> list[Entry]:
    """Return what the index says."""
    found: list[Entry] = json.loads((GOLDEN / "index.json").read_text())
    return found


def read(name: str) -> bytes:
    """Return the bytes of a golden file."""
    return (GOLDEN / name).read_bytes()


def becomes(blob: bytes) -> Entry:
    """Return what a file becomes, or the error it ends in, as an entry has it."""
    try:
        return _made(blob)
    except BfncodecError as error:
        found: Entry = {"error": type(error).__name__}
    if found["error"] == "DamagedError":
        damages: list[Damage] = []
        try:
            found["salvage"] = _made(blob, damages.append) | {"damages": [_told(damage) for damage in damages]}
        except BfncodecError as error:
            found["salvage"] = {"error": type(error).__name__}
    return found


def _made(blob: bytes, on_damage: OnDamage | None = None) -> Entry:
    content = decode_frame(blob, bfncodec.Models(), on_damage=on_damage)
    data = to_samples(content.pixels, content.mode) if isinstance(content, Picture) else content.data
    made = object_of(content)
    return {"type": type(made).__name__, "sha256": digest(made), "content": hashlib.sha256(data).hexdigest()}


def _told(damage: Damage) -> list[Any]:
    """Segment and number of all, the place that is lost, and whether nobody knows how much more."""
    return [damage.segment, damage.count, [list(span) for span in damage.extent], damage.unknown]


def digest(found: Any) -> str:
    """Return the SHA-256 of everything that must come back.

    Of PNG, WebP and TIFF files that is pixels and metadata, as other libraries may pack them otherwise.
    """
    if isinstance(found, bytes) and (found[1:4] == b"PNG" or found[8:12] == b"WEBP" or found[:4] in TIFF):
        found = Image.open(io.BytesIO(found))
    if isinstance(found, Image.Image):
        parts = [found.mode, found.size, found.getpalette(rawmode=None), sorted(map(repr, found.info.items()))]
        return hashlib.sha256(repr(parts).encode() + found.tobytes()).hexdigest()
    if isinstance(found, np.ndarray):
        return hashlib.sha256(repr((found.dtype.str, found.shape)).encode() + found.tobytes()).hexdigest()
    if isinstance(found, list):
        return hashlib.sha256(repr([(type(item).__name__, digest(item)) for item in found]).encode()).hexdigest()
    if isinstance(found, dict):
        parts = [(path, digest(data)) for path, data in sorted(found.items())]
        return hashlib.sha256(repr(parts).encode()).hexdigest()
    return hashlib.sha256(found.encode("utf-8", "surrogatepass") if isinstance(found, str) else found).hexdigest()
