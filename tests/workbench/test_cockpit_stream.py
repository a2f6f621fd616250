"""The cockpit's stream over real connections: what comes, to whom, and that it ends when it must."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import httpx
import pytest

from models.predictor import Predictor
from serving.journal.database import Database
from serving.journal.faults import StoreDownError
from serving.journal.store import open_store
from serving.settings import Settings
from tests.serving.clients import PATIENT_MS, WAIT_S, running_server
from tests.serving.desks import made
from tests.serving.journals import address_of
from tests.workbench.conftest import write_keys
from tests.workbench.decisions import TEXTS, judge, until
from tests.workbench.proving import write_proving
from tests.workbench.signing import token_in
from tests.workbench.watching import STREAM, Events, signed_in, watched


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow upon each other at once, and a change of the keys file is seen at once."""
    monkeypatch.setattr("serving.workbench.cockpit.broadcast.ROUND_S", 0.0)
    monkeypatch.setattr("serving.auth.LOOK_EVERY_S", 0.0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(port=0, request_timeout_ms=PATIENT_MS, journal=f"sqlite:///{tmp_path}/journal.db", brake=True)


@contextmanager
def served(settings: Settings, fake: Predictor) -> Iterator[tuple[str, httpx.Client]]:
    """The address of a server, and a client that is signed in there."""
    with running_server(settings, lambda: fake) as address, closing(signed_in(address)) as client:
        yield address, client


def shown(events: Events, name: str, words: str) -> str:
    """A part of the page once it says those words, within a few hundred rounds."""
    for event, data in islice(events, 500):
        if event == "round" and words in data["parts"].get(name, ""):
            return str(data["parts"][name])
    raise AssertionError(f"{name} never said {words!r}")


def test_what_is_decided_and_done_comes_by_itself_and_only_what_has_changed(
    settings: Settings, fake: Predictor, database: Database
) -> None:
    with served(settings, fake) as (_, client), watched(client) as events:
        event, first = next(events)
        assert event == "round"
        assert {"banner", "summary", "headline", "routes_chart", "brake", "drift_words"} <= set(first["parts"])
        judge(client, database)
        assert f'<p class="value">{len(TEXTS)}</p>' in shown(events, "headline", f">{len(TEXTS)}<")
        _, later = next(events)
        assert set(later["parts"]) < set(first["parts"])
        form = {"csrf": token_in(client.get("/qa").text), "step": "hold", "why": "wrong prices"}
        assert client.post("/qa/cockpit/brake", data=form).status_code == 303
        assert "held by hand: wrong prices" in shown(events, "banner", "no machine answers")


def test_a_journal_that_is_away_is_said_and_the_figures_come_again_after_it(
    settings: Settings, fake: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreDownError("SQLITE_CANTOPEN")

    with served(settings, fake) as (_, client), watched(client) as events, monkeypatch.context() as patch:
        next(events)
        patch.setattr(Database, "read", away)
        problem = next(data["problem"] for _, data in events if data["problem"])
        assert "its database answers SQLITE_CANTOPEN" in problem
        patch.undo()
        assert next(data for _, data in events if not data["problem"])


def test_the_stream_ends_with_the_key_and_says_so(settings: Settings, fake: Predictor, tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.json", "ada", "ben")
    with running_server(settings.model_copy(update={"api_keys_file": keys}), lambda: fake) as address:
        with closing(signed_in(address, "key of ada")) as client, watched(client) as events:
            assert next(events)[0] == "round"
            write_keys(keys, "ben")
            rest = list(events)
            assert rest[-1][0] == "ended"
            assert "has been withdrawn" in rest[-1][1]
        with httpx.Client(base_url=address, timeout=WAIT_S) as stranger, watched(stranger) as events:
            assert [name for name, _ in events] == ["ended"]


def test_only_so_many_watch_and_a_connection_that_is_gone_makes_room(
    settings: Settings, fake: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.workbench.cockpit.broadcast.MOST_WATCHERS", 1)

    def first_event(client: httpx.Client) -> str:
        with watched(client) as events:
            return next(events)[0]

    with running_server(settings, lambda: fake) as address, closing(signed_in(address)) as client:
        with watched(client, span="day") as events:
            assert next(events)[0] == "round"
            with watched(client) as others:
                assert [name for name, _ in others] == ["full"]
        assert until(lambda: first_event(client), lambda name: name == "round")


def test_open_streams_do_not_hold_up_the_end_of_the_server(settings: Settings, fake: Predictor) -> None:
    with ExitStack() as open_still:
        with running_server(settings, lambda: fake) as address:
            client = open_still.enter_context(closing(signed_in(address)))
            streams = [open_still.enter_context(watched(client)) for _ in range(4)]
            assert [next(events)[0] for events in streams] == ["round"] * 4
        for events in streams:  # the server has ended; what it had sent can still be read, to a proper end
            assert {name for name, _ in events} <= {"round", "beat"}


def test_no_proxy_keeps_the_events_back(settings: Settings, fake: Predictor) -> None:
    with served(settings, fake) as (_, client), client.stream("GET", STREAM) as answer:
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["cache-control"] == "no-store, no-transform"
        assert "content-length" not in answer.headers


def test_posts_are_held_against_the_held_out_ones_once_the_desk_has_scored_them(
    settings: Settings, fake: Predictor, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.workbench.cockpit.rounds.DRIFT_EVERY", timedelta(0))
    (tmp_path / "posts").mkdir()
    write_proving(tmp_path / "posts")
    texts = [f"{letter * 5} again {letter * 3} {letter * 4} lorry" for letter in "abcdefghijklmnopqrstuvwxyz"]
    with served(settings.model_copy(update={"qa_posts": tmp_path / "posts"}), fake) as (_, client):
        judge(client, database, texts)
        with watched(client) as events:
            assert "Score them on the threshold desk" in shown(events, "drift_words", "nothing to hold the posts")
        form = {"csrf": token_in(client.get("/qa").text)}
        assert client.post("/qa/thresholds/score", data=form).status_code == 303
        until(lambda: client.get("/qa/thresholds").text, lambda page: 'id="setting"' in page)
        with watched(client) as events:
            words = shown(events, "drift_words", "held-out posts of posts: calibration")
    assert "The posts have changed" in words
    assert "A corpus that people wrote never has a live feed" in words


def test_who_came_back_is_counted_where_the_journal_knows_authors_and_is_not_guessed_elsewhere(
    settings: Settings, fake: Predictor, tmp_path: Path
) -> None:
    then = datetime.now(UTC) - timedelta(days=3)
    for handle, expected in (("@ann", "33.3 %"), (None, "Not known: the journal keeps no authors")):
        path = tmp_path / f"{handle}.db"
        other = handle and "@bob"
        posts = [(0, handle), (60, handle), (1_500, other)]
        with closing(open_store(address_of(path))) as store:
            store.write(
                [made(n, "thanks, all good", then + timedelta(minutes=n), handle=author) for n, author in posts]
            )
        own = settings.model_copy(update={"journal": f"sqlite:///{path}"})
        with served(own, fake) as (_, client), watched(client) as events:
            assert shown(events, "follow_ups", expected)
