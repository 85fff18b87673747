"""Where the bits of a file go: L^n by step and term, what the coder loses, the frame."""

import numpy as np

import bfncodec

rows, columns = np.mgrid[:40, :40]
ripples = 128 + 50 * np.sin(rows / 6)[..., None] * np.cos(columns / 9)[..., None] * [1.0, 0.8, 0.6]
picture = np.random.default_rng(2).normal(ripples, 4).clip(0, 255).astype(np.uint8)

codec = bfncodec.load("photo-fast")
ideal = codec.codelength(picture)  # by the exact network, without coding
print(f"L^n: {ideal.bits:,.1f} bits, {ideal.bits_per_dim:.3f} a subpixel, in {len(ideal.kl)} steps")
for step in (0, 40, len(ideal.kl) - 1):
    print(f"  step {step}: KL(p_S || p_R) = {ideal.kl[step]:.1f} bits")

payload = codec.encode(picture)
print(f"payload: {8 * len(payload):,} bits")

measured = bfncodec.measure(picture, model="photo-fast")
assert measured.ideal is not None  # a model coded it
print(f"file: {8 * measured.container_bytes:,} bits")
print(f"  ideal {measured.ideal.bits:,.1f}, coder's loss {measured.difference:+,.1f}, frame {measured.frame_bits:,}")
