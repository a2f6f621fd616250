"""The posts of the demo's campaign: labelled posts, each of which says something of its own, and none is a corpus's."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from data.post import LabelledPost
from data.rendering import render
from data.sources import read_labelled
from serving.journal.facets import Clusters
from serving.workbench.demo.filling import CAMPAIGN

CORPORA = ("data/corpus", "data/corpus-next")
CAMPAIGN_INTENTS = {"pricing_plans", "product_info", "account_access", "how_to"}


@pytest.fixture(scope="module")
def posts() -> tuple[LabelledPost, ...]:
    return read_labelled(CAMPAIGN).posts


def clustered(posts: Iterable[LabelledPost]) -> dict[str, list[str]]:
    """The ids of the posts by the name of what they say, as the journal finds it."""
    clusters, found = Clusters(most=100_000), dict[str, list[str]]()
    for post in posts:
        found.setdefault(clusters.of(render(post).text) or post.id, []).append(post.id)
    return found


def test_every_row_is_a_labelled_post_with_the_guides_fields_and_an_id_of_its_own() -> None:
    reading = read_labelled(CAMPAIGN, keep_going=True)
    assert (reading.rejects, reading.ignored_fields) == ((), ())
    assert len({post.id for post in reading.posts}) == len(reading.posts) >= 300


def test_no_two_of_them_say_nearly_the_same_and_none_says_what_a_labelled_post_of_ours_does(
    posts: tuple[LabelledPost, ...],
) -> None:
    assert [ids for ids in clustered(posts).values() if len(ids) > 1] == []
    ours = {post.id for post in posts}
    together = clustered((*read_labelled([Path(each) for each in CORPORA]).posts, *posts))
    assert [ids for ids in together.values() if len(ids) > 1 and ours.intersection(ids)] == []


def test_their_mix_is_another_than_the_corpus_s(posts: tuple[LabelledPost, ...]) -> None:
    corpus = read_labelled(CORPORA[0]).posts
    theirs, usual = (sum(post.intent in CAMPAIGN_INTENTS for post in part) / len(part) for part in (posts, corpus))
    assert theirs > 0.6 > 3 * usual > 0.3
    routes = Counter(post.route for post in posts)
    assert routes["simple"] > routes["complex"] > routes["sensitive"] > routes["influencer"] == 0
    assert {post.lang for post in posts} == {"en"}
