"""At which chance automatic answers are drawn: nothing is set backwards, and answers are found by model and policy."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from alembic import command

from serving.journal.address import Address
from serving.journal.database import Database
from serving.journal.lotteries import (
    Said,
    Scope,
    automatic_answers,
    lotteries,
    said_of_automatic_answers,
    set_lottery,
)
from serving.journal.reviews import Review, add_review
from serving.journal.schema import migrations_on
from serving.journal.store import open_store
from tests.serving.desks import NOON, made
from tests.serving.journals import address_of

SCOPE = Scope("2026.11.22+fake00", "7", NOON)


@pytest.fixture
def address(tmp_path: Path) -> Address:
    return address_of(tmp_path / "journal.db")


@pytest.fixture
def database(address: Address) -> Iterator[Database]:
    """A journal of six decisions a minute apart, every other one answered by the machine."""
    texts = ("where is my parcel", "late again")
    entries = [made(place, texts[place % 2], NOON + timedelta(minutes=place)) for place in range(6)]
    with closing(open_store(address)) as store:
        store.write(entries)
    with closing(Database(address)) as database:
        yield database


def test_a_setting_holds_from_the_time_at_which_it_is_written(database: Database) -> None:
    before = datetime.now(UTC)
    first = database.write(set_lottery, chance=0.05, by="ann")
    second = database.write(set_lottery, chance=1.0, by="bob")
    assert before <= first.since <= second.since <= datetime.now(UTC)
    assert database.read(lotteries) == (first, second)
    assert first.secret != second.secret
    assert len(first.secret) == 64
    assert first.commitment == sha256(first.secret.encode()).hexdigest()


@pytest.mark.parametrize("chance", [0.0, -0.1, 1.1, float("nan")])
def test_a_chance_that_is_none_is_refused(database: Database, chance: float) -> None:
    with pytest.raises(ValueError, match="Nothing was set"):
        database.write(set_lottery, chance=chance, by="ann")
    assert database.read(lotteries) == ()


def test_automatic_answers_come_in_their_order_and_others_do_not(database: Database) -> None:
    found = database.read(automatic_answers, SCOPE)
    assert [(key, action) for key, _, action in found] == [(f"{place:026d}", "auto_answer") for place in (0, 2, 4)]
    assert [at_ms for _, at_ms, _ in found] == sorted(at_ms for _, at_ms, _ in found)
    span = replace(SCOPE, since=NOON + timedelta(minutes=1), until=NOON + timedelta(minutes=4))
    assert [key for key, *_ in database.read(automatic_answers, span)] == [f"{2:026d}"]


@pytest.mark.parametrize("other", [replace(SCOPE, policy_version="8"), replace(SCOPE, model_version="another")])
def test_answers_of_another_model_or_policy_are_not_among_them(database: Database, other: Scope) -> None:
    database.write(add_review, Review(f"{0:026d}", "ann", "cannot_tell"))
    assert database.read(automatic_answers, other) == ()
    assert database.read(said_of_automatic_answers, other) == {}


def test_what_readers_say_of_them_is_there_as_it_stands(database: Database) -> None:
    key = f"{0:026d}"
    database.write(add_review, Review(key, "ann", "label", "complex", "praise"))
    database.write(add_review, Review(key, "ann", "label", "simple", "praise"))
    database.write(add_review, Review(key, "bob", "cannot_tell"))
    database.write(add_review, Review(f"{1:026d}", "bob", "skip"))
    found = database.read(said_of_automatic_answers, SCOPE)
    assert found == {key: (Said("ann", "label", "simple", "praise"), Said("bob", "cannot_tell", None, None))}


def test_the_policy_of_earlier_answers_is_known_after_the_migration(database: Database, address: Address) -> None:
    before = database.read(automatic_answers, SCOPE)
    database.write(lambda connection: command.downgrade(migrations_on(connection), "0009"))
    with closing(Database(address)) as again:
        assert again.read(automatic_answers, SCOPE) == before != ()
