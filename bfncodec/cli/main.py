"""The ``bfncodec`` command.

Exit codes: 0 all is well; 1 something failed (the other files were done); 2 wrong usage; 130 and
143 interrupted; 141 nobody reads standard output any more. Results go to files or standard output,
everything else to standard error.
Nothing heavy is imported before a command needs it: ``--help`` and ``list`` start at once.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bfncodec import __version__
from bfncodec.cli.batch import (
    STDIN,
    Call,
    Direction,
    Output,
    Transform,
    abandon_stdout,
    complain,
    expand,
    internal_error,
    is_stdout,
    no_place,
    open_closed_streams,
    print_line,
    read_input,
    report,
    shown,
    write_stdout,
)
from bfncodec.cli.signals import SIGNALS, SIGPIPE, Stopped
from bfncodec.errors import BfncodecError
from bfncodec.format.lineindex import LINE_BLOCK
from bfncodec.models import DEFAULT_LEVEL, LEVELS

if TYPE_CHECKING:
    from bfncodec.analysis.measurement import Measurement
    from bfncodec.api import Description, Models
    from bfncodec.cli.terminal import Bar
    from bfncodec.content.types import Content
    from bfncodec.files.options import Made, Options
    from bfncodec.format.limits import Limits

__all__ = ["cli", "main"]

_SUFFIX = ".bfn"
_SLASHES = tuple(filter(None, (os.sep, os.altsep)))


# ---- start and end ----------------------------------------------------------------------------


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit. Never a traceback for what a user or a machine can cause."""
    open_closed_streams()
    SIGNALS.listen()
    sys.exit(_run(args))


def _run(args: Sequence[str] | None) -> int:
    """The exit code of a command, after which a signal finds nothing to do any more."""
    try:
        code = _guarded(args)
        SIGNALS.check()
        SIGNALS.leave_at_once()
        return code
    except Stopped as stopped:
        SIGNALS.leave_at_once()
        if stopped.number == SIGPIPE:
            abandon_stdout()
        else:
            complain("interrupted" if stopped.number == signal.SIGINT else "terminated")
        return 128 + stopped.number


def _guarded(args: Sequence[str] | None) -> int:
    """The exit code of a command; a line for what it raises. Stopped where a signal is behind that."""
    try:
        code = cli.main(args, prog_name="bfncodec", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, click.Abort) as error:
        raise Stopped(signal.SIGINT) from error
    except Exception as error:  # noqa: BLE001 - never a traceback
        SIGNALS.check()
        return _failed(error)


def _failed(error: Exception) -> int:
    """Say in one line what went wrong; the exit code."""
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        raise Stopped(SIGPIPE) from error
    if isinstance(error, BfncodecError):
        complain(error.for_command())
    elif isinstance(error, MemoryError):
        complain("not enough memory")
    elif isinstance(error, ImportError):
        complain(f"the installation is not complete ({error}): pip install --upgrade bfncodec")
    elif isinstance(error, OSError):
        complain(f"{error.filename or 'standard output'}: {error.strerror or error}")
        abandon_stdout()
    else:
        complain(internal_error(error))
    return 1


class _Output(click.Path):
    """A file, or a folder for several. A slash at the end, which paths forget, says that it is a folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, Output):
            return value
        return Output(Path(value), is_folder=value.endswith(_SLASHES))


class _FileOutput(click.Path):
    """A file to write."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.endswith(_SLASHES):
            self.fail(f"{value} is a folder: name a file in it", param, ctx)
        return Path(value)


class _Region(click.ParamType[tuple[int, ...]]):
    """Four numbers."""

    name = "X,Y,WIDTH,HEIGHT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        try:
            x, y, width, height = (int(number) for number in value.split(","))
        except ValueError:
            self.fail(f"expected {self.name}, found {value}", param, ctx)
        return x, y, width, height


class _Size(click.ParamType[int]):
    """A number with a unit: 4G is 4 * 2^30."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d{1,18})([KMGT]?)(?:i?B)?", str(value), re.IGNORECASE)
        if found is None:
            self.fail(f"expected a number with K, M, G or T, such as 4G, found {value}", param, ctx)
        return int(found[1]) << 10 * " KMGT".index(found[2].upper() or " ")


class _LineRange(click.ParamType[tuple[int, int]]):
    """One number, or two."""

    name = "N|FIRST-LAST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        first, _, last = value.partition("-")
        try:
            return int(first), int(last or first)
        except ValueError:
            self.fail(f"expected {self.name}, found {value}", param, ctx)


# ---- options ----------------------------------------------------------------------------------

Command = Callable[..., Any]


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_files = click.argument("files", nargs=-1, type=click.Path(path_type=Path))
_some_files = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
_verbose = click.option("-v", "--verbose", is_flag=True, help="Say how each file was coded.")
_recursive = click.option("-r", "--recursive", is_flag=True, help="Take all files in folders, each alone.")
_limits = _options(
    click.option("--max-memory", type=_Size(), help="Refuse files that take more.  [default: 3/4 of the machine's]"),
    click.option("--max-pixels", type=_Size(), help="Refuse larger pictures.  [default: 256M]"),
    click.option("--no-limits", is_flag=True, help="Accept files of any size and amount of work."),
)
_max_output = click.option(
    "--max-output",
    type=_Size(),
    help="Write at most so many bytes in all.  [default: 1000 times what is read, 16G at least]",
)
_exact = click.option(
    "--exact", "--bytes", "exact", is_flag=True, help="Bring picture files back byte for byte, as bytes where need be."
)
_model = click.option(
    "-m",
    "--model",
    default="auto",
    show_default=True,
    help="Model name, auto, or none; one that cannot code a file is refused.",
)
_levels = _options(
    click.option(
        "--level",
        type=click.IntRange(*LEVELS),
        default=DEFAULT_LEVEL,
        show_default=True,
        metavar="N, -1 … -9",
        help="From 1, fast, to 9, small; 9 takes several times as long as 8 for text.",
    ),
    *(click.option(f"-{n}", "level", flag_value=n, type=int, hidden=True) for n in range(LEVELS[0], LEVELS[1] + 1)),
)
_running = _options(
    click.option("-T", "--threads", type=click.IntRange(1), help="CPU threads.  [default: all]"),
    click.option("--device", default="cpu", show_default=True, help="Where models run: cpu, cuda, cuda:1."),
)
_force = click.option("-f", "--force", is_flag=True, help="Replace files; write to a terminal.")
_writing = _options(
    click.option("-o", "--output", type=_Output(), help="File, or folder for several; DIR/ is made."),
    click.option("-c", "--stdout", "to_stdout", is_flag=True, help="Write to standard output."),
    _force,
    click.option(
        "--rm/--keep",
        " /-k",
        "remove",
        default=False,
        help="Delete the source once the result is safe, or keep it; the last one counts.  [default: keep]",
    ),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bfncodec")
def cli() -> None:
    """Lossless compression with Bayesian Flow Networks."""


@cli.result_callback()
def _exit(code: int) -> None:
    click.get_current_context().exit(code)


# ---- compress and decompress ------------------------------------------------------------------


@cli.command()
@_files
@_options(_writing, _recursive, _model, _levels, _exact)
@click.option(
    "--preview/--no-preview",
    default=None,
    help="Put a small picture into the file.  [default: where it is large]",
)
@click.option("--lines", is_flag=True, help="Cut after lines, so that decompress --line finds each by its number.")
@click.option(
    "--block",
    type=click.IntRange(1),
    help=f"With --lines: bytes that are coded together at least.  [default: {LINE_BLOCK}]",
)
@click.option("--strip", is_flag=True, help="Of PNG and WebP files keep pixels alone: no metadata, the least palette.")
@click.option("--verify/--no-verify", default=True, help="Decode what was written before it counts.  [default: on]")
@_options(_running, _quiet, _verbose)
def compress(files: tuple[Path, ...], **given: Any) -> int:
    """Compress FILES, each to FILE.bfn; - or nothing is standard input.

    PNG, lossless WebP, BMP, TIFF and PPM files come back with the same pixels and metadata in the same format,
    everything else byte for byte. Which it is of a file is said: identical file, or same picture, file bytes differ.

    A model named with -m is refused where it cannot code the data. Where it can, it codes all of them, and only the
    parts that take less without it are kept so: a line says if that is everything.

    -1 … -9 choose among the models that serve a kind of data and how long is searched: bfncodec models lists them.

    A folder becomes one FOLDER.bfn where -m names a model of many pictures of one shape. All files in it are kept;
    names of empty folders, times and permissions are not.
    """
    from bfncodec.files.data import taken
    from bfncodec.files.names import compressed_name
    from bfncodec.files.options import Options
    from bfncodec.files.transfer import compress_file
    from bfncodec.files.verify import verify

    def data(path: Path, options: Options, codecs: Models, bar: Bar) -> bytes:
        source = _source(path)
        blob, content = _encode(source, options, codecs, bar)
        if options.verify:
            verify(blob, content, codecs, bar, taken(source, options) if isinstance(source, bytes) else None)
        return blob

    if given["block"] and not given["lines"]:
        raise click.UsageError("--block is the size of blocks of lines: add --lines")
    if given["strip"] and given["exact"]:
        raise click.UsageError("--strip leaves bytes out, --exact keeps them all: leave one out")
    direction = Direction(compressed_name, compress_file, data, _is_plain, compresses=True, folders=True)
    options = Options(
        given["model"],
        given["exact"],
        given["force"],
        given["remove"],
        given["verify"],
        level=given["level"],
        preview=given["preview"],
        block=(given["block"] or LINE_BLOCK) if given["lines"] else None,
        strip=given["strip"],
    )
    return _transform(files, given, direction, options)


def _source(path: Path) -> bytes | Path:
    """The bytes of a file or of standard input; a folder as it is."""
    return path if path != STDIN and path.is_dir() else read_input(path)


def _encode(source: bytes | Path, options: Options, codecs: Models, bar: Bar) -> tuple[bytes, Content]:
    """The compressed file of bytes or of a folder, and its content."""
    from bfncodec.files.data import encode_data, encode_folder

    if isinstance(source, Path):
        return encode_folder(source, options, codecs, bar)
    return encode_data(source, options, codecs, bar)


@cli.command()
@_files
@_options(_writing, _recursive, _limits, _max_output)
@click.option("--crop", type=_Region(), help="Of a picture only this region, in pixels; needs -o or -c.")
@click.option("--line", type=_LineRange(), help="Of a file compressed with --lines only these, to standard output.")
@click.option("--salvage", is_flag=True, help="Keep what a damaged file still holds; the rest becomes zeros.")
@_options(_running, _quiet, _verbose)
def decompress(files: tuple[Path, ...], **given: Any) -> int:
    """Decompress FILES, each FILE.bfn to FILE, or to a folder where it was one; - or nothing is standard input."""
    from bfncodec.files.data import decode_data, decode_part, holds_folder
    from bfncodec.files.names import decompressed_name
    from bfncodec.files.options import Options
    from bfncodec.files.transfer import decompress_file

    if given["salvage"] and given["remove"]:
        raise click.UsageError("--salvage keeps the source: leave out --rm")
    if given["crop"] or given["line"]:
        _check_part(files, given)

    def data(path: Path, options: Options, codecs: Models, bar: Bar) -> Made:
        if options.part is not None and path != STDIN:
            return decode_part(path, options, codecs, bar)
        blob = read_input(path)
        if (given["output"] is None or given["output"].path == STDIN) and holds_folder(blob, options.limits):
            raise no_place()
        return decode_data(blob, options, codecs, bar)[0]

    direction = Direction(decompressed_name, decompress_file, data, _is_ours, compresses=False, folders=False)
    options = Options(
        force=given["force"],
        remove=given["remove"],
        limits=_read_limits(given),
        crop=given["crop"],
        line=given["line"],
    )
    to_stdout = given["to_stdout"] or (given["line"] is not None and given["output"] is None)
    return _transform(files, given | {"to_stdout": to_stdout}, direction, options)


def _check_part(files: tuple[Path, ...], given: dict[str, Any]) -> None:
    """A part is neither the whole nor to be taken for it."""
    name = "--crop" if given["crop"] else "--line"
    if given["crop"] and given["line"]:
        raise click.UsageError("--crop is of pictures, --line of text: leave one out")
    if len(files) > 1 or given["recursive"]:
        raise click.UsageError(f"{name} takes one file")
    if given["remove"]:
        raise click.UsageError(f"{name} keeps the source: leave out --rm")
    if given["crop"] and files and given["output"] is None and not given["to_stdout"]:
        raise click.UsageError("--crop needs a name for the region: use -o or -c")


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=_FileOutput(), help="File, - for standard output.  [default: NAME.preview.png]")
@_force
@_options(_limits, _running, _quiet, _verbose)
def preview(file: Path, **given: Any) -> int:
    """Write a small picture of a compressed one: PNG, or what the name after -o ends in.

    Large pictures have one in their file, others where --preview was given; of the rest the picture is decoded.
    """
    from bfncodec.files.names import preview_name
    from bfncodec.files.options import Options
    from bfncodec.files.preview import preview_data, preview_file

    call, output = Call(given["quiet"], given["verbose"]), given["output"]
    options = Options(force=given["force"], limits=_read_limits(given))
    with call.each(str(file)):
        if output is not None and is_stdout(output):
            made, stored = preview_data(file, "", options, _models(given))
            write_stdout(made)
        else:
            output = output or preview_name(file)
            stored = preview_file(file, output, options, _models(given))
        if call.verbose:
            call.say(
                f"{shown(str(file))} : "
                + ("the preview in the file" if stored else "holds none: decoded and scaled down")
            )
    return call.code


def _is_ours(path: Path) -> bool:
    return path.suffix == _SUFFIX


def _is_plain(path: Path) -> bool:
    return not _is_ours(path)


def _transform(files: tuple[Path, ...], given: dict[str, Any], direction: Direction, options: Options) -> int:
    output: Output | None = given["output"]
    to_stdout = given["to_stdout"]
    if output is not None and to_stdout:
        raise click.UsageError("-c and -o exclude each other")
    if output is not None and is_stdout(output.path):
        output, to_stdout = None, True
    several = len(files) > 1 or given["recursive"]
    if output is not None and several and not output.holds_files:
        raise click.UsageError(
            f"-o {output.path}: for several files this must be a folder; {output.path}{os.sep} is made"
        )
    if given["remove"] and (to_stdout or not files or STDIN in files):
        raise click.UsageError("--rm needs a file on both sides: leave out -c and -")
    call = Call(given["quiet"], given["verbose"])
    salvage = given.get("salvage", False)
    run = Transform(direction, options, _models(given), call, output, to_stdout, salvage).run
    return run(files, given["recursive"])


def _models(given: dict[str, Any]) -> Models:
    from bfncodec.api import Models

    return Models(given["device"], given["threads"])


def _read_limits(given: dict[str, Any]) -> Limits:
    from bfncodec.format.limits import NO_LIMITS, Limits

    if given["no_limits"]:
        return NO_LIMITS
    names = ("memory", "pixels", "output")
    return Limits(**{name: size for name in names if (size := given.get(f"max_{name}")) is not None})


# ---- looking at files -------------------------------------------------------------------------


@cli.command(name="test")
@_some_files
@_options(_recursive, _limits, _running, _quiet)
def check(files: tuple[Path, ...], **given: Any) -> int:
    """Decode compressed FILES completely and say whether they are sound; nothing is written."""
    from bfncodec.files.data import decode_data
    from bfncodec.files.options import Options, size_of

    call, codecs, options = Call(given["quiet"]), _models(given), Options(limits=_read_limits(given))
    for path, _ in expand(files, given["recursive"], _is_ours, call):
        with call.each(str(path)):
            made, _ = decode_data(read_input(path), options, codecs, call.bar(str(path)))
            count = f"{len(made)} files, " if isinstance(made, dict) else ""
            call.say(f"{shown(str(path))} : sound, {count}{size_of(made)} bytes")
    return call.code


@cli.command(name="list")
@_some_files
@_options(_recursive, _limits, _json)
def list_(files: tuple[Path, ...], recursive: bool, as_json: bool, **given: Any) -> int:
    """Say what compressed FILES hold, without decoding them."""
    from bfncodec.api import describe

    call, found = Call(), []
    for path, _ in expand(files, recursive, _is_ours, call):
        with call.each(str(path)):
            found.append((str(path), describe(read_input(path), limits=_read_limits(given))))
    if as_json:
        _print_json([{"file": name, **vars(described)} for name, described in found])
    elif found:
        head = ["file", "content", "size", "bytes", "compressed", "ratio", "preview", "coded by"]
        _print_table(head, [_described(name, described) for name, described in found])
    return call.code


def _described(name: str, found: Description) -> list[str]:
    from bfncodec.cli.terminal import human_bytes

    sides = found.sides[::-1] if found.mode else found.sides  # pictures: width first
    ratio = 100 * found.file_bytes / found.content_bytes if found.content_bytes else 100.0
    return [
        shown(name),
        f"{found.content} {found.mode}".strip(),
        _size(found, sides),
        human_bytes(found.content_bytes),
        human_bytes(found.file_bytes),
        f"{ratio:.1f}%",
        human_bytes(found.preview_bytes) if found.preview_bytes else "-",
        ", ".join([*found.methods, *found.models]),
    ]


def _size(found: Description, sides: tuple[int, ...]) -> str:
    if found.files > 1:
        return f"{found.files} files one after the other"
    if found.lines:
        return f"{found.lines} lines in {sum(found.methods.values())} blocks"
    return f"{sides[0]} files" if found.content == "folder" else "x".join(map(str, sides))


# ---- measuring --------------------------------------------------------------------------------


@cli.command()
@_some_files
@_options(_recursive, _model, _levels, _exact, _json)
@click.option(
    "--draws",
    default=4,
    show_default=True,
    type=click.IntRange(2, 1000),
    help="How often L^n of archives is played with fresh noise, which tells its standard error.",
)
@click.option("--plot", type=_FileOutput(), help="Write a picture of the bits of each step.")
@_options(_running, _quiet)
def measure(files: tuple[Path, ...], **given: Any) -> int:
    """Compare the ideal bits of FILES, L^n term by term, with the bits they take.

    Nothing is written. Every line says what it counts.
    """
    from bfncodec.analysis.measurement import Measurement, measure_frame
    from bfncodec.files.options import Options

    if given["plot"] is not None:
        from bfncodec.analysis.plots import require_matplotlib

        require_matplotlib()
    call, codecs = Call(given["quiet"]), _models(given)
    options = Options(given["model"], given["exact"], verify=False, on_skip=call.skip, level=given["level"])
    found: list[tuple[str, Measurement]] = []
    for path, _ in expand(files, given["recursive"], _is_plain, call, folders=True):
        with call.each(str(path)):
            blob, content = _encode(_source(path), options, codecs, call.bar(str(path)))
            found.append((str(path), measure_frame(content, blob, codecs, given["draws"])))
    if given["as_json"]:
        _print_json([_measured(name, measured) for name, measured in found])
    elif found:
        whole = [(f"all {len(found)} files", Measurement.joined([one for _, one in found]))] if found[1:] else []
        click.echo("\n\n".join(_measured_lines(name, one) for name, one in found + whole))
    if given["plot"] is not None:
        from bfncodec.analysis.plots import plot_steps

        plot_steps(found, given["plot"])
    return call.code


def _measured(name: str, found: Measurement) -> dict[str, Any]:
    """Everything, for programs; bits but where the name says bytes."""
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
        "seed_bits": found.seed_bits,
        "protection_bits": found.protection_bits,
        "plain_payload_bits": found.plain_bits,
        "frame_bits": found.frame_bits,
        "container_bytes": found.container_bytes,
        "bits_per_dim": found.bits_per_dim,
    }


def _measured_lines(name: str, found: Measurement) -> str:
    """A line for every part of a file, in bits, with what it is."""
    ideal = found.ideal
    file = f"{found.container_bytes:,} bytes for {found.dims:,} bytes or subpixels, {found.bits_per_dim:.4f} bits each"
    rows = [
        [
            "initial bits",
            f"{found.seed_bits:,}",
            "items coded without the model, from which an archive borrows its noise",
        ],
        ["protection", f"{found.protection_bits:,}", "parity and checksums of archives"],
        ["other payload", f"{found.plain_bits:,}", "what no model coded"],
        ["frame", f"{found.frame_bits:,}", "head, checksums, index, metadata, preview"],
        ["file", f"{8 * found.container_bytes:,}", file],
    ]
    if ideal is None:
        return _explained([name, "bits", "no model coded any of it"], rows)
    model = [
        [
            "ideal",
            f"{ideal.bits:,.1f} ± {ideal.error:.1f}",
            "L^n, what the model's parts take by the theory (± standard error)",
        ],
        ["  KL", f"{ideal.kl.sum():,.1f}", f"KL(p_S || p_R), summed over {len(ideal.kl):,} steps"],
        ["  reconstruction", f"{ideal.reconstruction:,.1f}", "-log2 p_O(x | theta_n)"],
        ["own path", f"{found.path_bits:,.1f}", "the same with the noise that this file drew"],
        ["payload", f"{found.model_bits:,}", "what the model's parts take in the file"],
        ["  beyond its path", f"{found.difference:+,.1f}", "the coder's loss"],
    ]
    return _explained([name, "bits", "what it is"], model + rows)


def _explained(head: list[str], rows: list[list[str]]) -> str:
    """A table of names and numbers with a text behind each row."""
    from bfncodec.cli.terminal import table

    lines = table(head[:2], [row[:2] for row in rows]).splitlines()
    return "\n".join(f"{line}  {row[2]}" for line, row in zip(lines, [head, *rows], strict=True))


# ---- models -----------------------------------------------------------------------------------


@cli.command()
@_json
def models(as_json: bool) -> int:
    """List the models on this machine, and at which levels each is used unasked."""
    from bfncodec.models import available, search_path, served_levels

    found, levels = available(), served_levels()
    if as_json:
        keys = ("name", "role", "levels", "id", "path")
        _print_json(
            [
                dict(zip(keys, (m.name, m.role, levels.get(m.path, []), m.id.hex(), str(m.path)), strict=True))
                for m in found
            ]
        )
    elif found:
        rows = [[m.name, m.role, _span(levels.get(m.path, [])), m.id.hex(), str(m.path)] for m in found]
        _print_table(["name", "codes", "levels", "identity", "folder"], rows)
    else:
        complain(f"no models in {', '.join(map(str, search_path()))}")
    return 0


def _span(levels: list[int]) -> str:
    """The levels as a person writes them; they need not be without gaps."""
    runs: list[list[int]] = []
    for level in levels:
        if runs and level == runs[-1][-1] + 1:
            runs[-1].append(level)
        else:
            runs.append([level])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or "-"


@cli.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder of the model.  [default: its name]")
@click.option("--resume/--no-resume", default=True, help="Go on where an earlier run stopped.  [default: on]")
@click.option("--steps", type=click.IntRange(1), help="Train for so many steps instead of the configured number.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Train for so many minutes instead.")
@click.option("--device", default="cpu", show_default=True, help="Where to train: cpu, cuda, cuda:1.")
def train(config: Path, out: Path | None, resume: bool, steps: int | None, minutes: float | None, device: str) -> int:
    """Train a model as the TOML file CONFIG says, on photos or text of your own.

    Several GPUs: torchrun -m bfncodec train CONFIG --device cuda
    """
    from bfncodec.training import loop

    if steps and minutes:
        raise click.UsageError("--steps and --minutes: one of them says how long to train")
    loop.run(config, out=out, resume=resume, device=device, steps=steps, minutes=minutes, say=report)
    return 0


@cli.command()
@click.argument("model")
@click.option("-n", "--count", default=16, show_default=True, type=click.IntRange(1, 4096), help="How many.")
@click.option("--size", default=None, help="Of images HEIGHTxWIDTH, of texts bytes.  [default: 64x64, 512]")
@click.option("--seed", type=click.IntRange(0), help="The same seed gives the same samples.")
@click.option("-o", "--output", type=_FileOutput(), help="PNG file of images, text file; - is standard output.")
@_options(_force, _running)
def sample(model: str, count: int, size: str | None, seed: int | None, **given: Any) -> int:
    """Draw images or texts from MODEL: what it decodes random bits to."""
    from bfncodec.analysis.sampling import as_file, sample
    from bfncodec.files.atomic import place

    items = sample(_models(given).named(model), count, _sides(size), seed)
    made = as_file(items)
    output: Path | None = given["output"]
    if output is None and not isinstance(items[0], bytes):
        output = Path(f"{Path(model).name}.png")
    if output is None or str(output) == "-":
        write_stdout(made)
    else:
        place(output, made, force=given["force"])
    return 0


def _sides(size: str | None) -> tuple[int, ...] | None:
    if size is None:
        return None
    try:
        return tuple(int(side) for side in size.lower().split("x"))
    except ValueError as error:
        raise click.BadParameter(f"expected HEIGHTxWIDTH or a number of bytes, found {size}") from error


# ---- printing ---------------------------------------------------------------------------------


def _print_json(value: object) -> None:
    import json

    print_line(json.dumps(value, indent=2))


def _print_table(head: list[str], rows: list[list[str]]) -> None:
    from bfncodec.cli.terminal import table

    print_line(table(head, rows))
