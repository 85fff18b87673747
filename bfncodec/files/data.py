"""Bytes of files made into those of compressed files, and back.

Each encoder comes first, its decoder after all of them. :mod:`bfncodec.files.transfer` does the same from disk to disk.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Container, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from bfncodec.api import CodecSource, describe
from bfncodec.codecs.protocol import Capabilities
from bfncodec.content.arrays import arrays_of, is_npz
from bfncodec.content.folder import Folder, Shape, folder_of, picture_shape
from bfncodec.content.items import Items, Whole, whole_of
from bfncodec.content.objects import object_of
from bfncodec.content.paths import with_folders
from bfncodec.content.types import Content, Plain
from bfncodec.errors import InputError, reading
from bfncodec.files.options import Made, Options, size_of
from bfncodec.files.sources import opened, read_folder
from bfncodec.format.container import unpack
from bfncodec.format.extras import Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind, Origin
from bfncodec.format.limits import OF_WRITERS, Limits, check_limit
from bfncodec.format.lzmaraw import is_hopeless
from bfncodec.format.wire import Source
from bfncodec.images.files import finish_file, parse_file, read_file, unpromised
from bfncodec.images.picture import Picture
from bfncodec.runtime.progress import SILENT, Reporter
from bfncodec.runtime.threads import threads_here
from bfncodec.segments.assemble import decode_content
from bfncodec.segments.encode import encode_frame
from bfncodec.segments.opening import Opened, open_file

if TYPE_CHECKING:
    from bfncodec.images.formats.spans import Parsed

__all__ = [
    "check_coded",
    "content_in",
    "decode_data",
    "decode_opened",
    "decode_part",
    "dims_of",
    "dims_to_decode",
    "encode_content",
    "encode_data",
    "encode_files",
    "encode_folder",
    "encode_source",
    "file_of",
    "holds_folder",
    "is_folder",
    "item_shape",
    "name_of",
    "open_source",
    "taken",
]

_LARGE = 1 << 17  # bytes of a picture file from which on another thread finishes it
_SMALL = 1 << 20  # bytes of a picture file that is always coded as bytes, too


def encode_data(
    data: bytes, options: Options, codecs: CodecSource, reporter: Reporter | None = None
) -> tuple[bytes, Content]:
    """Return the compressed file of a file's bytes, and the content that it holds.

    Errors as :func:`bfncodec.compress`.
    """
    found = _large_picture(data, options, codecs)
    if found is None:
        return encode_content(data, content_in(data, options, codecs), options, codecs, reporter)
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(lambda: finish_file(data, found) or Plain(data))
        return encode_content(data, found.picture, options, codecs, reporter, later.result)


def _large_picture(data: bytes, options: Options, codecs: CodecSource) -> Parsed | None:
    """Return the parts of a picture file that is large enough for another thread to finish while its pixels are coded.

    None for other files, and where there is one thread only or more is asked for than a picture.
    """
    alone = getattr(codecs, "threads", None) == 1 or threads_here() == 1
    if alone or options.exact or options.strip or len(data) < _LARGE or not _may_be_picture(options, codecs):
        return None
    return parse_file(data)


def content_in(data: bytes, options: Options, codecs: CodecSource) -> Content:
    """Return what a file's bytes are to be coded as."""
    coded = taken(data, options)
    content = _classify(coded, options, codecs)
    if isinstance(content, Picture) and coded != data:  # what comes back is not the file that was given
        return unpromised(content)
    return content


def encode_content(
    data: bytes,
    content: Content,
    options: Options,
    codecs: CodecSource,
    reporter: Reporter | None = None,
    finish: Callable[[], Content] | None = None,
) -> tuple[bytes, Content]:
    """Return the compressed file of a file's bytes with this content in them, and the content that it holds.

    That is a picture where the picture takes less than the bytes, or is to have a preview. Bytes are tried only where
    the file is small, or the picture's is not half as large, since LZMA takes long; and where they may win. finish: see
    :func:`bfncodec.segments.encode.encode_frame`.
    """
    reporter, data = reporter or SILENT, taken(data, options)
    reporter.start(dims_of(content) * (1 + options.verify))
    frame = encode_frame(
        content,
        options.model,
        codecs,
        reporter.advance,
        options.level,
        options.preview,
        options.block,
        options.policy,
        finish,
    )
    content = content if finish is None else finish()
    tried = len(data) <= _SMALL or 2 * len(frame) > len(data)
    if isinstance(content, Picture) and not options.preview and tried and not is_hopeless(data, len(frame)):
        plain = Plain(data)
        other = encode_frame(plain, "none", codecs, policy=options.policy)
        if len(other) <= len(frame) - describe(frame, limits=OF_WRITERS).preview_bytes:  # bytes have none
            return other, plain
    return frame, content


def taken(data: bytes, options: Options) -> bytes:
    """Return the bytes to be compressed: those of the file, or of the stripped file of a picture."""
    if not options.strip:
        return data
    from bfncodec.images.strip import stripped_file  # loads NumPy and Pillow, which bytes do not need

    return stripped_file(data)


def _classify(data: bytes, options: Options, codecs: CodecSource) -> Content:
    """Return what the bytes of a file are coded as: arrays or a picture where the model can have these, else bytes."""
    asked = _capabilities(options.model, codecs)
    if asked is not None and asked.codes_archives and is_npz(data):
        return arrays_of(data, asked.item_shape)
    return (read_file(data, options.exact) if _may_be_picture(options, codecs) else None) or Plain(data)


def _may_be_picture(options: Options, codecs: CodecSource) -> bool:
    """Return whether a picture file is to be coded as one; else even its bytes are for the model that was named."""
    asked = _capabilities(options.model, codecs)
    in_lines = options.exact and options.block is not None
    return not in_lines and (asked is None or asked.codes_pictures)


def _capabilities(model: str, codecs: CodecSource) -> Capabilities | None:
    """Return what the model that the caller named can code, None if none is named."""
    return None if model in ("auto", "none") else codecs.named(model).capabilities


def encode_folder(
    folder: Path, options: Options, codecs: CodecSource, reporter: Reporter | None = None
) -> tuple[bytes, Folder]:
    """Return the compressed file of all files in a folder, and the content that it holds.

    Raises InputError where the model codes no folders, or a file in it can neither be read nor skipped.
    """
    shape = item_shape(options, codecs)
    return encode_files(read_folder(folder, options.on_skip), shape, options, codecs, reporter)


def encode_source(
    source: bytes | Path, options: Options, codecs: CodecSource, reporter: Reporter | None = None
) -> tuple[bytes, Content]:
    """Return the compressed file of the bytes of a file, or of a folder by its path, and the content that it holds."""
    if isinstance(source, Path):
        return encode_folder(source, options, codecs, reporter)
    return encode_data(source, options, codecs, reporter)


def item_shape(options: Options, codecs: CodecSource) -> Shape:
    """Return the shape of the pictures that the model codes: height, width, channels.

    Raises InputError, before anything is read, where it codes no pictures of one shape.
    """
    asked = _capabilities(options.model, codecs)
    if asked is None or not asked.codes_archives:
        raise InputError("is a folder", python="compress the files in it", command="use -r to take the files in it")
    if options.block is not None:
        raise InputError(
            "is a folder, which is not cut after lines",
            python="compress the files in it",
            command="use -r to take the files in it",
        )
    return picture_shape(asked.item_shape, options.model)


def encode_files(
    files: Mapping[str, bytes], shape: Shape, options: Options, codecs: CodecSource, reporter: Reporter | None
) -> tuple[bytes, Folder]:
    """Return the compressed file of the files of a folder, by path, and the content that it holds."""
    reporter = reporter or SILENT
    content = folder_of(files, shape, options.exact)
    reporter.start(dims_of(content) * (1 + options.verify))
    return encode_frame(content, options.model, codecs, reporter.advance, options.level, policy=options.policy), content


def decode_data(
    blob: bytes, options: Options, codecs: CodecSource, reporter: Reporter | None = None
) -> tuple[Made, Content]:
    """Return the file's bytes again, or those of a folder's files, and the content they were made of.

    Objects that were no file become one: arrays .npy, images PNG. Errors as :func:`bfncodec.decompress`.
    """
    return decode_opened(open_source(blob, options), options, codecs, reporter)


def check_coded(source: Path | bytes, limits: Limits | None = None) -> int:
    """Return the size of a compressed file, or of its bytes, once all checksums of the coded ones held.

    No model is needed. Raises InputError where it cannot be read, FormatErrors.
    """
    with nullcontext(source) if isinstance(source, bytes) else opened(source) as blob:
        open_file(blob, limits)
        return len(blob)


def decode_part(source: Path, options: Options, codecs: CodecSource, reporter: Reporter | None = None) -> Made:
    """Return the bytes of the part that the options name of a compressed file, and read no more than that takes."""
    with opened(source) as blob:
        return decode_opened(open_source(blob, options), options, codecs, reporter)[0]


def open_source(blob: Source, options: Options) -> Opened:
    """Return a compressed file with its head read and checked, its payload not yet decoded."""
    return open_file(blob, options.limits, options.on_damage, options.part)


def dims_to_decode(found: Opened) -> int:
    """Return the bytes or subpixels that are to be decoded of an opened file."""
    extents = [frame.cut.extents[number] for frame in found.frames for number in frame.wanted]
    channels = found.header.mode.channels if found.header.kind is Kind.IMAGE else 1
    return channels * sum(prod(stop - start for start, stop in extent) for extent in extents)


def decode_opened(
    found: Opened, options: Options, codecs: CodecSource, reporter: Reporter | None = None
) -> tuple[Made, Content]:
    """Return what an opened file becomes, and the content. Raises LimitError for more output than the limits allow."""
    reporter = reporter or SILENT
    reporter.start(dims_to_decode(found))
    content = decode_content(found, codecs, reporter.advance, options.on_damage, options.part)
    made = file_of(content)
    check_limit(
        "bytes of output", size_of(made), (options.limits or Limits()).output, "output", "a larger --max-output"
    )
    return made, content


def file_of(content: Content) -> Made:
    """Return the bytes of the file, or files, that a content becomes."""
    if isinstance(content, Items):
        names = content.names or [str(number) for number in range(len(content.contents))]
        taken_names = with_folders(names)
        return dict(name_of(item, name, taken_names) for item, name in zip(content.contents, names, strict=True))
    return object_of(content) if isinstance(content, Folder) else _file_bytes(content)


def name_of(item: Content, name: str, others: Container[str]) -> tuple[str, bytes]:
    """Return the name of the file that an item becomes, and its bytes: what was no file gets a suffix.

    others: names of all items, and of the folders they lie in, none of which a suffix may lead to.
    """
    is_image = isinstance(item, Picture) and item.origin is Origin.OBJECT
    is_array = item.origin.is_array if isinstance(item, Picture) else item.kind is Kind.ARRAY
    suffix = ".npy" if is_array else ".png" if is_image else ""
    return name if name.endswith(suffix) or name + suffix in others else name + suffix, _file_bytes(item)


def _file_bytes(content: Content) -> bytes:
    """Return the bytes of the file; of an object that was none: text as UTF-8, arrays as .npy, images as PNG."""
    if type(content) is Plain and content.kind is not Kind.ARRAY:
        return content.data
    made = object_of(content)
    if isinstance(made, bytes):
        return made
    out = io.BytesIO()
    if isinstance(content, Picture) and content.origin is Origin.OBJECT:
        with reading("the picture cannot become a PNG file"):
            made.save(out, "PNG")
    else:
        import numpy as np

        np.save(out, made)
    return out.getvalue()


def holds_folder(blob: bytes, limits: Limits | None = None) -> bool:
    """Return whether a compressed file becomes a folder. FormatErrors as :func:`bfncodec.decompress`."""
    return is_folder(unpack(blob, limits, salvage=True).header)


def is_folder(header: Header) -> bool:
    """Return whether the file of a header becomes a folder, as one of items does that are no rows of an array."""
    return header.extra(Tag.FILES) is not None or whole_of(header) is Whole.EACH


def dims_of(content: Content) -> int:
    """Return the bytes of a content, or the subpixels of a picture; of items those of all."""
    if isinstance(content, Items):
        return sum(map(dims_of, content.contents))
    return content.pixels.size if isinstance(content, Picture) else len(content.data)
