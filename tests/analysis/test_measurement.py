"""Bits of a file, by what they are spent on."""

from __future__ import annotations

import numpy as np
import pytest

import bfncodec
from bfncodec.analysis.measurement import Measurement, measure
from bfncodec.errors import InputError
from support.doubles import FakeModels, noise

WORDS = b"to be or not to be, that is the question " * 20


def by_model() -> Measurement:
    return measure(noise(3, 900).tobytes(), codecs=FakeModels())


def test_all_bits_of_a_file_are_spent_on_something() -> None:
    models = FakeModels()
    for data in (noise(3, 900).tobytes(), WORDS, b"", noise(4, 30, 20, 3)):
        found = measure(data, codecs=models)
        assert found.container_bytes == len(bfncodec.compress(data, codecs=models))
        assert found.dims == (data.size if isinstance(data, np.ndarray) else len(data))
        parts = found.model_bits + found.plain_bits + found.initial_bits + found.protection_bits
        assert parts + found.frame_bits == 8 * found.container_bytes
        assert found.frame_bits > 0


def test_the_ideal_is_that_of_what_a_model_codes() -> None:
    found = by_model()
    assert found.ideal is not None
    assert found.ideal.bits == FakeModels().codecs["text"].codelength(noise(3, 900).tobytes()).bits
    assert found.path_bits == found.ideal.bits  # nothing is drawn
    assert found.difference == found.model_bits - found.ideal.bits
    assert found.plain_bits == 0
    assert found.bits_per_dim == 8 * found.container_bytes / 900
    other = measure(WORDS, codecs=FakeModels())
    assert other.ideal is None
    assert other.model_bits == other.path_bits == 0
    assert other.plain_bits > 0


def test_measurements_of_several_files_add_up() -> None:
    parts = [by_model(), measure(WORDS, codecs=FakeModels()), by_model()]
    whole = Measurement.joined(parts)
    for name in ("model_bits", "plain_bits", "dims", "container_bytes", "path_bits", "frame_bits"):
        assert getattr(whole, name) == sum(getattr(part, name) for part in parts)
    assert whole.ideal is not None
    assert whole.ideal.bits == pytest.approx(2 * by_model().path_bits)
    assert Measurement.joined([parts[1]]).ideal is None
    assert Measurement.joined([]).bits_per_dim == 0


def test_what_cannot_be_measured() -> None:
    with pytest.raises(InputError, match="at least one draw"):
        measure(WORDS, draws=0, codecs=FakeModels())
    with pytest.raises(InputError, match="photo codes a picture"):
        measure(WORDS, "photo", codecs=FakeModels())
