"""The threshold desk as people meet it in Chromium: a slider moves, the page follows, the proposal is what it says."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from models.predictor import Predictor
from serving.settings import Settings
from tests.serving.clients import PATIENT_MS, running_server
from tests.workbench.axe import looks, violations
from tests.workbench.conftest import OpenPage
from tests.workbench.proving import write_proving

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATH = "/qa/thresholds"


@pytest.fixture(scope="module")
def address(fake: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory: Path = tmp_path_factory.mktemp("desk")
    write_proving(directory)
    journal = f"sqlite:///{directory}/journal.db"
    settings = Settings(port=0, request_timeout_ms=PATIENT_MS, journal=journal, qa_posts=directory)
    with running_server(settings, lambda: fake) as address:
        yield address


def desk(open_page: OpenPage, address: str) -> "Page":
    """The page with its desk, which is opened where it is not yet."""
    page = open_page(address, PATH)
    page.locator("#setting, #closed").first.wait_for()
    if page.locator("#closed").count():
        page.get_by_role("button", name="Score them").click()
    page.get_by_role("heading", name="What is proven").wait_for()
    return page


def move(page: "Page", label: str, value: str) -> None:
    page.get_by_label(label).fill(value)


def test_the_desk_fits_and_is_accessible(address: str, open_page: OpenPage) -> None:
    page = desk(open_page, address)
    for _ in looks(page):
        assert violations(page) == []


def test_a_slider_moves_the_figures_and_the_proposal_is_what_it_says(address: str, open_page: OpenPage) -> None:
    page = desk(open_page, address)
    for label in ("Sensitive posts closed", "Influencer posts closed", "Closings that are wrong"):
        move(page, label, "0.5")
    page.get_by_text("This budget cannot be proven").wait_for()
    for label in ("Sensitive posts closed", "Influencer posts closed", "Closings that are wrong"):
        move(page, label, "15")
    page.get_by_label("Confidence of the proof").select_option("90")
    page.get_by_text("This budget cannot be proven").wait_for(state="detached")
    assert page.locator("#o-leak_sensitive").inner_text() == "15.0 %"
    page.get_by_label("Name of the version").fill("9")
    page.get_by_label("Why").fill("fewer calls")
    page.get_by_role("button", name="Propose").click()
    page.get_by_role("heading", name="9 proposed").wait_for()
    page.get_by_text("What it changes").click()
    row = page.get_by_role("row", name="budget.leak_sensitive")
    assert row.inner_text().split() == ["budget.leak_sensitive", "0.02", "0.15"]
    assert not page.get_by_role("button", name="Approve 9").is_visible()
    assert violations(page) == []
