"""What docs/evaluation.md explains is all there is to explain."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.taxonomy import BUILT_IN, ROUTES
from evaluation.__main__ import main
from evaluation.comparison.settings import Gate
from evaluation.predictions import predict_posts
from evaluation.summary import ACTIONS, Summary, summarise
from models.policy import Certificate, RiskBudget, Thresholds
from tests.evaluation.populations import labelled_posts, predictor
from tests.fakes import BOLD_POLICY

DOCS = Path("docs/evaluation.md").read_text(encoding="utf-8")
CHECKS = Path("evaluation/comparison/checks.py").read_text(encoding="utf-8")
ELSEWHERE = {*Thresholds.model_fields, *RiskBudget.model_fields, *Certificate.model_fields}
"""Documented with the policy."""
VALUES = {*ROUTES, *BUILT_IN.names, *ACTIONS, "0.01", "0.02", "0.05", "0.10"}


def _names(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)


def test_every_field_of_the_summary_is_explained() -> None:
    summary: Summary = summarise(predict_posts(predictor(), labelled_posts(2), progress=False), BOLD_POLICY)
    reasons = set(summary["decisions"]["reasons"])
    explained = set(re.findall(r"`([a-z_0-9]+)`", DOCS)) | {"events", "trials", "value", "low", "high"}
    assert set(_names(summary)) - VALUES - reasons - ELSEWHERE <= explained


@pytest.mark.parametrize("verb", ["score", "report", "compare", "certify", "behaviour"])
def test_every_option_of_the_commands_is_shown(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert options <= set(re.findall(r"--[a-z-]+", DOCS))


def test_every_margin_and_every_check_of_the_gate_is_explained() -> None:
    explained = set(re.findall(r"`([a-z_0-9]+)`", DOCS))
    assert set(Gate.model_fields) <= explained
    checks = {each.removeprefix('Check("') for each in re.findall(r'Check\("[a-z_]+', CHECKS)}
    assert len(checks) >= 6
    assert checks | {"accuracy", "macro_f1", "augrc", "brier", "automatic_share"} <= explained
