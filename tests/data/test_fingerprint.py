"""A fingerprint is the same for the same posts and another for any others."""

from hypothesis import given, settings
from hypothesis import strategies as st

from data.fingerprint import canonical_line, fingerprint
from data.post import Author, LabelledPost, Post, Reach
from tests.data.strategies import labelled, labelled_posts, labelled_sets


@settings(max_examples=30)
@given(labelled_sets().flatmap(lambda posts: st.tuples(st.just(posts), st.permutations(posts))))
def test_the_order_of_the_posts_does_not_matter(both: tuple[list[LabelledPost], list[LabelledPost]]) -> None:
    assert fingerprint(both[0]) == fingerprint(both[1])


@given(labelled_posts(), labelled_posts())
def test_different_posts_have_different_fingerprints(one: LabelledPost, other: LabelledPost) -> None:
    assert (fingerprint([one]) == fingerprint([other])) == (canonical_line(one) == canonical_line(other))


def test_any_change_of_a_field_changes_it() -> None:
    post = labelled("a", "hi", author={"handle": "sue", "followers": 5}, in_reply_to="x")
    changes: list[dict[str, object]] = [
        {"id": "b"},
        {"text": "ho"},
        {"platform": "reddit"},
        {"lang": "de"},
        {"author": Author(handle="sue", followers=6)},
        {"author": None},
        {"reach": Reach(likes=0)},
        {"in_reply_to": None},
        {"industry": "rail"},
        {"route": "complex"},
        {"intent": "praise"},
        {"contrast_of": "z"},
    ]
    prints = {fingerprint([post])} | {fingerprint([post.model_copy(update=change)]) for change in changes}
    assert len(prints) == len(changes) + 1


def test_posts_are_counted_and_kept_apart() -> None:
    post = labelled("a", "hi")
    assert len({fingerprint([]), fingerprint([post]), fingerprint([post, post])}) == 3


def test_an_author_of_whom_nothing_is_known_is_no_author() -> None:
    assert fingerprint([Post(text="hi", author=Author(), reach=Reach())]) == fingerprint([Post(text="hi")])


def test_the_canonical_line_is_ascii_with_sorted_keys_and_without_unknown_values() -> None:
    assert canonical_line(Post(text="né", id="a")) == '{"id":"a","platform":"other","text":"n\\u00e9"}'
