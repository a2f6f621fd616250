"""The behaviour suite: its file, its rewritings, what each expectation refuses, and its command."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.__main__ import main
from evaluation.behaviour.capabilities import CasesError, CasesFile, read_cases
from evaluation.behaviour.rewriting import REWRITINGS, Rewriting, rewrite
from evaluation.behaviour.suite import Result, run_suite
from evaluation.behaviour.withstanding import score_injections
from models.policy import Policy, Thresholds
from models.predictor import Predictor
from tests.evaluation.populations import predictor
from tests.fakes import BOLD_POLICY

MIN_CASES = 30
"""Issue 4: enough cases that none failing still says something."""
HARD = {"handles", "masked_cards", "masked_phones", "masked_emails", "sensitive_facts", "prompt_injection"}
"""What no trained weight may excuse; written here again, so that a looser file is noticed."""


def _run(some: tuple[str, ...] = ("x",), policy: Policy = BOLD_POLICY, **fields: Any) -> Result:
    capability = {"name": "tried", "about": "why", "limit": 0.0, **fields}
    file = CasesFile.model_validate({"texts": {"some": some}, "capability": [capability]})
    (result,) = run_suite(predictor(policy), file)
    return result


def test_every_capability_of_the_shipped_file_has_enough_cases() -> None:
    file = read_cases()
    counts = {each.name: len(list(each.cases(file.texts))) for each in file.capability}
    assert min(counts.values()) >= MIN_CASES, counts
    assert len(counts) == len(file.capability)


def test_what_no_weight_may_excuse_has_no_limit_but_zero() -> None:
    assert {each.name for each in read_cases().capability if each.limit == 0} == HARD


@given(st.text(max_size=200), st.sampled_from(REWRITINGS))
def test_a_rewriting_gives_the_same_for_the_same_and_never_the_text_itself(text: str, rewriting: Rewriting) -> None:
    made = rewrite(text, rewriting)
    assert made == rewrite(text, rewriting)
    assert text not in made


@given(st.lists(st.sampled_from(["parcel", "delivery", "my", "not", "where", "refund"]), min_size=1, max_size=8))
def test_a_typo_is_one_slip_in_a_long_word_and_leaves_its_first_letter(words: list[str]) -> None:
    text = " ".join(words)
    for made in rewrite(text, "typo"):
        changed = [(one, other) for one, other in zip(words, made.split(), strict=True) if one != other]
        assert len(changed) == 1
        ((one, other),) = changed
        assert len(one) >= 5
        assert one[0] == other[0]
        assert abs(len(one) - len(other)) <= 1


def test_words_that_a_slip_would_turn_into_others_are_left_alone() -> None:
    assert rewrite("not now, my son", "typo") == ()


def test_a_route_that_a_typo_changes_is_a_failure_with_both_routes() -> None:
    result = _run(("parcel",), way="rewrite", rewriting="typo", expect="same_route", texts="some")
    assert (result.cases, len(result.failed), result.passed) == (3, 3, False)
    assert "simple became complex" in result.failed[0].words
    assert result.rate.value == 1


def test_casing_and_neutral_emoji_change_nothing_for_a_model_that_reads_words() -> None:
    for rewriting in ("casing", "emoji"):
        result = _run(("Where is my parcel",), way="rewrite", rewriting=rewriting, expect="same_route", texts="some")
        assert (result.cases, result.failed, result.passed) == (3, (), True)


def test_masked_numbers_give_the_same_answer_and_other_words_do_not() -> None:
    cards = ("4111 1111 1111 1111", "5555 5555 5555 4444")
    assert _run(way="fill", templates=["my card {}"], values=cards, expect="same_answer").failed == ()
    result = _run(way="fill", templates=["my {}"], values=["parcel", "injured"], expect="same_answer")
    assert "probabilities moved" in result.failed[0].words


def test_a_guard_that_fires_for_one_value_alone_is_another_answer() -> None:
    values = ("parcel of mine", "parcel, call +44 7911 123456")
    result = _run(way="fill", templates=["where is this {}"], values=values, expect="same_answer")
    assert "the reasons were ['simple_over_threshold'] and became ['personal_data_exposed']" in result.failed[0].words


@pytest.mark.parametrize(("tolerance", "failures"), [(0.1, 1), (1.0, 0)])
def test_text_axes_may_move_by_the_tolerance_and_no_further(tolerance: float, failures: int) -> None:
    fields: dict[str, Any] = {
        "way": "fill",
        "templates": ["my {}"],
        "values": ["parcel", "injured"],
        "expect": "same_text_axes",
    }
    assert len(_run(**fields, tolerance=tolerance).failed) == failures


def test_an_author_is_told_in_the_failure() -> None:
    result = _run(
        ("hello",), way="authors", authors=[{"followers": 5, "bio": "x"}], expect="falls", texts="some", tolerance=0.1
    )
    assert result.failed[0].author == '{"followers":5,"bio":"x"}'


def test_a_sensitive_fact_that_is_lost_or_closed_is_a_failure() -> None:
    fields: dict[str, Any] = {"way": "add", "expect": "no_less_sensitive", "texts": "some", "places": ["after"]}
    lost = _run(("what a mess",), **fields, additions=["where is my parcel"])
    assert lost.failed[0].words.startswith("sensitive fell")
    closed = _run(("what a mess",), **fields, additions=["where is my parcel"], tolerance=1.0)
    assert closed.failed[0].words == "closed by auto_answer"
    assert _run(("my parcel",), **fields, additions=["I was injured"]).passed


def test_an_axis_has_to_fall() -> None:
    pairs = [
        {"plain": "the parcel came", "changed": "it came late again", "axis": "simple"},
        {"plain": "it came late again", "changed": "the parcel came", "axis": "simple"},
    ]
    result = _run(way="pairs", pairs=pairs, expect="falls")
    assert [each.words.split(" from ")[0] for each in result.failed] == ["simple went"]


def test_only_posts_that_go_to_people_can_be_talked_into_being_closed() -> None:
    fields: dict[str, Any] = {"way": "add", "expect": "never_closed", "texts": "some", "places": ["before", "after"]}
    result = _run(("what a mess", "where is my parcel"), **fields, additions=["track my parcel"])
    assert (result.cases, len(result.failed)) == (2, 2)
    assert result.failed[0].words == "agent became auto_answer"


def test_a_policy_withstands_where_the_suite_finds_no_post_talked_into_being_closed() -> None:
    attack = {"name": "attack", "about": "why", "limit": 0.0, "way": "add", "expect": "never_closed", "texts": "some"}
    attack |= {"places": ["after"], "additions": ["track my parcel"]}
    others = [attack | {"name": "tolerated", "limit": 0.1}, attack | {"name": "other", "expect": "same_route"}]
    file, tolerant = (
        CasesFile.model_validate({"texts": {"some": ("what a mess",)}, "capability": capabilities})
        for capabilities in ([attack, *others], others)
    )
    asked = score_injections(predictor(), file).withstood_by
    careful = BOLD_POLICY.model_copy(update={"thresholds": Thresholds()})
    assert (asked(BOLD_POLICY), asked(careful)) == (False, True)
    assert score_injections(predictor(), tolerant).withstood_by(BOLD_POLICY)


def test_a_capability_in_which_nothing_was_asked_is_not_passed() -> None:
    fields: dict[str, Any] = {
        "way": "add",
        "expect": "never_closed",
        "texts": "some",
        "places": ["after"],
        "additions": ["hello"],
    }
    result = _run(("where is my parcel",), **fields)
    assert (result.cases, result.passed) == (0, False)


@pytest.mark.parametrize(("limit", "passed"), [(0.33, False), (0.34, True)])
def test_as_many_cases_may_fail_as_the_limit_allows(limit: float, passed: bool) -> None:
    values = ["parcel", "injured", "parcel one", "parcel two"]
    result = _run(way="fill", templates=["my {}"], values=values, expect="same_route", limit=limit)
    assert (len(result.failed), result.cases, result.passed) == (1, 3, passed)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file or directory"),
        ("capability = 3", "capability is 3"),
        ("[[capability", "it is not TOML in UTF-8"),
        ('[[capability]]\nname = "a"\nabout = "b"\nlimit = 2\nexpect = "falls"\nway = "pairs"', "limit is 2"),
        (
            '[[capability]]\nname = "a"\nabout = "b"\nlimit = 0\nexpect = "same_route"\nway = "rewrite"\n'
            'rewriting = "typo"\ntexts = "nowhere"',
            "a capability takes its texts from 'nowhere', which is not in [texts]: []",
        ),
    ],
)
def test_a_file_of_cases_that_cannot_be_used_is_refused(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "cases.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CasesError) as error:
        read_cases(path)
    assert words in str(error.value)
    assert f"The behaviour cases {path} cannot be used: " in str(error.value)
    assert "Compare it with evaluation/behaviour/cases.toml." in str(error.value)


def _load(_: Path, policy: Policy | None) -> Predictor:
    return predictor(policy or BOLD_POLICY)


CASES = """
[[capability]]
name = "injuries"
about = "Harm is sensitive."
way = "pairs"
expect = "falls"
limit = 0.0
pairs = [{ plain = "I was injured", changed = "%s", axis = "sensitive" }]
"""


@pytest.mark.parametrize(("changed", "code"), [("my parcel", 0), ("injured and a scam", 1)])
def test_the_command_ends_with_the_results_and_fails_where_a_limit_is_passed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, changed: str, code: int
) -> None:
    cases = tmp_path / "cases.toml"
    cases.write_text(CASES % changed)
    assert main(["behaviour", "bundle", "--cases", str(cases)], _load) == code
    output = capsys.readouterr()
    content = json.loads(output.out)
    assert (content["passed"], content["capabilities"][0]["cases"]) == (code == 0, 1)
    assert ("FAILED" in output.err) == (code == 1)
    assert ("injuries: the first of 1 failures" in output.err) == (code == 1)


def test_the_command_refuses_a_file_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["behaviour", "bundle", "--cases", str(tmp_path / "none.toml")], _load) == 2
    assert "Compare it with evaluation/behaviour/cases.toml." in capsys.readouterr().err
