"""Machine code that comes with the package: for which sources and processors it is used."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

import llvmlite.binding as llvm

from bfncodec.runtime import kept, shipped
from bfncodec.runtime.jit import Kernel, is_kept
from bfncodec.runtime.rounds import _help

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="code is shipped for Linux on x86-64"
)
VNNI, PLAIN = shipped.LEVELS[1], shipped.LEVELS[-1]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept or shipped yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "package")


@pytest.fixture
def kernel() -> Kernel:
    """A kernel that nothing was loaded of."""
    fresh = Kernel(_help.function)
    fresh.since = _help.since
    return fresh


def here(level: shipped.Level, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a processor of a level."""
    monkeypatch.setenv("NUMBA_CPU_NAME", level.processor)
    monkeypatch.setenv("NUMBA_CPU_FEATURES", ",".join(f"+{feature}" for feature in level.features))


def ship(level: shipped.Level, kernel: Kernel, number: int) -> None:
    """Ship code of a kernel, for one integer, that returns a number."""
    symbol = kept.symbol(kernel.function, ["int"])
    text = f'define i32 @"{symbol}"(i64* %a, i64* %r) {{ store i64 {number}, i64* %r\n ret i32 0 }}'
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(text.replace("i64*", "ptr"))
    image = llvm.Target.from_default_triple().create_target_machine().emit_object(module)
    place = shipped.place(level, kernel.function, kernel.since)
    assert place is not None
    place.mkdir(parents=True)
    kept.write(place, symbol, kept.MachineCode(image, "int64", 0, None))


def test_code_is_found_of_the_fastest_level_that_the_processor_has(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(VNNI, kernel, 2)
    ship(PLAIN, kernel, 3)
    for level, number in ((shipped.LEVELS[0], 2), (VNNI, 2), (PLAIN, 3)):
        here(level, monkeypatch)
        kernel.found.clear()
        assert is_kept(kernel)
        assert kernel(0) == number


def test_code_is_not_used_by_processors_that_lack_an_instruction(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(VNNI, kernel, 2)
    for features in (PLAIN.features, VNNI.features - {"avx512vl"}, set()):
        monkeypatch.setenv("NUMBA_CPU_FEATURES", ",".join(f"+{feature}" for feature in features))
        assert not is_kept(kernel)
        assert shipped.load(kernel.function, kernel.since, kept.symbol(kernel.function, ["int"])) is None


def test_code_of_other_sources_or_damaged_is_not_used(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    ship(VNNI, kernel, 2)
    here(VNNI, monkeypatch)
    symbol = kept.symbol(kernel.function, ["int"])
    assert shipped.load(kernel.function, kernel.since, symbol)
    assert shipped.load(kernel.function, 0, symbol) is None  # sources that were changed since they were read
    place = shipped.place(VNNI, kernel.function, kernel.since)
    assert place is not None
    with monkeypatch.context() as patched:
        patched.setattr(kept, "digest_of", lambda *_: b"another")
        assert not is_kept(kernel)
    (place / symbol).write_bytes((place / symbol).read_bytes()[:-1])
    assert shipped.load(kernel.function, kernel.since, symbol) is None
