"""Which posts belong together, and what is too common to bind anything."""

import pytest
from hypothesis import given, settings

from data.grouping import MAX_ALIKE_POSTS, MAX_THREAD_POSTS, RULES, Rule, group
from data.post import LabelledPost
from data.taxonomy import ROUTES
from tests.data.strategies import labelled, labelled_sets

TEXTS = ("where is my parcel", "how do I reset my PIN", "love the new app", "what does error 31 mean")


def together(*changes: dict[str, object], rules: tuple[Rule, ...] = RULES) -> list[list[int]]:
    """The groups of posts with different texts and the given changes."""
    posts = [labelled(str(change.pop("id", n)), TEXTS[n], **change) for n, change in enumerate(changes)]
    return [list(places) for places in group(posts, rules).groups]


def test_strangers_stay_apart() -> None:
    assert together({}, {"author": {"handle": "a"}}, {"author": {"handle": "b"}}, {"author": {"followers": 5}}) == [
        [0], [1], [2], [3],
    ]  # fmt: skip


def test_one_author_is_one_group_however_the_handle_is_written() -> None:
    assert together({"author": {"handle": "@Tobes"}}, {}, {"author": {"handle": "tobes "}}) == [[0, 2], [1]]


def test_answers_to_one_message_are_one_thread() -> None:
    assert together({"in_reply_to": "Hi,  which train?"}, {"in_reply_to": "hi, which train?"}, {}) == [[0, 1], [2]]


def test_a_contrast_pair_stays_together() -> None:
    assert together({"id": "a"}, {}, {"contrast_of": "a"}) == [[0, 2], [1]]


def test_two_contrasts_of_a_post_that_is_not_here_stay_together() -> None:
    assert together({"contrast_of": "gone"}, {}, {"contrast_of": "gone"}) == [[0, 2], [1]]


def test_neighbours_of_our_corpus_stay_together() -> None:
    assert together({"id": "v1-0001"}, {"id": "v1-0002"}, {"id": "v1-0003"}, {"id": "w1-0004"}) == [[0, 1], [2], [3]]


def test_near_duplicates_stay_together() -> None:
    posts = [labelled("a", "@tsb thanks, sorted"), labelled("b", "no idea"), labelled("c", "@rbs thanks, sorted")]
    assert group(posts).groups == ((0, 2), (1,))


def test_groups_grow_through_shared_posts() -> None:
    assert together(
        {"author": {"handle": "a"}}, {"author": {"handle": "a"}, "in_reply_to": "x"}, {"in_reply_to": "x"}, {}
    ) == [[0, 1, 2], [3]]


def test_a_canned_message_above_too_many_posts_binds_nothing() -> None:
    message = "Hi, how can we help?"
    words = [f"{one} {other}" for one in "abcdefgh" for other in "ijklmnop"]
    posts = [labelled(word, word * 9, in_reply_to=message) for word in words[: MAX_THREAD_POSTS + 1]]
    assert group(posts[:-1]).largest == MAX_THREAD_POSTS
    grouping = group(posts)
    assert (grouping.largest, grouping.skipped_keys) == (1, {"thread": 1})


def test_a_phrase_that_everybody_says_binds_nothing() -> None:
    posts = [labelled(str(n), "thanks!") for n in range(MAX_ALIKE_POSTS + 1)]
    assert group(posts[:-1]).largest == MAX_ALIKE_POSTS
    grouping = group(posts)
    assert (grouping.largest, grouping.skipped_keys) == (1, {"near_duplicate": 1})


def test_other_data_may_bring_its_own_rule() -> None:
    by_trade = Rule("trade", lambda post: (post.industry,))
    assert together({"industry": "rail"}, {"industry": "bank"}, {"industry": "rail"}, rules=(by_trade,)) == [
        [0, 2],
        [1],
    ]


def test_links_say_how_many_pairs_each_rule_joined() -> None:
    posts = [labelled("a", "one", author={"handle": "x"}), labelled("b", "two", author={"handle": "x"})]
    links = group(posts).links
    assert links == {"author": 1, "thread": 0, "contrast": 0, "neighbours": 0, "near_duplicate": 0}


def test_no_posts_have_no_groups() -> None:
    assert (group([]).groups, group([]).largest) == ((), 0)


@settings(max_examples=30)
@given(labelled_sets())
def test_every_post_is_in_exactly_one_group(posts: list[LabelledPost]) -> None:
    assert sorted(place for places in group(posts).groups for place in places) == list(range(len(posts)))


@settings(max_examples=30)
@given(labelled_sets())
def test_whatever_shares_a_key_is_in_one_group(posts: list[LabelledPost]) -> None:
    group_of = {place: number for number, places in enumerate(group(posts).groups) for place in places}
    for rule in RULES:
        numbers: dict[str, set[int]] = {}
        for place, post in enumerate(posts):
            for key in rule.keys(post):
                numbers.setdefault(key, set()).add(group_of[place])
        assert all(len(found) == 1 for found in numbers.values()), rule.name


@pytest.mark.parametrize("route", ROUTES)
def test_labels_bind_nothing(route: str) -> None:
    assert together({"route": route}, {"route": route}) == [[0], [1]]
