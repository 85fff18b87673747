"""Samples of a model: what its decoder makes of random bits."""

import bfncodec
from bfncodec.analysis.sampling import grid, sample

for text in sample(bfncodec.load("text-fast"), count=2, size=(80,), seed=4):
    print(repr(text.decode(errors="replace")))

pictures = sample(bfncodec.load("photo-fast"), count=4, size=(24, 24), seed=4)
print(f"{len(pictures)} pictures of {pictures[0].shape}, as a grid {grid(pictures).shape}")
assert (sample(bfncodec.load("photo-fast"), count=1, size=(24, 24), seed=4)[0] == pictures[0]).all()
