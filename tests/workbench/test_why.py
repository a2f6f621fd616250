"""The page Why without a browser: how a decision is found, what is told of it, and what people say of it there."""

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from data.post import Author, Post
from evaluation.workbench.evidence import explain, explain_in_steps
from models.policy import Policy
from models.predictor import Predictor
from serving.journal.corrections import corrections_of
from serving.journal.database import Database
from serving.journal.queries import KeptPost, find_post
from serving.journal.reviews import new_id, reviews_of
from serving.journal.rules import standing_rules
from serving.journal.story import Story, find_decisions, read_story
from serving.workbench.why import explanations
from serving.workbench.why.judges import judge_of, policy_of
from serving.workbench.why.telling import runs_of, smallest_flip, strongest_words
from tests.fakes import BOLD_POLICY
from tests.serving.clients import service_of
from tests.workbench.conftest import Bench
from tests.workbench.decisions import TEXTS, judge, until
from tests.workbench.proving import write_proving
from tests.workbench.signing import sign_in, token_for

PATH = "/qa/why"


@pytest.fixture
def client(bench: Bench, tmp_path: Path) -> Iterator[TestClient]:
    with bench(qa_posts=tmp_path / "posts") as client:
        sign_in(client, "Ada")
        yield client


def send(client: TestClient, path: str, **form: str) -> Any:
    return client.post(f"{PATH}/{path}", data={"csrf": token_for(client), **form})


def text_of(page: Any) -> str:
    """What a page says, without its tags and with single blanks."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def listed(page: Any) -> list[str]:
    """The decisions that a page leads to, in its order."""
    return re.findall(rf'href="{PATH}/([0-9A-Z]{{26}})"', page.text)


# the way to a decision


def test_the_newest_decisions_are_listed_and_can_be_filtered(client: TestClient, posts: list[KeptPost]) -> None:
    assert listed(client.get(PATH)) == [post.prediction_id for post in posts]
    chosen = listed(client.get(PATH, params={"route": "sensitive"}))
    assert chosen == [post.prediction_id for post in posts if post.route == "sensitive"] != []
    assert listed(client.get(PATH, params={"action": "no_reply", "route": "complex"})) == []
    assert listed(client.get(PATH, params={"route": "no such"})) == [post.prediction_id for post in posts]


def test_older_decisions_are_a_page_further(
    client: TestClient, posts: list[KeptPost], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.workbench.why.page.MOST", 4)
    first = client.get(PATH)
    following = html.unescape(re.findall(rf'href="({PATH}\?after=[^"]+)"', first.text)[0])
    assert listed(first) + listed(client.get(following)) == [post.prediction_id for post in posts]
    assert client.get(PATH, params={"after": "yesterday"}).status_code == 404


def test_a_decision_is_found_by_any_of_its_ids(client: TestClient, posts: list[KeptPost], database: Database) -> None:
    post = posts[2]
    story = database.read(read_story, post.prediction_id)
    assert story
    for words in (post.prediction_id, post.prediction_id.lower(), post.post_id, f" {story.request_id} "):
        found = client.get(PATH, params={"q": words})
        assert (found.status_code, found.headers["location"]) == (303, f"{PATH}/{post.prediction_id}")
    assert "Nothing was found" in client.get(PATH, params={"q": "crm"}).text


def test_decisions_of_one_request_are_listed_together(client: TestClient, database: Database) -> None:
    sent = [{"text": "where is my parcel"}, {"text": "thanks"}]
    answer = client.post("/v1/predict/batch", json={"posts": sent}, headers={"X-Request-ID": "batch-7"})
    assert answer.status_code == 200
    until(lambda: database.read(find_decisions, "batch-7"), lambda found: len(found) == 2)
    assert len(listed(client.get(PATH, params={"q": "batch-7"}))) == 2


def test_a_decision_that_is_not_there_is_said_to_be(client: TestClient) -> None:
    for path in ("", "/evidence", "/neighbours"):
        answer = client.get(f"{PATH}/{new_id()}{path}")
        assert (answer.status_code, "There is no decision" in answer.text) == (404, True)
    form = {"id": new_id(), "verdict": "label", "route": "simple", "intent": "praise"}
    assert send(client, f"{new_id()}/readings", **form).status_code == 404


# its story


def of_text(posts: list[KeptPost], words: str) -> KeptPost:
    return next(post for post in posts if words in post.text)


def test_the_story_tells_the_figures_against_their_thresholds(client: TestClient, posts: list[KeptPost]) -> None:
    post = of_text(posts, "injured")
    page = client.get(f"{PATH}/{post.prediction_id}")
    words = text_of(page)
    value = post.routes["sensitive"]
    assert f"sensitive {value:.3f} {value - 0.1:.3f} over the threshold 0.100: to specialists" in words
    assert f"{post.routes['simple']:.3f} {0.9 - post.routes['simple']:.3f} under the threshold 0.900" in words
    assert post.reasons[0][1] in words
    for each in (post.prediction_id, post.post_id, post.model_version, "the model in service", "policy 7"):
        assert str(each) in words
    assert "7946" not in client.get(f"{PATH}/{of_text(posts, 'parcel').prediction_id}").text


def is_there(part: Any) -> bool:
    """Whether a part of the page is what was asked for, and not that it is on its way."""
    return "aria-busy" not in part.text


def evidence_page(client: TestClient, post: KeptPost) -> Any:
    """The evidence of a post, asked for as a browser does until it is there."""
    return until(lambda: client.get(f"{PATH}/{post.prediction_id}/evidence"), is_there)


def test_who_asks_for_long_evidence_hears_that_it_is_on_its_way_and_then_gets_it(
    client: TestClient, posts: list[KeptPost], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Predictor] = []

    def explain_slowly(predictor: Predictor, *given: Any) -> Iterator[None]:
        asked.append(predictor)
        return explain_in_steps(predictor, *given)

    monkeypatch.setattr(explanations, "explain_in_steps", explain_slowly)
    monkeypatch.setattr(explanations, "WAIT_S", 0.0)
    post = of_text(posts, "injured")
    first = client.get(f"{PATH}/{post.prediction_id}/evidence")
    assert f'hx-get="{PATH}/{post.prediction_id}/evidence"' in first.text
    assert not is_there(first)
    assert "injured" in text_of(evidence_page(client, post))
    assert is_there(client.get(f"{PATH}/{post.prediction_id}/evidence")), "what was explained last stays explained"
    assert len(asked) == 1


def test_evidence_that_failed_is_asked_for_anew(
    client: TestClient, posts: list[KeptPost], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Iterator[None]:
        yield
        raise RuntimeError("no model")

    with monkeypatch.context() as patched:
        patched.setattr(explanations, "explain_in_steps", fail)
        assert evidence_page(client, posts[0]).status_code == 500
    assert evidence_page(client, posts[0]).status_code == 200


def test_the_evidence_marks_the_word_that_moved_it_and_lists_its_part(
    client: TestClient, posts: list[KeptPost], fake: Predictor
) -> None:
    post = of_text(posts, "injured")
    part = evidence_page(client, post)
    assert re.search(r'<mark class="for s20" title="\+0\.9\d\d">injured</mark>', part.text)
    without = fake.predict([Post(text=TEXTS[1].replace("injured ", ""), platform="x")])[0].routes["sensitive"]
    assert f"injured {post.routes['sensitive'] - without:+.3f} for sensitive" in text_of(part)
    assert "the same probabilities as then, to the last digit" in part.text


def test_the_smallest_change_that_flips_a_decision_is_said_first(client: TestClient, posts: list[KeptPost]) -> None:
    parcel = evidence_page(client, of_text(posts, "thanks"))
    assert "It would go to an agent without “thanks”." in text_of(parcel)
    scam = evidence_page(client, of_text(posts, "scam"))
    assert "No single change flips it: it would still go to people after each of the" in text_of(scam)


def evidence_of(fake: Predictor, text: str, **fields: Any) -> Any:
    (prediction,) = fake.predict([Post(text=text, **fields)])
    return explain(fake, prediction.rendered, prediction.facts)


def test_a_tagged_authority_is_named_as_such_and_once(fake: Predictor) -> None:
    found = evidence_of(fake, "@ofgem where is my parcel", platform="x")
    assert found.prediction.rendered.text.startswith("@authority")
    assert smallest_flip(found) == "It would be answered automatically without the @authority tag."


def test_an_author_that_flips_it_is_named(fake: Predictor) -> None:
    found = evidence_of(fake, "where is my parcel", author=Author(followers=90_000))
    assert smallest_flip(found) == "It would be answered automatically without what is known of the author."


def test_marked_words_leave_nothing_of_the_text_out(fake: Predictor) -> None:
    found = evidence_of(fake, "where  is my parcel, please?  thanks")
    text = found.prediction.rendered.text
    runs = list(runs_of(text, found.words))
    assert "".join(run.text for run in runs) == text
    assert [run.text for run in runs if run.shade] == [word.piece.text for word in strongest_words(found.words)]


def test_posts_that_say_nearly_the_same_are_beside_it(client: TestClient, database: Database) -> None:
    texts = ["where is my parcel, Leeds", "Where is my PARCEL, Leeds!", "thanks to all"]
    post = of_text(judge(client, database, texts), "where is my parcel")
    page = client.get(f"{PATH}/{post.prediction_id}")
    assert "1 more in the journal" in page.text
    assert len(listed(page)) == 1
    alone = client.get(f"{PATH}/{listed(client.get(PATH))[0]}")
    assert "No other is in the journal" in alone.text


# who explains


def story_of(posts: list[KeptPost], database: Database, **changed: Any) -> Story:
    story = database.read(read_story, posts[0].prediction_id)
    assert story
    of_post = {name: value for name, value in changed.items() if name in KeptPost.__slots__}
    of_story = {name: value for name, value in changed.items() if name not in of_post}
    return replace(story, post=replace(story.post, **of_post), **of_story)


def test_the_model_and_policy_that_decided_explain_without_a_word(
    client: TestClient, posts: list[KeptPost], database: Database
) -> None:
    lineup, story = service_of(client).lineup(), story_of(posts, database)
    policy = policy_of(story, lineup, None)
    assert policy == BOLD_POLICY
    assert judge_of(story, lineup, policy).caveat == ""


def test_a_policy_that_people_made_since_is_asked_where_it_decided(
    client: TestClient, posts: list[KeptPost], database: Database
) -> None:
    lineup, story = service_of(client).lineup(), story_of(posts, database, policy_version="8")
    made = Policy(version="8")
    judge = judge_of(story, lineup, policy_of(story, lineup, made))
    assert (judge.predictor.policy, judge.caveat) == (made, "")


def test_a_policy_that_is_not_known_any_more_is_said(
    client: TestClient, posts: list[KeptPost], database: Database
) -> None:
    lineup, story = service_of(client).lineup(), story_of(posts, database, policy_version="3")
    judge = judge_of(story, lineup, policy_of(story, lineup, None))
    assert "that policy is not known here any more" in judge.caveat
    assert judge.caveat.endswith("the same model under policy 7.")


@pytest.mark.parametrize("changed", [{"model_version": "2025.1.1+old000"}, {"model_sha256": "0" * 64}])
def test_another_model_never_passes_for_the_one_that_decided(
    client: TestClient, posts: list[KeptPost], database: Database, changed: dict[str, str]
) -> None:
    lineup, story = service_of(client).lineup(), story_of(posts, database, **changed)
    judge = judge_of(story, lineup, policy_of(story, lineup, None))
    assert "that model is not in memory here" in judge.caveat
    assert "model 2026.11.22+fake00 under policy 7, which is in service now" in judge.caveat


# neighbours


def test_without_labelled_posts_the_page_says_where_to_put_some(client: TestClient, posts: list[KeptPost]) -> None:
    part = client.get(f"{PATH}/{posts[0].prediction_id}/neighbours")
    assert "There are no labelled posts in" in part.text


def test_the_nearest_labelled_posts_come_once_their_index_is_made(
    client: TestClient, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "posts").mkdir()
    write_proving(tmp_path / "posts")
    (post,) = judge(client, database, ["parcel"])
    address = f"{PATH}/{post.prediction_id}/neighbours"
    part = until(lambda: client.get(address), lambda part: "is being made" not in part.text)
    words = text_of(part)
    assert "Of posts: train" in words
    assert words.count("simple , order status alike") == 5
    assert words.count("parcel") == 5


def test_posts_of_which_no_index_can_be_made_are_said_to_be_none(
    client: TestClient, posts: list[KeptPost], tmp_path: Path
) -> None:
    (tmp_path / "posts").mkdir()
    (tmp_path / "posts" / "broken.jsonl").write_text("{")
    address = f"{PATH}/{posts[0].prediction_id}/neighbours"
    part = until(lambda: client.get(address), lambda part: "is being made" not in part.text)
    assert "broken.jsonl" in text_of(part)


# what people say of it


def test_a_reading_is_kept_once_and_can_be_taken_back(
    client: TestClient, posts: list[KeptPost], database: Database
) -> None:
    key, one = posts[0].prediction_id, new_id()
    for _ in range(2):
        kept = send(client, f"{key}/readings", id=one, verdict="label", route="complex", intent="praise", note="rude")
        assert (kept.status_code, kept.headers["location"]) == (303, f"{PATH}/{key}#said")
    (review,) = database.read(reviews_of, key)
    assert (review.reader, review.route, review.intent, review.note) == ("Ada", "complex", "praise", "rude")
    assert database.read(corrections_of, key) == ()
    assert "Ada read it as complex , praise" in text_of(client.get(f"{PATH}/{key}"))
    assert send(client, f"{key}/withdrawals", id=one).status_code == 303
    assert "Nobody has read it yet" in client.get(f"{PATH}/{key}").text


def test_a_reading_beyond_telling_has_no_labels(client: TestClient, posts: list[KeptPost], database: Database) -> None:
    key = posts[0].prediction_id
    send(client, f"{key}/readings", id=new_id(), verdict="cannot_tell", route="simple", intent="praise")
    (review,) = database.read(reviews_of, key)
    assert (review.verdict, review.route) == ("cannot_tell", None)
    assert "can't tell" in text_of(client.get(f"{PATH}/{key}"))


def test_a_reading_becomes_a_correction_where_that_is_wished(
    client: TestClient, posts: list[KeptPost], database: Database
) -> None:
    key = posts[0].prediction_id
    form = {"id": new_id(), "correction": new_id(), "correct": "yes", "route": "complex", "intent": "praise"}
    for _ in range(2):
        assert send(client, f"{key}/readings", verdict="label", **form).status_code == 303
    (correction,) = database.read(corrections_of, key)
    assert (correction.reader, correction.route, correction.intent) == ("Ada", "complex", "praise")
    assert "Ada corrected it to complex , praise" in text_of(client.get(f"{PATH}/{key}"))
    assert send(client, f"{key}/readings", verdict="label", **form | {"correction": "1"}).status_code == 422


@pytest.mark.parametrize("form", [{"id": "1"}, {"verdict": "praise"}, {"route": "urgent"}, {"intent": "none"}])
def test_a_reading_that_is_none_is_refused(
    client: TestClient, posts: list[KeptPost], database: Database, form: dict[str, str]
) -> None:
    given = {"id": new_id(), "verdict": "label", "route": "simple", "intent": "praise", **form}
    answer = send(client, f"{posts[0].prediction_id}/readings", **given)
    assert (answer.status_code, "The reading was not kept" in answer.text) == (422, True)
    assert database.read(reviews_of, posts[0].prediction_id) == ()


def test_a_rule_that_was_made_of_it_or_held_it_back_is_told(
    client: TestClient, posts: list[KeptPost], database: Database
) -> None:
    post = of_text(posts, "thanks")
    assert post.action in ("auto_answer", "no_reply")
    assert f'href="/qa/rules/new?post={post.prediction_id}"' in client.get(f"{PATH}/{post.prediction_id}").text
    form = {"post": post.prediction_id, "kind": "exact", "reason": "she was rude", "csrf": token_for(client)}
    assert client.post("/qa/rules", data=form).status_code == 303
    (rule,) = database.read(standing_rules)
    assert (rule.kind, rule.author, rule.reason) == ("exact", "Ada", "she was rude")
    assert f"Rule {rule.id} of Ada forbids" in text_of(client.get(f"{PATH}/{post.prediction_id}"))
    again = client.post("/v1/predict", json={"text": TEXTS[3]}).json()
    assert again["decision"]["action"] == "agent"
    kept = until(lambda: database.read(find_post, again["prediction_id"]), lambda found: found is not None)
    assert kept
    page = text_of(client.get(f"{PATH}/{kept.prediction_id}"))
    assert "No score held this back: a must-not-answer rule forbade it" in page
    assert f"Rule {rule.id} of Ada forbids" in page


# tries


def test_a_tried_post_is_judged_and_explained_and_not_kept(client: TestClient, database: Database) -> None:
    typed = {"text": "where is my parcel? call +44 20 7946 0958", "followers": "90000", "platform": "reddit"}
    page = send(client, "try", **typed)
    words = text_of(page)
    assert "followers 90000 >= 50000" in words
    assert "kept nothing" in words
    assert "7946" not in re.sub(r"<textarea.*?</textarea>", "", page.text, flags=re.S)
    part = until(lambda: send(client, "try/evidence", **typed), is_there)
    assert "[phone]" in part.text
    assert "without what is known of the author" not in text_of(part), "exposed data hold it back all the same"
    assert "There are no labelled posts in" in send(client, "try/neighbours", **typed).text
    assert database.read(find_decisions, "") == ()
    assert listed(client.get(PATH)) == []


@pytest.mark.parametrize(
    ("form", "words"),
    [({"text": " "}, "the text has 1 characters"), ({"text": "hi", "followers": "many"}, "author.followers")],
)
def test_what_is_no_post_is_said_beside_what_was_typed(client: TestClient, form: dict[str, str], words: str) -> None:
    page = send(client, "try", **form)
    assert page.status_code == 422
    assert words in text_of(page)
    assert send(client, "try/evidence", **form).status_code == 422


# the way here from other pages


def test_lists_of_journal_posts_lead_to_their_stories(client: TestClient, posts: list[KeptPost]) -> None:
    assert PATH in client.get("/qa").text
    assert (
        "/qa/why/" in client.get(re.findall(r'"(/qa/static/review\.js\?\w+)"', client.get("/qa/review").text)[0]).text
    )
