"""An extension of mkdocstrings: reads docstrings as this project writes them.

References to code become links of the site. Examples need no heading here, nor do notes after the parameters.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:func|meth|class|mod|data|attr|exc):`~?([^`]+)`")
EXAMPLES = re.compile(r"(?m)(?<=\n\n)(?=>>> )")
NOTES = re.compile(r"(?ms)^(Parameters\n-+\n.*?\n\n)(?=\S[^\n]* [^\n]*\n(?:\S|\Z|\n))")


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
        text = NOTES.sub(r"\1Notes\n-----\n", text, count=1)
        text = EXAMPLES.sub("Examples\n--------\n", text, count=1)
        found.docstring.value = ROLE.sub(lambda role: _link(found, role[1]), text)


def _link(found: griffe.Object | griffe.Alias, name: str) -> str:
    """A reference that stays code where no page of the site has its target."""
    try:
        full = name if name.startswith("bfncodec.") else found.resolve(name.removesuffix("()"))
    except griffe.NameResolutionError:
        full = name
    return f'<autoref identifier="{full}" optional>`{name}`</autoref>'
