"""The page Why as people meet it in Chromium: by keys from the list to a post, its evidence, a reading, and a try."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from models.predictor import Predictor
from serving.journal.database import Database
from serving.settings import Settings
from tests.serving.clients import PATIENT_MS, WAIT_S, running_server
from tests.workbench.axe import looks, violations
from tests.workbench.conftest import OpenPage
from tests.workbench.decisions import judge, said
from tests.workbench.proving import write_proving

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATH = "/qa/why"


@pytest.fixture
def address(fake: Predictor, tmp_path: Path, database: Database) -> Iterator[str]:
    """The address of a server whose journal has some decisions, and whose corpus some labelled posts."""
    (tmp_path / "posts").mkdir()
    write_proving(tmp_path / "posts")
    journal = f"sqlite:///{tmp_path}/journal.db"
    settings = Settings(port=0, request_timeout_ms=PATIENT_MS, journal=journal, qa_posts=tmp_path / "posts")
    with running_server(settings, lambda: fake) as address:
        with httpx.Client(base_url=address, timeout=WAIT_S) as client:
            judge(client, database)
        yield address


def explained(page: "Page") -> None:
    """Nothing, once all parts of the page are there."""
    page.locator(".evidence .marked").wait_for()
    page.locator("#neighbours li").first.wait_for()


def test_a_decision_is_found_understood_and_read_by_keys_alone(
    address: str, database: Database, open_page: OpenPage
) -> None:
    page = open_page(address, PATH)
    for _ in looks(page):
        assert violations(page) == []
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    newest = page.locator(".decisions a").first
    assert page.evaluate("document.activeElement.textContent") == newest.text_content()
    page.keyboard.press("/")
    page.keyboard.type("crm-1\n")
    page.wait_for_url("**/qa/why/0*")
    explained(page)
    assert page.locator("mark.for").inner_text() == "injured"
    for _ in looks(page):
        assert violations(page) == []
    page.keyboard.press("r")
    page.keyboard.type("complex")
    page.keyboard.press("Enter")  # closes the choice, or sends the form where the browser shows none
    page.get_by_role("button", name="Keep the reading").click()
    page.get_by_text("Ada read it as complex").wait_for()
    explained(page)
    assert [review.route for review in said(database)] == ["complex"]


def test_a_post_is_tried_and_explained_without_leaving_a_trace(
    address: str, database: Database, open_page: OpenPage
) -> None:
    page = open_page(address, PATH, scheme="dark")
    page.keyboard.press("t")
    page.keyboard.type("where is my parcel?")
    page.get_by_label("Followers of the author").fill("90000")
    page.get_by_role("button", name="Judge it").click()
    explained(page)
    page.get_by_text("It would be answered automatically without what is known of the author.").wait_for()
    for _ in looks(page):
        assert violations(page) == []
    page.goto(address + PATH)
    assert page.locator(".decisions li").count() == 6


def test_other_pages_lead_to_the_story_of_a_post(address: str, open_page: OpenPage) -> None:
    page = open_page(address, "/qa/review?queue=newest")
    page.locator("#post-text").wait_for()
    page.keyboard.press("3")
    page.keyboard.press("a")
    page.locator("#last").get_by_role("link", name="Why?").click()
    page.wait_for_url("**/qa/why/0*")
    explained(page)
