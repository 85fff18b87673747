"""Several processes that train one network together, as torchrun starts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import ENVIRONMENT

CONFIG = """
name = "together"
role = "text"
[network]
width = 32
layers = 1
heads = 2
window = 64
ngrams = [[2, 8]]
[[data]]
paths = ["data"]
[[validation]]
paths = ["data"]
[train]
steps = 4
batch = 4
warmup = 1
rate = 0.003
validate_every = 2
"""


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path: Path) -> None:
    """One of them writes it and reports; it codes."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("to be or not to be, that is the question\n" * 200)
    (tmp_path / "c.toml").write_text(CONFIG)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    train = ["-m", "bfncodec", "train", "c.toml", "-o", "together"]
    done = subprocess.run(
        [sys.executable, *torchrun, *train],
        cwd=tmp_path,
        env=ENVIRONMENT | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},  # no name of this machine is looked up
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("step 4/4") == 1
    code = ["-m", "bfncodec", "compress", "-q", "-m", "./together", "data/a.txt", "-o", "a.bfn"]
    assert subprocess.run([sys.executable, *code], cwd=tmp_path, env=ENVIRONMENT, check=False).returncode == 0
