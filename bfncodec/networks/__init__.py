"""The networks: each as it is trained (`model`), in integers, as files are coded with it (`exact`), and, for two of
them, as compiled kernels (`compiled`).
"""
