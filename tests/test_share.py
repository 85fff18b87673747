"""What a wheel puts into share/: a manual page and completions that say what the command says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from importlib import util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARE = ROOT / "share"
MAKE = "run python share/make.py"


def made_by() -> object:
    spec = util.spec_from_file_location("make", SHARE / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = made_by()


def test_the_manual_page_says_what_the_commands_say() -> None:
    assert (SHARE / make.MANUAL).read_text() == make.manual(), MAKE
    for name in make.COMMANDS:
        assert f".SS bfncodec {name} " in make.manual()


@pytest.mark.parametrize("text", [".npy", "'a", "a\\b", "-1 … -9", "plain"])
def test_roff_shows_a_text_as_it_is(text: str) -> None:
    if (groff := shutil.which("groff")) is None:
        pytest.skip("no groff here")
    page = f'.TH X 1 "" "" ""\n.SH Y\n{make._roff(text)}\n'
    shown = subprocess.run([groff, "-man", "-ww", "-Tutf8", "-P-c"], input=page, capture_output=True, text=True)
    assert text in [line.strip().replace("\N{HYPHEN}", "-") for line in shown.stdout.splitlines()]
    assert not shown.stderr


def test_roff_has_nothing_to_say_against_the_page() -> None:
    if (groff := shutil.which("groff")) is None:
        pytest.skip("no groff here")
    done = subprocess.run([groff, "-man", "-ww", "-Tutf8", str(SHARE / make.MANUAL)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_what_click_makes(shell: str) -> None:
    assert (SHARE / make.COMPLETIONS[shell]).read_text() == make.completion(shell), MAKE


@pytest.mark.slow
def test_bash_completes_commands() -> None:
    program = Path(sys.executable).parent / "bfncodec"
    if (bash := shutil.which("bash")) is None or not program.exists():
        pytest.skip("no bash, or bfncodec is not installed here")
    script = SHARE / make.COMPLETIONS["bash"]
    call = f"COMP_WORDS=(bfncodec dec); COMP_CWORD=1; _bfncodec_completion {program}"
    words = f'source {script}; {call}; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        [bash, "-c", words], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.stdout == "decompress\n", done.stderr


def test_a_wheel_takes_all_of_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    for path in (make.MANUAL, *make.COMPLETIONS.values()):
        assert any(f"share/{path}".startswith(f"{folder}/") for folder in shared)
    assert all(source == target for source, target in shared.items())  # share/ of a wheel is share/ of its environment
