"""Every kind of codec with tiny networks of random weights, and what it is to code: one line for each.

`tests/test_exactness.py` watches all of them. `tests/golden/make_tiny.py` keeps the models and payloads of those that
are golden, which `tests/codecs/test_golden.py` decodes for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from bfncodec import models
from bfncodec.models import DICTIONARY, PHRASES, STATED
from bfncodec.training.export import export
from support.archives import noisy
from support.mixing import tensors
from support.models import MIXING, TEXT, export_image, export_text
from support.tiny import KINDS, export_archive
from support.wavefronts import ONE, SHAPE, TWO, network


@dataclass(frozen=True)
class Case:
    """A model to be made, and what it is to code.

    golden: whether its payload is kept. operators: tensor operations by which one sees that its network was watched.
    """

    make: Callable[[Path], Any]
    data: Any
    golden: bool = True
    operators: frozenset[str] = frozenset({"mul", "round", "amax"})


def digest(x: Any) -> str:
    """SHA-256 of an item with its type and shape."""
    kind = f"{x.dtype} {list(x.shape)}" if isinstance(x, np.ndarray) else type(x).__name__
    return hashlib.sha256(kind.encode() + b"\n" + bytes(x)).hexdigest()


def numbers(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def export_tiled(out: Path, betas: tuple[float, ...]) -> Path:
    net = network(0.5, betas)
    config = {
        "name": "tiny-tiled",
        "role": "archive",
        "sender": "gaussian",
        "schedule": "wavefront",
        "network": net.tiled.to_dict(),
    }
    export(net, config | {"steps": net.tiled.steps}, out)
    return out


def export_phrased(out: Path, **more: Any) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    known = {b"to": (b" ", 6), b"to ": (b"b", 5), b"o be": (b",", 2), b"or not": (b" ", 7), b"no such": (b".", 7)}
    save_file(tensors(known), out / PHRASES)
    return export_text(out, mixing=MIXING | {"phrases": out.name} | more)


def export_corrected(out: Path) -> Path:
    rng = np.random.default_rng(3)
    slopes, shifts = (
        [rng.integers(low, high, n).tolist() for n in (8 * 5, 39)] for low, high in ((50, 150), (-500, 2000))
    )
    corrections = {"phrases": [slopes[0], shifts[0]], "matches": [slopes[1], shifts[1]]}
    return export_phrased(out, from_length=100, version=3, corrections=corrections)


ROWS = b"".join(b'{"id": %d, "name": "wren", "at": %d}\n' % (k, 3 * k) for k in range(6))


def export_learned(out: Path, text: bytes = ROWS, **more: object) -> Path:
    """A model with a dictionary, of some streams."""
    out.mkdir(parents=True, exist_ok=True)
    (out / DICTIONARY).write_bytes(text)
    mixing = MIXING | {"from_length": 1, "dictionary": True}
    export_text(out, teeth_by_length=[(0, 1)], mixing=mixing | more)
    (out / STATED).write_text(models.read(out).sha256)
    return out


WIDTH_24 = replace(TEXT, width=24)
TEXTS = {f"text of {n}": n for n in (1, 30, 100, 200, 420)}  # in one lane and many, of one tooth, two and four
CASES = {
    "picture": Case(export_image, numbers(9, 11, 3)),
    **{name: Case(export_text, numbers(n).tobytes(), golden=n == 200) for name, n in TEXTS.items()},
    "text, width 24": Case(lambda out: export_text(out, shape=WIDTH_24), numbers(30).tobytes(), golden=False),
    "mixed text": Case(lambda out: export_text(out, mixing=MIXING), numbers(60).tobytes()),
    "phrased text": Case(export_phrased, b"to be, or not to be, that is the question: to be or not"),
    "learned text": Case(export_learned, b'{"id": 7, "name": "wren", "at": 21}\n'),
    "corrected text": Case(export_corrected, b"to be, or not to be, that is the question: to be or not"),
    **{kind: Case(lambda out, kind=kind: export_archive(out, kind), noisy(kind, 30)) for kind in KINDS},
    "one step": Case(lambda out: export_tiled(out, ONE), numbers(30, *SHAPE).tobytes()),
    "two steps": Case(lambda out: export_tiled(out, TWO), numbers(30, *SHAPE).tobytes()),
}
ARCHIVES = (*KINDS, "one step", "two steps")
