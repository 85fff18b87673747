"""What all tests share: their examples, patience on slow machines, and CUDA tests only where there is CUDA."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Threads of torch that wait sleep: those of several test processes starve each other while they spin. OpenMP reads it
# when torch is imported, which is later than here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

settings.register_profile("all", deadline=None)  # a busy machine is no failure
settings.register_profile("quick", deadline=None, max_examples=25)  # of tests that do not say how many themselves


def pytest_configure(config: pytest.Config) -> None:
    """The quick tests try a quarter of the examples; the whole suite, and so CI, all of them."""
    settings.load_profile("quick" if "not slow" in config.option.markexpr else "all")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Collect tests without looking for garbage: they stay to the end, and are not looked through afterwards."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path) -> Generator[None, list[Any], list[Any]]:
    """Search only modules that have examples for them: the search imports a module and asks for all its sources."""
    found = yield
    if found and ">>>" not in file_path.read_text("utf-8"):
        found = [part for part in found if type(part) is pytest.Module]
    return found


@pytest.hookimpl(tryfirst=True)  # before items are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long as slow, too."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)
    _skip_without_cuda(items)


def _skip_without_cuda(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
