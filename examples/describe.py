"""What a file holds, read from its header: nothing is decoded, and neither NumPy nor torch is needed."""

import bfncodec

blob = bfncodec.compress(b"Measure twice, cut once.\n" * 20, level=1)
found = bfncodec.describe(blob)
print(f"{found.content} of {found.content_bytes:,} bytes in a file of {found.file_bytes}: {found.comes_back}")
print(f"segments by method: {found.methods}; models: {', '.join(found.models) or 'none'}")
for model in bfncodec.available():
    if model.id.hex() in found.models:
        print(f"model {model.id.hex()} is {model.name}, in {model.path}")
try:
    bfncodec.describe(b"something else")
except bfncodec.NotOursError as error:
    print(f"and of other bytes: {error}")
