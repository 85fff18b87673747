"""``bfncodec list``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bfncodec.api import Description, describe
from bfncodec.cli import options as opt
from bfncodec.cli.call import Call
from bfncodec.cli.items import described_items
from bfncodec.cli.messages import shown
from bfncodec.cli.selection import expand
from bfncodec.cli.streams import print_json, print_table, read_input
from bfncodec.cli.terminal import human_bytes
from bfncodec.files.names import has_suffix
from bfncodec.segments.opening import open_file


@click.command("list")
@opt.some_files
@click.option("--items", is_flag=True, help="List the items of archives.")
@opt.together(opt.recursive, opt.limits, opt.as_json)
def command(files: tuple[Path, ...], recursive: bool, as_json: bool, items: bool, **given: Any) -> int:
    """Say what compressed FILES hold, and whether their checksums hold, without decoding them."""
    call, found = Call(), list[tuple[str, Description]]()
    for path, _ in expand(files, recursive, has_suffix, call):
        with call.each(str(path)):
            limits = opt.limits_of(given)
            if items:
                found += described_items(path, limits)
                continue
            blob = read_input(path)
            found.append((str(path), describe(blob, limits=limits)))
            open_file(blob, limits)
    if as_json:
        print_json([{"file": name, **vars(described)} for name, described in found])
    elif found:
        head = ["item" if items else "file", "content", "size", "bytes", "compressed", "ratio", "preview", "coded by"]
        print_table(head, [_described(name, described) for name, described in found])
    return call.code


def _described(name: str, found: Description) -> list[str]:
    sides = found.sides[::-1] if found.mode else found.sides  # pictures: width first
    ratio = 100 * found.file_bytes / found.content_bytes if found.content_bytes else 100.0
    return [
        shown(name),
        f"{found.content} {found.mode}".strip(),
        _size(found, sides),
        "-" if found.content == "items" else human_bytes(found.content_bytes),
        human_bytes(found.file_bytes),
        "-" if found.content == "items" else f"{ratio:.1f}%",
        human_bytes(found.preview_bytes) if found.preview_bytes else "-",
        ", ".join([*found.methods, *found.models]),
    ]


def _size(found: Description, sides: tuple[int, ...]) -> str:
    if found.files > 1:
        return f"{found.files} files one after the other"
    if found.lines:
        return f"{found.lines} lines in {sum(found.methods.values())} blocks"
    if found.content in ("folder", "items"):
        return f"{sides[0]} {'files' if found.content == 'folder' else 'items'}"
    return "x".join(map(str, sides))
