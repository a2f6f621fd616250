"""The schema of a post: what is accepted, what is refused by field, and what missing means."""

from typing import Any

import pytest
from pydantic import ValidationError

from data.post import MAX_LABELLED_TEXT_CHARACTERS, MAX_TEXT_CHARACTERS, Author, LabelledPost, Post

LABELLED: dict[str, Any] = {"id": "a1", "text": "hi", "lang": "en", "route": "simple", "intent": "praise"}


def fields_refused(model: type[Post], values: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(values)
    return [".".join(map(str, error["loc"])) for error in refused.value.errors()]


def test_a_text_alone_is_a_post() -> None:
    post = Post.model_validate({"text": "where do I track my parcel?"})
    assert (post.platform, post.author, post.reach, post.followers, post.reposts) == ("other", None, None, None, None)


def test_the_designs_example_is_a_post() -> None:
    post = Post.model_validate(
        {
            "id": "1059",
            "text": "where do I track my parcel?",
            "platform": "x",
            "lang": None,
            "author": {"handle": "@tobes", "followers": 212, "verified": False, "bio": "leeds | snow"},
            "reach": {"reposts": 0, "replies": 1, "likes": 0},
            "in_reply_to": None,
            "posted_at": "2026-11-22T09:00:00Z",
        }
    )
    assert (post.followers, post.reposts) == (212, 0)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("text", {"text": ""}),
        ("text", {"text": "a" * (MAX_TEXT_CHARACTERS + 1)}),
        ("text", {"text": "\ud83d"}),
        ("id", {"id": ""}),
        ("platform", {"platform": "myspace"}),
        ("lang", {"lang": "eng"}),
        ("lang", {"lang": "EN"}),
        ("author.followers", {"author": {"followers": -1}}),
        ("author.followers", {"author": {"followers": 10_000_000_001}}),
        ("author.verified", {"author": {"verified": "perhaps"}}),
        ("author.location", {"author": {"location": "Leeds"}}),
        ("reach.reposts", {"reach": {"reposts": 1.5}}),
        ("posted_at", {"posted_at": "2026-11-22T09:00:00"}),
        ("route", {"route": "simple"}),
    ],
)
def test_a_wrong_value_is_refused_by_field(field: str, changes: dict[str, Any]) -> None:
    assert fields_refused(Post, {"text": "hi"} | changes) == [field]


def test_a_post_without_text_is_refused_by_field() -> None:
    assert fields_refused(Post, {"platform": "x"}) == ["text"]


@pytest.mark.parametrize("field", ["id", "text", "lang", "route", "intent"])
def test_a_labelled_post_needs_id_text_language_and_both_labels(field: str) -> None:
    assert fields_refused(LabelledPost, {key: LABELLED[key] for key in LABELLED if key != field}) == [field]


def test_a_labelled_post_ends_at_the_guides_limit() -> None:
    longest = LABELLED | {"text": "a" * MAX_LABELLED_TEXT_CHARACTERS}
    assert len(LabelledPost.model_validate(longest).text) == MAX_LABELLED_TEXT_CHARACTERS
    assert fields_refused(LabelledPost, longest | {"text": longest["text"] + "a"}) == ["text"]


@pytest.mark.parametrize(("field", "label"), [("route", "urgent"), ("intent", "Praise")])
def test_a_label_outside_the_taxonomy_is_refused(field: str, label: str) -> None:
    assert fields_refused(LabelledPost, LABELLED | {field: label}) == [field]


def test_a_post_never_changes() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Author(followers=1).followers = 2
