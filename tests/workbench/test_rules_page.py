"""The page of must-not-answer rules: what one would have done, that it holds at once, and that all stays on record."""

import re
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.journal.database import Database
from serving.journal.queries import KeptPost
from serving.journal.rules import standing_rules
from tests.workbench.conftest import on_both
from tests.workbench.decisions import judge, until
from tests.workbench.signing import token_for

pytestmark = on_both
PATH = "/qa/rules"
PARCEL = "where is my parcel today please"
TEXTS = (
    PARCEL,
    "@you WHERE is my parcel, today? please!",
    "where is my parcel today then",
    "thanks, it came",
    "[link]",
)


@pytest.fixture
def posts(client: TestClient, database: Database) -> dict[str, KeptPost]:
    """The decisions by their texts as they were sent."""
    found = {post.post_id: post for post in judge(client, database, TEXTS)}
    return {text: found[f"crm-{number}"] for number, text in enumerate(TEXTS)}


def make(client: TestClient, post: KeptPost, **form: str) -> Any:
    values = {"kind": "exact", "reason": "it was lost", **form}
    return client.post(PATH, data={"csrf": token_for(client), "post": post.prediction_id, **values})


def remove(client: TestClient, rule_id: str, reason: str = "found again") -> Any:
    return client.post(f"{PATH}/{rule_id}/remove", data={"csrf": token_for(client), "reason": reason})


def answer(client: TestClient, text: str = PARCEL) -> str:
    action: str = client.post("/v1/predict", json={"text": text, "platform": "x"}).json()["decision"]["action"]
    return action


def foreseen(client: TestClient, post: KeptPost, **query: str) -> tuple[int, list[str]]:
    """How many answers the page says that a rule of a post would have held back, and their texts."""
    page = client.get(f"{PATH}/preview", params={"post": post.prediction_id, **query}).text
    found = re.search(r"<strong>(\d+)</strong> of", page)
    assert found, page
    return int(found[1]), re.findall(r'post-text">([^<]*)<', page)


def test_what_a_rule_would_have_held_back_is_said_before_it_is_made(
    client: TestClient, posts: dict[str, KeptPost]
) -> None:
    parcel = posts[PARCEL]
    assert foreseen(client, parcel, kind="exact")[0] == 2
    held, texts = foreseen(client, parcel, kind="near", days="1")
    assert (held, texts[-1]) == (3, PARCEL)
    assert "thanks, it came" not in texts
    page = client.get(f"{PATH}/new", params={"post": parcel.prediction_id}).text
    assert "What it would have held back" in page
    assert f"<code>{PARCEL}</code>" in page


def test_a_rule_foresees_what_it_then_does(client: TestClient, posts: dict[str, KeptPost]) -> None:
    answered = [text for text in TEXTS if answer(client, text) == "auto_answer"]
    for kind in ("exact", "near"):
        _, foretold = foreseen(client, posts[PARCEL], kind=kind)
        assert make(client, posts[PARCEL], kind=kind).status_code == 303
        held = [text for text in answered if answer(client, text) == "agent"]
        assert len(held) == len(set(foretold))
        (rule_id,) = re.findall(r'<li id="(\w+)">', client.get(PATH).text.partition('id="removed"')[0])
        remove(client, rule_id)


def test_a_rule_holds_at_once_and_ends_at_once_and_stays_on_record(
    client: TestClient, database: Database, posts: dict[str, KeptPost]
) -> None:
    assert answer(client) == "auto_answer"
    make(client, posts[PARCEL])
    assert answer(client) == "agent"
    (rule,) = database.read(standing_rules)
    page = client.get(PATH).text
    assert f"Made by Ada, {rule.made_at:%Y-%m-%d %H:%M} UTC: it was lost" in page
    assert remove(client, rule.id, reason=" ").status_code == 422
    assert [remove(client, rule.id).status_code for _ in range(2)] == [303, 409]
    assert answer(client) == "auto_answer"
    page = client.get(PATH).text
    assert "No rule is in force" in page
    assert "Removed by Ada" in page
    assert "found again" in page


def test_how_often_each_rule_held_answers_back_is_counted(client: TestClient, posts: dict[str, KeptPost]) -> None:
    make(client, posts[PARCEL])
    make(client, posts["thanks, it came"])
    assert client.get(PATH).text.count("Has held back no answer") == 2
    for _ in range(3):
        answer(client)
    page = until(lambda: client.get(PATH).text, lambda page: "<strong>3</strong> answers of those" in page)
    assert page.count("Has held back no answer") == 1


def test_a_rule_of_a_model_that_is_gone_is_said_to_have_ended(
    client: TestClient, database: Database, posts: dict[str, KeptPost]
) -> None:
    make(client, posts[PARCEL])
    assert "ended with its model" not in client.get(PATH).text
    assert "would do nothing" not in client.get(f"{PATH}/new", params={"post": posts[PARCEL].prediction_id}).text
    database.write(lambda each: each.exec_driver_sql("UPDATE rules SET model_version = 'older'"))
    database.write(lambda each: each.exec_driver_sql("UPDATE decisions SET model_version = 'older'"))
    assert "ended with its model" in client.get(PATH).text
    assert "would do nothing" in client.get(f"{PATH}/new", params={"post": posts[PARCEL].prediction_id}).text


def test_what_can_be_no_rule_is_refused_in_words(client: TestClient, posts: dict[str, KeptPost]) -> None:
    wordless = posts["[link]"]
    for page in (f"{PATH}/new", f"{PATH}/preview"):
        assert client.get(page, params={"post": wordless.prediction_id}).status_code == 422
        assert client.get(page, params={"post": "none"}).status_code == 404
    assert "has no words beside masks" in make(client, wordless).text
    assert make(client, replace(wordless, prediction_id="none")).status_code == 404
    assert make(client, posts[PARCEL], reason="").status_code == 422
    assert "No rule is in force" in client.get(PATH).text
