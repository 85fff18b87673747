"""The models of `support.doubles` for this reader."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from reader.errors import DamagedPayloadError
from reader.methods import read_image_head
from reader.wire import Bytes
from support.doubles import noise


@dataclass(frozen=True)
class FakeModel:
    """A model of noise. role: `text`, `image` or `archive`."""

    role: str
    sha256: bytes = b""

    def decode_text(self, payload: bytes) -> bytes:
        reader = Bytes(payload)
        return self._body(reader, (reader.varint(),))

    def decode_picture(self, payload: bytes) -> tuple[int, int, bytes]:
        reader = Bytes(payload)
        height, width, grey = read_image_head(reader)
        return height, width, self._body(reader, (height, width, 1 if grey else 3))

    def _body(self, reader: Bytes, shape: tuple[int, ...]) -> bytes:
        flag = reader.byte()
        if flag:
            return noise(flag - 1, *shape).tobytes()
        size = 1
        for side in shape:
            size *= side
        body = reader.rest()
        if len(body) != size:
            raise DamagedPayloadError("a size that cannot be")
        return body


MODELS = {
    zlib.crc32(name).to_bytes(4, "little"): [FakeModel(role)]
    for name, role in ((b"photo", "image"), (b"text", "text"), (b"archive", "archive"))
}
