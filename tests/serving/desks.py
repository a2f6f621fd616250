"""What the tests of the workbench's questions share: a journal of a known few days, and all questions asked of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from data.post import Author, Post
from models.policy import Policy
from serving.journal.address import Address
from serving.journal.database import Database
from serving.journal.entry import Caller, Entry, entries_of
from serving.journal.filter import Filter
from serving.journal.policies import activate_policy, approve_policy, propose_policy
from serving.journal.queries import (
    choices,
    clusters,
    confidences,
    confusion,
    counts,
    counts_by_time,
    first_at,
    follow_ups,
    latencies,
    next_to_read,
    page_of_posts,
    promise,
    reviewed_ids,
    reviewed_posts,
)
from serving.journal.reviews import Review, add_review, agreement, reviews_between, withdraw_review
from serving.journal.store import open_store
from serving.journal.tallies import tallies_by_step
from serving.journal.texts import read_texts
from serving.service import answers
from tests.serving.journals import MODEL, PREDICTOR

NOON = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
KEY = "a key of sixteen"
TEXTS = (
    "where is my parcel?",
    "thanks, all good",
    "I was injured by your toaster",
    "still nothing, again",
    "@other where is MY parcel [link]",
    "lol",
)


def made(place: int, text: str, at: datetime, *, handle: str | None = None, **fields: object) -> Entry:
    """An entry whose ids depend on its place alone."""
    author = Author(handle=handle) if handle else None
    post = Post.model_validate({"text": text, "author": author, "posted_at": at - timedelta(minutes=10), **fields})
    predictions = PREDICTOR.predict([post])
    given = [each.model_copy(update={"prediction_id": f"{place:026d}"}) for each in answers(MODEL, [post], predictions)]
    caller = Caller(f"request {place}", None, at, 0.0)
    (entry,) = entries_of([post], predictions, given, caller=caller, predictor=PREDICTOR, author_key=KEY)
    return replace(entry, latency_ms=float(place))


def put_in_force(desk: Database, policy: Policy, *, base: Policy, model: str) -> str:
    """The id of a version that ann proposed, and that bob approved and put in force."""
    policy_id = desk.write(
        propose_policy, policy, base=base, model_version=model, author="ann", reason="leaks on Monday"
    )
    desk.write(approve_policy, policy_id, by="bob")
    desk.write(activate_policy, policy_id, by="bob")
    return policy_id


def fill(address: Address) -> Database:
    """A journal of thirty posts, one every half hour, of five authors, some of them read by one or two readers."""
    entries = [
        made(
            place,
            TEXTS[place % len(TEXTS)],
            NOON + timedelta(minutes=30 * place),
            handle=f"@author{place % 5}",
            platform="x" if place % 2 else "facebook",
        )
        for place in range(30)
    ]
    store = open_store(address)
    store.write(entries)
    store.close()
    database = Database(address)
    for place in range(8):
        database.write(add_review, read(place, "ann"))
    for place in range(4):
        database.write(add_review, read(place, "bob", route="complex"))
    database.write(add_review, Review(f"{9:026d}", "ann", "skip", id="skip", made_at=NOON))
    database.write(withdraw_review, f"ann{7:023d}", reader="ann")
    return database


def read(place: int, reader: str, route: str = "simple") -> Review:
    """A label of a reader for the prediction of that place."""
    return Review(
        f"{place:026d}",
        reader,
        "label",
        route,
        "order_status",
        id=f"{reader}{place:023d}",
        made_at=NOON + timedelta(days=1, minutes=place),
    )


def ask_everything(database: Database) -> dict[str, object]:
    """What every question answers, for all and for a filter that uses each of its fields."""
    narrow = Filter(
        since=NOON + timedelta(hours=1),
        until=NOON + timedelta(hours=9),
        platforms=("x", "facebook"),
        langs=("en", ""),
        routes=("simple", "complex"),
        intents=("order_status", "service_quality", "delivery_problem"),
        actions=("auto_answer", "agent", "specialist"),
        models=("2026.11.22+fake00",),
        least_confidence=0.2,
        most_confidence=1.0,
        least_characters=3,
        most_characters=100,
        abstained=False,
        reviewed=True,
    )
    day = timedelta(days=1)
    questions: dict[str, Callable[[Filter], object]] = {
        "page": lambda wanted: database.read(page_of_posts, wanted, most=4),
        "reviewed": lambda wanted: database.read(reviewed_posts, database.read(reviewed_ids, wanted)),
        "counts": lambda wanted: database.read(counts, wanted),
        "by time": lambda wanted: database.read(counts_by_time, wanted),
        "routes": lambda wanted: database.read(confusion, wanted),
        "intents": lambda wanted: database.read(confusion, wanted, "intent"),
        "latencies": lambda wanted: database.read(latencies, wanted),
        "confidences": lambda wanted: database.read(confidences, wanted),
        "promise": lambda wanted: database.read(promise, wanted),
        "follow-ups": lambda wanted: database.read(follow_ups, wanted, within=day),
        "clusters": lambda wanted: database.read(clusters, wanted, least=2),
        "choices": lambda wanted: database.read(choices, wanted),
        "tallies": lambda wanted: database.read(tallies_by_step, wanted, step_s=3_600),
        "texts": lambda wanted: database.read(read_texts, wanted, most=10),
        "first": lambda wanted: database.read(first_at, wanted),
        "newest": lambda wanted: database.read(next_to_read, wanted, order="newest", reader="ann"),
        "uncertain": lambda wanted: database.read(next_to_read, wanted, order="uncertain", reader="ann"),
        "random": lambda wanted: database.read(next_to_read, wanted, order="random", reader="ann"),
    }
    asked: dict[str, object] = {
        f"{name}, {which}": ask(wanted)
        for name, ask in questions.items()
        for which, wanted in (("all", Filter()), ("narrow", narrow))
    }
    asked["agreement"] = database.read(agreement, NOON, NOON + 2 * day)
    asked["reviews"] = database.read(reviews_between, NOON, NOON + 2 * day)
    return asked
