"""Imports of the package, read from its source: who imports whom, where, and whether only for types or when called."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from support.places import ROOT

PACKAGE = "bfncodec"


@dataclass(frozen=True)
class Import:
    """One module that one module imports."""

    importer: str
    imported: str
    line: int
    deferred: bool  # stands in a function
    typing: bool  # stands under TYPE_CHECKING


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Return the modules of the package by their dotted names; packages bear the name of their folder."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path = ROOT) -> list[Import]:
    """Return every import statement of the package, one entry for each module that it names."""
    known = modules(root)
    return [
        Import(name, target, node.lineno, deferred, typing)
        for name, path in known.items()
        for node, deferred, typing in _statements(ast.parse(path.read_text(encoding="utf-8")))
        for target in _targets(node, name, path, known)
    ]


def _statements(
    tree: ast.AST, deferred: bool = False, typing: bool = False
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool, bool]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, deferred, typing
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for part, for_types in ((node.body, True), (node.orelse, typing)):
                yield from _statements(ast.Module(part, []), deferred, for_types)
        elif not isinstance(node, ast.expr):  # in which no statement is
            within = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _statements(node, deferred or within, typing)


def _targets(node: ast.Import | ast.ImportFrom, name: str, path: Path, known: Iterable[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        above = name.split(".")
        above = above[: len(above) - node.level + (path.name == "__init__.py")]
        base = ".".join([*above, base] if base else above)
    for alias in node.names:  # `from package import module` imports the module
        yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base


def circles(edges: Iterable[tuple[str, str]]) -> list[set[str]]:
    """Return the sets of two modules and more each of which reaches all others of its set (Tarjan 1972)."""
    graph: dict[str, set[str]] = {}
    for a, b in edges:
        graph.setdefault(a, set()).add(b)
        graph.setdefault(b, set())
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(a: str) -> None:
        index[a] = low[a] = len(index)
        stack.append(a)
        for b in sorted(graph[a]):
            if b not in index:
                visit(b)
                low[a] = min(low[a], low[b])
            elif b in stack:
                low[a] = min(low[a], index[b])
        if low[a] == index[a]:
            at = stack.index(a)
            component = set(stack[at:])
            del stack[at:]
            if len(component) > 1 or a in graph[a]:
                found.append(component)

    for a in sorted(graph):
        if a not in index:
            visit(a)
    return found
