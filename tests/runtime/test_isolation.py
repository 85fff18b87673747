"""Files are the same whatever the program around has set torch to, and it finds its settings again."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch

import bfncodec
from bfncodec.networks.acceleration import SWITCH
from bfncodec.runtime.isolation import undisturbed

TEXT = b"It was the best of times, it was the worst of times, it was the age of wisdom. " * 5
PICTURE = np.random.default_rng(0).integers(0, 9, (12, 17, 3)).cumsum(1).astype(np.uint8)
DIGITS = bytes(28 * 28 * 4)
Setting = Callable[[], AbstractContextManager[Any]]


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def precision_of_one_backend(value: str) -> Iterator[None]:
    products = torch.backends.mkldnn.matmul
    before = products.fp32_precision
    products.fp32_precision = value
    try:
        yield
    finally:
        products.fp32_precision = before


@contextmanager
def precision(value: str) -> Iterator[None]:
    torch.set_float32_matmul_precision(value)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


SETTINGS: dict[str, Setting] = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "float64": lambda: default_type(torch.float64),
    "bfloat16": lambda: default_type(torch.bfloat16),
    "device": lambda: torch.device("meta"),
    "high": lambda: precision("high"),
    "medium": lambda: precision("medium"),
}
if hasattr(torch.backends.mkldnn, "matmul"):  # since torch 2.9
    SETTINGS["bf16"] = lambda: precision_of_one_backend("bf16")


def switches() -> tuple[Any, ...]:
    return (
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        torch.get_default_device(),
        products_are_exact(),
    )


def products_are_exact() -> bool:
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # set for a backend
        return False


PLAIN = switches()


def payloads() -> list[bytes]:
    """Of each kind of network, loaded and asked here."""
    return [
        bfncodec.load("text-fast").encode(TEXT),
        bfncodec.load("photo-fast").encode(PICTURE),
        bfncodec.load("mnist-gaussian").encode(DIGITS),
    ]


@pytest.fixture(scope="module")
def expected() -> list[bytes]:
    return payloads()


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SETTINGS))
def test_files_do_not_depend_on_what_torch_is_set_to(expected: list[bytes], name: str) -> None:
    with SETTINGS[name]():
        before = switches()
        assert before != PLAIN
        assert payloads() == expected
        assert bfncodec.load("text-fast").decode(expected[0]) == TEXT
        assert np.array_equal(bfncodec.load("photo-fast").decode(expected[1]), PICTURE)
        assert switches() == before
    assert switches() == PLAIN


def test_attention_would_be_another(expected: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Return what all this is for: without it the same text has another payload under autocast."""
    monkeypatch.setenv(SWITCH, "never")  # compiled kernels are not torch's
    codec = bfncodec.load("text-fast")
    disturbed = inspect.unwrap(type(codec).encode_items)
    assert disturbed(codec, [TEXT], print, False) == expected[:1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert disturbed(codec, [TEXT], print, False) != expected[:1]


def test_settings_come_back_after_errors() -> None:
    @undisturbed
    def fail() -> None:
        assert switches() == PLAIN
        raise ValueError

    with SETTINGS["autocast"](), SETTINGS["float64"](), SETTINGS["medium"]():
        before = switches()
        with pytest.raises(ValueError, match=r"^$"):
            fail()
        assert switches() == before


def test_what_all_threads_share_is_put_back_by_the_last() -> None:
    both, left = Barrier(2), Barrier(2)

    @undisturbed
    def first() -> torch.dtype:
        both.wait()
        return torch.get_default_dtype()

    @undisturbed
    def second() -> torch.dtype:
        both.wait()
        left.wait()
        return torch.get_default_dtype()

    with SETTINGS["float64"](), ThreadPoolExecutor(2) as pool:
        results = [pool.submit(first), pool.submit(second)]
        assert results[0].result() == torch.float32
        assert torch.get_default_dtype() == torch.float32
        left.wait()
        assert results[1].result() == torch.float32
        assert torch.get_default_dtype() == torch.float64


LATE = """
from bfncodec.runtime.isolation import settle, undisturbed

@undisturbed
def work():
    import torch
    torch.set_default_dtype(torch.float64)  # as another thread of the program may
    settle()
    assert torch.get_default_dtype() == torch.float32
    return torch

torch = work()
assert torch.get_default_dtype() == torch.float64
settle()
assert torch.get_default_dtype() == torch.float64
"""


@pytest.mark.slow
def test_torch_that_is_imported_in_a_block_is_undisturbed() -> None:
    subprocess.run([sys.executable, "-c", LATE], check=True, timeout=300)
