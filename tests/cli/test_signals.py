"""Signals end the program with 130 or 143 and one line, whatever becomes of the exception that they raise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import bfncodec

pytestmark = pytest.mark.slow  # models at work: together they take minutes

ROOT = str(Path(bfncodec.__file__).parent.parent)
TEXT = b"to be or not to be, that is the question " * 20

SIGNALS = [(signal.SIGINT, 130, b"interrupted"), (signal.SIGTERM, 143, b"terminated")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(TEXT)
    return tmp_path


def run(*command: str, path: str = ROOT, **also: str) -> tuple[int, bytes]:
    """Exit code and standard error of a program that hears interrupts, which shells let their background ignore."""
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    environment = os.environ | {"PYTHONPATH": path} | also
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, check=False, env=environment, preexec_fn=heard
    )
    return done.returncode, done.stderr


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


SWALLOWING = """
import os, time
try:
    os.kill(os.getpid(), {number})
    time.sleep(20)
except BaseException:
    pass
raise ImportError("cannot load module more than once per process")
"""


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
@pytest.mark.parametrize(("module", "kernels"), [("numpy", ""), ("numba", "always"), ("torch", "never")])
def test_a_module_that_swallows_a_signal_while_it_is_imported(
    folder: Path, module: str, kernels: str, number: int, code: int, word: bytes
) -> None:
    """As numpy's C extension does: it clears the exception, is half loaded, and fails with an ImportError."""
    (folder / "modules").mkdir()
    (folder / "modules" / f"{module}.py").write_text(SWALLOWING.format(number=int(number)))
    path = os.pathsep.join([str(folder / "modules"), ROOT])
    found = run("-m", "bfncodec", "compress", "-m", "text", "--rm", "a.txt", "b.txt", path=path, BFNCODEC_JIT=kernels)
    assert found == (code, b"bfncodec: %s\n" % word)
    assert names(folder) == {"a.txt", "b.txt", "modules"}


def script(before: str, *args: str) -> str:
    """A program that prepares something and then is the command."""
    imports = "import os\nfrom bfncodec.cli import main\nfrom bfncodec.files import atomic\n"
    return f"{imports}{before}\nmain.main({list(args)})"


WRITE = """
write = atomic._write_synced
def written(path, data, like):
    write(path, data, like)
    {then}
atomic._write_synced = written
"""
COMPRESS = ("compress", "-m", "none", "a.txt", "b.txt")


def sent(number: int, then: str) -> str:
    """What happens once the result is written beside its target."""
    body = then.replace("SEND", f"os.kill(os.getpid(), {int(number)})")
    return WRITE.format(then=body.replace("\n", "\n    "))


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
@pytest.mark.parametrize(
    "then",
    [
        "try: SEND\nexcept BaseException: pass",
        "try: SEND\nexcept BaseException: raise ValueError('something else')",
        "class Final:\n    def __del__(self): SEND\nFinal()",
    ],
    ids=["passed over", "another error", "finaliser"],
)
def test_a_signal_that_is_swallowed_ends_the_program_before_the_next_file(
    folder: Path, then: str, number: int, code: int, word: bytes
) -> None:
    assert run("-c", script(sent(number, then), *COMPRESS)) == (code, b"bfncodec: %s\n" % word)
    assert names(folder) in ({"a.txt", "b.txt"}, {"a.txt", "b.txt", "a.txt.bfn"})


def test_a_signal_that_comes_twice_does_not_break_off_the_cleaning_up(folder: Path) -> None:
    again = (
        "unlink = atomic.Path.unlink\n"
        f"def unlinked(self, missing_ok=False): os.kill(os.getpid(), {int(signal.SIGINT)}); unlink(self, missing_ok)\n"
        "atomic.Path.unlink = unlinked\n"
    )
    program = script(again + sent(signal.SIGINT, "SEND"), *COMPRESS)
    assert run("-c", program) == (130, b"bfncodec: interrupted\n")
    assert names(folder) == {"a.txt", "b.txt"}


def test_a_signal_after_everything_is_done(folder: Path) -> None:
    at_exit = f"import atexit; atexit.register(lambda: os.kill(os.getpid(), {int(signal.SIGTERM)}))"
    code, said = run("-c", script(at_exit, "compress", "-q", "-m", "none", "a.txt"))
    assert (code, said) == (143, b"")
    assert names(folder) == {"a.txt", "b.txt", "a.txt.bfn"}


def test_a_signal_while_an_error_is_told(folder: Path) -> None:
    told = (
        "import click; echo = click.echo\n"
        f"def told(*a, **k): click.echo = echo; os.kill(os.getpid(), {int(signal.SIGINT)})\n"
        "click.echo = told\n"
    )
    for args in (["compress", "missing"], ["measure", "--plot", "x", "missing"]):
        assert run("-c", script(told, *args)) == (130, b"bfncodec: interrupted\n")


def test_signals_that_are_ignored_stay_so(folder: Path) -> None:
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + sent(signal.SIGHUP, "SEND")
    code, said = run("-c", script(ignored, "compress", "-q", "-m", "none", "a.txt"))
    assert (code, said) == (0, b"")
