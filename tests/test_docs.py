"""Pages of Markdown: links, paths and names in them exist, examples run, figures are those that the script draws."""

from __future__ import annotations

import ast
import re
import runpy
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from bfncodec.training.config import TrainConfig, make, read_config
from support.places import ROOT

TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = sorted([*TOP, *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/*/README.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TRAINING = ROOT / "docs" / "guide" / "training.md"
FILE = re.compile(r"(?<![\w/.])(?:bfncodec|benchmarks|configs|docs|examples|models|tests)/[\w./-]*\w")
NAME = re.compile(r"\bbfncodec(?:\.\w+)+")
ROLE = re.compile(r":(?:func|meth|class|mod|data):`~?(bfncodec(?:\.\w+)+)`")
CLASS = re.compile(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)*)(?:\.(\w+))?(?:\([^`]*\))?`")
BENCHMARK = re.compile(r"python -m (benchmarks\.\w+)")


def relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The names that a page's headings have in links, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=relative)
def test_files_that_are_named_exist(page: Path) -> None:
    text = LINK.sub("", page.read_text(encoding="utf-8"))
    named = {*FILE.findall(text), *(f"{module.replace('.', '/')}.py" for module in BENCHMARK.findall(text))}
    named = {path for path in named if "NAME" not in path}
    missing = [path for path in named if not (ROOT / path).exists() and not list(ROOT.glob(f"{path}.py"))]
    assert not missing


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=relative)
def test_names_of_the_package_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [name for name in set(NAME.findall(text)) if not is_defined(name.split("."))]
    assert not set(missing) - {"bfncodec.1", "bfncodec.fish"}  # files of share/


@pytest.mark.slow
def test_names_in_docstrings_exist() -> None:
    files = [path for room in ("bfncodec", "benchmarks", "examples", "docs") for path in (ROOT / room).glob("**/*.py")]
    for file in files:
        for name in ROLE.findall(file.read_text(encoding="utf-8")):
            assert is_defined(name.split(".")), f"{relative(file)}: {name}"


@pytest.mark.parametrize("name", ["concepts", "glossary"])
def test_classes_and_methods_exist(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    package = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "bfncodec").glob("**/*.py"))
    for owner, member in CLASS.findall(text):
        assert re.search(rf"^class {owner}\b", package, re.MULTILINE), owner
        assert not member or re.search(rf"^    (def )?{member}\b", package, re.MULTILINE), f"{owner}.{member}"


def is_defined(parts: list[str]) -> bool:
    """Whether a dotted name is a module, something defined in one, or a public name of the package."""
    for cut in range(len(parts), 0, -1):
        stem = ROOT.joinpath(*parts[:cut])
        file = stem.with_suffix(".py") if stem.with_suffix(".py").exists() else stem / "__init__.py"
        if file.exists():
            return cut == len(parts) or _defines(file, parts[cut])
    return False


def _defines(file: Path, name: str) -> bool:
    """Whether a module defines, imports or lists a name."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = {getattr(node, "name", None) for node in ast.walk(tree)}
    found |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return name in found


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_examples_that_say_what_comes_out_run(page: Path) -> None:
    for block in PYTHON.findall(page.read_text(encoding="utf-8")):
        if "assert " in block:
            exec(compile(block, str(page), "exec"), {})


def test_the_guide_knows_every_key_of_a_training() -> None:
    page = TRAINING.read_text(encoding="utf-8")
    table = page[page.index("### The table [train]") :].split("\n\n")[1]
    keys = [key for row in table.splitlines()[2:] for key in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(keys) == sorted(field.name for field in fields(TrainConfig))


@pytest.mark.parametrize("block", TOML.findall(TRAINING.read_text(encoding="utf-8")), ids=["image", "text"])
def test_configurations_of_the_guide_are_read(block: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(block, encoding="utf-8")
    settings = read_config(file)
    network = {"image": "convnet.model.ConvNetConfig", "text": "transformer.model.TransformerConfig"}[settings.role]
    module, _, name = network.rpartition(".")
    make(getattr(import_module(f"bfncodec.networks.{module}"), name), settings.network, "network")


def test_the_table_of_rooms_is_that_of_the_imports() -> None:
    tree = ast.parse((ROOT / "tests" / "test_architecture.py").read_text(encoding="utf-8"))
    [order] = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "ROOMS"]
    rooms = [room for rooms in ast.literal_eval(order) for room in rooms if room not in ("", "__main__")]
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert table == rooms


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 120


def test_every_page_is_in_the_navigation() -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    docs = ROOT / "docs"
    assert not [page for page in docs.glob("**/*.md") if f" {page.relative_to(docs).as_posix()}\n" not in settings]


def test_figures_are_those_that_the_script_draws() -> None:
    folder = ROOT / "docs" / "figures"
    figures = runpy.run_path(str(folder / "draw.py"))["FIGURES"]
    for name, draw in figures.items():
        assert (folder / f"{name}.svg").read_text(encoding="utf-8") == draw(), name
