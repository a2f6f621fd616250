"""The gate: paired statistics, every check passing and failing, the flips, the command and what it writes."""

import csv
import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from data.sources import read_labelled, write_labelled
from data.splits import split, write_splits
from data.taxonomy import BUILT_IN, ROUTES
from evaluation.__main__ import main
from evaluation.behaviour.capabilities import CasesFile
from evaluation.comparison.checks import calibration_error, no_worse, run_checks, slice_changes, strictest
from evaluation.comparison.latency import measure_latency
from evaluation.comparison.paired import (
    Difference,
    augrc_difference,
    brier_difference,
    harm,
    holm,
    label_difference,
    mcnemar,
    mean_difference,
)
from evaluation.comparison.settings import Gate, GateError, read_gate
from evaluation.comparison.sides import run_pair
from evaluation.metrics import brier
from models.bundle import Bundle
from models.policy import Policy, RiskBudget, Thresholds
from tests.evaluation.populations import Row, drawn_predictions, labelled_post, labelled_posts, predictor
from tests.fakes import BOLD_POLICY
from tests.models.tiny_bundle import write_tiny_bundle
from tests.models.tiny_model import MEANING

CALM = Policy(
    version="7",
    thresholds=BOLD_POLICY.thresholds,
    budget=RiskBudget(leak_sensitive=0.2, leak_influencer=0.3, wrong=0.3, confidence=0.9),
)
WORSE = {**MEANING, "injured": ("simple", "order_status")}
ROWS: tuple[Row, ...] = (
    ("a cyclist was injured there", "sensitive", "safety_health"),
    ("my 300k subscribers will hear", "influencer", "product_info"),
    ("it is late again", "complex", "service_quality"),
    ("where is my parcel", "simple", "order_status"),
    ("thanks", "simple", "praise"),
)


def test_honest_probabilities_on_few_posts_are_rarely_shown_to_be_miscalibrated_and_loud_ones_are() -> None:
    """With 150 posts chance alone makes an error of some 0.08, far over the shipped limit."""
    limit, draw, drawn = Gate().max_calibration_error, np.random.default_rng(4), drawn_predictions(150, seed=4)
    shown, loud = list[bool](), list[bool]()
    for _ in range(60):
        said = draw.dirichlet([1.0] * len(ROUTES), size=150)
        true = np.array([draw.choice(len(ROUTES), p=row) for row in said])
        louder = said**3 / (said**3).sum(axis=1, keepdims=True)
        for probabilities, found in ((said, shown), (louder, loud)):
            value, low, high = calibration_error(replace(drawn, routes=true, route_probabilities=probabilities))
            assert value > limit
            assert 0 <= low <= value <= high
            found.append(low > limit)
    assert np.mean(shown) <= 0.05
    assert np.mean(loud) >= 0.6  # 0.72 by these draws: so few posts cannot show more


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("posts") / "posts.jsonl"
    rows = [(text, route, intent) for _ in range(12) for text, route, intent in ROWS]
    bare: list[dict[str, Any]] = [{"text": f"{row[0]} {number}"} for number, row in enumerate(rows)]
    nobody = {"author": None, "reach": None, "platform": "x"}
    write_labelled(path, [labelled_post(n, row, **bare[n], **nobody) for n, row in enumerate(rows)])
    return path


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    directory = tmp_path_factory.mktemp("bundles")
    return {
        name: write_tiny_bundle(directory / name, version=name, policy=policy, meaning=meaning, golden=())
        for name, policy, meaning in (
            ("champion", CALM, MEANING),
            ("equal", CALM, MEANING),
            ("worse", CALM, WORSE),
            ("silent", CALM.model_copy(update={"thresholds": Thresholds()}), MEANING),
        )
    }


def _compare(bundles: dict[str, Bundle], challenger: str, posts: Path, out: Path, *more: str) -> tuple[int, Path]:
    sides = [str(bundles[name].directory) for name in ("champion", challenger)]
    return main(["compare", *sides, str(posts), "--out", str(out), *more]), out


def _checks(content: dict[str, Any]) -> dict[str, bool | None]:
    return {check["name"]: check["passed"] for check in content["checks"]}


LOOSE = "max_accuracy_loss = 0.5\nmax_macro_f1_loss = 0.5\nmax_latency_ratio = 100.0\nmax_calibration_error = 1.0"
"""Sixty posts prove little, and the tests time nothing."""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    path = tmp_path / "gate.toml"
    path.write_text(LOOSE)
    return path


def test_a_challenger_that_says_the_same_passes_every_check(
    bundles: dict[str, Bundle], posts: Path, tmp_path: Path, gate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = _compare(bundles, "equal", posts, tmp_path / "out", "--gate", str(gate))
    content = json.loads(capsys.readouterr().out)
    checks = _checks(content)
    # The tiny model knows five words, so it fails what no limit may excuse; that is no matter of the pair.
    assert {name for name, passed in checks.items() if passed is False} <= {"behaviour"}
    assert content["flips"] == {"new_leak": 0, "leak": 0, "new_wrong_closing": 0, "route": 0}
    assert content["champion"]["manifest_sha256"] != content["challenger"]["manifest_sha256"]
    assert sorted(path.name for path in out.iterdir()) == ["comparison.html", "comparison.json", "flips.csv"]
    assert code == (0 if checks["behaviour"] else 1)


def test_a_challenger_that_leaks_is_refused_and_the_leaks_stand_first(
    bundles: dict[str, Bundle], posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = _compare(bundles, "worse", posts, tmp_path / "out")
    output = capsys.readouterr()
    content = json.loads(output.out)
    checks = _checks(content)
    assert code == 1
    assert checks["leak"] is False
    assert checks["accuracy"] is False
    assert checks["mcnemar"] is False
    assert (content["flips"]["new_leak"], content["flips"]["leak"]) == (12, 0)
    assert "FAILED  leak" in output.err
    assert any(reason.startswith("leak: leak_sensitive: 12 of 12 sensitive posts") for reason in content["reasons"])
    with (out / "flips.csv").open(newline="") as file:
        flips = list(csv.DictReader(file))[:12]
    assert {flip["kind"] for flip in flips} == {"new_leak"}
    assert {(flip["champion_action"], flip["challenger_action"]) for flip in flips} == {("specialist", "auto_answer")}
    page = (out / "comparison.html").read_text()
    assert "The gate is not passed" in page
    assert page.count('<span class="kind">new leak</span>') == 12
    assert "injured" not in (out / "comparison.json").read_text()


def test_a_challenger_that_answers_nothing_leaks_nothing_and_loses_its_share(
    bundles: dict[str, Bundle], posts: Path, tmp_path: Path, gate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _compare(bundles, "silent", posts, tmp_path / "out", "--gate", str(gate))
    checks = _checks(json.loads(capsys.readouterr().out))
    assert checks["leak"] is True
    assert checks["automatic_share"] is False


def test_bundles_of_other_intents_are_compared_by_route_alone(
    bundles: dict[str, Bundle], posts: Path, tmp_path: Path, gate: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    one, other = predictor(), predictor()
    renamed = BUILT_IN.model_copy(update={"version": "own-1", "intents": dict(reversed(BUILT_IN.intents.items()))})
    one.bundle = replace(one.bundle, taxonomy=renamed)
    cases = CasesFile.model_validate(
        {
            "capability": [
                {
                    "name": "some", "about": "x", "way": "pairs", "expect": "falls", "limit": 1.0,
                    "pairs": [{"plain": "my parcel", "changed": "again", "axis": "simple"}],
                }
            ]
        }
    )  # fmt: skip
    pair = run_pair(one, other, read_labelled(posts).posts, cases, bars=False)
    assert not pair.same_intents
    checks = {each.name: each for each in run_checks(pair, slice_changes(pair), Gate(), None)}
    assert checks["intent_accuracy"].passed is None
    assert "routes alone are compared" in checks["intent_accuracy"].words
    assert checks["accuracy"].value == 0


def test_a_part_that_made_a_model_is_no_fair_one(
    bundles: dict[str, Bundle], posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    splits = tmp_path / "splits.json"
    write_splits(splits, split(read_labelled(posts).posts))
    _compare(bundles, "equal", posts, tmp_path / "out", "--splits", str(splits), "--part", "train")
    content = json.loads(capsys.readouterr().out)
    assert _checks(content)["unseen"] is False
    assert "the part 'train' takes part in making a model" in content["reasons"][0]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_counts_only_where_they_differ(mended: int, broken: int, same: int) -> None:
    champion = np.array([False] * mended + [True] * broken + [True] * same, dtype=np.bool_)
    challenger = np.array([True] * mended + [False] * broken + [True] * same, dtype=np.bool_)
    found = mcnemar(champion, challenger)
    assert (found.mended, found.broken) == (mended, broken)
    wanted = binomtest(broken, mended + broken).pvalue if mended + broken else 1.0
    assert found.p_value == pytest.approx(wanted)
    assert harm(champion, challenger) >= 0.5 or broken > mended


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(one <= other <= 1 for one, other in zip(p_values, adjusted, strict=True))
    assert [x for _, x in sorted(zip(p_values, adjusted, strict=True))] == sorted(adjusted)
    assert min(adjusted) == pytest.approx(min(1.0, len(p_values) * min(p_values)))


ONE, OTHER = drawn_predictions(400, seed=5, strength=3.0), drawn_predictions(400, seed=5, strength=2.0)


def test_a_paired_difference_is_that_of_the_two_figures_and_lies_in_its_interval() -> None:
    right = [each.predicted_routes == each.routes for each in (ONE, OTHER)]
    found = [
        mean_difference(right[0], right[1], ONE.groups),
        label_difference(ONE.routes, ONE.predicted_routes, OTHER.predicted_routes, 4, ONE.groups, macro=False),
    ]
    assert found[0] == found[1]
    assert found[0].value == pytest.approx(right[1].mean() - right[0].mean())
    for each in (*found, augrc_difference(ONE, OTHER)):
        assert each.value == pytest.approx(each.challenger - each.champion)
        assert each.low <= each.value <= each.high
        assert each.low < each.high
    scores = brier_difference(ONE.route_probabilities, OTHER.route_probabilities, ONE.routes, ONE.groups)
    assert scores.champion == pytest.approx(brier(ONE.route_probabilities, ONE.routes))


def test_a_model_against_itself_differs_by_nothing_at_all() -> None:
    for found in (
        augrc_difference(ONE, ONE),
        label_difference(ONE.routes, ONE.predicted_routes, ONE.predicted_routes, 4, ONE.groups, macro=True),
    ):
        assert (found.value, found.low, found.high) == (0, 0, 0)


def test_pairing_makes_the_interval_narrower_than_two_samples_would() -> None:
    near = ONE.predicted_routes.copy()
    near[:8] = (near[:8] + 1) % 4
    paired = label_difference(ONE.routes, ONE.predicted_routes, near, 4, ONE.groups, macro=False)
    alone = label_difference(ONE.routes, ONE.routes, near, 4, ONE.groups, macro=False)
    assert paired.high - paired.low < (alone.high - alone.low) / 2


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "passed"),
    [
        (-0.019, 0.01, False, True),
        (-0.021, 0.01, False, False),
        (-0.01, 0.019, True, True),
        (-0.01, 0.021, True, False),
    ],
)
def test_the_worst_case_has_to_be_within_the_margin(
    low: float, high: float, lower_is_better: bool, passed: bool
) -> None:
    found = Difference(0.8, 0.8, 0.0, low, high)
    check = no_worse("x", "the figure", found, 0.02, 500, lower_is_better=lower_is_better)
    assert check.passed == passed
    assert ("not shown to be no worse; about 52 more groups" in check.words) == (not passed)


def test_a_difference_over_the_margin_is_mended_by_no_number_of_posts() -> None:
    check = no_worse("x", "the figure", Difference(0.8, 0.7, -0.1, -0.12, -0.08), 0.02, 500)
    assert "the difference itself is over the margin" in check.words


def test_a_challenger_cannot_loosen_its_own_budget() -> None:
    ours = RiskBudget(leak_sensitive=0.5, leak_influencer=0.01, wrong=0.1, confidence=0.8)
    both = strictest(RiskBudget(), ours)
    assert both == RiskBudget(leak_sensitive=0.02, leak_influencer=0.01, wrong=0.1, confidence=0.95)


def test_latency_is_a_ratio_over_posts_run_in_turns() -> None:
    ticks = count()
    found = measure_latency(predictor(), predictor(), labelled_posts(2), clock=lambda: float(next(ticks)))
    assert (found.champion_ms, found.challenger_ms, found.ratio, found.low, found.high) == (1000, 1000, 1, 1, 1)
    assert found.posts == len(labelled_posts(2))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("max_accuracy_loss = 2", "max_accuracy_loss is 2"),
        ("max_loss = 0.1", "max_loss is 0.1, Extra inputs are not permitted"),
        ("max_accuracy_loss", "it is not TOML in UTF-8"),
    ],
)
def test_margins_that_cannot_be_used_are_refused(
    tmp_path: Path, content: str | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gate.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(GateError, match=r"The margins .* cannot be used"):
        read_gate(path)
    assert main(["compare", "one", "other", "--gate", str(path)]) == 2
    assert words in capsys.readouterr().err


def test_what_a_file_of_margins_does_not_state_is_as_shipped(gate: Path) -> None:
    assert read_gate(gate).max_augrc_rise == Gate().max_augrc_rise
    assert read_gate(gate).max_accuracy_loss == 0.5
