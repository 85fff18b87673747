"""Content to a file: the plan for each type of content, and the header around it.

:func:`encode_frame` is the encoder of everything; its decoder is :func:`bfncodec.segments.assemble.decode_frame`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from bfncodec.codecs.sources import CodecSource, codecs_beside
from bfncodec.content.arrays import Arrays
from bfncodec.content.folder import Folder
from bfncodec.content.types import Content, Plain
from bfncodec.errors import InputError
from bfncodec.format.container import pack
from bfncodec.format.cuts import Pieces
from bfncodec.format.extras import Extra, Tag
from bfncodec.format.header import Header
from bfncodec.format.kinds import Kind
from bfncodec.format.lineindex import Lines
from bfncodec.format.modelnames import ModelName, write_names
from bfncodec.images.files import with_check
from bfncodec.images.picture import Picture
from bfncodec.models import DEFAULT_LEVEL, check_level, published
from bfncodec.runtime.progress import Progress, silent
from bfncodec.segments.bytes import encode_bytes, encode_numbers
from bfncodec.segments.pixels import encode_pixels
from bfncodec.segments.plan import Choice, Plan, smaller
from bfncodec.segments.policy import DEFAULT_POLICY, Policy

__all__ = ["Task", "encode_frame", "names_of"]


def encode_frame(
    content: Content,
    model: str,
    codecs: CodecSource,
    progress: Progress | None = None,
    level: int = DEFAULT_LEVEL,
    preview: bool | None = None,
    block: int | None = None,
    policy: Policy = DEFAULT_POLICY,
    finish: Callable[[], Content] | None = None,
) -> bytes:
    """Return the file of a content.

    Arguments and errors as for :func:`bfncodec.compress`, but block: bytes that a block of whole lines has at least,
    None to cut lines anywhere. finish: of a picture that is not yet all there, asked when its pixels are coded; returns
    it with all that belongs to it, or another content instead of it.
    """
    check_level(level)
    task = Task(model, codecs, progress or silent, level, policy)
    lines = task.blocks_of_lines(content, block) if block is not None else None
    plan = task.plan(content, lines)
    if finish is not None and not isinstance(content := finish(), Picture):
        return encode_frame(content, model, codecs, silent, level, preview, block, policy)
    if isinstance(content, Picture):
        content = with_check(content)
    header = content.header
    if lines is not None and len(plan.coded) > 1:
        header = replace(header, extras=(*header.extras, Extra(Tag.LINES, lines.write())))
    header = _with_names(header, plan, codecs, policy)
    if isinstance(content, Picture) and preview is not False:
        header = _with_preview(header, content, plan, preview, policy)
    return pack(header, plan.cut, plan.coded)


@dataclass(frozen=True)
class Task:
    """A caller's wishes for the coding of a content."""

    model: str
    codecs: CodecSource
    progress: Progress
    level: int
    policy: Policy

    def plan(self, content: Content, lines: Lines | None) -> Plan:
        """Return the segments of a content. lines: where bytes and text are to be cut, if anywhere."""
        match content:
            case Picture():
                choice = self.choice("image")
                return encode_pixels(content.pixels, content.mode, choice, self.progress, self.policy)
            case Folder() | Arrays():
                return self._plan_apart(content.data, content.first)
            case Plain(kind=Kind.ARRAY):
                return self._plan_array(content)
            case Plain():
                return encode_bytes(content.data, self.choice("text"), self.progress, lines, self.policy)

    def _plan_array(self, content: Plain) -> Plan:
        """Return the segments of an array that is no picture; models are only for arrays of bytes, or of the element
        types that they declare, and if named.
        """
        if self.model in ("auto", "none"):
            plain = Choice.none(self.level)
            if content.dtype in ("u1", "u2"):
                return encode_bytes(content.data, plain, self.progress, policy=self.policy)
            return encode_numbers(content.data, content.dtype, content.shape, plain, self.progress, self.policy)
        choice = self.choice("text")
        codec = choice.find()
        if content.header.item_bytes > 1 and (codec is None or content.dtype not in codec.capabilities.dtypes):
            raise InputError(
                f"model {self.model} codes bytes, found an array of {content.dtype}: no model serves it; "
                "leave it to auto"
            )
        plan = encode_bytes(content.data, choice, self.progress, policy=self.policy)
        if content.header.item_bytes == 1:
            return plan
        others = encode_numbers(content.data, content.dtype, content.shape, choice, silent, self.policy)
        return smaller(plan, others, self.policy.model_credit)

    def _plan_apart(self, data: bytes, first: int) -> Plan:
        """Return segments of plain bytes, then segments of the items behind them; none holds both.

        first: the byte at which items begin.
        """
        plain, pixels = data[:first], data[first:]
        items = encode_bytes(pixels, self.choice("text"), self.progress, policy=self.policy)
        if not plain:
            return items
        others = encode_bytes(plain, Choice.none(self.level), self.progress, policy=self.policy)
        lengths = [stop - start for plan in (others, items) for ((start, stop),) in plan.cut.extents]
        return Plan(Pieces(tuple(lengths)), others.coded + items.coded)

    def choice(self, role: str) -> Choice:
        """Return the choice of codec for content of a role, "image" or "text".

        Raises InputError for a named model of another kind of content, ModelNotFoundError.
        """
        if self.model == "none":
            return Choice.none(self.level)
        if self.model == "auto":
            return Choice(
                lambda: self.codecs.default(role, self.level),
                level=self.level,
                beside=lambda codec: codecs_beside(self.codecs, codec),
            )
        codec = self.codecs.named(self.model)
        if codec.capabilities.codes_pictures is not (role == "image"):
            found = "a picture" if role == "image" else "bytes or text"
            raise InputError(
                f"model {self.model} codes {codec.capabilities.content}, found {found}: name another, or auto"
            )
        return Choice(lambda: codec, forced=True, level=self.level)

    def blocks_of_lines(self, content: Content, block: int) -> Lines:
        """Return blocks of whole lines. Raises InputError for content that has none, and for a line that is too long.

        block: bytes that a block has at least.
        """
        most = self.policy.text_segment
        if isinstance(content, Picture):
            raise InputError(
                "expected bytes or text to cut after lines, found a picture: its file may be taken as bytes"
            )
        if isinstance(content, Folder | Arrays) or content.kind is Kind.ARRAY:
            raise InputError("expected bytes or text to cut after lines, found an array or a folder")
        if self.model not in ("auto", "none") and self.codecs.named(self.model).capabilities.codes_archives:
            raise InputError(f"model {self.model} codes items of one shape, not lines: name another, or auto")
        if not 1 <= block <= most:
            raise InputError(f"expected blocks of lines of 1 to {most} bytes, found {block}")
        lines = Lines.of(content.data, block)
        largest = max(lines.pieces(len(content.data)).lengths)
        if largest > block + most:
            raise InputError(f"expected lines of at most {most} bytes, found one longer: do without lines")
        return lines


def _with_names(header: Header, plan: Plan, codecs: CodecSource, policy: Policy) -> Header:
    """Return the header with the names of models that no registry knows, where they are little beside the payload."""
    if sum(len(coded.payload) for coded in plan.coded) < policy.named_from:
        return header
    names = names_of({coded.model for coded in plan.coded if coded.model}, codecs)
    return replace(header, extras=(*header.extras, write_names(names))) if names else header


def names_of(identities: Iterable[bytes], codecs: CodecSource) -> list[ModelName]:
    """Return the names of the models that are not published ones."""
    known = {model.sha256 for model in published()}
    infos = [codecs.identified(identity).info for identity in sorted(identities)]
    return [ModelName(bytes.fromhex(info.sha256), info.name) for info in infos if info.sha256 not in known]


def _with_preview(header: Header, picture: Picture, plan: Plan, asked: bool | None, policy: Policy) -> Header:
    """Return the header with a preview, if one was asked for or costs next to nothing of a large picture's file."""
    height, width = picture.pixels.shape[:2]
    if not asked and height * width < policy.preview_pixels:
        return header
    from bfncodec.images.preview import preview_extra

    extra = preview_extra(picture, None if asked else plan.size // policy.preview_share)
    return replace(header, extras=(*header.extras, extra)) if extra is not None else header
