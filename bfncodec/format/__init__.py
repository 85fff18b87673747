"""The file format: headers, segments, checksums and limits. Nothing here imports NumPy, torch or PIL."""
