"""What the theory promises against what a file takes: the bits of L^n beside the bits on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bfncodec.api import CodecSource, Models, encode_frame
from bfncodec.codecs.protocol import Codec
from bfncodec.content.objects import content_of
from bfncodec.content.types import Content
from bfncodec.errors import InputError
from bfncodec.format.container import Segment, unpack
from bfncodec.format.kinds import Method
from bfncodec.format.limits import OF_WRITERS
from bfncodec.images.picture import Picture
from bfncodec.runtime.arguments import check_codecs, check_model, whole_number
from bfncodec.segments.modelled import close, opened

if TYPE_CHECKING:
    from bfncodec.flow.report import CodeLength

DRAWS = 4  # of the sender's noise

__all__ = ["DRAWS", "Measurement", "measure", "measure_frame"]


@dataclass(frozen=True, eq=False)
class Measurement:
    """A compressed object, measured. Everything is in bits but where the name says otherwise.

    ideal: L^n of the segments a model coded, term by term; None where no model coded any.
    path_bits: what those segments cost by the model with the noise that the file itself drew; of an erasure sender,
    which draws none, the ideal. model_bits: what a model made of those segments (with their sizes), but for the seed
    and the protection. seed_bits: what bits-back coding began with, items coded without the model; an erasure sender
    needs none. protection_bits: parity and checksums of archives. plain_bits: all other payload, that of other
    segments, and opacity and low bits that no model coded. dims: bytes of text or subpixels of a picture, all of them.
    container_bytes: the whole file.
    """

    ideal: CodeLength | None
    model_bits: int
    plain_bits: int
    dims: int
    container_bytes: int
    seed_bits: int = 0
    protection_bits: int = 0
    path_bits: float = 0.0

    @classmethod
    def joined(cls, parts: Sequence[Measurement]) -> Measurement:
        """All of them together."""
        from bfncodec.flow.report import CodeLength

        lengths = [part.ideal for part in parts if part.ideal is not None]
        return cls(
            ideal=CodeLength.joined(lengths) if lengths else None,
            model_bits=sum(part.model_bits for part in parts),
            plain_bits=sum(part.plain_bits for part in parts),
            dims=sum(part.dims for part in parts),
            container_bytes=sum(part.container_bytes for part in parts),
            seed_bits=sum(part.seed_bits for part in parts),
            protection_bits=sum(part.protection_bits for part in parts),
            path_bits=sum(part.path_bits for part in parts),
        )

    @property
    def difference(self) -> float:
        """Payload of the model's segments beyond the file's own path: the coder's loss, free of the sender's noise."""
        return self.model_bits - self.path_bits

    @property
    def frame_bits(self) -> int:
        """Everything that is not payload: magic, flags, checksum, model, metadata, preview, index."""
        payloads = self.model_bits + self.seed_bits + self.protection_bits + self.plain_bits
        return 8 * self.container_bytes - payloads

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
    draws: int = DRAWS,
) -> Measurement:
    """Compress an object and compare with the ideal. Arguments and errors as :func:`bfncodec.compress`.

    draws: how often L^n of a Gaussian sender is played with fresh noise; `ideal.error` is the standard error then.
    """
    check_model(model)
    check_codecs(codecs)
    if whole_number(draws, "draws") < 1:
        raise InputError(f"expected at least one draw, found {draws}")
    content, source = content_of(data), codecs or Models(device, threads)
    return measure_frame(content, encode_frame(content, model, source), source, draws)


def measure_frame(content: Content, blob: bytes, codecs: CodecSource, draws: int = DRAWS) -> Measurement:
    """The same for a content and the file that was made of it."""
    from bfncodec.flow.report import CodeLength

    lengths: list[CodeLength] = []
    path, model, plain, seed, protection = 0.0, 0, 0, 0, 0
    for part in unpack(blob, OF_WRITERS).segments:
        if part is None:
            continue
        plain += 8 * len(part.payload)
        if part.method is not Method.MODEL:
            continue
        codec = codecs.identified(part.model)
        for piece, payload in _pieces(content, part, codec):
            found = codec.account(piece, payload, draws)
            lengths.append(found.ideal)
            path += found.path
            seed += found.initial
            protection += found.protection
            model += 8 * len(payload) - found.initial - found.protection
            plain -= 8 * len(payload)
    return Measurement(
        ideal=CodeLength.joined(lengths) if lengths else None,
        model_bits=model,
        plain_bits=plain,
        dims=content.pixels.size if isinstance(content, Picture) else len(content.data),
        container_bytes=len(blob),
        seed_bits=seed,
        protection_bits=protection,
        path_bits=path,
    )


def _pieces(content: Content, part: Segment, codec: Codec[Any]) -> Iterator[tuple[Any, bytes]]:
    """Return what the codec was given for a segment, each with the payload that it made of it."""
    if not isinstance(content, Picture):
        yield content.data[slice(*part.extent[0])], part.payload
        return
    (top, bottom), (left, right) = part.extent
    tile = content.pixels[top:bottom, left:right]
    inputs = opened(tile, content.mode, codec.capabilities.channels).inputs
    yield from zip(inputs, close(part.payload, content.mode, *tile.shape[:2]).payloads, strict=False)
