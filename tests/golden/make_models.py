"""Writes the golden files of the shipped models. Ran once for each; files that exist are kept, for they must decode
for ever.

    python tests/golden/make_models.py
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import bfncodec
from bfncodec.format.checks import crc32
from bfncodec.format.container import pack
from bfncodec.format.cuts import Pieces
from bfncodec.format.frame import Coded
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind, Method
from bfncodec.models import find

HERE = Path(__file__).parent
DEMO = HERE.parents[1] / "benchmarks" / "demo_files"


def originals() -> dict[str, object]:
    """Return what the golden files hold: pieces of the demonstration's photo, and of its text."""
    photo = np.asarray(Image.open(DEMO / "coffee.png").convert("RGB"))
    text = (DEMO / "alice.txt").read_bytes()
    return {
        "model_photo": photo[120:168, 260:324],
        "model_text": text[2000:3000],
        "model_text_short": text[3000:3200],
        "model_text_long": text[:6000],
        "model_table": table(),
        "level_1_photo": photo[120:140, 260:300],
        "level_1_text": text[7000:7700],
        "level_1_machine": calls(text),
        "level_7_photo": photo[140:160, 260:300],
        "varied_photo": photo[160:180, 260:300],
        "level_9_text": text[7000:7520],
        "cifar10_tile": photo[150:182, 270:302],
        "several_models": text[9000:10800],
    }


def table() -> bytes:
    """Return a table: a counter, a curve, and numbers of single precision with the digits of double precision."""
    rows = ((n, 20 + n * n / 64, float(np.float32(10 + n / 7))) for n in range(40))
    return "".join(f"{n},{curve},{single}\n" for n, curve, single in rows).encode()


def calls(text: bytes) -> bytes:
    """Return what looks like machine code: calls of few functions, each behind some letters."""
    parts = [text[n : n + 3] + b"\xe8" + (4096 - 8 * n + n % 5).to_bytes(4, "little", signed=True) for n in range(560)]
    return b"".join(parts)


def several_models() -> bytes:
    """Return a file of segments by two models, of which one is named again, and one by none."""
    text = (DEMO / "alice.txt").read_bytes()
    pieces = [text[9000 + 300 * n : 9300 + 300 * n] for n in range(6)]
    coded = []
    for piece, name in zip(pieces, ("text-fast", "text-fast", "", "text-fast", "text", "text-fast"), strict=True):
        method = Method.MODEL if name else Method.STORED
        payload = bfncodec.load(name).encode(piece) if name else piece
        coded.append(Coded(method, payload, crc32(piece), find(name).id if name else b""))
    return pack(Header(Kind.BYTES), Pieces((300,) * 6), coded)


def archives() -> dict[str, bytes]:
    """Return what the golden payloads of the archive models hold, by the model's name."""
    photo = np.asarray(Image.open(DEMO / "coffee.png").convert("RGB"))
    letters = re.sub(rb"[^a-z]+", b" ", (DEMO / "alice.txt").read_bytes().lower())
    return {
        "cifar10-gaussian": tiles(photo, 32, 8).tobytes(),
        "cifar10-wavefront": tiles(photo, 32, 4).tobytes(),
        "cifar10-two-steps": tiles(photo, 32, 4).tobytes(),
        "mnist-gaussian": ((np.random.RandomState(0).rand(60 * 784) < 0.13) * np.uint8(255)).tobytes(),
        "text27-gaussian": letters[: 100 * 256 + 7],
    }


def tiles(picture: NDArray[np.uint8], side: int, count: int) -> NDArray[np.uint8]:
    """Squares of a picture, uint8 [count, side, side, ...]."""
    corners = [(r, c) for r in range(0, len(picture) - side, side) for c in range(0, picture.shape[1] - side, side)]
    return np.stack([picture[r : r + side, c : c + side] for r, c in corners[:count]])


if __name__ == "__main__":
    for name, content in originals().items():
        path = HERE / f"{name}.bfn"
        if not path.exists():
            level = next((int(part) for part in name.split("_") if part.isdigit()), 5)
            model = {"cifar10_tile": "cifar10", "varied_photo": "photo-varied"}.get(name, "auto")
            made = several_models() if name == "several_models" else bfncodec.compress(content, model, level=level)
            path.write_bytes(made)
    for name, data in archives().items():
        path = HERE / f"{name}.payload"
        if not path.exists():
            path.write_bytes(bfncodec.load(name).encode(data))
