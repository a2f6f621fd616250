"""The page of a check: what stands on it, that it needs nothing else, and that texts cannot break it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from data.checks import Code, check
from data.page import MAX_FINDINGS_SHOWN, MEANINGS, write_page
from data.post import LabelledPost
from data.sources import read_labelled, write_labelled
from tests.browsers import every_scheme, every_width, show
from tests.data.strategies import labelled
from tests.data.test_commands import run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TIMEOUT_MS = 240_000
"""As for the confusion report: a browser may start slowly on a busy machine."""
HOSTILE = 'stolen </style><script>document.title="broken"</script><img src=x onerror="document.title=1"> 07700 900123'
POSTS = [
    labelled("a", HOSTILE),
    labelled("b", HOSTILE, route="complex"),
    labelled("c", "Gr\u00c3\u00bc\u00c3\u0178e aus K\u00c3\u00b6ln, sch\u00c3\u00b6n war es"),
    labelled("d", "where is my parcel"),
    labelled("e", "where is my parcel"),
]


def written(path: Path, posts: list[LabelledPost], least: int = 2) -> str:
    write_page(path, check(posts, least=least), posts, files=["posts.csv"], least=least)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "check.html"
    written(path, POSTS)
    return path


def test_every_kind_of_finding_is_explained_in_words() -> None:
    assert set(MEANINGS) == set(get_args(Code))


def test_the_page_has_every_finding_with_its_texts_masked(html: Path) -> None:
    text = html.read_text(encoding="utf-8")
    assert "To be mended before training" in text
    for told in ("two_routes", "unreadable_text", "exact_duplicate", "exposed_not_sensitive", "few_labels"):
        assert told in text
    assert "[phone]" in text
    assert "07700" not in text


def test_the_page_loads_nothing_and_runs_nothing(html: Path) -> None:
    text = html.read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|<img|url\(|@import", text)
    assert len(text) < 60_000


def test_labels_with_too_few_posts_are_marked(tmp_path: Path) -> None:
    text = written(tmp_path / "check.html", POSTS)
    bars = dict(re.findall(r"<dt>(\w+)</dt>\s*<dd( class=\"few\")?>", text))
    assert (bars["simple"], bars["complex"]) == ("", ' class="few"')


def test_a_long_list_is_cut_and_says_so(tmp_path: Path) -> None:
    posts = [labelled(f"p{n}", f"ring 07700 9{n:05} about order {n * n}") for n in range(MAX_FINDINGS_SHOWN + 5)]
    text = written(tmp_path / "check.html", posts, least=0)
    assert f"The first {MAX_FINDINGS_SHOWN} of {MAX_FINDINGS_SHOWN + 5}; --report FILE writes all of them." in text


def test_a_set_without_faults_says_so(tmp_path: Path) -> None:
    text = written(tmp_path / "check.html", [labelled("a", "where is my parcel")], least=0)
    assert "Nothing has to be mended" in text
    assert "Nothing was found." in text


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_labelled(tmp_path / "p.jsonl", POSTS)
    code, _, told = run(capsys, "check", tmp_path / "p.jsonl", "--html", tmp_path / "check.html")
    assert code == 1
    assert f"The page: {tmp_path / 'check.html'}" in told
    assert str(tmp_path / "p.jsonl") in (tmp_path / "check.html").read_text()


@every_width
@every_scheme
def test_the_page_fits_phones_and_desks_by_day_and_night(opened: "Page", width: int, scheme: str) -> None:
    show(opened, width, scheme)


def test_a_hostile_text_is_shown_as_text_and_findings_open(opened: "Page") -> None:
    assert opened.title() == "Check · posts.csv"
    assert 'onerror="document.title=1"' in opened.locator(".kind.error dd").first.inner_text()
    folded = opened.locator(".kind.warning").first
    assert folded.get_attribute("open") is None
    folded.locator("summary").click()
    assert folded.locator(".found").is_visible()


@pytest.fixture(scope="module")
def opened(browser: "Browser", html: Path) -> Iterator["Page"]:
    """The page in a window, which may ask for nothing but the file itself."""
    asked: list[str] = []
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(html.as_uri())
        yield page
    assert asked == [html.as_uri()]


def test_our_own_corpus_has_no_wrong_encoding() -> None:
    findings = check(read_labelled("data/corpus/messy.jsonl").posts[:300]).findings
    assert not [finding for finding in findings if finding.code == "unreadable_text" and "encoding" in finding.message]
