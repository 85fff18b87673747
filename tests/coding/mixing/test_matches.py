"""Matches: they are of the same bytes, go on behind others, and end where the text ends that they follow."""

from __future__ import annotations

import numpy as np
import pytest

from bfncodec.coding.mixing import matches
from bfncodec.coding.mixing.bits import bit_intervals, bits_of
from bfncodec.coding.mixing.matches import BITS, ERRORS, LEVELS, MOST_COMPARED, NONE, SURE, MatchState, new_matches
from bfncodec.coding.mixing.mixer import ContextMixer
from bfncodec.coding.mixing.state import EXPERT_LIMIT, HASH_POWERS, REACH, START, STATES, Contexts
from bfncodec.coding.rangecoder import information
from support.doubles import noise
from support.mixing import uniform

LEAST = 8
ALPHABET = b"abcdefghijklmnopqrstuvwxyz"


def read(*texts: bytes, least: tuple[int, ...] = (LEAST,), room: int = 200) -> MatchState:
    """Return what matches know behind some texts, each a stream, of which one may end before others."""
    own, history = new_matches(least, room * len(texts), len(texts)), np.full((len(texts), REACH), START)
    most = max(map(len, texts))
    for i in range(most + 1):
        streams = np.array([k for k, text in enumerate(texts) if i < len(text) or i == most])
        sums = np.cumsum((history[streams].T[::-1] + 1).astype(np.uint64) * HASH_POWERS[:, None], 0)
        matches.find(own, sums.take(own.least - 1, 0), streams)
        streams = np.array([k for k, text in enumerate(texts) if i < len(text)], np.int64)
        symbols = np.array([texts[k][i] for k in streams], np.int64)
        matches.learn(own, streams, symbols)
        history[streams] = np.concatenate([history[streams, 1:], symbols[:, None]], 1)
    return own


def foretold(*texts: bytes, least: tuple[int, ...] = (LEAST,)) -> list[str]:
    """Return the byte that the first kind of match expects behind each text."""
    byte, _ = matches.expected(read(*texts, least=least), np.arange(len(texts)))
    return ["" if found == NONE else chr(found) for found in byte[0].tolist()]


def test_what_followed_the_same_bytes_is_expected() -> None:
    assert foretold(b"abcdefgh1 abcdefgh") == ["1"]
    assert foretold(b"abcdefgh1 bcdefgh") == [""]  # seven
    assert foretold(b"abcdefgh1 abcdefgh2 abcdefgh") == ["2"]  # the latest place
    assert foretold(b"abcdefgh" * 2) == ["a"]
    assert foretold(b"aaaaaaaa") == [""]
    assert foretold(b"aaaaaaaaa") == ["a"]  # the place before overlaps


def test_streams_match_each_other() -> None:
    assert foretold(b"abcdefgh1...", b"____abcdefgh") == ["", "1"]
    assert foretold(b"abcdefgh1", b"_abcdefgh") == ["", "1"]
    assert foretold(b"abcdefgh", b"abcdefgh") == ["", ""]  # at the same step neither knows of the other
    assert foretold(b"abcdefgh1", b"__abcdefgh", b"_abcdefgh1") == ["", "1", ""]
    assert foretold(b"abcdefgh1.", b"abcdefgh2.", b"__abcdefgh") == ["", "", "2"]  # of equal ones the last


def test_hashes_that_collide_are_no_matches() -> None:
    own = read(ALPHABET)
    own.heads[...] = 1 + 10
    matches.find(own, np.zeros((1, 1), np.uint64), np.zeros(1, np.int64))
    assert own.place[0, 0] == NONE


def test_a_match_goes_on_behind_a_byte_that_differs() -> None:
    own = read(ALPHABET + b"__" + ALPHABET[:12] + b"!" + ALPHABET[13:16])
    byte, form = matches.expected(own, np.zeros(1, np.int64))
    assert chr(byte[0, 0]) == "q"
    assert (own.length[0, 0], own.wrong[0, 0]) == (3, 0b1000)
    assert divmod(form[0, 0], ERRORS) == (0, 1)


def test_a_better_match_takes_the_place_of_one_that_erred() -> None:
    text = ALPHABET + b"__" + ALPHABET[:12] + b"12345678?"
    assert foretold(text + b"__" + ALPHABET[:12] + b"1") == ["2"]
    own = read(text + b"__" + ALPHABET[:9] + b"12345678")
    assert (own.length[0, 0], own.wrong[0, 0], chr(own.text[0, own.place[0, 0]])) == (8, 0, "?")


def test_a_match_ends_with_the_text_that_it_follows() -> None:
    assert foretold(ALPHABET[:12], b"__" + ALPHABET[:11]) == ["", "l"]
    assert foretold(ALPHABET[:12], b"__" + ALPHABET[:12]) == ["", ""]
    own = read(ALPHABET[:12], b"__" + ALPHABET[:12] + b"?", room=15)  # the text of the last stream is full
    assert (own.place[0, 1], own.length[0, 1]) == (NONE, 0)


def test_a_text_that_is_longer_than_was_said_is_kept_in_part() -> None:
    own = read(ALPHABET, ALPHABET[::-1], room=10)
    assert [bytes(text) for text in own.text] == [ALPHABET[:10], ALPHABET[:15:-1]]
    assert own.known.tolist() == [10, 10]


def test_a_match_begins_with_as_many_bytes_as_were_compared() -> None:
    text = noise(1, 80).tobytes()
    for count, expected in ((20, 20), (MOST_COMPARED + 5, MOST_COMPARED + 5)):
        assert read(text + b"-" + text[-count:] + b"+", room=400).length[0, 0] == 0
        assert read(text + b"-" + text[-count:], room=400).length[0, 0] == expected


def test_kinds_have_their_own_matches() -> None:
    own = read(ALPHABET + b"__" + ALPHABET[:20], least=(20, 8))
    assert own.length.tolist() == [[20], [20]]
    own = read(ALPHABET + b"__" + ALPHABET[:19], least=(20, 8))
    assert own.place[0, 0] == NONE
    assert own.length[1, 0] == 19
    byte, form = matches.expected(own, np.zeros(1, np.int64))
    assert matches.foretold(byte, form).tolist() == [1 + ord("t") + 256 * form[1, 0]]
    assert matches.foretold(byte[:1], form[:1]).tolist() == [0]


def test_levels_of_lengths() -> None:
    found = matches.levels(np.arange(1000))
    assert sorted(set(found.tolist())) == list(range(LEVELS))
    assert (np.diff(found) >= 0).all()
    assert found[[0, 3, 4, 31, 32, 63, 64, 999]].tolist() == [0, 0, 1, 7, 8, 8, 9, 15]


def test_every_form_and_bit_has_a_state_and_a_set() -> None:
    form = np.arange(LEVELS * ERRORS)
    states = {int(n) for k in range(BITS) for says in (1, 2) for n in matches.states(form, np.array(k), np.array(says))}
    assert states == set(range(1, 1 + 2 * LEVELS * ERRORS * BITS))
    assert max(states) < STATES
    assert (matches.states(form, np.array(3), np.array(0)) == 0).all()
    sets = {
        int(n)
        for kind in range(2)
        for says in (1, 2)
        for n in matches.chosen_sets(
            np.stack([form, form])[:, None], np.full((2, 1, 1), says) * (np.arange(2) >= kind)[:, None, None]
        )[0]
    }
    assert sets == set(range(1, matches.set_count(2)))
    sure = matches.are_sure(np.arange(matches.set_count(3)), 2).nonzero()[0]  # the third kind is no match
    assert sure.tolist() == [*range(1 + 2 * SURE, 1 + 2 * LEVELS), *range(1 + 2 * (LEVELS + SURE), 1 + 4 * LEVELS)]


def test_long_matches_are_believed_from_the_beginning() -> None:
    state = ContextMixer(100, 1).state
    maps = state.predictions[len(state.salt) * STATES : state.first_final].reshape(2, STATES)[:, 1 : 1 + 1024]
    said = maps.reshape(2, LEVELS, ERRORS, BITS, 2)
    assert (said[..., 0] == -said[..., 1]).all()
    assert (np.diff(said[..., 1], axis=1) > 0).all()
    assert (said[..., 1] > 0).all()
    assert said.max() < EXPERT_LIMIT


def spent(text: bytes, contexts: Contexts) -> float:
    mixer, bits = ContextMixer(len(text), 1, contexts), 0.0
    for symbol in text:
        found = np.array([symbol])
        ones = mixer.encode(uniform(1), np.zeros(1, np.int64), found).ravel()
        bits += float(information(bit_intervals(ones, bits_of(found).ravel()).frequency).sum())
    return bits


@pytest.mark.slow
def test_records_that_come_again_with_another_number_are_followed() -> None:
    record = (noise(5, 60) % 4).tobytes()
    text, short = b"".join(record[:30] + b"%d" % number + record[30:] for number in range(3, 9)), Contexts((2,), (), ())
    assert spent(text, short) < 0.8 * spent(text, short._replace(matches=()))
