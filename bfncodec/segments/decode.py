"""Segments to content: the inverse of :mod:`bfncodec.segments.bytes` and :mod:`bfncodec.segments.pixels`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from bfncodec.codecs.protocol import Codec
from bfncodec.codecs.sources import CodecSource, codecs_of
from bfncodec.errors import DamagedError, FormatError, SalvageableError, Salvaged
from bfncodec.format import lzmaraw
from bfncodec.format.frame import Frame, Segment
from bfncodec.format.kinds import Kind, Method, Mode
from bfncodec.format.modelnames import read_names
from bfncodec.images.classical import decode_tile
from bfncodec.images.samples import to_samples
from bfncodec.runtime.progress import Progress, silent
from bfncodec.segments.modelled import parse
from bfncodec.segments.numbers import decode as decode_planes
from bfncodec.segments.plan import batches
from bfncodec.segments.tiles import area, sides_of, spread

__all__ = ["decode"]

Numbered = tuple[int, Segment]
"""A segment with its number in the file, from 0."""


def decode(frame: Frame, codecs: CodecSource, progress: Progress, salvage: bool = False) -> Iterator[tuple[int, Any]]:
    """Yield the number of each wanted segment with its content, bytes or pixels, or with the FormatError it ended in.

    salvage: try damaged segments, too. Where several models may have coded a segment, each is tried.
    """
    names = read_names(frame.header)
    entries, extents = frame.entries, frame.cut.extents
    yield from ((number, DamagedError("not found")) for number in frame.wanted if number >= len(entries))
    found = [number for number in frame.wanted if number < len(entries)]
    for model, group in groupby(found, key=lambda number: entries[number].model):
        found_codecs = codecs_of(codecs, model, names) if model else [None]
        able = [codec for codec in found_codecs if codec is None or _codes(codec, frame)]
        if not able:
            error = DamagedError(f"model {model.hex()} cannot code {frame.header.kind.name.lower()}")
            yield from ((number, error) for number in group)
            continue
        limit = able[0].capabilities.batch if able[0] else 1
        for numbers in batches(list(group), lambda number: area(extents[number]), limit):
            batch = []
            for number in numbers:
                try:
                    batch.append((number, frame.segment(number, salvage)))
                except FormatError as error:
                    yield number, error
            for item, (number, content) in zip(batch, _decode_batch(frame, able[0], batch, progress), strict=True):
                yield number, _tried(frame, able[1:], item, content)


def _codes(codec: Codec[Any], frame: Frame) -> bool:
    return codec.capabilities.codes_pictures is (frame.header.kind is Kind.IMAGE)


def _tried(frame: Frame, others: Sequence[Codec[Any] | None], item: Numbered, content: Any) -> Any:
    """Return the content of a segment by the first of the other codecs that decodes it, if it is an error."""
    for codec in others:
        if not isinstance(content, FormatError):
            break
        ((_, found),) = _decode_batch(frame, codec, [item], silent)
        content = content if isinstance(found, FormatError) else found
    return content


def _decode_batch(
    frame: Frame, codec: Codec[Any] | None, batch: list[Numbered], progress: Progress
) -> Iterator[tuple[int, Any]]:
    if not batch:
        return
    mode, is_picture = frame.header.mode, frame.header.kind is Kind.IMAGE
    try:
        if codec is None:
            contents = [_decode_plain(segment, mode) for _, segment in batch]
            progress(sum(area(segment.extent) for _, segment in batch) * (mode.channels if is_picture else 1))
        else:
            contents = _decode_model([segment for _, segment in batch], mode, codec, progress)
    except FormatError as error:
        if len(batch) == 1:
            yield batch[0][0], error
        else:  # which of them it was: one at a time
            for item in batch:
                yield from _decode_batch(frame, codec, [item], progress)
        return
    for (number, segment), content in zip(batch, contents, strict=True):
        try:
            segment.verify(to_samples(content, mode) if is_picture else content)
        except FormatError as error:
            yield number, _despite(error, segment, content, codec)
        else:
            yield number, content if segment.sound else _out_of_place(content)


def _despite(error: FormatError, segment: Segment, content: Any, codec: Codec[Any] | None) -> FormatError:
    """Return the error for a wrong checksum of the file: salvageable if the payload has right ones of its own."""
    if codec is None or not codec.verifies(segment.payload):
        return error
    return SalvageableError(f"{error}, but all items match their own", lambda: Salvaged(content, ()))


def _out_of_place(content: Any) -> FormatError:
    """Return the error for coded bytes with a wrong checksum that decode to content with the right one."""
    return SalvageableError(
        "checksum mismatch of the coded bytes, but its content matches its own: it may not be in its place",
        lambda: Salvaged(content, ()),
    )


def _decode_plain(segment: Segment, mode: Mode) -> Any:
    if len(segment.extent) == 2:
        return decode_tile(segment.method, segment.payload, mode, *sides_of(segment.extent))
    if segment.method is Method.LZMA:
        return lzmaraw.unpack(segment.payload)
    if segment.method is Method.PICTURE:
        return decode_planes(segment.payload)
    return segment.payload


def _decode_model(segments: list[Segment], mode: Mode, codec: Codec[Any], progress: Progress) -> list[Any]:
    if len(segments[0].extent) == 1:
        return codec.decode_batch([segment.payload for segment in segments], progress)
    parts = [parse(segment.payload, mode, *sides_of(segment.extent)) for segment in segments]
    payloads = [payload for part in parts for payload in part.payloads]
    areas = [area(segment.extent) for segment in segments]
    work = sum(each * len(part.payloads) for each, part in zip(areas, parts, strict=True))
    made = iter(codec.decode_batch(payloads, spread(progress, work, sum(areas) * mode.channels)))
    return [part.finish([next(made) for _ in part.payloads]) for part in parts]
