"""``bfncodec measure``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bfncodec import __version__
from bfncodec.analysis.comparison import compare
from bfncodec.analysis.heat import heat
from bfncodec.analysis.measurement import Measurement, measure_frame
from bfncodec.analysis.plots import plot_kind, plot_steps, require_matplotlib
from bfncodec.analysis.report import Reported, render, require_jinja
from bfncodec.cli import options as opt
from bfncodec.cli.call import Call
from bfncodec.cli.machine import models_of
from bfncodec.cli.messages import shown
from bfncodec.cli.selection import expand, is_plain
from bfncodec.cli.streams import print_json, print_line, read_source
from bfncodec.cli.terminal import table
from bfncodec.files.atomic import check_target, place
from bfncodec.files.data import encode_source
from bfncodec.files.options import Options


@click.command("measure")
@opt.some_files
@opt.together(opt.recursive, opt.model, opt.levels, opt.exact, opt.as_json)
@click.option(
    "--draws",
    default=4,
    show_default=True,
    type=click.IntRange(2, 1000),
    help="How often L^n of archives is played with fresh noise, which tells its standard error.",
)
@click.option("--plot", type=opt.FileType(), help="Write a picture of the bits of each step.")
@click.option("--html", type=opt.FileType(), help="Write a page: bits by place, step and part, and other codecs.")
@opt.together(opt.force, opt.running, opt.quiet)
def command(files: tuple[Path, ...], **given: Any) -> int:
    """Compare the ideal bits of FILES, L^n term by term, with the bits they take.

    Nothing but the plot and the page is written. Every line says what it counts. The page stands alone: it loads
    nothing from elsewhere. For it the files go through other codecs, too, which may take longer than all else.
    """
    call, codecs = Call(given["quiet"]), models_of(given)
    options = Options(given["model"], given["exact"], verify=False, on_skip=call.skip, level=given["level"])
    found: list[tuple[str, Measurement]] = []
    reported: list[Reported] = []
    paths = [path for path, _ in expand(files, given["recursive"], is_plain, call, folders=True)]
    plot, html = _targets(given, paths)
    for path in paths:
        with call.each(str(path)):
            source, name = read_source(path), str(path)
            blob, content = encode_source(source, options, codecs, call.bar(name))
            found.append((name, measure_frame(content, blob, codecs, given["draws"])))
            if html is not None:
                bits, compared = heat(content, blob, codecs), None
                if isinstance(source, bytes):
                    compared = compare(name, source, [options], codecs, reporter=call.bar(name))
                reported.append(Reported(name, content, found[-1][1], bits, compared))
    if given["as_json"]:
        print_json([_measured(name, measured) for name, measured in found])
    elif found:
        whole = [(f"all {len(found)} files", Measurement.joined([one for _, one in found]))] if found[1:] else []
        print_line("\n\n".join(_measured_lines(name, one) for name, one in found + whole))
    if plot is not None:
        place(plot, plot_steps(found, plot_kind(plot)), force=given["force"])
    if html is not None and reported:
        place(html, render(reported, __version__), force=given["force"])
    return call.code


def _targets(given: Mapping[str, Any], paths: Sequence[Path]) -> tuple[Path | None, Path | None]:
    """Return where the plot and the page go. Raises before any work what would prevent them."""
    plot, html = given["plot"], given["html"]
    if plot is not None and plot == html:
        raise click.UsageError(f"--plot and --html cannot both be {plot}: name another file for one")
    if plot is not None:
        require_matplotlib(plot_kind(plot))
    if html is not None:
        require_jinja()
    for target in filter(None, (plot, html)):
        for path in paths:
            check_target(target, path, given["force"])
    return plot, html


def _measured(name: str, found: Measurement) -> dict[str, Any]:
    """Return all figures of a file for programs: bits, but where the name says bytes."""
    ideal = found.ideal
    return {
        "file": name,
        "dims": found.dims,
        "ideal_bits": ideal.bits if ideal else None,
        "ideal_error_bits": ideal.error if ideal else None,
        "kl_bits": float(ideal.kl.sum()) if ideal else None,
        "reconstruction_bits": ideal.reconstruction if ideal else None,
        "kl_bits_by_step": ideal.kl.tolist() if ideal else [],
        "ideal_dims": ideal.dims if ideal else 0,
        "ideal_bits_per_dim": ideal.bits_per_dim if ideal else None,
        "payload_bits": found.model_bits,
        "path_bits": found.path_bits if ideal else None,
        "payload_minus_path_bits": found.difference if ideal else None,
        "payload_minus_ideal_bits": found.model_bits - ideal.bits if ideal else None,
        "initial_bits": found.initial_bits,
        "protection_bits": found.protection_bits,
        "plain_payload_bits": found.plain_bits,
        "frame_bits": found.frame_bits,
        "container_bytes": found.container_bytes,
        "bits_per_dim": found.bits_per_dim,
    }


def _measured_lines(name: str, found: Measurement) -> str:
    """Return a line for every part of a file, in bits, with what it is."""
    ideal = found.ideal
    file = f"{found.container_bytes:,} bytes for {found.dims:,} bytes or subpixels, {found.bits_per_dim:.4f} bits each"
    rows = [
        [
            "initial bits",
            f"{found.initial_bits:,}",
            "items coded without the model, from which an archive borrows its noise",
        ],
        ["protection", f"{found.protection_bits:,}", "parity and checksums of archives"],
        ["other payload", f"{found.plain_bits:,}", "what no model coded"],
        ["frame", f"{found.frame_bits:,}", "head, checksums, index, metadata, preview"],
        ["file", f"{8 * found.container_bytes:,}", file],
    ]
    if ideal is None:
        return _explained([shown(name), "bits", "no model coded any of it"], rows)
    model = [
        [
            "ideal",
            f"{ideal.bits:,.1f} ± {ideal.error:.1f}",
            "L^n, what the model's parts take by the theory (± standard error)",
        ],
        ["  KL", f"{ideal.kl.sum():,.1f}", f"KL(p_S || p_R), summed over {len(ideal.kl):,} steps"],
        ["  reconstruction", f"{ideal.reconstruction:,.1f}", "-log2 p_O(x | theta_n)"],
        ["realised path", f"{found.path_bits:,.1f}", "the same with the noise that this file drew"],
        ["payload", f"{found.model_bits:,}", "what the model's parts take in the file"],
        ["  beyond its path", f"{found.difference:+,.1f}", "the coder's loss"],
    ]
    return _explained([shown(name), "bits", "what it is"], model + rows)


def _explained(head: list[str], rows: list[list[str]]) -> str:
    """Return a table of names and numbers with a text behind each row."""
    lines = table(head[:2], [row[:2] for row in rows]).splitlines()
    return "\n".join(f"{line}  {row[2]}" for line, row in zip(lines, [head, *rows], strict=True))
