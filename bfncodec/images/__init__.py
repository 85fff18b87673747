"""Pictures: from objects and picture files to pixels and back, and the coders of pixels that need no model.

From low to high: :mod:`~bfncodec.images.samples` (pixels, bytes, Pillow images), :mod:`~bfncodec.images.byteplanes` and
:mod:`~bfncodec.images.vp8l` (what coders are made of), :mod:`~bfncodec.images.classical` (coders of a tile),
:mod:`~bfncodec.images.palette` and :mod:`~bfncodec.images.info` (metadata), :mod:`~bfncodec.images.picture` (a picture
with its metadata), :mod:`~bfncodec.images.formats` (one file format each), :mod:`~bfncodec.images.files` (the bytes of
a file to a picture and back), and on top of these :mod:`~bfncodec.images.metadata`, :mod:`~bfncodec.images.preview` and
:mod:`~bfncodec.images.strip`.

``bfncodec list`` and ``bfncodec.compress(b"...")`` must start without NumPy and Pillow. So they are imported inside
functions in every module that :mod:`bfncodec.api` imports as it starts. The modules of :mod:`bfncodec.images.formats`,
:mod:`~bfncodec.images.palettecoding`, :mod:`~bfncodec.images.metadata`, :mod:`~bfncodec.images.preview` and
:mod:`~bfncodec.images.strip` import them at the top, and are themselves imported where they are used.
"""
