"""What people make of decisions: readings that are undone and never lost, corrections, and looks behind the mask."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from serving.journal.corrections import Correction, CorrectionFilter, add_correction, corrections
from serving.journal.database import Database
from serving.journal.reviews import (
    Agreement,
    Review,
    add_review,
    agreement,
    last_review,
    readings_of,
    reviews_between,
    reviews_of,
    withdraw_review,
)
from serving.journal.store import open_store
from serving.journal.unmaskings import Unmasking, log_unmasking, unmaskings
from tests.serving.desks import NOON, made, read
from tests.serving.journals import address_of

FIRST = f"{0:026d}"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Database]:
    """A journal with two posts that nobody has read."""
    address = address_of(tmp_path / "journal.db")
    with closing(open_store(address)) as store:
        store.write([made(place, "where is my parcel?", NOON) for place in range(2)])
    with closing(Database(address)) as database:
        yield database


def test_a_reading_comes_back_as_it_went_in(desk: Database) -> None:
    review = replace(read(0, "ann"), note="he asks twice")
    assert desk.write(add_review, review)
    assert desk.read(reviews_of, FIRST) == (review,)


def test_a_reading_that_is_sent_again_is_there_once(desk: Database) -> None:
    review = read(0, "ann")
    assert [desk.write(add_review, review) for _ in range(3)] == [True, False, False]
    assert desk.read(reviews_of, FIRST) == (review,)


def test_of_one_reader_the_newest_reading_stands_and_of_two_readers_both(desk: Database) -> None:
    first = read(0, "ann")
    second = replace(first, id="second", route="complex", made_at=first.made_at + timedelta(seconds=1))
    other = replace(read(0, "bob"), made_at=first.made_at + timedelta(seconds=2))
    for review in (second, first, other):
        desk.write(add_review, review)
    assert desk.read(reviews_of, FIRST) == (second, other)


def test_what_is_withdrawn_stands_no_more_and_what_it_replaced_stands_again(desk: Database) -> None:
    first = read(0, "ann")
    second = replace(first, id="second", route="complex", made_at=first.made_at + timedelta(seconds=1))
    for review in (first, second):
        desk.write(add_review, review)
    assert desk.read(last_review, "ann") == second
    assert desk.write(withdraw_review, "second", reader="ann")
    assert desk.read(reviews_of, FIRST) == (first,)
    assert desk.read(last_review, "ann") == first


def test_a_readers_progress_is_what_stands_of_his_readings(desk: Database) -> None:
    for review in (read(0, "ann"), read(1, "ann"), read(0, "bob"), Review("another", "ann", "skip", made_at=NOON)):
        desk.write(add_review, review)
    desk.write(withdraw_review, read(1, "ann").id, reader="ann")
    assert desk.read(readings_of, "ann", NOON) == 2
    assert desk.read(readings_of, "ann", NOON + timedelta(hours=1)) == 1


def test_nobody_withdraws_what_is_not_his_or_twice(desk: Database) -> None:
    desk.write(add_review, read(0, "ann"))
    review_id = read(0, "ann").id
    assert not desk.write(withdraw_review, review_id, reader="bob")
    assert not desk.write(withdraw_review, "no such", reader="ann")
    assert desk.write(withdraw_review, review_id, reader="ann")
    assert not desk.write(withdraw_review, review_id, reader="ann")
    assert desk.read(last_review, "ann") is None


def test_personal_data_in_a_note_is_masked(desk: Database) -> None:
    desk.write(add_review, replace(read(0, "ann"), note="call him on 07911 123456"))
    assert desk.read(reviews_of, FIRST)[0].note == "call him on [phone]"


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "label"},
        {"verdict": "label", "route": "simple"},
        {"verdict": "skip", "route": "simple"},
        {"verdict": "cannot_tell", "intent": "praise"},
    ],
)
def test_a_label_needs_both_labels_and_nothing_else_has_one(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="both labels where the verdict is 'label', neither where it is another"):
        Review(FIRST, "ann", **wrong)  # type: ignore[arg-type] # what a form may send


def test_agreement_is_counted_over_posts_with_two_labels(desk: Database) -> None:
    for review in (read(0, "ann"), read(0, "bob", route="complex"), read(1, "ann"), read(1, "bob")):
        desk.write(add_review, review)
    desk.write(add_review, Review(FIRST, "eve", "cannot_tell", made_at=read(0, "ann").made_at))
    span = (NOON, NOON + timedelta(days=2))
    assert desk.read(agreement, *span) == (
        Agreement("route", "simple", "complex", 1),
        Agreement("route", "simple", "simple", 1),
        Agreement("intent", "order_status", "order_status", 2),
    )
    assert desk.read(agreement, NOON, NOON + timedelta(hours=1)) == ()
    assert len(desk.read(reviews_between, *span)) == 5


# Corrections


def test_a_correction_keeps_the_post_after_the_decision_is_deleted(desk: Database, tmp_path: Path) -> None:
    correction = Correction(FIRST, "crm", "complex", "delivery_problem", "it was late", made_at=NOON)
    assert desk.write(add_correction, correction)
    with closing(open_store(address_of(tmp_path / "journal.db"))) as store:
        store.prune(NOON + timedelta(days=1), most=10)
    (kept,) = desk.read(lambda connection: list(corrections(connection)))
    assert kept.correction == correction
    assert (kept.text, kept.facts.platform, kept.predicted_route) == ("where is my parcel?", "other", "simple")
    assert kept.model_version == "2026.11.22+fake00"


def test_of_two_corrections_of_one_reader_the_newest_counts(desk: Database) -> None:
    first = Correction(FIRST, "crm", "complex", "delivery_problem", made_at=NOON)
    second = replace(first, id="second", route="sensitive", made_at=NOON + timedelta(hours=1))
    other = replace(first, id="other", reader="ann", made_at=NOON + timedelta(hours=2))
    for each in (second, first, first, other):
        assert desk.write(add_correction, each)
    assert [each.correction for each in desk.read(lambda connection: list(corrections(connection)))] == [second, other]
    since = NOON + timedelta(hours=2)
    assert [
        each.correction
        for each in desk.read(lambda connection: list(corrections(connection, CorrectionFilter(since=since))))
    ] == [other]


def test_a_correction_of_what_is_not_in_the_journal_is_not_kept(desk: Database) -> None:
    assert not desk.write(add_correction, Correction("0" * 25 + "9", "crm", "complex", "delivery_problem"))
    assert desk.read(lambda connection: list(corrections(connection))) == []


# Unmaskings


def test_who_looked_behind_the_mask_is_on_record_the_newest_first(desk: Database) -> None:
    looks = [Unmasking(FIRST, "ann", f"reason {n}", at=NOON + timedelta(minutes=n)) for n in range(3)]
    for look in looks:
        desk.write(log_unmasking, look)
    assert desk.read(unmaskings, most=2) == (looks[2], looks[1])


def test_a_look_without_a_reason_is_none() -> None:
    with pytest.raises(ValueError, match="no reason is given"):
        Unmasking(FIRST, "ann", "  ")
