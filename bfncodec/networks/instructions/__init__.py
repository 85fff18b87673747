"""Instructions for LLVM that kernels consist of, and what they choose by the types of their arguments.

Each module imports Numba, so it is imported when kernels are compiled and never else, see :mod:`bfncodec.runtime.jit`.
Names without an underscore are for :mod:`bfncodec.networks.kernels` and :mod:`bfncodec.networks.products`, those of
:mod:`~bfncodec.networks.instructions.vectors` for the other modules, and for instructions of one kind of network, which
lie beside it.
"""
