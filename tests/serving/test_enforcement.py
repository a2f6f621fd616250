"""The policy that people put in force: it decides, after a start and a reload too, until they go back from it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from models.policy import Policy, Thresholds
from serving.journal.database import Database
from serving.journal.policies import roll_back_policy
from tests.fakes import BOLD_POLICY
from tests.serving.clients import Serve, read_rules
from tests.serving.desks import put_in_force
from tests.serving.journals import PREDICTOR, address_of

MODEL = PREDICTOR.bundle.manifest.model_version
POST = {"text": "where is my parcel?"}


def shy(version: str) -> Policy:
    return BOLD_POLICY.model_copy(update={"version": version, "thresholds": Thresholds(simple=1.0)})


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def desk(journal: Path) -> Iterator[Database]:
    with closing(Database(address_of(journal))) as database:
        yield database


def judged(client: TestClient) -> tuple[str, str]:
    """The policy that decided, and the action, once the journal was read again."""
    read_rules(client)
    answer = client.post("/v1/predict", json=POST).json()
    return answer["versions"]["policy"], answer["decision"]["action"]


def test_a_version_decides_once_it_is_put_in_force_and_no_more_once_people_went_back(
    serve: Serve, journal: Path, desk: Database
) -> None:
    with serve(journal=f"sqlite:///{journal}") as client:
        assert judged(client) == ("7", "auto_answer")
        put_in_force(desk, shy("8"), base=BOLD_POLICY, model=MODEL)
        assert judged(client) == ("8", "agent")
        described = client.get("/v1/model").json()
        assert (described["versions"]["policy"], described["policy_source"]) == ("8", "workbench")
        put_in_force(
            desk, BOLD_POLICY.model_copy(update={"version": "9", "no_reply_intents": ()}), base=BOLD_POLICY, model=MODEL
        )
        assert judged(client) == ("9", "auto_answer")
        desk.write(roll_back_policy, by="ann", reason="too bold")
        assert judged(client) == ("8", "agent")
        desk.write(roll_back_policy, by="ann", reason="and too shy")
        assert judged(client) == ("7", "auto_answer")


def test_it_decides_from_the_first_answer_that_the_machine_may_give_after_a_start(
    serve: Serve, journal: Path, desk: Database
) -> None:
    put_in_force(desk, shy("8"), base=BOLD_POLICY, model=MODEL)
    with serve(journal=f"sqlite:///{journal}") as client:
        first = client.post("/v1/predict", json=POST).json()
        assert first["decision"]["action"] == "agent", "not read yet, or in force"
        assert judged(client) == ("8", "agent")


def test_a_version_for_another_model_changes_nothing(serve: Serve, journal: Path, desk: Database) -> None:
    put_in_force(desk, shy("8"), base=BOLD_POLICY, model="2026.01.01+0ther0")
    with serve(journal=f"sqlite:///{journal}") as client:
        assert judged(client) == ("7", "auto_answer")


def test_one_that_cannot_be_put_in_force_is_said_and_the_one_before_goes_on(
    serve: Serve, journal: Path, desk: Database
) -> None:
    with serve(journal=f"sqlite:///{journal}", override=BOLD_POLICY.model_copy(update={"version": "8"})) as client:
        assert judged(client) == ("8", "auto_answer")
        put_in_force(
            desk, shy("8"), base=BOLD_POLICY, model=MODEL
        )  # the name of the server's own policy, with another content
        assert judged(client) == ("8", "auto_answer")
        assert client.get("/readyz").json()["rules"]["state"] == "stale"
        desk.write(roll_back_policy, by="ann", reason="a name twice")
        assert judged(client) == ("8", "auto_answer")
        assert client.get("/readyz").json()["rules"]["state"] == "ok"
