"""The codecs that are compared, ours and the peers, behind one pair of functions each.

Peers run at their strongest practical setting. Those whose package is not installed are left out
(`pip install 'bfncodec[bench]'` has them all).
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from bfncodec.codecs import protocol
from bfncodec.models import DEFAULT_LEVEL
from bfncodec.runtime.progress import Progress

if TYPE_CHECKING:
    from PIL import Image

    from bfncodec.flow.report import CodeLength

Pixels = NDArray[np.uint8 | np.uint16]  # [H, W, 3], or [H, W] grey
T = TypeVar("T")

PPMD_ORDER, PPMD_MEMORY = 16, 256 << 20  # 10 MB of text fill more than 64 MB
PPMD_FED = 1 << 12  # bytes at once: its encoder may lose one where more than 32 KB come out of a call
DICTIONARY = 112_640  # bytes; what `zstd --train` makes
SHORT_TEXT, SMALL_IMAGE = 2048, 128 * 128 * 3  # bytes; up to here compress() asks the default model in any case
ONE_SEGMENT = 1 << 18  # bytes; up to here it gives all to a model that was named, in one piece
WEBP = "WebP -m 6 -q 100"
PPMD, ZPAQ = f"PPMd -o {PPMD_ORDER}", "zpaq -m5"
ZSTD_TRAINED, PPMD_PRIMED = "zstd -22, dictionary", f"{PPMD}, primed"
_PNG: dict[str, Any] = {"optimize": True}
_WEBP: dict[str, Any] = {"lossless": True, "quality": 100, "method": 6, "exact": True}


@dataclass(frozen=True, eq=False)
class Graphic:
    """A picture in its own mode, without metadata, and the bytes of the file it was found in."""

    found: bytes
    image: Image.Image  # 1, L, LA, P, RGB, RGBA

    @property
    def nbytes(self) -> int:
        """Bytes of the samples, no palette."""
        return len(self.image.tobytes())


def _nothing(batch: Sequence[Any]) -> None:
    """Peers have no use for knowing what comes next."""


def _no_methods(blob: bytes) -> Mapping[str, int]:
    """Peers have one method."""
    return {}


@dataclass(frozen=True)
class Codec(Generic[T]):
    """A name and two functions; decode needs no more than the bytes and the raw size.

    A codec that is faster with many items at once is told beforehand which ones come next: the items before they are
    encoded one by one, and the bytes before they are decoded one by one. methods: a file's segments by how they are
    coded.
    """

    name: str
    encode: Callable[[T], bytes]
    decode: Callable[[bytes, int], T]
    foresee: Callable[[Sequence[T]], None] = _nothing
    foresee_coded: Callable[[Sequence[bytes]], None] = _nothing
    methods: Callable[[bytes], Mapping[str, int]] = _no_methods


@dataclass(frozen=True)
class Ours:
    """Codec of our own: a model's name or "auto", and a level, None for the default."""

    model: str = "auto"
    level: int | None = None
    strip: bool = False

    @property
    def name(self) -> str:
        """Name and level as the command line takes them."""
        words = ["bfncodec", f"-{self.level}" if self.level else "", f"-m {self.model}" if self.model != "auto" else ""]
        words.append("--strip" if self.strip else "")
        return " ".join(filter(None, words))

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of :func:`bfncodec.compress`."""
        said = {"level": self.level, "strip": self.strip}
        return {"model": self.model} | {name: value for name, value in said.items() if value}


def photo_codecs(*ours: Ours) -> list[Codec[Pixels]]:
    """Codecs of RGB images; ours come last."""
    codecs = [Codec("PNG", _png, _opened), Codec(WEBP, _webp, _opened)]
    for imagecodecs in _installed("imagecodecs"):
        codecs += [Codec("JPEG-LS", *_jpegls(imagecodecs)), Codec("JPEG 2000", *_jpeg2000(imagecodecs))]
        codecs += [Codec(f"JPEG XL -e {e}", *_jpegxl(imagecodecs, e)) for e in (7, 9)]
    return codecs + [_ours_photo(way) for way in ours]


def grey_codecs(*ours: Ours) -> list[Codec[Pixels]]:
    """Codecs of one channel of 8 or 16 bits; ours come last. WebP has no such pictures."""
    codecs = [Codec("PNG", _png, _opened_grey)]
    for imagecodecs in _installed("imagecodecs"):
        codecs += [Codec("JPEG-LS", *_jpegls(imagecodecs))]
        codecs += [Codec(f"JPEG XL -e {e}", *_jpegxl(imagecodecs, e)) for e in (7, 9)]
    return codecs + [_ours_photo(way) for way in ours]


def graphics_codecs(*ours: Ours) -> list[Codec[Graphic]]:
    """Codecs of pictures of any mode; ours come last. Peers without palettes are given their colours."""
    codecs: list[Codec[Graphic]] = [
        Codec("PNG as found", lambda graphic: graphic.found, _opened_graphic),
        Codec("PNG", lambda graphic: _saved(graphic.image, "PNG", **_PNG), _opened_graphic),
        Codec(WEBP, lambda graphic: _saved(_coloured(graphic.image), "WEBP", **_WEBP), _opened_graphic),
    ]
    codecs += [Codec("JPEG XL -e 9", *_jpegxl_graphic(jxl, 9)) for jxl in _installed("imagecodecs")]
    return codecs + [_ours_graphic(replace(way, strip=strip)) for way in ours for strip in (False, True)]


def text_codecs(*ours: Ours, dictionary: bytes = b"", zpaq: bool = False) -> list[Codec[bytes]]:
    """Codecs of bytes; ours come last.

    dictionary: of :func:`trained`, for zstd and PPMd, each with and without. zpaq: run that program, too, where it is.
    """
    codecs: list[Codec[bytes]] = [Codec("gzip -9", _gzip, _gunzip), Codec("bzip2 -9", bz2.compress, _bunzip2)]
    codecs += [Codec("xz -9e", _xz, _unxz)]
    codecs += [Codec("zstd -22", *_zstd(zstd)) for zstd in _installed("zstandard")]
    codecs += [Codec("brotli -q 11", *_brotli(brotli)) for brotli in _installed("brotli")]
    codecs += [Codec(PPMD, *_ppmd(pyppmd)) for pyppmd in _installed("pyppmd")]
    if zpaq and has_zpaq():
        codecs.append(Codec(ZPAQ, _zpaq, _unzpaq))
    if dictionary:
        codecs += [Codec(ZSTD_TRAINED, *_zstd(zstd, dictionary)) for zstd in _installed("zstandard")]
        codecs += [Codec(PPMD_PRIMED, *_ppmd(pyppmd, dictionary)) for pyppmd in _installed("pyppmd")]
    return codecs + [_ours_text(way) for way in ours]


def trained(samples: Sequence[bytes]) -> bytes:
    """A dictionary of what samples share, most useful at its end; empty without samples or zstandard.

    Raises UsageError where there are too few of them.
    """
    for zstandard in _installed("zstandard") if samples else ():
        try:
            return bytes(zstandard.train_dictionary(DICTIONARY, list(samples)).as_bytes())
        except zstandard.ZstdError as error:
            message = f"zstd makes no dictionary of {len(samples)} samples ({error}): give it more to train on"
            raise click.UsageError(message) from error
    return b""


def _installed(name: str) -> Iterator[Any]:
    try:
        yield importlib.import_module(name)
    except ImportError:
        return


# --- images ------------------------------------------------------------------------------------


def _png(pixels: Pixels) -> bytes:
    return _saved(_image(pixels), "PNG", **_PNG)


def _webp(pixels: Pixels) -> bytes:
    return _saved(_image(pixels), "WEBP", **_WEBP)


def _image(pixels: Pixels) -> Image.Image:
    from PIL import Image

    return Image.fromarray(pixels)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _opened(blob: bytes, size: int) -> Pixels:
    from PIL import Image

    with Image.open(io.BytesIO(blob)) as image:
        return np.asarray(image.convert("RGB"))


def _opened_grey(blob: bytes, size: int) -> Pixels:
    from PIL import Image

    with Image.open(io.BytesIO(blob)) as image:
        return np.asarray(image)


def _jpegxl(imagecodecs: Any, effort: int) -> tuple[Callable[[Pixels], bytes], Callable[[bytes, int], Pixels]]:
    def encode(pixels: Pixels) -> bytes:
        return bytes(imagecodecs.jpegxl_encode(pixels, effort=effort, lossless=True, numthreads=1))

    def decode(blob: bytes, size: int) -> Pixels:
        return np.asarray(imagecodecs.jpegxl_decode(blob, numthreads=1))

    return encode, decode


def _jpegls(imagecodecs: Any) -> tuple[Callable[[Pixels], bytes], Callable[[bytes, int], Pixels]]:
    """Encoder and decoder of the channels as they are: the standard's encoder decorrelates none."""

    def encode(pixels: Pixels) -> bytes:
        return bytes(imagecodecs.jpegls_encode(pixels))

    def decode(blob: bytes, size: int) -> Pixels:
        return np.asarray(imagecodecs.jpegls_decode(blob))

    return encode, decode


def _jpeg2000(imagecodecs: Any) -> tuple[Callable[[Pixels], bytes], Callable[[bytes, int], Pixels]]:
    """A bare code stream, reversible wavelet and colour transform."""

    def encode(pixels: Pixels) -> bytes:
        return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="j2k", numthreads=1))

    def decode(blob: bytes, size: int) -> Pixels:
        return np.asarray(imagecodecs.jpeg2k_decode(blob, numthreads=1))

    return encode, decode


def _ours_photo(way: Ours) -> Codec[Pixels]:
    import bfncodec

    source = Ahead(SMALL_IMAGE if way.model == "auto" else ONE_SEGMENT)

    def encode(pixels: Pixels) -> bytes:
        return bfncodec.compress(_image(pixels), **way.options, codecs=source)

    def decode(blob: bytes, size: int) -> Pixels:
        return np.asarray(bfncodec.decompress(blob, codecs=source))

    return Codec(way.name, encode, decode, source.foresee, source.foresee_coded, _methods)


def _methods(blob: bytes) -> Mapping[str, int]:
    import bfncodec

    return bfncodec.describe(blob).methods


# --- pictures of any mode ----------------------------------------------------------------------


def read_graphic(path: Path) -> Graphic | None:
    """A picture file; None where its samples have more than eight bits."""
    from PIL import Image

    with Image.open(path) as image:
        if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
            return None
        bare = image.copy()
    bare.info = {key: value for key, value in bare.info.items() if key == "transparency"}
    return Graphic(path.read_bytes(), bare)


def seen(image: Image.Image) -> Pixels:
    """Return what a picture shows, whatever its mode, and the colours of its invisible pixels: uint8 [H, W, 4]."""
    return np.asarray(_coloured(image).convert("RGBA"))


def _coloured(image: Image.Image) -> Image.Image:
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _opened_graphic(blob: bytes, size: int) -> Graphic:
    from PIL import Image

    return Graphic(blob, Image.open(io.BytesIO(blob)))


def _jpegxl_graphic(
    imagecodecs: Any, effort: int
) -> tuple[Callable[[Graphic], bytes], Callable[[bytes, int], Graphic]]:
    pack, unpack = _jpegxl(imagecodecs, effort)

    def encode(graphic: Graphic) -> bytes:
        image = graphic.image
        plain = image.mode in ("L", "LA") and "transparency" not in image.info
        return pack(np.asarray(image if plain else _coloured(image)))

    def decode(blob: bytes, size: int) -> Graphic:
        return Graphic(blob, _image(unpack(blob, size)))

    return encode, decode


def _ours_graphic(way: Ours) -> Codec[Graphic]:
    import bfncodec

    source = bfncodec.Models()  # one for all calls: each model is read once

    def encode(graphic: Graphic) -> bytes:
        return bfncodec.compress(graphic.image, **way.options, codecs=source)

    def decode(blob: bytes, size: int) -> Graphic:
        return Graphic(blob, bfncodec.decompress(blob, codecs=source))

    return Codec(way.name, encode, decode, methods=_methods)


# --- bytes -------------------------------------------------------------------------------------


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


def _gunzip(blob: bytes, size: int) -> bytes:
    return gzip.decompress(blob)


def _bunzip2(blob: bytes, size: int) -> bytes:
    return bz2.decompress(blob)


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)


def _unxz(blob: bytes, size: int) -> bytes:
    return lzma.decompress(blob)


def _zstd(zstandard: Any, dictionary: bytes = b"") -> tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]:
    """Encoder and decoder with a dictionary, which like our model is on both sides; files name it by four bytes."""
    known = zstandard.ZstdCompressionDict(dictionary) if dictionary else None

    def encode(data: bytes) -> bytes:
        return bytes(zstandard.ZstdCompressor(level=22, dict_data=known).compress(data))

    def decode(blob: bytes, size: int) -> bytes:
        return bytes(zstandard.ZstdDecompressor(dict_data=known).decompress(blob))

    return encode, decode


def _brotli(brotli: Any) -> tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]:
    def encode(data: bytes) -> bytes:
        return bytes(brotli.compress(data, quality=11, lgwin=24))

    def decode(blob: bytes, size: int) -> bytes:
        return bytes(brotli.decompress(blob))

    return encode, decode


def _ppmd(pyppmd: Any, primer: bytes = b"") -> tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]:
    """Variant I without any header: not even the size, which its decoder is told. Its coder ends in four bytes.

    What the encoder gives out for the primer does not depend on what follows (variant I's range coder carries nothing
    into bytes it has given out), so both sides make it for themselves and a file is only what comes after.
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


def _ours_text(way: Ours) -> Codec[bytes]:
    import bfncodec

    source = Ahead(SHORT_TEXT if way.model == "auto" else ONE_SEGMENT)

    def encode(data: bytes) -> bytes:
        return bfncodec.compress(data, **way.options, codecs=source)

    def decode(blob: bytes, size: int) -> bytes:
        content = bfncodec.decompress(blob, codecs=source)
        assert isinstance(content, bytes)
        return content

    return Codec(way.name, encode, decode, source.foresee, source.foresee_coded, _methods)


# --- ours, many items at once ------------------------------------------------------------------


class Ahead:
    """Models for :func:`bfncodec.compress` and decompress that code small items ahead, as one batch.

    Each file is still made and read by those two functions, frame, fallbacks and checksum included: only the calls of
    the network are shared. The payloads are the same bytes either way (a test holds them to that).

    short: bytes of the largest items that are coded ahead.
    """

    def __init__(self, short: int) -> None:
        import bfncodec

        self.short = short
        self.items: list[Any] = []  # that come next
        self.payloads: dict[bytes, list[bytes]] = {}  # that come next, by their model's identity
        self._models = bfncodec.Models()  # one for all calls: each model is read once
        self._codecs: dict[bytes, AheadCodec] = {}

    def default(self, role: str, level: int = DEFAULT_LEVEL) -> AheadCodec | None:
        """Implements :class:`bfncodec.CodecSource`."""
        codec = self._models.default(role, level)
        return None if codec is None else self._remembered(codec)

    def named(self, name: str) -> AheadCodec:
        """Implements :class:`bfncodec.CodecSource`."""
        return self._remembered(self._models.named(name))

    def identified(self, identity: bytes) -> AheadCodec:
        """Implements :class:`bfncodec.CodecSource`."""
        return self._remembered(self._models.identified(identity))

    def foresee(self, items: Sequence[Any]) -> None:
        """A model that is asked for one of these will encode all of them that are short."""
        self.items = [item for item in items if _size(item) <= self.short]

    def foresee_coded(self, blobs: Sequence[bytes]) -> None:
        """A model that is asked for one of these files will decode all of them that are one segment of its own."""
        from bfncodec.format.container import unpack

        self.payloads = {}
        for frame in map(unpack, blobs):
            if len(frame.entries) == 1 and (part := frame.segment(0, salvage=True)).model:
                self.payloads.setdefault(part.model, []).append(part.payload)

    def _remembered(self, codec: protocol.Codec[Any]) -> AheadCodec:
        return self._codecs.setdefault(codec.info.id, AheadCodec(codec, self))


class AheadCodec(protocol.Codec[Any]):
    """A model's codec that codes ahead what comes next when it is asked for the first of it."""

    def __init__(self, codec: protocol.Codec[Any], ahead: Ahead) -> None:
        self.info, self.capabilities = codec.info, codec.capabilities
        self._codec, self._ahead = codec, ahead
        self._payloads: dict[Any, bytes] = {}
        self._items: dict[bytes, Any] = {}

    def encode_batch(
        self,
        xs: Sequence[Any],
        progress: Progress | None = None,
        thorough: bool = False,
        *,
        checksum: bool = False,
    ) -> list[bytes]:
        """Return the same payloads as the model's codec; ``checksum`` is not for items coded ahead."""
        coming = {(_key(item), thorough): item for item in self._ahead.items}
        keys = [(_key(x), thorough) for x in xs]
        if not all(key in coming for key in keys):
            return self._codec.encode_batch(xs, progress, thorough, checksum=checksum)
        if not all(key in self._payloads for key in keys):
            payloads = self._codec.encode_batch(list(coming.values()), progress, thorough)
            self._payloads = dict(zip(coming, payloads, strict=True))
        return [self._payloads[key] for key in keys]

    def decode_batch(
        self, payloads: Sequence[bytes], progress: Progress | None = None, *, checksum: bool = False
    ) -> list[Any]:
        """Return the same items as the model's codec; ``checksum`` is not for items decoded ahead."""
        coming = self._ahead.payloads.get(self._codec.info.id, [])
        if not all(payload in coming for payload in payloads):
            return self._codec.decode_batch(payloads, progress, checksum=checksum)
        if not all(payload in self._items for payload in payloads):
            self._items = dict(zip(coming, self._codec.decode_batch(coming, progress), strict=True))
        return [self._items[payload] for payload in payloads]

    def codelength(self, x: Any) -> CodeLength:
        """Return the ideal bits by the model's codec."""
        return self._codec.codelength(x)

    def refusal(self, x: Any) -> str:
        """Return why the model cannot code an item; empty if it can."""
        return self._codec.refusal(x)

    def verifies(self, payload: bytes) -> bool:
        """Return whether the payload has sound checksums of its own."""
        return self._codec.verifies(payload)


def _key(item: Any) -> Any:
    """Return what tells items apart: bytes themselves, an image's shape and pixels."""
    return item if isinstance(item, bytes) else (item.shape, item.tobytes())


def _size(item: Any) -> int:
    return len(item) if isinstance(item, bytes) else int(item.nbytes)
