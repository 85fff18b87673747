"""Damage to whole archives of real data, and what comes back.

    python -m benchmarks.damage cifar10 data/cifar10/test.npy --flips 1000
    python -m benchmarks.damage mnist data/mnist/test.npy.xz --flips 1000 --save digits.bfn
    python -m benchmarks.damage text27 data/text/val.txt.xz --flips 1000 --bytes 4194304

Data of so many bytes are compressed as one file, verified by decoding. Then, each time from the sound file:

- one random bit of the payload is flipped, so many times: is it noticed, and repaired to the words that were written?
- one flipped file is salvaged and one that lost a twentieth of its bytes to noise, and what comes back is compared with
  the data, item by item.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import bfncodec
from benchmarks.gaussian import items_of
from bfncodec.codecs import chain
from bfncodec.codecs.archive import ArchiveCodec
from bfncodec.format.container import unpack
from bfncodec.segments.policy import Policy

MODELS = {"cifar10": "cifar10-gaussian", "mnist": "mnist-gaussian", "text27": "text27-gaussian"}
BY_THE_MODEL = Policy(model_credit=1 << 40)  # letters take less as LZMA, which has no parity
NOISY = 20  # one byte of so many, in a row, for damage that nothing can repair


@dataclass(frozen=True)
class Flips:
    """Outcomes of single flipped bits in the payload."""

    tried: int
    unnoticed: int
    not_repaired: int


def flip(blob: bytes, bit: int) -> bytes:
    """The bytes with one bit changed."""
    changed = bytearray(blob)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def flipped(payload: bytes, codec: ArchiveCodec, tries: int, rng: random.Random) -> Flips:
    """Flip one random bit at a time, and compare the chain that is read with the one that was written."""
    binary = codec.config.kind == "binary"
    sound = chain.read(payload, codec.item, binary).chains[0]
    unnoticed = unrepaired = 0
    for bit in rng.sample(range(8 * len(payload)), tries):
        found = chain.read(flip(payload, bit), codec.item, binary)
        unnoticed += not found.damaged
        unrepaired += not (found.whole and same(found.chains[0], sound))
    return Flips(tries, unnoticed, unrepaired)


def same(found: chain.Chain, sound: chain.Chain) -> bool:
    """Return whether two chains decode alike."""
    return (
        np.array_equal(found.words, sound.words)
        and found.groups == sound.groups
        and (found.size, found.head, found.white) == (sound.size, sound.head, sound.white)
    )


@dataclass(frozen=True)
class Salvage:
    """Items that came back other than they were: those that were said to be lost, and those that were not."""

    lost: int
    unsaid: int
    seconds: float


def salvage(blob: bytes, data: bytes, item: int) -> Salvage:
    """Salvage a damaged file, and compare what comes back."""
    told: list[tuple[int, int]] = []
    started = time.perf_counter()
    try:
        found = bfncodec.decompress(blob, on_damage=lambda damage: told.append(damage.extent[0]))
    except bfncodec.DamagedError:
        return Salvage(len(data) // item, 0, time.perf_counter() - started)
    seconds = time.perf_counter() - started
    wrong = np.flatnonzero(np.frombuffer(data, np.uint8) != np.frombuffer(found, np.uint8)) // item
    lost = np.zeros(len(data) // item, bool)
    for start, stop in told:
        lost[start // item : -(-stop // item)] = True
    return Salvage(int(lost.sum()), len(set(wrong[~lost[wrong]].tolist())), seconds)


def noisy(blob: bytes, first: int, rng: random.Random) -> bytes:
    """The file with noise in a row behind byte `first`, more of it than parity can repair."""
    return blob[:first] + rng.randbytes(len(blob) // NOISY) + blob[first + len(blob) // NOISY :]


def main(argv: list[str] | None = None) -> None:
    """Compress, damage, salvage, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=MODELS)
    parser.add_argument("data", type=Path)
    parser.add_argument("--bytes", type=int, default=4 << 20)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--noise", type=float, nargs="*", default=[0.25, 0.5, 0.75], help="where in the payload")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--save", type=Path, help="keep the compressed file")
    options = parser.parse_args(argv)
    codec = bfncodec.load(MODELS[options.kind])
    if not isinstance(codec, ArchiveCodec):
        parser.error(f"expected a model of archives, found {type(codec).__name__}")
    data = items_of(options.kind, options.data, options.bytes // codec.item)
    items, rng = len(data) // codec.item, random.Random(options.seed)
    started = time.perf_counter()
    blob = bfncodec.compress(data, model=MODELS[options.kind], threads=options.threads, policy=BY_THE_MODEL)
    print(f"{len(data):,} bytes, {items:,} items: {len(blob):,} bytes, verified, {time.perf_counter() - started:.0f} s")
    if options.save:
        options.save.write_bytes(blob)
    frame = unpack(blob)
    if len(frame.entries) != 1:
        parser.error(f"expected data of one segment, found {len(frame.entries)} of them: take less")
    payload = frame.segment(0).payload
    added = codec.protection(payload)
    print(f"payload {len(payload):,} bytes, of them {added:,} ({100 * added / len(payload):.2f}%) against damage")
    print(flipped(payload, codec, options.flips, rng), flush=True)
    start = blob.index(payload)
    print("one bit:", salvage(flip(blob, 8 * start + rng.randrange(8 * len(payload))), data, codec.item), flush=True)
    for part in options.noise:
        damaged = noisy(blob, start + int(part * len(payload)), rng)
        print(f"noise in 1/{NOISY} from {part:.0%} on:", salvage(damaged, data, codec.item), flush=True)


if __name__ == "__main__":
    main()
