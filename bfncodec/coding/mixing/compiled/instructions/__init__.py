"""Instructions for LLVM that the mixer's kernels consist of: on rows of numbers, GROUP of them at a time.

These modules import Numba, so they are imported when kernels are compiled and never else, see
:mod:`bfncodec.runtime.jit`. What Numba makes of loops over short rows asks before each whether rows overlap, and takes
what is left over one by one.
"""
