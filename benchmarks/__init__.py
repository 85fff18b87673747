"""Measurements: real file bytes, headers included, every round trip checked.

python -m benchmarks.demo      a shipped photo and a shipped text, through the command line
python -m benchmarks.peers     bits, time and memory against PNG, WebP, JPEG XL, JPEG 2000; gzip, bzip2, xz, zstd,
                               brotli, PPMd, zpaq
python -m benchmarks.speed     time and memory of whole processes, ours and theirs
python -m benchmarks.mixing    what a file says about itself: the context mixer, and each of its contexts
python -m benchmarks.devices   a GPU against the CPU: the same bytes, and how fast
python -m benchmarks.matrix    the same bytes whatever torch, threads, instructions and settings
"""
