"""Write what a system looks for in share/: the manual page and the completions of shells, from the command's own help.

    python share/make.py

They lie beside this file as a wheel installs them; a test compares them with what this makes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from bfncodec import __version__
from bfncodec.cli.main import COMMANDS, cli

HERE = Path(__file__).parent
MANUAL = "man/man1/bfncodec.1"
COMPLETIONS = {
    "bash": "bash-completion/completions/bfncodec",
    "zsh": "zsh/site-functions/_bfncodec",
    "fish": "fish/vendor_completions.d/bfncodec.fish",
}
"""Where each shell looks below share/."""

ENVIRONMENT = {
    "BFNCODEC_MODELS": "Folders of models, looked through before the ones that come with the program.",
    "BFNCODEC_JIT": "Compiled kernels: never, always, or where they pay, which is the default.",
}
EXIT_CODES = {
    "0": "All is well.",
    "1": "Something failed; the other files were done.",
    "2": "Wrong usage.",
    "129, 130, 143": "Hung up, interrupted, terminated.",
    "141": "Nobody reads standard output any more.",
}


def manual() -> str:
    """Return the manual page, in the man macros of roff."""
    return "\n".join([*_head(), *_commands(), *_tail()]) + "\n"


def _head() -> Iterator[str]:
    yield f'.TH BFNCODEC 1 "" "bfncodec {__version__}" "User Commands"'
    yield from (".SH NAME", f"bfncodec \\- {_roff('lossless compression with Bayesian Flow Networks')}")
    yield from (".SH SYNOPSIS", ".B bfncodec", ".I COMMAND", "[\\fIOPTIONS\\fR] [\\fIFILES\\fR]")
    yield from (".SH DESCRIPTION", _roff("Files are compressed to FILE.bfn and come back without loss:"))
    yield _roff("pictures with the same pixels and metadata, everything else byte for byte.")
    yield _roff("The options are those of zstd, as far as they have the same meaning.")


def _commands() -> Iterator[str]:
    yield ".SH COMMANDS"
    for name in COMMANDS:
        command = import_module(f"bfncodec.cli.commands.{name}").command
        context = click.Context(command, info_name=f"bfncodec {name}")
        usage = " ".join(command.collect_usage_pieces(context))
        yield f".SS bfncodec {name} {_roff(usage)}"
        for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
            yield from (".PP", _roff(" ".join(paragraph.split())))
        for parameter in command.params:  # without that of --help, whose names depend on who asked for it first
            if (record := parameter.get_help_record(context)) and record[1]:
                yield from (".TP", f".B {_roff(record[0])}", _roff(" ".join(record[1].split())))
        yield from (".TP", f".B {_roff('-h, --help')}", _roff("Show this message and exit."))


def _tail() -> Iterator[str]:
    for title, entries in (("EXIT STATUS", EXIT_CODES), ("ENVIRONMENT", ENVIRONMENT)):
        yield f".SH {title}"
        for name, what in entries.items():
            yield from (".TP", f".B {name}", _roff(what))
    yield from (".SH SEE ALSO", ".BR zstd (1),", ".BR xz (1),", ".BR cwebp (1)")


def _roff(text: str) -> str:
    r"""Return a text of one line as roff takes it, whatever it begins with.

    >>> print(_roff(".npy -1 … C:\\"))
    \&.npy \-1 \[u2026] C:\e
    """
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    escaped = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in escaped)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def completion(shell: str) -> str:
    """Return the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None
    return kind(cli, {}, "bfncodec", "_BFNCODEC_COMPLETE").source()


def main() -> None:
    """Write all of them."""
    made = {MANUAL: manual()} | {path: completion(shell) for shell, path in COMPLETIONS.items()}
    for name, text in made.items():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
