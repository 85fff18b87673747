"""Bytes through the erasure sender on the comb schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bfncodec.codecs.base import Codec, Progress, check_size, silent
from bfncodec.coding.cdf import softmax_frequencies, softmax_intervals
from bfncodec.coding.contexts import ContextMixer
from bfncodec.coding.direct import RangeDecoder, RangeEncoder, information
from bfncodec.flow.report import CodeLength
from bfncodec.models import ModelInfo
from bfncodec.networks.exact_transformer import ExactTransformer, stored_shapes
from bfncodec.networks.stored import check_shapes
from bfncodec.networks.transformer import TransformerConfig
from bfncodec.wire import Reader, varint

SYMBOLS = 256
GROUP_WINDOWS = 64  # windows of an item that are coded side by side, where the model does not say; part of the format
BATCH_WINDOWS = 64  # windows of all items together that the network sees at once
# windows the network sees at once when encoding: keys and values of more take memory and win nothing
ENCODE_WINDOWS = 16
BLOCK_SLOTS = 1 << 10  # slots the network sees at once when encoding


@dataclass(frozen=True)
class Group:
    """Windows of one item that are coded as one interleaved sequence."""

    item: int
    starts: tuple[int, ...]  # first byte of each window
    lengths: tuple[int, ...]
    teeth: int
    mixed: bool = False  # with what the item says about itself
    last: bool = True  # of its item

    @property
    def steps(self) -> int:
        """Symbols of a full tooth."""
        return -(-max(self.lengths) // self.teeth)


class TextCodec(Codec[bytes]):
    """Byte strings of any length, in any encoding.

    Payload: varint length, then the symbols. The text is cut into windows of nearly equal length, the windows into
    groups; group after group, step after step, the symbols of that step are coded, window by window and tooth by
    tooth. How many teeth a window has follows from the length of the text, by the table `coding_teeth` of the model's
    config. Where the config has a table `contexts`, a group takes every g-th window, g being the number of groups, so
    that each window goes on where one of the group before it ended; and in texts of `contexts.least` bytes and more,
    byte contexts are counted and mixed in.
    """

    def __init__(self, info: ModelInfo, tensors: dict[str, Tensor], device: torch.device) -> None:
        self.info, self.device = info, device
        self.config = TransformerConfig.from_dict(dict(info.config["network"]))
        self.teeth = [(int(size), int(m)) for size, m in info.config["coding_teeth"]]
        contexts = info.config.get("contexts")
        self.strided, self.least_mixed = contexts is not None, int(contexts["least"]) if contexts else 0
        self.group_windows = int(contexts["windows"]) if contexts else GROUP_WINDOWS
        check_shapes(tensors, stored_shapes(self.config))
        self.network = ExactTransformer(self.config, tensors, device)

    def encode_batch(self, xs: Sequence[bytes], progress: Progress = silent) -> list[bytes]:
        encoders = [RangeEncoder() for _ in xs]
        for group, below, frequency, symbol, _ in self._coded(xs, progress):
            encoders[group.item].encode_intervals(below, frequency, symbol, SYMBOLS)
        return [varint(len(x)) + encoder.finish() for x, encoder in zip(xs, encoders, strict=True)]

    def decode_batch(self, payloads: Sequence[bytes], progress: Progress = silent) -> list[bytes]:
        sizes, bodies = zip(*map(_split, payloads), strict=True) if payloads else ((), ())
        decoders = [RangeDecoder(body) for body in bodies]
        items = [np.zeros(size, np.uint8) for size in sizes]
        mixers: dict[int, ContextMixer] = {}
        for batch in self._batches(sizes):
            own = [_mixer(mixers, group, items) for group in batch]
            self._decode_groups(batch, items, decoders, own, progress)
            _forget(mixers, batch)
        return [item.tobytes() for item in items]

    def codelength(self, x: bytes) -> CodeLength:
        parts = []
        for _, _, frequency, _, step in self._coded([x], silent):
            kl = cast("NDArray[np.float64]", np.bincount(step, weights=information(frequency)))
            parts.append(CodeLength(kl, 0.0, len(frequency)))
        return CodeLength.joined(parts)

    def _coded(
        self, xs: Sequence[bytes], progress: Progress
    ) -> Iterator[tuple[Group, NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]]:
        """Group after group of each item: sum of frequencies below each symbol, its frequency, the symbol and its
        step, in coding order.
        """
        items = [np.frombuffer(x, np.uint8) for x in xs]
        mixers: dict[int, ContextMixer] = {}
        for batch in self._batches([len(x) for x in xs]):
            steps = max(g.steps for g in batch)
            symbol = np.concatenate([_cut(items[g.item], g, steps) for g in batch])  # [B, m, S]
            below, frequency = self._batch_intervals(batch, symbol, [_mixer(mixers, g, items) for g in batch])
            symbol = symbol.transpose(0, 2, 1)
            row = 0
            for group in batch:
                rows = slice(row, row + len(group.lengths))
                step, *place = _coding_order(group)
                a, b, c = (x[rows][tuple(place)].astype(np.int32) for x in (below, frequency, symbol))
                yield group, a, b, c, step
                row = rows.stop
                progress(sum(group.lengths))
            _forget(mixers, batch)

    def _batch_intervals(
        self, batch: Sequence[Group], symbol: NDArray[np.int64], mixers: Sequence[ContextMixer | None]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """(sum of frequencies below each symbol, its frequency), int32 [B, S, m]. symbol: [B, m, S]"""
        spans = [slice(k, k + ENCODE_WINDOWS) for k in range(0, len(symbol), ENCODE_WINDOWS)]
        present = [mixer for mixer in mixers if mixer is not None]  # all, or none
        if not present:
            pieces = [self._intervals(symbol[span]) for span in spans]
        else:
            weights = np.concatenate([self._weights(symbol[span]) for span in spans])
            rows = np.cumsum([0, *(len(g.lengths) for g in batch)])
            pieces = [
                _mixed_intervals(group, weights[a:b], symbol[a:b], mixer)
                for group, mixer, a, b in zip(batch, present, rows, rows[1:], strict=False)
            ]
        below, frequency = (np.concatenate(p) for p in zip(*pieces, strict=True))
        return below, frequency

    def _predictions(self, symbol: NDArray[np.int64]) -> Iterator[tuple[slice, Tensor]]:
        """Steps and the network's weights for them, [B, k m, 256], of windows that are known. symbol: [B, m, S]"""
        known = torch.from_numpy(symbol).to(self.device)
        windows, teeth, steps = known.shape
        run = self.network.start(windows, teeth, steps)
        run.reveal(0, known)
        block = max(1, BLOCK_SLOTS // (windows * teeth))
        for first in range(0, steps, block):
            last = min(first + block, steps)
            yield slice(first, last), run.predict(first, last)

    def _weights(self, symbol: NDArray[np.int64]) -> NDArray[np.int32]:
        """The network's weights of every symbol, int32 [B, S, m, 256]. symbol: [B, m, S]"""
        windows, teeth, _ = symbol.shape
        found = [weights.view(windows, -1, teeth, SYMBOLS).cpu().numpy() for _, weights in self._predictions(symbol)]
        return np.concatenate(found, 1)

    def _intervals(self, symbol: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """(sum of frequencies below each symbol, its frequency), int32 [B, S, m]. symbol: [B, m, S]"""
        below, frequency = [], []
        for span, weights in self._predictions(symbol):
            known = symbol[:, :, span].transpose(0, 2, 1)
            found = softmax_intervals(weights.view(-1, SYMBOLS).cpu().numpy(), known.reshape(-1))
            below.append(found.below.reshape(known.shape))
            frequency.append(found.frequency.reshape(known.shape))
        return np.concatenate(below, 1), np.concatenate(frequency, 1)

    def _decode_groups(
        self,
        batch: Sequence[Group],
        items: list[NDArray[np.uint8]],
        decoders: Sequence[RangeDecoder],
        mixers: Sequence[ContextMixer | None],
        progress: Progress,
    ) -> None:
        steps, teeth = max(g.steps for g in batch), batch[0].teeth
        windows = sum(len(g.lengths) for g in batch)
        run = self.network.start(windows, teeth, steps)
        exists = np.concatenate([_exists(g, steps) for g in batch])  # [B, m, S]
        rows = np.cumsum([0, *(len(g.lengths) for g in batch)])
        symbols = np.zeros(exists.shape, np.int64)
        for i in range(steps):
            lanes = np.flatnonzero(exists[:, :, i])
            weights = run.predict(i, i + 1).view(-1, SYMBOLS).cpu().numpy()[lanes]
            ends = np.searchsorted(lanes, rows * teeth)
            new = [
                _decode_rows(weights[a:b], lanes[a:b] - row * teeth, mixer, decoders[group.item])
                for group, mixer, row, a, b in zip(batch, mixers, rows, ends, ends[1:], strict=False)
            ]
            symbols[lanes // teeth, lanes % teeth, i] = np.concatenate(new)
            run.reveal(i, torch.from_numpy(symbols[:, :, i : i + 1]).to(self.device))
            progress(len(lanes))
        for group, first in zip(batch, rows, strict=False):
            for b, (start, length) in enumerate(zip(group.starts, group.lengths, strict=True)):
                text = symbols[first + b, :, : group.steps].reshape(-1)[:length]
                items[group.item][start : start + length] = text

    def _batches(self, sizes: Sequence[int]) -> Iterator[list[Group]]:
        """Groups to run side by side: one number of teeth, similar lengths; an item's groups stay in order."""
        rounds: list[list[Group]] = []
        for item, size in enumerate(sizes):
            for k, group in enumerate(self._groups(item, size)):
                if k == len(rounds):
                    rounds.append([])
                rounds[k].append(group)
        for groups in rounds:
            groups.sort(key=lambda g: (g.teeth, g.steps))
            batch: list[Group] = []
            for group in groups:
                if batch and not _side_by_side(batch, group):
                    yield batch
                    batch = []
                batch.append(group)
            if batch:
                yield batch

    def _groups(self, item: int, size: int) -> Iterator[Group]:
        if not size:
            return
        windows = -(-size // self.config.window)
        groups = -(-windows // self.group_windows)
        each = -(-windows // groups) if self.strided else self.group_windows
        windows = each * groups if self.strided else windows
        edges = [size * k // windows for k in range(windows + 1)]
        teeth = max((size_and_teeth for size_and_teeth in self.teeth if size_and_teeth[0] <= size), default=(0, 1))[1]
        mixed = self.strided and size >= self.least_mixed
        for k in range(groups):
            chosen = range(k, windows, groups) if self.strided else range(k * each, min((k + 1) * each, windows))
            starts, lengths = tuple(edges[w] for w in chosen), tuple(edges[w + 1] - edges[w] for w in chosen)
            yield Group(item, starts, lengths, teeth, mixed, k == groups - 1)


def _side_by_side(batch: Sequence[Group], group: Group) -> bool:
    """Whether a group may join a batch. Only windows of one tooth may be shorter than their neighbours: where the
    second tooth begins, and so every position in it, follows from the length of the first.
    """
    same = (group.teeth, group.mixed) == (batch[0].teeth, batch[0].mixed) and (
        group.teeth == 1 or group.steps == batch[0].steps
    )
    return same and sum(len(g.lengths) for g in (*batch, group)) <= BATCH_WINDOWS


def _mixer(mixers: dict[int, ContextMixer], group: Group, items: Sequence[NDArray[np.uint8]]) -> ContextMixer | None:
    """The contexts of a group's item, if any; at its first group they are new, and so are the lanes."""
    if not group.mixed:
        return None
    if group.item not in mixers:
        mixers[group.item] = ContextMixer(len(items[group.item]))
        mixers[group.item].start(len(group.lengths) * group.teeth)
    return mixers[group.item]


def _forget(mixers: dict[int, ContextMixer], batch: Sequence[Group]) -> None:
    """Free the contexts of items that are done."""
    for group in batch:
        if group.last:
            mixers.pop(group.item, None)


def _mixed_intervals(
    group: Group, weights: NDArray[np.int32], symbol: NDArray[np.int64], mixer: ContextMixer
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(sum of frequencies below each symbol, its frequency) with the contexts' word, int32 [B, S, m]. weights:
    [B, S, m, 256]; symbol: [B, m, S]
    """
    below = np.zeros(weights.shape[:3], np.int32)
    frequency = np.zeros_like(below)
    exists = _exists(group, weights.shape[1])
    for i in range(group.steps):
        window, tooth = np.nonzero(exists[:, :, i])
        lanes, known = window * group.teeth + tooth, symbol[window, tooth, i]
        mixed, found = mixer.mix(weights[window, i, tooth], lanes)
        interval = softmax_intervals(mixed, known)
        below[window, i, tooth], frequency[window, i, tooth] = interval.below, interval.frequency
        mixer.learn(found, known, lanes)
    return below, frequency


def _decode_rows(
    weights: NDArray[np.int32], lanes: NDArray[np.int64], mixer: ContextMixer | None, decoder: RangeDecoder
) -> NDArray[np.int64]:
    """The next symbols of a group, [L], under weights [L, 256] and what its contexts say."""
    if mixer is None:
        return decoder.decode_rows(softmax_frequencies(weights)).astype(np.int64)
    weights, found = mixer.mix(weights, lanes)
    symbols = decoder.decode_rows(softmax_frequencies(weights)).astype(np.int64)
    mixer.learn(found, symbols, lanes)
    return symbols


def _split(payload: bytes) -> tuple[int, bytes]:
    reader = Reader(payload)
    size = reader.varint("text length")
    check_size(size, "bytes")
    return size, reader.rest()


def _cut(text: NDArray[np.uint8], group: Group, steps: int) -> NDArray[np.int64]:
    """The windows of a group as teeth, zeros where a tooth is shorter. int64 [windows, m, steps]"""
    result = np.zeros((len(group.lengths), group.teeth, steps), np.int64)
    for b, (start, length) in enumerate(zip(group.starts, group.lengths, strict=True)):
        padded = np.zeros(group.teeth * group.steps, np.int64)
        padded[:length] = text[start : start + length]
        result[b, :, : group.steps] = padded.reshape(group.teeth, group.steps)
    return result


def _exists(group: Group, steps: int) -> NDArray[np.bool_]:
    """Which slots hold a symbol of the text. bool [windows, m, steps]"""
    place = np.arange(group.teeth)[:, None] * group.steps + np.arange(steps)
    inside = (place < np.asarray(group.lengths)[:, None, None]) & (np.arange(steps) < group.steps)
    return np.asarray(inside)


def _coding_order(group: Group) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(step, window, step, tooth) of every symbol of a group, in coding order: step by step, window by window, tooth
    by tooth.
    """
    step, window, tooth = np.nonzero(_exists(group, group.steps).transpose(2, 0, 1))
    return step, window, step, tooth
