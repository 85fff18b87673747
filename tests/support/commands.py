"""The command line run in this process and in others."""

from __future__ import annotations

import os
from pathlib import Path

from click.testing import CliRunner, Result

import bfncodec
import bfncodec.training
from bfncodec.cli.main import cli

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(bfncodec.__file__).parent.parent)}
TEXT = b"to be or not to be, that is the question " * 20


def run(*args: str, code: int = 0, stdin: bytes = b"") -> Result:
    """A command in this process; click's standalone mode off, as main() has it."""
    result = CliRunner().invoke(cli, list(args), input=stdin)
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
