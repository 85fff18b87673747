"""A codec for tests that wins where nothing else can: on the noise of a known generator."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bfncodec.codecs.protocol import Capabilities, Codec
from bfncodec.errors import DamagedError, ModelNotFoundError
from bfncodec.flow.report import CodeLength
from bfncodec.format.imagehead import ImageHead
from bfncodec.format.wire import Reader, varint
from bfncodec.runtime.progress import Progress, silent


def noise(seed: int, *shape: int) -> np.ndarray[Any, Any]:
    """Return what no general coder can compress: uint8 of that shape."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@dataclass(frozen=True)
class FakeInfo:
    name: str
    role: str
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> bytes:
        return zlib.crc32(self.name.encode()).to_bytes(4, "little")

    @property
    def sha256(self) -> str:
        return self.id.hex() + hashlib.sha256(self.name.encode()).hexdigest()[8:]


class FakeCodec(Codec[Any]):
    """Noise of a seed below 10 takes 5 bytes and one for each 128 symbols; all else is stored."""

    def __init__(self, role: str, channels: tuple[int, ...] = (3,)) -> None:
        self.info = FakeInfo({"image": "photo", "text": "text"}[role], role)
        self.capabilities = (
            Capabilities(channels, batch=1 << 23, thorough=True) if role == "image" else Capabilities(batch=1 << 20)
        )
        self.batches: list[int] = []  # symbols handed over at once
        self.decoded = 0  # payloads
        self.thorough = False  # whether it was asked to be, last

    def encode_batch(
        self, xs: Sequence[Any], progress: Progress | None = None, thorough: bool = False, *, checksum: bool = False
    ) -> list[bytes]:
        self.thorough = thorough
        assert self.info.role != "image" or all(x.shape[2] in self.capabilities.channels for x in xs)
        self.batches.append(sum(len(x) if isinstance(x, bytes) else x.shape[0] * x.shape[1] for x in xs))
        return [self._encode(x, progress or silent) for x in xs]

    def decode_batch(
        self, payloads: Sequence[bytes], progress: Progress | None = None, *, checksum: bool = False
    ) -> list[Any]:
        self.decoded += len(payloads)
        return [self._decode(payload, progress or silent) for payload in payloads]

    def codelength(self, x: Any) -> CodeLength:
        bits = 8.0 * len(self._encode(x, silent))
        return CodeLength(np.array([bits - 3, 1.0]), 2.0, len(x) if isinstance(x, bytes) else x.size)

    def _encode(self, x: Any, progress: Callable[[int], None]) -> bytes:
        shape = (len(x),) if self.info.role != "image" else x.shape
        array = np.frombuffer(x, np.uint8) if self.info.role != "image" else x
        progress(int(np.prod(shape[:2])))
        sides = varint(len(x)) if self.info.role != "image" else ImageHead(*shape).write()
        for seed in range(10):
            if array.size and np.array_equal(noise(seed, *shape), array):
                return sides + bytes([1 + seed]) + bytes(4 + array.size // 128)
        return sides + bytes([0]) + array.tobytes()

    def _decode(self, payload: bytes, progress: Callable[[int], None]) -> Any:
        reader = Reader(payload)
        shape: tuple[int, ...]
        if self.info.role != "image":
            shape = (reader.varint("a size"),)
        else:
            head = ImageHead.read(reader)
            shape = head.height, head.width, head.channels
            if head.channels not in self.capabilities.channels:
                raise DamagedError("channels that cannot be")
        progress(int(np.prod(shape[:2])))
        flag = reader.byte("a flag")
        if flag:
            array = noise(flag - 1, *shape)
        else:
            body = reader.rest()
            if len(body) != int(np.prod(shape)):
                raise DamagedError("sizes that cannot be")
            array = np.frombuffer(body, np.uint8).reshape(shape)
        return array.tobytes() if self.info.role != "image" else array


class FakeModels:
    """Both codecs, found as :class:`bfncodec.Models` finds them."""

    def __init__(self, channels: tuple[int, ...] = (3,)) -> None:
        self.codecs = {role: FakeCodec(role, channels) for role in ("image", "text")}
        self.level = 0  # asked for last

    def default(self, role: str, level: int = 5) -> FakeCodec:
        self.level = level
        return self.codecs[role]

    def named(self, name: str) -> FakeCodec:
        return self._first(lambda codec: codec.info.name == name, name)

    def identified(self, identity: bytes) -> FakeCodec:
        return self._first(lambda codec: codec.info.id == identity, identity.hex())

    def _first(self, wanted: Callable[[FakeCodec], bool], name: str) -> FakeCodec:
        for codec in self.codecs.values():
            if wanted(codec):
                return codec
        raise ModelNotFoundError(f"model {name} is not here")


class FakeArchive(FakeCodec):
    """A codec of many items of one shape, as bytes like a text's."""

    def __init__(self, shape: tuple[int, int, int] = (4, 4, 3)) -> None:
        super().__init__("text")
        self.info = FakeInfo("archive", "archive")
        self.capabilities = Capabilities(item_shape=shape)


class FakeModelsAndArchive(FakeModels):
    """Both codecs, and one of archives."""

    def __init__(self, channels: tuple[int, ...] = (3,)) -> None:
        super().__init__(channels)
        self.codecs["archive"] = FakeArchive()
