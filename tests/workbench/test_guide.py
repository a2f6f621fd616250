"""The labelling guide as a page shows it: rendered here, harmless whatever stands in it, open at every label."""

import os
import re
from pathlib import Path

import pytest

from data.taxonomy import BUILT_IN, ROUTES
from serving.workbench.review.guide import Guide, read_guide
from tests.workbench.conftest import Bench
from tests.workbench.signing import sign_in

OURS = Path("data/corpus/labelling-guide.md")


def made(tmp_path: Path, text: str, *labels: str) -> Guide:
    path = tmp_path / "labelling-guide.md"
    path.write_text(text, encoding="utf-8")
    guide = read_guide(path, labels)
    assert guide is not None
    return guide


def element(guide: Guide, label: str) -> str:
    """The tag and the beginning of the place at which the guide opens for a label."""
    found = re.search(rf'<(\w+) id="{guide.places[label]}"[^>]*>\s*(?:<td[^>]*>)?\s*(.*)', guide.html)
    assert found, guide.places
    return f"{found[1]}: {found[2]}"


def test_our_own_guide_opens_at_every_label() -> None:
    guide = read_guide(OURS, (*ROUTES, *BUILT_IN.names))
    assert guide is not None
    assert set(guide.places) == {*ROUTES, *BUILT_IN.names}
    assert element(guide, "sensitive").startswith("h5: Sensitive: any of these")
    assert element(guide, "order_status").startswith("tr: <code>order_status</code>")
    assert "Intent: exactly one, the need that must be answered first" in [each.title for each in guide.sections]


def test_headings_stand_below_those_of_the_page_and_have_addresses_of_their_own(tmp_path: Path) -> None:
    guide = made(tmp_path, "# Guide\n## Route\n## Route\n###### deep\n## !\nto [the route](#route)")
    assert [(each.id, each.level) for each in guide.sections] == [
        ("guide-guide", 1), ("guide-route", 2), ("guide-route-2", 2), ("guide-deep", 6), ("guide-section", 2),
    ]  # fmt: skip
    assert '<h3 id="guide-guide">Guide</h3>' in guide.html
    assert '<h6 id="guide-deep">deep</h6>' in guide.html
    assert '<a href="#guide-route">the route</a>' in guide.html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <img src=x onerror=alert(1)> b",
        "![picture](https://example.com/x.png)",
        "[click](javascript:alert(1))",
        "[click](data:text/html;base64,PHNjcmlwdD4=)",
        "| a |\n|:-:|\n| <b onclick=x>1</b> |",
        "# <style>*{}</style>",
    ],
)
def test_nothing_of_a_guide_runs_or_is_loaded(tmp_path: Path, text: str) -> None:
    html = made(tmp_path, text).html
    assert not re.search(r"<(script|img|style|b )|<[^>]*\s(style|on\w+)=|href=\"(javascript|data):", html)
    assert re.search(r"alert|example|base64|&lt;", html), "it is shown as it was written"


def test_a_link_opens_beside_the_posts(tmp_path: Path) -> None:
    assert 'target="_blank" rel="noopener noreferrer"' in made(tmp_path, "[law](https://example.com)").html


def test_cells_are_aligned_without_a_style(tmp_path: Path) -> None:
    assert '<td class="right">1</td>' in made(tmp_path, "| a |\n|--:|\n| 1 |").html


def test_a_guide_is_made_anew_when_its_file_has_changed(tmp_path: Path) -> None:
    first = made(tmp_path, "one")
    path = tmp_path / "labelling-guide.md"
    assert read_guide(path, ()) is first
    path.write_text("two", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    again = read_guide(path, ())
    assert again is not None
    assert "two" in again.html


def test_without_a_guide_that_can_be_read_the_page_says_where_to_put_one(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "labelling-guide.md").write_bytes(b"\xff\xfe\xff")
    for directory in (tmp_path, tmp_path / "none"):
        with bench(qa_posts=directory) as client:
            sign_in(client, "Ada")
            assert "There is no guide at" in client.get("/qa/review").text


def test_the_page_shows_it_and_leads_from_the_buttons_to_its_places(bench: Bench) -> None:
    with bench(qa_posts=OURS.parent) as client:
        sign_in(client, "Ada")
        page = client.get("/qa/review").text
    assert '<h3 id="guide-labelling-guide-version-1">' in page
    for place in re.findall(r'data-guide="([^"]+)"', page):
        assert page.count(f' id="{place}"') == 1
    assert page.count("data-guide=") == len((*ROUTES, *BUILT_IN.names))
