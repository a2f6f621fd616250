"""The confusion report over decisions of the journal that people have read."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.journal.database import Database
from tests.workbench.conftest import Bench
from tests.workbench.decisions import TEXTS, judge, label
from tests.workbench.labelled import PATH, cell, score
from tests.workbench.signing import sign_in

SPAN = "journal: last 7 days"


@pytest.fixture
def client(bench: Bench, tmp_path: Path) -> Iterator[TestClient]:
    with bench(qa_posts=tmp_path) as client:
        sign_in(client, "Ada")
        yield client


def test_before_anybody_has_read_a_post_the_page_says_what_to_do(client: TestClient, database: Database) -> None:
    judge(client, database)
    page = client.get(PATH, params=score(client, posts=SPAN)).text
    assert "0 of its decisions have been read" in page
    assert "Read some in the review queue" in page


def test_what_people_said_is_held_against_the_bundle(client: TestClient, database: Database) -> None:
    posts = {post.text.split(" in ")[-1].split()[0]: post for post in judge(client, database)}
    label(database, posts["York"], "Ada", "sensitive", "safety_health")
    label(database, posts["Bath"], "Ada", "simple", "praise")
    label(database, posts["Ely"], "Ada", "simple", "praise")
    label(database, posts["Ely"], "Ben", "complex", "praise")  # even: left out
    asked = score(client, posts=SPAN)
    summary = client.get(f"{PATH}/confusion.json", params=asked).json()["summary"]
    assert summary["posts"] == 2
    page = client.get(PATH, params=asked).text
    assert cell(page, "sensitive", "sensitive") == 1
    assert cell(page, "simple", "complex") == 1


def test_posts_on_which_people_are_even_count_in_how_far_they_agree(client: TestClient, database: Database) -> None:
    for place, post in enumerate(judge(client, database)):
        label(database, post, "Ada", "simple", "praise")
        label(database, post, "Ben", "complex" if place < 3 else "simple", "praise")
    page = client.get(PATH, params=score(client, posts=SPAN)).text
    assert "people among themselves reach <strong>1.00</strong>" not in page
    assert f"2 people, {len(TEXTS)} posts" in page


def test_the_ceiling_is_how_far_readers_agree(client: TestClient, database: Database) -> None:
    for post in judge(client, database):
        route = "sensitive" if post.route == "sensitive" else "simple"
        for reader in ("Ada", "Ben", "Cem"):
            label(database, post, reader, route, "praise")
    page = client.get(PATH, params=score(client, posts=SPAN)).text
    assert "people among themselves reach <strong>1.00</strong>" in page
    assert f"3 people, {len(TEXTS)} posts" in page


def test_a_report_is_made_anew_when_more_was_read(client: TestClient, database: Database) -> None:
    first, second, *_ = judge(client, database)
    label(database, first, "Ada", "simple", "praise")
    asked = score(client, posts=SPAN)
    label(database, second, "Ada", "simple", "praise")
    count = f"{PATH}/confusion.json"
    assert client.get(count, params=asked).json()["summary"]["posts"] == 1
    assert client.get(count, params=score(client, posts=SPAN, anew="yes")).json()["summary"]["posts"] == 2
