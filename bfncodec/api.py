"""The library: compress and decompress Python objects, preview and describe what came out.

:func:`compress` is the encoder of everything, :func:`decompress` its decoder. Files on disk are
:mod:`bfncodec.files.transfer`; a model without a container around it is :func:`bfncodec.load`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bfncodec.codecs.sources import CodecSource, Models
from bfncodec.content.folder import folder_of, picture_shape
from bfncodec.content.objects import content_of, object_of, same_object
from bfncodec.content.regions import part_of
from bfncodec.content.types import Content
from bfncodec.errors import BfncodecError, InputError, OutputError
from bfncodec.forks import cached_property
from bfncodec.format.container import unpack
from bfncodec.format.cuts import NOWHERE
from bfncodec.format.kinds import Kind
from bfncodec.format.limits import OF_WRITERS, Limits
from bfncodec.format.lineindex import LINE_BLOCK
from bfncodec.images.picture import Picture
from bfncodec.models import DEFAULT_LEVEL
from bfncodec.runtime.arguments import (
    bytes_of,
    check_callables,
    check_codecs,
    check_flags,
    check_model,
    check_policy,
    check_type,
    whole_number,
)
from bfncodec.runtime.progress import Progress
from bfncodec.segments.assemble import Decoding, decode_frame
from bfncodec.segments.damage import Damage
from bfncodec.segments.description import Description, describe_file
from bfncodec.segments.encode import encode_frame
from bfncodec.segments.policy import DEFAULT_POLICY, Policy
from bfncodec.segments.together import Task, run_together

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "CodecSource",
    "Damage",
    "Description",
    "Models",
    "compress",
    "compress_many",
    "decompress",
    "decompress_many",
    "describe",
    "preview",
]

Crop = tuple[int, int, int, int]
Blob = bytes | bytearray | memoryview
"""Bytes of a compressed file."""


def compress(
    data: Any,
    model: str = "auto",
    *,
    level: int = DEFAULT_LEVEL,
    preview: bool | None = None,
    lines: bool = False,
    block: int = LINE_BLOCK,
    strip: bool = False,
    verify: bool = True,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress | None = None,
    codecs: CodecSource | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> bytes:
    r"""Compress an object; :func:`decompress` gives back an equal one of the same type.

    Parameters
    ----------
    data
        bytes, bytearray, a memoryview of bytes, str, an array of numbers (bool, int, float or complex of at most 15
        dimensions: type with byte order, shape and every bit come back, NaN and -0.0 too, in C order), or a Pillow
        image of mode RGB, RGBA, L, LA, P, 1 or I;16 with its palette, transparency and plain info; one that was opened
        from a file comes back as a plain ``PIL.Image.Image``. Subclasses and other types are refused: the error says
        what to pass instead. For a model of many pictures of one shape also files, {path: bytes}: the picture files
        among them keep pixels and metadata.
    model
        "auto": the default model of the kind of data, where a sample says that it may win; a model's name: that one,
        refused where it cannot code the data (another kind, shape or values, too few items to begin a chain with);
        "none": no model. Whatever is smallest is kept, segment by segment: nothing grows by more than the frame. Where
        a named model codes no segment for that reason, the logger "bfncodec" tells it.
    level
        From 1, fast, to 9, small: which of the models that serve a kind of data "auto" is, and how long is searched.
        From 4 on no picture is larger than lossless WebP at its slowest and the frame; from 8 on a picture is coded in
        several orientations.
    preview
        Whether the file of a picture holds a small lossy one for :func:`preview`: None for pictures of two megapixels
        and more, where it takes less than 0.05 % of the file.
    lines
        Of bytes or text: cut into blocks of whole lines, so that :func:`decompress` finds a line by its number without
        decoding the others. A line ends after its newline, b"\n".
    block
        Bytes of lines a block has at least: less of them, and there is less to decode for a line, but more to store.
    strip
        Of a Pillow image keep what is seen, its pixels' colours, alone: no info, and of a palette neither unused
        entries nor the order.
    verify
        Decode the result and compare it with ``data`` itself before it is returned. It takes as long as
        :func:`decompress`: through a model as long as compressing, of text twice as long, else a tenth or less.
        progress does not count it.
    device, threads
        Where models run: "cpu", "cuda", ..., and how many CPU threads. The bytes do not depend on them.
    progress
        Called now and then with the number of further bytes (of text) or subpixels (of pictures) done.
    codecs
        Where codecs come from, instead of the models on this machine.
    policy
        Sizes of segments and the like, for experiments: :class:`bfncodec.segments.policy.Policy`.

    Raises
    ------
    InputError
        An object that cannot be compressed, or cut after lines, or a model that does not code this kind of data.
    ModelNotFoundError, ModelError
        The model asked for is not there, or broken.
    OutputError
        The result does not decode to what was given, which is a fault of this library: keep the data, report it.

    >>> blob = compress("to be or not to be", model="none")
    >>> decompress(blob)
    'to be or not to be'
    """
    check_model(model)
    check_flags(lines=lines, strip=strip, verify=verify, preview=preview is not None and preview)
    check_callables(progress=progress)
    check_policy(policy, Policy)
    source = _source(codecs, device, threads)
    given = _stripped(data) if strip else data
    content = _content_of(given, model, source)
    cut = whole_number(block, "block") if lines else None
    blob = encode_frame(content, model, source, progress, level, preview, cut, policy)
    if verify:
        _verify(Decoding(blob, OF_WRITERS), given, source)
    return blob


def decompress(
    blob: Blob,
    *,
    crop: Crop | None = None,
    line: int | tuple[int, int] | None = None,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
    on_damage: Callable[[Damage], None] | None = None,
    codecs: CodecSource | None = None,
) -> Any:
    """The object :func:`compress` was given; the bytes of a picture file that was compressed as such.

    For a folder the bytes of each file by its path.

    Parameters
    ----------
    blob
        What :func:`compress` returned, or the bytes of a .bfn file, in any buffer of bytes: a map of a file, too.
    crop
        Of a picture only this region: x, y, width, height. Only the segments it lies in are decoded and checked. What
        metadata holds for a region is kept: :mod:`bfncodec.content.regions`.
    line
        Of bytes or text that were compressed with ``lines`` only this line, or the first and the last of several,
        counted from 1, with their newlines. Only the blocks they are in are decoded and checked.
    limits
        What a file may ask of the machine; ``bfncodec.NO_LIMITS`` for files you trust.
    on_damage
        Salvage: called for every damaged segment, whose content is then zeros, and whose files are left out of a
        folder. Without it damage is an error.
    device, threads, progress, codecs
        As for :func:`compress`.

    Raises
    ------
    NotOursError, DamagedError, NewerVersionError
        The three ways in which bytes cannot be decoded; all are a FormatError.
    ModelNotFoundError, ModelError
        The model that coded it is not there, or broken.
    InputError
        A region or lines that are not within the content, or of what has none; and what is no bytes.
    """
    data, source = bytes_of(blob), _source(codecs, device, threads)
    check_callables(progress=progress, on_damage=on_damage)
    check_type(limits, Limits, "limits")
    return object_of(decode_frame(data, source, progress, limits, on_damage, part_of(crop, line)))


# ---- many objects -----------------------------------------------------------------------------


def compress_many(
    objects: Iterable[Any],
    model: str = "auto",
    *,
    level: int = DEFAULT_LEVEL,
    strip: bool = False,
    verify: bool = True,
    device: str = "cpu",
    threads: int | None = None,
    codecs: CodecSource | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> list[bytes]:
    """Compress many objects, small ones in joint calls of a model: the same bytes as :func:`compress` of each.

    Where they are verified, and models decode them, this takes a fraction of the time. Arguments as for
    :func:`compress`; errors, too, and they say whose they are. Everything is in memory at once: for millions of
    objects call it for some thousands at a time.

    >>> decompress_many(compress_many(["to be", "or not to be"], model="none"))
    ['to be', 'or not to be']
    """
    check_flags(strip=strip, verify=verify)
    source, given = _source(codecs, device, threads), _listed(objects, "objects")
    options: dict[str, Any] = {"level": level, "strip": strip, "verify": False, "policy": policy}

    def check(number: int, blob: bytes) -> Task[None]:
        wanted = _stripped(given[number]) if strip else given[number]
        return partial(_verify, Decoding(blob, OF_WRITERS), wanted)

    tasks = [partial(compress, data, model, **options) for data in given]
    return run_together(tasks, source, check if verify else None)


def decompress_many(
    blobs: Iterable[Blob],
    *,
    crops: Sequence[Crop | None] | None = None,
    device: str = "cpu",
    threads: int | None = None,
    limits: Limits | None = None,
    codecs: CodecSource | None = None,
) -> list[Any]:
    """Return the objects that :func:`compress_many` was given, or many calls of :func:`compress`.

    crops: for each a region, as ``crop`` of :func:`decompress`, or None for the whole. Other arguments and errors as
    there; errors say whose they are, and limits hold for each object alone.
    """
    source, given = _source(codecs, device, threads), _listed(blobs, "compressed files")
    wanted = [None] * len(given) if crops is None else _listed(crops, "regions")
    if len(wanted) != len(given):
        raise InputError(f"expected as many regions as compressed files, {len(given)}, found {len(wanted)}")
    check_type(limits, Limits, "limits")
    pairs = zip(given, wanted, strict=True)
    return run_together([_Decompressing(blob, crop, limits) for blob, crop in pairs], source)


@dataclass(frozen=True)
class _Decompressing:
    """A task that returns an object, as :func:`decompress` does, but opens its file in its first run alone."""

    blob: Any
    crop: Crop | None
    limits: Limits | None

    def __call__(self, *, codecs: CodecSource) -> Any:
        return object_of(self._decoding(codecs=codecs))

    @cached_property
    def _decoding(self) -> Decoding:
        return Decoding(bytes_of(self.blob), self.limits, part_of(self.crop, None))


# ---- without decoding -------------------------------------------------------------------------


def preview(
    blob: Blob,
    *,
    device: str = "cpu",
    threads: int | None = None,
    limits: Limits | None = None,
    codecs: CodecSource | None = None,
) -> Image.Image:
    """A small Pillow image of a compressed picture: the one in the file, else the picture decoded and scaled down.

    Neither checks the picture's checksum where there is one in the file; torch is not needed then. InputError for what
    is no picture; limits, device, threads, codecs and other errors as :func:`decompress`.
    """
    data, source = bytes_of(blob), _source(codecs, device, threads)
    check_type(limits, Limits, "limits")
    frame = unpack(data, limits, place=lambda *_: NOWHERE)
    if frame.header.kind is not Kind.IMAGE:
        raise InputError("expected a picture, found none: decompress it")
    from bfncodec.images import preview

    found = preview.find(frame.header)
    if found is not None:
        return found
    content = decode_frame(data, source, limits=limits)
    assert isinstance(content, Picture)
    return preview.scaled_down(content)


def describe(blob: Blob, *, limits: Limits | None = None) -> Description:
    """Return what a file holds, from its head. Needs neither NumPy nor torch.

    limits and errors as for :func:`decompress`; a model that is not there is no error.

    >>> describe(compress("to be or not to be", model="none")).content
    'text'
    """
    check_type(limits, Limits, "limits")
    return describe_file(bytes_of(blob), limits)


# ---- arguments --------------------------------------------------------------------------------


def _source(codecs: CodecSource | None, device: str, threads: int | None) -> CodecSource:
    """Return where codecs come from. Raises InputError for arguments that say neither."""
    check_codecs(codecs)
    return codecs or Models(device, threads)


def _listed(given: Iterable[Any], what: str) -> list[Any]:
    """Return many objects as a list. Raises InputError for what is no list, or is one object."""
    if isinstance(given, (str, bytes, bytearray, memoryview, Mapping)) or not isinstance(given, Iterable):
        raise InputError(f"expected a list of {what}, found {type(given).__name__}: pass a list of one")
    return list(given)


def _stripped(data: Any) -> Any:
    from PIL import Image

    from bfncodec.images.strip import stripped

    return stripped(data) if isinstance(data, Image.Image) else data


def _content_of(data: Any, model: str, codecs: CodecSource) -> Content:
    """Return the content of an object, or of files by path. Raises InputError for what has none."""
    if not isinstance(data, Mapping):
        return content_of(data)
    if model in ("auto", "none") or not all(isinstance(path, str) for path in data):
        raise InputError(f"expected files by path and a model of pictures of one shape, found model {model}: name one")
    files = {path: bytes_of(file, f"the bytes of {path}") for path, file in data.items()}
    return folder_of(files, picture_shape(codecs.named(model).capabilities.item_shape, model))


def _verify(decoding: Decoding, given: Any, codecs: CodecSource) -> None:
    """Raise OutputError unless a file decodes to what was given: the object itself, not what was read in it."""
    try:
        same = same_object(given, object_of(decoding(codecs=codecs)))
    except BfncodecError as error:
        raise OutputError(f"what was made does not decode ({error}): keep the data, and please report this") from error
    if not same:
        raise OutputError("what was made does not decode to what was given: keep the data, and please report this")
