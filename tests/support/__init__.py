"""Helpers that tests share: doubles, tiny models, strategies, forged files, and the fuzzer."""
