"""The paper's senders: what L^n promises and what files take, for the three kinds of data.

    python -m benchmarks.gaussian cifar10 data/cifar10/test.npy --items 1000 --steps 32
    python -m benchmarks.gaussian mnist data/mnist/test.npy.xz --items 1000 --steps 8 16 32 64 128 --plot mnist.png
    python -m benchmarks.gaussian text27 data/text/val.txt.xz --items 1000 --erasure text

L^n is played with fresh noise, --draws times for every item, and has nothing to do with the coder. Real bits are those
of the payload beyond the initial bits (the head of the data, coded without the model) and what protects it from damage,
over the items in the chain. Every payload is decoded and compared.

A payload is one draw of the chain's noise, and its bits vary with it: +- are standard errors, by the differences
between draws. What log2 p_S/p_R add up to along the realised path has no noise against the payload: what is between
them is the coder's. See :mod:`bfncodec.codecs.receivers.realised`.
"""

from __future__ import annotations

import argparse
import json
import lzma
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import e, log, pi, prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bfncodec
from bfncodec.codecs.archive import ArchiveCodec
from bfncodec.codecs.receivers.realised import realised_path
from bfncodec.codecs.receivers.wavefront import WavefrontReceiver
from bfncodec.coding.ans import AnsStack
from bfncodec.coding.bitsback import LatticeFlow, push_items

Floats = NDArray[np.float64]
PAPER = {
    "cifar10": {10: 3.91, 25: 3.16, 50: 2.93, 100: 2.81},
    "mnist": {10: 95.21, 25: 84.40, 50: 81.06, 100: 79.46},
    "text27": {10: 1.70, 25: 1.52, 50: 1.47, 100: 1.43},
}
"""Losses of the paper's networks (Graves et al. 2023), 10 to 100 times larger, trained for days: bits per dimension,
nats per image, bits per letter.
"""
UNITS = {"cifar10": "bits/dim", "mnist": "nats/image", "text27": "bits/letter"}


@dataclass(frozen=True)
class Row:
    """One model and number of steps. Bits are per dimension (subpixel, pixel, letter) unless the name says
    otherwise.
    """

    model: str
    steps: int
    items: int  # in the chain
    ideal: float
    ideal_error: float  # standard error
    real: float
    real_error: float
    path: float  # of the realised path, by densities
    initial_bits_per_dim_of_one_item: float
    borrowed_bits_per_dim_of_one_item: float
    payload_bytes: int
    data_bytes: int
    network_calls: int
    encode_seconds: float
    decode_seconds: float
    coder_share_encoding: float
    coder_share_decoding: float


class Stopwatch:
    """Counter and clock of the calls of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.calls, self.seconds = function, 0, 0.0

    def __call__(self, *given: Any) -> Any:
        started = time.perf_counter()
        result = self.function(*given)
        self.seconds += time.perf_counter() - started
        self.calls += 1
        return result


def items_of(kind: str, path: Path, count: int) -> bytes:
    """The first items of a file as the models take them."""
    raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    if kind == "text27":
        from bfncodec.codecs.itemvalues import LETTERS
        from bfncodec.training.items import to_letters

        letters = to_letters(np.frombuffer(raw, np.uint8))[: 256 * count]
        return np.frombuffer(LETTERS, np.uint8)[letters].tobytes()
    import io

    array: NDArray[np.uint8] = np.load(io.BytesIO(raw))[:count]
    if kind == "mnist":  # white with the grey level as probability, by a seeded generator
        white: NDArray[np.bool_] = np.random.default_rng(0).random(array.shape) * 255 < array
        return (white * 255).astype(np.uint8).tobytes()
    return array.tobytes()


def archive_codec(model: str, steps: int, threads: int | None = None) -> ArchiveCodec:
    """Return the codec of a model of archives with that number of steps. Raises TypeError for another model."""
    codec = bfncodec.load(model, threads=threads)
    if not isinstance(codec, ArchiveCodec):
        raise TypeError(f"model {model} codes no archives")
    return codec.with_steps(steps)


def measure(kind: str, model: str, data: bytes, steps: int, draws: int, threads: int | None) -> Row:
    """Encode, decode, compare, and play the game for the same items."""
    codec = archive_codec(model, steps, threads)
    codec.encode(data[: 30 * prod(codec.config.shape)])  # what is done once is done before
    plain = codec.receiver
    chain = realised_path(plain)
    plain.raw = calls = Stopwatch(plain.raw)
    network = [calls]
    if isinstance(plain, WavefrontReceiver):  # its last layers wait for what is coded before
        plain.head = heads = Stopwatch(plain.head)  # type: ignore[assignment, method-assign]
        network.append(heads)
    codec.receiver = chain
    started = time.perf_counter()
    payload = codec.encode(data)
    encoding = time.perf_counter() - started - chain.seconds
    network_encoding, network_calls, groups = sum(watch.seconds for watch in network), calls.calls, chain.bits
    codec.receiver = plain
    started = time.perf_counter()
    if codec.decode(payload) != data:
        raise SystemExit(f"{model}: decoding gave other data")
    decoding = time.perf_counter() - started
    network_decoding = sum(watch.seconds for watch in network) - network_encoding
    item, head = prod(codec.config.shape), codec.head_size(payload)
    chained, initial = len(data) - head, codec.initial_bits(data, payload)
    if not chained:
        raise SystemExit(f"{model}: the chain's head took all {len(data) // item} items: ask for more --items")
    games = codec.games(codec.chained(data, payload), draws)
    spread = float(games.var(0, ddof=1).sum()) if draws > 1 else float("nan")  # of all items in one draw
    return Row(
        model=model,
        steps=steps,
        items=chained // item,
        ideal=float(games.sum()) / draws / chained,
        ideal_error=sqrt(spread / draws) / chained,
        real=(8 * (len(payload) - codec.protection(payload)) - initial) / chained,
        real_error=sqrt(spread) / chained,
        path=sum(groups[-len(codec.groups(payload)) :]) / chained,
        initial_bits_per_dim_of_one_item=initial / item,
        borrowed_bits_per_dim_of_one_item=codec.receiver.flow.initial_bits(codec.sums) / item,
        payload_bytes=len(payload),
        data_bytes=len(data),
        network_calls=network_calls,
        encode_seconds=encoding,
        decode_seconds=decoding,
        coder_share_encoding=1 - network_encoding / encoding,
        coder_share_decoding=1 - network_decoding / decoding,
    )


def bits_by_step(codec: Any, data: bytes) -> tuple[tuple[float, ...], float]:
    """(bits by which each step lengthens a stack, bits of the reconstruction), per dimension of these items.

    A step pops s_i given s_{i+1} and pushes s_{i+1} given s_i: KL(p_S || p_R), and what the entropy of the sender's
    sums grows by, which the end of the game takes back. The sums are normal, so their entropies are known.
    """
    flow, item = codec.receiver.flow, prod(codec.config.shape)
    values = codec.values(np.frombuffer(data, np.uint8))
    kl, reconstruction = np.zeros(flow.n_steps), 0.0
    rng = np.random.default_rng(0)
    for first in range(0, len(values), 64 * item):
        part = values[first : first + 64 * item]
        sums = len(part) // item * codec.sums
        entropy = sums * entropies(flow)
        stack = AnsStack(rng.integers(1, 1 << 32, int(flow.initial_bits(sums) / 16), dtype=np.uint32), borrowed=True)
        marks = [stack.bits]
        push_items(stack, part, sums, codec.receiver, marks.append)
        grown = np.diff(marks)
        reconstruction += grown[0] + entropy[-1]
        kl += grown[1:][::-1] - np.diff(entropy)
    return tuple(float(k) / len(values) for k in kl), reconstruction / len(values)


def entropies(flow: LatticeFlow) -> Floats:
    """Bits of the sender's sums after 0 … n steps, averaged over the sums."""
    betas, units = np.array(flow.betas[1:]), np.array(flow.units[1:])
    of_phase = np.concatenate([[0.0], 0.5 * np.log2(2 * pi * e * flow.kappa * betas) - np.log2(units)])
    mean: Floats = np.array([of_phase[flow.schedule.phase(i)].mean() for i in range(flow.n_steps + 1)])
    return mean


def in_units(kind: str, bits: float) -> float:
    return bits * 784 * log(2) if kind == "mnist" else bits


def show(kind: str, rows: list[Row], erasure: str | None, data: bytes) -> None:
    print(f"{kind}, {UNITS[kind]}; {rows[0].items} items in the chain")
    head = [
        "n",
        "L^n",
        "real",
        "real / L^n",
        "real / path",
        "initial bits",
        "calls",
        "encode",
        "decode",
        "coder enc/dec",
    ]
    print("  ".join(f"{h:>17}" for h in head))
    for r in rows:
        cells = [
            str(r.steps),
            f"{in_units(kind, r.ideal):.4f} +-{in_units(kind, r.ideal_error):.4f}",
            f"{in_units(kind, r.real):.4f} +-{in_units(kind, r.real_error):.4f}",
            f"{100 * (r.real / r.ideal - 1):+.2f} +-{100 * sqrt(r.real_error**2 + r.ideal_error**2) / r.ideal:.2f} %",
            f"{100 * (r.real / r.path - 1):+.3f} %",
            f"{r.initial_bits_per_dim_of_one_item:.2f} b/dim",
            str(r.network_calls),
            f"{r.encode_seconds:.1f} s",
            f"{r.decode_seconds:.1f} s",
            f"{100 * r.coder_share_encoding:.1f} / {100 * r.coder_share_decoding:.1f} %",
        ]
        print("  ".join(f"{c:>17}" for c in cells))
    print("paper's losses:", ", ".join(f"n={n} {v}" for n, v in PAPER[kind].items()))
    if erasure:
        size = erasure_bytes(kind, erasure, data)
        print(f"erasure sender, model {erasure}, the same data: {in_units(kind, 8 * size / len(data)):.4f}")


def erasure_bytes(kind: str, model: str, data: bytes) -> int:
    """Return what the erasure sender makes of the same data: one text, or an image at a time."""
    codec = bfncodec.load(model)
    if kind == "text27":
        return len(codec.encode(data))
    images = list(np.frombuffer(data, np.uint8).reshape(-1, *((32, 32, 3) if kind == "cifar10" else (28, 28, 1))))
    payloads = (payload for k in range(0, len(images), 100) for payload in codec.encode_batch(images[k : k + 100]))
    return sum(map(len, payloads))


def plot(kind: str, rows: list[Row], data: bytes, path: Path) -> None:
    """Bits against n, and bits of each step in theory and in the file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    steps = [r.steps for r in rows]
    left.plot(steps, [in_units(kind, r.ideal) for r in rows], "o-", label="L^n, Monte Carlo")
    left.plot(steps, [in_units(kind, r.real) for r in rows], "x--", label="file without initial bits")
    left.plot(
        list(PAPER[kind]), list(PAPER[kind].values()), "s:", color="grey", label="paper's loss, far larger networks"
    )
    left.set(xscale="log", xlabel="steps n", ylabel=UNITS[kind], title=f"{kind}: the loss and the file")
    left.set_xticks(steps, [str(n) for n in steps])
    left.legend()
    row = min(rows, key=lambda r: abs(r.steps - 32))
    codec = archive_codec(row.model, row.steps)
    part = data[-min(256, row.items) * prod(codec.config.shape) :]
    ideal, (stack, _) = codec.ideal(codec.values(np.frombuffer(part, np.uint8))), bits_by_step(codec, part)
    index = np.arange(row.steps)
    right.bar(index - 0.2, ideal.kl / ideal.dims, 0.4, label="KL(p_S || p_R)")
    right.bar(index + 0.2, stack, 0.4, label="stack grew by")
    right.set(xlabel="step", ylabel="bits per dimension", title=f"n = {row.steps}: bits of each step")
    right.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=list(PAPER))
    parser.add_argument("data", type=Path)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--steps", type=int, nargs="+", default=[32])
    parser.add_argument("--draws", type=int, default=2, help="how often L^n is played; two tell its standard error")
    parser.add_argument("-m", "--model", help="default: KIND-gaussian")
    parser.add_argument("--erasure", metavar="MODEL", help="code the same data with an erasure sender's model too")
    parser.add_argument("-T", "--threads", type=int)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    data = items_of(given.kind, given.data, given.items)
    model = given.model or f"{given.kind}-gaussian"
    rows = [measure(given.kind, model, data, n, given.draws, given.threads) for n in given.steps]
    show(given.kind, rows, given.erasure, data)
    if given.json:
        given.json.write_text(json.dumps([asdict(r) for r in rows], indent=1))
    if given.plot:
        plot(given.kind, rows, data, given.plot)


if __name__ == "__main__":
    main()
