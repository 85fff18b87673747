"""An extension of mkdocstrings: reads docstrings as this project writes them.

References to code become links of the site. Examples need no heading here, nor do notes after the parameters.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:func|meth|class|mod|data|attr|exc):`~?([^`]+)`")
EXAMPLES = re.compile(r"(?m)(?<=\n\n)(?=>>> )")
NOTES = re.compile(r"(?ms)^((?:Parameters|Attributes)\n-+\n.*?\n\n)(?=\S[^\n]* [^\n]*(?:\n\S|\n\n|\Z))")
SEVERAL = re.compile(r"(?m)^(\w+(?:, \w+)+)\n((?:    [^\n]*\n?)+)")


class Roles(griffe.Extension):
    """Rewrites docstrings before they are taken apart."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Go through a package that was read."""
        _rewrite(pkg)


def _rewrite(found: griffe.Object | griffe.Alias) -> None:
    for member in found.members.values():
        if not member.is_alias:
            _rewrite(member)
    if found.docstring is not None:
        text = found.docstring.value.replace("::\n\n    Exception", "\n    Exception")
        text = EXAMPLES.sub("Examples\n--------\n", text, count=1)
        text = NOTES.sub(r"\1Notes\n-----\n", text, count=1)
        text = SEVERAL.sub(_one_by_one, text)
        found.docstring.value = ROLE.sub(lambda role: _link(found, role[1]), text)


def _one_by_one(several: re.Match[str]) -> str:
    """Several parameters or errors of one description, each with its own: they have types of their own."""
    body = several[2] if several[2].endswith("\n") else several[2] + "\n"
    return "".join(f"{name}\n{body}" for name in several[1].split(", "))


def _link(found: griffe.Object | griffe.Alias, name: str) -> str:
    """A reference that stays code where no page of the site has its target."""
    try:
        full = name if name.startswith("bfncodec.") else found.resolve(name.removesuffix("()"))
    except griffe.NameResolutionError:
        full = name
    return f'<autoref identifier="{full}" optional>`{name}`</autoref>'
