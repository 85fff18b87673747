"""Peaks of a machine: integer products, by our kernels and by torch's, and bytes from and to memory.

Products are those of the networks: :func:`layers` has their matrices, and :func:`multiplications` counts what a byte of
text or a pixel takes of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.processes import alone
from bfncodec.networks.convnet.weights import ConvNetWeights
from bfncodec.networks.kernels import ProductKernel
from bfncodec.networks.stored import LARGEST, LinearWeights
from bfncodec.networks.transformer.weights import TransformerWeights
from bfncodec.runtime.lines import aligned

ROWS = 480  # of torch's products, which is slow with few
COPIED = 1 << 26  # bytes, more than caches hold
WORK = 2e8  # multiplications of a call
Shape = tuple[int, int, int]  # rows, inner and columns of a product
Weights = TransformerWeights | ConvNetWeights


def layers(weights: Weights) -> list[tuple[str, LinearWeights]]:
    """Return every linear layer of a network with its name, as often as a byte or a pixel takes it."""
    if isinstance(weights, TransformerWeights):
        names = ("qkv", "out", "up", "down")
        return [(name, getattr(block, name)) for block in weights.blocks for name in names] + [("head", weights.head)]
    parts = [("input", weights.input), ("trunk", weights.trunk), *(("heads", head) for head in weights.heads)]
    pairs = zip(weights.convs, weights.outs, strict=True)
    return parts + [item for conv, out in pairs for item in (("conv", conv), ("out", out))]


def multiplications(weights: Weights, steps: int = 1) -> tuple[int, int]:
    """Return the multiplications of a byte or pixel: those with matrices, and those of attention on average.

    steps: of the streams of a text, in whose beginning there is less to attend to.
    """
    products = sum(layer.weight.size for _, layer in layers(weights))
    if not isinstance(weights, TransformerWeights):
        return products, 0
    slots = sum(np.minimum(np.arange(1, steps + 1), span).mean() for span in weights.config.spans(1))
    return products, round(2 * weights.config.width * slots)


def rate(work: Callable[[], Any], amount: float, threads: int, seconds: float) -> float:
    """Return the most of an amount that so many threads do in a second, each calling `work` on its own."""
    work()
    start = time.perf_counter()
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        while time.perf_counter() - start < seconds:
            begin = time.perf_counter()
            for done in [pool.submit(work) for _ in range(threads)]:
                done.result()
            best = min(best, time.perf_counter() - begin)
    return amount * threads / best


def bandwidth(threads: int, seconds: float) -> float:
    """Return the bytes that so many threads read and write in a second, copying."""
    spare = [(np.ones(COPIED // 8), np.ones(COPIED // 8)) for _ in range(threads)]

    def work() -> None:
        source, target = spare.pop()
        np.copyto(target, source)
        spare.append((source, target))

    return rate(work, 2 * COPIED, threads, seconds)


def our_products(
    found: Mapping[str, LinearWeights], kernel: ProductKernel, threads: int, seconds: float
) -> dict[str, float]:
    """Return the multiplications a second of a kernel in each layer, on as many rows as networks give it."""
    from bfncodec.networks.products import linear_of, multiply
    from bfncodec.runtime.jit import compiled

    @compiled
    def several(a: Any, linear: Any, out: Any, times: int) -> None:
        for _ in range(times):
            multiply(a, linear, out, len(a))

    rates = {}
    for name, layer in found.items():
        linear, inner = linear_of(layer, kernel), layer.weight.shape[0]
        amount = kernel.together * layer.weight.size
        times = max(1, round(WORK / amount))  # a millisecond or so: calls and threads take microseconds

        def work(linear: Any = linear, inner: int = inner, times: int = times) -> None:
            out = aligned((kernel.together, len(linear.start)), np.int32)
            several(kernel.buffer(kernel.together, inner), linear, out, times)

        rates[name] = rate(work, times * amount, threads, seconds)
    return rates


def torch_products(shapes: Mapping[str, Shape], threads: int, seconds: float, most: str = "") -> dict[str, float]:
    """Return the multiplications a second of torch's products of int8, in a process of its own.

    most: the newest instructions that it may use, in the words of oneDNN's variable; "" for all there are.
    """
    return alone(_torch_products, shapes, threads, seconds, most)


def _torch_products(shapes: Mapping[str, Shape], threads: int, seconds: float, most: str) -> dict[str, float]:
    if most:
        os.environ["ONEDNN_MAX_CPU_ISA"] = most
    import torch

    torch.set_num_threads(threads)
    rates = {}
    for name, (rows, inner, columns) in shapes.items():
        a, b = (
            torch.randint(-LARGEST, LARGEST + 1, shape, dtype=torch.int8) for shape in ((rows, inner), (inner, columns))
        )
        times = max(1, round(WORK / (rows * inner * columns)))

        def work(a: Any = a, b: Any = b, times: int = times) -> None:
            for _ in range(times):
                torch._int_mm(a, b)

        rates[name] = rate(work, times * rows * inner * columns, 1, seconds)
    return rates
