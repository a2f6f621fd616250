"""Must-not-answer rules: what they match, how long they hold, and that no doubt about them ends as an answer."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.post import Post
from models.policy import Reason, withheld
from serving.journal.database import Database
from serving.journal.faults import StoreDownError
from serving.journal.replay import replay
from serving.journal.rules import NoWordsError, Rule, RuleWish, add_rule, remove_rule, standing_rules
from serving.journal.store import open_store
from serving.metrics import Metrics
from serving.rules import NoRules, ReadRules, RuleBook
from tests.serving.clients import WAIT_S, Serve
from tests.serving.desks import NOON, made
from tests.serving.journals import PREDICTOR, address_of

MODEL = PREDICTOR.bundle.manifest.model_version
PARCEL = "where is my parcel today please"


def rule(words: str = PARCEL, **changed: Any) -> Rule:
    return replace(Rule("r1", "exact", words, MODEL, "0" * 26, "ann", "", NOON), **changed)


def known(*rules: Rule) -> ReadRules:
    """Rules that were read."""
    made = ReadRules(lambda: rules, Metrics())
    made.look()
    return made


def judged(text: str, rules: ReadRules, model: str = MODEL) -> tuple[str, list[str]]:
    """Action and codes of the reasons for a post."""
    (prediction,) = PREDICTOR.predict([Post(text=text)])
    decision = rules.obey(prediction, model, known=rules.known).decision
    return decision.action, [reason.code for reason in decision.reasons]


# What they do


def test_a_post_that_falls_under_a_rule_goes_to_an_agent_and_says_why() -> None:
    assert judged(PARCEL, known()) == ("auto_answer", ["simple_over_threshold"])
    assert judged(PARCEL, known(rule())) == ("agent", ["must_not_answer", "simple_over_threshold"])


def test_an_exact_rule_holds_for_the_same_words_alone() -> None:
    rules = known(rule())
    assert judged("@other WHERE is my parcel, today? please! [link]", rules)[0] == "agent"
    assert judged("where is my parcel today then", rules)[0] == "auto_answer"


def test_a_near_rule_holds_for_nearly_the_same_words_and_for_no_others() -> None:
    rules = known(rule(kind="near"))
    assert judged(PARCEL, rules)[0] == "agent"
    assert judged("where is my parcel today then", rules)[0] == "agent"
    assert judged("my parcel came, thanks", rules)[0] == "auto_answer"


def test_a_rule_ends_with_the_model_that_it_was_made_for() -> None:
    assert judged(PARCEL, known(rule()), model="2027.01.01+next00")[0] == "auto_answer"


def test_what_a_machine_would_not_close_is_left_as_it_was() -> None:
    text = "I was injured by your parcel"
    assert judged(text, known(rule(text))) == judged(text, known())


@given(text=st.text(min_size=1, max_size=60), words=st.text(max_size=60))
def test_no_rule_ever_makes_a_machine_answer(text: str, words: str) -> None:
    (prediction,) = PREDICTOR.predict([Post(text=text)])
    for kind in ("exact", "near"):
        decision = known(rule(words, kind=kind)).obey(prediction, MODEL, known=True).decision
        assert decision == prediction.decision or (decision.action, decision.queue) == ("agent", "agents")


def test_of_many_rules_each_is_found() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    rules = [rule(f"where is parcel {one}{other} of mine", id=one + other) for one in letters for other in letters]
    book = RuleBook(rules)
    assert [book.find(each.words) for each in rules] == [each.id for each in rules]
    assert book.find("where is parcel of mine") is None


def test_to_withhold_changes_no_other_action_and_keeps_the_reasons() -> None:
    (prediction,) = PREDICTOR.predict([Post(text=PARCEL)])
    why = Reason("must_not_answer", "rule r1")
    once = withheld(prediction.decision, why, "simple")
    assert (once.action, once.queue, once.abstained) == ("agent", "agents", True)
    assert once.reasons == (why, *prediction.decision.reasons)
    assert withheld(once, why, "simple") == once


# How they are read


def test_while_they_were_never_read_nothing_is_answered_by_the_machine() -> None:
    rules = ReadRules(tuple, Metrics())
    assert rules.health().state == "unread"
    assert judged(PARCEL, rules) == ("agent", ["rules_not_read", "simple_over_threshold"])
    rules.look()
    assert (rules.health().state, judged(PARCEL, rules)[0]) == ("ok", "auto_answer")


def test_an_answer_that_began_before_they_were_known_is_not_the_machine_s_though_they_are_by_its_end() -> None:
    (prediction,) = PREDICTOR.predict([Post(text=PARCEL)])
    decision = known().obey(prediction, MODEL, known=False).decision
    assert (decision.action, decision.reasons[0].code) == ("agent", "rules_not_read")


def test_rules_that_cannot_be_read_hold_as_they_were_and_that_is_said() -> None:
    answers: list[Any] = [(rule(),), StoreDownError("gone"), ()]

    def read() -> tuple[Rule, ...]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return tuple(answer)

    rules = ReadRules(read, Metrics())
    for state, action in (("ok", "agent"), ("stale", "agent"), ("ok", "auto_answer")):
        rules.look()
        assert (rules.health().state, judged(PARCEL, rules)[0]) == (state, action)


def test_what_was_read_before_a_rule_was_made_never_comes_to_hold_after_it() -> None:
    kept: list[Rule] = []
    reading, made_known = Event(), Event()

    def read() -> tuple[Rule, ...]:
        found = tuple(kept)
        if not found:
            reading.set()
            made_known.wait(0.2)  # in vain: whoever looks because of the new rule waits for this look to end
        return found

    rules = ReadRules(read, Metrics())
    early = Thread(target=rules.look)
    early.start()
    assert reading.wait(WAIT_S)
    kept.append(rule())
    rules.look()
    made_known.set()
    early.join(WAIT_S)
    assert judged(PARCEL, rules)[0] == "agent"


def test_without_a_journal_there_are_no_rules() -> None:
    (prediction,) = PREDICTOR.predict([Post(text=PARCEL)])
    assert NoRules(Metrics()).obey(prediction, MODEL, known=True) is prediction
    assert NoRules(Metrics()).health().state == "off"


# How they are kept


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Database]:
    address = address_of(tmp_path / "journal.db")
    with closing(open_store(address)) as store:
        store.write([made(0, f"@you {PARCEL} 12", NOON), made(1, "@you [link]", NOON)])
    with closing(Database(address)) as database:
        yield database


def test_a_rule_keeps_the_words_of_its_post_and_comes_back(desk: Database) -> None:
    added = desk.write(add_rule, RuleWish(f"{0:026d}", "near", "ann", "call 07911 123456"))
    assert added is not None
    assert (added.words, added.model_version, added.reason) == (f"{PARCEL} 0", MODEL, "call [phone]")
    assert desk.read(standing_rules) == (added,)


def test_a_rule_is_removed_once_and_stays_on_record(desk: Database) -> None:
    added = desk.write(add_rule, RuleWish(f"{0:026d}", "exact", "ann"))
    assert added is not None
    assert [desk.write(remove_rule, added.id, by="bob") for _ in range(2)] == [True, False]
    assert not desk.write(remove_rule, "no such", by="bob")
    assert desk.read(standing_rules) == ()


def test_a_post_without_words_makes_no_rule_and_an_unknown_one_neither(desk: Database) -> None:
    with pytest.raises(NoWordsError):
        desk.write(add_rule, RuleWish(f"{1:026d}", "exact", "ann"))
    assert desk.write(add_rule, RuleWish(f"{9:026d}", "exact", "ann")) is None


def test_a_decision_that_a_rule_made_is_made_again_byte_for_byte() -> None:
    from serving.journal.tables import row_of

    entry = made(3, PARCEL, NOON + timedelta(hours=1))
    decision = withheld(entry.prediction.decision, Reason("must_not_answer", "rule r1"), entry.prediction.route)
    prediction = replace(entry.prediction, decision=decision)
    reasons = tuple({"code": reason.code, "detail": reason.detail} for reason in decision.reasons)
    said = entry.answer.model_dump()
    said["decision"] |= {"action": "agent", "queue": "agents", "abstained": True, "reasons": reasons}
    kept = row_of(replace(entry, prediction=prediction, answer=type(entry.answer).model_validate(said)))
    assert replay(kept, PREDICTOR).differences == ()


# Through the server


def test_a_rule_survives_a_restart(serve: Serve, tmp_path: Path) -> None:
    journal = f"sqlite:///{tmp_path / 'journal.db'}"
    with closing(open_store(address_of(tmp_path / "journal.db"))) as store:
        store.write([made(0, PARCEL, NOON)])
    with closing(Database(address_of(tmp_path / "journal.db"))) as database:
        database.write(add_rule, RuleWish(f"{0:026d}", "exact", "ann"))
    for _ in range(2):
        with serve(journal=journal) as client:
            answer = client.post("/v1/predict", json={"text": PARCEL}).json()["decision"]
            assert (answer["action"], answer["queue"], answer["abstained"]) == ("agent", "agents", True)
