"""What all codecs with a network share: checksums of payloads, and what is no item."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import bfncodec
from bfncodec.codecs.image import ImageCodec
from bfncodec.codecs.text import TextCodec
from bfncodec.errors import DamagedError, InputError
from support.doubles import noise


def test_payloads_never_change(image_codec: ImageCodec, text_codec: TextCodec) -> None:
    """The bytes are the format: who changes them breaks every file ever written."""
    image = image_codec.encode(noise(11, 17, 13, 3) // 3)
    text = text_codec.encode(b"It was the best of times, it was the worst of times, it was the age of wisdom. " * 3)
    assert hashlib.sha256(image).hexdigest() == GOLDEN_IMAGE
    assert hashlib.sha256(text).hexdigest() == GOLDEN_TEXT


GOLDEN_IMAGE = "3d76458562e10269cfa2bc28368702c65e39edcce46f29cd11f79decacf22c82"
GOLDEN_TEXT = "f2fc00c80b29f4c8d99bbfba23cc2f8a57142aad49df44031d761ae74441de3e"


@pytest.mark.cuda
def test_cuda_and_cpu_write_the_same_payloads(folder: Path, image_codec: ImageCodec, text_codec: TextCodec) -> None:
    image, text = noise(0, 30, 40, 3), noise(0, 300).tobytes()
    for codec, x in ((image_codec, image), (text_codec, text)):
        other = bfncodec.load(folder / codec.info.name, device="cuda")
        payload = codec.encode(x)
        assert other.encode(x) == payload
        np.testing.assert_array_equal(np.asarray(other.decode(payload)), np.asarray(x))
        np.testing.assert_array_equal(np.asarray(codec.decode(other.encode(x))), np.asarray(x))


def test_a_checksum_names_its_model(text_codec: TextCodec, mixed_codec: TextCodec) -> None:
    """Without one, the payload of another model decodes to another text."""
    text = b"to be or not to be, that is the question" * 3
    assert text_codec.decode(mixed_codec.encode(text)) != text
    with pytest.raises(DamagedError, match="another model than tiny-text"):
        text_codec.decode(mixed_codec.encode(text, checksum=True), checksum=True)


def test_what_is_no_item_is_refused(image_codec: ImageCodec, text_codec: TextCodec) -> None:
    calls = [
        lambda: text_codec.encode("text"),  # type: ignore[arg-type]
        lambda: text_codec.encode(None),  # type: ignore[arg-type]
        lambda: text_codec.encode(5),  # type: ignore[arg-type]
        lambda: text_codec.encode(noise(1, 4, 4, 3)),  # type: ignore[arg-type]
        lambda: text_codec.codelength("text"),  # type: ignore[arg-type]
        lambda: text_codec.encode_batch(b"text"),  # type: ignore[arg-type]
        lambda: text_codec.encode_batch("text"),
        lambda: text_codec.encode_batch(None),  # type: ignore[arg-type]
        lambda: text_codec.encode_batch([b"a", "b"]),  # type: ignore[list-item]
        lambda: text_codec.encode(b"text", 5),  # type: ignore[arg-type]
        lambda: text_codec.decode(None),  # type: ignore[arg-type]
        lambda: text_codec.decode("text"),  # type: ignore[arg-type]
        lambda: text_codec.decode_batch(b"payload"),  # type: ignore[arg-type]
        lambda: text_codec.decode_batch([b"a", 5]),  # type: ignore[list-item]
        lambda: image_codec.encode(b"text"),  # type: ignore[arg-type]
        lambda: image_codec.encode(None),  # type: ignore[arg-type]
        lambda: image_codec.encode(noise(1, 4, 4)),
        lambda: image_codec.encode_batch(noise(1, 4, 4, 3)),  # type: ignore[arg-type]
        lambda: image_codec.encode(np.ma.masked_array(noise(1, 4, 4, 3))),
        lambda: image_codec.codelength("x"),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(InputError, match="found"):
            call()
    with pytest.raises(InputError, match=r"pass text.encode\(\)"):
        text_codec.encode("text")  # type: ignore[arg-type]
