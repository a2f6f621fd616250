"""The wall clock steps by years while posts are judged: deadlines are of another clock, and no answer is lost."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from models.guards import Guards, LanguageDetector
from models.predictor import Predictor
from serving.app import create_app
from serving.settings import Settings
from tests.fakes import BOLD_POLICY, NOW, FakeClassifier, fake_bundle
from tests.serving.clients import PATIENT_MS, WAIT_S, service_of

TEN_YEARS = timedelta(days=3_650)


def test_a_step_of_the_wall_clock_changes_no_deadline_and_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = [NOW]

    def wall_s() -> float:
        return wall[0].timestamp()

    predictor = Predictor(fake_bundle(BOLD_POLICY), FakeClassifier(), Guards(LanguageDetector()), now=lambda: wall[0])
    with TestClient(create_app(Settings(request_timeout_ms=PATIENT_MS, journal="off"), lambda: predictor)) as client:
        assert service_of(client).settled.wait(WAIT_S)
        monkeypatch.setattr(time, "time", wall_s)
        for step in (TEN_YEARS, -2 * TEN_YEARS, TEN_YEARS):
            wall[0] += step
            for posted_at in (NOW, NOW - TEN_YEARS, NOW + TEN_YEARS, datetime(1970, 1, 1, tzinfo=UTC)):
                text = f"where is my parcel of {step} {posted_at:%Y}?"
                response = client.post("/v1/predict", json={"text": text, "posted_at": posted_at.isoformat()})
                assert response.status_code == 200, response.text
                due = response.json()["due"]
                assert datetime.fromisoformat(due["acknowledge_by"]) - posted_at == timedelta(minutes=15)
                assert response.json()["route"]["label"] == "simple"
        assert client.get("/readyz").status_code == 200
