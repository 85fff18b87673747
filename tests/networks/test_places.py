"""The kernel of places: the same as NumPy finds."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bfncodec.networks.convnet.front import Front
from bfncodec.networks.convnet.places import CompiledFront

SIDES = st.integers(1, 9)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=4), st.integers(1, 60), st.booleans())
def test_places_are_those_of_numpy(sizes: list[tuple[int, int]], block: int, single: bool) -> None:
    wanted, twin = (kind(sizes, block, single, [1, 2]) for kind in (Front, CompiledFront))
    assert twin.blocks == wanted.blocks
    for first, last in wanted.blocks:
        places, others = wanted.pixels(first, last), twin.pixels(first, last)
        for field in fields(places):
            if field.name != "near":  # which kernels find themselves
                expected, found = getattr(places, field.name), getattr(others, field.name)
                assert found.dtype == expected.dtype, field.name
                np.testing.assert_array_equal(found, expected, field.name)
