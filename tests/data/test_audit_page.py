"""The page of an audit: what stands on it, that it needs nothing else, that texts cannot break it, that it fits."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data.annotation.agreement import Labelling, measure
from data.audit.clusters import find_clusters
from data.audit.page import MAX_CLUSTERS_SHOWN, MAX_SUSPECTS_SHOWN, Audited, confusions, write_audit_page
from data.audit.suspects import Kind, Suspect, Verdicts
from data.duplicates import near_duplicates
from data.post import LabelledPost
from data.sources import write_labelled
from tests.browsers import every_scheme, every_width, show
from tests.data.strategies import labelled
from tests.data.test_commands import run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TIMEOUT_MS = 240_000
"""As for the page of a check."""
HOSTILE = 'stolen </style><script>document.title="broken"</script><img src=x onerror="document.title=1"> 07700 900123'
LONG = "Donaudampfschifffahrtsgesellschaftskapitaenspatentverlaengerungsantragsformular" * 2
POSTS = [
    labelled("a", HOSTILE),
    labelled("b", HOSTILE, route="complex"),
    labelled("c", f"where is my parcel {LONG}"),
    labelled("d", "still no refund", route="complex", intent="refund_return"),
    labelled("e", "still no refund", route="complex", intent="refund_return"),
]
LABELLINGS = [
    Labelling(f"p{n}", who, {"route": route, "intent": "praise" if n else "how_to"})
    for n, routes in enumerate((("simple", "simple"), ("simple", "complex"), ("complex", "complex"), ("simple",)))
    for who, route in zip(("anna", "ben"), routes, strict=False)
]


def suspect(place: int, given: str, suggested: str, *, kind: Kind = "route", wrong: bool = True) -> Suspect:
    return Suspect(place, kind, given, suggested, 0.0123, wrong)


SUSPECTS = (
    suspect(1, "complex", "simple"),
    suspect(0, "simple", "complex"),
    suspect(2, "order_status", "delivery_problem_that_has_a_very_long_name_of_its_own", kind="intent"),
    suspect(3, "refund_return", "billing_payment", kind="intent", wrong=False),
)


def audited(posts: list[LabelledPost], suspects: tuple[Suspect, ...], *, people: bool = True) -> Audited:
    kinds: tuple[Kind, ...] = ("route", "intent")
    verdicts = {
        kind: Verdicts(kind, tuple(each for each in suspects if each.kind == kind), {"recall": 2}) for kind in kinds
    }
    clusters = find_clusters(posts, near_duplicates([post.text for post in posts]))
    agreements = [measure(LABELLINGS, kind) for kind in kinds] if people else []
    return Audited(posts, verdicts, suspects, clusters, agreements)


def written(path: Path, found: Audited) -> str:
    write_audit_page(path, found, file="posts.jsonl", review=Path("review.csv"))
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "audit.html"
    written(path, audited(POSTS, SUSPECTS))
    return path


def test_the_page_has_the_list_in_its_order_with_texts_masked(html: Path) -> None:
    text = html.read_text(encoding="utf-8")
    assert "4 labels to look at again" in text
    ranked = re.findall(r'<b>(\w+)</b> <span class="faint">or rather</span> <b>(\w+)</b>', text)
    assert ranked == [(each.given, each.suggested) for each in SUSPECTS]
    assert text.count("likely right") == 1
    assert "The route recall is not judged: its 2 posts stand in one group" in text
    assert "[phone]" in text
    assert "07700" not in text


def test_pairs_are_counted_whichever_way_and_only_where_likely_wrong() -> None:
    assert confusions(SUSPECTS, "route") == [("complex / simple", 2, 1.0)]
    assert [pair for pair, _, _ in confusions(SUSPECTS, "intent")] == [
        "delivery_problem_that_has_a_very_long_name_of_its_own / order_status"
    ]


def test_clusters_that_disagree_are_open_and_the_others_folded(html: Path) -> None:
    text = html.read_text(encoding="utf-8")
    assert re.search(r'<details class="kind warning" open>\s*<summary><h3>Labels differ <span class="tag">1<', text)
    assert re.search(r'<details class="kind">\s*<summary><h3>Labels agree <span class="tag">1<', text)
    assert set(re.findall(r'href="#(cluster-\d+)"', text)) <= set(re.findall(r'id="(cluster-\d+)"', text))


def test_the_page_says_how_far_people_agree(html: Path, tmp_path: Path) -> None:
    alpha = measure(LABELLINGS, "route").alpha
    assert alpha is not None
    text = html.read_text(encoding="utf-8")
    assert f"alpha <b>{alpha:.3f}</b>" in text
    assert "over 3 posts and 2 people" in text
    assert "simple / complex" in text or "complex / simple" in text
    alone = written(tmp_path / "alone.html", audited(POSTS, SUSPECTS, people=False))
    assert "--agreement ANNA.jsonl BEN.jsonl compares people" in alone


def test_the_page_loads_nothing_and_runs_nothing(html: Path) -> None:
    text = html.read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|<img|url\(|@import", text)
    assert len(text) < 60_000


def test_long_lists_are_cut_and_say_so_and_no_link_leads_nowhere(tmp_path: Path) -> None:
    posts = [labelled(f"p{n}{half}", f"order {n * n} {'x' * n} is late") for n in range(210) for half in "ab"]
    suspects = tuple(suspect(place, "simple", "complex") for place in range(0, 420, 2))
    text = written(tmp_path / "audit.html", audited(posts, suspects))
    assert f"The first {MAX_SUSPECTS_SHOWN} of 210; the list has all of them." in text
    assert f"The first {MAX_CLUSTERS_SHOWN} of " in text
    assert set(re.findall(r'href="#([\w-]+)"', text)) <= set(re.findall(r'id="([\w-]+)"', text))


def test_an_audit_that_found_nothing_says_so(tmp_path: Path) -> None:
    text = written(tmp_path / "audit.html", audited([labelled("a", "where is my parcel")], (), people=False))
    assert "No label has to be looked at again" in text
    assert "There are none." in text
    assert "No intent is likely wrong." in text
    assert "none could be judged: one label alone is in use" in text


def test_the_command_writes_the_page_with_the_list_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    routes = ["simple"] * 6 + ["complex"] * 6
    posts = [labelled(f"p{n}", f"post {n}", route=route) for n, route in enumerate(routes)]
    other = [post.model_copy(update={"route": "simple"}) for post in posts[:8]]
    for name, said in (("p", posts), ("ben", other)):
        write_labelled(tmp_path / f"{name}.jsonl", said)
    files = [tmp_path / "p.jsonl", tmp_path / "ben.jsonl"]
    page, review = tmp_path / "audit.html", tmp_path / "review.csv"
    code, answers, told = run(
        capsys, "audit", files[0], "--of", "route", "--most", 5, "--out", review, "--html", page, "--agreement", *files
    )
    assert (code, answers[-1]["listed"]) == (0, 5)
    assert f"The page: {page}" in told
    text = page.read_text(encoding="utf-8")
    assert "5 labels to look at again" in text
    assert str(review) in text
    assert "over 8 posts and 2 people" in text


def test_agreement_without_a_page_is_misuse_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labelled(tmp_path / "p.jsonl", POSTS)
    code, _, told = run(
        capsys, "audit", tmp_path / "p.jsonl", "--out", tmp_path / "r.csv", "--agreement", tmp_path / "p.jsonl"
    )
    assert (code, (tmp_path / "r.csv").exists()) == (2, False)
    assert "--agreement stands on the page alone: got no --html" in told


@every_width
@every_scheme
def test_the_page_fits_phones_and_desks_by_day_and_night(opened: "Page", width: int, scheme: str) -> None:
    show(opened, width, scheme)


def test_a_hostile_text_is_shown_as_text(opened: "Page") -> None:
    assert opened.title() == "Audit · posts.jsonl"
    assert 'onerror="document.title=1"' in opened.locator(".suspects .post-text").first.inner_text()


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
