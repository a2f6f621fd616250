"""The confusion page as people meet it in Chromium: from the choice to a post, by mouse and by keyboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from models.predictor import Predictor
from serving.settings import Settings
from tests.serving.clients import PATIENT_MS, running_server
from tests.workbench.axe import looks, violations
from tests.workbench.conftest import OpenPage
from tests.workbench.labelled import PATH, POSTS, write_posts

if TYPE_CHECKING:
    from playwright.sync_api import Page

CELL = "button[aria-label^='truly {}, said {}:']"


@pytest.fixture(scope="module")
def address(fake: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with labelled posts."""
    directory = tmp_path_factory.mktemp("confusion")
    settings = Settings(
        port=0,
        request_timeout_ms=PATIENT_MS,
        journal=f"sqlite:///{directory}/journal.db",
        qa_posts=write_posts(directory / "posts"),
    )
    with running_server(settings, lambda: fake) as address:
        yield address


def report(open_page: OpenPage, address: str, **options: object) -> "Page":
    """The page with its report, which it makes where there is none yet."""
    page = open_page(address, PATH, **options)
    page.get_by_label("Labelled posts").select_option(POSTS)
    page.get_by_role("button", name="Show").click()
    page.locator("#report, #not-yet").first.wait_for()
    if page.locator("#not-yet").count():
        page.get_by_role("button", name="Score them").click()
    page.locator("#report").wait_for()
    return page


def test_the_report_fits_and_is_accessible(address: str, open_page: OpenPage) -> None:
    page = report(open_page, address)
    for _ in looks(page):
        assert violations(page) == []
    page.click(CELL.format("sensitive", "simple"))
    page.locator("#panel .posts li").first.wait_for()
    assert violations(page) == []
    for _ in looks(page):
        box = page.locator("#panel").bounding_box()
        assert box
        assert 0 <= box["x"] < box["x"] + box["width"] <= page.evaluate("innerWidth") + 1


def test_a_cell_is_opened_and_closed_by_keyboard(address: str, open_page: OpenPage) -> None:
    page = report(open_page, address)
    page.focus(CELL.format("simple", "simple"))
    label = "document.activeElement.getAttribute('aria-label')"
    page.keyboard.press("ArrowDown")
    assert str(page.evaluate(label)).startswith("truly complex, said simple")
    page.keyboard.press("Enter")
    page.locator("#panel .posts li").first.wait_for()
    assert page.locator("#panel-title").inner_text() == "complex → simple"
    assert page.evaluate("document.activeElement.id") == "panel-title"
    page.keyboard.press("Escape")
    assert not page.locator("#panel").is_visible()
    assert str(page.evaluate(label)).startswith("truly complex, said simple")


def test_a_filter_changes_the_report_and_the_address_without_a_reload(address: str, open_page: OpenPage) -> None:
    page = report(open_page, address)
    page.evaluate("window.stayed = true")
    page.get_by_label("Platform").select_option("reddit")
    page.wait_for_url("**platform=reddit**")
    page.get_by_text("33 posts in").wait_for()
    assert page.evaluate("window.stayed")
    page.get_by_role("link", name="All posts").click()
    page.get_by_text("103 posts in").wait_for()


def test_shares_can_be_of_the_row_of_the_column_or_left_out(address: str, open_page: OpenPage) -> None:
    page = report(open_page, address)
    cell = page.locator("#routes").locator(CELL.format("sensitive", "simple"))
    of_row = cell.inner_text()
    page.locator("#routes").get_by_label("share of what was said").check()
    assert cell.inner_text() != of_row
    page.locator("#routes").get_by_label("counts alone").check()
    assert cell.inner_text().strip().isdigit()


def test_a_long_list_grows(address: str, open_page: OpenPage) -> None:
    page = report(open_page, address)
    page.click(CELL.format("simple", "simple"))
    page.get_by_role("button", name="Show more").click()
    page.wait_for_function("document.querySelectorAll('#panel .posts li').length > 20")


def test_a_picture_is_saved_as_png(address: str, tmp_path: Path, open_page: OpenPage) -> None:
    page = report(open_page, address)
    for name in ("risk", "confusion-route"):
        with page.expect_download() as download:
            page.locator(f"a[data-png='{name}.png']").click()
        download.value.save_as(tmp_path / "picture.png")
        assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "picture.png").stat().st_size > 5_000
