"""The comparison as people meet it: opened in Chromium, searched, by day and night, at a desk and on a phone."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data.sources import write_labelled
from evaluation.__main__ import main
from tests.evaluation.populations import labelled_post
from tests.models.tiny_bundle import write_tiny_bundle
from tests.models.tiny_model import MEANING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TIMEOUT_MS = 240_000
"""As for the confusion report: on a machine that trains a model beside it, a browser took a minute."""
HOSTILE = "injured </script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("comparison")
    write_tiny_bundle(directory / "one", version="one", golden=())
    worse = {**MEANING, "injured": ("simple", "order_status")}
    write_tiny_bundle(directory / "two", version="two", meaning=worse, golden=())
    texts = [HOSTILE, *(f"a cyclist was injured there {number}" for number in range(4))]
    posts = [labelled_post(n, ("x", "sensitive", "safety_health"), text=text) for n, text in enumerate(texts)]
    write_labelled(
        directory / "posts.jsonl", [*posts, labelled_post(9, ("where is my parcel", "simple", "order_status"))]
    )
    sides = [str(directory / name) for name in ("one", "two", "posts.jsonl")]
    assert main(["compare", *sides, "--out", str(directory / "out")]) == 1
    return directory / "out" / "comparison.html"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_shows_the_verdict_and_finds_what_got_worse(
    browser: "Browser", html: Path, width: int, scheme: str
) -> None:
    problems: list[str] = []
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as context:  # type: ignore[arg-type]  # one of two names
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
        page.goto(html.as_uri())
        assert page.locator("#verdict h2").inner_text() == "The gate is not passed"
        assert page.locator("#checks li.open strong").first.inner_text()
        assert page.locator("#flip-list > li").count() == 5
        assert page.locator("#flip-list img").count() == 0
        page.fill("#flip-search", "CYCLIST post-0002")
        assert page.locator("#flip-count").inner_text() == "1 of 5 posts match"
        assert page.locator("#flip-list > li:visible").count() == 1
        for name in ("differences", "reliability", "risk"):
            assert page.locator(f"#plot-{name} .scatterlayer .trace").count() > 0
        assert page.evaluate("document.documentElement.scrollWidth") == width
    assert problems == []
