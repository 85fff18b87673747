"""Descriptions: what can be told of a file from its head, without decoding it. No NumPy, torch or PIL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bfncodec.content.folder import read_files
from bfncodec.format.concatenation import split
from bfncodec.format.container import unpack
from bfncodec.format.extras import Tag
from bfncodec.format.frame import Frame
from bfncodec.format.header import Header
from bfncodec.format.items import counts_of
from bfncodec.format.kinds import Kind, Method
from bfncodec.format.limits import Limits
from bfncodec.format.lineindex import lines_of
from bfncodec.format.sizes import content_bytes
from bfncodec.format.wire import Source
from bfncodec.segments.opening import Opened

__all__ = ["Description", "describe_file", "describe_opened"]

_NAMES = {Kind.BYTES: "bytes", Kind.STR: "text", Kind.ARRAY: "array", Kind.IMAGE: "image"}


@dataclass(frozen=True)
class Description:
    """Description of a file, as far as it can be told without decoding it.

    Parameters
    ----------
    content
        "bytes", "text", "array", "image", a picture file's format, "folder", or "items" of an archive.
    mode
        Mode of a picture by Pillow's name, else "".
    sides
        Number of bytes, height and width of a picture, shape of an array, or number of files of a folder or of
        items of an archive.
    content_bytes, file_bytes
        Bytes of the content, which of an archive is its coded items, and of the compressed file.
    methods
        Number of segments by how they are coded.
    models
        Identities of the models that code segments, in hex.
    preview_bytes
        Size of the small picture in the file, 0 if there is none.
    lines
        Number of lines, if the content is cut after lines into as many blocks as there are segments; else 0.
    files
        Number of compressed files that stand one after the other; everything else is then said of all together.
    identical
        All files come back byte for byte; else some picture files come back with the same pixels and metadata in other
        bytes.
    """

    content: str
    mode: str
    sides: tuple[int, ...]
    content_bytes: int
    file_bytes: int
    methods: dict[str, int]
    models: tuple[str, ...]
    preview_bytes: int = 0
    lines: int = 0
    files: int = 1
    identical: bool = True

    @property
    def comes_back(self) -> str:
        """Words for what comes back of the file, or of the files in it; "" for an object that was no file."""
        if self.content in ("text", "array", "image", "items"):
            return ""
        if self.content == "folder":
            return "identical files" if self.identical else "same pictures, file bytes differ"
        return "identical file" if self.identical else "same picture, file bytes differ"


def describe_file(blob: Source, limits: Limits | None = None) -> Description:
    """Return the description of a file. Errors as for :func:`bfncodec.describe`."""
    return describe_opened(Opened(tuple(unpack(piece, limits) for piece in split(blob, limits)), blob))


def describe_opened(opened: Opened) -> Description:
    """Return the description of a file that was opened; if for a part, with methods and models of its segments."""
    found = [_describe_frame(frame, len(opened.blob)) for frame in opened.frames]
    if len(found) == 1:
        return found[0]
    names = {each.content for each in found}
    return replace(
        found[0],
        content=names.pop() if len(names) == 1 else "bytes",
        sides=(sum(each.content_bytes for each in found),),
        content_bytes=sum(each.content_bytes for each in found),
        methods=_counted(name for each in found for name, count in each.methods.items() for _ in range(count)),
        models=tuple(sorted({model for each in found for model in each.models})),
        lines=0,
        files=len(found),
    )


def _describe_frame(frame: Frame, file_bytes: int) -> Description:
    header = frame.header
    parts = [frame.entries[number] for number in frame.wanted if number < len(frame.entries)]
    sides, lines = frame.cut.sides, lines_of(header, frame.cut)
    folder = read_files(header, sides[0])
    return Description(
        content="folder" if folder else _name(header),
        mode=header.mode.pil if header.kind is Kind.IMAGE else "",
        sides=(len(folder.entries),) if folder else _sides(frame),
        content_bytes=content_bytes(header, sides),
        file_bytes=file_bytes,
        methods=_counted(_method(part.method, header) for part in parts),
        models=tuple(sorted({part.model.hex() for part in parts if part.model})),
        preview_bytes=len(header.extra(Tag.PREVIEW) or b""),
        lines=lines.total if lines else 0,
        identical=header.is_identical or not (folder or header.is_file_of_pixels),
    )


def _sides(frame: Frame) -> tuple[int, ...]:
    counts = counts_of(frame.header, frame.cut)
    if counts is not None:
        return (sum(counts),)
    return frame.header.shape if frame.header.kind is Kind.ARRAY else frame.cut.sides


def _counted(names: Iterable[str]) -> dict[str, int]:
    """Return how often each name occurs, by name."""
    return dict(sorted(Counter(names).items()))


def _method(method: Method, header: Header) -> str:
    return "planes" if header.kind is Kind.ARRAY and method is Method.PICTURE else method.name.lower()


def _name(header: Header) -> str:
    if header.extra(Tag.ITEMS) is not None:
        return "items"
    if header.kind is Kind.IMAGE and header.origin.is_array:
        return "array"
    if header.is_file_of_pixels:
        return header.origin.name
    return _NAMES[header.kind]
