"""Kernels as they are called, and their machine code as it is kept."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("numba")

from bfncodec.runtime import kept
from bfncodec.runtime.arrays import Array
from bfncodec.runtime.jit import Kernel, compiled, flat, is_kept
from support.commands import ENVIRONMENT


class Pair(NamedTuple):
    """Arguments in a tuple."""

    x: Array
    scale: Any
    many: bool


@compiled
def weighed(pairs: Any, y: Any, shift: int, out: Any) -> bool:
    """Add up columns of what may be laid out in any way."""
    for pair in pairs:
        for i in range(pair.x.shape[0]):
            for j in range(pair.x.shape[1]):
                out[i] += pair.x[i, j] * pair.scale + y[j] + shift
    return bool(pairs[0].many)


@compiled
def first_of(x: Any) -> Any:
    return x[0]


@compiled
def double(x: Any) -> None:
    for i in range(len(x)):
        x[i] *= 2


Write = Callable[[str], Kernel]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Make a module ``ofkernels`` with a kernel ``entry(x)`` that returns an expression; a cache of its own."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(expression: str) -> Kernel:
        head = "from bfncodec.runtime.jit import compiled\n@compiled\ndef entry(x):\n"
        (tmp_path / "ofkernels.py").write_text(f"{head}    return {expression}\n")
        sys.modules.pop("ofkernels", None)
        importlib.invalidate_caches()
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        entry: Kernel = importlib.import_module("ofkernels").entry
        return entry

    return make


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["C", "F", "sliced", "read only", "empty"])
def test_arguments_arrive(layout: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4)).astype(np.float32)
    if layout == "F":
        x = np.asfortranarray(x)
    elif layout == "sliced":
        x = rng.standard_normal((6, 8)).astype(np.float32)[::2, 1::2]
    elif layout == "empty":
        x = np.zeros((3, 0), np.float32)
    x.flags.writeable = layout != "read only"
    pairs = (Pair(x, np.float32(0.5), False), Pair(x, np.float32(-3), True))
    for given in (pairs, flat(pairs)):
        for many in (np.arange(9), np.arange(9)[::-2]):
            found, wanted = np.zeros(3), np.zeros(3)
            assert weighed(given, many, -7, found) is False
            assert weighed.function(pairs, many, -7, wanted) is False
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.slow
def test_results_come_back() -> None:
    for value in (np.int64(-5), np.float32(1 / 3), np.bool_(True), np.bool_(False)):
        found = first_of(np.array([value]))
        assert found == value
    x = np.arange(4)
    assert double(x) is None
    assert x.tolist() == [0, 2, 4, 6]


def test_what_kernels_do_not_take() -> None:
    for value in ("text", [1], None, 1.5):
        with pytest.raises(TypeError, match="expected an array, a number or a tuple"):
            flat(value)


@pytest.mark.slow
def test_kernels_are_compiled_unless_their_source_is_another(write: Write) -> None:
    first = write("x + 1")
    assert not is_kept(first)
    assert first(1) == 2
    assert is_kept(first)
    assert is_kept(write("x + 1"))
    assert not is_kept(write("x + 1000"))


@pytest.mark.slow
def test_kept_code_runs_without_numba(write: Write, tmp_path: Path) -> None:
    assert write("x + 1")(1) == 2
    code = "import sys, ofkernels; print(ofkernels.entry(1), 'numba' in sys.modules)"
    paths = f"{tmp_path}:{ENVIRONMENT['PYTHONPATH']}"
    command = [sys.executable, "-B", "-c", code]
    environment = ENVIRONMENT | {"PYTHONPATH": paths, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n"


@pytest.mark.slow
@pytest.mark.parametrize("change", ["cut", "one bit", "empty", "no object file"])
def test_kept_code_that_is_damaged_is_compiled_again(change: str, write: Write) -> None:
    entry = write("x + 1")
    assert entry(1) == 2
    place = entry.place
    assert place is not None
    [file] = place.iterdir()
    whole = file.read_bytes()
    if change == "no object file":  # and yet the checksum is right
        kept.save(place, file.name, kept.MachineCode(b"nonsense", "int64", 0, None))
    else:
        flipped = bytearray(whole)
        flipped[len(flipped) // 2] ^= 1
        file.write_bytes({"cut": whole[:-1], "one bit": bytes(flipped), "empty": b""}[change])
    assert kept.load(place, file.name) is None
    assert write("x + 1")(1) == 2
    assert kept.load(place, file.name) is not None


@pytest.mark.slow
def test_threads_load_kept_code_at_the_same_time(write: Write) -> None:
    entry, several = write("x + 1"), 8
    assert entry(1) == 2
    symbol, barrier = kept.symbol(entry.function, ["int"]), threading.Barrier(several)
    kept._linker.cache_clear()

    def load(_: int) -> tuple[kept.MachineCode | None, int]:
        barrier.wait()
        code, again = kept.load(entry.place, symbol), unloaded(entry)
        return code, again(1)

    with ThreadPoolExecutor(several) as pool:
        found = list(pool.map(load, range(several)))
    assert all(code is not None and result == 2 for code, result in found)


def unloaded(entry: Kernel) -> Kernel:
    """Return the same kernel, which has loaded nothing."""
    again = Kernel(entry.function)
    again.since = entry.since
    return again


def test_code_is_not_kept_for_sources_that_were_changed_after_they_were_read(write: Write) -> None:
    entry = write("x + 1")
    assert entry.place is not None
    entry.since -= 3600 * 10**9
    assert entry.place is None
    assert not is_kept(entry)


@pytest.mark.slow
def test_a_kernel_is_made_machine_code_of_as_a_whole() -> None:
    @compiled
    def inner(x: Any) -> Any:
        return max(x[0], 3) + 1

    @compiled
    def outer(x: Any) -> Any:
        return inner(x) + inner(x)

    x = np.array([5])
    assert outer(x) == 12
    [part] = inner.made.overloads.values()
    assert part.library.get_pointer_to_function(part.fndesc.llvm_func_name) == 0
    assert inner(x) == 6
    largest = importlib.import_module("numba").njit(lambda x: max(x[0], 3))
    assert largest(x) == 5


def test_code_of_functions_inside_of_others_is_not_kept() -> None:
    shift = 3

    @compiled
    def shifted(x: int) -> int:
        return x + shift

    assert shifted.place is None


def test_code_depends_on_all_that_it_is_made_of(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = write("x + 1")
    found = {entry.place}
    monkeypatch.setenv("NUMBA_OPT", "1")
    found.add(entry.place)
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    found.add(entry.place)
    assert len(found) == 3
    networks = Path(kept.ROOT) / "networks"
    sources = kept._sources(networks / "transformer" / "compiled.py")
    assert {
        networks / "instructions" / "tiles.py",
        networks / "products.py",
        networks / "transformer" / "config.py",
    } < set(sources)


@pytest.mark.skipif(not hasattr(sys, "getuid") and not hasattr(__import__("os"), "geteuid"), reason="owners of files")
def test_code_of_another_user_is_not_loaded(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = write("x + 1")
    place = entry.place
    assert place is not None
    kept.save(place, kept.symbol(entry.function, ["int"]), kept.MachineCode(b"", "int64", 0, None))
    assert is_kept(entry)
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert not is_kept(entry)
    assert kept.load(place, kept.symbol(entry.function, ["int"])) is None


def test_only_the_latest_folders_are_left(tmp_path: Path) -> None:
    code = kept.MachineCode(b"", "none", 0, None)
    for i in range(kept.MOST_FOLDERS + 3):
        kept.save(tmp_path / str(i), "entry", code)
    assert len(list(tmp_path.iterdir())) == kept.MOST_FOLDERS
    kept.save(None, "entry", code)  # nowhere


@pytest.mark.slow
def test_functions_of_one_name_have_code_of_their_own(tmp_path: Path, write: Write) -> None:
    write("x + 1")
    source = tmp_path / "ofkernels.py"
    twice = "def entry(x):\n    return x + {}\nk{} = compiled(entry)\n"
    source.write_text("from bfncodec.runtime.jit import compiled\n" + twice.format(1, 1) + twice.format(20, 20))
    module = importlib.reload(sys.modules["ofkernels"])
    assert (module.k1(1), module.k20(1)) == (2, 21)


def test_code_of_functions_without_a_name_is_not_kept() -> None:
    def shifted(x: int, shift: int = 3) -> int:
        return x + shift

    assert compiled(shifted).place is None
    assert compiled(lambda x: x + 1).place is None


def test_code_depends_on_modules_that_are_imported_from_packages_and_on_the_compiler() -> None:
    root = Path(kept.ROOT)
    for module in ("networks/convnet/compiled.py", "networks/transformer/compiled.py"):
        found = kept._sources(root / module)
        assert {root / "coding" / "tables.py", root / "runtime" / "kept.py", root / "runtime" / "compiling.py"} < set(
            found
        )


def test_code_is_used_in_its_own_place_alone(write: Write, tmp_path: Path) -> None:
    place = tmp_path / "cache" / "one"
    kept.save(place, "entry-a", kept.MachineCode(b"", "int64", 0, None))
    content = (place / "entry-a").read_bytes()
    assert content[: kept.CHECKSUM_BYTES] == kept._checksum(place, "entry-a", content[kept.CHECKSUM_BYTES :])
    assert content[: kept.CHECKSUM_BYTES] != kept._checksum(place, "entry-b", content[kept.CHECKSUM_BYTES :])
    assert content[: kept.CHECKSUM_BYTES] != kept._checksum(tmp_path / "two", "entry-a", content[kept.CHECKSUM_BYTES :])


@pytest.mark.slow
def test_code_compiled_of_sources_that_were_changed_meanwhile_is_not_kept(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = write("x + 1")
    place = entry.place  # remembered
    later = Path(str(sys.modules["ofkernels"].__file__)).parent / "later.py"
    later.touch()
    os.utime(later, ns=(entry.since + 10**9,) * 2)
    found = kept._sources
    monkeypatch.setattr(kept, "_sources", lambda first: [*found(first), later])  # imported when it is compiled
    assert entry(1) == 2
    assert place is not None
    assert not place.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners of files")
@pytest.mark.parametrize("fault", ["owner", "others write", "link"])
def test_folders_that_others_may_write_to_are_left_alone(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "kernels" / "one"
    code = kept.MachineCode(b"", "int64", 0, None)
    kept.save(place, "entry", code)
    (place / "entry").replace(place / "before")
    if fault == "owner":
        monkeypatch.setattr("os.geteuid", lambda: 12345)
    elif fault == "others write":
        place.chmod(0o777)
    else:
        place.rename(tmp_path / "elsewhere")
        place.symlink_to(tmp_path / "elsewhere")
    kept.save(place, "entry", code)
    assert [path.name for path in place.iterdir()] == ["before"]
    assert not kept.is_own(place)


def test_nothing_is_left_of_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    kept.save(tmp_path / "one", "entry", kept.MachineCode(b"", "int64", 0, None))
    assert list((tmp_path / "one").iterdir()) == []
