"""A server's past, lived through in minutes: posts judged, rules and brake obeyed, all of it written into a journal.

What is judged and decided here is what a server would have: the same predictor, rules, brake and store, at times that
are given. A demo has one model alone, so the challenger of its trial is the same one, which is not told who wrote a
post. Owns that, and nothing of the posts.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import chain
from time import perf_counter
from typing import Self

from data.post import Post
from data.rendering import Rendered
from models.predictor import Prediction, Predictor, Probabilities, Scores, decide_scores
from serving.answers import answer
from serving.braking import CrisisBrake
from serving.cores import usable_cores
from serving.engine import versions_of
from serving.journal.address import Address
from serving.journal.brake import JournalBook
from serving.journal.database import Database
from serving.journal.entry import Caller, Comparison, Entry, comparisons_of, entries_of
from serving.journal.rules import standing_rules
from serving.journal.store import open_store
from serving.metrics import Metrics
from serving.rules import ReadRules
from serving.workbench.demo.feed import Arrival

CALLER = "signalbox-demo"
"""The name of the key under which all that the demo sends stands in the journal."""
CHALLENGER = "-not-told-the-author"
"""What the version of the challenger has behind that of the model."""


class Past:
    """Judges what arrives and writes it, in the order of its times; from `trial_from` on a challenger looks on.

    To be closed.
    """

    def __init__(self, address: Address, predictor: Predictor, *, author_key: str, trial_from: datetime) -> None:
        self.predictor = predictor
        self._author_key = author_key
        self._trial_from = trial_from
        self.versions = versions_of(predictor)
        self._store = open_store(address)
        self._database = Database(address)
        self._now: list[datetime] = []
        metrics = Metrics()
        self._brake = CrisisBrake(lambda: JournalBook(address), metrics, now=lambda: self._now[-1])
        self._rules = ReadRules(
            lambda: self._database.read(standing_rules), metrics, brake=lambda: self._brake.objection
        )
        self._threads = ThreadPoolExecutor(usable_cores(), thread_name_prefix="demo")
        self._judged: dict[Rendered, Probabilities] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._rules.close()
        self._brake.close()
        self._database.close()
        self._store.close()

    def score(self, posts: Iterable[Post]) -> Iterator[Scores]:
        """The scores of posts, in order, before any policy; each as soon as it is there."""
        return self._threads.map(self._score, posts)

    def live(self, arrivals: Sequence[Arrival]) -> None:
        """Nothing; they are judged, obey the rules of now and the brake as it was looked at last, and are written."""
        self._rules.look()
        self._store.write(list(chain.from_iterable(self._threads.map(self._kept, arrivals))))

    def look(self, at: datetime) -> None:
        """Nothing; the brake looks at the journal as it would have at that time."""
        self._now = [at]
        self._brake.look()

    def _score(self, post: Post) -> Scores:
        """What was judged before under the same rendering has the same probabilities, as in the server's cache."""
        read = self.predictor.read(post)
        found = self._judged.get(read.rendered)
        if found is None:
            found = self._judged[read.rendered] = self.predictor.infer(read.encoded)
        return Scores(found.routes, found.intents, self.predictor.look(read), read.tokens, read.rendered)

    def _judge(self, post: Post) -> Prediction:
        """The decision, after rules and brake."""
        made = decide_scores(self._score(post), self.predictor.bundle.taxonomy, self.predictor.policy)
        return self._rules.obey(made, self.versions.model, known=True)

    def _kept(self, arrival: Arrival) -> list[Entry | Comparison]:
        """What the journal gets of a post: its decision, and during the trial what the challenger makes of it."""
        caller = Caller(f"demo-{arrival.prediction_id}", CALLER, arrival.received_at, perf_counter())
        predictor, post = self.predictor, arrival.post
        prediction = self._judge(post)
        given = answer(
            post, prediction, prediction_id=arrival.prediction_id, policy=predictor.policy, versions=self.versions
        )
        entries = entries_of(
            [post], [prediction], [given], caller=caller, predictor=predictor, author_key=self._author_key
        )
        if arrival.received_at < self._trial_from:
            return [*entries]
        other = self._judge(post.model_copy(update={"author": None}))
        challenger = f"{self.versions.model}{CHALLENGER}"
        return [
            *entries,
            *comparisons_of([given], [prediction], [other], model_version=challenger, received_at=arrival.received_at),
        ]
