"""The library inside other libraries, one module each. Each needs its library, which is an extra, and nothing else."""
