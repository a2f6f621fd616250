"""The crisis brake in people's hands: every server of the journal obeys, and none answers before it has read it."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.journal.brake import JournalBook
from serving.journal.faults import StoreDownError
from tests.serving.clients import read_rules
from tests.workbench.conftest import Bench, on_both
from tests.workbench.signing import sign_in
from tests.workbench.test_cockpit import move

pytestmark = on_both
HELD = ("agent", "crisis_brake", "held by hand: wrong prices in our answers")


def decision(client: TestClient) -> tuple[str, str, str]:
    """The action for a post that a machine would answer, and its first reason."""
    found: Any = client.post("/v1/predict", json={"text": "thanks a lot"}).json()["decision"]
    first = found["reasons"][0]
    return found["action"], first["code"], first["detail"]


def test_one_that_does_not_look_by_itself_is_held_everywhere_and_after_every_start(bench: Bench) -> None:
    with bench(brake=False) as one, bench(brake=False) as other:
        sign_in(one, "Ada")
        for client in (one, other):
            read_rules(client)
            assert decision(client)[0] == "auto_answer"
        assert move(one, "hold").status_code == 303
        assert decision(one) == HELD
        read_rules(other)  # as it does every five seconds
        assert decision(other) == HELD
    with bench(brake=False) as late:
        assert decision(late)[0] == "agent"
        read_rules(late)
        assert decision(late) == HELD
        assert late.get("/readyz").json()["brake"]["engaged"] is True
        sign_in(late, "Ben")
        assert move(late, "release", "prices are right").status_code == 303
        assert decision(late)[0] == "auto_answer"


def test_a_server_that_has_not_read_it_answers_nothing_by_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: object) -> None:
        raise StoreDownError("08006")

    def state(client: TestClient) -> str:
        return str(client.get("/readyz").json()["brake"]["state"])

    with monkeypatch.context() as patched:
        patched.setattr(JournalBook, "last", away)
        with bench() as client:
            read_rules(client)
            assert (client.get("/readyz").status_code, state(client)) == (200, "unread")
            assert decision(client)[:2] == ("agent", "brake_not_read")
            assert 'signalbox_withheld_total{why="brake_not_read"} 1.0' in client.get("/metrics").text
            patched.undo()
            read_rules(client)
            assert (decision(client)[0], state(client)) == ("auto_answer", "ok")
            patched.setattr(JournalBook, "last", away)
            read_rules(client)
            assert (decision(client)[0], state(client)) == ("auto_answer", "stale")
