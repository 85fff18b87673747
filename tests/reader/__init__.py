"""A second reader: plain Python, the standard library alone, written from docs/format.md and docs/payloads.md.

It imports nothing of bfncodec, is slow, and is there to find what the pages leave open.
"""
