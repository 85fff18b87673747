"""The codecs that are compared, ours and the peers, behind one pair of functions each.

Peers run at their strongest practical setting. Those whose package is not installed are left out
(`pip install 'bfncodec[bench]'` has them all).
"""

from __future__ import annotations

import importlib
import io
import lzma
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # [H, W, 3]
T = TypeVar("T")

PPMD_ORDER, PPMD_MEMORY = 16, 64 << 20
DICTIONARY = 112_640  # bytes; what `zstd --train` makes
SHORT_TEXT, SMALL_IMAGE = 2048, 128 * 128 * 3  # bytes; up to here compress() asks the default model in any case
ONE_SEGMENT = 1 << 18  # bytes; up to here it gives all to a model that was named, in one piece


def _nothing(batch: Sequence[Any]) -> None:
    """Peers have no use for knowing what comes next."""


@dataclass(frozen=True)
class Codec(Generic[T]):
    """A name and two functions; decode needs no more than the bytes and the raw size.

    A codec that is faster with many items at once is told beforehand which ones come next: the items before they are
    encoded one by one, and the bytes before they are decoded one by one.
    """

    name: str
    encode: Callable[[T], bytes]
    decode: Callable[[bytes, int], T]
    foresee: Callable[[Sequence[T]], None] = _nothing
    foresee_coded: Callable[[Sequence[bytes]], None] = _nothing


def photo_codecs(model: str | None = "auto") -> list[Codec[Pixels]]:
    """Codecs of RGB images; ours comes last, and not at all where model is None."""
    codecs = [Codec("PNG", _png, _opened), Codec("WebP -m 6 -q 100", _webp, _opened)]
    for jxl in _installed("imagecodecs"):
        codecs += [Codec(f"JPEG XL -e {e}", *_jpegxl(jxl, e)) for e in (7, 9)]
    if model is not None:
        codecs.append(_ours_photo(model))
    return codecs


def text_codecs(model: str | None = "auto", samples: Sequence[bytes] = ()) -> list[Codec[bytes]]:
    """Codecs of bytes; ours comes last, and not at all where model is None. samples: for zstd's dictionary."""
    codecs: list[Codec[bytes]] = [Codec("xz -9e", _xz, _unxz)]
    codecs += [Codec("zstd -22", *_zstd(zstd)) for zstd in _installed("zstandard")]
    if samples:
        codecs += [Codec("zstd -22, dictionary", *_zstd(zstd, samples)) for zstd in _installed("zstandard")]
    codecs += [Codec("brotli -q 11", *_brotli(brotli)) for brotli in _installed("brotli")]
    codecs += [Codec(f"PPMd -o {PPMD_ORDER}", *_ppmd(pyppmd)) for pyppmd in _installed("pyppmd")]
    if model is not None:
        codecs.append(_ours_text(model))
    return codecs


def _installed(name: str) -> Iterator[Any]:
    try:
        yield importlib.import_module(name)
    except ImportError:
        return


# --- images ------------------------------------------------------------------------------------


def _png(pixels: Pixels) -> bytes:
    return _saved(pixels, "PNG", optimize=True)


def _webp(pixels: Pixels) -> bytes:
    return _saved(pixels, "WEBP", lossless=True, quality=100, method=6, exact=True)


def _saved(pixels: Pixels, kind: str, **options: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def _opened(blob: bytes, size: int) -> Pixels:
    from PIL import Image

    with Image.open(io.BytesIO(blob)) as image:
        return np.asarray(image.convert("RGB"))


def _jpegxl(imagecodecs: Any, effort: int) -> tuple[Callable[[Pixels], bytes], Callable[[bytes, int], Pixels]]:
    def encode(pixels: Pixels) -> bytes:
        return bytes(imagecodecs.jpegxl_encode(pixels, effort=effort, lossless=True, numthreads=1))

    def decode(blob: bytes, size: int) -> Pixels:
        return np.asarray(imagecodecs.jpegxl_decode(blob, numthreads=1))

    return encode, decode


def _ours_photo(model: str) -> Codec[Pixels]:
    from PIL import Image

    import bfncodec

    source = Ahead(model, "image", SMALL_IMAGE)

    def encode(pixels: Pixels) -> bytes:
        return bfncodec.compress(Image.fromarray(pixels), model=model, codecs=source)

    def decode(blob: bytes, size: int) -> Pixels:
        return np.asarray(bfncodec.decompress(blob, codecs=source))

    return Codec(_our_name(model), encode, decode, source.foresee, source.foresee_coded)


# --- bytes -------------------------------------------------------------------------------------


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)


def _unxz(blob: bytes, size: int) -> bytes:
    return lzma.decompress(blob)


def _zstd(
    zstandard: Any, samples: Sequence[bytes] = ()
) -> tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]:
    """With a dictionary of the samples, which like our model is on both sides and in no file."""
    dictionary = zstandard.train_dictionary(DICTIONARY, list(samples)) if samples else None

    def encode(data: bytes) -> bytes:
        return bytes(zstandard.ZstdCompressor(level=22, dict_data=dictionary).compress(data))

    def decode(blob: bytes, size: int) -> bytes:
        return bytes(zstandard.ZstdDecompressor(dict_data=dictionary).decompress(blob))

    return encode, decode


def _brotli(brotli: Any) -> tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]:
    def encode(data: bytes) -> bytes:
        return bytes(brotli.compress(data, quality=11))

    def decode(blob: bytes, size: int) -> bytes:
        return bytes(brotli.decompress(blob))

    return encode, decode


def _ppmd(pyppmd: Any) -> tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]:
    """Variant I without any header: not even the size, which its decoder is told."""

    def encode(data: bytes) -> bytes:
        coder = pyppmd.Ppmd8Encoder(PPMD_ORDER, PPMD_MEMORY)
        return bytes(coder.encode(data) + coder.flush())

    def decode(blob: bytes, size: int) -> bytes:
        return bytes(pyppmd.Ppmd8Decoder(PPMD_ORDER, PPMD_MEMORY).decode(blob, size))

    return encode, decode


def _ours_text(model: str) -> Codec[bytes]:
    import bfncodec

    source = Ahead(model, "text", SHORT_TEXT)

    def encode(data: bytes) -> bytes:
        return bfncodec.compress(data, model=model, codecs=source)

    def decode(blob: bytes, size: int) -> bytes:
        content = bfncodec.decompress(blob, codecs=source)
        assert isinstance(content, bytes)
        return content

    return Codec(_our_name(model), encode, decode, source.foresee, source.foresee_coded)


# --- ours, many items at once ------------------------------------------------------------------


class Ahead:
    """Models for :func:`bfncodec.compress` and decompress that code small items ahead, as one batch.

    Each file is still made and read by those two functions, frame, fallbacks and checksum included: only the calls of
    the network are shared. The payloads are the same bytes either way (a test holds them to that).
    """

    def __init__(self, model: str, role: str, short: int) -> None:
        import bfncodec

        self.model, self.role = model, role
        self.short = short if model == "auto" else ONE_SEGMENT
        self._models = bfncodec.Models()  # one for all calls: each model is read once
        self._codecs: dict[bytes, AheadCodec] = {}

    def default(self, role: str) -> AheadCodec | None:
        """As :class:`bfncodec.Models`."""
        codec = self._models.default(role)
        return None if codec is None else self._remembered(codec)

    def named(self, name: str) -> AheadCodec:
        """As :class:`bfncodec.Models`."""
        return self._remembered(self._models.named(name))

    def identified(self, identity: bytes) -> AheadCodec:
        """As :class:`bfncodec.Models`."""
        return self._remembered(self._models.identified(identity))

    def foresee(self, items: Sequence[Any]) -> None:
        """Encode those of these items now that the model will be asked for."""
        if self.model == "none":
            return
        codec = self.default(self.role) if self.model == "auto" else self.named(self.model)
        if codec is not None:
            codec.encode_ahead([item for item in items if _size(item) <= self.short])

    def foresee_coded(self, blobs: Sequence[bytes]) -> None:
        """Decode those of these files now that are one segment, coded by a model."""
        from bfncodec.container import unpack

        payloads: dict[bytes, list[bytes]] = {}
        for frame in map(unpack, blobs):
            for part in frame.segments:
                if part is not None and part.model and len(frame.segments) == 1:
                    payloads.setdefault(part.model, []).append(part.payload)
        for identity, found in payloads.items():
            self.identified(identity).decode_ahead(found)

    def _remembered(self, codec: Any) -> AheadCodec:
        return self._codecs.setdefault(codec.info.id, AheadCodec(codec))


class AheadCodec:
    """A model's codec that remembers what it has coded ahead and codes all else when asked."""

    def __init__(self, codec: Any) -> None:
        self.info, self.codelength, self._codec = codec.info, codec.codelength, codec
        self._payloads: dict[Any, bytes] = {}
        self._items: dict[bytes, Any] = {}

    def encode_ahead(self, items: Sequence[Any]) -> None:
        """Encode as one batch; what was encoded ahead before is forgotten."""
        self._payloads = dict(zip(map(_key, items), self._codec.encode_batch(items), strict=True))

    def decode_ahead(self, payloads: Sequence[bytes]) -> None:
        """Decode as one batch; what was decoded ahead before is forgotten."""
        self._items = dict(zip(payloads, self._codec.decode_batch(payloads), strict=True))

    def encode_batch(self, xs: Sequence[Any], *progress: Any) -> list[bytes]:
        """As the model's codec."""
        keys = list(map(_key, xs))
        if all(key in self._payloads for key in keys):
            return [self._payloads[key] for key in keys]
        return list(self._codec.encode_batch(xs, *progress))

    def decode_batch(self, payloads: Sequence[bytes], *progress: Any) -> list[Any]:
        """As the model's codec."""
        if all(payload in self._items for payload in payloads):
            return [self._items[payload] for payload in payloads]
        return list(self._codec.decode_batch(payloads, *progress))


def _key(item: Any) -> Any:
    """What tells items apart: bytes themselves, an image's shape and pixels."""
    return item if isinstance(item, bytes) else (item.shape, item.tobytes())


def _size(item: Any) -> int:
    return len(item) if isinstance(item, bytes) else int(item.nbytes)


def _our_name(model: str) -> str:
    return "bfncodec" if model == "auto" else f"bfncodec -m {model}"
