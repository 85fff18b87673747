"""Peers: the codecs that ours is compared with, behind one pair of functions each.

Peers run on one thread at their strongest practical setting. Those whose library is not installed are left out, and
:func:`absent` names them.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from PIL import Image

from bfncodec.runtime.arrays import Pixels

__all__ = [
    "JPEG_XL",
    "PPMD",
    "WEBP",
    "ZPAQ",
    "Graphic",
    "Peer",
    "absent",
    "byte_peers",
    "graphic_of",
    "graphic_peers",
    "grey_peers",
    "has_zpaq",
    "image_of",
    "installed",
    "opened_graphic",
    "photo_peers",
    "ppmd",
    "same",
    "seen",
    "size_of",
    "wide_peers",
    "zstd",
]

Item = TypeVar("Item")
Coder = tuple[Callable[[Item], bytes], Callable[[bytes, int], Item]]

LIBRARIES = {
    "imagecodecs": ("JPEG XL, JPEG-LS and JPEG 2000", "pip install 'bfncodec[bench]'"),
    "zstandard": ("zstd", "pip install 'bfncodec[bench]'"),
    "brotli": ("brotli", "pip install 'bfncodec[bench]'"),
    "pyppmd": ("PPMd", "pip install 'bfncodec[bench]'"),
    "bz2": ("bzip2", "a Python that was built with it"),
    "lzma": ("xz", "a Python that was built with it"),
    "zlib": ("gzip", "a Python that was built with it"),
}
"""Peers by the library that has them, and where that is to be had."""

WEBP, JPEG_XL = "WebP -m 6 -q 100", "JPEG XL -e {}"
PPMD_ORDER, PPMD_MEMORY = 16, 256 << 20  # 10 MB of text fill more than 64 MB
PPMD_FED = 1 << 12  # bytes at once: its encoder may lose one where more than 32 KB come out of a call
PPMD, ZPAQ = f"PPMd -o {PPMD_ORDER}", "zpaq -m5"
EFFORTS = (7, 9)  # of JPEG XL: the default, and the smallest
_PNG: dict[str, Any] = {"optimize": True}
_WEBP: dict[str, Any] = {"lossless": True, "quality": 100, "method": 6, "exact": True}


@dataclass(frozen=True)
class Peer(Generic[Item]):
    """A name and two functions. decode needs no more than the bytes and the size of the item in bytes."""

    name: str
    encode: Callable[[Item], bytes]
    decode: Callable[[bytes, int], Item]


@dataclass(frozen=True, eq=False)
class Graphic:
    """A picture in its own mode, without metadata, and the bytes of the file it was found in."""

    found: bytes
    image: Image.Image  # 1, L, LA, P, RGB, RGBA

    @property
    def nbytes(self) -> int:
        """Bytes of the samples, no palette."""
        return len(self.image.tobytes())


# ---- what there is ------------------------------------------------------------------------------


def byte_peers(zpaq: bool = False) -> list[Peer[bytes]]:
    """Return the peers of bytes. zpaq: that program, too, where it is."""
    peers = [Peer("gzip -9", *_gzip(zlib)) for zlib in installed("zlib")]
    peers += [Peer("bzip2 -9", *_bzip2(bz2)) for bz2 in installed("bz2")]
    peers += [Peer("xz -9e", *_xz(lzma)) for lzma in installed("lzma")]
    peers += [Peer("zstd -22", *zstd(library)) for library in installed("zstandard")]
    peers += [Peer("brotli -q 11", *_brotli(brotli)) for brotli in installed("brotli")]
    peers += [Peer(PPMD, *ppmd(library)) for library in installed("pyppmd")]
    return peers + ([Peer(ZPAQ, _zpaq, _unzpaq)] if zpaq and has_zpaq() else [])


def photo_peers() -> list[Peer[Pixels]]:
    """Return the peers of RGB pictures, uint8 [H, W, 3]."""
    peers: list[Peer[Pixels]] = [Peer("PNG", _png, _opened), Peer(WEBP, _webp, _opened)]
    for imagecodecs in installed("imagecodecs"):
        peers += [Peer("JPEG-LS", *_jpegls(imagecodecs)), Peer("JPEG 2000", *_jpeg2000(imagecodecs))]
        peers += [Peer(JPEG_XL.format(effort), *_jpegxl(imagecodecs, effort)) for effort in EFFORTS]
    return peers


def grey_peers() -> list[Peer[Pixels]]:
    """Return the peers of one channel of 8 or 16 bits, [H, W]. WebP has no such pictures."""
    peers: list[Peer[Pixels]] = [Peer("PNG", _png, _opened_grey)]
    for imagecodecs in installed("imagecodecs"):
        peers += [Peer("JPEG-LS", *_jpegls(imagecodecs))]
        peers += [Peer(JPEG_XL.format(effort), *_jpegxl(imagecodecs, effort)) for effort in EFFORTS]
    return peers


def wide_peers() -> list[Peer[Pixels]]:
    """Return the peers of any channels of 16 bits, uint16 [H, W] or [H, W, 2 to 4], which Pillow has not."""
    peers: list[Peer[Pixels]] = []
    for imagecodecs in installed("imagecodecs"):
        peers += [Peer("PNG", *_png16(imagecodecs))]
        peers += [Peer(JPEG_XL.format(effort), *_jpegxl(imagecodecs, effort)) for effort in EFFORTS]
    return peers


def graphic_peers(efforts: Sequence[int] = EFFORTS) -> list[Peer[Graphic]]:
    """Return the peers of pictures of any mode of 8 bits. Those without palettes are given their colours.

    efforts: of JPEG XL.
    """
    peers: list[Peer[Graphic]] = [
        Peer("PNG", lambda graphic: _saved(graphic.image, "PNG", **_PNG), opened_graphic),
        Peer(WEBP, lambda graphic: _saved(_coloured(graphic.image), "WEBP", **_WEBP), opened_graphic),
    ]
    for imagecodecs in installed("imagecodecs"):
        peers += [Peer(JPEG_XL.format(effort), *_jpegxl_graphic(imagecodecs, effort)) for effort in efforts]
    return peers


def installed(name: str) -> Iterator[Any]:
    """Yield a library by its name, or nothing where it is not installed."""
    try:
        yield import_module(name)
    except ImportError:
        return


def absent() -> list[str]:
    """Return a line for each library that is not installed: the peers it has, and where it is to be had."""
    missing: dict[str, list[str]] = {}
    for name, (peers, where) in LIBRARIES.items():
        if not list(installed(name)):
            missing.setdefault(where, []).append(peers)
    if not has_zpaq():
        missing["the program zpaq (Debian: apt install zpaq)"] = ["zpaq"]
    return [f"left out: {', '.join(peers)}: {where}" for where, peers in missing.items()]


# ---- items --------------------------------------------------------------------------------------


def graphic_of(data: bytes) -> Graphic | None:
    """Return the picture in a file's bytes, None where its samples have more than eight bits."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
            return None
        bare = image.copy()
    bare.info = {key: value for key, value in bare.info.items() if key == "transparency"}
    return Graphic(data, bare)


def size_of(item: Any) -> int:
    """Return the bytes of an item."""
    return len(item) if isinstance(item, bytes) else int(item.nbytes)


def same(item: Any, back: Any) -> bool:
    """Return whether an item came back; of graphics what they show counts, as most peers have not all modes."""
    if isinstance(item, Graphic):
        return np.array_equal(seen(back.image), seen(item.image))
    return bool(np.array_equal(back, item))


def seen(image: Image.Image) -> Pixels:
    """Return what a picture shows, whatever its mode, and the colours of its invisible pixels: uint8 [H, W, 4]."""
    return np.asarray(_coloured(image).convert("RGBA"))


def image_of(pixels: Pixels) -> Image.Image:
    """Return an array as Pillow has it."""
    return Image.fromarray(pixels)


# ---- pictures -----------------------------------------------------------------------------------


def _png(pixels: Pixels) -> bytes:
    return _saved(image_of(pixels), "PNG", **_PNG)


def _webp(pixels: Pixels) -> bytes:
    return _saved(image_of(pixels), "WEBP", **_WEBP)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _opened(blob: bytes, size: int) -> Pixels:
    with Image.open(io.BytesIO(blob)) as image:
        return np.asarray(image.convert("RGB"))


def _opened_grey(blob: bytes, size: int) -> Pixels:
    with Image.open(io.BytesIO(blob)) as image:
        return np.asarray(image)


def _png16(imagecodecs: Any) -> Coder[Pixels]:
    def encode(pixels: Pixels) -> bytes:
        return bytes(imagecodecs.png_encode(pixels, level=9))

    def decode(blob: bytes, size: int) -> Pixels:
        return np.asarray(imagecodecs.png_decode(blob))

    return encode, decode


def _jpegxl(imagecodecs: Any, effort: int) -> Coder[Pixels]:
    def encode(pixels: Pixels) -> bytes:
        return bytes(imagecodecs.jpegxl_encode(pixels, effort=effort, lossless=True, numthreads=1))

    def decode(blob: bytes, size: int) -> Pixels:
        return np.asarray(imagecodecs.jpegxl_decode(blob, numthreads=1))

    return encode, decode


def _jpegls(imagecodecs: Any) -> Coder[Pixels]:
    """Encoder and decoder of the channels as they are: the standard's encoder decorrelates none."""

    def encode(pixels: Pixels) -> bytes:
        return bytes(imagecodecs.jpegls_encode(pixels))

    def decode(blob: bytes, size: int) -> Pixels:
        return np.asarray(imagecodecs.jpegls_decode(blob))

    return encode, decode


def _jpeg2000(imagecodecs: Any) -> Coder[Pixels]:
    """A bare code stream, reversible wavelet and colour transform."""

    def encode(pixels: Pixels) -> bytes:
        return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="j2k", numthreads=1))

    def decode(blob: bytes, size: int) -> Pixels:
        return np.asarray(imagecodecs.jpeg2k_decode(blob, numthreads=1))

    return encode, decode


def _coloured(image: Image.Image) -> Image.Image:
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def opened_graphic(blob: bytes, size: int) -> Graphic:
    """Return the picture in the bytes of a file of a peer, decoded."""
    image = Image.open(io.BytesIO(blob))
    image.load()
    return Graphic(blob, image)


def _jpegxl_graphic(imagecodecs: Any, effort: int) -> Coder[Graphic]:
    pack, unpack = _jpegxl(imagecodecs, effort)

    def encode(graphic: Graphic) -> bytes:
        image = graphic.image
        plain = image.mode in ("L", "LA") and "transparency" not in image.info
        return pack(np.asarray(image if plain else _coloured(image)))

    def decode(blob: bytes, size: int) -> Graphic:
        return Graphic(blob, image_of(unpack(blob, size)))

    return encode, decode


# ---- bytes --------------------------------------------------------------------------------------


def _gzip(zlib: Any) -> Coder[bytes]:
    """Encoder and decoder of what gzip writes, without a name or a time."""

    def encode(data: bytes) -> bytes:
        coder = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        return bytes(coder.compress(data) + coder.flush())

    def decode(blob: bytes, size: int) -> bytes:
        return bytes(zlib.decompress(blob, 16 + zlib.MAX_WBITS))

    return encode, decode


def _bzip2(bz2: Any) -> Coder[bytes]:
    return bz2.compress, lambda blob, size: bytes(bz2.decompress(blob))


def _xz(lzma: Any) -> Coder[bytes]:
    def encode(data: bytes) -> bytes:
        return bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))

    return encode, lambda blob, size: bytes(lzma.decompress(blob))


def zstd(zstandard: Any, dictionary: bytes = b"") -> Coder[bytes]:
    """Return encoder and decoder with a dictionary, which is on both sides; files name it by four bytes."""
    known = zstandard.ZstdCompressionDict(dictionary) if dictionary else None

    def encode(data: bytes) -> bytes:
        return bytes(zstandard.ZstdCompressor(level=22, dict_data=known).compress(data))

    def decode(blob: bytes, size: int) -> bytes:
        return bytes(zstandard.ZstdDecompressor(dict_data=known).decompress(blob))

    return encode, decode


def _brotli(brotli: Any) -> Coder[bytes]:
    def encode(data: bytes) -> bytes:
        return bytes(brotli.compress(data, quality=11, lgwin=24))

    def decode(blob: bytes, size: int) -> bytes:
        return bytes(brotli.decompress(blob))

    return encode, decode


def ppmd(pyppmd: Any, primer: bytes = b"") -> Coder[bytes]:
    """Return encoder and decoder of variant I without any header: not even the size, which its decoder is told.

    Its coder ends in four bytes. primer: what both sides have seen before. What the encoder gives out for it does not
    depend on what follows (variant I's range coder carries nothing into bytes it has given out), so both sides make it
    for themselves and a file is only what comes after.
    """

    def pack(coder: Any, data: bytes) -> bytes:
        return b"".join(coder.encode(data[i : i + PPMD_FED]) for i in range(0, len(data), PPMD_FED))

    def start() -> tuple[Any, bytes]:
        coder = pyppmd.Ppmd8Encoder(PPMD_ORDER, PPMD_MEMORY)
        return coder, pack(coder, primer)

    _, known = start()

    def encode(data: bytes) -> bytes:
        coder, _ = start()
        return bytes(pack(coder, data) + coder.flush(False))  # no end mark: the size is known

    def decode(blob: bytes, size: int) -> bytes:
        coder = pyppmd.Ppmd8Decoder(PPMD_ORDER, PPMD_MEMORY)
        padded = known + blob + b"\0"  # it starts with no less than five bytes
        return bytes(coder.decode(padded, len(primer) + size)[len(primer) :])

    return encode, decode


def has_zpaq() -> bool:
    """Return whether that program is installed."""
    return shutil.which("zpaq") is not None


def _zpaq(data: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x").write_bytes(data)
        subprocess.run(["zpaq", "add", "x.zpaq", "x", "-m5", "-t1"], cwd=folder, check=True, capture_output=True)
        return Path(folder, "x.zpaq").read_bytes()


def _unzpaq(blob: bytes, size: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x.zpaq").write_bytes(blob)
        subprocess.run(["zpaq", "extract", "x.zpaq", "-t1"], cwd=folder, check=True, capture_output=True)
        return Path(folder, "x").read_bytes()
