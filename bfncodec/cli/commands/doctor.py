"""``bfncodec doctor``."""

from __future__ import annotations

import click

from bfncodec import __version__
from bfncodec.analysis.machine import Finding, examine
from bfncodec.cli import options as opt
from bfncodec.cli.streams import print_json, print_table


@click.command("doctor")
@opt.as_json
def command(as_json: bool) -> int:
    """Say what this machine has for the program, what is missing, and what to do about it."""
    findings = [Finding("bfncodec", __version__), *examine()]
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        print_table(["what", "found", "advice"], [[one.subject, one.found, one.advice] for one in findings])
    return 0
