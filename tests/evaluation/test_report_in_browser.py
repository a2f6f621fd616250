"""The confusion report as people meet it: opened from disk in Chromium, by mouse and by keyboard."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evaluation.predictions import predict_posts
from evaluation.report.page import Origin, write_report
from tests.browsers import every_scheme, every_width, show
from tests.evaluation.populations import labelled_post, labelled_posts, predictor
from tests.fakes import BOLD_POLICY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TIMEOUT_MS = 240_000
"""A browser takes two seconds to start; on a machine that trains a model beside it, a minute was seen."""
HOSTILE = 'my parcel </script><script>document.title="broken"</script><img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on 12 posts of each row, so that a cell has more than one page of posts."""
    posts = [*labelled_posts(12, 2), labelled_post(990, (HOSTILE, "sensitive", "privacy_data"))]
    predictions = predict_posts(predictor(), posts, progress=False)
    origin = Origin("2026.11.22+fake00", "int8", "posts.jsonl", None, (), datetime(2026, 11, 22, tzinfo=UTC))
    return write_report(tmp_path_factory.mktemp("report"), origin, predictions, BOLD_POLICY).html


@pytest.fixture(scope="module")
def problems() -> list[str]:
    """Errors in the console, and requests for anything but the file itself."""
    return []


@pytest.fixture(scope="module")
def opened(browser: "Browser", html: Path, problems: list[str]) -> Iterator["Page"]:
    """The report in a window, opened once: parsing its five megabytes takes seconds on a busy machine."""
    with browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce") as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: problems.append(request.url) if _leaves(request.url) else None)
        page.goto(html.as_uri())
        yield page


def _leaves(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))


@pytest.fixture
def page(opened: "Page", problems: list[str]) -> Iterator["Page"]:
    """The report with its panel closed."""
    yield opened
    opened.evaluate("document.getElementById('panel').close()")
    assert problems == []


def _cell(page: "Page", true: str, said: str) -> str:
    return f"#route-matrix button[aria-label^='truly {true}, said {said}:']"


def test_a_click_on_a_cell_opens_its_posts(page: "Page") -> None:
    page.click(_cell(page, "sensitive", "simple"))
    panel = page.locator("#panel")
    assert panel.is_visible()
    assert panel.locator("h2").inner_text() == "sensitive → simple"
    assert panel.locator("#panel-count").inner_text() == "3 posts"
    texts = panel.locator(".post-text").all_inner_texts()
    assert len(texts) == 3
    assert all("my parcel" in text for text in texts)
    first = panel.locator("li").first.inner_text()
    assert "leak" in first
    assert "sensitive → simple" in first
    assert "auto_answer (auto)" in first
    assert "simple_over_threshold" in first


def test_the_posts_of_a_cell_can_be_searched(page: "Page") -> None:
    page.click(_cell(page, "complex", "complex"))
    assert page.locator("#panel-count").inner_text() == "24 posts"
    page.fill("#panel-search", "MONDAY nothing")
    assert page.locator("#panel-count").inner_text() == "12 of 24 posts match"
    assert all("ordered on monday" in text for text in page.locator("#panel .post-text").all_inner_texts())
    page.fill("#panel-search", "no such words")
    assert page.locator("#panel-count").inner_text() == "0 of 24 posts match"


def test_a_long_list_grows_by_pages_and_says_how_far_it_is(page: "Page") -> None:
    page.click(_cell(page, "complex", "complex"))
    assert page.locator("#panel-posts > li").count() == 20
    assert page.locator("#panel-more").inner_text() == "Show 4 more (20 of 24)"
    page.click("#panel-more")
    assert page.locator("#panel-posts > li").count() == 24
    assert page.locator("#panel-more").is_hidden()


def test_everything_can_be_done_by_keyboard(page: "Page") -> None:
    page.focus(_cell(page, "simple", "simple"))
    page.keyboard.press("ArrowDown")
    focused = "document.activeElement.getAttribute('aria-label')"
    assert str(page.evaluate(focused)).startswith("truly complex, said simple")
    page.keyboard.press("ArrowRight")
    assert str(page.evaluate(focused)).startswith("truly complex, said complex")
    page.keyboard.press("Enter")
    assert page.locator("#panel").is_visible()
    assert page.evaluate("document.activeElement.id") == "panel-title"
    page.keyboard.press("Escape")
    assert page.locator("#panel").is_hidden()
    assert str(page.evaluate(focused)).startswith("truly complex, said complex")


def test_cells_of_intents_and_decisions_open_their_posts_too(page: "Page") -> None:
    page.click("#intent-matrix button[aria-label^='truly change_cancel, said order_status:']")
    assert page.locator("#panel-count").inner_text() == "2 posts"
    page.click("#panel-close")
    page.click("#decisions button[aria-label^='auto_answer, truly influencer']")
    assert page.locator("#panel h2").inner_text() == "influencer → auto_answer"
    assert all("my show" in text for text in page.locator("#panel .post-text").all_inner_texts())


def test_shares_can_be_of_the_row_or_of_the_column(page: "Page") -> None:
    cell = page.locator(_cell(page, "sensitive", "simple"))
    assert cell.inner_text().split() == ["3", "11.1", "%"]
    page.check("input[name=route-share][value=column]")
    assert cell.inner_text().split() == ["3", "6.7", "%"]


def test_the_worst_error_stands_first_and_is_a_leak(page: "Page") -> None:
    assert page.locator("#worst > li").first.get_attribute("class") == "leak"


def test_a_hostile_post_is_shown_as_text_and_nothing_else(page: "Page") -> None:
    assert page.title() == "Confusion report · 2026.11.22+fake00"
    page.click(_cell(page, "sensitive", "simple"))
    assert any(HOSTILE in text for text in page.locator("#panel .post-text").all_inner_texts())
    assert page.locator("#panel img").count() == 0


def test_both_diagrams_are_drawn(page: "Page") -> None:
    for name, curves in (("reliability", 3), ("risk", 2)):
        assert page.locator(f"#plot-{name} .scatterlayer .trace").count() == curves


@every_width
@every_scheme
def test_the_page_fits_phones_and_desks_by_day_and_night(page: "Page", width: int, scheme: str) -> None:
    show(page, width, scheme)
    page.click(_cell(page, "sensitive", "simple"))
    box = page.locator("#panel").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] == pytest.approx(width)
