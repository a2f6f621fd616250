"""The cockpit without a browser: what it counts, how it is watched, and the brake by hand."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.journal.brake import brake_events
from serving.journal.database import Database
from serving.journal.facets import Clusters
from serving.journal.faults import StoreDownError
from serving.journal.store import open_store
from tests.serving.clients import read_rules
from tests.serving.desks import NOON, made
from tests.serving.journals import address_of
from tests.workbench.conftest import Bench
from tests.workbench.decisions import TEXTS, judge
from tests.workbench.signing import sign_in, token_for

PATH = "/qa/cockpit"
SPANS = ("hour", "day", "week", "month")


@pytest.fixture
def client(bench: Bench) -> Iterator[TestClient]:
    with bench(brake=True) as client:
        sign_in(client, "Ada")
        read_rules(client)
        yield client


def part(page: str, name: str) -> str:
    """What a page shows in the place of that name, without its tags."""
    found = re.search(rf'id="part-{name}"[^>]*>(.*?)</(?:div|tbody)>', page, re.S)
    assert found, name
    return " ".join(re.sub(r"<[^>]+>", " ", found.group(1)).split())


def move(client: TestClient, step: str, why: str = "wrong prices in our answers") -> Any:
    return client.post(f"{PATH}/brake", data={"csrf": token_for(client), "step": step, "why": why})


# what is counted


@pytest.mark.parametrize("span", SPANS)
def test_an_empty_journal_makes_a_page_that_says_so(client: TestClient, span: str) -> None:
    page = client.get(PATH, params={"span": span})
    assert page.status_code == 200
    assert page.text.count("Nothing was decided in this time.") == 5
    assert "No post came with its time of posting" in page.text
    assert "Does not hold" in part(page.text, "brake")
    assert client.get(PATH, params={"span": "year"}).status_code == 404


@pytest.mark.parametrize("span", SPANS)
def test_every_span_counts_what_was_just_decided(client: TestClient, database: Database, span: str) -> None:
    posts = judge(client, database)
    closed = sum(post.action in ("auto_answer", "no_reply") for post in posts)
    page = client.get(PATH, params={"span": span}).text
    assert f'<p class="value">{len(TEXTS)}</p>' in page
    assert f"{closed} posts; abstained from" in page
    for route in ("simple", "sensitive"):
        assert f"{sum(post.route == route for post in posts)} {route}" in part(page, "headline")
    for intent in {post.intent for post in posts}:
        assert f"{intent} {sum(post.intent == intent for post in posts)} " in part(page, "intents_rows")


def test_a_server_that_does_not_look_by_itself_says_so(bench: Bench) -> None:
    with bench(brake=False) as client:
        sign_in(client, "Ada")
        read_rules(client)
        assert "This server does not look for a crisis by itself" in part(client.get(PATH).text, "brake")


# the brake by hand


def test_the_brake_is_held_and_let_go_by_hand_and_every_page_says_so(client: TestClient, database: Database) -> None:
    assert client.post("/v1/predict", json={"text": "thanks a lot"}).json()["decision"]["action"] == "auto_answer"
    assert move(client, "hold").status_code == 303
    decision = client.post("/v1/predict", json={"text": "thanks a lot"}).json()["decision"]
    assert decision["action"] == "agent"
    assert decision["reasons"][0]["detail"] == "held by hand: wrong prices in our answers"
    for path in ("/qa", "/qa/confusion", "/qa/review", PATH, "/qa/login", "/qa/no-such-page"):
        assert "The crisis brake holds</strong> since" in client.get(path).text, path
    assert "lets go by hand alone" in part(client.get(PATH).text, "brake")
    again = move(client, "hold")
    assert (again.status_code, "somebody holds it since" in again.text) == (409, True)
    assert move(client, "release", "prices are right again").status_code == 303
    assert client.post("/v1/predict", json={"text": "thanks a lot"}).json()["decision"]["action"] == "auto_answer"
    assert "The crisis brake holds" not in client.get("/qa").text
    assert [(each.event, each.by, each.cause) for each in database.read(brake_events)] == [
        ("released", "Ada", "prices are right again"),
        ("engaged", "Ada", "wrong prices in our answers"),
    ]
    assert "took hold Ada wrong prices in our answers" in part(client.get(PATH).text, "brake_rows")


@pytest.mark.parametrize(("step", "why"), [("hold", "  "), ("hold", "x" * 501), ("release", "why not"), ("pull", "x")])
def test_the_brake_is_not_moved_without_a_reason_or_where_there_is_nothing_to_do(
    client: TestClient, database: Database, step: str, why: str
) -> None:
    refused = move(client, step, why)
    assert refused.status_code == 409
    assert "The crisis brake was not" in refused.text
    assert database.read(brake_events) == ()


# what lies behind it


def test_the_posts_of_a_cluster_are_listed_masked_and_page_by_page(client: TestClient, tmp_path: Path) -> None:
    text = "your app is down again call +44 20 7946 09"
    with closing(open_store(address_of(tmp_path / "journal.db"))) as store:
        store.write([made(n, f"{text}{n}", NOON + timedelta(seconds=n)) for n in range(10, 65)])
    name = Clusters().of("your app is down again call [phone]")
    page = client.get(f"{PATH}/clusters/{name}").text
    assert page.count("your app is down again call [phone]") == 50
    assert "7946" not in page
    after = re.search(r'\?after=([^"]+)"', page)
    assert after
    rest = client.get(f"{PATH}/clusters/{name}", params={"after": after.group(1)}).text
    assert rest.count("your app is down again call [phone]") == 5
    assert "Older ones" not in rest


@pytest.mark.parametrize(
    "path", ["clusters/no-cluster", f"clusters/{'0' * 16}?after=1", f"clusters/{'0' * 16}?after=x.y"]
)
def test_what_is_no_cluster_is_not_looked_for(client: TestClient, path: str) -> None:
    assert client.get(f"{PATH}/{path}").status_code == 404


def test_a_cluster_whose_posts_were_deleted_says_so(client: TestClient) -> None:
    assert "No such posts are kept" in client.get(f"{PATH}/clusters/{'0' * 16}").text


def test_a_journal_that_is_away_is_said_on_the_cockpit_and_leaves_the_overview(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreDownError("SQLITE_CANTOPEN")

    monkeypatch.setattr(Database, "read", away)
    cockpit, overview = client.get(PATH), client.get("/qa")
    assert (cockpit.status_code, overview.status_code) == (503, 200)
    for page in (cockpit, overview):
        assert "its database answers SQLITE_CANTOPEN" in page.text


def test_who_is_not_signed_in_sees_nothing_and_a_stranger_moves_nothing(bench: Bench, database: Database) -> None:
    with bench(brake=True) as client:
        for path in (PATH, f"{PATH}/clusters/{'0' * 16}"):
            assert client.get(path).status_code == 303
        sign_in(client, "Ada")
        assert client.post(f"{PATH}/brake", data={"step": "hold", "why": "mischief"}).status_code == 403
    assert database.read(brake_events) == ()
