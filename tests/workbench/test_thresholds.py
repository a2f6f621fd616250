"""The threshold desk: what a budget comes to is what evaluation proves, and a version needs two people."""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from starlette.testclient import TestClient

from data.splits import split
from evaluation.predictions import join, predict_posts
from evaluation.thresholds import fit_policy
from evaluation.workbench.desk import set_budget
from models.policy import Policy, RiskBudget
from models.predictor import Predictor
from serving.journal.database import Database
from serving.journal.texts import draw_posts
from serving.workbench.thresholds import openings, page
from tests.serving.clients import WAIT_S, read_rules, service_of
from tests.workbench.changing import ANOTHER, crown_another
from tests.workbench.conftest import Bench, on_both
from tests.workbench.decisions import TEXTS, judge, until
from tests.workbench.proving import posts_that_prove, write_injection, write_proving
from tests.workbench.signing import sign_in, token_for

PATH = "/qa/thresholds"
LOOSE = {"leak_sensitive": "15", "leak_influencer": "15", "wrong": "20", "confidence": "90"}
PROVABLE = RiskBudget(leak_sensitive=0.15, leak_influencer=0.15, wrong=0.2, confidence=0.9)


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of labelled posts with splits, large enough to prove a loose budget."""
    directory = tmp_path_factory.mktemp("proving")
    write_proving(directory)
    return directory


@pytest.fixture
def client(bench: Bench, posts: Path) -> Iterator[TestClient]:
    with bench(qa_posts=posts) as client:
        sign_in(client, "Ada")
        yield client


def post(client: TestClient, path: str, **form: str) -> Any:
    return client.post(f"{PATH}/{path}", data={"csrf": token_for(client), **form})


def opened(client: TestClient) -> str:
    """The page with its desk, which is opened where it is not yet."""
    post(client, "score")
    return until(lambda: client.get(PATH).text, lambda page: "What is proven" in page)


def propose(client: TestClient, version: str = "8", **form: str) -> Any:
    return post(client, "proposals", **{**LOOSE, "version": version, "reason": "fewer calls", **form})


def id_of(client: TestClient) -> str:
    (found,) = set(re.findall(r"/proposals/(\w+)/", client.get(PATH).text))
    return str(found)


def test_without_posts_that_prove_the_page_says_what_is_missing(bench: Bench, tmp_path: Path) -> None:
    with bench(qa_posts=tmp_path) as client:
        sign_in(client, "Ada")
        assert "No posts to prove anything with" in client.get(PATH).text


def test_the_desk_opens_once_its_posts_are_scored(client: TestClient) -> None:
    assert "Not scored yet" in client.get(PATH).text
    assert client.get(f"{PATH}/setting").status_code == 409
    assert "What is proven" in opened(client)


def test_while_the_desk_is_opened_for_another_policy_the_page_says_so_and_asks_again(
    client: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(client)
    judge(client, database)
    propose(client)
    policy_id = id_of(client)
    sign_in(client, "Ben")
    post(client, f"proposals/{policy_id}/approve")
    post(client, f"proposals/{policy_id}/activate", reason="Monday")
    may_read = Event()
    monkeypatch.setattr(
        openings, "draw_posts", lambda *given, **named: may_read.wait(WAIT_S) and draw_posts(*given, **named)
    )
    read_rules(client)
    part = client.get(f"{PATH}/setting").text
    may_read.set()
    assert "The desk is being opened" in part
    assert "What is proven" not in part
    page = until(lambda: client.get(PATH).text, lambda page: "What is proven" in page)
    assert "under policy 8" in page
    assert f"of {len(TEXTS)} posts change action" in page, "those that came since"


def test_a_change_of_the_model_while_the_desk_opens_ends_it_and_the_next_one_is_of_the_new_model(
    client: TestClient, database: Database, fake: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_read, reads = Event(), Event()

    def draw_late(*given: Any, **named: Any) -> Any:
        reads.set()
        may_read.wait(WAIT_S)
        return draw_posts(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(openings, "draw_posts", draw_late)
        post(client, "score")
        assert reads.wait(WAIT_S)
        crown_another(client, fake)
        may_read.set()
        assert "Not scored yet" in client.get(PATH).text
        assert propose(client).status_code == 409
    opened(client)
    judge(client, database)
    page = client.get(PATH, params={"anew": "yes", **LOOSE}).text
    assert f"of {len(TEXTS)} posts change action" in page, "those that the new model decided"
    propose(client)
    assert f"for model {ANOTHER}" in client.get(PATH).text


def test_scoring_goes_back_to_the_address_that_was_asked_for(client: TestClient) -> None:
    asked = {"days": "30", "wrong": "12"}
    (action,) = re.findall(rf'action="({PATH}/score[^"]*)"', client.get(PATH, params=asked).text)
    answer = client.post(html.unescape(action), data={"csrf": token_for(client)})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PATH}?wrong=12&days=30")
    page = until(lambda: client.get(answer.headers["location"]).text, lambda page: "What is proven" in page)
    assert "<option selected>30</option>" in page
    assert "On the journal, last 30 days" in page


def test_a_budget_comes_to_what_evaluation_proves(client: TestClient, fake: Predictor, posts: Path) -> None:
    opened(client)
    page = client.get(f"{PATH}/setting", params=LOOSE).text
    parts = split(posts_that_prove(), rules=())
    development, temperature, calibration = (
        predict_posts(fake, parts.part(name), progress=False) for name in ("development", "temperature", "calibration")
    )
    choosing = join(development, temperature)
    fitted = fit_policy(choosing, calibration, fake.policy.model_copy(update={"budget": PROVABLE})).policy
    assert f"simple {fitted.thresholds.simple:.3f}, intent {fitted.thresholds.intent:.3f}" in page
    closed = [decision.closed_by_machine for decision in calibration.decide(fitted)]
    assert f'<p class="value">{100 * sum(closed) / len(closed):.1f} %</p>' in page


def test_a_policy_that_would_answer_an_injection_is_held_back_and_not_proposed(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openings, "SHIPPED_CASES", write_injection(tmp_path / "cases.toml", "track my parcel"))
    opened(client)
    page = client.get(f"{PATH}/setting", params=LOOSE).text
    assert "words to a machine (a prompt injection) would get a post answered" in page
    assert '<p class="value">0.0 %</p>' in page
    refused = propose(client)
    assert refused.status_code == 409
    assert "without an injection answered" in refused.text
    assert "Nobody has proposed a policy yet" in client.get(PATH).text


def test_bolder_steps_that_were_held_back_are_said(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(client)
    assert "Held back" not in client.get(f"{PATH}/setting", params=LOOSE).text
    monkeypatch.setattr(page, "set_budget", lambda *given: replace(set_budget(*given), held_back=2))
    assert "Held back: 2 bolder steps were proven too" in client.get(f"{PATH}/setting", params=LOOSE).text


def test_what_cannot_be_proven_is_said_and_not_proposed(client: TestClient) -> None:
    opened(client)
    strict = {**LOOSE, "leak_sensitive": "0.5"}
    assert "This budget cannot be proven with these posts" in client.get(f"{PATH}/setting", params=strict).text
    refused = propose(client, **strict)
    assert refused.status_code == 409
    assert "Nothing was proposed" in refused.text
    assert "Nobody has proposed a policy yet" in client.get(PATH).text


@pytest.mark.parametrize(
    "asked",
    [
        {"wrong": "much"},
        {"wrong": "120"},
        {"confidence": "100"},
        {"phone": "-1"},
        {"phone": "inf"},
        {"days": "nan"},
        {"days": "-inf"},
    ],
)
def test_figures_that_are_none_are_refused_in_words(client: TestClient, asked: dict[str, str]) -> None:
    opened(client)
    answer = client.get(f"{PATH}/setting", params=asked, headers={"HX-Request": "true"})
    assert answer.status_code == 422
    assert "Nothing was computed" in answer.text


def test_the_journal_shows_what_would_change(client: TestClient, database: Database) -> None:
    assert "The model in service has decided nothing in this time" in opened(client)
    judge(client, database)
    page = client.get(PATH, params={"anew": "yes", **LOOSE}).text
    assert f"of {len(TEXTS)} posts change action" in page
    assert "7946" not in page


def test_costs_follow_the_prices(client: TestClient) -> None:
    opened(client)
    one, other = (client.get(f"{PATH}/setting", params={**LOOSE, "social": price}).text for price in ("1", "2"))
    assert "$1,000 without the machine" in one
    assert "$2,000 without the machine" in other


def test_a_confidence_that_is_none_of_the_usual_ones_stays_as_it_is(client: TestClient) -> None:
    opened(client)
    page = client.get(PATH, params={"confidence": "97.5"}).text
    assert '<option value="97.5" selected>97.5 %</option>' in page
    assert page.count("selected>9") == 1


def test_without_keys_the_page_says_that_nobody_checks_names(client: TestClient) -> None:
    opened(client)
    propose(client)
    sign_in(client, "Ada under another name")
    page = client.get(PATH).text
    assert "Nobody checks names here" in page
    assert "Approve 8" in page


def test_one_key_under_two_names_is_not_two_people(
    bench: Bench, posts: Path, keys_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.auth.LOOK_EVERY_S", 0.0)
    with bench(qa_posts=posts, api_keys_file=keys_file) as client:
        sign_in(client, "key of ada")
        opened(client)
        propose(client)
        assert "Nobody checks names here" not in client.get(PATH).text
        keys_file.write_text(keys_file.read_text().replace('"ada"', '"lovelace"'))
        sign_in(client, "key of ada")
        refused = post(client, f"proposals/{id_of(client)}/approve")
        assert refused.status_code == 409
        assert "lovelace has the key with which ada proposed it" in refused.text
        sign_in(client, "key of ben")
        assert post(client, f"proposals/{id_of(client)}/approve").status_code == 303


def test_what_was_proposed_where_nobody_checked_names_is_not_approved_with_a_key(
    bench: Bench, posts: Path, keys_file: Path
) -> None:
    with bench(qa_posts=posts) as client:
        sign_in(client, "Ada")
        opened(client)
        propose(client)
    with bench(qa_posts=posts, api_keys_file=keys_file) as client:
        sign_in(client, "key of ben")
        refused = post(client, f"proposals/{id_of(client)}/approve")
    assert refused.status_code == 409
    assert "it was proposed without one and would be approved with a key" in refused.text


@on_both
def test_a_version_needs_a_second_person(bench: Bench, posts: Path, keys_file: Path) -> None:
    with bench(qa_posts=posts, api_keys_file=keys_file) as client:
        sign_in(client, "key of ada")
        opened(client)
        assert propose(client).status_code == 303
        policy_id = id_of(client)
        own = post(client, f"proposals/{policy_id}/approve")
        assert own.status_code == 409
        assert "another person" in own.text
        assert client.get(f"{PATH}/versions/{policy_id}.json").status_code == 404
        sign_in(client, "key of ben")
        assert "Approve 8" in client.get(PATH).text
        assert post(client, f"proposals/{policy_id}/approve").status_code == 303
        page = client.get(PATH).text
        assert "proposed by ada" in page
        assert "fewer calls" in page
        assert "approved by ben" in page
        policy = Policy.model_validate(client.get(f"{PATH}/versions/{policy_id}.json").json())
        assert policy.version == "8"
        assert policy.budget == PROVABLE
        assert all(each.certified for each in policy.certificates)
        assert post(client, f"proposals/{policy_id}/reject", reason="too bold").status_code == 303
        assert "rejected by ben" in client.get(PATH).text
        assert client.get(f"{PATH}/versions/{policy_id}.json").status_code == 404


@pytest.mark.parametrize("form", [{"version": "7"}, {"reason": " "}])
def test_a_proposal_without_a_reason_or_a_version_of_its_own_is_refused(
    client: TestClient, form: dict[str, str]
) -> None:
    opened(client)
    assert propose(client, **form).status_code == 409


def test_what_is_proposed_is_computed_here_and_not_taken_from_the_form(client: TestClient) -> None:
    opened(client)
    propose(client, thresholds=json.dumps({"simple": 0.0}), simple="0.0")
    assert "thresholds.simple" in client.get(PATH).text
    assert post(client, f"proposals/{id_of(client)}/praise").status_code == 404
    unapproved = post(client, f"proposals/{id_of(client)}/activate")
    assert (unapproved.status_code, "version 8 is proposed" in unapproved.text) == (409, True)


@on_both
def test_an_approved_version_is_put_in_force_and_gone_back_from_by_one_click_each(
    bench: Bench, posts: Path, keys_file: Path
) -> None:
    def in_force(client: TestClient) -> str:
        read_rules(client)
        return service_of(client).running().versions.policy

    with bench(qa_posts=posts, api_keys_file=keys_file) as client:
        sign_in(client, "key of ada")
        opened(client)
        propose(client)
        policy_id = id_of(client)
        sign_in(client, "key of ben")
        post(client, f"proposals/{policy_id}/approve")
        assert in_force(client) == "7"
        assert "Put 8 in force" in client.get(PATH).text
        assert post(client, f"proposals/{policy_id}/activate", reason="Monday").status_code == 303
        assert in_force(client) == "8"
        page = client.get(PATH).text
        assert "Go back from 8" in page
        assert "active by ben" in page
        assert post(client, "proposals", **{**LOOSE, "version": "9", "reason": "again"}).status_code == 409, "no change"
        assert post(client, "back").status_code == 303
        assert in_force(client) == "7"
        assert post(client, "back").status_code == 409
