"""What a set of posts holds, in counts that add up."""

from hypothesis import given
from hypothesis import strategies as st

from data.description import describe
from data.post import Post
from tests.data.strategies import labelled, posts


def test_labels_and_facts_are_counted_most_frequent_first() -> None:
    described = describe(
        [
            labelled("a1-0001", "hi"),
            labelled("v1-0001", "a" * 141, route="complex", author={"followers": 60_000}, in_reply_to="Which?"),
            labelled("v1-0002", "hi again", lang="de"),
        ]
    )
    assert described.counts["route"] == {"simple": 2, "complex": 1}
    assert described.counts["route by family"] == {"a simple": 1, "v complex": 1, "v simple": 1}
    assert described.counts["lang"] == {"en": 2, "de": 1}
    assert described.counts["length"] == {"up to 40": 2, "141 to 280": 1}
    assert described.counts["followers"] == {"unknown": 2, "50,000 or more": 1}
    assert described.counts["reply"] == {"no": 2, "yes": 1}
    assert described.characters == {"least": 2, "median": 8, "p95": 128, "most": 141}


def test_plain_posts_have_no_counts_of_labels() -> None:
    assert "route" not in describe([Post(text="hi")]).counts


def test_the_text_names_how_many_values_it_leaves_out() -> None:
    many = [labelled(str(n), "hi", industry=f"trade {n:02}") for n in range(30)]
    text = describe(many).as_text()
    assert text.startswith("30 posts, characters: least 2, median 2, p95 2, most 2")
    assert "trade 24" in text
    assert "trade 25" not in text
    assert "  ... and 5 more values" in text


@given(st.lists(posts, max_size=10))
def test_every_fact_counts_every_post_once(many: list[Post]) -> None:
    described = describe(many)
    assert described.as_text()
    assert all(sum(values.values()) == len(many) for values in described.counts.values())
