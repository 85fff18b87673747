"""PNG files (third edition): chunks as they are, and pixels packed as Pillow packs them, or as a tag says.

Pixels are decoded by Pillow from a file of nothing but them, then filtered as the file says and compared with what the
file holds, byte for byte; Pillow has no 16-bit colour, which is decoded here. So neither side is taken at its word.

:mod:`.file` is the way from a file to a picture and back; :mod:`.container` holds head and chunks, :mod:`.palette` the
chunks of a palette, :mod:`.pixels` codes the stream of pixels, of :mod:`.rows` that are filtered.
"""
