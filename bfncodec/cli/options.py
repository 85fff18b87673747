"""Options that commands share: kinds of values, the options, and what options say together."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bfncodec.files.places import folder_at
from bfncodec.format.limits import NO_LIMITS, Limits
from bfncodec.models import COMPRESSION_LEVELS, DEFAULT_LEVEL

_FAST, _SMALL = COMPRESSION_LEVELS
_SLASHES = tuple(filter(None, (os.sep, os.altsep)))


# ---- kinds of values ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Output:
    """A target that was given with -o.

    is_folder: it ends in a slash, so it is a folder, which is made where it is not there.
    """

    path: Path
    is_folder: bool = False

    @property
    def holds_files(self) -> bool:
        """Return whether this is a folder, into which targets go."""
        return self.is_folder or folder_at(self.path)


class PathType(click.Path):
    """The path of a file or folder. ``./-`` is a file, which paths take for the ``-`` of standard input and output."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        if not value:
            self.fail("expected a path, found an empty one, as a variable that is not set leaves it", param, ctx)
        path = Path(value)
        return path.absolute() if str(path) == "-" != value else path


class OutputType(PathType):
    """An :class:`Output`; a slash at its end, which paths forget, says that it is a folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, Output):
            return value
        return Output(super().convert(value, param, ctx), is_folder=value.endswith(_SLASHES))


class FileType(PathType):
    """The path of a file to write."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.endswith(_SLASHES):
            self.fail(f"{value} is a folder: name a file in it", param, ctx)
        return super().convert(value, param, ctx)


class RegionType(click.ParamType[tuple[int, ...]]):
    """A region of a picture: four numbers of pixels."""

    name = "X,Y,WIDTH,HEIGHT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        try:
            x, y, width, height = (int(number) for number in value.split(","))
        except ValueError:
            self.fail(f"expected {self.name}, found {value}", param, ctx)
        return x, y, width, height


class SizeType(click.ParamType[int]):
    """A number that may have a unit: 4G is 4 * 2^30."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d{1,18})([KMGT]?)(?:i?B)?", str(value), re.IGNORECASE)
        if found is None:
            self.fail(f"expected a number with K, M, G or T, such as 4G, found {value}", param, ctx)
        return int(found[1]) << 10 * " KMGT".index(found[2].upper() or " ")


class LinesType(click.ParamType[tuple[int, int]]):
    """Lines of a text: the number of one, or of the first and the last."""

    name = "N|FIRST-LAST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        first, _, last = value.partition("-")
        try:
            return int(first), int(last or first)
        except ValueError:
            self.fail(f"expected {self.name}, found {value}", param, ctx)


# ---- options ------------------------------------------------------------------------------------

Command = Callable[..., Any]


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return the decorator that adds all of these options, in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


files = click.argument("files", nargs=-1, type=PathType())
some_files = click.argument("files", nargs=-1, required=True, type=PathType())
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
quiet = click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
verbose = click.option("-v", "--verbose", is_flag=True, help="Say how each file was coded.")
recursive = click.option("-r", "--recursive", is_flag=True, help="Take all files in folders, each alone.")
limits = together(
    click.option("--max-memory", type=SizeType(), help="Refuse files that take more.  [default: 3/4 of the machine's]"),
    click.option("--max-pixels", type=SizeType(), help="Refuse larger pictures.  [default: 256M]"),
    click.option("--no-limits", is_flag=True, help="Accept files of any size and amount of work."),
)
max_output = click.option(
    "--max-output",
    type=SizeType(),
    help="Write at most so many bytes in all.  [default: 1000 times what is read, 16G at least]",
)
exact = click.option(
    "--exact", "--bytes", "exact", is_flag=True, help="Bring picture files back byte for byte, as bytes where need be."
)
model = click.option(
    "-m",
    "--model",
    default="auto",
    show_default=True,
    help="Model name, auto, or none; one that cannot code a file is refused.",
)
levels = together(
    click.option(
        "--level",
        type=click.IntRange(_FAST, _SMALL),
        default=DEFAULT_LEVEL,
        show_default=True,
        metavar="N, -1 … -9",
        help=(
            "From 1, fast, to 9, small. With two processors that have AMX, text takes about 250 KB/s to compress and "
            "150 to decompress with -1, 100 and 50 with -5, 16 and 7 with -9; photos 9,000 and 5,000, 4,000 and 2,700, "
            "150 and 500."
        ),
    ),
    *(click.option(f"-{n}", "level", flag_value=n, type=int, hidden=True) for n in range(_FAST, _SMALL + 1)),
)
running = together(
    click.option("-T", "--threads", type=click.IntRange(1), help="CPU threads.  [default: all]"),
    click.option("--device", default="cpu", show_default=True, help="Where models run: cpu, cuda, cuda:1."),
)
force = click.option("-f", "--force", is_flag=True, help="Replace files; write to a terminal.")
workers = click.option(
    "--ray",
    "workers",
    type=click.IntRange(1),
    help="Spread the files over so many workers of a Ray cluster; FILES and -o may be URLs (s3://…).",
)
writing = together(
    click.option("-o", "--output", type=OutputType(), help="File, or folder for several; DIR/ is made."),
    click.option("-c", "--stdout", "to_stdout", is_flag=True, help="Write to standard output."),
    force,
    click.option(
        "--rm/--keep",
        " /-k",
        "remove",
        default=False,
        help="Delete the source once the result is safe, or keep it; the last one counts.  [default: keep]",
    ),
)


# ---- what they say together -----------------------------------------------------------------------


def limits_of(given: Mapping[str, Any]) -> Limits:
    """Return what files may ask of the machine by the options."""
    if given["no_limits"]:
        return NO_LIMITS
    names = ("memory", "pixels", "output")
    return Limits(**{name: size for name in names if (size := given.get(f"max_{name}")) is not None})
