"""The risk monitor as people meet it in Chromium: from the overview to the page, its diagrams, and the draw."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.predictor import Predictor
from serving.journal.database import Database
from serving.journal.lotteries import lotteries, set_lottery
from serving.settings import Settings
from tests.serving.clients import PATIENT_MS, running_server
from tests.workbench.axe import looks, violations
from tests.workbench.conftest import OpenPage
from tests.workbench.test_risk import give, read


@pytest.fixture
def address(fake: Predictor, tmp_path: Path, database: Database) -> Iterator[str]:
    """The address of a server some of whose automatic answers were drawn and read."""
    begun = database.write(set_lottery, chance=1.0, by="ann").since
    give(tmp_path, 40, begun)
    for place in range(30):
        read(database, place, "complex" if place % 3 == 0 else "simple")
    settings = Settings(port=0, request_timeout_ms=PATIENT_MS, journal=f"sqlite:///{tmp_path}/journal.db")
    with running_server(settings, lambda: fake) as address:
        yield address


def test_the_monitor_is_seen_on_the_overview_fits_and_its_draw_is_set(
    address: str, database: Database, open_page: OpenPage
) -> None:
    page = open_page(address)
    page.get_by_text("Alarm: more than 10.0 %").wait_for()
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.get_by_role("heading", name="Alarm: the promise is broken").wait_for()
    assert page.locator(".chart svg").count() == 2
    for _ in looks(page):
        assert violations(page) == []
    page.get_by_label("Percent of the automatic answers").fill("7")
    page.keyboard.press("Enter")
    page.get_by_role("cell", name="7.00 %").wait_for()
    assert [each.chance for each in database.read(lotteries)] == [1.0, 0.07]
