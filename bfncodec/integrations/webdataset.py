"""webdataset: fields of samples in its tar files as compressed files, written and read by its own classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webdataset.writer import default_handlers, encode_based_on_extension

from bfncodec.api import CodecSource, Models, compress
from bfncodec.content.objects import array_or_object
from bfncodec.format.frame import MAGIC, SUFFIX
from bfncodec.format.limits import OF_WRITERS, Limits
from bfncodec.models import DEFAULT_LEVEL, check_level
from bfncodec.runtime.arguments import check_codecs, check_flags, check_model, check_type
from bfncodec.segments.assemble import decode_frame
from bfncodec.segments.opening import open_file

__all__ = ["decoder", "encoder"]


def _is_ours(name: str) -> bool:
    return f".{name}".lower().endswith(SUFFIX)


class decoder:  # noqa: N801 - called as webdataset's own handlers are
    """Handler for ``WebDataset.decode``: fields whose names end with ``bfn`` become the objects that they hold.

    arrays: give pictures as arrays, uint8 or uint16 [H, W] or [H, W, C], and not as the files or images that they were.
    threads, limits, codecs: as for :func:`bfncodec.decompress`. Models are loaded by the process that first needs one.

    Other fields are left to the handlers behind it. webdataset makes a ``DecodingError`` of errors.
    """

    def __init__(
        self,
        arrays: bool = True,
        threads: int | None = 1,
        limits: Limits | None = None,
        codecs: CodecSource | None = None,
    ) -> None:
        check_codecs(codecs)
        check_type(limits, Limits, "limits")
        check_flags(arrays=arrays)
        self.arrays, self.limits, self._codecs = arrays, limits, codecs or Models(threads=threads)

    def __call__(self, key: str, data: bytes) -> Any:
        """Return the object of a field, None for one of another kind. key: its name, after a dot."""
        if not _is_ours(key):
            return None
        return array_or_object(decode_frame(data, self._codecs, limits=self.limits), self.arrays)


class encoder:  # noqa: N801 - named as the decoder is
    """Encoder for ``TarWriter`` and ``ShardWriter``: fields whose names end with ``bfn`` are compressed.

    Arguments as for :func:`bfncodec.compress`. Compressed files stay as they are, so that samples can be copied, and
    those that are damaged are FormatErrors; other fields are encoded as webdataset does. It can be sent to other
    processes, which load models for themselves.
    """

    def __init__(
        self,
        model: str = "auto",
        level: int = DEFAULT_LEVEL,
        verify: bool = True,
        threads: int | None = None,
        codecs: CodecSource | None = None,
    ) -> None:
        check_model(model)
        check_level(level)
        check_flags(verify=verify)
        check_codecs(codecs)
        self.model, self.level, self.verify, self._codecs = model, level, verify, codecs or Models(threads=threads)

    def __call__(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return a sample whose fields are bytes."""
        ours = {name: self._coded(data) for name, data in sample.items() if _is_ours(name)}
        others = {name: data for name, data in sample.items() if name not in ours}
        made = encode_based_on_extension(others, default_handlers) | ours
        return {name: made[name] for name in sample}

    def _coded(self, data: Any) -> bytes:
        if isinstance(data, bytes) and data.startswith(MAGIC):
            open_file(data, OF_WRITERS)  # raises where it could not be decoded
            return data
        return compress(data, self.model, level=self.level, verify=self.verify, codecs=self._codecs)
