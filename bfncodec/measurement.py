"""What the theory promises against what a file takes: the bits of L^n beside the bits on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from bfncodec.api import CodecSource, Models, encode_frame
from bfncodec.container import unpack
from bfncodec.content import Content, content_of
from bfncodec.header import Method
from bfncodec.pictures import Picture
from bfncodec.segments import model_input

if TYPE_CHECKING:
    from bfncodec.codecs.archive import ArchiveCodec
    from bfncodec.flow.report import CodeLength

__all__ = ["Measurement", "measure", "measure_frame"]


@dataclass(frozen=True, eq=False)
class Measurement:
    """A compressed object, measured. Everything is in bits but where the name says otherwise.

    ideal: L^n of the segments a model coded, term by term; None where no model coded any.
    model_bits: what those segments' payloads take (with their sizes), but for the seed. seed_bits: what bits-back
    coding began with, items coded without the model; an erasure sender needs none. plain_bits: payloads of the other
    segments. dims: bytes of text or subpixels of a picture, all of them. container_bytes: the whole file.
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
        """Everything that is not payload: magic, flags, checksum, model, metadata, index."""
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
    content, source = content_of(data), codecs or Models(device, threads)
    return measure_frame(content, encode_frame(content, model, source), source)


def measure_frame(content: Content, blob: bytes, codecs: CodecSource) -> Measurement:
    """The same for a content and the file that was made of it."""
    from bfncodec.flow.report import CodeLength

    lengths, model_bits, plain_bits, seed_bits = [], 0, 0, 0
    for part in unpack(blob).segments:
        if part is None or part.method is not Method.MODEL:
            plain_bits += 8 * len(part.payload) if part is not None else 0
            continue
        codec, piece = codecs.identified(part.model), _piece(content, part.box)
        seed = cast("ArchiveCodec", codec).seed_bits(piece) if codec.info.role == "archive" else 0
        lengths.append(codec.codelength(piece))
        model_bits += 8 * len(part.payload) - seed
        seed_bits += seed
    return Measurement(
        ideal=CodeLength.joined(lengths) if lengths else None,
        model_bits=model_bits,
        plain_bits=plain_bits,
        dims=content.pixels.size if isinstance(content, Picture) else len(content.data),
        container_bytes=len(blob),
        seed_bits=seed_bits,
    )


def _piece(content: Content, box: Any) -> Any:
    """What the codec is given for a segment."""
    if isinstance(content, Picture):
        rows, columns = (slice(*side) for side in box)
        return model_input(content.pixels[rows, columns])
    return content.data[slice(*box[0])]
