"""Ideal bits against bits on disk: L^n, term by term, beside what a compressed file takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bfncodec.api import CodecSource, Models
from bfncodec.codecs.protocol import Account, Codec
from bfncodec.content.objects import content_of
from bfncodec.content.types import Content
from bfncodec.errors import InputError
from bfncodec.files.data import dims_of
from bfncodec.flow.report import CodeLength
from bfncodec.format.container import unpack
from bfncodec.format.frame import Segment
from bfncodec.format.kinds import Method
from bfncodec.format.limits import OF_WRITERS
from bfncodec.images.picture import Picture
from bfncodec.runtime.arguments import check_codecs, check_model, whole_number
from bfncodec.runtime.arrays import Pixels
from bfncodec.segments.encode import encode_frame
from bfncodec.segments.modelled import parse, prepare
from bfncodec.segments.policy import DEFAULT_POLICY, Policy

DRAWS = 4
"""Draws of the sender's noise that the ideal of an archive is the mean of."""

__all__ = ["DRAWS", "Measurement", "coded_items", "measure", "measure_frame"]


@dataclass(frozen=True, eq=False)
class Measurement:
    """Bits of a compressed object, by what they are spent on.

    Parameters
    ----------
    ideal
        L^n of the segments that a model coded, term by term (Graves et al. 2023, eqs. 16 to 18); None if no model coded
        any.
    model_bits
        Bits that these segments take, their sizes included, without `initial_bits` and `protection_bits`.
    plain_bits
        All other payload: segments that no model coded, and opacity and low bits beside those that one did.
    dims
        Bytes of text or subpixels of a picture, also those that no model coded.
    container_bytes
        Bytes of the whole file.
    initial_bits
        Items coded without the model, whose bits a bits-back chain begins with; an erasure sender needs none.
    protection_bits
        Parity and checksums of archives.
    path_bits
        Cost of the model's segments by densities along the file's realised path, the noise that it drew itself; the
        ideal for an erasure sender, which draws none.
    """

    ideal: CodeLength | None
    model_bits: int
    plain_bits: int
    dims: int
    container_bytes: int
    initial_bits: int = 0
    protection_bits: int = 0
    path_bits: float = 0.0

    @classmethod
    def joined(cls, parts: Sequence[Measurement]) -> Measurement:
        """Return the measurement of several files together."""
        lengths = [part.ideal for part in parts if part.ideal is not None]
        return cls(
            ideal=CodeLength.joined(lengths) if lengths else None,
            model_bits=sum(part.model_bits for part in parts),
            plain_bits=sum(part.plain_bits for part in parts),
            dims=sum(part.dims for part in parts),
            container_bytes=sum(part.container_bytes for part in parts),
            initial_bits=sum(part.initial_bits for part in parts),
            protection_bits=sum(part.protection_bits for part in parts),
            path_bits=sum(part.path_bits for part in parts),
        )

    @property
    def difference(self) -> float:
        """Bits of the model's segments beyond the realised path: the coder's loss, free of the sender's noise."""
        return self.model_bits - self.path_bits

    @property
    def frame_bits(self) -> int:
        """Bits that are no payload: magic, flags, checksums, model, metadata, preview, index."""
        payloads = self.model_bits + self.initial_bits + self.protection_bits + self.plain_bits
        return 8 * self.container_bytes - payloads

    @property
    def bits_per_dim(self) -> float:
        """Bits of the whole file per byte of text or subpixel."""
        return 8 * self.container_bytes / self.dims if self.dims else 0.0


def measure(
    data: object,
    model: str = "auto",
    *,
    device: str = "cpu",
    threads: int | None = None,
    codecs: CodecSource | None = None,
    draws: int = DRAWS,
    policy: Policy = DEFAULT_POLICY,
) -> Measurement:
    """Compress an object and compare its file with the ideal. Arguments and errors as :func:`bfncodec.compress`.

    draws: how often the noise of a Gaussian sender is drawn anew for L^n; `ideal.error` is the standard error then.
    """
    check_model(model)
    check_codecs(codecs)
    if whole_number(draws, "draws") < 1:
        raise InputError(f"expected at least one draw, found {draws}")
    content, source = content_of(data), codecs or Models(device, threads)
    return measure_frame(content, encode_frame(content, model, source, policy=policy), source, draws)


def measure_frame(content: Content, blob: bytes, codecs: CodecSource, draws: int = DRAWS) -> Measurement:
    """Return the measurement of a content and the file that was made of it. draws: as for :func:`measure`."""
    frame = unpack(blob, OF_WRITERS)
    segments = [frame.segment(number) for number in frame.wanted]
    accounts: list[Account] = []
    coded = 0
    for segment in segments:
        if segment.method is Method.MODEL:
            codec = codecs.identified(segment.model)
            for item, payload in coded_items(content, segment, codec):
                accounts.append(codec.account(item, payload, draws))
                coded += 8 * len(payload)
    initial, protection = sum(found.initial for found in accounts), sum(found.protection for found in accounts)
    return Measurement(
        ideal=CodeLength.joined(found.ideal for found in accounts) if accounts else None,
        model_bits=coded - initial - protection,
        plain_bits=sum(8 * len(segment.payload) for segment in segments) - coded,
        dims=dims_of(content),
        container_bytes=len(blob),
        initial_bits=initial,
        protection_bits=protection,
        path_bits=sum(found.path for found in accounts),
    )


def coded_items(content: Content, segment: Segment, codec: Codec[Any]) -> Iterator[tuple[bytes | Pixels, bytes]]:
    """Yield every item that the codec was given for a segment with the payload that it made of it."""
    if not isinstance(content, Picture):
        yield content.data[slice(*segment.extent[0])], segment.payload
        return
    (top, bottom), (left, right) = segment.extent
    tile = content.pixels[top:bottom, left:right]
    inputs = prepare(tile, content.mode, codec.capabilities.channels).inputs
    yield from zip(inputs, parse(segment.payload, content.mode, *tile.shape[:2]).payloads, strict=False)
