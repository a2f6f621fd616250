"""What the ids of our corpus tell, and that other ids tell nothing."""

import pytest

from data.families import family, neighbours
from data.post import Post


@pytest.mark.parametrize(
    ("post_id", "letter"),
    [
        ("a3-0120", "a"),
        ("w1-0001", "w"),
        ("v6-0520", "v"),
        ("q1-0001", "q"),
        ("s2-0001", "s"),
        ("b1-0001", "b"),
        ("m16-0520", "m"),
    ],
)
def test_the_family_is_the_letter_of_a_corpus_id(post_id: str, letter: str) -> None:
    assert family(Post(id=post_id, text="hi")) == letter


@pytest.mark.parametrize("post_id", ["1059", "c1-0001", "v3-120", "v3-0120x", "av3-0120", "", None])
def test_other_ids_have_no_family_and_no_neighbours(post_id: str | None) -> None:
    post = Post(id=post_id or None, text="hi")
    assert (family(post), neighbours(post)) == ("other", None)


def test_posts_2n_minus_1_and_2n_of_a_set_of_family_v_are_neighbours() -> None:
    names = [neighbours(Post(id=f"v3-{number:04}", text="hi")) for number in (118, 119, 120, 121)]
    assert names[1] == names[2]
    assert len(set(names)) == 3


def test_a_post_of_family_m_is_a_neighbour_of_those_whose_manner_it_has() -> None:
    names = [neighbours(Post(id=post_id, text="hi")) for post_id in ("m3-0119", "m13-0120", "v3-0120", "m3-0121")]
    assert len(set(names[:3])) == 1
    assert names[3] != names[0]


@pytest.mark.parametrize("letter", ["q", "s", "b"])
def test_ten_posts_written_in_one_breath_are_neighbours(letter: str) -> None:
    names = [neighbours(Post(id=f"{letter}1-{number:04}", text="hi")) for number in range(1, 22)]
    assert [len(set(names[:10])), len(set(names[10:20])), len(set(names))] == [1, 1, 3]


def test_neighbours_are_told_apart_by_set_and_known_in_some_families_alone() -> None:
    assert neighbours(Post(id="v3-0119", text="hi")) != neighbours(Post(id="v4-0119", text="hi"))
    assert neighbours(Post(id="v3-0019", text="hi")) != neighbours(Post(id="q3-0091", text="hi"))
    assert neighbours(Post(id="w3-0119", text="hi")) is None
