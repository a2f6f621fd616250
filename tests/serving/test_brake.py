"""The crisis brake: when it takes hold, that nothing is answered while it does, and how it lets go."""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, delete
from starlette.testclient import TestClient

from data.post import Post
from models.policy import Reason
from serving.__main__ import main
from serving.brake import BOUNDS, RELEASED, Bounds, Brake, Sight, step
from serving.braking import CrisisBrake, completeness
from serving.journal.brake import (
    BY_ITSELF,
    BrakeStepError,
    Event,
    JournalBook,
    brake_events,
    look_back,
    move_brake,
    standing_brake,
    tell_brake,
)
from serving.journal.database import Database
from serving.journal.rules import RuleWish, add_rule
from serving.journal.store import open_store
from serving.journal.tables import BRAKE_EVENTS
from serving.metrics import Metrics
from serving.rules import ReadRules
from serving.wire import JournalAnswer
from tests.serving.clients import Serve, lines, read_rules
from tests.serving.desks import NOON, made
from tests.serving.journals import PREDICTOR, address_of

MANY, FEW = Sight("sensitive posts", 40, 2.0, 15), Sight("sensitive posts", 14, 0.0, 15)
JOURNAL_DOWN = JournalAnswer(state="down", buffered=9, dropped=0)
JOURNAL_BEHIND = JournalAnswer(state="behind", buffered=9, dropped=0)
JOURNAL_DROPPING = JournalAnswer(state="ok", buffered=0, dropped=3)
"""Dropped since the look before: its buffer was full for a moment."""


@pytest.mark.parametrize(
    ("posts", "usual", "expected"),
    [(14, 0.0, False), (15, 0.0, True), (23, 4.0, False), (24, 4.0, True), (359, 100.0, False), (360, 100.0, True)],
)
def test_too_many_is_the_least_or_three_times_what_is_usual_and_six_deviations(
    posts: int, usual: float, expected: bool
) -> None:
    assert Sight("sensitive posts", posts, usual, BOUNDS.most(usual, 15)).over is expected


def test_it_takes_hold_and_says_why() -> None:
    brake = step(RELEASED, (FEW, MANY), NOON, BOUNDS)
    assert brake == Brake(NOON, "40 sensitive posts within 15 minutes, usually 2.0", NOON)


def test_it_lets_go_once_it_has_been_quiet_for_long_enough_and_no_sooner() -> None:
    brake = step(RELEASED, (MANY,), NOON, BOUNDS)
    brake = step(brake, (MANY,), NOON + timedelta(minutes=20), BOUNDS)
    assert step(brake, (FEW,), NOON + timedelta(minutes=49), BOUNDS) == brake
    assert step(brake, (FEW,), NOON + timedelta(minutes=50), BOUNDS) == RELEASED
    assert brake.since == NOON


class Book:
    """A journal of the brake in memory, which shows what it is told to and fails when it is told to."""

    def __init__(self) -> None:
        self.written: Brake = RELEASED
        self.told: list[tuple[bool, datetime]] = []
        self.sights: Sequence[Sight] | None = ()
        self.broken = False
        self.full = False

    def last(self) -> Brake:
        if self.broken:
            raise OSError("gone")
        return self.written

    def look(self, at: datetime, bounds: Bounds) -> Sequence[Sight]:
        if self.sights is None:
            raise OSError("too slow")
        return self.sights

    def tell(self, brake: Brake, at: datetime) -> None:
        if self.full:
            raise OSError("no room")
        self.told.append((brake.engaged, at))
        self.written = replace(brake, over_at=None)

    def close(self) -> None:
        pass


class Desk:
    """A brake over a book that it has read, and rules that ask it; time is what the test says."""

    def __init__(self, *, by_itself: bool = True) -> None:
        self.book, self.now = Book(), NOON
        self.journal = JournalAnswer(state="ok", buffered=0, dropped=0)
        self.brake = CrisisBrake(
            lambda: self.book,
            Metrics(),
            by_itself=by_itself,
            complete=completeness(lambda: self.journal),
            bounds=BOUNDS,
            now=lambda: self.now,
        )
        self.brake.look()
        self.rules = ReadRules(tuple, Metrics(), brake=lambda: self.brake.objection)
        self.rules.look()

    def look(self, minutes: float, *sights: Sight) -> None:
        self.now += timedelta(minutes=minutes)
        self.book.sights = sights
        self.brake.look()

    def action(self) -> str:
        return self.rules.obey(PREDICTION, PREDICTOR.bundle.manifest.model_version, known=True).decision.action


(PREDICTION,) = PREDICTOR.predict([Post(text="where is my parcel?")])


@given(steps=st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.booleans()), max_size=30))
def test_nothing_is_answered_within_the_quiet_time_after_too_many_and_all_is_after_it(
    steps: list[tuple[int, bool, bool]],
) -> None:
    desk, over_at, blind = Desk(), None, False
    for minutes, crisis, broken in steps:
        desk.book.broken = broken
        desk.look(minutes, MANY if crisis else FEW)
        if not broken and (crisis or (blind and over_at is not None)):  # of what it did not see it says nothing
            over_at = desk.now
        blind = broken
        if over_at is not None and (broken or desk.now - over_at < BOUNDS.quiet):
            assert desk.action() == "agent"
        else:
            assert desk.action() == "auto_answer"
            over_at = None
        assert (desk.action() == "agent") == desk.brake.health().engaged


@pytest.mark.parametrize("unread", ["the brake", "the posts"])
def test_time_in_which_it_saw_nothing_is_no_quiet_time(unread: str) -> None:
    desk = Desk()
    desk.look(1, MANY)
    desk.book.broken, desk.book.sights = unread == "the brake", None
    for minutes in (1, 34):
        desk.now += timedelta(minutes=minutes)
        desk.brake.look()
    desk.book.broken = False
    for waited, action in ((0.1, "agent"), (29, "agent"), (1, "auto_answer")):
        desk.look(waited, FEW)
        assert desk.action() == action
    assert [engaged for engaged, _ in desk.book.told] == [True, False]


@pytest.mark.parametrize("health", [JOURNAL_DOWN, JOURNAL_BEHIND, JOURNAL_DROPPING])
def test_time_of_which_the_journal_lacks_posts_is_no_quiet_time(health: JournalAnswer) -> None:
    desk = Desk()
    desk.look(1, MANY)
    desk.look(20, FEW)
    desk.journal = health
    desk.look(20, FEW)
    assert desk.action() == "agent"
    desk.journal = health.model_copy(update={"state": "ok", "buffered": 0})
    for minutes, action in ((29, "agent"), (1, "auto_answer")):
        desk.look(minutes, FEW)
        assert desk.action() == action


def test_why_stands_in_the_answer_and_other_actions_are_left_alone() -> None:
    desk = Desk()
    desk.look(1, MANY)
    decision = desk.rules.obey(PREDICTION, "any", known=True).decision
    assert (decision.reasons[0].code, decision.reasons[0].detail) == ("crisis_brake", desk.brake.health().cause)
    (hurt,) = PREDICTOR.predict([Post(text="I was injured")])
    assert desk.rules.obey(hurt, "any", known=True) == hurt


def test_what_somebody_else_did_is_followed() -> None:
    desk = Desk()
    desk.book.written = Brake(NOON, "by hand")
    desk.look(1)
    assert desk.action() == "agent"
    assert desk.book.told == []
    desk.book.written = RELEASED
    desk.look(1)
    assert desk.action() == "auto_answer"


def test_a_crisis_that_cannot_be_written_holds_and_is_told_once_it_can_be() -> None:
    desk = Desk()
    desk.book.full = True
    for sight in (MANY, FEW, MANY, FEW):
        desk.look(1, sight)
        assert (desk.action(), desk.brake.health().state) == ("agent", "stale")
    desk.book.full = False
    desk.look(1, FEW)
    assert (desk.action(), desk.brake.health().state) == ("agent", "ok")
    assert desk.book.told == [(True, NOON + timedelta(minutes=1))]
    desk.look(27, FEW)
    assert desk.action() == "agent"
    desk.look(1, FEW)
    assert (desk.action(), [engaged for engaged, _ in desk.book.told]) == ("auto_answer", [True, False])


def test_a_crisis_that_could_never_be_written_is_over_after_the_quiet_time_too() -> None:
    desk = Desk()
    desk.book.full = True
    for minutes, sight, action in ((1, MANY, "agent"), (29, FEW, "agent"), (1, FEW, "auto_answer")):
        desk.look(minutes, sight)
        assert desk.action() == action
    assert desk.book.told == []


def test_what_is_written_counts_more_than_what_could_not_be() -> None:
    desk = Desk()
    desk.book.full = True
    desk.look(1, MANY)
    desk.book.written = Brake(desk.now, "wrong prices", by_hand=True)
    desk.look(1, FEW)
    assert desk.brake.objection == Reason("crisis_brake", "held by hand: wrong prices")
    desk.book.written = RELEASED
    desk.look(1, FEW)
    assert (desk.action(), desk.book.told) == ("auto_answer", [])


def test_each_change_is_told_once() -> None:
    desk = Desk()
    for minutes, sight in ((1, MANY), (1, MANY), (29, FEW), (1, FEW), (1, FEW)):
        desk.look(minutes, sight)
    assert [engaged for engaged, _ in desk.book.told] == [True, False]


def test_one_that_is_held_by_hand_is_let_go_by_nothing_that_is_seen() -> None:
    desk = Desk()
    desk.book.written = Brake(NOON, "wrong prices", by_hand=True)
    for minutes in (1, 60, 6_000):
        desk.look(minutes, FEW)
        assert desk.action() == "agent"
    assert desk.brake.objection == Reason("crisis_brake", "held by hand: wrong prices")
    desk.look(1, MANY)
    assert desk.book.told == []
    desk.book.written = RELEASED
    desk.look(1)
    assert desk.action() == "auto_answer"


def test_one_that_holds_by_itself_can_be_held_on_to() -> None:
    desk = Desk()
    desk.look(1, MANY)
    desk.book.written = Brake(NOON, "we look into it", by_hand=True)
    desk.look(300, FEW)
    assert desk.brake.objection == Reason("crisis_brake", "held by hand: we look into it")


def test_while_it_was_never_read_no_machine_answers_and_afterwards_it_stays_as_it_was() -> None:
    book, metrics = Book(), Metrics()
    brake = CrisisBrake(lambda: book, metrics, now=lambda: NOON)
    book.broken = True
    for _ in range(2):
        assert brake.objection == Reason("brake_not_read", "whether the crisis brake is held was not read yet")
        assert brake.health().state == "unread"
        brake.look()
    for held in (True, False):
        book.broken, book.written = False, Brake(NOON, "wrong prices", by_hand=True) if held else RELEASED
        brake.look()
        assert (brake.health().state, brake.objection is not None) == ("ok", held)
        book.broken = True
        brake.look()
        assert (brake.health().state, brake.objection is not None) == ("stale", held)
    assert b'signalbox_brake_state{state="stale"} 1.0' in metrics.render()


def test_a_hand_is_obeyed_where_the_posts_cannot_be_counted() -> None:
    desk = Desk()
    desk.book.sights, desk.book.written = None, Brake(NOON, "wrong prices", by_hand=True)
    desk.brake.look()
    assert desk.action() == "agent"
    desk.book.written = RELEASED
    desk.brake.look()
    assert (desk.action(), desk.brake.health().state) == ("auto_answer", "stale")


def test_one_that_does_not_look_by_itself_takes_no_hold_but_obeys_and_lets_go_for_one_that_did() -> None:
    desk = Desk(by_itself=False)
    desk.look(1, MANY)
    assert (desk.action(), desk.book.told) == ("auto_answer", [])
    desk.book.written = Brake(desk.now, "40 sensitive posts")
    desk.look(1, MANY)
    desk.look(20, FEW)
    assert desk.action() == "agent"
    desk.look(10, FEW)
    assert desk.action() == "auto_answer"
    assert [engaged for engaged, _ in desk.book.told] == [False]


# What is seen of the journal


def filled(
    tmp_path: Path, *, now: datetime, sensitive: int, same: int, before: Sequence[int] = (), days: int = 100
) -> Database:
    """A journal that began so many days ago, with a crisis just now and as many sensitive posts days `before`."""
    address = address_of(tmp_path / "journal.db")
    entries = [made(n, f"where is my parcel? {n}", now - timedelta(seconds=n + 1)) for n in range(same)]
    entries.append(made(999_999, "the first of all", now - timedelta(days=days, seconds=60)))
    for day in (0, *before):
        at = now - timedelta(days=day, seconds=5)
        entries += [made(1_000 * (day + 1) + n, f"injured by {'x' * n}", at) for n in range(sensitive)]
    with closing(open_store(address)) as store:
        store.write(entries)
    return Database(address)


def test_a_cluster_and_a_rise_are_seen_with_what_is_usual(tmp_path: Path) -> None:
    with closing(filled(tmp_path, now=NOON, sensitive=18, same=30, before=(1, 2, 7, 14))) as database:
        sights = database.read(look_back, NOON, BOUNDS)
        assert database.read(look_back, NOON + timedelta(hours=1), BOUNDS) == ()
    # Usual is a quarter of an hour of two and a quarter; other weeks had no posts, and days do not count beside weeks.
    seen = [(sight.posts, sight.usual, sight.over) for sight in sights]
    assert seen == [(18, 2.0, True), (30, 0.0, True), (18, 2.0, True)]
    assert sights[0].what == "sensitive posts"
    assert all("nearly the same" in sight.what for sight in sights[1:])


def test_in_its_first_week_a_journal_knows_what_is_usual_by_the_days_before(tmp_path: Path) -> None:
    with closing(filled(tmp_path, now=NOON, sensitive=72, same=3, before=(1, 2), days=6)) as database:
        sensitive, _ = database.read(look_back, NOON, BOUNDS)
    assert (sensitive.posts, sensitive.usual, sensitive.most) == (72, 8.0, BOUNDS.most(8.0, 15))


def test_on_its_first_day_a_journal_knows_of_nothing_usual_and_nothing_is_too_much(tmp_path: Path) -> None:
    with closing(filled(tmp_path, now=NOON, sensitive=40, same=40, days=1)) as database:
        assert database.read(look_back, NOON, BOUNDS) == ()


def test_what_came_before_it_was_let_go_by_hand_is_not_looked_at_again(tmp_path: Path) -> None:
    with closing(filled(tmp_path, now=NOON, sensitive=20, same=30)) as database:
        database.write(tell_brake, "released", cause="we know, call 07911 123456", by="ann", at=NOON)
        assert database.read(look_back, NOON + timedelta(minutes=1), BOUNDS) == ()
        assert database.read(brake_events)[0].cause == "we know, call [phone]"


Row = tuple[Event, str]
ROWS = st.lists(
    st.tuples(st.sampled_from(["engaged", "released"]), st.sampled_from([BY_ITSELF, "ann", "bob"])), max_size=12
)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """An empty journal."""
    with closing(Database(address_of(tmp_path_factory.mktemp("brake") / "journal.db"))) as database:
        yield database


@given(rows=ROWS)
def test_what_a_person_did_last_is_undone_by_no_server(rows: list[Row], book: Database) -> None:
    def tell(connection: Connection) -> Brake:
        connection.execute(delete(BRAKE_EVENTS))
        for event, by in rows:
            tell_brake(connection, event, cause=f"by {by}", by=by)
        return standing_brake(connection)

    standing = book.write(tell)
    by_people = [event for event, by in rows if by != BY_ITSELF]
    assert standing.by_hand == (by_people[-1:] == ["engaged"])
    assert standing.engaged == (standing.by_hand or [event for event, _ in rows][-1:] == ["engaged"])


def test_it_is_moved_by_hand_with_a_reason_and_a_name_where_there_is_something_to_do(tmp_path: Path) -> None:
    steps: list[tuple[Event, str, str, str]] = [
        ("released", "why not", "ann", "it does not hold"),
        ("engaged", "  ", "ann", "the reason has 0 characters"),
        ("engaged", "wrong prices", BY_ITSELF, "the name is 'the brake'"),
        ("engaged", " wrong prices, call 07911 123456 ", "ann", ""),
        ("engaged", "again", "bob", "somebody holds it since"),
        ("released", "prices are right", "bob", ""),
    ]
    with closing(Database(address_of(tmp_path / "journal.db"))) as database:
        for event, why, by, problem in steps:
            if problem:
                with pytest.raises(BrakeStepError, match=problem):
                    database.write(move_brake, event, why=why, by=by)
            else:
                database.write(move_brake, event, why=why, by=by)
        kept = [(each.event, each.cause, each.by) for each in database.read(brake_events)]
    assert kept == [("released", "prices are right", "bob"), ("engaged", "wrong prices, call [phone]", "ann")]


# Through the server and the command


def test_a_crisis_in_the_journal_takes_the_answers_from_the_machine_until_it_is_let_go(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = f"sqlite:///{tmp_path / 'journal.db'}"
    filled(tmp_path, now=datetime.now(UTC), sensitive=3, same=30).close()
    with serve(journal=journal) as client:
        brake = client.app.state.brake  # type: ignore[attr-defined] # what a client calls is typed as any application
        brake.look()
        assert client.get("/readyz").json()["brake"]["engaged"] is True
        decision = client.post("/v1/predict", json={"text": "thanks a lot"}).json()["decision"]
        assert (decision["action"], decision["reasons"][0]["code"]) == ("agent", "crisis_brake")
        assert "signalbox_brake_engaged 1.0" in client.get("/metrics").text
        assert main(["brake", "--journal", journal, "--release", "it is a campaign of ours"]) == 0
        brake.look()
        free = {"engaged": False, "since": None, "cause": "", "state": "ok", "by_itself": True}
        assert client.get("/readyz").json()["brake"] == free
    assert "it is a campaign of ours" in capsys.readouterr().err


def test_a_command_holds_it_until_a_command_lets_it_go(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = f"sqlite:///{tmp_path / 'journal.db'}"
    filled(tmp_path, now=NOON, sensitive=0, same=1).close()
    with serve(journal=journal) as client:
        brake = client.app.state.brake  # type: ignore[attr-defined] # what a client calls is typed as any application
        brake.look()
        assert main(["brake", "--journal", journal, "--hold", "wrong prices"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"engaged": True, "by_hand": True, "events": 1}
        brake.look()
        assert client.get("/readyz").json()["brake"]["cause"] == "held by hand: wrong prices"
        assert main(["brake", "--journal", journal, "--hold", "again"]) == 2
        assert "Let it go first" in capsys.readouterr().err
        assert main(["brake", "--journal", journal, "--release", "right again"]) == 0
        brake.look()
        assert client.get("/readyz").json()["brake"]["engaged"] is False


def test_a_brake_that_is_off_does_not_take_hold_by_itself(serve: Serve, tmp_path: Path) -> None:
    filled(tmp_path, now=datetime.now(UTC), sensitive=30, same=30).close()
    with serve(journal=f"sqlite:///{tmp_path / 'journal.db'}", brake=False) as client:
        read_rules(client)
        free = {"engaged": False, "since": None, "cause": "", "state": "ok", "by_itself": False}
        assert client.get("/readyz").json()["brake"] == free
        assert client.post("/v1/predict", json={"text": "thanks a lot"}).json()["decision"]["action"] == "auto_answer"


def test_until_the_journal_has_made_its_file_nothing_is_answered_and_it_is_not_made_by_reading_it(
    tmp_path: Path, log: io.StringIO
) -> None:
    address = address_of(tmp_path / "journal.db")
    brake = CrisisBrake(lambda: JournalBook(address), Metrics())
    with closing(brake):
        for _ in range(2):
            brake.look()
            assert (brake.health().state, list(tmp_path.iterdir())) == ("unread", [])
            assert brake.objection == Reason("brake_not_read", "whether the crisis brake is held was not read yet")
        assert lines(log) == []
        open_store(address).close()
        brake.look()
        assert (brake.health().state, brake.objection) == ("ok", None)


def test_a_file_that_goes_away_lets_go_of_no_brake_and_drops_no_rule(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "journal" / "journal.db"
    address = address_of(file)
    with serve(journal=f"sqlite:///{file}") as client:
        read_rules(client)
        with closing(open_store(address)) as store, closing(Database(address)) as desk:
            store.write([made(0, "thanks a lot", NOON)])
            desk.write(add_rule, RuleWish(f"{0:026d}", "exact", "ann"))
            read_rules(client)
            assert reason_of(client) == "must_not_answer"
            desk.write(move_brake, "engaged", why="wrong prices", by="ann")
            read_rules(client)
            assert reason_of(client) == "crisis_brake"
        with away(file.parent):
            read_rules(client)
            assert reason_of(client) == "crisis_brake"
            ready = client.get("/readyz").json()
            assert (ready["brake"]["state"], ready["rules"]) == ("stale", {"state": "stale", "rules": 1})
        with closing(Database(address)) as desk:
            desk.write(move_brake, "released", why="right again", by="ann")
        read_rules(client)
        assert reason_of(client) == "must_not_answer"
        with away(file.parent):
            read_rules(client)
            assert reason_of(client) == "must_not_answer"


@contextmanager
def away(directory: Path) -> Iterator[None]:
    """Nothing; meanwhile it is not where it was, and cannot be made anew."""
    elsewhere = directory.with_name("elsewhere")
    directory.rename(elsewhere)
    directory.write_bytes(b"")
    yield
    directory.unlink()
    elsewhere.rename(directory)


def reason_of(client: TestClient) -> str:
    """The code of the first reason for a post that a machine answers."""
    reasons = client.post("/v1/predict", json={"text": "thanks a lot"}).json()["decision"]["reasons"]
    return str(reasons[0]["code"])
