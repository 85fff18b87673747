"""Train a tiny text model for a few steps, and compress with it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import bfncodec
from bfncodec.training.loop import run

CONFIG = """
name = "sensor"
role = "text"
network = {{width = 32, layers = 1, heads = 2, window = 64, ngrams = [[2, 8]]}}
data = [{{paths = ["{folder}/train.csv"]}}]
validation = [{{paths = ["{folder}/held-out.csv"]}}]
train = {{steps = 30, batch = 8, warmup = 3, rate = 0.01, validate_every = 10}}
"""


def readings(first: int) -> str:
    """Lines of a log, made up."""
    lines = (f"2026-03-{1 + k % 28:02},kitchen,{19 + k * k % 7}.{k % 10} C\n" for k in range(first, first + 400))
    return "".join(lines)


with TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "train.csv").write_text(readings(0))
    (folder / "held-out.csv").write_text(readings(400))
    (folder / "sensor.toml").write_text(CONFIG.format(folder=folder.as_posix()))
    model = run(folder / "sensor.toml", out=folder / "sensor", say=print)
    codec = bfncodec.load(model)  # a directory; or its name, where $BFNCODEC_MODELS holds its folder
    held_out = readings(800)[:1000].encode()
    payload = codec.encode(held_out)
    assert codec.decode(payload) == held_out
    print(f"{len(held_out)} bytes became {len(payload)}")
