"""The second reader and what it is made of."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from bfncodec import models
from reader.errors import ModelUnreadableError
from reader.model import Model
from support.places import GOLDEN, TESTS

TINY = GOLDEN / "tiny"
OF_TESTS = ("test_", "conftest", "doubles", "mutants", "sources")  # they compare the reader with the package
MODULES = [path for path in sorted((TESTS / "reader").glob("*.py")) if not path.name.startswith(OF_TESTS)]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_imports_the_standard_library_alone(module: Path) -> None:
    """And nothing of what compares it with the package."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            assert name.split(".")[0] in sys.stdlib_module_names | {"reader"}, name
            assert not name.startswith(tuple(f"reader.{other}" for other in OF_TESTS)), name


@pytest.mark.parametrize("name", ["binary", "picture", "mixed-text"])
def test_hash_is_that_of_the_package(name: str) -> None:
    assert Model(TINY / name).sha256 == models.read(TINY / name).sha256


def test_a_tensor_of_another_shape_is_refused() -> None:
    with pytest.raises(ModelUnreadableError, match="input"):
        Model(TINY / "picture").tensor("input.q", 16, 79)
