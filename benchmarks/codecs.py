"""The codecs that are compared: the peers of :mod:`bfncodec.analysis.peers`, and ours in all ways of using it.

Peers whose package is not installed are left out (`pip install 'bfncodec[bench]'` has them all).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from bfncodec.analysis.peers import (
    PPMD,
    Graphic,
    Peer,
    byte_peers,
    graphic_peers,
    grey_peers,
    image_of,
    installed,
    opened_graphic,
    photo_peers,
    ppmd,
    zstd,
)
from bfncodec.codecs import protocol
from bfncodec.models import DEFAULT_LEVEL
from bfncodec.runtime.progress import Progress

if TYPE_CHECKING:
    from bfncodec.flow.report import CodeLength

Pixels = NDArray[np.uint8 | np.uint16]  # [H, W, 3], or [H, W] grey
T = TypeVar("T")

DICTIONARY = 112_640  # bytes; what `zstd --train` makes
SHORT_TEXT, SMALL_IMAGE = 2048, 128 * 128 * 3  # bytes; up to here compress() asks the default model in any case
ONE_SEGMENT = 1 << 18  # bytes; up to here it gives all to a model that was named, in one piece
ZSTD_TRAINED, PPMD_PRIMED = "zstd -22, dictionary", f"{PPMD}, primed"


def _nothing(batch: Sequence[Any]) -> None:
    """Peers have no use for knowing what comes next."""


def _no_methods(blob: bytes) -> Mapping[str, int]:
    """Peers have one method."""
    return {}


@dataclass(frozen=True)
class Codec(Peer[T]):
    """A codec to be measured with many items.

    A codec that is faster with many items at once is told beforehand which ones come next: the items before they are
    encoded one by one, and the bytes before they are decoded one by one. methods: a file's segments by how they are
    coded.
    """

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
    return [*_codecs(photo_peers()), *map(_ours_photo, ours)]


def grey_codecs(*ours: Ours) -> list[Codec[Pixels]]:
    """Codecs of one channel of 8 or 16 bits; ours come last."""
    return [*_codecs(grey_peers()), *map(_ours_photo, ours)]


def graphics_codecs(*ours: Ours) -> list[Codec[Graphic]]:
    """Codecs of pictures of any mode; ours come last. Peers without palettes are given their colours."""
    found = Codec("PNG as found", lambda graphic: graphic.found, opened_graphic)
    mine = [_ours_graphic(replace(way, strip=strip)) for way in ours for strip in (False, True)]
    return [found, *_codecs(graphic_peers(efforts=(9,))), *mine]


def text_codecs(*ours: Ours, dictionary: bytes = b"", zpaq: bool = False) -> list[Codec[bytes]]:
    """Codecs of bytes; ours come last.

    dictionary: of :func:`trained`, for zstd and PPMd, each with and without. zpaq: run that program, too, where it is.
    """
    codecs = _codecs(byte_peers(zpaq))
    if dictionary:
        codecs += [Codec(ZSTD_TRAINED, *zstd(library, dictionary)) for library in installed("zstandard")]
        codecs += [Codec(PPMD_PRIMED, *ppmd(library, dictionary)) for library in installed("pyppmd")]
    return [*codecs, *map(_ours_text, ours)]


def _codecs(peers: Sequence[Peer[T]]) -> list[Codec[T]]:
    return [Codec(peer.name, peer.encode, peer.decode) for peer in peers]


def trained(samples: Sequence[bytes]) -> bytes:
    """A dictionary of what samples share, most useful at its end; empty without samples or zstandard.

    Raises UsageError where there are too few of them.
    """
    for zstandard in installed("zstandard") if samples else ():
        try:
            return bytes(zstandard.train_dictionary(DICTIONARY, list(samples)).as_bytes())
        except zstandard.ZstdError as error:
            message = f"zstd makes no dictionary of {len(samples)} samples ({error}): give it more to train on"
            raise click.UsageError(message) from error
    return b""


# --- ours, one file at a time -------------------------------------------------------------------


def _ours_photo(way: Ours) -> Codec[Pixels]:
    import bfncodec

    source = Ahead(SMALL_IMAGE if way.model == "auto" else ONE_SEGMENT)

    def encode(pixels: Pixels) -> bytes:
        return bfncodec.compress(image_of(pixels), **way.options, codecs=source)

    def decode(blob: bytes, size: int) -> Pixels:
        return np.asarray(bfncodec.decompress(blob, codecs=source))

    return Codec(way.name, encode, decode, source.foresee, source.foresee_coded, _methods)


def _methods(blob: bytes) -> Mapping[str, int]:
    import bfncodec

    return bfncodec.describe(blob).methods


def _ours_graphic(way: Ours) -> Codec[Graphic]:
    import bfncodec

    source = bfncodec.Models()  # one for all calls: each model is read once

    def encode(graphic: Graphic) -> bytes:
        return bfncodec.compress(graphic.image, **way.options, codecs=source)

    def decode(blob: bytes, size: int) -> Graphic:
        return Graphic(blob, bfncodec.decompress(blob, codecs=source))

    return Codec(way.name, encode, decode, methods=_methods)


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

    def beside(self, codec: protocol.Codec[Any]) -> list[AheadCodec]:
        """Codecs to try beside a default one, as :class:`bfncodec.Models` has them."""
        return [self._remembered(other) for other in self._models.beside(codec)]

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
