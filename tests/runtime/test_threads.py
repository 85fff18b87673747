"""torch's threads: as many as asked for while a codec works, as before when it has, and one in forked children."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
import torch

import bfncodec
from bfncodec.codecs.threads import in_threads
from bfncodec.errors import DamagedError, InputError
from bfncodec.networks import acceleration
from bfncodec.runtime import threads as module
from bfncodec.runtime.threads import ahead, has_a_turn, in_turn, set_threads, torch_threads
from support.doubles import noise
from support.models import export_image, export_text

HERE, OTHERS = 3, 2  # threads of torch's in the thread that tests, and in those that begin


@pytest.fixture(autouse=True)
def program() -> Iterator[None]:
    """A program with threads of its own choice."""
    before = torch.get_num_threads()
    torch.set_num_threads(HERE)
    in_new_thread(lambda: torch.set_num_threads(OTHERS))
    yield
    torch.set_num_threads(before)


def in_new_thread(function: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def threads() -> tuple[int, int]:
    """Of torch's, here and in a thread that begins."""
    return torch.get_num_threads(), in_new_thread(torch.get_num_threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    export_image(folder / "tiny-image")
    export_text(folder / "tiny-text")
    return folder


DATA: dict[str, Any] = {"tiny-image": noise(0, 20, 30, 3), "tiny-text": noise(0, 900).tobytes()}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(DATA))
@pytest.mark.parametrize("count", [None, 1, 2, 5])
def test_a_codec_leaves_the_threads_of_the_program_alone(folder: Path, name: str, count: int | None) -> None:
    seen = set()

    def watch(done: int) -> None:
        seen.add(torch.get_num_threads())
        assert in_new_thread(torch.get_num_threads) == OTHERS

    codec = bfncodec.load(folder / name, threads=count)
    assert threads() == (HERE, OTHERS)
    payload = codec.encode(DATA[name], watch)
    assert threads() == (HERE, OTHERS)
    np.testing.assert_array_equal(np.asarray(codec.decode(payload, watch)), np.asarray(DATA[name]))
    assert threads() == (HERE, OTHERS)
    assert seen <= {1, count or HERE}
    with pytest.raises(DamagedError):
        codec.decode(b"\x80")
    assert threads() == (HERE, OTHERS)


def test_files_leave_the_threads_of_the_program_alone() -> None:
    blob = bfncodec.compress(b"to be, or not to be, that is the question", model="text-fast", threads=1)
    assert bfncodec.decompress(blob, threads=1).startswith(b"to be")
    assert bfncodec.Models(threads=1).named("text-fast").threads == 1
    assert threads() == (HERE, OTHERS)


@pytest.mark.parametrize("count", [0, -1, 1.0, True, "2"])
def test_what_is_no_number_of_threads(folder: Path, count: Any) -> None:
    for use in (
        lambda: bfncodec.load(folder / "tiny-text", threads=count),
        lambda: bfncodec.Models(threads=count),
        lambda: bfncodec.compress(b"x", threads=count),
        lambda: bfncodec.decompress(b"x", threads=count),
        lambda: bfncodec.measure(b"x", threads=count),
    ):
        with pytest.raises(InputError, match=r"expected (at least one thread|a whole number as threads)"):
            use()


def test_blocks_nest() -> None:
    with torch_threads(1):
        assert threads() == (1, OTHERS)
        with torch_threads(2), torch_threads(None):
            assert threads() == (2, OTHERS)
        with pytest.raises(ZeroDivisionError), torch_threads(4):
            1 // (torch.get_num_threads() - 4)
        assert threads() == (1, OTHERS)
    assert threads() == (HERE, OTHERS)


def test_blocks_of_several_threads_do_not_meet() -> None:
    both = Barrier(2)
    found: dict[int, list[int]] = {}

    def work(count: int) -> None:
        found[count] = [torch.get_num_threads()]
        for _ in range(20):
            both.wait(60)
            with torch_threads(count):
                found[count].append(torch.get_num_threads())
                both.wait(60)
                found[count].append(torch.get_num_threads())
            found[count].append(torch.get_num_threads())

    workers = [Thread(target=work, args=(count,)) for count in (1, 4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == {count: [OTHERS, *[count, count, OTHERS] * 20] for count in (1, 4)}
    assert threads() == (HERE, OTHERS)


def test_groups_in_threads_have_one_each() -> None:
    for workers in (1, 2, 9):
        counts = in_threads(lambda group, progress: torch.get_num_threads(), [1, 2, 3], lambda done: None, workers)
        assert counts == [1, 1, 1]
        assert threads() == (HERE, OTHERS)


@pytest.mark.slow
def test_the_environment_stays_as_it_is() -> None:
    """torch is imported with a setting for OpenMP, which programs that are started later do not get."""
    script = "import os, bfncodec; bfncodec.load('text-fast'); assert 'GOMP_SPINCOUNT' not in os.environ"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


LATE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from bfncodec.runtime.threads import settle, set_threads, threads_here, torch_threads
assert threads_here() == 1
with ThreadPoolExecutor(1, initializer=set_threads, initargs=(2,)) as pool, torch_threads(3):
    assert (threads_here(), pool.submit(threads_here).result()) == (3, 2)
    with torch_threads(None):
        assert threads_here() == 3
    assert "torch" not in sys.modules
    import torch
    settle()
    assert torch.get_num_threads() == threads_here() == 3
    pool.submit(settle).result()
    assert pool.submit(torch.get_num_threads).result() == 2
settle()
assert torch.get_num_threads() == threads_here() == 1
"""


@pytest.mark.slow
def test_torch_that_is_imported_in_a_block_gets_its_threads() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", LATE], env=environment, check=True, timeout=300)


# --- forked children ---------------------------------------------------------------------------

FORKS = """
import multiprocessing, sys, warnings
from pathlib import Path
import numpy as np, torch, bfncodec
warnings.simplefilter("ignore", DeprecationWarning)
torch.set_num_threads(2)
text = bfncodec.load(sys.argv[1] + "/tiny-text", threads=2)
image = bfncodec.load(sys.argv[1] + "/tiny-image")
x, y = np.arange(30 * 40 * 3, dtype=np.uint8).reshape(30, 40, 3), bytes(range(256)) * 2
payloads = image.encode(x), text.encode(y)
torch.ones(2000, 2000) @ torch.ones(2000, 2000)

def both(_):
    found = np.array_equal(image.decode(payloads[0]), x) and text.decode(payloads[1]) == y
    return found and image.encode(x) == payloads[0] and text.encode(y) == payloads[1]

assert both(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(both, range(4)) == [True] * 4
assert both(0)
assert torch.get_num_threads() == 2
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("switch", ["never", "always"])
def test_forked_children_code_what_their_parent_did(folder: Path, switch: str) -> None:
    environment = os.environ | {acceleration.SWITCH: switch}
    subprocess.run([sys.executable, "-c", FORKS, str(folder)], env=environment, check=True, timeout=120)


def test_a_forked_child_has_one_thread_and_no_lock_of_a_thread_it_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    child = module._Process()
    child.lock.acquire()
    in_new_thread(child.turns.acquire)
    child.busy = 1
    child.begin_anew()
    monkeypatch.setattr(module, "_PROCESS", child)
    with in_turn(1):
        assert has_a_turn()
    assert not has_a_turn()
    for count in (None, 1, 5):
        with torch_threads(count):
            assert torch.get_num_threads() == 1
    set_threads(HERE)
    assert threads() == (HERE, OTHERS)


def test_the_next_result_is_made_while_the_last_is_in_use() -> None:
    made = Barrier(2, timeout=30)

    def results() -> Iterator[int]:
        yield 0
        made.wait()
        yield 1
        raise InputError("the third")

    found = ahead(results())
    assert next(found) == 0
    made.wait()  # for which nobody has asked
    assert next(found) == 1
    with pytest.raises(InputError, match="the third"):
        next(found)
