"""True where a cluster can be started: not everywhere may processes listen, share memory, or start others."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

START = "import ray; ray.init(num_cpus=1, include_dashboard=False); ray.get(ray.put(1)); ray.shutdown()"
PATIENCE = 120  # seconds


@cache
def starts_ray() -> bool:
    """Return whether a cluster of Ray starts on this machine, of one processor and for a moment."""
    try:
        done = subprocess.run([sys.executable, "-c", START], capture_output=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
