"""What all tests share: patience on slow machines, and CUDA tests only where there is CUDA."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("bfncodec", deadline=None)  # a busy machine is no failure
settings.load_profile("bfncodec")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
