"""The codecs that are compared, ours and the peers, behind one pair of functions each.

Peers run at their strongest practical setting. Those whose package is not installed are left out
(`pip install 'bfncodec[bench]'` has them all).
"""

from __future__ import annotations

import importlib
import io
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # [H, W, 3]
T = TypeVar("T")

PPMD_ORDER, PPMD_MEMORY = 16, 64 << 20


@dataclass(frozen=True)
class Codec(Generic[T]):
    """A name and two functions; decode needs no more than the bytes and the raw size."""

    name: str
    encode: Callable[[T], bytes]
    decode: Callable[[bytes, int], T]


def photo_codecs(model: str | None = "auto") -> list[Codec[Pixels]]:
    """Codecs of RGB images; ours comes last, and not at all where model is None."""
    codecs = [Codec("PNG", _png, _opened), Codec("WebP -m 6 -q 100", _webp, _opened)]
    for jxl in _installed("imagecodecs"):
        codecs += [Codec(f"JPEG XL -e {e}", *_jpegxl(jxl, e)) for e in (7, 9)]
    if model is not None:
        codecs.append(_ours_photo(model))
    return codecs


def text_codecs(model: str | None = "auto") -> list[Codec[bytes]]:
    """Codecs of bytes; ours comes last, and not at all where model is None."""
    codecs: list[Codec[bytes]] = [Codec("xz -9e", _xz, _unxz)]
    codecs += [Codec("zstd -22", *_zstd(zstd)) for zstd in _installed("zstandard")]
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

    codecs = bfncodec.Models()  # one for all calls: each model is read once

    def encode(pixels: Pixels) -> bytes:
        return bfncodec.compress(Image.fromarray(pixels), model=model, codecs=codecs)

    def decode(blob: bytes, size: int) -> Pixels:
        return np.asarray(bfncodec.decompress(blob, codecs=codecs))

    return Codec(_our_name(model), encode, decode)


# --- bytes -------------------------------------------------------------------------------------


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)


def _unxz(blob: bytes, size: int) -> bytes:
    return lzma.decompress(blob)


def _zstd(zstandard: Any) -> tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]:
    def encode(data: bytes) -> bytes:
        return bytes(zstandard.ZstdCompressor(level=22).compress(data))

    def decode(blob: bytes, size: int) -> bytes:
        return bytes(zstandard.ZstdDecompressor().decompress(blob))

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

    codecs = bfncodec.Models()

    def encode(data: bytes) -> bytes:
        return bfncodec.compress(data, model=model, codecs=codecs)

    def decode(blob: bytes, size: int) -> bytes:
        content = bfncodec.decompress(blob, codecs=codecs)
        assert isinstance(content, bytes)
        return content

    return Codec(_our_name(model), encode, decode)


def _our_name(model: str) -> str:
    return "bfncodec" if model == "auto" else f"bfncodec -m {model}"
