"""The drills: a real server in a process of its own under load, what is done to it, and what came of every post.

Each ends with the journal beside the ledger: an answered post stands there once.
"""

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import httpx
from sqlalchemy import create_engine, text

from data.post import Post
from data.taxonomy import Route
from evaluation.benchmarks.serving.measurement import free_port
from evaluation.benchmarks.serving.processes import Program, running, wait_until_ready
from models.bundle import DEFAULT_BUNDLE, load_bundle
from models.predictor import Predictor
from serving.auth import hash_key
from serving.journal.address import read_address
from tests.load.posting import Answered, Ledger, Load
from tests.postgres import Cluster

KEY = "the key of the drills"
CLIENTS, SPIKE_CLIENTS = 4, 16
"""Threads that post; in a spike 16 more, which is five times as many."""
READY_WITHIN_S = 120.0
WRITTEN_WITHIN_S = 60.0
"""For the journal to catch up: twice its longest wait between two tries."""
SCORES_READ = 500
"""Answers whose scores are computed again, at most: some seconds of work, spread over the whole drill."""
SCORE_STEP = 2e-6
"""How far a score may be from the one computed again: an answer gives six digits."""
WARMER = 1.25
"""The second bundle's temperature is so many times the first one's: every score differs, and none by more than its
golden posts allow."""
LOST_AT_MOST_S = 5.0
"""What kill -9 may take: a journal that is later than this says of itself that it is behind."""
REFUSALS = {"not_ready", "no_answer:ConnectError", "no_answer:ReadError", "no_answer:RemoteProtocolError"}
"""How a server that stops may refuse. A request sent at the instant in which the server closes an idle connection is
met by its end or a reset (RFC 9112, section 9.5): it was never read. One that was judged and then broken off stands in
the journal without an answer, which no drill lets pass."""
Report = dict[str, Any]


class Database(Protocol):
    """Where a drill's journal lies."""

    @property
    def url(self) -> str:
        """Its address, as the server's setting has it."""

    def away(self) -> AbstractContextManager[None]:
        """A context in which it is not there."""


@dataclass(frozen=True, slots=True)
class SqliteDatabase:
    """A file in a directory of its own."""

    directory: Path

    @property
    def url(self) -> str:
        """Its address."""
        return f"sqlite:///{(self.directory / 'journal.db').absolute()}"

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nothing; meanwhile the file is not where it was and cannot be made anew."""
        elsewhere = self.directory.with_name("away")
        self.directory.rename(elsewhere)
        self.directory.write_bytes(b"")
        try:
            yield
        finally:
            self.directory.unlink()
            elsewhere.rename(self.directory)


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """A PostgreSQL of the drill's own."""

    cluster: Cluster

    @property
    def url(self) -> str:
        """Its address."""
        return self.cluster.url

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nothing; meanwhile the database has crashed."""
        self.cluster.kill()
        try:
            yield
        finally:
            self.cluster.start()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a drill's server lives: its directory, its port and its journal."""

    directory: Path
    port: int
    database: Database

    @property
    def address(self) -> str:
        """The address it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def bundles(self) -> list[Path]:
        """The two bundles, the one in service at the start first."""
        return [self.directory / "bundles" / name for name in ("first", "second")]


def _second_bundle(source: Path, target: Path) -> None:
    """Nothing; `target` is the same graph under another version, with a policy of another version and other scores."""
    shutil.copytree(source, target)
    calibration = json.loads((target / "calibration.json").read_text(encoding="utf-8"))
    policy = json.loads((target / "policy.json").read_text(encoding="utf-8"))
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    changed = {
        "calibration.json": calibration | {"route_temperature": WARMER * calibration["route_temperature"]},
        "policy.json": policy | {"version": "drill"},
    }
    manifest["model_version"] += ".drill"
    for name, values in changed.items():
        (target / name).write_text(json.dumps(values), encoding="utf-8")
        manifest["files"][name] = sha256((target / name).read_bytes()).hexdigest()
    (target / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def make_place(directory: Path, database: Database | None = None) -> Place:
    """A directory with two bundles and a keys file, and a free port; the journal lies in SQLite where none is given."""
    (directory / "journal").mkdir()
    shutil.copytree(DEFAULT_BUNDLE, directory / "bundles" / "first")
    _second_bundle(DEFAULT_BUNDLE, directory / "bundles" / "second")
    keys = [{"name": "drill", "sha256": hash_key(KEY), "scopes": ["predict", "admin", "model"]}]
    (directory / "keys.json").write_text(json.dumps({"keys": keys}), encoding="utf-8")
    return Place(directory, free_port(), database or SqliteDatabase(directory / "journal"))


@contextmanager
def server(place: Place) -> Iterator[tuple[Program, float]]:
    """The running server and the seconds it took to be ready.

    Raises:
        NotStartedError: when it is not ready in time.
    """
    variables = {
        "SIGNALBOX_JOURNAL": place.database.url,
        "SIGNALBOX_API_KEYS_FILE": str(place.directory / "keys.json"),
        "SIGNALBOX_BUNDLES_ROOT": str(place.directory / "bundles"),
        "SIGNALBOX_BUNDLE": str(place.bundles[0]),
    }
    command = [sys.executable, "-m", "serving", "run", "--port", str(place.port)]
    with running(command, log=place.directory / "server.log", environment=variables) as program:
        yield program, wait_until_ready(program, f"{place.address}/readyz", None, READY_WITHIN_S)


def _journalled(place: Place) -> list[str]:
    address = read_address(place.database.url)
    if address is None:
        return []
    engine = create_engine(address.url)
    try:
        with engine.connect() as connection:
            return [
                row[0] for row in connection.execute(text("SELECT prediction_id FROM decisions WHERE lane = 'live'"))
            ]
    finally:
        engine.dispose()


def _account(ledger: Ledger, place: Place) -> Report:
    """The ledger as it is reported, and the journal beside it."""
    rows, answered = _journalled(place), {each.prediction_id for each in ledger.answered}
    return {
        "sent": ledger.sent,
        "answered": len(ledger.answered),
        "fallbacks": dict(ledger.fallbacks),
        "wrong": len(ledger.wrong),
        "adds_up": ledger.adds_up,
        "journal_rows": len(rows),
        "journal_twice": len(rows) - len(set(rows)),
        "answered_not_in_journal": len(answered - set(rows)),
        "in_journal_not_answered": len(set(rows) - answered),
    }


def _is_exact(report: Report, *, dropped: int = 0) -> bool:
    """True where everything answered stands in the journal once, but for as many as it says that it `dropped`."""
    missing, further = report["answered_not_in_journal"], report["in_journal_not_answered"]
    return bool(report["adds_up"]) and missing == dropped and not further and not report["journal_twice"]


def _wait_written(place: Place) -> tuple[float, int]:
    """Seconds until the journal had written all that waited, or WRITTEN_WITHIN_S; and how many entries it dropped."""
    began = time.monotonic()
    while True:
        state = httpx.get(f"{place.address}/readyz", timeout=READY_WITHIN_S).json()["journal"]
        took_s = time.monotonic() - began
        if (state["state"] == "ok" and not state["buffered"]) or took_s > WRITTEN_WITHIN_S:
            return took_s, state["dropped"]
        time.sleep(0.1)


def kill(place: Place, posts: list[Post], seconds: float) -> tuple[Report, bool]:
    """Kill -9 under load and a restart: clients fall back, and the journal misses only the last moments."""
    load = Load(place.address, KEY, posts)
    with server(place) as (program, _), load.running(CLIENTS):
        time.sleep(seconds / 2)
        killed_at_s = time.monotonic()
        program.process.kill()
        program.process.wait()
        with server(place) as (_, ready_s):
            time.sleep(seconds / 2)
            _wait_written(place)
            rows = set(_journalled(place))
    before = [each for each in load.ledger.answered if each.at_s <= killed_at_s]
    lost_s = [killed_at_s - each.at_s for each in before if each.prediction_id not in rows]
    report = _account(load.ledger, place) | {
        "ready_again_s": round(ready_s, 2),
        "lost_from_journal": len(lost_s),
        "oldest_lost_s": round(max(lost_s, default=0.0), 3),
        "answered_before": len(before),
        "answered_after": len(load.ledger.answered) - len(before),
    }
    return report, load.ledger.adds_up and max(lost_s, default=0.0) <= LOST_AT_MOST_S and not report["journal_twice"]


def stop(place: Place, posts: list[Post], seconds: float) -> tuple[Report, bool]:
    """SIGTERM under load: what was accepted is answered and kept, anything else refused, nothing broken off."""
    load = Load(place.address, KEY, posts)
    with server(place) as (program, _), load.running(CLIENTS):
        time.sleep(seconds)
        asked_at_s = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
        code = program.process.wait(READY_WITHIN_S)
        took_s = time.monotonic() - asked_at_s
    report = _account(load.ledger, place) | {"exit_code": code, "stopped_in_s": round(took_s, 2)}
    return report, _is_exact(report) and code == 0 and set(load.ledger.fallbacks) <= REFUSALS


def _reload(place: Place, bundle: str) -> bool:
    answer = httpx.post(
        f"{place.address}/v1/admin/reload",
        json={"bundle": bundle},
        headers={"X-API-Key": KEY},
        timeout=READY_WITHIN_S,
    )
    return answer.status_code == 200


def _mixed_versions(ledger: Ledger) -> int:
    """How many answers name the model of one bundle and the policy of the other."""
    return sum(
        model.endswith(".drill") != (policy == "drill") for model, policy in (a.versions for a in ledger.answered)
    )


def _differs(answer: Answered, wanted: Mapping[Route, float]) -> bool:
    return any(abs(score - wanted[label]) > SCORE_STEP for label, score in answer.routes.items())


def _score_report(place: Place, ledger: Ledger, posts: Sequence[Post]) -> Report:
    """How many answers, spread over the drill, have scores that the bundle they name does not compute for their post.

    `telling` are those for which the other bundle computes other scores, so that a mixed answer would be seen.
    """
    checked = ledger.answered[:: max(1, len(ledger.answered) // SCORES_READ)]
    models = {bundle.manifest.model_version: Predictor.load(bundle) for bundle in map(load_bundle, place.bundles)}
    wrong = telling = 0
    for answer in checked:
        computed = {
            version: predictor.predict([posts[answer.number % len(posts)]])[0].routes
            for version, predictor in models.items()
        }
        wrong += _differs(answer, computed.pop(answer.versions[0]))
        telling += any(_differs(answer, others) for others in computed.values())
    return {"scores_checked": len(checked), "scores_telling": telling, "scores_wrong": wrong}


def _was_mixed(report: Report) -> bool:
    """True where an answer holds something of two models, or where no answer could have shown it."""
    return bool(report["mixed"] or report["scores_wrong"] or not report["scores_telling"])


def swap(place: Place, posts: list[Post], seconds: float, swaps: int = 50) -> tuple[Report, bool]:
    """Hot swaps between two bundles under load, as many as fit into the time: none fails a post or mixes versions."""
    load, done, refused = Load(place.address, KEY, posts), 0, 0
    with server(place):
        with load.running(CLIENTS):
            end_s = time.monotonic() + seconds
            while done + refused < swaps and time.monotonic() < end_s:
                swapped = _reload(place, "second" if done % 2 == 0 else "first")
                done, refused = done + swapped, refused + (not swapped)
        _wait_written(place)
    report = _account(load.ledger, place) | {"swaps": done, "swaps_refused": refused}
    report |= {"mixed": _mixed_versions(load.ledger), "versions_seen": len({a.versions for a in load.ledger.answered})}
    report |= _score_report(place, load.ledger, posts)
    passed = _is_exact(report) and done > 0 and not refused and not load.ledger.fallbacks
    return report, passed and not _was_mixed(report)


def routing(place: Place, posts: list[Post], seconds: float) -> tuple[Report, bool]:
    """As a routing system would: the corpus through the client, while swaps, a spike and an outage happen."""
    load, part_s, swapped = Load(place.address, KEY, posts, retries=2), seconds / 5, []
    with server(place):
        with load.running(CLIENTS):
            time.sleep(part_s)
            swapped.append(_reload(place, "second"))
            with load.running(SPIKE_CLIENTS):
                time.sleep(part_s)
            with place.database.away():
                time.sleep(part_s)
                down = httpx.get(f"{place.address}/readyz", timeout=READY_WITHIN_S).json()["journal"]
                swapped.append(_reload(place, "first"))
                time.sleep(part_s)
            swapped.append(_reload(place, "second"))
            time.sleep(part_s)
        caught_up_s, dropped = _wait_written(place)
    report = _account(load.ledger, place) | {
        "swaps": sum(swapped),
        "mixed": _mixed_versions(load.ledger),
        "journal_in_the_outage": down,
        "journal_caught_up_s": round(caught_up_s, 1),
        "journal_dropped": dropped,
    }
    report |= _score_report(place, load.ledger, posts)
    passed = _is_exact(report, dropped=dropped) and all(swapped) and not _was_mixed(report)
    return report, passed and down["state"] == "down"


DRILLS = {each.__name__: each for each in (kill, stop, swap, routing)}
