"""A codec of numcodecs: any buffer, found by its configuration."""

import numcodecs
import numpy as np

from bfncodec.integrations.numcodecs import Bfncodec

rows, columns = np.mgrid[:48, :64]
picture = np.stack([rows + columns, 2 * rows, 200 - columns], axis=-1).astype(np.uint8)
series = np.linspace(20, 21, 500).round(3)

codec = Bfncodec(model="auto", level=1)
same = numcodecs.get_codec(codec.get_config())  # what a store keeps: {"id": "bfncodec", "model": "auto", ...}
assert same == codec

for name, data in (("picture", picture), ("series", series)):
    blob = codec.encode(data)
    back = np.empty_like(data)
    same.decode(blob, out=back)
    assert np.array_equal(back, data)
    print(f"{name}: {data.nbytes:,} bytes became {len(blob):,}")
