"""Verify compressed files: decode what was made and compare it with its source before it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bfncodec.api import CodecSource
from bfncodec.content.types import Content, same_content
from bfncodec.errors import BfncodecError, OutputError
from bfncodec.files.data import file_of
from bfncodec.format.limits import OF_WRITERS
from bfncodec.images.files import same_file
from bfncodec.runtime.progress import SILENT, Reporter
from bfncodec.segments.assemble import decode_frame

__all__ = ["verify", "verify_decoded"]


def verify(
    blob: bytes,
    content: Content,
    codecs: CodecSource,
    reporter: Reporter | None = None,
    source: bytes | Mapping[str, bytes] | None = None,
) -> None:
    """Raise OutputError unless a compressed file decodes to the content, and becomes the source again.

    source: the bytes of the file, or those of each file by path, that were compressed. They must come back byte for
    byte where the compressed file says so. Otherwise picture files must have the same pixels, decoded by
    something else than what wrote them, and the same metadata.
    """
    verify_decoded(lambda: decode_frame(blob, codecs, (reporter or SILENT).advance, OF_WRITERS), content, source)


def verify_decoded(
    decode: Callable[[], Content], content: Content | None, source: bytes | Mapping[str, bytes] | None = None
) -> None:
    """Raise OutputError unless what `decode` returns is the content, and becomes the source again: see :func:`verify`.

    content: None where the source alone is compared.
    """
    try:
        found = decode()
        same = content is None or same_content(content, found)
        same = same and (source is None or _becomes(found, source))
    except BfncodecError as error:
        raise OutputError(f"what was written does not decode ({error}): please report this") from error
    if not same:
        raise OutputError("what was written does not decode to the same content: please report this")


def _becomes(content: Content, source: bytes | Mapping[str, bytes]) -> bool:
    """Return whether a content becomes these bytes or files, or, where it does not promise that, equal pictures."""
    made = file_of(content)
    if made == source:
        return True
    if content.header.is_identical:
        return False
    if isinstance(made, dict) and isinstance(source, Mapping):
        return made.keys() == source.keys() and all(same_file(source[path], made[path]) for path in made)
    return isinstance(made, bytes) and isinstance(source, bytes) and same_file(source, made)
