"""The segmented form of a file: segments one after the other, and an index at the end.

A file is written without going back and read without looking ahead; the index serves those who want a part. Segments
are chained: the checksum of each covers that of the one before, and so its place in its file, whatever is appended.
docs/format.md, section 2, is the specification. The encoder of each part stands above its decoder. No numpy, torch or
PIL.
"""
