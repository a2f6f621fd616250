"""How long each page of the workbench takes over a large journal.

The journal is filled as a demo is, with more posts and more readings; the pages are opened over HTTP by a reader who is
signed in, each in every span of time and order that it offers. What is told is the time from the request to the last
byte, or, of a stream, to its first event.
"""

import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path

import httpx
import psutil

from data.progress import progress_bar
from evaluation.benchmarks.serving.measurement import free_port
from evaluation.benchmarks.serving.processes import running, wait_until_ready
from models.bundle import DEFAULT_BUNDLE, load_bundle
from models.predictor import Predictor
from serving.journal.address import Address
from serving.journal.database import Database
from serving.journal.reviews import new_id
from serving.workbench.demo.command import AUTHOR_KEY
from serving.workbench.demo.filling import fill, read_corpus
from serving.workbench.demo.readers import read_queues
from serving.workbench.review.queues import QUEUES

CORPUS = Path("data/corpus")
LIMIT_MS = 300.0
"""What the issue asks of every page."""
READY_WITHIN_S = 120.0
SCORED_WITHIN_S = 600.0
MORE_READINGS = 5.0
"""Times what the readers of a demo read in a month, so that some 5,000 readings stand in the journal."""
JOURNAL_SPANS = ("journal: last 7 days", "journal: last 30 days", "journal: last year")
CALIBRATION = "corpus: calibration"


@dataclass(frozen=True, slots=True)
class Timed:
    """What one address took, in milliseconds, the first time and each time after; and what of it was the server's CPU.

    On a machine that has other work the CPU says more of the page, in steps of 10 ms.
    """

    name: str
    taken_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]

    @property
    def worst_ms(self) -> float:
        """The slowest of all."""
        return max(self.taken_ms)


def fill_journal(address: Address, posts: int) -> None:
    """Nothing; the journal holds so many decisions of the last thirty days and some 5,000 readings."""
    predictor, now = Predictor.load(load_bundle(DEFAULT_BUNDLE)), datetime.now(UTC)
    if not fill(address, predictor, CORPUS, now=now, author_key=AUTHOR_KEY, watch=progress_bar, posts=posts).posts:
        return
    labels = read_corpus(CORPUS, predictor).by_id
    with closing(Database(address)) as database:
        database.write(read_queues, labels, predictor, now, MORE_READINGS)


@contextmanager
def signed_in(journal: str, directory: Path) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """A client that is signed in at a server of its own over that journal, and the server."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {"SIGNALBOX_JOURNAL": journal, "SIGNALBOX_AUTHOR_KEY": AUTHOR_KEY, "SIGNALBOX_BRAKE": "true"}
    command = [sys.executable, "-m", "serving", "run", "--port", str(port)]
    with running(command, log=directory / "server.log", environment=environment) as program:
        wait_until_ready(program, f"{address}/readyz", None, READY_WITHIN_S)
        with httpx.Client(base_url=address, timeout=READY_WITHIN_S) as client:
            client.post("/qa/login", data={"csrf": _token(client, "/qa/login"), "key": "Load", "next": "/qa"})
            yield client, psutil.Process(program.process.pid)


def _token(client: httpx.Client, path: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)
    if found is None:
        raise RuntimeError(f"{path} has no form.")
    return found.group(1)


def _score(client: httpx.Client, question: dict[str, str]) -> None:
    """Nothing; what a report needs is scored."""
    client.post("/qa/confusion/score", data={"csrf": _token(client, "/qa"), **question})
    until = time.monotonic() + SCORED_WITHIN_S
    while client.get("/qa/confusion/progress", params=question).status_code != 204:
        if time.monotonic() > until:
            raise RuntimeError(f"{question} was not scored within {SCORED_WITHIN_S} s.")
        time.sleep(0.2)


def _open_desk(client: httpx.Client) -> None:
    """Nothing; the threshold desk is open."""
    client.post("/qa/thresholds/score", data={"csrf": _token(client, "/qa")})
    until = time.monotonic() + SCORED_WITHIN_S
    while "What is proven" not in client.get("/qa/thresholds").text:
        if time.monotonic() > until:
            raise RuntimeError(f"The threshold desk was not open within {SCORED_WITHIN_S} s.")
        time.sleep(0.2)


def _addresses(client: httpx.Client) -> Iterator[tuple[str, str]]:
    """Every page and part with every span and order, each with its name."""
    for path in sorted(set(re.findall(r'href="(/qa[^"]*)" data-go', client.get("/qa").text))):
        yield f"as it opens: {path}", path
    for queue in QUEUES:
        yield f"review, {queue}", f"/qa/review?queue={queue}"
        yield f"review, next {queue}", f"/qa/review/next?queue={queue}"
    yield "review, progress", "/qa/review/progress"
    for posts in (CALIBRATION, *JOURNAL_SPANS):
        question = {"posts": posts, "bundle": "in service"}
        _score(client, question)
        asked = str(httpx.QueryParams(question))
        yield f"confusion, {posts}", f"/qa/confusion?{asked}"
        yield f"confusion, {posts}, platform x", f"/qa/confusion?{asked}&platform=x"
        yield f"confusion, {posts}, a cell", f"/qa/confusion/posts?{asked}&head=route&truth=complex&said=simple"
        yield f"confusion, {posts}, JSON", f"/qa/confusion/confusion.json?{asked}"
        yield f"confusion, {posts}, CSV", f"/qa/confusion/cases/posts.csv?{asked}"
        yield f"confusion, {posts}, picture", f"/qa/confusion/picture/risk.svg?{asked}"
    waiting = [client.get(f"/qa/review/next?queue={queue}").json()["posts"] for queue in ("newest", *QUEUES)]
    newest, longest = waiting[0][0]["prediction_id"], max(chain(*waiting), key=lambda post: len(post["text"]))
    for span in ("hour", "day", "week", "month"):
        yield f"cockpit, {span}", f"/qa/cockpit?span={span}"
        yield f"cockpit, {span}, its stream", f"/qa/cockpit/stream?span={span}"
    yield "why, a post", f"/qa/why/{newest}"
    yield "why, its evidence", f"/qa/why/{newest}/evidence"
    yield "why, the evidence of the longest post, as far as it is", f"/qa/why/{longest['prediction_id']}/evidence"
    yield "why, posts like it", f"/qa/why/{newest}/neighbours"
    for days in (7, 30):
        yield f"rules, what one would do, {days} days", f"/qa/rules/new?post={newest}&days={days}"
    for ending in ("jsonl", "csv"):
        yield f"corrections, {ending.upper()}", f"/qa/corrections/corrections.{ending}"
    _open_desk(client)
    for days in (1, 7, 30):
        yield f"thresholds, {days} days", f"/qa/thresholds?days={days}"
        yield f"thresholds, a move, {days} days", f"/qa/thresholds/setting?days={days}&wrong=8"


def _open(client: httpx.Client, path: str) -> float:
    """How many milliseconds it took; a stream is left after its first event.

    Raises:
        RuntimeError: when the page does not answer with 200.
    """
    began = time.perf_counter()
    with client.stream("GET", path) as answer:
        if answer.status_code != 200:
            raise RuntimeError(f"{path} answers {answer.status_code}: {answer.read().decode()[:200]}")
        if "event-stream" in answer.headers.get("content-type", ""):
            next(answer.iter_lines())
        else:
            answer.read()
    return 1_000 * (time.perf_counter() - began)


def _keep(client: httpx.Client) -> Callable[[], float]:
    """What keeps one reading each time that it is called."""
    token = _token(client, "/qa")
    posts = iter(client.get("/qa/review/next?queue=newest").json()["posts"])

    def keep() -> float:
        reading = {"id": new_id(), "prediction_id": next(posts)["prediction_id"], "verdict": "skip"}
        began = time.perf_counter()
        answer = client.post("/qa/review/readings", data={"csrf": token, **reading})
        if answer.status_code != 200:
            raise RuntimeError(f"A reading was not kept: {answer.text[:200]}")
        return 1_000 * (time.perf_counter() - began)

    return keep


def _timed(server: psutil.Process, name: str, ask: Callable[[], float], times: int) -> Timed:
    taken_ms, cpu_ms = [], []
    for _ in range(times + 1):
        before = server.cpu_times()
        taken_ms.append(ask())
        after = server.cpu_times()
        cpu_ms.append(1_000 * (after.user + after.system - before.user - before.system))
    return Timed(name, tuple(taken_ms), tuple(cpu_ms))


def measure(client: httpx.Client, server: psutil.Process, times: int, only: str = "") -> list[Timed]:
    """What each address took, the first time and so many times after; those with `only` in their name."""
    found = [
        _timed(server, name, partial(_open, client, path), times) for name, path in _addresses(client) if only in name
    ]
    if only in "review, keep a reading":
        found.append(_timed(server, "review, keep a reading", _keep(client), times))
    return found


def table(found: Sequence[Timed]) -> str:
    """The times as Markdown, in milliseconds."""
    rows = ["| page | p50 | worst | CPU p50 | CPU worst |", "|---|---|---|---|---|"]
    for each in found:
        taken, cpu = statistics.median(each.taken_ms), statistics.median(each.cpu_ms)
        rows.append(f"| {each.name} | {taken:.0f} | {each.worst_ms:.0f} | {cpu:.0f} | {max(each.cpu_ms):.0f} |")
    return "\n".join(rows)
