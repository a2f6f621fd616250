"""Corrections and rules as people meet them in Chromium: from a correction to a rule that was tried first, and back."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from models.predictor import Predictor
from serving.journal.corrections import Correction, add_correction
from serving.journal.database import Database
from serving.journal.rules import standing_rules
from serving.settings import Settings
from tests.serving.clients import PATIENT_MS, WAIT_S, running_server
from tests.workbench.axe import looks, violations
from tests.workbench.conftest import OpenPage
from tests.workbench.decisions import judge

PARCELS = ("where is my parcel today please", "where is my parcel today then")


@pytest.fixture
def address(fake: Predictor, tmp_path: Path, database: Database) -> Iterator[str]:
    """The address of a server with two decisions, both corrected."""
    settings = Settings(port=0, request_timeout_ms=PATIENT_MS, journal=f"sqlite:///{tmp_path}/journal.db")
    with running_server(settings, lambda: fake) as address:
        with httpx.Client(base_url=address, timeout=WAIT_S) as client:
            for post in judge(client, database, PARCELS):
                database.write(
                    add_correction, Correction(post.prediction_id, "crm", "complex", "delivery_problem", "it was late")
                )
        yield address


def test_a_correction_becomes_a_rule_that_was_tried_first_and_is_removed(
    address: str, database: Database, open_page: OpenPage
) -> None:
    page = open_page(address, "/qa")
    for key in "gx":
        page.keyboard.press(key)
    page.wait_for_url(f"{address}/qa/corrections")
    page.locator("summary").first.click()
    for _ in looks(page):
        assert violations(page) == []
    page.get_by_role("link", name="Make a rule").first.click()
    page.get_by_role("heading", name="Forbid the machine").wait_for()
    assert "1 of 2 answers" in page.get_by_role("status").inner_text()
    page.get_by_label("of nearly the same words").check()
    page.get_by_text("2 of 2 answers").wait_for()
    for _ in looks(page):
        assert violations(page) == []
    page.get_by_label("Why (kept with your name)").fill("lost parcels")
    page.get_by_role("button", name="Make the rule").click()
    page.get_by_role("heading", name="Must-not-answer rules").wait_for()
    (rule,) = database.read(standing_rules)
    assert (rule.kind, rule.author, rule.reason) == ("near", "Ada", "lost parcels")
    page.locator("summary").click()
    for _ in looks(page):
        assert violations(page) == []
    page.get_by_label("Why? (kept with your name)").fill("they were found")
    page.get_by_role("button", name="Remove the rule").click()
    page.get_by_text("they were found").wait_for()
    assert database.read(standing_rules) == ()
