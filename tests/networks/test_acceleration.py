"""The decision for compiled kernels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

from support.commands import ENVIRONMENT


@pytest.mark.slow
def test_kernels_do_not_work_where_numba_compiles_nothing(tmp_path: Path) -> None:
    code = "from bfncodec.networks.acceleration import TRANSFORMER, kernels_pay; print(kernels_pay(9e9, TRANSFORMER))"
    environment = ENVIRONMENT | {"NUMBA_DISABLE_JIT": "1", "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
