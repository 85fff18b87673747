"""Names of models in a file, for machines that lack them: tag 08. No numpy, torch or PIL.

docs/format.md, section 4, is the specification. The writer stands above its reader.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bfncodec.errors import DamagedError
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.frame import MODEL_BYTES
from bfncodec.format.header import Header
from bfncodec.format.wire import Reader, varint

__all__ = ["ModelName", "read_names", "write_names"]

_HASH_BYTES = 32


@dataclass(frozen=True)
class ModelName:
    """SHA-256 and name of a model."""

    sha256: bytes
    name: str

    @property
    def id(self) -> bytes:
        """The four bytes by which segments name it."""
        return self.sha256[:MODEL_BYTES]


def write_names(names: Iterable[ModelName]) -> Extra:
    """Return the extra that names models."""
    parts = (name.sha256 + name.name.encode() for name in names)
    return Extra(Tag.MODELS, b"".join(varint(len(part)) + part for part in parts))


def read_names(header: Header) -> tuple[ModelName, ...]:
    """Return the models that a file names, none if it names none. Raises DamagedError for what no writer writes."""
    reader, found = Reader(header.extra(Tag.MODELS) or b""), []
    while reader.offset < len(reader.data):
        part = reader.take(reader.varint("the size of a model's name"), "a model's name")
        try:
            found.append(ModelName(part[:_HASH_BYTES], part[_HASH_BYTES:].decode()))
        except UnicodeDecodeError as error:
            raise DamagedError("expected a model's name in UTF-8") from error
        if len(part) < _HASH_BYTES or not found[-1].name.isprintable():
            raise DamagedError("expected the SHA-256 and the name of a model")
    return tuple(found)
