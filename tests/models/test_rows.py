"""Flat rows: every field of a post has its column, an empty cell is not known, a wrong one is named and not shown."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.post import Author, Post, Reach
from models.rows import INPUT_COLUMNS, OUTPUT_COLUMNS, RowError, post_of_row, row_of_prediction
from tests.fakes import fake_predictor

FULL = {
    "text": "where is my parcel?",
    "platform": "x",
    "lang": "en",
    "in_reply_to": "How may we help?",
    "posted_at": "2026-11-22T09:00:00Z",
    "author.handle": "@tobes",
    "author.followers": 212.0,  # as pandas has it where another cell is empty
    "author.verified": False,
    "author.bio": "leeds",
    "reach.reposts": 0,
    "reach.replies": 1,
    "reach.likes": 2,
}


def test_a_full_row_is_the_post_with_every_field() -> None:
    post = post_of_row(FULL)
    assert post.author == Author(handle="@tobes", followers=212, verified=False, bio="leeds")
    assert post.reach == Reach(reposts=0, replies=1, likes=2)
    outer = {name: getattr(post, name) for name in ("text", "platform", "lang", "in_reply_to")}
    assert outer == {name: FULL[name] for name in outer}
    assert post.posted_at is not None


def test_every_field_of_a_post_but_its_id_has_a_column() -> None:
    inner = {f"author.{name}" for name in Author.model_fields} | {f"reach.{name}" for name in Reach.model_fields}
    assert set(Post.model_fields) - {"id", "author", "reach"} | inner == {
        name for name in INPUT_COLUMNS if "." in name or name in Post.model_fields
    }


@given(empty=st.sets(st.sampled_from(sorted(set(FULL) - {"text"}))))
def test_an_empty_cell_is_a_column_that_is_not_there(empty: set[str]) -> None:
    without = {name: cell for name, cell in FULL.items() if name not in empty}
    assert post_of_row(FULL | dict.fromkeys(empty)) == post_of_row(without)


@given(bare=st.sets(st.sampled_from([name for name in FULL if "." in name])))
def test_a_bare_name_means_the_dotted_one(bare: set[str]) -> None:
    row = {name.partition(".")[2] if name in bare else name: cell for name, cell in FULL.items()}
    assert post_of_row(row) == post_of_row(FULL)


def test_a_column_that_is_no_field_is_not_read() -> None:
    assert post_of_row({"text": "hello", "order number": 7, "id": 12}) == Post(text="hello")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": None}, "text is missing, wanted: Field required"),
        ({"text": "s3cret" * 2_000}, "text is a str of 12000 characters, wanted: String should have at most 10000"),
        ({"text": 7}, "text is a int, wanted: Input should be a valid string"),
        ({"text": "s3cret", "platform": "s3cret"}, "platform is a str of 6 characters, wanted: Input should be 'x'"),
        ({"text": "s3cret", "followers": -1}, "author.followers is a int, wanted: Input should be greater than"),
        ({"text": "s3cret", "followers": 1, "author.followers": 1}, "author.followers stands in two columns"),
    ],
)
def test_a_row_that_is_no_post_is_named_by_column_and_never_shown(row: dict[str, Any], said: str) -> None:
    with pytest.raises(RowError) as caught:
        post_of_row(row)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_the_row_of_an_answer_has_every_column_in_order_and_says_what_the_prediction_says() -> None:
    predictor = fake_predictor()
    (prediction,) = predictor.predict([post_of_row(FULL)])
    row = row_of_prediction(prediction, predictor.bundle, predictor.policy)
    assert list(row) == list(OUTPUT_COLUMNS)
    assert all(isinstance(cell, OUTPUT_COLUMNS[name]) for name, cell in row.items())
    assert (row["route"], row["intent"], row["action"]) == ("simple", "order_status", "auto_answer")
    assert row["route_confidence"] == pytest.approx(prediction.routes["simple"], abs=1e-6)
    assert json.loads(str(row["route_probabilities"]))["simple"] == row["route_confidence"]
    assert [each["code"] for each in json.loads(str(row["reasons"]))] == ["simple_over_threshold"]
    assert (row["model_version"], row["policy_version"]) == ("2026.11.22+fake00", "7")
