"""Previews of compressed pictures, as files."""

from __future__ import annotations

import io
from pathlib import Path

from bfncodec.api import CodecSource, Models, preview
from bfncodec.errors import InputError, OutputError
from bfncodec.files.atomic import check_target, write_like
from bfncodec.files.growing import check_coded_on_disk, identity_of, put_back
from bfncodec.files.names import preview_name
from bfncodec.files.options import Options
from bfncodec.files.sources import opened, read
from bfncodec.format.container import relabelled, unpack
from bfncodec.format.cuts import NOWHERE
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.kinds import Kind
from bfncodec.images import preview as previews
from bfncodec.images.picture import Picture
from bfncodec.runtime.arguments import check_codecs, check_type, path_of
from bfncodec.segments.assemble import decode_frame

__all__ = ["preview_data", "preview_file", "store_preview"]


def preview_file(
    source: str | Path,
    target: str | Path | None = None,
    options: Options | None = None,
    codecs: CodecSource | None = None,
) -> bool:
    """Write the preview of a compressed picture as PNG, or as what the target's name ends in.

    Returns whether the file held one; of others the picture is decoded and scaled down. Without a target its name
    is the picture's with .preview.png. Raises InputError (source), OutputError (target) and what
    :func:`bfncodec.preview` raises.
    """
    check_type(options, Options, "options")
    check_codecs(codecs)
    source, options, codecs = path_of(source), options or Options(), codecs or Models()
    target = path_of(target) if target is not None else preview_name(source)
    check_target(target, source, options.force)
    made, stored = preview_data(source, target.suffix, options, codecs)
    write_like(target, made, source, options.force)
    return stored


def store_preview(
    target: str | Path, options: Options | None = None, codecs: CodecSource | None = None, *, keep: bool = True
) -> int:
    """Put a preview into a compressed picture, or take it out; nothing of the picture is coded anew.

    keep: False to take it out. Returns the bytes by which the file grew. Raises InputError for what is no picture,
    OutputError (target) and what :func:`bfncodec.decompress` raises.
    """
    check_type(options, Options, "options")
    check_codecs(codecs)
    target, options, codecs = path_of(target), options or Options(), codecs or Models()
    known = identity_of(target)
    with opened(target) as blob:
        header, size = unpack(blob, options.limits).header, len(blob)
        if header.kind is not Kind.IMAGE:
            raise InputError("expected a picture, found none: only pictures have previews")
        made: tuple[Extra, ...] = ()
        if keep:
            content = decode_frame(read(target), codecs, limits=options.limits)
            assert isinstance(content, Picture)
            extra = previews.preview_extra(content)
            made = (extra,) if extra is not None else ()
        later = header.without(Tag.PREVIEW).split()[1]
        put_back(target, known, relabelled(blob, (*later, *made)), check_coded_on_disk)
    return target.stat().st_size - size


def preview_data(source: Path, suffix: str, options: Options, codecs: CodecSource) -> tuple[bytes, bool]:
    """Return the bytes of a preview's file, PNG where the suffix is no format's, and whether the file held it."""
    from PIL import Image

    with opened(source) as blob:
        stored = previews.find(unpack(blob, options.limits, place=lambda *_: NOWHERE).header)
        image = stored or preview(blob[0 : len(blob)], limits=options.limits, codecs=codecs)
    out = io.BytesIO()
    name = Image.registered_extensions().get(suffix.lower(), "PNG")
    try:
        image.save(out, name if name in Image.SAVE else "PNG")
    except Exception as error:
        raise OutputError(f"the preview cannot be a file of that kind ({error}): name one that ends in .png") from error
    return out.getvalue(), stored is not None
