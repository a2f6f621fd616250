"""What a check finds, how bad it is, and what it leaves alone."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from data.checks import Finding, Report, Severity, check
from data.post import LabelledPost
from data.sources import read_labelled
from data.splits import PARTS, SplitsFile, split
from data.taxonomy import BUILT_IN, ROUTES
from tests.data.strategies import labelled, labelled_sets


def found(posts: Sequence[LabelledPost], **options: Any) -> list[tuple[Severity, str, tuple[str, ...]]]:
    """Severity, code and ids of all findings, thin labels left out."""
    return [(each.severity, each.code, each.ids) for each in check(posts, least=0, **options).findings]


def message(posts: Sequence[LabelledPost], **options: Any) -> str:
    (finding,) = check(posts, least=0, **options).findings
    return finding.message


def test_posts_that_are_in_order_give_no_findings() -> None:
    posts = [labelled("a", "where is my parcel"), labelled("b", "my parcel is late", contrast_of="a", route="complex")]
    assert check(posts, least=0) == Report(2, ())


def test_a_text_of_control_characters_is_an_empty_text() -> None:
    assert found([labelled("a", " \u200b\x00")]) == [("error", "empty_text", ("a",))]


def test_an_id_that_stands_twice_is_an_error() -> None:
    posts = [labelled("a", "where is my parcel"), labelled("a", "love the new app")]
    assert found(posts) == [("error", "duplicate_id", ("a",))]
    assert message(posts) == "The id a stands 2 times. Every post needs its own: splits go by it. Rename the others."


def test_the_same_post_twice_is_an_exact_duplicate() -> None:
    assert found([labelled("a", "@tsb where?"), labelled("b", "@rbs  WHERE?")]) == [
        ("warning", "exact_duplicate", ("a", "b"))
    ]


def test_one_text_with_the_same_facts_and_two_routes_is_an_error() -> None:
    posts = [labelled("a", "where?"), labelled("b", "where?", route="complex")]
    assert found(posts) == [("error", "two_routes", ("a", "b"))]
    assert message(posts) == (
        "a, b read the same to the model (text and facts), but have more than one route: complex, simple. "
        "Wanted one route. Read the labelling guide again and correct the labels."
    )


def test_one_text_with_the_same_facts_and_two_intents_is_a_warning() -> None:
    assert found([labelled("a", "where?"), labelled("b", "where?", intent="praise")]) == [
        ("warning", "two_intents", ("a", "b"))
    ]


@pytest.mark.parametrize(
    "facts", [{"author": {"followers": 60_000}}, {"reach": {"reposts": 800}}, {"in_reply_to": "Which train?"}]
)
def test_one_text_with_other_facts_may_rightly_have_another_route(facts: dict[str, object]) -> None:
    posts = [labelled("a", "where?"), labelled("b", "where?", route="influencer", contrast_of="a", **facts)]
    assert found(posts) == []


def test_one_text_with_other_facts_and_no_contrast_link_is_worth_a_look() -> None:
    posts = [labelled("a", "where?"), labelled("b", "where?", route="influencer", author={"followers": 60_000})]
    assert found(posts) == [("note", "near_duplicate_two_routes", ("a", "b"))]
    assert "a and b have texts that are 100% alike (simple and influencer) and no contrast link." in message(posts)


def test_near_duplicates_are_noted_unless_they_are_contrasts() -> None:
    text = "where can I track the parcel I ordered on "
    posts = [labelled("a", text + "friday"), labelled("b", text + "monday")]
    assert found(posts) == [("note", "near_duplicate", ("a", "b"))]
    flipped = labelled("b", text + "monday", contrast_of="a", route="complex")
    assert found([posts[0], flipped]) == found([flipped, posts[0]]) == []


def test_exposed_data_that_is_not_sensitive_is_a_warning() -> None:
    posts = [labelled("a", "ring 07700 900123"), labelled("b", "card 4111 1111 1111 1111", route="sensitive")]
    assert found(posts) == [("warning", "exposed_not_sensitive", ("a",))]


@pytest.mark.parametrize(
    ("facts", "codes"),
    [
        ({"author": {"followers": 49_999}, "reach": {"reposts": 499}}, []),
        ({"author": {"followers": 50_000}}, ["figures_of_influencer"]),
        ({"reach": {"reposts": 500}}, ["figures_of_influencer"]),
        ({"author": {"followers": 50_000}, "route": "sensitive"}, []),
        ({"author": {"followers": 50_000}, "route": "influencer"}, []),
    ],
)
def test_figures_over_the_guides_line_make_an_influencer(facts: dict[str, object], codes: list[str]) -> None:
    assert [code for _, code, _ in found([labelled("a", "where?", **facts)])] == codes


@pytest.mark.parametrize("target", ["gone", "a"])
def test_a_contrast_of_no_other_post_is_an_error(target: str) -> None:
    assert found([labelled("a", "where?", contrast_of=target)]) == [("error", "contrast_missing", ("a",))]


def test_a_contrast_that_flips_no_label_is_a_warning() -> None:
    posts = [labelled("a", "where is my parcel"), labelled("b", "love the new app", contrast_of="a")]
    assert found(posts) == [("warning", "contrast_without_flip", ("b", "a"))]


def test_thin_labels_are_warned_of_with_how_many_are_missing() -> None:
    findings = check([labelled("a", "where?")], least=2).findings
    assert len(findings) == len(ROUTES) + len(BUILT_IN.names)
    assert findings[0] == Finding(
        "warning", "few_labels", "The route simple has 1 posts. Wanted at least 2. Label 1 more of them."
    )


def test_rows_that_were_rejected_are_findings_with_their_place(tmp_path: Path) -> None:
    row = {"id": "a", "lang": "en", "route": "simple", "intent": "praise"}
    path = tmp_path / "a.jsonl"
    rows = [row | {"text": ""}, row | {"text": "a" * 2_001}, row | {"text": "hi", "lang": "x"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    rejects = read_labelled(path, keep_going=True).rejects
    assert [code for _, code, _ in found([], rejects=rejects)] == ["empty_text", "too_long", "schema"]
    report = check([], least=0, rejects=rejects)
    assert report.findings[2].message == (
        f"{path}, line 3, lang: got 'x'; wanted two small letters; "
        "give the two-letter ISO 639-1 code in lower case, such as en"
    )
    assert not report.passed
    assert check([], least=0, rejects=rejects, rejects_are="warning").passed


def moved(file: SplitsFile, post_id: str) -> SplitsFile:
    """The splits with one post taken out of its group into a group of its own in another part."""
    parts = {name: [tuple(i for i in ids if i != post_id) for ids in groups] for name, groups in file.parts.items()}
    home = next(name for name in PARTS if any(post_id in ids for ids in file.parts[name]))
    parts[PARTS[PARTS.index(home) - 1]].append((post_id,))
    return file.model_copy(update={"parts": parts})


def test_a_group_in_two_parts_is_leakage() -> None:
    posts = [labelled("a", "where?", in_reply_to="Hi!"), labelled("b", "love the new app", in_reply_to="Hi!")]
    file = split(posts).file
    assert found(posts, splits=file) == []
    assert found(posts, splits=moved(file, "b")) == [("error", "leakage", ("a", "b"))]


def test_a_post_in_no_part_is_an_error() -> None:
    posts = [labelled("a", "where?"), labelled("b", "love the new app")]
    assert found(posts, splits=split(posts[:1]).file) == [("error", "not_split", ("b",))]


@settings(max_examples=15)
@given(labelled_sets())
def test_our_own_splits_never_leak(posts: list[LabelledPost]) -> None:
    codes = {finding.code for finding in check(posts, splits=split(posts).file).findings}
    assert not codes & {"leakage", "not_split"}


def many() -> Report:
    errors = [Finding("error", "schema", f"row {n}") for n in range(12)]
    notes = [Finding("note", "near_duplicate", f"pair {n}", ("a", "b")) for n in range(12)]
    return Report(30, (*errors, *notes))


def test_the_text_shows_every_error_and_ten_of_every_other_kind() -> None:
    lines = many().as_text().splitlines()
    assert lines[0] == "error: schema (12)"
    assert lines[12] == "  row 11"
    assert lines[-2:] == [
        "  ... and 2 more: --report FILE writes all of them",
        "30 posts: 12 errors, 0 warnings, 12 notes",
    ]


def test_the_json_holds_every_finding() -> None:
    report = json.loads(json.dumps(many().as_json()))
    assert (report["posts"], report["passed"], len(report["findings"])) == (30, False, 24)
    assert report["findings"][-1] == {
        "severity": "note",
        "code": "near_duplicate",
        "message": "pair 11",
        "ids": ["a", "b"],
    }
