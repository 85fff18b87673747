"""Bytes of compressed files that are not payload, by what they are for.

    python -m benchmarks.frames FILE.bfn ...

docs/format.md says what each part is. Rows of files are taken apart; files are added up.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from bfncodec.format.concatenation import split
from bfncodec.format.container import unpack
from bfncodec.format.cuts import Grid
from bfncodec.format.extras import Tag
from bfncodec.format.frame import LONG, MODEL_BYTES, SEGMENTED, Frame
from bfncodec.format.header import write_head
from bfncodec.format.wire import Source, varint

PARTS = ("start", "checks", "models", "fields", "extras", "segments", "index")
"""Magic number, flags and number of blocks; checksums; identities of models; fields of the kind, and sides of a picture
in tiles; extras in the head; what begins a segment; the index with the extras in it, its size and the end mark."""
_START = 3
_COMPACT_CHECKS, _HEAD_CHECK, _SEGMENT_CHECKS, _INDEX_CHECK = 4, 2, 8, 4


def frame_bytes(blob: Source) -> Counter[str]:
    """Return the bytes of a file by part, "payload" the last of them. Raises FormatErrors."""
    found: Counter[str] = Counter()
    for piece in split(blob):
        frame = unpack(piece)
        layout = piece[2:3][0] >> 5
        found += _segmented(frame, len(piece)) if layout == SEGMENTED else _compact(frame, _START + (layout == LONG))
    assert found.total() == len(blob)
    return found


def _compact(frame: Frame, start: int) -> Counter[str]:
    (entry,) = frame.entries
    models = MODEL_BYTES * bool(entry.model)
    fields = _fields(frame, segmented=False)
    return Counter(
        start=start,
        checks=_COMPACT_CHECKS,
        models=models,
        fields=fields,
        extras=entry.start - start - _COMPACT_CHECKS - models - fields,
        payload=entry.stop - entry.start,
    )


def _segmented(frame: Frame, size: int) -> Counter[str]:
    entries, head = frame.entries, frame.entries[0].begin
    named = sum(MODEL_BYTES * (len(entry.head) > MODEL_BYTES + 1) for entry in entries)
    fields = _fields(frame, segmented=True)
    return Counter(
        start=_START,
        checks=_HEAD_CHECK + _SEGMENT_CHECKS * len(entries) + _INDEX_CHECK,
        models=named,
        fields=fields,
        extras=head - _START - _HEAD_CHECK - fields,
        segments=sum(len(entry.head) for entry in entries) - named,
        index=size - entries[-1].end - _INDEX_CHECK,
        payload=sum(entry.stop - entry.start for entry in entries),
    )


def _fields(frame: Frame, segmented: bool) -> int:
    """Return the bytes of the fields of the kind, with the sides of a picture in tiles."""
    header, cut = frame.header, frame.cut
    bare = header.without(*(Tag(extra.tag) for extra in header.in_block))
    sides = (cut.height, cut.rows, cut.width, cut.columns) if segmented and isinstance(cut, Grid) else ()
    return len(write_head(bare, segmented)) + sum(len(varint(side)) for side in sides)


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(paths: tuple[Path, ...]) -> None:
    """Print the sums over all files, and the frame of the largest and of a file on average."""
    found = [frame_bytes(path.read_bytes()) for path in paths]
    whole = sum(found, Counter[str]())
    for part in (*PARTS, "payload"):
        print(f"{part:9} {whole[part]:>12,}")
    frames = [each.total() - each["payload"] for each in found]
    print(f"{len(frames)} files, {sum(frames) / len(frames):.2f} bytes of frame each, at most {max(frames)}")


if __name__ == "__main__":
    main()
