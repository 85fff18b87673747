"""Kernels of the context mixer: each module does, to the bit, what that of its name above this package does."""
