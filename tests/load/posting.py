"""The load of the drills: threads that post the corpus through the client, and a ledger of what came of every post."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Event, Lock, Thread

from data.post import Post
from data.sources import read_labelled
from data.taxonomy import Route
from serving.client import Result, Signalbox

CORPUS = Path("data/corpus")
_FIELDS = set(Post.model_fields) - {"id"}
_PAUSE_S = 0.01
"""Between two posts of one thread, so that a server that is away is not asked thousands of times a second."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One post that the server answered."""

    prediction_id: str
    number: int
    """Of the post: the first one is 0."""
    versions: tuple[str, str]
    """Of the model and of the policy."""
    routes: dict[Route, float]
    at_s: float
    """By `time.monotonic`."""


@dataclass
class Ledger:
    """Every post that was sent stands here once: answered, or fallen back for a cause; `wrong` are neither."""

    sent: int = 0
    answered: list[Answered] = field(default_factory=list)
    fallbacks: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def send(self) -> None:
        """Nothing; one more post is under way."""
        with self._lock:
            self.sent += 1

    def enter(self, number: int, result: Result) -> None:
        """Nothing; what came of post `number` is kept."""
        with self._lock:
            if result.answer is not None and result.answer.id == str(number):
                answer = result.answer
                versions, routes = (answer.versions.model, answer.versions.policy), answer.route.probabilities
                self.answered.append(Answered(answer.prediction_id, number, versions, routes, time.monotonic()))
            elif result.answer is None and result.cause is not None and result.decision.action == "agent":
                self.fallbacks[_name_of(result)] += 1
            else:
                self.wrong.append(str(number))

    @property
    def adds_up(self) -> bool:
        """True where every post is accounted for and none twice."""
        ids = {each.prediction_id for each in self.answered}
        whole = self.sent == len(self.answered) + self.fallbacks.total()
        return whole and len(ids) == len(self.answered) and not self.wrong


def _name_of(result: Result) -> str:
    """The cause of a fallback by its code, and by the error of the network where there was no answer at all."""
    if result.cause is None:
        return "none"
    known = ("ConnectError", "ConnectTimeout", "ReadTimeout", "ReadError", "WriteError", "RemoteProtocolError")
    trouble = next((name for name in known if name in result.cause.message), "")
    return f"{result.cause.code}:{trouble}" if trouble else result.cause.code


def corpus_posts() -> list[Post]:
    """The posts of the corpus, without labels and ids."""
    return [Post.model_validate(post.model_dump(include=_FIELDS)) for post in read_labelled(CORPUS).posts]


class Load:
    """Posts in order, over and over, from any number of threads at once, into one ledger."""

    def __init__(self, address: str, key: str, posts: Sequence[Post], *, retries: int = 0, timeout_s: float = 5.0):
        self.ledger = Ledger()
        self._numbers = count()
        self._posts = posts
        self._client = (address, key, retries, timeout_s)

    def _run(self, over: Event) -> None:
        address, key, retries, timeout_s = self._client
        with Signalbox(address, key, retries=retries, timeout_s=timeout_s) as client:
            while not over.wait(_PAUSE_S):
                number = next(self._numbers)
                self.ledger.send()
                post = self._posts[number % len(self._posts)]
                self.ledger.enter(number, client.predict(post.model_dump(include=_FIELDS) | {"id": str(number)}))

    @contextmanager
    def running(self, clients: int) -> Iterator[Ledger]:
        """The ledger, while so many more threads post; each has finished its last post at the end."""
        over = Event()
        threads = [Thread(target=self._run, args=(over,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield self.ledger
        finally:
            over.set()
            for thread in threads:
                thread.join()
