"""A decision made again: the same bytes, or the fields that differ."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.post import Author, Post
from models.policy import Policy
from serving.journal.entry import Caller, entries_of
from serving.journal.replay import ReplayError, replay
from serving.journal.tables import Row, row_of
from serving.service import answers
from tests.serving.clients import MakePredictor
from tests.serving.journals import MODEL, PREDICTOR, entry

POSTS = [
    {"id": "1059", "text": "where is my parcel?", "posted_at": "2026-11-22T09:00:00+02:00"},
    {"text": "thanks", "author": {"handle": "@tobes", "followers": 60_000, "bio": "leeds"}},
    {"text": "call me on 07911 123456", "lang": "de", "platform": "x", "in_reply_to": "how can we help?"},
    {"text": "word " * 400, "id": "\0", "posted_at": "2026-11-22T09:00:00.123456Z"},
]


def changed(row: Row, column: str, change: Callable[[Any], Any]) -> Row:
    return {**row, column: change(row[column])}


@settings(max_examples=60)
@given(
    text=st.text(min_size=1, max_size=200),
    post_id=st.none() | st.text(min_size=1, max_size=20),
    bio=st.none() | st.text(max_size=50),
    posted_at=st.none()
    | st.datetimes(
        min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - the zone comes from `timezones`
        max_value=datetime(2099, 1, 1),  # noqa: DTZ001 - likewise
        timezones=st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    ),
)
def test_any_decision_is_made_again_byte_for_byte(
    text: str, post_id: str | None, bio: str | None, posted_at: datetime | None
) -> None:
    post = Post(text=text, id=post_id, author=Author(bio=bio, followers=3), posted_at=posted_at)
    predictions = PREDICTOR.predict([post])
    made = answers(MODEL, [post], predictions)
    caller = Caller("r", None, datetime(2026, 11, 22, tzinfo=timezone.utc), 0.0)  # noqa: UP017 - beside timedelta's
    (kept,) = entries_of([post], predictions, made, caller=caller, predictor=PREDICTOR)
    again = replay(row_of(kept), PREDICTOR)
    assert again.differences == ()
    assert again.answer == made[0].model_dump_json()


@pytest.mark.parametrize(
    ("column", "change", "fields"),
    [
        ("text", lambda _: "I was injured", {"routes.sensitive", "route", "answer.decision.action", "action"}),
        ("context", lambda text: text + " parcel", set()),
        ("action", lambda _: "agent", {"action"}),
        ("posted_at", lambda _: "2026-11-22T09:00:00+00:00", {"answer.due.resolve_by"}),
        ("truncated", lambda _: True, {"truncated"}),
        ("facts", lambda text: text.replace('"supported_language":true', '"supported_language":false'), {"action"}),
        ("facts", lambda text: text.replace('"truncated":false', '"truncated":true'), {"facts.truncated"}),
        ("answer", lambda text: text.replace("auto_answer", "agent"), {"answer.decision.action"}),
        ("answer", lambda text: text.replace('"1059"', '"1060"'), {"post_id"}),
        ("answer", lambda text: text.replace(":", ": ", 1), {"answer"}),
        ("routes", lambda text: text.replace("0.99", "0.98", 1), {"routes.simple"}),
    ],
)
def test_a_row_that_was_changed_differs_by_name(column: str, change: Callable[[Any], Any], fields: set[str]) -> None:
    row = row_of(entry())
    tampered = changed(row, column, change)
    assert tampered != row
    assert fields <= {found.field for found in replay(tampered, PREDICTOR).differences}


@pytest.mark.parametrize(("column", "value"), [("facts", "{}x"), ("answer", "[]"), ("posted_at", "yesterday")])
def test_a_row_that_cannot_be_read_is_told(column: str, value: str) -> None:
    row = row_of(entry())
    with pytest.raises(ReplayError, match=f"Prediction {row['prediction_id']} was not made again: its row"):
        replay({**row, column: value}, PREDICTOR)


def test_another_policy_is_named_with_the_one_that_decided(make_predictor: MakePredictor) -> None:
    row = row_of(entry())
    with pytest.raises(ReplayError) as refused:
        replay(row, make_predictor(override=Policy(version="8")))
    assert str(refused.value) == (
        f"Prediction {row['prediction_id']} was not made again: it was made by policy 7, and bundle fake has 8. "
        "Wanted: the same. Name the bundle that answered with --bundle, and the policy file that it had, if any, with "
        "SIGNALBOX_POLICY."
    )


def test_another_model_is_named_with_the_one_that_answered() -> None:
    row = changed(row_of(entry()), "model_sha256", lambda _: "a" * 64)
    with pytest.raises(ReplayError, match=f"model.onnx with SHA-256 {'a' * 64}, and bundle fake has {'f' * 64}"):
        replay(row, PREDICTOR)
