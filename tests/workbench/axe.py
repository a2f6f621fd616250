"""What axe-core finds on a page, by the rules of WCAG 2.2 up to level AA."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from playwright.sync_api import Page

RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
}


def violations(page: "Page") -> list[str]:
    """Each broken rule with the first elements that break it; a page that is as it should be has none."""
    found: list[dict[str, Any]] = Axe().run(page, options=RULES).response["violations"]
    return [f"{each['id']}: {[node['target'] for node in each['nodes'][:3]]}" for each in found]


def looks(page: "Page") -> Iterator[None]:
    """Shows a page on a desk and on a phone, by day and by night, and stops at the first and last of the four.

    So all colours and all layouts are looked at, in half of the time.
    """
    for width, height in ((1280, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, scheme
            if (width, scheme) in ((1280, "light"), (390, "dark")):
                yield
