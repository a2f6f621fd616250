"""`data.annotation.agreement`: Krippendorff's alpha against his own examples, its interval, confusions, majorities."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.annotation.agreement import Agreement, Labelling, krippendorff_alpha, majority, measure
from tests.data.strategies import labelled
from tests.data.test_commands import run

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): B (two observers, nominal) and C (four, gaps).
MEG = ["a", "a", "b", "b", "d", "c", "c", "c", "e", "d", "d", "a"]
OWEN = ["b", "a", "b", "b", "b", "c", "c", "c", "e", "d", "d", "d"]
FOUR = [
    ["1", "2", "3", "3", "2", "1", "4", "1", "2", ".", ".", "."],
    ["1", "2", "3", "3", "2", "2", "4", "1", "2", "5", ".", "3"],
    [".", "3", "3", "3", "2", "3", "4", "2", "2", "5", "1", "."],
    ["1", "2", "3", "3", "2", "4", "4", "1", "2", "5", "1", "."],
]


def said(*people: list[str]) -> list[Labelling]:
    return [
        Labelling(f"p{post}", f"person {n}", {"route": label})
        for n, labels in enumerate(people)
        for post, label in enumerate(labels)
        if label != "."
    ]


def test_alpha_is_that_of_the_textbook_for_two_observers() -> None:
    assert krippendorff_alpha(list(zip(MEG, OWEN, strict=True))) == pytest.approx(0.692, abs=5e-4)


def test_alpha_is_that_of_the_textbook_for_four_observers_with_gaps() -> None:
    agreement = measure(said(*FOUR), "route")
    assert agreement.alpha == pytest.approx(0.743, abs=5e-4)
    assert (agreement.posts, agreement.annotators, agreement.labels) == (11, 4, ("1", "2", "3", "4", "5"))
    # The coincidences as the paper prints them.
    assert agreement.coincidences[0] == pytest.approx((7, 4 / 3, 1 / 3, 1 / 3, 0))
    assert agreement.coincidences[2] == pytest.approx((1 / 3, 4 / 3, 8, 1 / 3, 0))


def test_the_interval_holds_alpha_and_is_the_same_each_time() -> None:
    one, other = measure(said(*FOUR), "route"), measure(said(*FOUR), "route")
    assert one == other
    assert one.alpha is not None
    assert one.low is not None
    assert one.high is not None
    assert 0 < one.low < one.alpha < one.high <= 1


def test_people_who_always_agree_have_alpha_1_and_no_confusions() -> None:
    agreement = measure(said(MEG, MEG), "route")
    assert (agreement.alpha, agreement.low, agreement.high, agreement.confusions) == (1.0, 1.0, 1.0, [])


@pytest.mark.parametrize("people", [[MEG], [["a"] * 12, ["a"] * 12]])
def test_there_is_no_alpha_where_nothing_can_differ(people: list[list[str]]) -> None:
    agreement = measure(said(*people), "route")
    assert agreement.alpha is None
    assert agreement.as_text().startswith("route: no alpha; it needs posts that two people labelled")


def test_labels_that_are_taken_for_each_other_are_named() -> None:
    agreement: Agreement = measure(said(MEG, OWEN), "route")
    assert agreement.confusions == [("b", "a", 1.0), ("d", "a", 1.0), ("d", "b", 1.0)]
    assert agreement.agreed("c") == 1
    assert agreement.agreed("a") == pytest.approx(0.5)


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=2, max_size=4), min_size=2, max_size=20), st.randoms())
def test_alpha_does_not_depend_on_the_order_of_people_or_posts(units: list[list[str]], random: object) -> None:
    shuffled = [sorted(unit, reverse=True) for unit in reversed(units)]
    one, other = krippendorff_alpha(units), krippendorff_alpha(shuffled)
    assert (one is None) == (other is None)
    assert one is None or other is None or (one == pytest.approx(other) and one <= 1)


def test_a_majority_is_more_than_any_other_label_has() -> None:
    labellings = said(["a", "a", "a"], ["a", "b", "b"], ["b", "b", "c"])
    assert majority(labellings, "route") == {"p0": "a", "p1": "b"}


def write(path: Path, *lines: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def line(post_id: str, route: str, **beside: object) -> dict[str, object]:
    return labelled(post_id, "where?", route=route).model_dump(mode="json", exclude={"posted_at"}) | beside


def test_one_file_a_person_gives_the_agreement_and_the_majority(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    routes = {"anna": "simple complex simple", "ben": "simple complex complex", "cleo": "simple complex sensitive"}
    files = [
        write(tmp_path / f"{name}.jsonl", *[line(f"p{n}", route) for n, route in enumerate(said.split())])
        for name, said in routes.items()
    ]
    code, answers, told = run(capsys, "agreement", *files, "--out", tmp_path / "agreed.jsonl")
    assert (code, answers[-1]["route"]["posts"], answers[-1]["intent"]["alpha"]) == (0, 3, None)
    assert answers[-1]["majority"] == {"out": str(tmp_path / "agreed.jsonl"), "posts": 2, "undecided": ["p2"]}
    assert "over 3 posts and 3 people" in told
    assert [json.loads(text)["route"] for text in (tmp_path / "agreed.jsonl").read_text().splitlines()] == [
        "simple",
        "complex",
    ]


def test_one_file_may_say_who_labelled_each_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(
        tmp_path / "all.jsonl",
        *[line("a", "simple", annotator=who) for who in ("anna", "ben")],
        *[line("b", "complex", annotator=who) for who in ("anna", "ben")],
    )
    code, answers, _ = run(capsys, "agreement", file)
    assert (code, answers[-1]["route"]["alpha"], answers[-1]["route"]["annotators"]) == (0, 1.0, 2)


def test_a_file_that_does_not_say_who_labelled_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, answers, told = run(capsys, "agreement", write(tmp_path / "a.jsonl", line("a", "simple")))
    assert (code, answers) == (2, [])
    assert "does not say who labelled the post a: it has no field 'annotator'." in told
