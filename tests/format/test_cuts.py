"""How content is cut into segments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bfncodec.format.cuts import NOWHERE, Extent, Grid, Pieces, overlap

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=6).map(tuple)
parts = st.tuples(st.integers(1, 40), st.integers(1, 40)).filter(lambda axis: axis[1] <= axis[0])


@given(lengths)
def test_pieces_lie_one_after_the_other(lengths: tuple[int, ...]) -> None:
    pieces = Pieces(lengths)
    assert pieces.count == len(pieces.extents) == len(lengths)
    assert pieces.sides == (sum(lengths),)
    assert pieces.extents[0][0][0] == 0
    assert [stop - start for ((start, stop),) in pieces.extents] == list(lengths)
    assert pieces.edges == (0, *(stop for ((_, stop),) in pieces.extents))


@given(parts, st.integers(1, 5), st.integers(0, 9))
def test_equal_pieces_differ_by_an_item_and_the_first_has_what_is_before(
    axis: tuple[int, int], item: int, first: int
) -> None:
    items, count = axis
    for rest in range(item):
        length = first + items * item + rest
        pieces = Pieces.equal(length, count, item, first)
        assert (pieces.count, pieces.sides) == (count, (length,))
        found = list(pieces.lengths)
        found[0] -= first
        found[-1] -= rest
        assert {size % item for size in found} == {0}
        assert max(found) - min(found) in (0, item)


@given(parts, parts)
def test_tiles_cover_a_picture_once(rows: tuple[int, int], columns: tuple[int, int]) -> None:
    grid = Grid(*rows, *columns)
    assert grid.count == len(grid.extents) == rows[1] * columns[1]
    assert grid.sides == (rows[0], columns[0])
    cells = [(row, column) for down, right in grid.extents for row in range(*down) for column in range(*right)]
    assert len(cells) == len(set(cells)) == rows[0] * columns[0]
    assert list(grid.extents) == sorted(grid.extents)  # row by row


def test_a_side_is_cut_as_the_page_says() -> None:
    assert [down for down, _ in Grid(10, 3, 1, 1).extents] == [(0, 3), (3, 6), (6, 10)]
    assert Pieces.equal(11, 4).lengths == (2, 3, 3, 3)
    assert Pieces.equal(0, 1).lengths == (0,)


@given(lengths, st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda span: (span[0], sum(span))))
def test_extents_overlap_where_they_have_a_byte_in_common(lengths: tuple[int, ...], span: tuple[int, int]) -> None:
    extent: Extent = (span,)
    for other in Pieces(lengths).extents:
        assert overlap(extent, other) == bool({*range(*span)} & {*range(*other[0])})
        assert not overlap(NOWHERE, other)
