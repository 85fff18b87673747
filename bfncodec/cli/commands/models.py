"""``bfncodec models``."""

from __future__ import annotations

import click

from bfncodec.cli import options as opt
from bfncodec.cli.messages import complain
from bfncodec.cli.streams import print_json, print_table
from bfncodec.models import available, search_path, served_levels


@click.command("models")
@opt.as_json
def command(as_json: bool) -> int:
    """List the models on this machine, and at which levels each is used unasked."""
    found, levels = available(), served_levels()
    if as_json:
        keys = ("name", "role", "levels", "id", "path")
        print_json(
            [
                dict(zip(keys, (m.name, m.role, levels.get(m.path, []), m.id.hex(), str(m.path)), strict=True))
                for m in found
            ]
        )
    elif found:
        rows = [[m.name, m.role, _span(levels.get(m.path, [])), m.id.hex(), str(m.path)] for m in found]
        print_table(["name", "codes", "levels", "identity", "folder"], rows)
    else:
        complain(f"no models in {', '.join(map(str, search_path()))}")
    return 0


def _span(levels: list[int]) -> str:
    """Return levels as a person writes them, such as 1-3,5; they may have gaps."""
    runs: list[list[int]] = []
    for level in levels:
        if runs and level == runs[-1][-1] + 1:
            runs[-1].append(level)
        else:
            runs.append([level])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or "-"
