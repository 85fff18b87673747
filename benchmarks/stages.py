"""Stages of a codec's time: the calls of its network, mixer and coder, timed from outside.

Seconds are those of threads, so that two threads at work for one second are two. What no call accounts for is
"hand-over": Python between the calls, and threads that wait.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any
from unittest.mock import patch

import numpy as np

from bfncodec.codecs import image, text

CALLS = 10  # of an encoder's attention at once: one from Python takes as long as several rows
NETWORK, HEADS, DISTRIBUTIONS, MIXER, CODER = "network", "heads", "p_O", "mixer", "coder"
READING, REST = "norms, heads, p_O, coder", "hand-over"


class Stopwatch:
    """Seconds of threads by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._lock = Lock()

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, whose calls count for a stage."""

        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                found = function(*args, **kwargs)
            finally:
                with self._lock:
                    self.seconds[stage] += time.perf_counter() - start
            return self._steps(stage, found) if isinstance(found, Iterator) else found

        return call

    def _steps(self, stage: str, results: Iterator[Any]) -> Iterator[Any]:
        """Yield results each of which counts for a stage."""
        following = self.timed(stage, lambda: next(results, self))
        while (result := following()) is not self:
            yield result


class Timed:
    """An object some of whose methods count for stages; the results of others are timed in their turn."""

    def __init__(self, inner: Any, watch: Stopwatch, stages: dict[str, str], inside: dict[str, dict[str, str]]) -> None:
        self._inner, self._watch, self._stages, self._inside = inner, watch, stages, inside

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in self._stages:
            found = self._watch.timed(self._stages[name], found)
        if name not in self._inside:
            return found
        return lambda *args, **kwargs: Timed(found(*args, **kwargs), self._watch, self._inside[name], self._inside)


# What each class of a network's calls counts for, and what the results of a call are.
_TEXT: dict[str, dict[str, str]] = {"start": {"predict": NETWORK, "reveal": NETWORK}}
_IMAGE: dict[str, dict[str, str]] = {
    "start": {"predict": NETWORK, "reveal": NETWORK, "intervals": READING, "read": READING},
    "predict": {"channel": HEADS, "condition": HEADS},
    "channel": dict.fromkeys(("intervals", "high", "low"), DISTRIBUTIONS),
}
_CODERS = dict.fromkeys(("append", "encode_intervals", "finish", "decode_rows"), CODER)
_CODER_CLASSES = ("RangeEncoder", "RangeEncoders", "CompiledRangeEncoders", "RangeDecoder")
_MIXERS = {"encode": MIXER, "encode_steps": MIXER, "decode": MIXER, "decode_from": MIXER}


@contextmanager
def watched(codec: Any) -> Iterator[Stopwatch]:
    """A block in which the calls of a codec with compiled kernels are timed."""
    from bfncodec.coding.mixing.compiled import mixer

    watch, own = Stopwatch(), vars(codec.network)
    before = codec.network.compiled
    inside = _IMAGE if isinstance(codec, image.ImageCodec) else _TEXT
    with ExitStack() as stack:
        for module in (image, text):
            for name in filter(vars(module).__contains__, _CODER_CLASSES):
                stack.enter_context(_patched(module, name, watch, _CODERS))
        stack.enter_context(_patched(mixer, "CompiledMixer", watch, _MIXERS))
        stack.enter_context(patch.object(text, "steps_of", lambda *_: None))  # every call is Python's
        own["compiled"] = Timed(before, watch, {}, inside)
        try:
            yield watch
        finally:
            own["compiled"] = before


def _patched(module: Any, name: str, watch: Stopwatch, stages: dict[str, str]) -> Any:
    """Replace a class by a subclass whose methods are timed."""
    kind = getattr(module, name)
    methods = {key: watch.timed(stage, getattr(kind, key)) for key, stage in stages.items() if hasattr(kind, key)}
    bound = {key: _method(function) for key, function in methods.items()}
    return patch.object(module, name, type(kind.__name__, (kind,), bound))


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: function(self, *args, **kwargs)


def shares(watch: Stopwatch, seconds: float, threads: int, stages: Sequence[str]) -> dict[str, float]:
    """Return the share of each stage in the time of all threads, the rest included, or of all stages where these took
    longer: they may have been watched another time.
    """
    found = {stage: watch.seconds[stage] for stage in stages if watch.seconds.get(stage)}
    whole = max(seconds * threads, sum(found.values()))
    found = {stage: each / whole for stage, each in found.items()}
    return {**found, REST: max(0.0, 1 - sum(found.values()))}


def attention_seconds(network: Any, streams: int, steps: int, threads: int, encoding: bool) -> float:
    """Return the seconds that a thread takes for the attention of one symbol in all layers, called alone.

    network: a `CompiledTransformer`; streams: of the text, shared by the threads; encoding: rows are steps of one
    stream, as there, rather than one step of all.
    """
    from bfncodec.networks.transformer.compiled import _attend
    from bfncodec.runtime.jit import compiled, flat

    @compiled
    def rows(layer: Any, cache: Any, step: Any, qkv: Any, encoding: Any, times: Any, work: Any) -> None:
        for _ in range(times):
            for n in range(len(qkv)):
                for i in range(qkv.shape[1]):
                    work.y[n, i] = qkv[n, i]
            if encoding:
                _attend(layer, cache, 0, step, 0, len(qkv), work)
            else:
                for n in range(len(qkv)):
                    _attend(layer, cache, n, step, n, n + 1, work)

    weights, width = network.weights, network.config.width
    # An encoder's cache stays near, a decoder's does not.
    repeated = CALLS if encoding else 1

    def once(first: int) -> float:
        """Return the seconds of a row in all layers, for rows that begin at a step."""
        together = network.run if encoding else network.kernel.together
        count: int = min(together, steps - first if encoding else max(1, streams // threads))
        qkv = np.random.default_rng(0).standard_normal((count, 3 * width)).astype(np.float32)
        state = network.start(1 if encoding else count, 1, steps, count if encoding else 1)
        layers = [(flat(layer), flat(cache)) for layer, cache in zip(weights.layers, state.caches, strict=True)]
        work = flat(state.work)  # once, as the network does
        times = []
        for _ in range(3):
            start = time.perf_counter()
            for layer, cache in layers:
                rows(layer, cache, first, qkv, encoding, repeated, work)
            times.append(time.perf_counter() - start)
        return min(times) / (count * repeated)

    places = [steps * k // 8 for k in range(1, 8, 2)]
    return sum(once(place) for place in places) / len(places)
