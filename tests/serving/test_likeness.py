"""Which posts say nearly the same: what counts as a word, how alike two texts are, and that the index misses none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.likeness import NEAR, Alike, name_of, shingles_of, similarity, words_of

WORDS = st.lists(st.sampled_from(["where", "is", "my", "parcel", "the", "0", "late"]), max_size=12).map(" ".join)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where is my parcel?", "@user where is MY parcel... [link]"),
        ("order AB-1234 never came", "order AB-99 never came"),
        ("it's late", "its late"),
        ("@authority they owe me \u00a320", "they owe me 30"),
    ],
)
def test_case_marks_masks_and_numbers_make_no_difference(one: str, other: str) -> None:
    assert words_of(one) == words_of(other)
    assert name_of(words_of(one)) == name_of(words_of(other))


def test_other_words_are_another_post() -> None:
    assert words_of("where is my parcel") != words_of("where is my refund")


def test_nothing_readable_has_no_words_and_is_like_nothing() -> None:
    assert words_of("@user [link] !!") == ""
    assert shingles_of("") == frozenset()
    assert similarity(frozenset(), frozenset()) == 0.0


def test_one_word_changed_in_ten_is_near_and_half_of_them_is_not() -> None:
    text = "your courier left my parcel in the rain again today"
    near, far = text.replace("rain", "snow"), "your courier was kind and my parcel came early today"
    known = Alike()
    known.add("rain", shingles_of(text))
    assert known.find(shingles_of(near)) == "rain"
    assert known.find(shingles_of(far)) is None


@given(known=st.lists(WORDS, max_size=8, unique=True), asked=WORDS)
def test_the_index_finds_what_comparing_with_each_finds(known: list[str], asked: str) -> None:
    alike = Alike()
    for words in known:
        alike.add(words, shingles_of(words))
    found = alike.find(shingles_of(asked))
    nearest = max((similarity(shingles_of(words), shingles_of(asked)) for words in known), default=0.0)
    assert (found is not None) == (nearest >= NEAR)
    if found is not None:
        assert similarity(shingles_of(found), shingles_of(asked)) == nearest


@given(known=st.lists(WORDS, min_size=1, max_size=8, unique=True))
def test_what_is_discarded_is_found_no_more(known: list[str]) -> None:
    alike = Alike()
    for words in known:
        alike.add(words, shingles_of(words))
    for words in known:
        alike.discard(words)
        assert alike.find(shingles_of(words)) != words
    assert len(alike) == 0
