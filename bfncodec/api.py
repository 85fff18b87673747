"""Compress and decompress Python objects; measure and describe what came out.

:func:`compress` is the encoder of everything, :func:`decompress` its decoder. Files on disk are
:mod:`bfncodec.files.transfer`; a model without a container around it is :func:`bfncodec.load`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, cast

from bfncodec.codecs.protocol import Codec
from bfncodec.content.arrays import Arrays, read_places
from bfncodec.content.folder import FilePositions, Folder, folder_of, picture_shape, read_files
from bfncodec.content.objects import content_of, object_of, same_object
from bfncodec.content.regions import LineRange, Part, part_of, with_true_extras
from bfncodec.content.types import Content, Plain
from bfncodec.errors import (
    BfncodecError,
    DamagedError,
    FormatError,
    InputError,
    ModelError,
    ModelNotFoundError,
    OutputError,
    SalvageableError,
    Salvaged,
)
from bfncodec.format.axes import FINEST, NOWHERE, Extent, Items, extents, overlap
from bfncodec.format.concatenation import follower, is_joinable, split
from bfncodec.format.container import Frame, pack, unpack
from bfncodec.format.extras import Tag
from bfncodec.format.header import Header, write_granularity
from bfncodec.format.kinds import Kind, Method, Origin
from bfncodec.format.limits import OF_WRITERS, Limits
from bfncodec.format.lineindex import LINE_BLOCK, Lines
from bfncodec.format.sizes import check_together, content_bytes
from bfncodec.format.wire import Source
from bfncodec.images.picture import Picture
from bfncodec.models import DEFAULT_LEVEL, check_level
from bfncodec.runtime.arguments import (
    bytes_of,
    check_callables,
    check_codecs,
    check_machine,
    check_model,
    check_type,
    whole_number,
)
from bfncodec.runtime.progress import Progress, silent
from bfncodec.segments.segments import (
    TEXT_SEGMENT,
    Choice,
    Plan,
    decode,
    encode_bytes,
    encode_numbers,
    encode_pixels,
)

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "CodecSource",
    "Damage",
    "Description",
    "Models",
    "Opened",
    "compress",
    "decode_content",
    "decode_frame",
    "decompress",
    "describe",
    "describe_opened",
    "encode_frame",
    "open_file",
    "preview",
]

# ---- where codecs come from -------------------------------------------------------------------


class CodecSource(Protocol):
    """Finds codecs; give one of your own to :func:`compress` to code with models that are not on disk."""

    def default(self, role: str, level: int = DEFAULT_LEVEL) -> Codec[Any] | None:
        """The codec for "image" or "text" at a level when the caller names none; None where there is none."""

    def named(self, name: str) -> Codec[Any]:
        """The codec of a model's name; ModelNotFoundError where there is none."""

    def identified(self, identity: bytes) -> Codec[Any]:
        """The codec of the four bytes that files carry; ModelNotFoundError where there is none."""


class Models:
    """The models on this machine, each loaded when first needed and then kept.

    device: "cpu", "cuda", ... threads: CPU threads, None for all. Files do not depend on either. Raises InputError for
    what is no number of threads.
    """

    def __init__(self, device: str = "cpu", threads: int | None = None) -> None:
        check_machine(device, threads)
        self.device, self.threads = device, threads
        self._loaded: dict[bytes, Codec[Any]] = {}

    def default(self, role: str, level: int = DEFAULT_LEVEL) -> Codec[Any] | None:
        from bfncodec import models

        try:
            return self._load(models.default(role, level))
        except ModelNotFoundError:
            return None

    def named(self, name: str) -> Codec[Any]:
        from bfncodec import models

        return self._load(models.find(name))

    def identified(self, identity: bytes) -> Codec[Any]:
        if identity not in self._loaded:
            from bfncodec import models

            self._load(models.find(identity))
        return self._loaded[identity]

    def _load(self, info: Any) -> Codec[Any]:
        if info.id not in self._loaded:
            from bfncodec.codecs.loading import load

            self._loaded[info.id] = load(info, device=self.device, threads=self.threads)
        return self._loaded[info.id]


# ---- objects ----------------------------------------------------------------------------------


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
    check_callables(progress=progress)
    source = _source(codecs, device, threads)
    given = _stripped(data) if strip else data
    content = _content_of(given, model, source)
    cut = whole_number(block, "block") if lines else None
    blob = encode_frame(content, model, source, progress, level, preview, cut)
    if verify:
        _verify(blob, given, source)
    return blob


def _source(codecs: CodecSource | None, device: str, threads: int | None) -> CodecSource:
    """Where codecs come from. InputError for arguments that say neither."""
    check_codecs(codecs)
    return codecs or Models(device, threads)


def _verify(blob: bytes, given: Any, codecs: CodecSource) -> None:
    """Raise OutputError unless a file decodes to what was given: the object itself, not what was read in it."""
    try:
        same = same_object(given, object_of(decode_frame(blob, codecs, limits=OF_WRITERS)))
    except BfncodecError as error:
        raise OutputError(f"what was made does not decode ({error}): keep the data, and please report this") from error
    if not same:
        raise OutputError("what was made does not decode to what was given: keep the data, and please report this")


def decompress(
    blob: bytes,
    *,
    crop: tuple[int, int, int, int] | None = None,
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
        What :func:`compress` returned, or the bytes of a .bfn file.
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


def preview(
    blob: bytes,
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


# ---- contents and frames ----------------------------------------------------------------------


def encode_frame(
    content: Content,
    model: str,
    codecs: CodecSource,
    progress: Progress | None = None,
    level: int = DEFAULT_LEVEL,
    preview: bool | None = None,
    block: int | None = None,
) -> bytes:
    """The file of a content. Arguments and errors as :func:`compress`; block is None where lines may be cut."""
    check_level(level)
    progress = progress or silent
    lines = _cut_lines(content, block, model, codecs) if block is not None else None
    if isinstance(content, Picture):
        choice = _choose(model, "image", codecs, level)
        plan = encode_pixels(content.pixels, content.mode, choice, progress)
    elif isinstance(content, Folder | Arrays):
        plan = _plan_apart(content, _choose(model, "text", codecs, level), progress)
    else:
        plan = _plan_plain(content, model, codecs, level, progress, lines)
    header = content.header
    if plan.granularity != FINEST and len(plan.coded) > 1:
        header = replace(header, extras=(*header.extras, write_granularity(plan.granularity)))
    if isinstance(content, Picture) and preview is not False:
        header = _with_preview(header, content, plan, preview)
    return pack(header, plan.axes, plan.coded)


def _plan_plain(
    content: Plain, model: str, codecs: CodecSource, level: int, progress: Progress, lines: Lines | None
) -> Plan:
    """Segments of bytes, text or an array that is no picture. Of arrays only those of bytes are for models."""
    if content.kind is not Kind.ARRAY:
        return encode_bytes(content.data, _choose(model, "text", codecs, level), progress, lines)
    choice = _choose("none" if model == "auto" else model, "text", codecs, level)
    if choice.forced and content.header.item_bytes > 1:
        raise InputError(
            f"model {model} codes bytes, found an array of {content.dtype}: no model serves it; leave it to auto"
        )
    if choice.forced or content.dtype in ("u1", "u2"):
        return encode_bytes(content.data, choice, progress)
    return encode_numbers(content.data, content.dtype, content.shape, progress)


def _cut_lines(content: Content, block: int, model: str, codecs: CodecSource) -> Lines:
    """Blocks of whole lines. InputError for content that has none, and where one is too long."""
    if isinstance(content, Picture):
        raise InputError("expected bytes or text to cut after lines, found a picture: its file may be taken as bytes")
    if isinstance(content, Folder | Arrays) or content.kind is Kind.ARRAY:
        raise InputError("expected bytes or text to cut after lines, found an array or a folder")
    if model not in ("auto", "none") and codecs.named(model).capabilities.codes_archives:
        raise InputError(f"model {model} codes items of one shape, not lines: name another, or auto")
    if not 1 <= block <= TEXT_SEGMENT:
        raise InputError(f"expected blocks of lines of 1 to {TEXT_SEGMENT} bytes, found {block}")
    lines = Lines.of(content.data, block)
    largest = max(stop - start for start, stop in pairwise(lines.edges(len(content.data))))
    if largest > block + TEXT_SEGMENT:
        raise InputError(f"expected lines of at most {TEXT_SEGMENT} bytes, found one longer: do without lines")
    return lines


def _with_preview(header: Header, picture: Picture, plan: Plan, asked: bool | None) -> Header:
    """The header with a preview, if one was asked for or costs next to nothing of a large picture's file."""
    from bfncodec.images import preview

    if not asked and picture.pixels.shape[0] * picture.pixels.shape[1] < preview.LARGE:
        return header
    extra = preview.preview_extra(picture, None if asked else plan.size)
    return replace(header, extras=(*header.extras, extra)) if extra is not None else header


def _stripped(data: Any) -> Any:
    from PIL import Image

    from bfncodec.images.strip import stripped

    return stripped(data) if isinstance(data, Image.Image) else data


def _content_of(data: Any, model: str, codecs: CodecSource) -> Content:
    if not isinstance(data, Mapping):
        return content_of(data)
    if model in ("auto", "none") or not all(isinstance(path, str) for path in data):
        raise InputError(f"expected files by path and a model of pictures of one shape, found model {model}: name one")
    files = {path: bytes_of(file, f"the bytes of {path}") for path, file in data.items()}
    return folder_of(files, picture_shape(codecs.named(model).capabilities.item_shape, model))


def _plan_apart(content: Folder | Arrays, choice: Choice, progress: Progress) -> Plan:
    """Segments of what is kept as bytes, then segments of pictures or arrays: none holds both."""
    none = Choice(lambda: None, wanted=False)
    plain, pixels = content.data[: content.first], content.data[content.first :]
    items = encode_bytes(pixels, choice, progress)
    if not plain:
        return items
    assert isinstance(items.granularity, Items)
    size = items.granularity.size
    if items.granularity.first:  # pixels that look like the head of an array file
        items, size = encode_bytes(pixels, none, progress), 1
    others = encode_bytes(plain, none, progress)
    parts = len(others.coded) + len(items.coded)
    return Plan(((len(content.data), parts),), others.coded + items.coded, Items(size, len(plain), len(others.coded)))


def decode_frame(
    blob: bytes,
    codecs: CodecSource,
    progress: Progress | None = None,
    limits: Limits | None = None,
    on_damage: Callable[[Damage], None] | None = None,
    part: Part | None = None,
) -> Content:
    """The inverse of :func:`encode_frame`. Arguments and errors as :func:`decompress`."""
    return decode_content(open_file(blob, codecs, limits, on_damage, part), codecs, progress, on_damage, part)


@dataclass(frozen=True)
class Opened:
    """A file that was opened: one frame, or several where files of bytes or text were put one after the other."""

    frames: tuple[Frame, ...]
    blob: Source

    @property
    def header(self) -> Header:
        """The first header: what the whole is, but that bytes and text together are bytes."""
        return self.frames[0].header


def open_file(
    blob: Source,
    codecs: CodecSource,
    limits: Limits | None = None,
    on_damage: Callable[[Damage], None] | None = None,
    part: Part | None = None,
) -> Opened:
    """A file's head and the segments that :func:`decode_content` needs; of a part only those it lies in are read."""
    salvage = on_damage is not None
    known = partial(_is_known, codecs)
    if part is not None:
        try:
            return Opened((unpack(blob, limits, salvage, part.place),), blob)
        except DamagedError:
            if len(split(blob[0 : len(blob)], known)) > 1:
                raise InputError("several files one after the other: a part can be had of one alone") from None
            raise
    pieces = split(blob[0 : len(blob)], known)
    frames = tuple(unpack(piece, limits, salvage) for piece in pieces)
    if len(frames) > 1 and not all(is_joinable(frame.header) for frame in frames):
        raise _apart(len(pieces[0]))
    check_together([(frame.header, frame.axes) for frame in frames], limits or Limits())
    return Opened(frames, blob)


def _is_known(codecs: CodecSource, identity: bytes) -> bool:
    try:
        codecs.identified(identity)
    except (ModelNotFoundError, ModelError):
        return False
    return True


def _apart(place: int) -> InputError:
    return InputError(
        f"several files one after the other, the second from byte {place} on: only files of bytes and text are read so"
    )


def decode_content(
    opened: Opened,
    codecs: CodecSource,
    progress: Progress | None = None,
    on_damage: Callable[[Damage], None] | None = None,
    part: Part | None = None,
) -> Content:
    """The content of what :func:`open_file` made with the same arguments."""
    if len(opened.frames) > 1:
        contents = [_decode_frame(frame, codecs, progress, on_damage, part) for frame in opened.frames]
        kinds = {frame.header.kind for frame in opened.frames}
        return Plain(b"".join(cast("Plain", content).data for content in contents), min(kinds))
    try:
        return _decode_frame(opened.frames[0], codecs, progress, on_damage, part)
    except DamagedError as error:
        place = follower(opened.blob) if part is None else None
        if place is None:
            raise
        raise _apart(place) from error


def _decode_frame(
    frame: Frame,
    codecs: CodecSource,
    progress: Progress | None,
    on_damage: Callable[[Damage], None] | None,
    part: Part | None,
) -> Content:
    whole = _Whole(frame, part)
    reasons = {n: "not found" for n in whole.wanted if frame.segments[n] is None}
    for number, content in decode(frame, codecs.identified, progress or silent):
        if not isinstance(content, FormatError):
            whole.put(number, content)
            continue
        reasons[number] = str(content)
        if on_damage is None:
            break
        if isinstance(content, SalvageableError):
            whole.put_salvaged(number, content.salvage())
    count = len(frame.segments)
    for number, reason in sorted(reasons.items()):
        if on_damage is None or (count == 1 and number not in whole.salvaged):
            raise DamagedError(reason if count == 1 else f"segment {number + 1} of {count}: {reason}")
        for extent in whole.lost_in(number):
            on_damage(Damage(number, count, extent, reason, whole.files_in(extent)))
    return whole.content()


@dataclass(frozen=True)
class Damage:
    """A segment that was lost, or a part of one: which, of how many, the place of what is lost (byte range, or rows and
    columns), and why. Where a segment was damaged and nothing of it is lost, its place is empty.

    files: those of a folder that are lost with it.
    """

    segment: int
    count: int
    extent: Extent
    reason: str
    files: tuple[str, ...] = ()

    @property
    def repaired(self) -> bool:
        """Return whether nothing is lost."""
        return any(start == stop for start, stop in self.extent)


class _Whole:
    """Content, or a part of it, that is put together from its segments; zeros where there is none."""

    def __init__(self, frame: Frame, part: Part | None) -> None:
        self.header, self.part = frame.header, part
        self.extents = tuple(extents(frame.axes, frame.header.granularity))
        self.sides = tuple(length for length, _ in frame.axes)
        self.folder = read_files(frame.header, self.sides[0])
        self.files = FilePositions(self.folder[0]) if self.folder else None
        self.places = read_places(frame.header, self.sides[0])
        self.extent = part.place(frame.header, frame.axes) if part else tuple((0, side) for side in self.sides)
        self.wanted = [n for n, extent in enumerate(self.extents) if part is None or overlap(self.extent, extent)]
        if frame.header.kind is Kind.IMAGE:
            import numpy as np

            dtype = np.uint16 if frame.header.mode.is_wide else np.uint8
            shape = (stop - start for start, stop in self.extent)
            self.pixels = np.zeros((*shape, frame.header.mode.channels), dtype)
        self.pieces: dict[int, bytes] = {}
        self.salvaged: dict[int, tuple[Extent, ...]] = {}  # what is lost of segments of which something was had
        self.found = 0

    def put(self, number: int, content: Any) -> None:
        self.found += 1
        if self.header.kind is not Kind.IMAGE:
            lines = self.part if isinstance(self.part, LineRange) else None
            self.pieces[number] = lines.of(content, self.header, number) if lines else content
            return
        here, there = [], []  # where it is in the whole, and in itself
        for (start, stop), (first, last) in zip(self.extent, self.extents[number], strict=True):
            low, high = max(start, first), min(stop, last)
            here.append(slice(low - start, high - start))
            there.append(slice(low - first, high - first))
        self.pixels[tuple(here)] = content[tuple(there)]

    def put_salvaged(self, number: int, found: Salvaged) -> None:
        """Return what could be had of a segment of bytes."""
        self.put(number, found.content)
        start = self.extents[number][0][0]
        self.salvaged[number] = tuple(((start + first, start + last),) for first, last in found.lost)

    def lost_in(self, number: int) -> tuple[Extent, ...]:
        """The places in a damaged segment that are lost; an empty one, where nothing is."""
        extent = self.extents[number]
        return self.salvaged.get(number, (extent,)) or (((extent[0][0], extent[0][0]),),)

    def files_in(self, extent: Extent) -> tuple[str, ...]:
        """Files of a folder that have bytes there."""
        return self.files.within(extent[0]) if self.files else ()

    def content(self) -> Content:
        header = self.header
        if header.kind is Kind.IMAGE:
            dropped = {Tag.PREVIEW} if self.found == len(self.extents) else {Tag.PREVIEW, Tag.SOURCE}
            extras = tuple(extra for extra in header.extras if extra.tag not in dropped)
            picture = Picture(self.pixels, header.mode, header.origin, extras)
            return with_true_extras(picture, (self.sides[0], self.sides[1])) if self.part else picture
        data = b"".join(self.pieces[n] if n in self.pieces else self._zeros(n) for n in self.wanted)
        if self.folder:
            damaged = {n for n in range(len(self.extents)) if n not in self.pieces} | set(self.salvaged)
            lost = tuple(extent[0] for number in sorted(damaged) for extent in self.lost_in(number))
            source = None if lost else header.extra(Tag.SOURCE)
            return Folder(data, entries=self.folder[0], sides=self.folder[1], lost=lost, source=source)
        return Arrays(data, places=self.places) if self.places else Plain.of(header, data)

    def _zeros(self, number: int) -> bytes:
        ((start, stop),) = self.extents[number]
        return bytes(stop - start)


def _choose(model: str, role: str, codecs: CodecSource, level: int) -> Choice:
    if model == "none":
        return Choice(lambda: None, level=level, wanted=False)
    if model == "auto":
        return Choice(lambda: codecs.default(role, level), level=level)
    codec = codecs.named(model)
    if codec.capabilities.codes_pictures is not (role == "image"):
        found = "a picture" if role == "image" else "bytes or text"
        raise InputError(f"model {model} codes {codec.capabilities.content}, found {found}: name another, or auto")
    return Choice(lambda: codec, forced=True, level=level)


# ---- what a file holds ------------------------------------------------------------------------


@dataclass(frozen=True)
class Description:
    """What can be told of a file without decoding it.

    content: "bytes", "text", "array", "image", a picture file's format, or "folder". sides: bytes, or height and width,
    or an array's shape, or the number of files. methods: segments by how they are coded. models: their identities in
    hex. preview_bytes: size of the small picture in the file, 0 where there is none. lines: how many there are, in as
    many blocks as there are segments, where the content is cut after lines; else 0. files: how many compressed files
    stand one after the other; what is said of the content is then said of all together. identical: whether all files
    come back byte for byte; else some picture files come back with the same pixels and metadata in other bytes.
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
        """Return what of the file or the files in it comes back, in words; nothing of an object that was no file."""
        if self.content in ("text", "array", "image"):
            return ""
        if self.content == "folder":
            return "identical files" if self.identical else "same pictures, file bytes differ"
        return "identical file" if self.identical else "same picture, file bytes differ"


def describe(blob: bytes, *, limits: Limits | None = None) -> Description:
    """What a file holds, from its head; limits and errors as :func:`decompress`. Needs neither NumPy nor torch."""
    check_type(limits, Limits, "limits")
    data = bytes_of(blob)
    frames = tuple(unpack(piece, limits) for piece in split(data, _is_here))
    return describe_opened(Opened(frames, data))


def _is_here(identity: bytes) -> bool:
    from bfncodec import models

    try:
        models.find(identity)
    except ModelNotFoundError:
        return False
    return True


def describe_opened(opened: Opened) -> Description:
    """The same of a file that was opened; where that was for a part, methods and models are those of its segments."""
    found = [_describe_frame(frame, len(opened.blob)) for frame in opened.frames]
    if len(found) == 1:
        return found[0]
    names = {each.content for each in found}
    methods = [name for each in found for name, count in each.methods.items() for _ in range(count)]
    return replace(
        found[0],
        content=names.pop() if len(names) == 1 else "bytes",
        sides=(sum(each.content_bytes for each in found),),
        content_bytes=sum(each.content_bytes for each in found),
        methods={name: methods.count(name) for name in sorted(set(methods))},
        models=tuple(sorted({model for each in found for model in each.models})),
        lines=0,
        files=len(found),
    )


def _describe_frame(frame: Frame, file_bytes: int) -> Description:
    parts = [part for part in frame.segments if part is not None]
    methods = [_method(part.method, frame.header) for part in parts]
    sides = tuple(length for length, _ in frame.axes)
    folder = read_files(frame.header, sides[0])
    return Description(
        content="folder" if folder else _name(frame.header),
        mode=frame.header.mode.pil if frame.header.kind is Kind.IMAGE else "",
        sides=(len(folder[0]),) if folder else frame.header.shape if frame.header.kind is Kind.ARRAY else sides,
        content_bytes=content_bytes(frame.header, sides),
        file_bytes=file_bytes,
        methods={name: methods.count(name) for name in sorted(set(methods))},
        models=tuple(sorted({part.model.hex() for part in parts if part.model})),
        preview_bytes=len(frame.header.extra(Tag.PREVIEW) or b""),
        lines=frame.header.lines.total if frame.header.lines else 0,
        identical=frame.header.extra(Tag.SOURCE) is not None or not (folder or frame.header.is_file_of_pixels),
    )


def _method(method: Method, header: Header) -> str:
    return "planes" if header.kind is Kind.ARRAY and method is Method.PICTURE else method.name.lower()


def _name(header: Header) -> str:
    if header.kind is Kind.IMAGE:
        if header.origin.is_array:
            return "array"
        return "image" if header.origin is Origin.OBJECT else header.origin.name
    return {Kind.BYTES: "bytes", Kind.STR: "text", Kind.ARRAY: "array"}[header.kind]
