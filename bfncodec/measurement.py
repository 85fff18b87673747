"""What the theory promises against what a file takes: the bits of L^n beside the bits on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from bfncodec.api import CodecSource, Models, encode_frame
from bfncodec.arguments import check_model
from bfncodec.container import Segment, unpack
from bfncodec.content import Content
from bfncodec.header import Method
from bfncodec.modelled import close, opened
from bfncodec.objects import content_of
from bfncodec.pictures import Picture
from bfncodec.segments import Codec, channels_of

if TYPE_CHECKING:
    from bfncodec.codecs.archive import ArchiveCodec
    from bfncodec.flow.report import CodeLength

__all__ = ["Measurement", "measure", "measure_frame"]


@dataclass(frozen=True, eq=False)
class Measurement:
    """A compressed object, measured. Everything is in bits but where the name says otherwise.

    ideal: L^n of the segments a model coded, term by term; None where no model coded any.
    model_bits: what a model made of those segments (with their sizes), but for the seed. seed_bits: what bits-back
    coding began with, items coded without the model; an erasure sender needs none. plain_bits: all other payload, that
    of other segments, and opacity and low bits that no model coded. dims: bytes of text or subpixels of a picture, all
    of them. container_bytes: the whole file.
    """

    ideal: CodeLength | None
    model_bits: int
    plain_bits: int
    dims: int
    container_bytes: int
    seed_bits: int = 0

    @property
    def difference(self) -> float:
        """Payload of the model's segments beyond the ideal."""
        return self.model_bits - self.ideal.bits if self.ideal is not None else 0.0

    @property
    def frame_bits(self) -> int:
        """Everything that is not payload: magic, flags, checksum, model, metadata, preview, index."""
        return 8 * self.container_bytes - self.model_bits - self.seed_bits - self.plain_bits

    @property
    def bits_per_dim(self) -> float:
        """Bits of the whole file per byte of text or subpixel."""
        return 8 * self.container_bytes / self.dims if self.dims else 0.0


def measure(
    data: Any,
    model: str = "auto",
    *,
    device: str = "cpu",
    threads: int | None = None,
    codecs: CodecSource | None = None,
) -> Measurement:
    """Compress an object and compare with the ideal. Arguments and errors as :func:`bfncodec.compress`."""
    check_model(model)
    content, source = content_of(data), codecs or Models(device, threads)
    return measure_frame(content, encode_frame(content, model, source), source)


def measure_frame(content: Content, blob: bytes, codecs: CodecSource) -> Measurement:
    """The same for a content and the file that was made of it."""
    from bfncodec.flow.report import CodeLength

    lengths, model_bits, plain_bits, seed_bits = [], 0, 0, 0
    for part in unpack(blob).segments:
        if part is None:
            continue
        plain_bits += 8 * len(part.payload)
        if part.method is not Method.MODEL:
            continue
        codec = codecs.identified(part.model)
        for piece, size in _pieces(content, part, codec):
            seed = cast("ArchiveCodec", codec).seed_bits(piece) if codec.info.role == "archive" else 0
            lengths.append(codec.codelength(piece))
            model_bits += 8 * size - seed
            plain_bits -= 8 * size
            seed_bits += seed
    return Measurement(
        ideal=CodeLength.joined(lengths) if lengths else None,
        model_bits=model_bits,
        plain_bits=plain_bits,
        dims=content.pixels.size if isinstance(content, Picture) else len(content.data),
        container_bytes=len(blob),
        seed_bits=seed_bits,
    )


def _pieces(content: Content, part: Segment, codec: Codec) -> Iterator[tuple[Any, int]]:
    """What the codec was given for a segment, each with the bytes that it made of it."""
    if not isinstance(content, Picture):
        yield content.data[slice(*part.box[0])], len(part.payload)
        return
    (top, bottom), (left, right) = part.box
    tile = content.pixels[top:bottom, left:right]
    inputs = opened(tile, content.mode, channels_of(codec)).inputs
    for piece, payload in zip(inputs, close(part.payload, content.mode, *tile.shape[:2]).payloads, strict=False):
        yield piece, len(payload)
