"""A folder of small pictures as one file, by the paper's sender; and what is left of it after damage."""

import io

import numpy as np
from PIL import Image

import bfncodec

MODEL = "cifar10-wavefront"  # 32 x 32 pixels of three levels 0 ... 255


def tile(seed: int) -> bytes:
    """The PNG file of a small picture, made up."""
    rng, (rows, columns) = np.random.default_rng(seed), np.mgrid[:32, :32]
    waves = 128 + 80 * np.sin(rows / rng.uniform(3, 9))[..., None] * np.cos(columns / 7)[..., None] * rng.random(3)
    out = io.BytesIO()
    Image.fromarray(rng.normal(waves, 3).clip(0, 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


files = {f"tiles/{k:03}.png": tile(k) for k in range(24)}
blob = bfncodec.compress(files, model=MODEL)
print(f"{len(files)} PNG files of {sum(map(len, files.values())):,} bytes: an archive of {len(blob):,} bytes")

# Parity repairs a damaged byte; where more is gone, salvage gives what is left.
middle = len(blob) // 2
for name, damage in (("one byte", 1), ("a fifth", len(blob) // 5)):
    damaged = blob[:middle] + bytes(byte ^ 255 for byte in blob[middle : middle + damage]) + blob[middle + damage :]
    reports: list[bfncodec.Damage] = []
    found = bfncodec.decompress(damaged, on_damage=reports.append)
    print(f"{name} damaged: {len(found)} of {len(files)} files come back, {len(reports)} damage reported")
