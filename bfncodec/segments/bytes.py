"""Bytes to segments: a text model or a model of archives, LZMA, planes of an array's elements, or stored."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from math import prod
from typing import Any

from bfncodec.codecs.protocol import Codec
from bfncodec.content.arrays import npy_head
from bfncodec.errors import InputError
from bfncodec.format import lzmaraw
from bfncodec.format.cuts import Pieces
from bfncodec.format.frame import Coded
from bfncodec.format.kinds import Method
from bfncodec.format.lineindex import Lines
from bfncodec.runtime.progress import Progress
from bfncodec.segments.numbers import encode as encode_planes
from bfncodec.segments.numbers import forms_of
from bfncodec.segments.plan import Choice, Plan, batches, log_unasked, log_unused, may_pay, parts_of, smaller, wins
from bfncodec.segments.policy import DEFAULT_POLICY, BytesTrial, Policy

__all__ = ["cut_for", "encode_bytes", "encode_numbers"]


def encode_bytes(
    data: bytes,
    choice: Choice,
    progress: Progress,
    lines: Lines | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Plan:
    """Return the segments of bytes.

    lines: where the bytes are to be cut, whatever that costs; None for the best cuts.

    Raises InputError for a model that was named and cannot code them.
    """
    cut = lines.pieces(len(data)) if lines is not None else None
    plain = _plain_plan(data, cut or _equal(data, policy.plain_segment), choice, policy)
    beyond = not choice.forced and _beyond_models(data, plain, policy)
    codec = None if beyond else choice.find()
    if codec is None or not (choice.forced or _model_may_win(data, codec, plain, policy.bytes_trial)):
        if choice.wanted:
            log_unasked(codec, beyond)
        progress(len(data))
        return plain
    cut = cut or cut_for(data, codec, policy)
    pieces = _pieces(data, cut)
    if choice.forced:
        _check_able(codec, pieces)
    others = plain.coded if cut == plain.cut else _plain_plan(data, cut, choice, policy).coded
    coded = _by_model(pieces, codec, others, progress, policy.model_credit)
    plan = smaller(Plan(cut, tuple(coded)), plain, policy.model_credit)
    log_unused(codec, plan, choice)
    return plan


def encode_numbers(
    data: bytes,
    dtype: str,
    shape: Sequence[int],
    choice: Choice,
    progress: Progress,
    policy: Policy = DEFAULT_POLICY,
) -> Plan:
    """Return the segments of an array's elements: planes of their bytes, LZMA or stored.

    dtype: element type as headers name it. choice: of which the level counts.
    """
    forms = forms_of(dtype, shape)
    cut = _equal(data, policy.plain_segment, int(dtype.lstrip(">")[1:]))
    coded = []
    for piece in _pieces(data, cut):
        preset = choice.lzma_preset(len(piece), policy)
        plain, planes = _plain_piece(piece, preset), encode_planes(piece, forms, policy, preset)
        smaller = planes and len(planes) < len(plain.payload)
        coded.append(Coded(Method.PICTURE, planes, plain.crc) if smaller else plain)
        progress(len(piece))
    return Plan(cut, tuple(coded))


# ---- where bytes are cut ----------------------------------------------------------------------


def _equal(data: bytes, largest: int, item: int = 1) -> Pieces:
    return Pieces.equal(len(data), parts_of(len(data), largest), item)


def cut_for(data: bytes, codec: Codec[Any], policy: Policy = DEFAULT_POLICY) -> Pieces:
    """Return how bytes are cut for a codec: those of an archive between items, any others anywhere."""
    if not codec.capabilities.codes_archives:
        return _equal(data, policy.text_segment)
    size = prod(codec.capabilities.item_shape)
    first = _first_item(data, size)
    items = (len(data) - first) // size
    parts = min(max(items, 1), parts_of(len(data), policy.archive_segment))
    return Pieces.equal(len(data), parts, size, first)


def _first_item(data: bytes, size: int) -> int:
    """Return the byte at which items begin: after the head of a .npy file, else so that they end with the content."""
    return min(npy_head(data) or len(data) % size, len(data))


def _pieces(data: bytes, cut: Pieces) -> list[bytes]:
    return [data[start:stop] for ((start, stop),) in cut.extents]


# ---- by a model -------------------------------------------------------------------------------


def _by_model(
    pieces: Sequence[bytes], codec: Codec[Any], plain: Sequence[Coded], progress: Progress, credit: int
) -> list[Coded]:
    """Return the pieces coded by the model or, if that is smaller, without.

    plain: all of them coded without it. credit: bytes that each may take more by the model.
    """
    coded, most = list(plain), [len(one.payload) + credit for one in plain]
    asked = [n for n, piece in enumerate(pieces) if may_pay(len(piece), most[n])]
    progress(sum(map(len, pieces)) - sum(len(pieces[n]) for n in asked))
    for batch in batches(asked, lambda n: len(pieces[n]), codec.capabilities.batch):
        for n, payload in zip(batch, codec.encode_batch([pieces[n] for n in batch], progress), strict=True):
            if wins(len(pieces[n]), len(payload), most[n]):
                coded[n] = Coded(Method.MODEL, payload, plain[n].crc, codec.info.id)
    return coded


def _check_able(codec: Codec[Any], pieces: Sequence[bytes]) -> None:
    """Raise InputError for a model that was named and can code none of the pieces."""
    reasons = [codec.refusal(piece) for piece in pieces]
    if all(reasons):
        raise InputError(f"model {codec.info.name} {reasons[0]}: name another, or auto")


# ---- without a model --------------------------------------------------------------------------


def _plain_plan(data: bytes, cut: Pieces, choice: Choice, policy: Policy) -> Plan:
    pieces = _pieces(data, cut)
    return Plan(cut, tuple(_plain_piece(piece, choice.lzma_preset(len(piece), policy)) for piece in pieces))


def _plain_piece(data: bytes, preset: int) -> Coded:
    """Return bytes stored or as LZMA, whichever is smaller."""
    squeezed = lzmaraw.pack(data, preset)
    method, payload = min((Method.STORED, data), (Method.LZMA, squeezed), key=lambda item: len(item[1]))
    return Coded(method, payload, zlib.crc32(data))


# ---- whether to ask a model -------------------------------------------------------------------


def _beyond_models(data: bytes, plain: Plan, policy: Policy) -> bool:
    """Return whether no model can win: there is next to nothing, or LZMA takes it for random or for next to nothing."""
    size, trial = len(data), policy.bytes_trial
    if size <= trial.tiny or (size > trial.short and not trial.least < _rate(data, plain, trial) <= trial.random):
        return True
    pairs = zip(plain.cut.extents, plain.coded, strict=True)
    return not any(may_pay(stop - start, len(coded.payload) + policy.model_credit) for ((start, stop),), coded in pairs)


def _model_may_win(data: bytes, codec: Codec[Any], plain: Plan, trial: BytesTrial) -> bool:
    """Return whether a model beats LZMA on two samples, or the content is hardly longer than these.

    A whole text learns more from itself, the one way or the other, so the model may be a bit worse. For long content
    that says little the model would take long to save little: more samples decide there, and more strictly.

    plain: the whole without a model.
    """
    if len(data) <= 2 * trial.sample:
        return True
    rate = _rate(data, plain, trial)
    count, slack = (16, 1.0) if len(data) > trial.long and rate < trial.little else (2, trial.slack)
    size = trial.sample // 2
    sample = b"".join(_samples(data, count + 1, size)[1:])
    bits = 8 * len(lzmaraw.pack(sample))
    if bits < max(trial.empty * rate * len(sample), trial.nothing):  # a hole in sparse data: look where there is most
        pieces = _samples(data, trial.looks, size)
        sample = b"".join(sorted(pieces, key=lambda piece: len(zlib.compress(piece)))[-count:])
        bits = 8 * len(lzmaraw.pack(sample))
    return bool(codec.codelength(sample).bits < min(slack * bits, trial.random * len(sample)))


def _rate(data: bytes, plain: Plan, trial: BytesTrial) -> float:
    """Return the bits a byte that data take without a model, `plain`. Where they are cut into pieces so short that LZMA
    says too little of each, such as single lines, those of their beginning in one piece.
    """
    if len(plain.coded) == 1 or len(data) > trial.short * len(plain.coded):
        return 8 * plain.size / len(data)
    head = data[: 2 * trial.sample]
    return 8 * len(lzmaraw.pack(head)) / len(head)


def _samples(data: bytes, count: int, size: int) -> list[bytes]:
    """Return pieces of `size` bytes that begin at equal distances."""
    starts = [part * (len(data) - size) // count for part in range(count)]
    return [data[start : start + size] for start in starts]
