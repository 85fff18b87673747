"""The notebook of examples/: its cells run in order, and what it shows is what they print now, but for chance."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.places import ROOT

NOTEBOOK = ROOT / "examples" / "from_equations_to_bytes.ipynb"
CELLS = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_it_was_executed_in_order_and_nothing_failed() -> None:
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    kinds = {output["output_type"] for cell in CELLS for output in cell["outputs"]}
    assert kinds == {"stream"}


@pytest.mark.slow
def test_its_cells_run(tmp_path: Path) -> None:
    """In a plain interpreter, which needs nothing of Jupyter."""
    script = "\n\n".join("".join(cell["source"]) for cell in CELLS)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    ideal, path, real = (
        float(number) for number in next(line for line in lines if line.startswith("all ")).split()[1:]
    )
    assert real == pytest.approx(path, rel=0.003)
    assert real == pytest.approx(ideal, rel=0.03)  # one draw of noise is between them
    assert lines[-1].startswith("FormatError expected the machine that wrote this float file")


@pytest.mark.slow
def test_jupyter_runs_it() -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, 4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
