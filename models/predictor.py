"""The whole answer for a post: rendering, guards, classifier, calibration and policy in one call.

The one path by which evaluation measures and the server answers, so that a figure in a report is a figure of the
served program. `predict` is the phases `read`, `infer`, `look` and `judge` one after another; the server runs the same
phases where each costs least.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Literal, Protocol, Self

import numpy as np

from data.handles import Handles
from data.post import Post
from data.rendering import Rendered, render
from data.taxonomy import ROUTES, Intent, Route, Taxonomy
from models.bundle import LABELS_FILE, Bundle, BundleError
from models.calibration import FloatArray, probabilities
from models.classifier import Classifier, Encoded, Logits
from models.golden import TOLERANCE, departures
from models.guards import Guards, LanguageDetector
from models.policy import Decision, Facts, Policy, check_intents, content_unanswered, decide

Stage = Literal["render", "tokenize", "infer", "guard", "decide"]
STAGES: tuple[Stage, ...] = ("render", "tokenize", "infer", "guard", "decide")
Observe = Callable[[Stage, float], None]
"""Told the seconds that a stage took for the whole call."""


class Scorer(Protocol):
    """What a predictor needs of a classifier: `models.classifier.Classifier`, or a fake in tests."""

    def encode(self, rendered: Rendered) -> Encoded:
        """The windows of one rendered post."""

    def logits(self, posts: Sequence[Encoded]) -> Logits:
        """Logits of encoded posts, `[n, 4]` and `[n, k]`, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class ReadPost:
    """A post as the model gets it: rendered, and cut into windows of tokens."""

    post: Post
    rendered: Rendered
    encoded: Encoded
    tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class Probabilities:
    """Calibrated probabilities of one post, `[4]` and `[k]`. They depend on what the model reads of it alone."""

    routes: FloatArray
    intents: FloatArray


@dataclass(frozen=True, slots=True)
class Scores:
    """Calibrated probabilities of one post with what the policy needs beside them; arrays are `[4]` and `[k]`."""

    routes: FloatArray
    intents: FloatArray
    facts: Facts
    tokens: int
    rendered: Rendered


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is answered for one post. Labels are the most probable ones; the decision is the policy's.

    `rendered` is what the model read; with `facts` it is all that the answer came from (`Predictor.predict_rendered`).
    """

    routes: dict[Route, float]
    intents: dict[Intent, float]
    route: Route
    intent: Intent
    facts: Facts
    decision: Decision
    tokens: int
    rendered: Rendered


def _ignore(stage: Stage, seconds: float) -> None:
    """Observes nothing."""


def decide_scores(scores: Scores, taxonomy: Taxonomy, policy: Policy) -> Prediction:
    """The prediction that `policy` makes of scores; cheap, so a threshold can be tried without the model."""
    routes = dict(zip(ROUTES, map(float, scores.routes), strict=True))
    intents = dict(zip(taxonomy.intents, map(float, scores.intents), strict=True))
    return Prediction(
        routes=routes,
        intents=intents,
        route=ROUTES[int(np.argmax(scores.routes))],
        intent=taxonomy.names[int(np.argmax(scores.intents))],
        facts=scores.facts,
        decision=decide(routes, intents, scores.facts, policy),
        tokens=scores.tokens,
        rendered=scores.rendered,
    )


class Predictor:
    """A bundle in memory. Safe to share between threads; `policy` replaces the bundle's own where given.

    Raises:
        PolicyError: when the policy names an intent that the bundle does not know.
    """

    def __init__(
        self,
        bundle: Bundle,
        classifier: Scorer,
        guards: Guards,
        *,
        policy: Policy | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.bundle = bundle
        self.policy = policy or bundle.policy
        check_intents(self.policy, bundle.taxonomy)
        self._classifier = classifier
        self.guards = guards
        self._handles: Handles = self.policy.guards.handles
        self._now = now

    @classmethod
    def load(
        cls, bundle: Bundle, *, policy: Policy | None = None, threads: int = 1, guards: Guards | None = None
    ) -> Self:
        """The predictor of a verified bundle, in memory, after it gave its golden posts what it must.

        `guards` shares a language model that is in memory already.

        Raises:
            BundleError: when its graph has other outputs than it has labels, or it does not compute what was recorded
                when the bundle was written.
            PolicyError: when `policy` names an intent that the bundle does not know.
        """
        guards = guards or Guards(LanguageDetector())
        classifier = Classifier(bundle.model_path, bundle.tokenizer_path, bundle.manifest.reading, threads=threads)
        _check_outputs(bundle, classifier)
        predictor = cls(bundle, classifier, guards, policy=policy)
        _check_golden(predictor)
        return predictor

    @property
    def content(self) -> frozenset[Intent]:
        """The intents that lose nothing by silence, under the policy that decides."""
        return content_unanswered(self.policy, self.bundle.taxonomy)

    def under(self, policy: Policy) -> Self:
        """The same model in memory under another policy."""
        return type(self)(self.bundle, self._classifier, self.guards, policy=policy, now=self._now)

    def read(self, post: Post, observe: Observe = _ignore) -> ReadPost:
        """The post rendered and encoded: all that `infer` needs, and how many tokens that will be."""
        start = perf_counter()
        rendered = render(post, self._handles)
        observe("render", (rendering_done := perf_counter()) - start)
        encoded = self._classifier.encode(rendered)
        observe("tokenize", perf_counter() - rendering_done)
        return ReadPost(post, rendered, encoded, encoded.tokens)

    def infer(self, encoded: Encoded, observe: Observe = _ignore) -> Probabilities:
        """The calibrated probabilities of a post that was read: nearly all of the time that an answer takes."""
        start = perf_counter()
        logits = self._classifier.logits([encoded])
        calibration = self.bundle.calibration
        routes = probabilities(logits.route, calibration.route_temperature)
        intents = probabilities(logits.intent, calibration.intent_temperature)
        observe("infer", perf_counter() - start)
        return Probabilities(routes[0], intents[0])

    def look(self, read: ReadPost, observe: Observe = _ignore) -> Facts:
        """The facts of a post, by the guards' lines of the policy. Needs no score: may run while `infer` does."""
        start = perf_counter()
        facts = self.guards.read(
            read.post,
            read.rendered,
            truncated=read.encoded.truncated,
            lines=self.policy.guards,
            today=self._now().date(),
        )
        observe("guard", perf_counter() - start)
        return facts

    def judge(self, read: ReadPost, found: Probabilities, facts: Facts, observe: Observe = _ignore) -> Prediction:
        """The prediction that the policy makes of what the other phases gave."""
        start = perf_counter()
        scores = Scores(found.routes, found.intents, facts, read.tokens, read.rendered)
        prediction = decide_scores(scores, self.bundle.taxonomy, self.policy)
        observe("decide", perf_counter() - start)
        return prediction

    def score(self, posts: Sequence[Post]) -> list[Scores]:
        """Probabilities and facts of posts, in order, before any policy."""
        reads = [self.read(post) for post in posts]
        founds = [self.infer(read.encoded) for read in reads]
        return [
            Scores(found.routes, found.intents, self.look(read), read.tokens, read.rendered)
            for read, found in zip(reads, founds, strict=True)
        ]

    def predict(self, posts: Sequence[Post], observe: Observe = _ignore) -> list[Prediction]:
        """Predictions of posts, in order; a post's answer does not depend on the others of the call."""
        seconds: defaultdict[Stage, float] = defaultdict(float)

        def add(stage: Stage, spent: float) -> None:
            seconds[stage] += spent

        reads = [self.read(post, add) for post in posts]
        predictions = [self.judge(read, self.infer(read.encoded, add), self.look(read, add), add) for read in reads]
        for stage in STAGES:
            observe(stage, seconds[stage])
        return predictions

    def predict_rendered(self, rendered: Rendered, facts: Facts) -> Prediction:
        """The prediction for what the model read of a post earlier, and for the facts that its guards found then.

        How much of the text the model reads is found anew.
        """
        encoded = self._classifier.encode(rendered)
        found = self.infer(encoded)
        facts = replace(facts, truncated=encoded.truncated)
        scores = Scores(found.routes, found.intents, facts, encoded.tokens, rendered)
        return decide_scores(scores, self.bundle.taxonomy, self.policy)


def _check_outputs(bundle: Bundle, classifier: Scorer) -> None:
    logits = classifier.logits([classifier.encode(Rendered(text="a", context=""))])
    for head, got, labels in (("route", logits.route, ROUTES), ("intent", logits.intent, bundle.taxonomy.names)):
        if got.shape[1] != len(labels):
            raise BundleError(
                f"The graph of bundle {bundle.directory} gives {got.shape[1]} {head} logits, {LABELS_FILE} names "
                f"{len(labels)} labels. Wanted one for each. The two are not of one training: copy the bundle again "
                "from its source, or retrain it."
            )


def _check_golden(predictor: Predictor) -> None:
    bundle, golden = predictor.bundle, predictor.bundle.golden
    if golden is None:
        return
    tolerance = TOLERANCE[bundle.manifest.precision]
    scored = predictor.under(bundle.policy).score(golden.inputs)  # the language model may still be on its way
    found = [decide_scores(each, bundle.taxonomy, bundle.policy) for each in scored]
    off = list(departures(golden, found, bundle.policy, tolerance))
    if off:
        raise BundleError(
            f"Bundle {bundle.directory} computes something else here than where it was made: {off[0]} (and "
            f"{len(off) - 1} more of {len(found)} posts). Wanted: every probability within {tolerance} of the recorded "
            "one, and the same decision. Install the pinned versions (constraints.txt), try another machine, or make "
            "the bundle anew with this program."
        )
