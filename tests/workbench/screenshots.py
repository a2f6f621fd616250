"""`python -m tests.workbench.screenshots`: the pictures of the workbench in the README, taken of the demo.

A demo's journal of its own is filled where it is not up to now (`make demo` fills the same), a server is started over
it, and each page is shown in Chromium at 1280 pixels as a reader sees it. Pictures are of one screen, or of one part.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from serving.workbench.demo.command import JOURNAL, prepare
from tests.browsers import launched_browser
from tests.serving.clients import running_server

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PICTURES = Path("docs/workbench")
POSTS = 12_000
WIDTH, HEIGHT = 1280, 720
WAIT_MS = 120_000
"""Two parts of the corpus are scored for a picture of the threshold desk: some 20 s."""
MOST_BYTES = 900_000
"""All pictures together."""


def _confusion(page: "Page") -> "Page":
    """What people read of the journal, scored, with the posts of one cell open."""
    page.goto("/qa/confusion?posts=journal%3A+last+30+days&bundle=in+service")
    page.get_by_role("button", name="Score them").click()
    page.get_by_role("heading", name="Route").first.wait_for()
    return page


def _review(page: "Page") -> "Page":
    page.goto("/qa/review?queue=uncertain")
    page.locator("#post-text").wait_for()
    page.keyboard.press("2")
    return page


def _thresholds(page: "Page") -> "Page":
    page.goto("/qa/thresholds?days=30")
    page.get_by_role("button", name="Score them").click()
    page.get_by_role("heading", name="What is proven").wait_for()
    return page


def _why(page: "Page") -> "Page":
    """An automatic answer, with what moved it."""
    post = page.request.get("/qa/review/next?queue=automatic").json()["posts"][0]
    page.goto(f"/qa/why/{post['prediction_id']}")
    page.wait_for_load_state("networkidle")
    return page


def _cockpit(page: "Page") -> "Page":
    """The last day, with the outage in it."""
    page.goto("/qa/cockpit?span=day")
    page.get_by_text("Not live yet").wait_for(state="hidden")
    return page


def _drift(page: "Page") -> "Locator":
    """What the cockpit says at its foot of the campaign."""
    _cockpit(page)
    drift = page.locator("section", has=page.get_by_role("heading", name="Drift"))
    drift.get_by_text("A classifier of words").wait_for()
    drift.get_by_text("Figures").click()
    return drift


def _risk(page: "Page") -> "Page":
    page.goto("/qa/risk")
    page.wait_for_load_state("networkidle")
    return page


SHOTS: Mapping[str, Callable[["Page"], "Page | Locator"]] = MappingProxyType(
    {
        "cockpit": _cockpit,
        "drift": _drift,
        "confusion": _confusion,
        "why": _why,
        "review": _review,
        "risk": _risk,
        "thresholds": _thresholds,
    }
)
"""The pictures by the names of their files."""


def take(address: str, directory: Path) -> dict[str, int]:
    """The sizes of the pictures in bytes, by their names, once they lie in `directory`."""
    with launched_browser() as browser:
        page = browser.new_context(
            base_url=address, viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", reduced_motion="reduce"
        ).new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto("/qa")
        page.get_by_label("Your name").fill("Ada")
        page.get_by_role("button", name="Begin").click()
        for name, show in SHOTS.items():
            show(page).screenshot(path=directory / f"{name}.png")
    return {name: (directory / f"{name}.png").stat().st_size for name in SHOTS}


def main() -> int:
    """The exit code: 0 the pictures are there, 1 they are too large together, and none was replaced."""
    settings, predictor, _ = prepare(JOURNAL, posts=POSTS, fresh=False, host=None, port=0, bundle=None)
    with running_server(settings, lambda: predictor) as address, tempfile.TemporaryDirectory() as scratch:
        sizes = take(address, Path(scratch))
        small = sum(sizes.values()) <= MOST_BYTES
        if small:
            PICTURES.mkdir(exist_ok=True)
            for name in sizes:
                (PICTURES / f"{name}.png").write_bytes((Path(scratch) / f"{name}.png").read_bytes())
    sys.stdout.write(json.dumps({"pictures": sizes, "bytes": sum(sizes.values()), "most_bytes": MOST_BYTES}) + "\n")
    return 0 if small else 1


if __name__ == "__main__":
    sys.exit(main())
