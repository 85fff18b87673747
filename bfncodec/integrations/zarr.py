"""Zarr, format 3: codecs of arrays and of bytes.

Zarr hands over as many chunks at once as its setting ``codec_pipeline.batch_size`` says, which is one unless it is
raised. Chunks that come together are coded together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
from zarr.abc.codec import ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin, BytesBytesCodec
from zarr.registry import register_codec

from bfncodec.api import decompress_many
from bfncodec.errors import DamagedError, InputError
from bfncodec.format.kinds import ARRAY_TYPES
from bfncodec.integrations.chunks import Coder, decode_chunks, models

if TYPE_CHECKING:
    from zarr.abc.store import ByteGetter
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer
    from zarr.core.indexing import SelectorTuple

__all__ = ["BfnArrayCodec", "BfnBytesCodec"]

T = TypeVar("T")
_Chunks = list[tuple[T | None, "ArraySpec"]]


@dataclass(frozen=True)
class _Settings(Coder):
    """Base of both codecs: a name, the settings, and their form in the metadata of an array."""

    name: ClassVar[str]
    is_fixed_size: ClassVar[bool] = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the codec of an array's metadata. Raises InputError for settings that it does not have."""
        settings = dict(data.get("configuration") or {})
        if unknown := settings.keys() - {"model", "level", "verify"}:
            raise InputError(
                f"expected model, level and verify of codec {cls.name}, found {', '.join(sorted(unknown))}"
            )
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """Return what an array's metadata says of the codec."""
        return {"name": self.name, "configuration": asdict(self)}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Raise NotImplementedError, as Zarr asks of codecs that have no `is_fixed_size`."""
        raise NotImplementedError("the size of a compressed chunk depends on its data")


@dataclass(frozen=True)
class BfnArrayCodec(_Settings, ArrayBytesCodecPartialDecodeMixin, ArrayBytesCodec):
    """An array-to-bytes codec: chunks ``(…, H, W)`` and ``(…, H, W, C)`` as pictures, other numbers as arrays.

    It is a serializer, ``zarr.create_array(…, serializer=BfnArrayCodec(), compressors=None)``. With no other codec
    beside it, of a picture only those segments are decoded that a selection lies in.

    model, level, verify: as for :func:`bfncodec.compress`. Raises InputError for what they cannot be.
    """

    name = "bfncodec"

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Raise InputError for an array that is none of numbers."""
        native = dtype.to_native_dtype()
        if native.str.lstrip("<>|") not in ARRAY_TYPES:
            raise InputError(
                f"expected an array of numbers, found data type {native}: leave the serializer to Zarr, "
                "and pass BfnBytesCodec as compressor"
            )

    async def encode(self, chunks_and_specs: Iterable[tuple[NDBuffer | None, ArraySpec]]) -> Iterable[Buffer | None]:
        return await asyncio.to_thread(self._encode_all, list(chunks_and_specs))

    async def decode(self, chunks_and_specs: Iterable[tuple[Buffer | None, ArraySpec]]) -> Iterable[NDBuffer | None]:
        return await asyncio.to_thread(self._decode_all, list(chunks_and_specs))

    async def decode_partial(
        self, batch_info: Iterable[tuple[ByteGetter, SelectorTuple, ArraySpec]]
    ) -> Iterable[NDBuffer | None]:
        """Return what selections take of stored chunks."""
        asked = list(batch_info)
        found = await asyncio.gather(*(getter.get(prototype=spec.prototype) for getter, _, spec in asked))
        chunks = [(data, spec) for data, (_, _, spec) in zip(found, asked, strict=True)]
        return await asyncio.to_thread(self._decode_all, chunks, [_as_tuple(chosen) for _, chosen, _ in asked])

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)

    async def _decode_partial_single(
        self, byte_getter: ByteGetter, selection: SelectorTuple, chunk_spec: ArraySpec
    ) -> NDBuffer | None:
        [found] = await self.decode_partial([(byte_getter, selection, chunk_spec)])
        return found

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        return self._encode_all([(chunk_data, chunk_spec)])[0]

    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        [chunk] = self._decode_all([(chunk_data, chunk_spec)])
        assert chunk is not None
        return chunk

    def _encode_all(self, chunks: _Chunks[NDBuffer]) -> list[Buffer | None]:
        arrays = [np.ascontiguousarray(chunk.as_numpy_array()) for chunk, _ in chunks if chunk is not None]
        blobs = iter(self.encode_chunks([array.astype(array.dtype.newbyteorder("<"), copy=False) for array in arrays]))
        return [None if chunk is None else spec.prototype.buffer.from_bytes(next(blobs)) for chunk, spec in chunks]

    def _decode_all(self, chunks: _Chunks[Buffer], selections: list[Any] | None = None) -> list[NDBuffer | None]:
        there = [n for n, (chunk, _) in enumerate(chunks) if chunk is not None]
        made = decode_chunks(
            [chunk.to_bytes() for chunk, _ in chunks if chunk is not None],
            [chunks[n][1].shape for n in there],
            [chunks[n][1].dtype.to_native_dtype() for n in there],
            [selections[n] for n in there] if selections is not None else None,
        )
        found = dict(zip(there, made, strict=True))
        return [
            spec.prototype.nd_buffer.from_numpy_array(found[n]) if n in found else None
            for n, (_, spec) in enumerate(chunks)
        ]


@dataclass(frozen=True)
class BfnBytesCodec(_Settings, BytesBytesCodec):
    """A bytes-to-bytes codec: what a serializer made of a chunk, texts above all, as bytes.

    It is a compressor, ``zarr.create_array(…, dtype=str, compressors=BfnBytesCodec())``. Arrays of numbers are coded
    far better by :class:`BfnArrayCodec`, which knows their shape.

    model, level, verify: as for :func:`bfncodec.compress`. Raises InputError for what they cannot be.
    """

    name = "bfncodec.bytes"

    async def encode(self, chunks_and_specs: Iterable[tuple[Buffer | None, ArraySpec]]) -> Iterable[Buffer | None]:
        return await asyncio.to_thread(self._encode_all, list(chunks_and_specs))

    async def decode(self, chunks_and_specs: Iterable[tuple[Buffer | None, ArraySpec]]) -> Iterable[Buffer | None]:
        return await asyncio.to_thread(self._decode_all, list(chunks_and_specs))

    async def _encode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer | None:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)

    def _encode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer | None:
        return self._encode_all([(chunk_data, chunk_spec)])[0]

    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        [made] = self._decode_all([(chunk_data, chunk_spec)])
        assert made is not None
        return made

    def _encode_all(self, chunks: _Chunks[Buffer]) -> list[Buffer | None]:
        return _each(self.encode_chunks, chunks)

    def _decode_all(self, chunks: _Chunks[Buffer]) -> list[Buffer | None]:
        return _each(_bytes_of_all, chunks)


def _as_tuple(selection: SelectorTuple) -> tuple[Any, ...]:
    return selection if isinstance(selection, tuple) else (selection,)


def _each(work: Callable[[list[bytes]], list[bytes]], chunks: _Chunks[Buffer]) -> list[Buffer | None]:
    """Return what work makes of the bytes of all chunks that are there, in their places."""
    made = iter(work([chunk.to_bytes() for chunk, _ in chunks if chunk is not None]))
    return [None if chunk is None else spec.prototype.buffer.from_bytes(next(made)) for chunk, spec in chunks]


def _bytes_of_all(blobs: list[bytes]) -> list[bytes]:
    made = decompress_many(blobs, codecs=models())
    for found in made:
        if not isinstance(found, bytes):
            raise DamagedError(
                f"expected a chunk of bytes, found {type(found).__name__}: it was written by another codec"
            )
    return made


register_codec(BfnArrayCodec.name, BfnArrayCodec)
register_codec(BfnBytesCodec.name, BfnBytesCodec)
