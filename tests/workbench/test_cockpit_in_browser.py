"""The cockpit as people meet it in Chromium: it fits, it is read, it comes by itself, and it says when it does not."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from models.predictor import Predictor
from serving.journal.database import Database
from serving.settings import Settings
from tests.serving.clients import PATIENT_MS, WAIT_S, running_server
from tests.workbench.axe import looks, violations
from tests.workbench.conftest import OpenPage
from tests.workbench.decisions import TEXTS, judge

PATH = "/qa/cockpit"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("serving.workbench.cockpit.broadcast.ROUND_S", 0.0)
    return Settings(port=0, request_timeout_ms=PATIENT_MS, journal=f"sqlite:///{tmp_path}/journal.db", brake=True)


@pytest.fixture
def address(settings: Settings, fake: Predictor) -> Iterator[str]:
    with running_server(settings, lambda: fake) as address:
        yield address


def test_the_cockpit_comes_alive_by_itself_fits_and_is_accessible(
    address: str, database: Database, open_page: OpenPage
) -> None:
    page = open_page(address, PATH)
    page.get_by_text("Live, as of").wait_for()
    page.get_by_text("Nothing was decided in this time.").first.wait_for()
    page.get_by_text("Figures", exact=True).nth(1).click()
    with httpx.Client(base_url=address, timeout=WAIT_S) as machine:
        judge(machine, database)
    page.locator("#part-headline .value", has_text=str(len(TEXTS))).first.wait_for()
    page.get_by_role("img", name="Last hour, by minute").first.wait_for()
    rows = page.locator("#part-routes_rows tr")
    assert rows.first.is_visible(), "what was opened stays open"
    for _ in looks(page):
        assert violations(page) == []


def test_the_brake_is_moved_by_keyboard_and_its_banner_comes_to_other_windows(
    address: str, open_page: OpenPage
) -> None:
    page, other = open_page(address, PATH), open_page(address, "/qa")
    other.get_by_text("Live, as of").wait_for()
    page.get_by_label("Why it must hold").focus()
    page.keyboard.type("wrong prices")
    page.keyboard.press("Enter")
    page.get_by_text("Held by hand, it lets go by hand alone.").wait_for()
    assert not page.get_by_role("button", name="Hold it by hand").is_visible()
    other.get_by_text("no machine answers").first.wait_for()
    other.bring_to_front()
    for _ in looks(other):
        assert violations(other) == []
    page.bring_to_front()
    for _ in looks(page):
        assert violations(page) == []
    page.get_by_label("Why it may let go").fill("prices are right")
    page.keyboard.press("Enter")
    page.get_by_text("Does not hold", exact=True).wait_for()
    other.bring_to_front()
    other.wait_for_function("!document.querySelector('.alarm')")


def test_a_broken_stream_is_said_with_its_time_and_comes_back(address: str, open_page: OpenPage) -> None:
    page = open_page(address, PATH, forgive="ERR_")
    page.get_by_text("Live, as of").wait_for()
    page.route("**/stream*", lambda route: route.abort())
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # the page opens its stream anew
    page.get_by_text("Not live since").wait_for()
    page.unroute("**/stream*")
    page.get_by_text("Live, as of").wait_for()


def test_the_end_of_the_server_is_said(settings: Settings, fake: Predictor, open_page: OpenPage) -> None:
    with running_server(settings, lambda: fake) as address:
        page = open_page(address, PATH, forgive="ERR_")
        page.get_by_text("Live, as of").wait_for()
    page.get_by_text("Not live since").wait_for()
