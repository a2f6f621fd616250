"""The metrics add up: requests are answers, refusals and errors; posts are hits, joined, run and unrun."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from starlette.types import Message

from tests.serving.clients import WAIT_S, Serve
from tests.serving.gates import FAULT_WORD, GATE_WORD, FaultyClassifier, GatedClassifier
from tests.serving.test_errors import call

PREDICT, BATCH = "/v1/predict", "/v1/predict/batch"


class GatedAndFaulty(GatedClassifier, FaultyClassifier):
    """Waits at one word and breaks at another."""


@dataclass
class Ledger:
    """A server with one worker and room for four posts, and what its callers saw of it."""

    client: TestClient
    classifier: GatedClassifier
    statuses: Counter[int] = field(default_factory=Counter)
    posts: int = 0
    numbers: Iterator[int] = field(default_factory=count)

    def send(self, path: str, body: Any, method: str = "POST", **headers: str) -> int:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.client.request(
            method, path, content=content, headers={"content-type": "application/json", **headers}
        )
        self.saw(answer.status_code, len(answer.json().get("results", [0])) if "v1/predict" in path else 0)
        return answer.status_code

    def saw(self, status: int, posts: int) -> None:
        self.statuses[status] += 1
        self.posts += posts if status == 200 else 0

    @contextmanager
    def busy(self) -> Iterator[None]:
        """The only worker stands at a post while this is open."""
        self.classifier.entered.clear()
        self.classifier.gate.clear()
        with ThreadPoolExecutor(1) as pool:
            running: Future[int] = pool.submit(self.send, PREDICT, {"text": f"{GATE_WORD} {next(self.numbers)}"})
            assert self.classifier.entered.wait(WAIT_S)
            yield
            self.classifier.gate.set()
            assert running.result(WAIT_S) == 200

    def samples(self) -> dict[tuple[str, ...], float]:
        text = self.client.get("/metrics").text
        self.statuses[200] += 1  # the next reading counts this one
        families = text_string_to_metric_families(text)
        return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def answer_one(ledger: Ledger) -> None:
    assert ledger.send(PREDICT, {"text": f"parcel {next(ledger.numbers)}"}) == 200


def answer_known(ledger: Ledger) -> None:
    assert ledger.send(PREDICT, {"text": "the same parcel"}) == 200


def answer_batch(ledger: Ledger) -> None:
    texts = (f"scam {next(ledger.numbers)}", "the same parcel", "the same parcel")
    assert ledger.send(BATCH, {"posts": [{"text": text} for text in texts]}) == 200


def break_down(ledger: Ledger) -> None:
    assert ledger.send(BATCH, {"posts": [{"text": f"{FAULT_WORD} {next(ledger.numbers)}"}, {"text": "lol"}]}) == 500


def refuse_json(ledger: Ledger) -> None:
    assert ledger.send(PREDICT, b"{") == 400


def refuse_post(ledger: Ledger) -> None:
    assert ledger.send(BATCH, {"posts": [{"text": "lol"}, {"text": ""}]}) == 422


def refuse_time_limit(ledger: Ledger) -> None:
    assert ledger.send(PREDICT, {"text": "lol"}, **{"x-request-timeout-ms": "soon"}) == 422


def refuse_path(ledger: Ledger) -> None:
    assert ledger.send("/wp-admin", {}) == 404


def refuse_method(ledger: Ledger) -> None:
    assert ledger.send(PREDICT, {}, "PUT") == 405


def refuse_overload(ledger: Ledger) -> None:
    with ledger.busy():
        texts = [f"parcel {next(ledger.numbers)}" for _ in range(4)]
        assert ledger.send(BATCH, {"posts": [{"text": text} for text in texts]}) == 429


def refuse_size(ledger: Ledger) -> None:
    assert ledger.send(PREDICT, b" " * 2_000) == 413


def miss_deadline(ledger: Ledger) -> None:
    with ledger.busy():
        body = {"text": f"parcel {next(ledger.numbers)}"}
        assert ledger.send(PREDICT, body, **{"x-request-timeout-ms": "50"}) == 504


def go_away(ledger: Ledger) -> None:
    body = json.dumps({"text": f"parcel {next(ledger.numbers)}"}).encode()
    messages: list[Message] = [{"type": "http.disconnect"}, {"type": "http.request", "body": body}]
    with ledger.busy():
        ledger.saw(call(ledger.client, PREDICT, messages.pop).status_code, 0)


STEPS = (
    answer_one, answer_known, answer_batch, break_down, refuse_json, refuse_post, refuse_time_limit, refuse_path,
    refuse_method, refuse_overload, refuse_size, miss_deadline, go_away,
)  # fmt: skip


@pytest.fixture(scope="module")
def ledger(serve: Serve) -> Iterator[Ledger]:
    classifier = GatedAndFaulty()
    with serve(classifier, workers=1, queue_posts=4, max_batch_posts=4, max_body_bytes=1_024) as client:
        yield Ledger(client, classifier)


def check(ledger: Ledger) -> None:
    expected = Counter(ledger.statuses)
    found = ledger.samples()

    def total(name: str) -> float:
        return sum(value for (sample, *_), value in found.items() if sample == f"signalbox_{name}")

    requests: Counter[int] = Counter()
    for (sample, *labels), value in found.items():
        if sample == "signalbox_requests_total":
            requests[int(labels[1])] += int(value)
    assert requests == expected
    assert sum(requests.values()) == requests[200] + total("refusals_total")
    assert total("request_seconds_count") == sum(requests.values())

    looked_up = {kind: found["signalbox_cache_total", kind] for kind in ("hit", "joined", "miss")}
    stages = {labels[0]: value for (name, *labels), value in found.items() if name == "signalbox_stage_seconds_count"}
    assert total("predictions_total") == total("actions_total") == stages["decide"] == ledger.posts
    assert stages["render"] == stages["tokenize"] >= sum(looked_up.values()) == stages["guard"]
    broken = requests[500]
    assert looked_up["miss"] == stages["infer"] + total("unrun_total") + broken
    assert total("posts_in_work") == total("waiting_posts") == 0


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_each_kind_of_request_is_accounted_for(ledger: Ledger, step: Callable[[Ledger], None]) -> None:
    step(ledger)
    check(ledger)


@settings(max_examples=15)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=12))
def test_whatever_comes_in_whatever_order_the_accounts_are_in_balance(
    ledger: Ledger, steps: list[Callable[[Ledger], None]]
) -> None:
    for step in steps:
        step(ledger)
    check(ledger)
