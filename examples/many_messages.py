"""Many short messages: one payload each, or one file of lines, any of which is decoded alone."""

import bfncodec

PLACES, TIMES = ("the station", "the library", "the old bridge"), ("six", "noon", "half past nine")
MESSAGES = [f"See you at {place} at {time}, bring the umbrella." for place in PLACES for time in TIMES]

# Rows of a database: each payload takes its ideal bits, rounded up to bytes, and one byte for its length.
codec = bfncodec.load("text-fast")
payloads = codec.encode_batch([message.encode() for message in MESSAGES])
assert codec.decode(payloads[4]) == MESSAGES[4].encode()
print(f"{len(MESSAGES)} messages of {sum(map(len, MESSAGES))} bytes: payloads of {sum(map(len, payloads))} bytes")

# A payload has no checksum of its own unless asked for one: four bytes more, and damage is an error.
safe = codec.encode_batch([message.encode() for message in MESSAGES], checksum=True)
damaged = bytes([safe[0][0] ^ 1]) + safe[0][1:]
try:
    codec.decode(damaged, checksum=True)
except bfncodec.DamagedError as error:
    print(f"a flipped bit: {error}")

# A file of lines: blocks that are decoded alone, each line found by its number.
text = "".join(f"{message}\n" for message in MESSAGES)
blob = bfncodec.compress(text, level=1, lines=True, block=100)
assert bfncodec.decompress(blob, line=5) == f"{MESSAGES[4]}\n"
assert bfncodec.decompress(blob, line=(2, 3)) == f"{MESSAGES[1]}\n{MESSAGES[2]}\n"
print(f"as lines in blocks: {len(blob)} bytes; line 5 is {bfncodec.decompress(blob, line=5)!r}")
