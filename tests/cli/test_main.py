from __future__ import annotations

import json
import logging
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import bfncodec
import bfncodec.training
from bfncodec.analysis.measurement import measure
from bfncodec.cli import call, commands, messages
from bfncodec.cli.main import COMMANDS, cli
from bfncodec.cli.terminal import human_bytes
from bfncodec.segments.policy import Policy
from support.commands import ENVIRONMENT, TEXT, names, run
from support.doubles import FakeModels, noise

# Also where the package is not installed, as in a bare checkout.


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeModels]:
    """The commands find the doubles, and files named for no one's model."""
    found = FakeModels()
    monkeypatch.setattr("bfncodec.api.Models", lambda device, threads: found)
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_bytes(TEXT)
    (tmp_path / "noise.bin").write_bytes(noise(3, 900).tobytes())
    Image.fromarray(noise(4, 30, 20, 3)).save(tmp_path / "photo.png")
    return tmp_path


# ---- compress and decompress --------------------------------------------------------------------


def test_files_come_back(folder: Path) -> None:
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    result = run("compress", "--rm", *before)
    assert names(folder) == {f"{name}.bfn" for name in before}
    assert result.stdout == ""
    *lines, total = result.stderr.splitlines()
    assert len(lines) == 3
    assert all(" bpd " in line and " => " in line for line in lines)
    plain, compressed = sum(map(len, before.values())), sum((folder / f"{name}.bfn").stat().st_size for name in before)
    share = 100 * compressed / plain
    assert total == f"3 files : {share:.1f}% ({human_bytes(plain)} => {human_bytes(compressed)})"
    run("decompress", "--rm", *sorted(names(folder)))
    assert names(folder) == set(before)
    assert (folder / "a.txt").read_bytes() == TEXT
    assert (folder / "noise.bin").read_bytes() == before["noise.bin"]
    assert np.array_equal(Image.open(folder / "photo.png"), noise(4, 30, 20, 3))


def test_the_summary_line(folder: Path) -> None:
    size = len(bfncodec.compress(noise(3, 900).tobytes(), codecs=FakeModels()))
    line = f"noise.bin : {8 * size / 900:.2f} bpd  {100 * size / 900:.1f}% (900 B => {size} B), identical file\n"
    assert run("compress", "noise.bin").stderr == line
    assert run("compress", "-f", "-v", "noise.bin").stderr == line[:-1] + "  bytes, segments: 1 model\n"
    assert run("compress", "-f", "-q", "noise.bin").stderr == ""


@pytest.mark.parametrize(
    ("args", "level"), [([], 5), (["-1"], 1), (["-9"], 9), (["--level", "7"], 7), (["-3", "-8"], 8), (["-f4"], 4)]
)
def test_levels(folder: Path, models: FakeModels, args: list[str], level: int) -> None:
    run("compress", *args, "photo.png")
    assert models.level == level
    assert models.codecs["image"].thorough == (level >= 8)


@pytest.mark.parametrize("args", [["--level", "0"], ["--level", "10"], ["--level", "x"], ["-0"]])
def test_what_is_no_level(folder: Path, args: list[str]) -> None:
    with pytest.raises(click.UsageError):
        cli.main(["compress", *args, "photo.png"], standalone_mode=False)


def test_picture_files_byte_for_byte(folder: Path) -> None:
    data = (folder / "photo.png").read_bytes()
    run("compress", "--bytes", "--rm", "photo.png")
    run("decompress", "photo.png.bfn")
    assert (folder / "photo.png").read_bytes() == data


def test_a_file_of_the_name_of_standard_input(folder: Path) -> None:
    (folder / "-").write_bytes(TEXT)
    run("compress", "./-", stdin=b"other")
    assert bfncodec.decompress((folder / "-.bfn").read_bytes()) == TEXT
    run("decompress", "-f", "./-.bfn", "-o", "./-")
    assert (folder / "-").read_bytes() == TEXT


def test_standard_output_is_not_what_is_read(folder: Path) -> None:
    run("compress", "-m", "none", "a.txt")
    for name, args in (("a.txt", "compress -c a.txt"), ("a.txt", "compress"), ("a.txt.bfn", "decompress -c a.txt.bfn")):
        before = (folder / name).read_bytes()
        with (folder / name).open("ab") as out, (folder / name).open("rb") as given:
            command = [sys.executable, "-m", "bfncodec", *args.split()]
            done = subprocess.run(
                command, env=ENVIRONMENT, stdin=given, stdout=out, stderr=subprocess.PIPE, check=False
            )
        assert (done.returncode, b"is the file itself" in done.stderr) == (1, True)
        assert (folder / name).read_bytes() == before


def test_a_target_of_standard_input_is_looked_at_before_the_work(folder: Path) -> None:
    (folder / "there").write_bytes(b"kept")
    reading, writing = os.pipe()  # nothing comes through it, and it does not end
    command = [sys.executable, "-m", "bfncodec", "compress", "-o", "there"]
    done = subprocess.run(command, env=ENVIRONMENT, stdin=reading, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(reading)
    os.close(writing)
    assert (done.returncode, b"there exists already" in done.stderr) == (1, True)


def test_standard_input_is_tested_and_not_added(folder: Path) -> None:
    run("compress", "-m", "none", "a.txt")
    assert "hold, not decoded" in run("test", "--fast", "-", stdin=(folder / "a.txt.bfn").read_bytes()).stderr
    with pytest.raises(click.UsageError, match="by their names"):
        cli.main(["append", "a.txt.bfn", "-"], standalone_mode=False)


@pytest.mark.parametrize("args", [["compress", "-r", ""], ["compress", "a.txt", "-o", ""], ["preview", ""]])
def test_an_empty_path_is_not_the_folder_that_one_is_in(folder: Path, args: list[str]) -> None:
    with pytest.raises(click.UsageError, match="empty"):
        cli.main(args, standalone_mode=False)
    assert names(folder) == {"a.txt", "noise.bin", "photo.png"}


def test_a_path_that_cannot_be_does_not_stop_the_others(folder: Path) -> None:
    said = run("compress", "a.txt", "x" * 300, "noise.bin", code=1).stderr
    assert f"bfncodec: {'x' * 300}: cannot be read: " in said
    assert names(folder) >= {"a.txt.bfn", "noise.bin.bfn"}


def test_what_may_not_be_looked_at_is_a_failure_and_no_other_is(folder: Path) -> None:
    limited = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if limited and shutil.which(limited[0]) is None:
        pytest.skip("needs setpriv, as root may look at everything")
    for name in ("closed", "open"):
        (folder / "d" / name).mkdir(parents=True)
        (folder / "d" / name / "x").write_bytes(b"x")
    (folder / "d" / "closed").chmod(0o644)
    command = [*limited, sys.executable, "-m", "bfncodec", "compress", "-m", "none", "-r", "d", "d/closed/x"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    (folder / "d" / "closed").chmod(0o755)
    assert done.returncode == 1
    complaints = [line for line in done.stderr.splitlines() if line.startswith("bfncodec: ")]
    assert complaints == ["bfncodec: d/closed/x: cannot be read: Permission denied"] * 2
    assert names(folder / "d") == {"closed/x", "open/x", "open/x.bfn"}


def test_nothing_is_drawn_for_a_target_that_cannot_be(folder: Path, models: FakeModels) -> None:
    name = models.codecs["text"].info.name  # which cannot draw
    assert "exists already" in str(run("sample", name, "-o", "a.txt", code=1).exception)
    assert "cannot be written" in str(run("sample", name, "-o", "missing/a.txt", code=1).exception)


def test_a_plot_that_cannot_be_is_told_before_any_work(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    for command in ("measure", "bench"):
        result = run(command, "a.txt", "--plot", "x.nonsense", code=1)
        assert "expected a kind of picture" in str(result.exception)
        assert result.stdout == ""
    run("measure", "a.txt", "--plot", "x.png", "--html", "x.png", code=2)


def test_two_names_of_one_file_are_both_removed(folder: Path) -> None:
    (folder / "b.txt").hardlink_to(folder / "a.txt")
    run("compress", "--rm", "a.txt", "b.txt")
    assert names(folder) == {"a.txt.bfn", "b.txt.bfn", "noise.bin", "photo.png"}
    (folder / "b.txt.bfn").unlink()
    (folder / "b.txt.bfn").hardlink_to(folder / "a.txt.bfn")
    run("decompress", "--rm", "a.txt.bfn", "b.txt.bfn")
    assert names(folder) == {"a.txt", "b.txt", "noise.bin", "photo.png"}


def test_names_of_more_than_a_line_are_told_in_one(folder: Path) -> None:
    (folder / "two\nlines").write_bytes(TEXT)
    said = run("measure", "-m", "none", "two\nlines").stdout
    assert said.startswith("'two\\nlines'")
    assert call.Call().bar("two\nlines").name == "'two\\nlines'"


def test_pipes(folder: Path) -> None:
    blob = run("compress", stdin=TEXT).stdout_bytes
    assert bfncodec.decompress(blob) == TEXT
    assert run("compress", "-", stdin=TEXT).stdout_bytes == blob
    assert run("compress", "-c", "a.txt").stdout_bytes == blob
    assert run("compress", "-o", "-", "a.txt").stdout_bytes == blob
    assert run("decompress", stdin=blob).stdout_bytes == TEXT
    run("compress", "-", "-o", "x.bfn", stdin=TEXT)
    assert run("decompress", "-c", "x.bfn").stdout_bytes == TEXT
    assert run("decompress", "-c", "x.bfn", "x.bfn").stdout_bytes == TEXT * 2


def test_where_results_go(folder: Path) -> None:
    run("compress", "a.txt", "-o", "one")
    (folder / "out").mkdir()
    run("compress", "a.txt", "noise.bin", "-o", "out")
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "deep" / "deeper" / "b.txt").write_bytes(TEXT)
    run("compress", "-r", "deep", "-o", "out")
    assert names(folder / "out") == {"a.txt.bfn", "noise.bin.bfn", "deeper/b.txt.bfn"}
    run("compress", "-r", "deep")
    assert names(folder / "deep") == {"deeper/b.txt", "deeper/b.txt.bfn"}
    run("compress", "-r", "deep", "-f")  # takes the source, not its compressed file
    assert names(folder / "deep") == {"deeper/b.txt", "deeper/b.txt.bfn"}
    run("decompress", "one", "-o", "back")
    assert (folder / "back").read_bytes() == TEXT
    run("decompress", "-r", "out", "-o", "out")
    assert (folder / "out" / "deeper" / "b.txt").read_bytes() == TEXT


def test_a_bad_file_does_not_stop_the_others(folder: Path) -> None:
    result = run("compress", "missing", "a.txt", ".", "noise.bin", code=1)
    errors = [line for line in result.stderr.splitlines() if line.startswith("bfncodec:")]
    assert errors == [
        "bfncodec: missing: cannot be read: No such file or directory",
        "bfncodec: .: is a folder: use -r to take the files in it",
    ]
    assert {"a.txt.bfn", "noise.bin.bfn"} <= names(folder)


def test_nothing_is_replaced_unasked(folder: Path) -> None:
    run("compress", "a.txt")
    assert "a.txt.bfn exists already: use -f" in run("compress", "--rm", "a.txt", code=1).stderr
    assert (folder / "a.txt").exists()
    run("compress", "-f", "a.txt")


def test_damaged_and_foreign_files(folder: Path) -> None:
    run("compress", "-m", "none", "a.txt")
    blob = bytearray((folder / "a.txt.bfn").read_bytes())
    blob[-9] ^= 1
    for name, data in (("bad", bytes(blob)), ("cut", bytes(blob[:5])), ("empty", b""), ("foreign", b"PK\3\4" * 9)):
        (folder / f"{name}.bfn").write_bytes(data)
        before = names(folder)
        for command in ("decompress", "test"):
            result = run(command, f"{name}.bfn", code=1)
            assert result.stderr.startswith(f"bfncodec: {name}.bfn: ")
            assert len(result.stderr.splitlines()) == 1
        assert names(folder) == before


def test_a_model_that_is_not_there(folder: Path) -> None:
    assert "bfncodec: a.txt: model nonsense is not here" in run("compress", "-m", "nonsense", "a.txt", code=1).stderr


def test_disk_full_and_out_of_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr("bfncodec.files.atomic._write_synced", fail)
    error: Exception = OSError(28, "No space left on device")
    stderr = run("compress", "--rm", "a.txt", code=1).stderr
    assert stderr == "bfncodec: a.txt: a.txt.bfn cannot be written: No space left on device\n"
    error = MemoryError()
    assert "not enough memory" in run("compress", "--rm", "a.txt", code=1).stderr
    error = RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
    assert "--device cpu" in run("compress", "--rm", "a.txt", code=1).stderr
    error = RuntimeError("can't start new thread")
    assert "use -T 1" in run("compress", "--rm", "a.txt", code=1).stderr
    assert names(folder) == {"a.txt", "noise.bin", "photo.png"}


def test_salvage(folder: Path) -> None:
    data = noise(20, 900).tobytes()
    blob = bfncodec.compress(data, "none", policy=Policy(plain_segment=300)).replace(data[450:460], bytes(10))
    (folder / "x.bfn").write_bytes(blob)
    assert "segment 2 of 3: checksum mismatch" in run("decompress", "x.bfn", code=1).stderr
    assert "segment 2 of 3 (300..599) is lost" in run("decompress", "--salvage", "x.bfn", code=1).stderr
    assert (folder / "x").read_bytes() == data[:300] + bytes(300) + data[600:]


def test_limits(folder: Path) -> None:
    (folder / "x.bfn").write_bytes(bfncodec.compress(np.zeros((50, 50), np.uint8), "none"))
    run("decompress", "--no-limits", "x.bfn")
    assert np.load(folder / "x").shape == (50, 50)


@pytest.mark.parametrize(
    "args",
    [
        ["compress", "-c", "-o", "x", "a.txt"],
        ["compress", "a.txt", "noise.bin", "-o", "x"],
        ["compress", "--rm", "-c", "a.txt"],
        ["compress", "--rm", "-"],
        ["compress", "--nonsense"],
        ["compress", "-T", "0", "a.txt"],
        ["decompress", "--rm", "--salvage", "x.bfn"],
        ["list"],
        ["test"],
        ["measure"],
        ["nonsense"],
    ],
)
def test_wrong_usage(folder: Path, args: list[str]) -> None:
    before = names(folder)
    assert "Usage" in run(*args, code=2).stderr
    assert names(folder) == before


# ---- looking, measuring -------------------------------------------------------------------------


def test_list(folder: Path) -> None:
    run("compress", "a.txt", "photo.png")
    lines = run("list", "a.txt.bfn", "photo.png.bfn").stdout.splitlines()
    assert len(lines) == 3
    assert "PNG RGB" in lines[2]
    assert "20x30" in lines[2]
    found = json.loads(run("list", "--json", "photo.png.bfn").stdout)
    assert found == [
        {
            "file": "photo.png.bfn",
            "content": "PNG",
            "mode": "RGB",
            "sides": [30, 20],
            "content_bytes": 1800,
            "file_bytes": (folder / "photo.png.bfn").stat().st_size,
            "methods": {"model": 1},
            "models": [FakeModels().codecs["image"].info.id.hex()],
            "preview_bytes": 0,
            "lines": 0,
            "files": 1,
            "identical": True,
        }
    ]
    run("list", "a.txt", code=1)


def test_test(folder: Path) -> None:
    run("compress", "a.txt", "photo.png")
    before = names(folder)
    assert run("test", "-r", ".").stderr.count(": sound") == 2
    assert names(folder) == before


def test_measure(folder: Path) -> None:
    lines = run("measure", "noise.bin", "a.txt").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines if line] == [
        *("noise.bin", "ideal", "", "", "realised path", "payload", "", "initial bits", "protection", "other payload"),
        *("frame", "file", "a.txt", "initial bits", "protection", "other payload", "frame", "file", "all 2 files"),
        *(
            "ideal",
            "",
            "",
            "realised path",
            "payload",
            "",
            "initial bits",
            "protection",
            "other payload",
            "frame",
            "file",
        ),
    ]
    assert "± 0.0  L^n" in lines[1]
    found = json.loads(run("measure", "--json", "noise.bin").stdout)[0]
    measured = measure(noise(3, 900).tobytes(), codecs=FakeModels())
    assert measured.ideal is not None
    assert found["kl_bits_by_step"] == [found["ideal_bits"] - 3, 1.0]
    assert found["ideal_bits"] == found["kl_bits"] + found["reconstruction_bits"] == measured.ideal.bits
    assert found["payload_minus_ideal_bits"] == found["payload_bits"] - found["ideal_bits"]
    for key in ("initial_bits", "protection_bits", "path_bits", "frame_bits", "container_bytes", "bits_per_dim"):
        assert found[key] == getattr(measured, key), key
    assert found["ideal_error_bits"] == 0
    assert names(folder) == {"a.txt", "noise.bin", "photo.png"}
    run("measure", "missing", "a.txt", code=1)


def test_a_plot_needs_matplotlib(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = CliRunner().invoke(cli, ["measure", "--plot", "x.png", "a.txt"])
    assert result.exit_code == 1
    assert "pip install 'bfncodec[plot]'" in str(result.exception)


def test_a_plot_is_made(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    run("measure", "--plot", "x.png", "noise.bin")
    with Image.open(folder / "x.png") as image:
        assert image.size[0] > 100


@pytest.mark.parametrize("force", [[], ["-f"]])
def test_a_plot_replaces_no_source_and_nothing_unasked(folder: Path, force: list[str]) -> None:
    pytest.importorskip("matplotlib")
    (folder / "deep").mkdir()
    (folder / "deep" / "inner.png").write_bytes((folder / "photo.png").read_bytes())
    (folder / "other.png").write_bytes(b"other")
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    for plot, source in (("photo.png", "photo.png"), ("deep/inner.png", "deep")):
        run("measure", "-r", *force, "-m", "none", "--plot", plot, "noise.bin", source, code=1)
    run("measure", *force, "-m", "none", "--plot", "x.odd", "noise.bin", code=1)
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before
    run("measure", *force, "-m", "none", "--plot", "other.png", "noise.bin", code=not force)
    assert ((folder / "other.png").read_bytes() == b"other") == (not force)


def test_models_are_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = folder / "models" / "mine"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"name": "mine", "role": "text", "network": {}}')
    (model / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr("bfncodec.models.search_path", lambda: [folder / "models"])
    (found,) = json.loads(run("models", "--json").stdout)
    assert (found["name"], found["role"], found["path"]) == ("mine", "text", str(model))
    assert found["id"] in run("models").stdout


def test_train_is_handed_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    loop = SimpleNamespace(run=lambda config, **given: calls.append((config, given)))  # the real one loads torch
    monkeypatch.setattr(bfncodec.training, "loop", loop, raising=False)
    run("train", "x.toml", "-o", "there", "--no-resume", "--steps", "7", "--device", "cuda")
    config, given = calls[0]
    assert config == Path("x.toml")
    assert (given["out"], given["resume"], given["steps"], given["device"]) == (Path("there"), False, 7, "cuda")


# ---- the program --------------------------------------------------------------------------------


def program(*args: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "bfncodec", *args], capture_output=True, check=False, env=ENVIRONMENT)


def test_the_program(folder: Path) -> None:
    assert program("--version").stdout.decode().strip() == f"bfncodec, version {bfncodec.__version__}"
    assert program("nonsense").returncode == 2
    done = program("compress", "-m", "none", "missing", "a.txt")
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert program("decompress", "-c", "a.txt.bfn").stdout == TEXT


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("args", [["compress", "-m", "none", "-c", "a.txt"], ["--help"]])
def test_a_full_standard_output_is_one_line(folder: Path, args: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bfncodec", *args], stdout=full, stderr=subprocess.PIPE, check=False, env=ENVIRONMENT
        )
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"No space left on device" in done.stderr


SLOW = """
import sys, time
from pathlib import Path
from bfncodec.cli.main import main
from bfncodec.files import atomic
write = atomic._write_synced
def slow(path, data, like):
    write(path, data, like)
    Path("ready").touch()
    time.sleep(30)
atomic._write_synced = slow
main(["compress", "-m", "none", "--rm", "a.txt"])
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_behind(folder: Path, number: int, code: int) -> None:
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # shells let what runs behind them ignore it
    process = subprocess.Popen([sys.executable, "-c", SLOW], stderr=subprocess.PIPE, env=ENVIRONMENT, preexec_fn=heard)
    deadline = time.monotonic() + 120
    while process.poll() is None and not (folder / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == code
    assert stderr.count(b"\n") == 1
    assert b"Traceback" not in stderr
    assert names(folder) == {"a.txt", "noise.bin", "photo.png", "ready"}


def test_nothing_binary_for_a_terminal(folder: Path) -> None:
    leader, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "bfncodec", "compress", "-m", "none", "-c", "a.txt"],
        stdout=terminal,
        stderr=subprocess.PIPE,
        check=False,
        env=ENVIRONMENT,
    )
    os.close(terminal)
    os.close(leader)
    assert done.returncode == 1
    assert b"not written to a terminal" in done.stderr


def test_progress_at_a_terminal(folder: Path) -> None:
    (folder / "long.txt").write_bytes(TEXT * 10)
    code = (
        "from bfncodec.cli import main, terminal\n"
        "terminal._STEP = 0\n"
        "main.main(['compress', '-m', 'none', 'long.txt'])\n"
    )
    leader, terminal = pty.openpty()
    done = subprocess.run([sys.executable, "-c", code], stderr=terminal, check=False, env=ENVIRONMENT)
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(leader, 4096):
            shown += chunk
    except OSError:  # the end of a terminal
        pass
    os.close(leader)
    assert done.returncode == 0
    assert b"%" in shown
    assert b"/s" in shown
    assert b" left" in shown
    assert b"bpd" in shown


def test_errors_are_single_lines(capsys: pytest.CaptureFixture[str]) -> None:
    messages.complain("several\nlines")
    assert capsys.readouterr().err == "bfncodec: several lines\n"


@pytest.mark.parametrize("quiet", [False, True])
def test_what_is_logged_while_a_file_is_at_work_is_said(quiet: bool, capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("bfncodec.networks.acceleration")
    with call.Call(quiet).each("a"):
        log.info("compiling")
        log.debug("details")
    log.info("afterwards")
    assert capsys.readouterr().err == ("" if quiet else "compiling\n")


def test_why_a_model_was_not_used_is_said_to_who_asks(folder: Path) -> None:
    (folder / "short").write_bytes(b"short")
    (folder / "random").write_bytes(noise(60, 4000).tobytes())
    (folder / "large.txt").write_bytes(b"".join(b"%d\n" % n**3 for n in range(4000)))
    reasons = {
        "short": "no model was asked: the data are random, too short, or take next to nothing without",
        "random": "no model was asked: the data are random, too short, or take next to nothing without",
        "a.txt": "model text was not used: without it the data take less, ",
        "large.txt": "model text was not used: a sample says that it does not win",
    }
    for name, reason in reasons.items():
        assert reason in run("compress", "-v", name).stderr
        assert "model" not in run("compress", "-f", name).stderr
    assert "not used" not in run("compress", "-v", "photo.png").stderr


def test_shells_complete_commands(folder: Path) -> None:
    asked = ENVIRONMENT | {"_BFNCODEC_COMPLETE": "bash_complete", "COMP_WORDS": "bfncodec dec", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "bfncodec"], capture_output=True, check=True, env=asked)
    assert done.stdout.split() == [b"plain,decompress"]


def test_completion_and_help_know_every_command_without_loading_it(folder: Path) -> None:
    """The help lines stand in the group, so that neither loads a command, and say what the commands say."""
    names = {path.stem for path in Path(commands.__file__).parent.glob("[a-z]*.py")}
    assert names == set(COMMANDS)
    for name, line in COMMANDS.items():
        command = import_module(f"bfncodec.cli.commands.{name}").command
        assert command.name == name
        assert command.get_short_help_str(200) == click.Command(name, help=line).get_short_help_str(200)
    loaded = "; print([name for name in sys.modules if name.startswith('bfncodec.cli.commands')])"
    code = "import sys; from bfncodec.cli import main; main.cli.main(['--help'], standalone_mode=False)" + loaded
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=ENVIRONMENT)
    assert done.stdout.endswith(b"[]\n")


def test_shells_complete_options(folder: Path) -> None:
    asked = {"_BFNCODEC_COMPLETE": "bash_complete", "COMP_WORDS": "bfncodec train --min", "COMP_CWORD": "2"}
    done = subprocess.run([sys.executable, "-m", "bfncodec"], capture_output=True, check=True, env=ENVIRONMENT | asked)
    assert done.stdout.split() == [b"plain,--minutes"]
