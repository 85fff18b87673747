"""A file to content: opening it, decoding its segments and putting them together, whole or in part, sound or damaged.

:func:`decode_frame` is the decoder of everything; its encoder is :func:`bfncodec.segments.encode.encode_frame`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bfncodec.codecs.sources import CodecSource
from bfncodec.content.items import rows_of
from bfncodec.content.regions import Part
from bfncodec.content.types import Content, Plain
from bfncodec.errors import DamagedError, FormatError, SalvageableError
from bfncodec.forks import cached_property
from bfncodec.format.container import unpack
from bfncodec.format.extras import Tag
from bfncodec.format.frame import Frame
from bfncodec.format.items import Row
from bfncodec.format.kinds import Kind
from bfncodec.format.limits import Limits
from bfncodec.format.sizes import check_together
from bfncodec.format.wire import Source
from bfncodec.runtime.progress import Progress, silent
from bfncodec.segments.assembly import Assembly, assembly_of
from bfncodec.segments.damage import Damage, OnDamage
from bfncodec.segments.decode import decode
from bfncodec.segments.opening import Opened, open_file
from bfncodec.segments.together import run_together


def decode_frame(
    blob: bytes,
    codecs: CodecSource,
    progress: Progress | None = None,
    limits: Limits | None = None,
    on_damage: OnDamage | None = None,
    part: Part | None = None,
) -> Content:
    """Return the content of a file. Arguments and errors as for :func:`bfncodec.decompress`."""
    return decode_content(open_file(blob, limits, on_damage, part), codecs, progress, on_damage, part)


@dataclass(frozen=True)
class Decoding:
    """A task of :func:`run_together` that returns the content of a file, which is opened once, in its first run.

    Arguments and errors as for :func:`decode_frame`.
    """

    blob: Source
    limits: Limits | None = None
    part: Part | None = None

    def __call__(self, *, codecs: CodecSource) -> Content:
        return decode_content(self._opened, codecs, part=self.part)

    @cached_property
    def _opened(self) -> Opened:
        return open_file(self.blob, self.limits, part=self.part)


def decode_content(
    opened: Opened,
    codecs: CodecSource,
    progress: Progress | None = None,
    on_damage: OnDamage | None = None,
    part: Part | None = None,
) -> Content:
    """Return the content of a file that :func:`open_file` opened with the same arguments."""
    if len(opened.frames) > 1:
        contents = [_decode_frame(opened, frame, codecs, progress, on_damage, part) for frame in opened.frames]
        kinds = {frame.header.kind for frame in opened.frames}
        return Plain(b"".join(content.data for content in contents if isinstance(content, Plain)), min(kinds))
    return _decode_frame(opened, opened.frames[0], codecs, progress, on_damage, part)


def _decode_frame(
    opened: Opened,
    frame: Frame,
    codecs: CodecSource,
    progress: Progress | None,
    on_damage: OnDamage | None,
    part: Part | None,
) -> Content:
    whole = assembly_of(frame, part, opened.limits, partial(_decode_row, codecs))
    reasons = {}
    for number, content in decode(frame, codecs, progress or silent, on_damage is not None):
        if not isinstance(content, FormatError):
            whole.put(number, content)
            continue
        if on_damage is None:
            raise frame.placed(content, number) from content
        reasons[number] = content
        if isinstance(content, SalvageableError):
            whole.put_salvaged(number, content.salvage())
    if on_damage is not None:
        _tell(frame, whole, reasons, on_damage)
    return whole.content()


def _tell(frame: Frame, whole: Assembly, reasons: Mapping[int, FormatError], on_damage: OnDamage) -> None:
    """Tell of all damaged segments. Raises the error of one that is all there is and of which nothing could be had."""
    count = frame.cut.count
    for number, error in sorted(reasons.items()):
        if count == 1 and number not in whole.salvaged:
            raise error
        for extent in whole.lost_in(number):
            on_damage(Damage(number, count, extent, str(error), whole.files_in(extent)))
    if frame.indexed:
        return
    end, unknown = frame.cut.sides[0], not frame.complete and frame.header.kind is not Kind.IMAGE
    reason = "cut off: the end of the file is missing" if unknown else "what it tells beside the content is lost"
    on_damage(Damage(count, count, ((end, end),), reason, unknown=unknown))


def decode_items(wanted: Sequence[tuple[Row, Sequence[int]]], codecs: CodecSource, limits: Limits) -> list[Content]:
    """Return the contents of items, decoded together.

    wanted: segments, and numbers of items in each, from 0. Raises FormatErrors and what models raise.
    """
    files = [row.file(k) for row, numbers in wanted for k in ([0] if row.is_stack else numbers)]
    frames = [_frame_of_item(file, limits) for file in files]
    check_together([(frame.header, frame.cut) for frame in frames], limits)
    made = iter(run_together([partial(_decode_item, frame, limits) for frame in frames], codecs))
    contents = list[Content]()
    for row, numbers in wanted:
        if row.is_stack:
            rows = rows_of(next(made), row.count)
            contents += [rows[number] for number in numbers]
        else:
            contents += [next(made) for _ in numbers]
    return contents


def _frame_of_item(file: bytes, limits: Limits) -> Frame:
    frame = unpack(file, limits)
    if any(frame.header.extra(tag) is not None for tag in (Tag.ITEMS, Tag.FILES)):
        raise DamagedError("expected an item, found an archive or a folder in its place")
    frame.verify()
    return frame


def _decode_item(frame: Frame, limits: Limits, *, codecs: CodecSource) -> Content:
    return _decode_frame(Opened((frame,), b"", limits), frame, codecs, None, None, None)


def _decode_row(codecs: CodecSource, row: Row, limits: Limits) -> list[Content]:
    return decode_items([(row, range(row.count))], codecs, limits)
