"""The risk monitor's page without a browser: what is drawn, what counts, when it rings, and what people then read."""

import html
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from data.taxonomy import BUILT_IN
from models.policy import RiskBudget
from models.promise import lot_of
from serving.journal.database import Database
from serving.journal.draws import Stream, Verdict, read_stream, scopes_of, verdict_of
from serving.journal.lotteries import Lottery, Said, Scope, lotteries, set_lottery
from serving.journal.reviews import Review, add_review, new_id
from serving.journal.store import open_store
from serving.lineup import Challenger, Tally
from serving.metrics import Metrics
from serving.wire import Versions
from serving.workbench.risk.charts import capital, interval
from serving.workbench.risk.state import State, state_of
from tests.serving.clients import service_of
from tests.serving.desks import made
from tests.serving.journals import address_of
from tests.workbench.signing import token_for

PATH = "/qa/risk"
NOW = datetime.now(UTC).replace(microsecond=0)
VERSIONS = Versions(model="2026.11.22+fake00", policy="7", taxonomy="1", rendering="1")
BUDGET = RiskBudget(wrong=0.1)
RIGHT: list[Verdict | None] = ["right"]
WRONG: list[Verdict | None] = ["wrong"]
CONTENT = frozenset(BUILT_IN.needs_no_reply)
SCOPE = Scope(VERSIONS.model, VERSIONS.policy, NOW)


def send(client: TestClient, path: str, **form: str) -> Any:
    return client.post(path, data={"csrf": token_for(client), **form})


def text_of(page: Any) -> str:
    """What a page says, without its tags and with single blanks."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def key_of(place: int) -> str:
    return f"{place:026d}"


def give(directory: Path, answers: int, since: datetime, *, text: str = "where is my parcel") -> None:
    """Nothing; the journal has so many automatic answers, a minute apart from a minute after that time."""
    entries = [made(place, text, since + timedelta(minutes=1 + place)) for place in range(answers)]
    with closing(open_store(address_of(directory / "journal.db"))) as store:
        store.write(entries)


def read(database: Database, place: int, route: str, reader: str = "Ben", intent: str = "praise") -> None:
    database.write(add_review, Review(key_of(place), reader, "label", route, intent))


# what counts


def said(*routes: str | None) -> list[Said]:
    return [
        Said(f"reader {n}", "label", route, "praise") if route else Said(f"reader {n}", "cannot_tell", None, None)
        for n, route in enumerate(routes)
    ]


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ([], "unread"),
        ([Said("ann", "skip", None, None)], "unread"),
        (said(None), "doubt"),
        (said("simple"), "right"),
        (said("complex"), "wrong"),
        (said("sensitive"), "sensitive"),
        (said("simple", None), "right"),
        (said("simple", "complex"), "doubt"),
        (said("simple", "simple", "sensitive"), "right"),
        (said("sensitive", "influencer", "complex"), "wrong"),
        (said("sensitive", "sensitive", "complex"), "sensitive"),
    ],
)
def test_what_most_readers_say_is_taken(readings: list[Said], verdict: Verdict) -> None:
    assert verdict_of(readings, "auto_answer", CONTENT) == verdict


@pytest.mark.parametrize(
    ("action", "intents", "verdict"),
    [
        ("no_reply", ["not_service"], "right"),
        ("no_reply", ["praise"], "right"),
        ("no_reply", ["order_status"], "wrong"),
        ("no_reply", ["order_status", "not_service"], "doubt"),
        ("auto_answer", ["order_status"], "right"),
        ("auto_answer", ["not_service"], "right"),
    ],
)
def test_a_simple_post_left_without_the_reply_that_its_intent_wants_is_wrong(
    action: str, intents: list[str], verdict: Verdict
) -> None:
    readings = [Said(f"reader {n}", "label", "simple", intent) for n, intent in enumerate(intents)]
    assert verdict_of(readings, action, CONTENT) == verdict


def setting(since: datetime, chance: float, secret: str = "s") -> Lottery:
    return Lottery(since, chance, secret, "ann")


def test_a_watch_ends_before_what_it_counts_is_deleted() -> None:
    day = timedelta(days=1)
    settings = [setting(NOW - 100 * day, 0.1), setting(NOW - day, 0.2)]
    assert scopes_of([], VERSIONS, NOW, 90) is None
    forever = scopes_of(settings, VERSIONS, NOW, 0)
    assert forever == (Scope(VERSIONS.model, VERSIONS.policy, NOW - 100 * day), None)
    halves = scopes_of(settings, VERSIONS, NOW, 90)
    assert halves
    assert halves[0].since == NOW - 10 * day
    assert halves[1]
    assert (halves[1].since, halves[1].until) == (NOW - 55 * day, NOW - 10 * day)
    first = scopes_of(settings[1:], VERSIONS, NOW, 90)
    assert first is not None
    assert first == (Scope(VERSIONS.model, VERSIONS.policy, NOW - day), None)


def test_who_is_drawn_is_decided_by_the_setting_that_held_and_the_lot_alone(database: Database, tmp_path: Path) -> None:
    give(tmp_path, 40, NOW)
    later = NOW + timedelta(minutes=20.5)
    settings = [setting(NOW, 0.3), setting(later, 0.8, "t")]
    stream = database.read(read_stream, SCOPE, settings, CONTENT)
    assert len(stream.ids) == 40
    expected = [(0.3, "s") if place < 20 else (0.8, "t") for place in range(40)]
    assert stream.chance.tolist() == [chance for chance, _ in expected]
    assert stream.drawn.tolist() == [lot_of(key_of(n), secret) < chance for n, (chance, secret) in enumerate(expected)]
    assert 0 < stream.drawn[:20].sum() < 20 > stream.drawn[20:].sum() > 0


def test_what_was_read_for_another_reason_does_not_count(database: Database, tmp_path: Path) -> None:
    give(tmp_path, 30, NOW)
    settings = [setting(NOW, 0.2)]
    for place in range(30):
        read(database, place, "sensitive")
    stream = database.read(read_stream, SCOPE, settings, CONTENT)
    assert [verdict != "unread" for verdict in stream.verdicts] == stream.drawn.tolist()
    assert 0 < stream.drawn.sum() < 30


# what follows


def stream_of(verdicts: Sequence[Verdict | None], chance: float = 1.0) -> Stream:
    """Answers a minute apart; `None` was not drawn."""
    known = tuple("unread" if each is None else each for each in verdicts)
    return Stream(
        ids=tuple(map(key_of, range(len(verdicts)))),
        at_ms=np.array([round(NOW.timestamp() * 1_000) + 60_000 * n for n in range(len(verdicts))], dtype=np.int64),
        chance=np.full(len(verdicts), chance),
        drawn=np.array([each is not None for each in verdicts], dtype=np.bool_),
        verdicts=known,
        said={},
    )


def state(verdicts: Sequence[Verdict | None], chance: float = 1.0) -> State:
    """What such answers, drawn with that chance, show of a promise of 10 %."""
    return state_of(stream_of(verdicts, chance), BUDGET, chance, NOW + timedelta(days=1))


def test_many_wrong_answers_ring_and_few_do_not() -> None:
    good = state([*RIGHT * 90, *WRONG * 6])
    assert (good.verdict, good.alarm_at) == ("none", None)
    bad = state([*RIGHT, *WRONG] * 20)
    assert bad.verdict == "alarm"
    assert bad.alarm_at
    assert NOW < bad.alarm_at < NOW + timedelta(minutes=40)
    assert bad.e_value > bad.line == pytest.approx(20)
    assert bad.risk
    assert bad.risk.low > 0.1


def test_an_answer_that_nobody_could_judge_raises_no_alarm_and_flatters_no_interval() -> None:
    doubtful = state(["doubt"] * 40)
    assert doubtful.verdict == "none"
    assert doubtful.risk
    assert (doubtful.risk.low, doubtful.risk.high) == (0.0, 1.0)


def test_nothing_is_concluded_beyond_the_first_drawn_answer_that_is_not_read() -> None:
    waiting = state([*RIGHT * 10, None, "unread", *WRONG * 40])
    assert (waiting.counted, waiting.waiting, waiting.verdict) == (11, 1, "none")
    assert waiting.stands_since == NOW + timedelta(minutes=11)
    assert state(["unread", "wrong"]).risk is None


def test_the_share_of_sensitive_answers_has_an_interval_of_its_own() -> None:
    found = state([*RIGHT * 200, *WRONG * 2, "sensitive"])
    assert found.risk
    assert found.sensitive_risk
    assert (found.wrong, found.sensitive) == (3, 1)
    assert found.sensitive_risk.estimate == pytest.approx(1 / 203)
    assert found.risk.estimate == pytest.approx(3 / 203)


def test_a_promise_that_nothing_can_break_is_not_watched() -> None:
    found = state_of(stream_of(["wrong"] * 40), RiskBudget(wrong=1.0), 1.0, NOW)
    assert (found.watched, found.alarm_at, found.to_alarm) == (None, None, None)


def test_diagrams_lie_within_their_picture_and_say_what_is_on_them() -> None:
    found = state(["right", "wrong", None] * 60, chance=0.5)
    for chart in (capital(found), interval(found)):
        assert chart
        points = [point for line in chart.lines for point in line.points]
        assert points
        assert all(56 <= x <= 456 and 11 <= y <= 276.1 for x, y in points)
        assert len(chart.words) > 40
    assert capital(state([])) is None
    assert interval(state([])) is None


# the page


def test_before_anything_is_drawn_the_page_says_so(client: TestClient) -> None:
    assert "Nobody is drawn yet" in client.get(PATH).text
    assert "No automatic answer is drawn to be read yet" in client.get(f"{PATH}/state").text


def test_a_chance_is_set_by_name_for_answers_after_it(client: TestClient, database: Database) -> None:
    assert send(client, f"{PATH}/chances", percent="12.5").status_code == 303
    (one,) = database.read(lotteries)
    assert (one.chance, one.by) == (0.125, "Ada")
    page = client.get(PATH)
    assert "12.50 % Ada" in text_of(page)
    assert one.commitment[:16] in page.text
    assert one.secret not in page.text
    assert "Nothing is known yet" in page.text


@pytest.mark.parametrize("percent", ["0", "101", "-1", "some", "", "nan"])
def test_a_chance_that_is_none_is_refused(client: TestClient, database: Database, percent: str) -> None:
    answer = send(client, f"{PATH}/chances", percent=percent)
    assert (answer.status_code, "Nothing was set" in answer.text) == (422, True)
    assert database.read(lotteries) == ()


def test_the_page_and_the_overview_say_alarm_once_the_promise_is_broken(
    client: TestClient, database: Database, tmp_path: Path
) -> None:
    begun = database.write(set_lottery, chance=1.0, by="ann").since
    give(tmp_path, 30, begun)
    assert "30 drawn answers wait" in text_of(client.get(f"{PATH}/state"))
    for place in range(30):
        read(database, place, "sensitive" if place % 2 else "simple")
    page = text_of(client.get(PATH))
    assert "Alarm: the promise is broken" in page
    assert "30, of which 30 were read: 15 wrong" in page
    assert "15 seen" in page
    assert client.get(PATH).text.count("<svg") == 2
    assert "more than 10.0 % of the automatic answers are wrong" in text_of(client.get(f"{PATH}/state"))
    assert f'hx-get="{PATH}/state"' in client.get("/qa").text


def test_questions_that_were_closed_without_a_word_break_the_promise(
    client: TestClient, database: Database, tmp_path: Path
) -> None:
    begun = database.write(set_lottery, chance=1.0, by="ann").since
    give(tmp_path, 30, begun, text="lol")
    for place in range(30):
        read(database, place, "simple", intent="order_status" if place % 3 else "not_service")
    page = text_of(client.get(PATH))
    assert "30, of which 30 were read: 20 wrong" in page
    assert "Alarm: the promise is broken" in page
    assert "Of 30 automatic answers drawn at random 20 are wrong" in client.get("/qa/review").text


def test_answers_before_the_draw_began_are_not_watched(client: TestClient, database: Database, tmp_path: Path) -> None:
    give(tmp_path, 5, NOW - timedelta(hours=1))
    for place in range(5):
        read(database, place, "sensitive")
    database.write(set_lottery, chance=1.0, by="ann")
    assert "Nothing is known yet" in client.get(PATH).text


# what people read


def queued(client: TestClient) -> list[str]:
    posts = client.get("/qa/review/next", params={"queue": "automatic"}).json()["posts"]
    return [post["prediction_id"] for post in posts]


def test_the_review_queue_holds_what_was_drawn_and_nobody_has_read_the_oldest_first(
    client: TestClient, database: Database, tmp_path: Path
) -> None:
    begun = database.write(set_lottery, chance=0.5, by="ann")
    give(tmp_path, 30, begun.since)
    drawn = [key_of(place) for place in range(30) if lot_of(key_of(place), begun.secret) < 0.5]
    assert queued(client) == drawn[:20]
    read(database, int(drawn[0]), "simple")
    database.write(add_review, Review(drawn[1], "Ada", "skip"))
    database.write(add_review, Review(drawn[2], "Ben", "skip"))
    assert queued(client) == drawn[2:22]
    undrawn = next(place for place in range(30) if key_of(place) not in drawn)
    read(database, undrawn, "sensitive")
    assert "Of 1 automatic answers drawn at random 0 are wrong" in client.get("/qa/review").text


def test_a_reading_in_the_queue_moves_the_watch_on(client: TestClient, database: Database, tmp_path: Path) -> None:
    begun = database.write(set_lottery, chance=1.0, by="ann").since
    give(tmp_path, 3, begun)
    form = {"verdict": "label", "route": "simple", "intent": "praise"}
    for key in queued(client)[:2]:
        assert send(client, "/qa/review/readings", id=new_id(), prediction_id=key, **form).status_code == 200
    page = text_of(client.get(PATH))
    assert "the watch stands at 2 of 3 answers" in page
    assert "No alarm" in page


# a canary


CANARY = VERSIONS.model_copy(update={"model": "2026.12.01+canary"})


def try_canary(client: TestClient) -> None:
    """Nothing; a canary answers beside the champion."""
    service = service_of(client)
    lineup = service.lineup()
    model = replace(lineup.champion, versions=CANARY)
    service.change(lineup.trying(Challenger(model, "canary", 0.1, Tally(Metrics()))))


def give_canary(directory: Path, answers: int, since: datetime) -> None:
    """Nothing; the canary has given so many automatic answers, from place 500 on."""
    entries = [
        made(500 + place, "where is my parcel", since + timedelta(minutes=1 + place)) for place in range(answers)
    ]
    its = [replace(each, answer=each.answer.model_copy(update={"versions": CANARY}), lane="canary") for each in entries]
    with closing(open_store(address_of(directory / "journal.db"))) as store:
        store.write(its)


def test_a_canary_has_a_watch_of_its_own_beside_the_champion_s(
    client: TestClient, database: Database, tmp_path: Path
) -> None:
    begun = database.write(set_lottery, chance=1.0, by="ann").since
    give(tmp_path, 10, begun)
    give_canary(tmp_path, 30, begun)
    for place in range(9):
        read(database, place, "simple")
    assert "Whose promise" not in client.get(PATH).text
    assert client.get(PATH, params={"of": "canary"}).status_code == 404
    try_canary(client)
    assert queued(client)[:2] == [key_of(500), key_of(501)]
    assert key_of(9) in queued(client)
    for place in range(500, 530):
        read(database, place, "sensitive" if place % 2 else "simple")
    champion, canary = (text_of(client.get(PATH, params={"of": of})) for of in ("champion", "canary"))
    assert "10, of which 9 were read: 0 wrong" in champion
    assert "Risk of the canary" in canary
    assert "30, of which 30 were read: 15 wrong" in canary
    assert "Alarm: the promise is broken" in canary
    assert CANARY.model in canary
    state = text_of(client.get(f"{PATH}/state"))
    assert "No alarm: 0 of 9" in state
    assert "The canary: Alarm:" in state
    assert client.get(PATH, params={"of": "shadow"}).status_code == 404
