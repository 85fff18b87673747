"""Changed files before both readers: what this one says of them, and whether bfncodec says the same.

    PYTHONPATH=tests python -m reader.mutants --cases 100000 --seed 1

The verdict is a value, or one of: not ours, newer, damaged, model missing. What is beyond a limit counts as damaged,
as it does in bfncodec: which of the two is said depends on the machine. One thing is left open: bits that are missing
at the end of a VP8L stream are damage here, and zeros for libwebp.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
from PIL import Image

import bfncodec
from bfncodec import errors as theirs
from reader import errors as ours
from reader import forge, frame, objects
from reader.doubles import MODELS
from reader.files import File, Folder
from reader.methods import Limits, Samples
from reader.objects import Array, Picture
from reader.sources import sources
from reader.vp8l import decode_vp8l
from reader.wire import Bytes
from support.specimens import CODECS

PIXELS = 1 << 16
NAMES = {
    theirs.NotOursError: "not ours",
    theirs.NewerVersionError: "newer",
    theirs.DamagedError: "damaged",
    theirs.ModelNotFoundError: "missing",
    theirs.InputError: "damaged",  # files of other kinds in a row
    ours.CutOffError: "cut off",
    ours.NotOursError: "not ours",
    ours.NewerError: "newer",
    ours.DamagedError: "damaged",
    ours.LimitError: "damaged",
    ours.ModelMissingError: "missing",
}


def ours_of(blob: bytes) -> Any:
    """Return what this reader says."""
    try:
        kind, value = objects.read(blob, MODELS, Limits(PIXELS))
    except ours.ReaderError as error:
        return named(error)
    if isinstance(value, File):
        return "bytes", value.data
    if isinstance(value, Folder):
        return "folder", value.files
    if kind == "items":
        names, found = (list(value), value.values()) if isinstance(value, dict) else (None, value)
        return kind, (names, [unwrapped(*item) for item in found])
    return kind, value


def unwrapped(kind: str, value: Any) -> Any:
    """An item, of a file its bytes."""
    return ("bytes", value.data) if isinstance(value, File) else (kind, value)


def theirs_of(blob: bytes) -> Any:
    """Return what bfncodec says."""
    limits = bfncodec.Limits(pixels=PIXELS)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            value = bfncodec.decompress(blob, codecs=CODECS, limits=limits)
    except theirs.BfncodecError as error:
        return named(error)
    return described(value, isinstance(value, dict) and bfncodec.describe(blob, limits=limits).content == "folder")


def named(error: Exception) -> str:
    return next(name for kind, name in NAMES.items() if isinstance(error, kind))


def described(value: Any, folder: bool = True) -> Any:
    """An object of bfncodec as this reader describes it. folder: what is there by name is that."""
    if isinstance(value, np.ndarray):
        return "array", Array(value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes())
    if isinstance(value, Image.Image):
        palette = (len(value.palette.mode), bytes(value.palette.palette)) if value.mode == "P" else None
        info = {**value.info}
        return "picture", Picture(value.mode, value.height, value.width, value.tobytes(), palette, info)
    if isinstance(value, list):
        return "items", (None, [described(item) for item in value])
    if isinstance(value, dict) and not folder:
        return "items", (list(value), [described(item) for item in value.values()])
    if isinstance(value, dict):
        return "folder", value
    return "text" if isinstance(value, str) else "bytes", value


def without_webp(data: bytes) -> Any:
    """Bytes, of a WebP file what its chunks hold: this reader writes pixels in its own way."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return data
    reader, found = Bytes(data[12:]), []
    try:
        while reader.at < len(reader.data):
            name, size = reader.take(4), reader.uint32()
            content = reader.take(size)
            reader.take(size % 2)
            found.append((name, decode_vp8l(content, Limits().check) if name == b"VP8L" else content))
    except ours.ReaderError:
        return data
    return found


def same(mine: Any, other: Any) -> bool:
    if mine == "cut off":
        return bool(other != "newer")
    if isinstance(mine, str) or isinstance(other, str):
        return bool(mine == other)
    return comparable(mine) == comparable(other)


def comparable(found: tuple[str, Any]) -> Any:
    kind, value = found
    if kind == "picture":
        return kind, repr(replace(value, info={})), sorted(map(repr, value.info.items()))
    if kind == "items":
        names, found = value
        return kind, names, [comparable(item) for item in found]
    if kind == "folder":
        return kind, {path: without_webp(data) for path, data in value.items()}
    if kind == "bytes":
        return kind, type(value), without_webp(bytes(value))
    return kind, value


# ---- cases --------------------------------------------------------------------------------------


def contents_of(file: frame.Frame) -> list[bytes]:
    """Contents of the segments of a file, whatever their checksums say."""
    content, found = objects.Content(file, MODELS, Limits(PIXELS)), []
    for segment in file.segments:
        content.check(segment)
        decoded = content.decode(segment, MODELS.get(segment.model, [None])[0])
        found.append(decoded.data if isinstance(decoded, Samples) else decoded)
    return found


def mutants(rng: Random, sources: list[bytes]) -> Iterator[bytes]:
    """Changed files without end."""
    whole = [blob for blob in sources if joined_of_one(blob)]

    def parts() -> forge.Parts:
        return forge.take_apart(rng.choice(whole))

    while True:
        kind = rng.random()
        if kind < 0.15:
            yield forge.bent(rng, rng.choice(sources))
            continue
        if kind < 0.25:
            joined = b"".join(rng.choice(sources) for _ in range(rng.choice((2, 2, 3))))
            yield joined if rng.random() < 0.5 else forge.bent(rng, joined)
            continue
        file = parts()
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            forge.change(rng, file, parts)
        if rng.random() < 0.7:
            file = forge.with_right_checks(file, contents_of)
        with contextlib.suppress(OverflowError):
            blob = forge.put_together(file)
            yield blob if rng.random() < 0.9 else blob + rng.choice(sources)


def joined_of_one(blob: bytes) -> bool:
    return frame.read_frame(blob, 0).end == len(blob)


def run(cases: int, seed: int, sources: list[bytes]) -> tuple[Counter[str], list[tuple[bytes, Any, Any]]]:
    """(how often each verdict came, files of which the readers say different things)"""
    verdicts: Counter[str] = Counter()
    apart: list[tuple[bytes, Any, Any]] = []
    for _, blob in zip(range(cases), mutants(Random(seed), sources), strict=False):
        mine, other = ours_of(blob), theirs_of(blob)
        verdicts[mine if isinstance(mine, str) else mine[0]] += 1
        if not same(mine, other):
            apart.append((blob, mine, other))
    return verdicts, apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=20)
    options = parser.parse_args()
    begun = time.perf_counter()
    verdicts, apart = run(options.cases, options.seed, sources())
    print(dict(verdicts), f"{len(apart)} disagreements, {time.perf_counter() - begun:.0f} s")
    for blob, mine, other in apart[: options.show]:
        print(blob.hex(), "\n   here:", str(mine)[:200], "\n   bfncodec:", str(other)[:200])
    sys.exit(bool(apart))


if __name__ == "__main__":
    main()
