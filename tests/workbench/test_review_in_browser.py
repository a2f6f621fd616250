"""The review queue as people meet it in Chromium: by keys alone, without a connection, with a closed tab."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from models.predictor import Predictor
from serving.journal.database import Database
from serving.journal.reviews import Review
from serving.settings import Settings
from tests.serving.clients import PATIENT_MS, WAIT_S, running_server
from tests.workbench.axe import looks, violations
from tests.workbench.conftest import OpenPage
from tests.workbench.decisions import TEXTS, judge, said, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATH = "/qa/review?queue=newest"
OFFLINE = "ERR_INTERNET_DISCONNECTED"


@pytest.fixture
def address(fake: Predictor, tmp_path: Path, database: Database) -> Iterator[str]:
    """The address of a server whose journal has some decisions."""
    settings = Settings(port=0, request_timeout_ms=PATIENT_MS, journal=f"sqlite:///{tmp_path}/journal.db")
    with running_server(settings, lambda: fake) as address:
        with httpx.Client(base_url=address, timeout=WAIT_S) as client:
            judge(client, database)
        yield address


def opened(open_page: OpenPage, address: str, **options: Any) -> "Page":
    page = open_page(address, PATH, **options)
    page.locator("#post-text").wait_for()
    return page


def text(page: "Page") -> str:
    return page.locator("#post-text").inner_text()


def press(page: "Page", *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def kept(database: Database, readings: int) -> list[Review]:
    return until(lambda: said(database), lambda found: len(found) == readings)


def test_the_queue_fits_and_is_accessible(address: str, open_page: OpenPage) -> None:
    page = opened(open_page, address)
    press(page, "3")
    assert page.locator("#guide .here").inner_text().startswith("Sensitive: any of these")
    for _ in looks(page):
        assert violations(page) == []


def test_a_post_is_read_by_two_keys_and_the_next_one_comes(
    address: str, database: Database, open_page: OpenPage
) -> None:
    page = opened(open_page, address)
    first = text(page)
    press(page, "3", "a")
    page.get_by_text("Kept: sensitive").wait_for()
    assert text(page) != first
    (review,) = kept(database, 1)
    assert (review.reader, review.verdict, review.route) == ("Ada", "label", "sensitive")
    page.get_by_text("You have read 1 today").wait_for()
    press(page, "0", ".")
    assert [each.verdict for each in kept(database, 3)][1:] == ["cannot_tell", "skip"]


def test_undo_brings_the_post_back_even_after_the_page_was_loaded_again(
    address: str, database: Database, open_page: OpenPage
) -> None:
    page = opened(open_page, address)
    first = text(page)
    press(page, "1", "b")
    kept(database, 1)
    press(page, "Backspace")
    assert text(page) == first
    kept(database, 0)
    press(page, "1", "b")
    kept(database, 1)
    page.reload()
    page.locator("#post-text").wait_for()
    assert text(page) != first
    page.get_by_role("button", name="undo").click()
    page.wait_for_function("text => document.getElementById('post-text').textContent === text", arg=first)
    kept(database, 0)


def test_nothing_is_lost_without_a_connection_nor_with_a_closed_tab(
    address: str, database: Database, open_page: OpenPage
) -> None:
    page = opened(open_page, address, forgive=OFFLINE)
    page.context.set_offline(True)
    press(page, "1", "a", "4", "b")
    page.get_by_text("2 readings wait in this browser").wait_for()
    page.get_by_text("The server cannot be reached").wait_for()
    assert said(database) == []
    page.close()
    context = page.context
    context.set_offline(False)
    again = context.new_page()
    again.goto(address + PATH)
    assert [review.route for review in kept(database, 2)] == ["simple", "influencer"]
    again.wait_for_function("document.getElementById('outbox').textContent === ''")


def test_the_end_of_a_queue_is_said(address: str, database: Database, open_page: OpenPage) -> None:
    page = opened(open_page, address)
    for _ in TEXTS:
        press(page, "0")
    page.get_by_role("heading", name="Nothing left to read here").wait_for()
    kept(database, len(TEXTS))


def test_the_original_is_named_after_a_reason(address: str, open_page: OpenPage) -> None:
    page = opened(open_page, address)
    page.get_by_text("Find the original").click()
    page.get_by_label("Why must it be seen?").fill("complaint 17")
    page.get_by_role("button", name="Show its id").click()
    page.get_by_text("Its id where it came from: crm-5").wait_for()
