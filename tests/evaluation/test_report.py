"""The files of the report, without a browser."""

import csv
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.post import Author
from data.taxonomy import ROUTES
from evaluation.predictions import Predictions, predict_posts
from evaluation.report import page
from evaluation.report.cases import KINDS, read_cases
from evaluation.report.page import Origin, ReportFiles, write_report
from evaluation.summary import summarise
from tests.evaluation.populations import labelled_post, labelled_posts, predictor
from tests.fakes import BOLD_POLICY

ORIGIN = Origin("2026.11.22+fake00", "int8", "<posts>.jsonl", None, ("en",), datetime(2026, 11, 22, 9, tzinfo=UTC))
HOSTILE = 'my parcel </script><script>document.title="broken"</script> <img src=x onerror=alert(1)>'


def _predictions() -> Predictions:
    hostile = labelled_post(990, (HOSTILE, "sensitive", "privacy_data"))
    exposed = labelled_post(991, ("=HYPERLINK(0) ring me on 020 7946 0958 about the parcel", "simple", "store_info"))
    told = exposed.model_copy(
        update={"in_reply_to": "write to ann@example.org", "author": Author(bio="call +44 20 7946 0958")}
    )
    return predict_posts(predictor(), [*labelled_posts(3, 1), hostile, told], progress=False)


@pytest.fixture
def files(tmp_path: Path) -> ReportFiles:
    return write_report(tmp_path, ORIGIN, _predictions(), BOLD_POLICY)


def test_the_worst_cases_stand_first_and_the_most_confident_among_them() -> None:
    cases = read_cases(_predictions(), BOLD_POLICY)
    assert [case.kind for case in cases] == sorted((case.kind for case in cases), key=KINDS.index)
    leaks = [case for case in cases if case.kind == "leak"]
    assert {case.true_route for case in leaks} == {"sensitive", "influencer"}
    assert [case.confidence for case in leaks] == sorted((case.confidence for case in leaks), reverse=True)
    assert all(case.action in ("auto_answer", "no_reply") for case in leaks)


def test_a_case_holds_both_labels_and_the_decision() -> None:
    case = next(case for case in read_cases(_predictions(), BOLD_POLICY) if case.text.startswith("can I change"))
    assert (case.kind, case.true_route, case.predicted_route) == ("wrong_intent", "simple", "simple")
    assert (case.true_intent, case.predicted_intent) == ("change_cancel", "order_status")
    assert case.confidence == case.intent_probability
    assert (case.action, case.queue) == ("auto_answer", "auto")
    assert case.reasons[0].startswith("simple_over_threshold: simple 0.99")


def test_no_personal_data_is_in_any_file(files: ReportFiles) -> None:
    for file in (files.html, files.json, files.errors):
        text = file.read_text(encoding="utf-8")
        assert "7946 0958" not in text
        assert "ann@example.org" not in text
    assert "[phone]" in files.errors.read_text(encoding="utf-8")


def test_report_json_holds_the_summary_and_where_it_came_from(files: ReportFiles) -> None:
    content = json.loads(files.json.read_text(encoding="utf-8"))
    assert content["summary"] == summarise(_predictions(), BOLD_POLICY)
    assert content["origin"] == ORIGIN.as_json(_predictions())


def test_errors_csv_holds_every_wrong_post_once(files: ReportFiles) -> None:
    with files.errors.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wrong = [case for case in read_cases(_predictions(), BOLD_POLICY) if case.kind != "right"]
    assert [row["id"] for row in rows] == [case.id for case in wrong]
    for row, case in zip(rows, wrong, strict=True):
        assert {name: row[name] for name in ("kind", "true_route", "predicted_intent")} == {
            name: value for name, value in asdict(case).items() if name in ("kind", "true_route", "predicted_intent")
        }
        assert [float(row[f"p_{route}"]) for route in ROUTES] == list(case.route_probabilities)


def test_a_spreadsheet_takes_no_post_for_a_formula(files: ReportFiles) -> None:
    with files.errors.open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    assert any(text.startswith("'=HYPERLINK") for text in texts)
    assert not any(text.startswith(("=", "+", "-", "@")) for text in texts)


def test_a_post_cannot_end_the_script_that_holds_it(files: ReportFiles) -> None:
    html = files.html.read_text(encoding="utf-8")
    assert "</script><script>document" not in html
    assert "<img src=x" not in html
    embedded = html.split('<script type="application/json" id="cases">')[1].split("</script>")[0]
    content = json.loads(embedded)
    texts = [row[content["fields"].index("text")] for row in content["rows"]]
    assert any(text.startswith(HOSTILE) for text in texts)
    assert "&lt;posts&gt;.jsonl" in html


def test_a_cut_page_says_how_much_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MAX_CASES", 10)
    html = write_report(tmp_path, ORIGIN, _predictions(), BOLD_POLICY).html.read_text(encoding="utf-8")
    assert "This page holds the first 10 of" in html
    assert f"{len(_predictions())} posts, errors first; all figures count every post." in html


def test_a_page_that_holds_everything_does_not_say_that_it_is_cut(files: ReportFiles) -> None:
    assert "This page holds the first" not in files.html.read_text(encoding="utf-8")


def test_the_page_asks_no_one_for_anything(files: ReportFiles) -> None:
    head, *scripts = files.html.read_text(encoding="utf-8").split("<script")
    own = head + scripts[-1]
    assert "http://" not in own
    assert "https://" not in own
    assert " src=" not in head
