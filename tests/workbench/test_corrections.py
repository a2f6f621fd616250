"""The page of corrections: who said what, the way to training, and what is taken back."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from serving.journal.corrections import Correction, add_correction
from serving.journal.database import Database
from serving.journal.queries import KeptPost
from serving.journal.restoration import write_corrections
from tests.workbench.conftest import on_both
from tests.workbench.decisions import judge
from tests.workbench.signing import token_for

pytestmark = on_both
PATH = "/qa/corrections"


def correct(database: Database, post: KeptPost, reader: str = "crm", days_ago: int = 0, **changed: Any) -> Correction:
    values = {"route": "complex", "intent": "delivery_problem", "note": "", **changed}
    made_at = datetime.now(UTC) - timedelta(days=days_ago)
    correction = Correction(post.prediction_id, reader, made_at=made_at, **values)
    assert database.write(add_correction, correction)
    return correction


def withdraw(client: TestClient, correction: Correction, reason: str = "a misclick") -> Any:
    form = {"csrf": token_for(client), "reason": reason}
    return client.post(f"{PATH}/{correction.id}/withdraw", data=form)


def shown(client: TestClient, **query: str) -> list[str]:
    """The ids of the corrections on a page, in its order."""
    page = client.get(PATH, params=query)
    assert page.status_code == 200, page.text
    return [part.partition('"')[0] for part in page.text.split('<li id="')[1:]]


def exported(client: TestClient, **query: str) -> list[dict[str, Any]]:
    answer = client.get(f"{PATH}/corrections.jsonl", params=query)
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.text.splitlines()]


def test_before_anybody_has_corrected_a_post_the_page_says_what_to_do(client: TestClient) -> None:
    assert "Nobody has corrected a post yet" in client.get(PATH).text
    assert exported(client) == []


def test_a_correction_is_shown_masked_with_who_said_what_of_which_model(
    client: TestClient, database: Database, posts: list[KeptPost]
) -> None:
    parcel = next(post for post in posts if "[phone]" in post.text)
    correct(database, parcel, note="call 07911 123456")
    page = client.get(PATH).text
    assert "[phone]" in page
    assert not any(number in page for number in ("7946", "07911"))
    assert f"{parcel.route}, {parcel.intent.replace('_', ' ')} → <strong>complex, delivery problem</strong>" in page
    assert f"model <code>{parcel.model_version}</code>, policy {parcel.policy_version}" in page
    assert f"/qa/why/{parcel.prediction_id}" in page


def test_corrections_are_chosen_by_who_what_which_model_and_when(
    client: TestClient, database: Database, posts: list[KeptPost]
) -> None:
    old = correct(database, posts[0], "Ben", days_ago=3)
    new = correct(database, posts[1], route="sensitive", intent="safety_health")
    day = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()
    everything: tuple[tuple[dict[str, str], list[Correction]], ...] = (
        ({}, [new, old]),
        ({"reader": "Ben"}, [old]),
        ({"route": "sensitive"}, [new]),
        ({"intent": "delivery_problem"}, [old]),
        ({"model": posts[0].model_version}, [new, old]),
        ({"model": "another"}, []),
        ({"until": day}, [old]),
        ({"since": day, "until": day}, [old]),
        ({"since": datetime.now(UTC).date().isoformat()}, [new]),
    )
    for query, expected in everything:
        assert shown(client, **query) == [each.id for each in expected], query
        assert {line["id"] for line in exported(client, **query)} == {f"correction-{each.id}" for each in expected}
    assert client.get(PATH, params={"since": "yesterday"}).status_code == 422


def test_pages_lead_through_all_corrections_without_a_gap(
    client: TestClient, database: Database, posts: list[KeptPost]
) -> None:
    made = [
        correct(database, posts[place % 6], f"r{place}", days_ago=place // 2, note=str(place)) for place in range(60)
    ]
    expected = sorted(made, key=lambda each: (each.made_at, each.id), reverse=True)
    seen: list[str] = []
    address = PATH
    while address:
        page = client.get(address).text
        seen += [part.partition('"')[0] for part in page.split('<li id="')[1:]]
        further = re.search(r'href="([^"]+)" rel="next"', page)
        address = further[1] if further else ""
    assert seen == [each.id for each in expected]
    for after in ("nonsense", "x.y", "2026-13-01T00:00:00+00:00.1"):
        assert client.get(PATH, params={"after": after}).status_code == 404


def test_the_labelled_file_is_that_of_the_command(
    client: TestClient, database: Database, posts: list[KeptPost], tmp_path: Path
) -> None:
    correct(database, posts[0], "Ben", days_ago=1)
    correct(database, posts[0], "crm")
    correct(database, posts[2], route="simple", intent="praise")
    database.read(write_corrections, tmp_path / "file.jsonl", since=None, lang="en")
    assert client.get(f"{PATH}/corrections.jsonl").content == (tmp_path / "file.jsonl").read_bytes()
    assert client.get(f"{PATH}/corrections.xlsx").status_code == 404


def test_the_table_runs_no_cell_as_a_formula(client: TestClient, database: Database) -> None:
    (post,) = judge(client, database, ["=cmd|' /C calc'!A0 where is it"])
    correct(database, post, reader="=1+1")
    answer = client.get(f"{PATH}/corrections.csv")
    (row,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert row["text"].startswith("'=cmd")
    assert row["reader"] == "'=1+1"
    assert (row["route"], row["predicted_route"], row["prediction_id"]) == ("complex", post.route, post.prediction_id)


def test_a_later_correction_counts_until_it_is_withdrawn(
    client: TestClient, database: Database, posts: list[KeptPost]
) -> None:
    first, second = correct(database, posts[0], "Ben", days_ago=1), correct(database, posts[0])
    assert client.get(PATH).text.count("a later one counts") == 1
    assert [line["id"] for line in exported(client)] == [f"correction-{second.id}"]
    assert withdraw(client, second).status_code == 303
    page = client.get(PATH).text
    assert "a later one counts" not in page
    assert "Withdrawn by Ada" in page
    assert "a misclick" in page
    assert [line["id"] for line in exported(client)] == [f"correction-{first.id}"]
    assert shown(client) == [second.id, first.id], "it stays on record"


def test_a_correction_is_withdrawn_once_and_with_a_reason(
    client: TestClient, database: Database, posts: list[KeptPost]
) -> None:
    correction = correct(database, posts[0])
    assert withdraw(client, correction, reason="  ").status_code == 422
    assert [withdraw(client, correction).status_code for _ in range(2)] == [303, 409]
    assert withdraw(client, Correction("", "", "", "")).status_code == 409
