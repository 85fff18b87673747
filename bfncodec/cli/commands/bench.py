"""``bfncodec bench``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bfncodec.analysis.comparison import Comparison, Score, Total, compare, is_ours, totals
from bfncodec.analysis.peers import absent
from bfncodec.analysis.plots import Trade, plot_kind, plot_trade, require_matplotlib
from bfncodec.cli import options as opt
from bfncodec.cli.call import Call
from bfncodec.cli.machine import models_of
from bfncodec.cli.messages import shown
from bfncodec.cli.selection import expand, is_plain
from bfncodec.cli.streams import print_json, print_line, read_input
from bfncodec.cli.terminal import table
from bfncodec.files.atomic import check_target, place
from bfncodec.files.options import Options
from bfncodec.models import COMPRESSION_LEVELS, DEFAULT_LEVEL


@click.command("bench")
@opt.some_files
@opt.together(opt.recursive, opt.model)
@click.option(
    "--level",
    "levels",
    type=click.IntRange(*COMPRESSION_LEVELS),
    multiple=True,
    default=(DEFAULT_LEVEL,),
    show_default=True,
    help="Of ours; may repeat.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Codecs with this in their name; may repeat.")
@click.option(
    "--ratios", is_flag=True, help="Show sizes and times of ours divided by those of each of the others, too."
)
@opt.as_json
@click.option("--plot", type=opt.FileType(), help="Write a picture of bits against time.")
@opt.together(opt.force, opt.running, opt.quiet)
def command(files: tuple[Path, ...], **given: Any) -> int:
    """Compare sizes and times of FILES with those of PNG, WebP, JPEG XL, gzip, xz, zstd and others.

    Every size is of bytes that were decoded and compared. Pictures of lossless formats go to the others as their
    samples alone; ours keeps their metadata, too. Others run on one thread. Times are of one process that has
    everything loaded. Nothing but the plot is written.
    """
    call, codecs = Call(given["quiet"]), models_of(given)
    ways = [Options(given["model"], verify=False, level=level) for level in given["levels"]]
    paths = [path for path, _ in expand(files, given["recursive"], is_plain, call)]
    plot: Path | None = given["plot"]
    if plot is not None:
        require_matplotlib(plot_kind(plot))
        for path in paths:
            check_target(plot, path, given["force"])

    def wanted(name: str) -> bool:
        return not given["only"] or any(part.lower() in name.lower() for part in given["only"])

    found: list[Comparison] = []
    for path in paths:
        with call.each(str(path)):
            one = compare(str(path), read_input(path), ways, codecs, wanted, call.bar(str(path)))
            found.append(one)
            for codec, reason in one.failures.items():
                call.say(f"{shown(str(path))} : {codec} failed ({shown(reason)})")
    for line in absent():
        call.say(line)
    if given["as_json"]:
        print_json([asdict(one) for one in found])
    elif found:
        parts = (_lines, _ratios) if given["ratios"] else (_lines,)
        print_line("\n\n".join(filter(None, (part(total) for total in totals(found) for part in parts))))
    if plot is not None:
        trades = [_trade(total) for total in totals(found) if total.scores]
        place(plot, plot_trade(trades, plot_kind(plot)), force=given["force"])
    return call.code


def _lines(total: Total) -> str:
    """Return the table of the files of a kind, the smallest last."""
    title = f"{total.kind} ({total.files}): {total.file_bytes:,} bytes as found, {total.dims:,} {total.unit[5:]}s"
    ordered = sorted(total.scores.items(), key=lambda item: item[1].bytes, reverse=True)
    rows = [
        [
            name,
            f"{score.bytes:,}",
            f"{_bits(total, score):.4f}",
            f"{100 * score.bytes / total.file_bytes if total.file_bytes else 100:.1f}%",
            f"{total.raw_bytes / max(score.encode_seconds, 1e-9) / 1e3:,.0f}",
            f"{total.raw_bytes / max(score.decode_seconds, 1e-9) / 1e3:,.0f}",
        ]
        for name, score in ordered
    ]
    return "\n".join([title, table(["codec", "bytes", total.unit, "of found", "encode KB/s", "decode KB/s"], rows)])


def _ratios(total: Total) -> str:
    """Return the table of ours divided by each of the others, whose smallest comes last; nothing if there are none."""
    ours = [(name, score) for name, score in total.scores.items() if is_ours(name)]
    others = [(name, score) for name, score in total.scores.items() if not is_ours(name)]
    rows = [
        [
            f"{name} / {other}",
            f"{mine.bytes / max(theirs.bytes, 1):.3f}",
            f"{mine.encode_seconds / max(theirs.encode_seconds, 1e-9):,.2f}",
            f"{mine.decode_seconds / max(theirs.decode_seconds, 1e-9):,.2f}",
        ]
        for name, mine in ours
        for other, theirs in sorted(others, key=lambda item: item[1].bytes, reverse=True)
    ]
    return table(["ratio", "bytes", "encode time", "decode time"], rows) if rows else ""


def _bits(total: Total, score: Score) -> float:
    return 8 * score.bytes / total.dims if total.dims else 0.0


def _trade(total: Total) -> Trade:
    megabytes = max(total.raw_bytes, 1) / 1e6
    points = {
        name: (_bits(total, score), score.encode_seconds / megabytes, score.decode_seconds / megabytes)
        for name, score in total.scores.items()
    }
    return Trade(f"{total.kind} ({total.files})", total.unit, points)
