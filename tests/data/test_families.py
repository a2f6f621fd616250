"""What the ids of our corpus tell, and that other ids tell nothing."""

import pytest

from data.families import family, manner
from data.post import Post


@pytest.mark.parametrize(("post_id", "letter"), [("a3-0120", "a"), ("w1-0001", "w"), ("v6-0520", "v")])
def test_the_family_is_the_letter_of_a_corpus_id(post_id: str, letter: str) -> None:
    assert family(Post(id=post_id, text="hi")) == letter


@pytest.mark.parametrize("post_id", ["1059", "b1-0001", "v3-120", "v3-0120x", "av3-0120", "", None])
def test_other_ids_have_no_family_and_no_manner(post_id: str | None) -> None:
    post = Post(id=post_id or None, text="hi")
    assert (family(post), manner(post)) == ("other", None)


def test_posts_2n_minus_1_and_2n_of_a_set_share_a_manner() -> None:
    names = [manner(Post(id=f"v3-{number:04}", text="hi")) for number in (118, 119, 120, 121)]
    assert names[1] == names[2]
    assert len(set(names)) == 3


def test_manners_are_told_apart_by_set_and_known_in_family_v_alone() -> None:
    assert manner(Post(id="v3-0119", text="hi")) != manner(Post(id="v4-0119", text="hi"))
    assert manner(Post(id="w3-0119", text="hi")) is None
