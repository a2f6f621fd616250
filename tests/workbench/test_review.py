"""The review queue without a browser: which posts come, what is kept of a reading, and who may look for an original."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.journal.database import Database
from serving.journal.faults import StoreDownError
from serving.journal.queries import KeptPost
from serving.journal.reviews import Agreement, new_id
from serving.journal.unmaskings import unmaskings
from serving.workbench.review.queues import agreed_by_label
from tests.workbench.conftest import Bench, on_both
from tests.workbench.decisions import TEXTS, judge, label, said
from tests.workbench.signing import sign_in, token_for

PATH = "/qa/review"


def send(client: TestClient, path: str, **form: str) -> Any:
    return client.post(f"{PATH}/{path}", data={"csrf": token_for(client), **form})


def read(client: TestClient, post: KeptPost, **form: str) -> Any:
    labels = {"verdict": "label", "route": "simple", "intent": "praise"}
    return send(client, "readings", **{"id": new_id(), "prediction_id": post.prediction_id, **labels, **form})


def queued(client: TestClient, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = client.get(f"{PATH}/next", params={"queue": name}).json()["posts"]
    return found


def test_posts_come_masked_and_without_what_the_model_said(client: TestClient, posts: list[KeptPost]) -> None:
    found = queued(client, "newest")
    assert len(found) == len(TEXTS)
    assert set(found[0]) == {"prediction_id", "text", "context", "platform", "lang", "received_at"}
    assert any("[phone]" in post["text"] for post in found)
    assert not any("7946" in post["text"] for post in found)


@on_both
def test_each_queue_holds_what_it_is_for(client: TestClient, database: Database, posts: list[KeptPost]) -> None:
    by_id = {post.prediction_id: post for post in posts}
    automatic = {post["prediction_id"] for post in queued(client, "automatic")}
    assert automatic == {key for key, post in by_id.items() if post.action in ("auto_answer", "no_reply")} != set()
    uncertain = [by_id[post["prediction_id"]].confidence for post in queued(client, "uncertain")]
    assert uncertain == sorted(uncertain)
    assert queued(client, "second") == []
    label(database, posts[0], "Ben", "simple", "praise")
    assert [post["prediction_id"] for post in queued(client, "second")] == [posts[0].prediction_id]
    assert client.get(f"{PATH}/next", params={"queue": "none"}).status_code == 404
    assert client.get(PATH, params={"queue": "none"}).status_code == 404


@on_both
def test_a_reading_is_kept_under_the_readers_name_and_tells_what_the_model_said(
    client: TestClient, database: Database, posts: list[KeptPost]
) -> None:
    kept = read(client, posts[0], route="sensitive", intent="privacy_data").json()
    assert kept["model"] == {"route": posts[0].route, "intent": posts[0].intent, "action": posts[0].action}
    (review,) = said(database)
    assert (review.reader, review.route, review.intent) == ("Ada", "sensitive", "privacy_data")
    assert posts[0].prediction_id not in {post["prediction_id"] for post in queued(client, "newest")}
    assert "You have read <strong>1</strong> today" in client.get(PATH).text


@on_both
def test_what_is_sent_twice_is_kept_once(client: TestClient, database: Database, posts: list[KeptPost]) -> None:
    one = new_id()
    assert read(client, posts[0], id=one).status_code == read(client, posts[0], id=one).status_code == 200
    assert [review.id for review in said(database)] == [one]


@pytest.mark.parametrize("verdict", ["skip", "cannot_tell"])
def test_a_post_can_be_skipped_or_be_beyond_telling(
    client: TestClient, database: Database, posts: list[KeptPost], verdict: str
) -> None:
    assert read(client, posts[0], verdict=verdict, route="", intent="").status_code == 200
    assert [review.verdict for review in said(database)] == [verdict]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"id": "1"}, "its id is"),
        ({"verdict": "withdrawn"}, "its verdict is"),
        ({"route": "urgent"}, "its labels are"),
        ({"intent": "no_such_intent"}, "its labels are"),
        ({"intent": ""}, "cannot be kept"),
        ({"verdict": "skip"}, "cannot be kept"),
    ],
)
def test_a_reading_that_is_none_is_refused(
    client: TestClient, database: Database, posts: list[KeptPost], form: dict[str, str], words: str
) -> None:
    answer = read(client, posts[0], **form)
    assert answer.status_code == 422
    assert words in answer.text
    assert said(database) == []


def test_a_reading_of_a_post_that_is_gone_is_not_kept(client: TestClient, database: Database) -> None:
    answer = send(
        client, "readings", id=new_id(), prediction_id=new_id(), verdict="label", route="simple", intent="praise"
    )
    assert answer.status_code == 404
    assert said(database) == []


@on_both
def test_undo_takes_back_ones_own_reading_and_brings_the_post_again(
    client: TestClient, database: Database, posts: list[KeptPost]
) -> None:
    label(database, posts[1], "Ben", "simple", "praise")
    one = new_id()
    read(client, posts[0], id=one)
    again = send(client, "withdrawals").json()
    assert again["post"]["prediction_id"] == posts[0].prediction_id
    assert [review.reader for review in said(database)] == ["Ben"]
    assert send(client, "withdrawals", id=one).status_code == 200  # sent again: nothing more happens
    (bens,) = said(database)
    send(client, "withdrawals", id=bens.id)
    assert said(database) == [bens]
    assert send(client, "withdrawals").json() == {"withdrawn": True, "post": None}


@on_both
def test_the_page_says_how_much_more_to_read(client: TestClient, database: Database, posts: list[KeptPost]) -> None:
    assert "Read 478 without an error to show under 1 %" in client.get(PATH).text
    first, second, *_ = in_random_order(client, posts)
    read(client, first)
    assert "Of 1 automatic answers drawn at random 0 are wrong" in client.get(f"{PATH}/progress").text
    assert "Read 477 more without an error" in client.get(PATH).text
    assert "with 95 % confidence however often one looks" in client.get(PATH).text
    label(database, first, "Ben", "sensitive", "privacy_data")
    assert "Of 1 automatic answers drawn at random 1 are wrong" in client.get(PATH).text
    read(client, second, verdict="cannot_tell", route="", intent="")
    assert "Of 2 automatic answers drawn at random 2 are wrong" in client.get(PATH).text


@on_both
def test_a_question_that_was_closed_without_a_word_is_wrong_and_thanks_are_not(
    client: TestClient, database: Database
) -> None:
    for post in judge(client, database, [f"lol {name}" for name in ("Ann", "Bea", "Cat")]):
        label(database, post, "Ben", "simple", "order_status" if post.text.endswith("Ann") else "praise")
    assert "Of 3 automatic answers drawn at random 1 are wrong" in client.get(PATH).text


def in_random_order(client: TestClient, posts: list[KeptPost]) -> list[KeptPost]:
    """The automatic answers as the random queue has them."""
    by_id = {post.prediction_id: post for post in posts}
    return [by_id[post["prediction_id"]] for post in queued(client, "automatic")]


def test_what_was_read_in_another_queue_counts_only_once_the_random_order_has_come_to_it(
    client: TestClient, database: Database
) -> None:
    posts = judge(client, database, [f"thanks to {name}" for name in ("Ann", "Bea", "Cat", "Dot", "Eve")])
    first, *between, last = in_random_order(client, posts)
    assert len(between) == 3
    read(client, last, route="complex")
    assert "The next automatic answer of the random order has not been read" in client.get(f"{PATH}/progress").text
    read(client, first)
    assert "Of 1 automatic answers drawn at random 0 are" in client.get(f"{PATH}/progress").text
    for post in between:
        read(client, post)
    assert f"Of {2 + len(between)} automatic answers drawn at random 1 are" in client.get(f"{PATH}/progress").text


@on_both
def test_readers_are_told_how_far_they_agree(client: TestClient, database: Database, posts: list[KeptPost]) -> None:
    assert "No post of the last 30 days has two readers yet" in client.get(PATH).text
    label(database, posts[0], "Ada", "simple", "praise")
    label(database, posts[0], "Ben", "complex", "praise")
    page = client.get(PATH).text
    assert all(row in page for row in (row_of("complex", 1, 0), row_of("simple", 1, 0), row_of("praise", 1, 100)))
    rows = agreed_by_label([Agreement("route", "simple", "simple", 3), Agreement("route", "complex", "simple", 1)])
    assert [(row.label, row.pairs, row.same) for row in rows] == [("simple", 4, 3), ("complex", 1, 0)]


def row_of(label: str, pairs: int, percent: int) -> str:
    return f'<tr><th scope="row">{label}</th><td>{pairs}</td><td>{percent}.0 %</td></tr>'


def test_an_original_is_looked_for_by_scope_with_a_reason_that_is_kept(
    bench: Bench, database: Database, keys_file: Path, tmp_path: Path
) -> None:
    with bench() as open_client:
        post = judge(open_client, database)[-1]
    with bench(api_keys_file=keys_file) as client:
        sign_in(client, "key of ben")
        assert "Find the original" not in client.get(PATH).text
        refused = send(client, "unmaskings", prediction_id=post.prediction_id, reason="complaint 17")
        assert refused.status_code == 403
        assert "lacks the scope unmask" in refused.text
        sign_in(client, "key of ada")
        assert send(client, "unmaskings", prediction_id=post.prediction_id, reason=" ").status_code == 422
        found = send(client, "unmaskings", prediction_id=post.prediction_id, reason="complaint 17")
        assert found.json() == {"post_id": post.post_id} == {"post_id": "crm-0"}
        assert send(client, "unmaskings", prediction_id=new_id(), reason="complaint 17").status_code == 404
    (kept,) = database.read(unmaskings)
    assert (kept.reader, kept.reason, kept.prediction_id) == ("ada", "complaint 17", post.prediction_id)


def test_a_journal_that_is_away_is_said_and_nothing_is_lost_by_halves(
    client: TestClient, posts: list[KeptPost], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreDownError("SQLITE_FULL")

    monkeypatch.setattr(Database, "write", away)
    answer = read(client, posts[0])
    assert answer.status_code == 503
    assert "its database answers SQLITE_FULL" in answer.text


def test_the_guide_lies_beside_the_posts_where_there_is_one(bench: Bench, tmp_path: Path) -> None:
    with bench(qa_posts=tmp_path) as client:
        sign_in(client, "Ada")
        assert "There is no guide at" in client.get(PATH).text
        (tmp_path / "labelling-guide.md").write_text("Grief is <sensitive>.")
        assert "Grief is &lt;sensitive&gt;." in client.get(PATH).text
