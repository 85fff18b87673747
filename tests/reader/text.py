"""Section 5: texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from operator import mul
from pathlib import Path

from reader.arithmetic import STEPS, clip, exp2_table, rint, single, singles
from reader.corrections import Corrections
from reader.errors import DamagedPayloadError, ModelUnreadableError
from reader.frequencies import in_proportion, total
from reader.layers import Linear, Table, added, exponentials, hashed, quantised, rms
from reader.mixing import Mixer, Phrases, Source
from reader.model import Model
from reader.rangecoder import RangeDecoder
from reader.wire import Bytes

START = 256


def decode_text(folder: Path, payload: bytes) -> bytes:
    """The bytes of a payload of a text model."""
    model, reader = Model(folder), Bytes(payload)
    size = reader.varint()
    if size >= 1 << 40:
        raise DamagedPayloadError(f"a text of {size} bytes")
    return TextReader(model).decode(size, reader.rest()) if size else b""


@dataclass(frozen=True)
class Order:
    """The order of a text: its streams, [first byte, behind the last], and teeth."""

    streams: list[tuple[int, int]]
    teeth: int
    steps: int

    @classmethod
    def of(cls, model: Model, size: int) -> Order:
        length, most = model.config["streams"]["length"], model.config["streams"]["most"]
        reach = 512 * model.network.get("window", 1024)
        count = max(min(-(-size // length), most), -(-size // reach), 1)
        edges = [size * k // count for k in range(count + 1)]
        streams = list(pairwise(edges))
        teeth = max((first, m) for first, m in model.config["teeth_by_length"] if first <= size)[1]
        longest = max(last - first for first, last in streams)
        return cls(streams, teeth, -(-longest // teeth))

    def exists(self, stream: int, tooth: int, index: int) -> bool:
        first, last = self.streams[stream]
        return tooth * self.steps + index < last - first


class Told:
    """A decoder that says the bits of a text of one tooth, which is known."""

    def __init__(self, order: Order, text: bytes) -> None:
        steps = ([text[first + i] for first, last in order.streams if i < last - first] for i in range(order.steps))
        self.bits = (byte >> left & 1 for step in steps for left in range(7, -1, -1) for byte in step)

    def symbol(self, frequencies: Sequence[int]) -> int:
        return next(self.bits)


class TextReader:
    """A text model at work."""

    def __init__(self, model: Model) -> None:
        self.model, self.network, self.phrases = model, Transformer(model), Phrases(model.phrases)

    @cached_property
    def dictionary(self) -> Mixer:
        """A mixer that has read the model's dictionary."""
        text = self.model.dictionary
        order = Order.of(self.model, len(text))
        mixer = Mixer(len(text), len(order.streams), machine=False, phrases=self.phrases, apart=True)
        self._symbols(order, Told(order, text), mixer)
        return mixer

    def decode(self, size: int, code: bytes) -> bytes:
        order, mixing = Order.of(self.model, size), self.model.config.get("mixing")
        lanes = len(order.streams) * order.teeth
        lines = mixing.get("corrections") if mixing else None
        if mixing and mixing.get("version", 1) != (3 if lines else 2):
            raise ModelUnreadableError("another mixer")
        if not (mixing and size >= mixing["from_length"]):
            return self._symbols(order, RangeDecoder(code), Corrections(lines, self.phrases, lanes) if lines else None)
        decoder = RangeDecoder(code, 3)
        machine = decoder.symbol([total(2), 0]) == 1
        if self.model.dictionary and machine:
            raise DamagedPayloadError("machine code behind a dictionary")
        if self.model.dictionary:
            mixer = Mixer.behind(self.dictionary, self.model.dictionary, size, lanes)
        else:
            mixer = Mixer(size, lanes, machine, self.phrases)
        found = self._symbols(order, decoder, mixer)
        return relative(found) if machine else found

    def _symbols(self, order: Order, decoder: Source, after: Mixer | Corrections | None) -> bytes:
        count = len(order.streams)
        states = [StreamState(self.network, order.teeth, order.steps) for _ in order.streams]
        for index in range(order.steps):
            weights = [state.weights(index) for state in states]
            slots = [(k, j) for k in range(count) for j in range(order.teeth) if order.exists(k, j, index)]
            rows, lanes = [weights[k][j] for k, j in slots], [k * order.teeth + j for k, j in slots]
            if isinstance(after, Mixer):
                found = after.step(rows, lanes, decoder)
            else:
                rows = list(map(after.correct, lanes, rows)) if after else rows
                found = [decoder.symbol(in_proportion(w)) for w in rows]
            if isinstance(after, Corrections):
                for lane, symbol in zip(lanes, found, strict=True):
                    after.learn(lane, symbol)
            byte = dict(zip(slots, found, strict=True))
            for k, state in enumerate(states):
                state.reveal([byte.get((k, j), 0) for j in range(order.teeth)])
        whole = [b"".join(map(bytes, state.symbols)) for state in states]
        return b"".join(text[: last - first] for text, (first, last) in zip(whole, order.streams, strict=True))


def relative(text: bytes) -> bytes:
    """Section 5.4: distances in place of addresses."""
    found = bytearray(text)
    for at in range(1, len(found) - 3):
        first, second, third = found[at - 3] if at > 2 else 0, found[at - 2], found[at - 1]
        memory = first & 0xF8 == 0x48 and second in b"\x03\x2b\x39\x3b\x89\x8b\x8d" and third & 0xC7 == 5
        if (third in (0xE8, 0xE9) or memory) and found[at + 3] in (0, 255):
            value = int.from_bytes(found[at : at + 3], "little") - at
            found[at : at + 3] = (value % (1 << 24)).to_bytes(3, "little")
    return bytes(found)


class Layer:
    """A layer of the transformer."""

    def __init__(self, model: Model, number: int, width: int, heads: int, inner: int, context: int) -> None:
        name, part = f"blocks.{number}", width // heads
        self.context = context
        self.qkv = Linear.load(model, f"{name}.qkv", 3 * width, width, bias=False)
        self.out = Linear.load(model, f"{name}.out", width, width, bias=False)
        self.up = Linear.load(model, f"{name}.up", inner, width, bias=False)
        self.down = Linear.load(model, f"{name}.down", width, inner, bias=False)
        unit = single(STEPS / part)
        self.gain = singles([g * unit for g in model.tensor(f"{name}.gain", heads).values])
        layers = model.network.get("layers", 4)
        caps = model.tensor("value_cap", layers, heads).rows()[number]
        self.value_steps = singles([v * 127 for v in singles([1 / cap for cap in caps])])
        self.value_unit = singles([cap / (127 << 16) for cap in caps])
        drop = max(0, (max(1, context) - 1).bit_length() - 4)
        self.exp2 = [(v + (1 << drop >> 1)) >> drop for v in exp2_table()]


class Transformer:
    """The network of texts."""

    def __init__(self, model: Model) -> None:
        config = model.network
        if config.get("architecture", "transformer") != "transformer" or config.get("symbols", 256) != 256:
            raise ModelUnreadableError("another network")
        self.width, self.heads = config.get("width", 256), config.get("heads", 4)
        layers, inner = config.get("layers", 4), config.get("expansion", 4) * self.width
        self.window, context = config.get("window", 1024), config.get("context", 0)
        contexts = context if isinstance(context, list) else [context] * layers
        half = self.width // self.heads // 2
        self.embed = Table.load(model, "embed", 257, self.width)
        self.orders = [(order, bits) for order, bits in config["ngrams"]]
        coarse, grams = config.get("ngram_bits", 8) == 4, len(self.orders)
        self.ngrams = [
            Table.load(model, f"ngram.{i}", 1 << bits, self.width // grams, coarse=coarse)
            for i, (_, bits) in enumerate(self.orders)
        ]
        shape = (self.width, self.heads, inner)
        self.layers = [Layer(model, i, *shape, contexts[i] or self.window) for i in range(layers)]
        self.head = Linear.load(model, "head", 256, self.width)
        self.near = _angles(model.tensor("rope", 2, self.window, half).values, self.window)
        self.far = _angles(model.tensor("far", 2, 512, half).values, 512)

    def embedded(self, history: Sequence[int]) -> list[float]:
        """The first numbers of a slot that knows this history of its tooth, which begins with start symbols."""
        x = self.embed(history[-1])
        if not self.orders:
            return x
        rows = zip(self.ngrams, self.orders, strict=True)
        return added(x, [v for table, (n, bits) in rows for v in table(hashed(history[-n:], bits))])

    def rotation(self, position: int) -> tuple[list[float], list[float]]:
        """(cosines, sines) of a position."""
        (c, s), (d, t) = self.near[position % self.window], self.far[position // self.window]
        cc, ss, sc, cs = (singles(map(mul, a, b)) for a, b in ((c, d), (s, t), (s, d), (c, t)))
        return singles(map(float.__sub__, cc, ss)), added(sc, cs)


def _angles(values: Sequence[float], count: int) -> list[tuple[Sequence[float], Sequence[float]]]:
    """(cosines, sines) of every position of a table."""
    scaled = [v / 16384 for v in values]
    half = len(scaled) // (2 * count)
    rows = [scaled[k : k + half] for k in range(0, len(scaled), half)]
    return list(zip(rows[:count], rows[count:], strict=True))


@dataclass(frozen=True)
class Seen:
    """Keys and values that attention keeps of a slot, for a layer and a head."""

    key: list[int]
    scale: float
    value: list[int]


@dataclass
class StreamState:
    """The network on one stream."""

    network: Transformer
    teeth: int
    steps: int
    symbols: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.symbols = [[] for _ in range(self.teeth)]
        # by layer, step, tooth and head
        self.seen: list[list[list[list[Seen]]]] = [[] for _ in self.network.layers]

    def reveal(self, symbols: Sequence[int]) -> None:
        """Learn the bytes of a step, one of each tooth."""
        for tooth, symbol in zip(self.symbols, symbols, strict=True):
            tooth.append(symbol)

    def weights(self, index: int) -> list[list[int]]:
        """Weights of all symbols for each tooth at an index, the next one."""
        network = self.network
        reach = max([1, *(n for n, _ in network.orders)])
        xs = [network.embedded(([START] * reach + tooth)[-reach:]) for tooth in self.symbols]
        turns = [network.rotation(index + j * self.steps) for j in range(self.teeth)]
        for layer, seen in zip(network.layers, self.seen, strict=True):
            seen.append([])
            queries = []
            for x, turn in zip(xs, turns, strict=True):
                query, kept = self._split(layer, layer.qkv(*rms(x)), turn)
                queries.append(query)
                seen[-1].append(kept)
            span = max(1, layer.context // self.teeth)
            cache = [slot for step in seen[-span:] for slot in step]
            xs = [self._finish(layer, x, self._attend(layer, q, cache)) for x, q in zip(xs, queries, strict=True)]
        return [exponentials(network.head(*rms(x))) for x in xs]

    def _split(
        self, layer: Layer, qkv: list[float], turn: tuple[list[float], list[float]]
    ) -> tuple[list[tuple[list[int], float]], list[Seen]]:
        """(integers and unit of each head's query, what is kept of keys and values)"""
        width, heads = self.network.width, self.network.heads
        part = width // heads
        queries, kept = [], []
        for h in range(heads):
            q, k, v = (qkv[first + h * part : first + (h + 1) * part] for first in (0, width, 2 * width))
            queries.append(rms(_turned(q, *turn)))
            key, unit = rms(_turned(k, *turn))
            value = [int(clip(rint(n), -127, 127)) for n in singles([n * layer.value_steps[h] for n in v])]
            kept.append(Seen(key, single(unit * layer.gain[h]), value))
        return queries, kept

    def _attend(self, layer: Layer, queries: list[tuple[list[int], float]], cache: list[list[Seen]]) -> list[float]:
        found = []
        for h, (query, unit) in enumerate(queries):
            slots = [slot[h] for slot in cache]
            scores = singles([sum(map(mul, query, slot.key)) * slot.scale for slot in slots])
            most = max(scores)
            steps = singles([v * unit for v in singles([most - score for score in scores])])
            e = [layer.exp2[int(min(step, 1344))] for step in steps]
            ratio = single(65536 / sum(e))
            weights = [rint(w) for w in singles([v * ratio for v in e])]
            sums = [sum(map(mul, weights, column)) for column in zip(*(slot.value for slot in slots), strict=True)]
            found += singles([total * layer.value_unit[h] for total in sums])
        return found

    def _finish(self, layer: Layer, x: list[float], y: list[float]) -> list[float]:
        x = added(x, layer.out(*quantised(y)))
        hidden = [max(v, 0.0) for v in layer.up(*rms(x))]
        return added(x, layer.down(*quantised(singles(map(mul, hidden, hidden)))))


def _turned(x: list[float], cos: list[float], sin: list[float]) -> list[float]:
    a, b = x[: len(cos)], x[len(cos) :]
    ac, bc, as_, bs = (singles(map(mul, left, right)) for left, right in ((a, cos), (b, cos), (a, sin), (b, sin)))
    return [*singles(map(float.__sub__, ac, bs)), *added(bc, as_)]
