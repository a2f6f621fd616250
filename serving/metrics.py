"""What the server counts, for Prometheus. Own registry; no text, no path and no name of a caller in any label."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import nan
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from data.taxonomy import ROUTES
from models.policy import Action
from models.predictor import STAGES, Prediction
from serving.cache import Found
from serving.errors import API_ERRORS
from serving.lanes import Unrun
from serving.wire import (
    BrakeAnswer,
    BrakeState,
    DisagreementCounts,
    JournalAnswer,
    JournalState,
    PostCounts,
    RiskAnswer,
    RiskState,
    Role,
    RulesAnswer,
    RulesState,
    Versions,
)

ServingStage = Literal["queue", "render", "tokenize", "infer", "guard", "decide"]
SERVING_STAGES: tuple[ServingStage, ...] = ("queue", *STAGES)
ConnectionCode = Literal["bad_http", "head_timeout", "head_too_large", "too_many_connections"]
Change = Literal["reload", "promote", "rollback", "retire", "policy"]
CHANGES: tuple[Change, ...] = get_args(Change)
ANSWERING_ROLES: tuple[Role, ...] = ("champion", "canary")
UNMATCHED = "unmatched"
"""The one route label of all paths that are not ours: a scanner must not make a series for each."""

# Rendering a short post takes some 50 us, a whole request of one post some 5 to 20 ms, the default deadline is 5 s.
_STAGE_BUCKETS_S = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
_REQUEST_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric as the documentation lists it."""

    name: str
    labels: tuple[str, ...]
    meaning: str


def _watch_state(gauge: Gauge, states: Iterable[str], ask: Callable[[], str], *labels: str) -> None:
    """Nothing; of the states the gauge is 1 for the one that is answered whenever it is asked for.

    The state is its last label, after these.
    """

    def is_in(state: str) -> Callable[[], float]:
        return lambda: ask() == state

    for state in states:
        gauge.labels(*labels, state).set_function(is_in(state))


class Metrics:
    """All counters, gauges and histograms of one server. Safe between threads."""

    def __init__(self) -> None:
        # When a series began is of no use to anybody here, and doubles the page.
        disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus_client has no types here
        self.registry = CollectorRegistry()
        self._labels_of: dict[str, tuple[str, ...]] = {}
        self._requests = self._counter("requests", "Requests answered, by route and status", "route", "status")
        self._request_seconds = self._histogram(
            "request_seconds", "Time from a request's head to the end of its answer", _REQUEST_BUCKETS_S, "route"
        )
        stages = self._histogram(
            "stage_seconds",
            "Time in a stage: queue for each request that waits, infer for each post that runs, else for each post",
            _STAGE_BUCKETS_S,
            "stage",
        )
        self._stages = {stage: stages.labels(stage) for stage in SERVING_STAGES}
        labels = self._counter("predictions", "Posts judged, by route label", "label")
        self._labels = {label: labels.labels(label) for label in ROUTES}
        actions = self._counter("actions", "Posts judged, by action of the decision", "action")
        self._actions = {action: actions.labels(action) for action in get_args(Action)}
        self._abstentions = self._counter("abstentions", "Posts that looked simple and were given to a person")
        self._truncated = self._counter("truncated", "Posts that were longer than the model reads")
        refusals = self._counter("refusals", "Requests not answered, by error code", "code")
        self._refusals = {error.code: refusals.labels(error.code) for error in API_ERRORS}
        self._connections = self._gauge("connections", "Connections open")
        refused = self._counter("connections_refused", "Connections closed before a request was read, by code", "code")
        self._connections_refused = {code: refused.labels(code) for code in get_args(ConnectionCode)}
        reads = self._counter("keys_file_reads", "Times the changed keys file was read, by what came of it", "outcome")
        self._keys_file_reads = {usable: reads.labels("taken" if usable else "refused") for usable in (True, False)}
        self._keys_file_stale = self._gauge(
            "keys_file_stale", "1 where the keys file cannot be used and older keys hold"
        )
        self._unrun = self._counters(
            "unrun",
            "Posts accepted and never run: their request expired or was abandoned",
            "why",
            get_args(Unrun),
        )
        self._cache = self._counters(
            "cache",
            "Posts looked up in the cache: hit, joined to one that runs or waits, or miss",
            "found",
            get_args(Found),
        )
        self._evictions = self._counter("cache_evictions", "Posts that left a full cache")
        self._cached_posts = self._gauge("cached_posts", "Posts kept in the cache")
        self._waiting = self._gauge("waiting_posts", "Posts accepted and not yet begun, by lane", "lane")
        self._ready = self._gauge("ready", "1 where a model answers, 0 while starting or draining")
        self._posts_in_work = self._gauge("posts_in_work", "Posts accepted and not yet answered")
        self._journal_state = self._gauge("journal_state", "1 for the state that the journal is in", "state")
        self._journal_buffered = self._gauge("journal_buffered", "Decisions that wait to be written")
        self._journal_written = self._counter("journal_written", "Decisions written to the journal")
        self._journal_dropped, self._comparisons_dropped = (
            self._counter("journal_dropped", "Decisions that the journal will never have"),
            self._counter("comparisons_dropped", "Comparisons with a challenger that the journal will never have"),
        )
        self._journal_failures = self._counter("journal_failures", "Times that the journal's database failed")
        self._journal_seconds = self._histogram(
            "journal_write_seconds", "Time in which a batch of decisions was written", _REQUEST_BUCKETS_S
        )
        self._versions = self._gauge(
            "versions",
            "1 for the versions in service, by role (champion, shadow, canary)",
            *Versions.model_fields,
            "role",
        )
        self._withheld = self._counters(
            "withheld",
            "Posts that the machine would have closed and was not let, by reason code",
            "why",
            ("crisis_brake", "brake_not_read", "must_not_answer", "rules_not_read"),
        )
        self._brake_engaged = self._gauge("brake_engaged", "1 while the crisis brake holds and no machine answers")
        self._brake_state = self._gauge("brake_state", "1 for the state that the crisis brake is in", "state")
        self._risk_state = self._gauge(
            "risk_state", "1 for the state of the watch over a model's promise, by role of the model", "role", "state"
        )
        self._risk_e_value = self._gauge(
            "risk_e_value", "Capital of the bets against a model's promise, NaN where there is none", "role"
        )
        self._rules_state = self._gauge("rules_state", "1 for the state that the must-not-answer rules are in", "state")
        self._rules = self._gauge("rules", "Must-not-answer rules known")
        self._challenger_posts = self._counters(
            "challenger_posts",
            "Posts answered by a canary, compared, and not compared",
            "outcome",
            PostCounts.model_fields,
        )
        self._disagreements = self._counters(
            "disagreements",
            "Compared posts that champion and challenger differ on, by kind",
            "kind",
            DisagreementCounts.model_fields,
        )
        self._reloads = self._counters(
            "reloads", "Bundles loaded while serving, by what came of it", "outcome", ("taken", "refused")
        )
        self._changes = self._counters("lineup_changes", "Changes of the models in service, by kind", "change", CHANGES)
        ProcessCollector(registry=self.registry)

    def _name(self, name: str, labels: tuple[str, ...]) -> str:
        full = f"signalbox_{name}"
        self._labels_of[full] = labels
        return full

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(self._name(name, labels), meaning, labels, registry=self.registry)

    def _counters(self, name: str, meaning: str, label: str, values: Iterable[str]) -> dict[str, Counter]:
        """A counter for each value of one label, all of them there from the start."""
        counter = self._counter(name, meaning, label)
        return {value: counter.labels(value) for value in values}

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(self._name(name, labels), meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(self._name(name, labels), meaning, labels, buckets=buckets, registry=self.registry)

    def families(self) -> tuple[Family, ...]:
        """Every family of the registry, as the documentation must list them."""
        return tuple(
            Family(
                name=family.name + ("_total" if family.type == "counter" else ""),
                labels=self._labels_of.get(family.name, ()),
                meaning=family.documentation.rstrip("."),
            )
            for family in self.registry.collect()
        )

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Counts one answered request; `route` is a path of ours or `UNMATCHED`."""
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def observe_stage(self, stage: ServingStage, seconds: float) -> None:
        """Records what one post spent in a stage."""
        self._stages[stage].observe(seconds)

    def observe_prediction(self, prediction: Prediction) -> None:
        """Counts one judged post, and why the machine was not let close it where it was not."""
        for reason in prediction.decision.reasons[:1]:
            if reason.code in self._withheld:
                self._withheld[reason.code].inc()
        self._labels[prediction.route].inc()
        self._actions[prediction.decision.action].inc()
        self._abstentions.inc(prediction.decision.abstained)
        self._truncated.inc(prediction.facts.truncated)

    def observe_refusal(self, code: str) -> None:
        """Counts one request that was not answered, by the code of its error."""
        self._refusals[code].inc()

    def observe_connections(self, difference: int) -> None:
        """Adds to the open connections."""
        self._connections.inc(difference)

    def observe_connection_refused(self, code: ConnectionCode) -> None:
        """Counts one connection that was closed before a request was read."""
        self._connections_refused[code].inc()

    def observe_keys_file(self, *, usable: bool) -> None:
        """Counts one reading of a keys file that had changed."""
        self._keys_file_reads[usable].inc()
        self._keys_file_stale.set(not usable)

    def observe_unrun(self, why: Unrun) -> None:
        """Counts one post that was accepted and never run."""
        self._unrun[why].inc()

    def observe_cache(self, found: Iterable[Found]) -> None:
        """Counts posts by how they were found in the cache."""
        for each in found:
            self._cache[each].inc()

    def observe_eviction(self) -> None:
        """Counts one post that left a full cache."""
        self._evictions.inc()

    def watch_engine(self, *, waiting: Mapping[str, Callable[[], int]], cached_posts: Callable[[], int]) -> None:
        """Reads the gauges of the engine from these whenever they are asked for; `waiting` by lane."""
        for lane, posts in waiting.items():
            self._waiting.labels(lane).set_function(posts)
        self._cached_posts.set_function(cached_posts)

    def watch(self, *, ready: Callable[[], bool], posts_in_work: Callable[[], int]) -> None:
        """Reads both gauges from these whenever they are asked for: nobody sets them, least of all a signal handler."""
        self._ready.set_function(ready)
        self._posts_in_work.set_function(posts_in_work)

    def watch_journal(self, health: Callable[[], JournalAnswer]) -> None:
        """Reads the journal's state whenever it is asked for."""
        self._journal_buffered.set_function(lambda: health().buffered)
        _watch_state(self._journal_state, get_args(JournalState), lambda: health().state)

    def watch_brake(self, health: Callable[[], BrakeAnswer]) -> None:
        """Reads whether the brake holds, and its state, whenever it is asked for."""
        self._brake_engaged.set_function(lambda: health().engaged)
        _watch_state(self._brake_state, get_args(BrakeState), lambda: health().state)

    def watch_risk(self, ask: Callable[[Role], RiskAnswer | None]) -> None:
        """Reads what is known of the promise of each role that answers whenever it is asked for."""

        def state_of(role: Role) -> Callable[[], str]:
            return lambda: found.state if (found := ask(role)) else ""

        def e_value_of(role: Role) -> Callable[[], float]:
            return lambda: found.e_value if (found := ask(role)) and found.e_value is not None else nan

        for role in ANSWERING_ROLES:
            _watch_state(self._risk_state, get_args(RiskState), state_of(role), role)
            self._risk_e_value.labels(role).set_function(e_value_of(role))

    def watch_rules(self, health: Callable[[], RulesAnswer]) -> None:
        """Reads the state of the rules whenever it is asked for."""
        self._rules.set_function(lambda: health().rules)
        _watch_state(self._rules_state, get_args(RulesState), lambda: health().state)

    def observe_journal_write(self, entries: int, seconds: float) -> None:
        """Counts entries that were written in one transaction."""
        self._journal_written.inc(entries)
        self._journal_seconds.observe(seconds)

    def observe_journal_dropped(self, entries: int) -> None:
        """Counts entries that are lost."""
        self._journal_dropped.inc(entries)

    def observe_comparisons_dropped(self, comparisons: int) -> None:
        """Counts comparisons of a challenger with the champion that are lost."""
        self._comparisons_dropped.inc(comparisons)

    def observe_journal_failure(self) -> None:
        """Counts one failure of the journal's database."""
        self._journal_failures.inc()

    def set_versions(self, versions: Mapping[Role, Versions]) -> None:
        """Shows what is in service, by role."""
        self._versions.clear()
        for role, each in versions.items():
            self._versions.labels(**each.model_dump(), role=role).set(1)

    def observe_challenger(self, outcome: str, posts: int) -> None:
        """Counts posts by what became of them beside a challenger: a field of `PostCounts`."""
        self._challenger_posts[outcome].inc(posts)

    def observe_disagreement(self, kinds: Iterable[str]) -> None:
        """Counts one post that champion and challenger disagree on, in each of its kinds."""
        for kind in kinds:
            self._disagreements[kind].inc()

    def observe_reload(self, *, taken: bool) -> None:
        """Counts one bundle that was to be loaded."""
        self._reloads["taken" if taken else "refused"].inc()

    def observe_change(self, change: Change) -> None:
        """Counts one change of the models in service."""
        self._changes[change].inc()

    def render(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)


def metrics_table(families: Iterable[Family]) -> str:
    """Metrics as the Markdown table of docs/operations.md: name, labels, meaning."""
    rows = ["| metric | labels | meaning |", "|---|---|---|"]
    for family in families:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(f"| `{family.name}` | {labels} | {family.meaning} |")
    return "\n".join(rows) + "\n"
