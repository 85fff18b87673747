"""The plan of the package: rooms, the order in which they import each other, and what is loaded when."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import bfncodec
import bfncodec.flow
from support.commands import ENVIRONMENT
from support.imports import PACKAGE, Import, circles, imports, modules

# From low to high; a module imports from its own room and from lower ones. Rooms on one line do not import each other.
ROOMS = (
    ("errors", "forks"),
    ("runtime", "format"),
    ("flow",),
    ("coding",),
    ("networks",),
    ("models",),
    ("images",),
    ("content",),
    ("codecs",),
    ("segments",),
    ("api",),
    ("files",),
    ("analysis",),
    ("",),  # the package itself, where the public names are
    ("training",),
    ("integrations", "research"),
    ("cli",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
PUBLIC = {"__init__", "__main__", "api", "errors", "forks", "models"}  # the only modules that lie in no room

# What may be imported where it is used instead of at the head of a module, and why.
HEAVY = {
    "PIL": "looking at a file needs no pictures",
    "constriction": "loads NumPy",
    "jinja2": "optional",
    "llvmlite": "optional, and half a second",
    "matplotlib": "optional, and a second",
    "multiprocessing": "for trainings only",
    "numba": "optional, and a second",
    "numpy": "a tenth of a second; looking at a file needs no arrays",
    "pyarrow": "optional",
    "ray": "optional, and three seconds",
    "safetensors": "loads NumPy",
    "torch": "a second and more; nothing but models needs it",
    "zipfile": "for one format of arrays",
}
OPTIONAL = {
    "ctypes": "for one call of Linux's",
    "importlib": "public names are imported when they are first used",
    "json": "for one option of three commands",
    "lzma": "a Python may be built without it",
    "resource": "not on Windows",
}
# Modules of the package are imported late if they load one of HEAVY themselves, or if they are listed here.
LATE = {
    ("bfncodec.__main__", "bfncodec.cli.main"): "signals are heard before anything is imported",
    ("bfncodec.cli.commands", "bfncodec.cli.items"): "archives are for one option of two commands",
}

# What is not yet as it should be. These tables only shrink: an entry that no longer occurs is to be taken out.
KNOWN_UPWARD: set[tuple[str, str]] = set()
KNOWN_CIRCLES: list[set[str]] = []
KNOWN_LATE: set[tuple[str, str]] = set()


@cache
def statements() -> list[Import]:
    """Return the package's import statements, read once and not before a test asks for them."""
    return [each for each in imports() if each.imported != "__future__"]


def room(module: str) -> str:
    return [*module.split("."), ""][1]


def own(module: str) -> bool:
    return module.split(".")[0] == PACKAGE


def where(each: Import) -> str:
    return f"{modules()[each.importer]}:{each.line} imports {each.imported}"


@cache
def heavy() -> set[str]:
    """Return the modules of the package that load one of HEAVY with them, themselves or through others."""
    loads = {(each.importer, each.imported) for each in statements() if not each.deferred and not each.typing}
    loads |= {(name, name.rpartition(".")[0]) for name in modules() if name.count(".") > 1}  # its room
    found: set[str] = set()
    while more := {a for a, b in loads if b in found or b.split(".")[0] in HEAVY} - found:
        found |= more
    return found


def test_modules_lie_in_rooms() -> None:
    loose = {path.stem for path in modules().values() if path.parent.name == PACKAGE}
    assert loose == PUBLIC
    assert {room(name) for name in modules()} == set(LEVEL), "a new room needs its place in ROOMS"


def test_imports_lead_downward() -> None:
    upward = [
        each
        for each in statements()
        if own(each.imported)
        and room(each.importer) != room(each.imported)
        and LEVEL[room(each.importer)] <= LEVEL[room(each.imported)]
    ]
    new = [where(each) for each in upward if (each.importer, each.imported) not in KNOWN_UPWARD]
    assert not new, "a room imports from one that stands above it:\n" + "\n".join(new)
    mended = KNOWN_UPWARD - {(each.importer, each.imported) for each in upward}
    assert not mended, f"to be taken out of KNOWN_UPWARD: {sorted(mended)}"


def test_no_modules_import_each_other() -> None:
    """Neither when they are loaded, nor in functions, nor for types."""
    found = circles((each.importer, each.imported) for each in statements() if own(each.imported))
    new = [sorted(circle) for circle in found if not any(circle <= known for known in KNOWN_CIRCLES)]
    assert not new, f"modules that import each other: {new}"
    mended = [sorted(circle) for circle in KNOWN_CIRCLES if circle not in found]
    assert not mended, f"to be taken out of KNOWN_CIRCLES, or made smaller: {mended}; left are {found}"


def allowed(each: Import) -> bool:
    if each.imported in heavy() or each.imported.split(".")[0] in HEAVY | OPTIONAL:
        return True
    return any(each.importer.startswith(a) and each.imported.startswith(b) for a, b in LATE)


def test_only_what_is_heavy_or_optional_is_imported_late() -> None:
    late = [each for each in statements() if each.deferred and not allowed(each)]
    new = [where(each) for each in late if (each.importer, each.imported) not in KNOWN_LATE]
    assert not new, "imports that belong at the head of their module:\n" + "\n".join(new)
    mended = KNOWN_LATE - {(each.importer, each.imported) for each in late}
    assert not mended, f"to be taken out of KNOWN_LATE: {sorted(mended)}"


def test_circles_are_found() -> None:
    assert not circles([("a", "b"), ("b", "c"), ("a", "c")])
    assert circles([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]) == [{"a", "b", "c"}]


# ---- what is loaded when ------------------------------------------------------------------------


@pytest.mark.parametrize("args", [["--help"], ["list", "empty.bfn"], ["models"], None])
def test_looking_at_files_loads_nothing_heavy(args: list[str] | None, tmp_path: Path) -> None:
    blob = bfncodec.compress(b"", "none")
    (tmp_path / "empty.bfn").write_bytes(blob)
    asked = f"main.cli.main({args}, standalone_mode=False)" if args else f"bfncodec.describe({blob!r})"
    code = (
        f"import sys, bfncodec; from bfncodec.cli import main; {asked}\n"
        "print({'torch', 'numpy', 'PIL', 'matplotlib', 'constriction', 'numba'} & set(sys.modules))"
    )
    assert output(code, tmp_path).endswith("set()\n")


def test_compressing_bytes_imports_neither_numpy_nor_torch(tmp_path: Path) -> None:
    code = "import sys, bfncodec; bfncodec.compress(b'abc', 'none'); print({'torch', 'numpy'} & set(sys.modules))"
    assert output(code, tmp_path) == "set()\n"


def test_coding_texts_imports_neither_flows_nor_networks_that_it_does_not_use(tmp_path: Path) -> None:
    code = (
        "import sys, bfncodec.codecs.text, bfncodec.networks.transformer.compiled\n"
        "print({f'bfncodec.{name}' for name in ('flow.gaussian', 'flow.simplex', 'networks.convnet.front')} "
        "& set(sys.modules))"
    )
    assert output(code, tmp_path) == "set()\n"


@pytest.mark.parametrize("name", ["text-fast", "photo-fast"])
def test_loading_a_model_does_not_import_torch(name: str, tmp_path: Path) -> None:
    assert (
        output(f"import sys, bfncodec; bfncodec.load({name!r}); print('torch' in sys.modules)", tmp_path) == "False\n"
    )


@pytest.mark.parametrize(("name", "other"), [("text-fast", "image"), ("photo-fast", "text")])
def test_loading_a_model_imports_no_codec_of_another_kind(name: str, other: str, tmp_path: Path) -> None:
    code = f"import sys, bfncodec; bfncodec.load({name!r}); print('bfncodec.codecs.{other}' in sys.modules)"
    assert output(code, tmp_path) == "False\n"


def test_the_command_imports_archives_only_for_them(tmp_path: Path) -> None:
    code = (
        "import sys; from bfncodec.cli.commands import compress, decompress\n"
        "print({'zipfile', 'bfncodec.files.archive', 'bfncodec.files.archiving'} & set(sys.modules))"
    )
    assert output(code, tmp_path) == "set()\n"


@pytest.mark.slow  # where kernels are not compiled yet
def test_coding_with_kernels_does_not_import_torch(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    code = (
        "import sys, bfncodec, numpy as np\n"
        "picture = np.add.outer(np.arange(40), np.arange(60) * 3)[..., None].repeat(3, 2).astype(np.uint8)\n"
        "for x, model in ((b'to be or not to be ' * 30, 'text-fast'), (picture, 'photo-fast')):\n"
        "    assert np.array_equal(bfncodec.decompress(bfncodec.compress(x, model)), x)\n"
        "print({'torch', 'numpy.random', 'bfncodec.networks.kernels'} & set(sys.modules))"
    )
    assert "torch" not in output(code, tmp_path, BFNCODEC_JIT="always")  # Numba, which compiles, imports numpy.random
    assert output(code, tmp_path, BFNCODEC_JIT="always") == "{'bfncodec.networks.kernels'}\n"


def output(code: str, folder: Path, **environment: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


# ---- public names -------------------------------------------------------------------------------


def test_every_public_name_is_there() -> None:
    assert sorted(bfncodec.__all__) == dir(bfncodec)
    for name in bfncodec.__all__:
        assert getattr(bfncodec, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = bfncodec.nonsense
    for name in bfncodec.flow.__all__:
        assert getattr(bfncodec.flow, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = bfncodec.flow.nonsense


def test_type_checkers_see_the_public_names_and_no_others() -> None:
    """The package imports them where only type checkers look."""
    [block] = [node for node in ast.parse(modules()[PACKAGE].read_text()).body if isinstance(node, ast.If)]
    seen = {alias.asname or alias.name for node in block.body for alias in node.names}  # type: ignore[attr-defined]
    assert seen == set(bfncodec.__all__) - {"__version__"}
