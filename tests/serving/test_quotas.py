import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from serving.auth import KeyEntry, hash_key
from serving.errors import InvalidPostError, RateLimitedError
from serving.quotas import Quotas
from tests.serving.clients import Serve
from tests.serving.dialects import DIALECTS, Spoken, check_error

MINUTE_S = 60
KEY = KeyEntry(name="crm", sha256=hash_key("k"))


@contextmanager
def clock_at(now_s: float) -> Iterator[list[float]]:
    """The library's clock, stopped; a test sets it by the one element of the list."""
    now = [now_s]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("throttled.utils.now_mono_f", lambda: now[0])
        yield now


def predict(client: TestClient, posts: int = 1, **headers: str) -> Response:
    if posts == 1:
        return client.post("/v1/predict", json={"text": "thanks"}, headers=headers)
    return client.post("/v1/predict/batch", json={"posts": [{"text": "thanks"}] * posts}, headers=headers)


def check_limited(response: Response) -> str:
    assert response.status_code == 429
    body = response.json()
    assert body["error"]["code"] == "rate_limited"
    assert body["fallback"] == {"action": "agent"}
    assert int(response.headers["retry-after"]) >= 1
    return str(body["error"]["message"])


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    """A key with a limit of 4 posts a minute, one without any, and one that has what the settings say."""
    limits: dict[str, dict[str, Any]] = {"small": {"posts_per_minute": 4}, "free": {"posts_per_minute": 0}, "usual": {}}
    path = tmp_path / "keys.json"
    scopes = ["predict", "metrics"]
    entries = [{"name": name, "sha256": hash_key(name), "scopes": scopes, **limit} for name, limit in limits.items()]
    path.write_text(json.dumps({"keys": entries}))
    return path


def test_a_key_may_send_its_posts_and_no_more(serve: Serve, keys_file: Path) -> None:
    with serve(api_keys_file=keys_file) as client:
        first = predict(client, 3, **{"X-API-Key": "small"})
        assert first.status_code == 200
        assert first.headers["ratelimit-policy"] == '"posts";q=4;w=60'
        assert first.headers["ratelimit"] == '"posts";r=1;t=45'
        refused = predict(client, 2, **{"X-API-Key": "small"})
        assert "the key 'small' has 1 posts left. Allowed: 4 a minute." in check_limited(refused)
        assert re.fullmatch('"posts";r=1;t=4[45]', refused.headers["ratelimit"])
        assert 14 <= int(refused.headers["retry-after"]) <= 16  # one comes back in 15 s
        assert predict(client, 1, **{"X-API-Key": "small"}).status_code == 200
        check_limited(predict(client, 1, **{"X-API-Key": "small"}))


def test_a_key_without_a_post_left_is_refused_before_its_body_is_read(serve: Serve, keys_file: Path) -> None:
    with serve(api_keys_file=keys_file) as client:
        assert predict(client, 4, **{"X-API-Key": "small"}).status_code == 200
        headers = {"X-API-Key": "small", "content-type": "application/json"}
        check_limited(client.post("/v1/predict", content=b"{", headers=headers))


def test_one_key_does_not_use_up_what_another_has(serve: Serve, keys_file: Path) -> None:
    with serve(api_keys_file=keys_file, rate_limit_posts_per_minute=2) as client:
        assert predict(client, 2, **{"X-API-Key": "usual"}).headers["ratelimit-policy"] == '"posts";q=2;w=60'
        check_limited(predict(client, 1, **{"X-API-Key": "usual"}))
        assert predict(client, 4, **{"X-API-Key": "small"}).status_code == 200
        check_limited(predict(client, 1, **{"X-API-Key": "small"}))
        for _ in range(3):
            unlimited = predict(client, 4, **{"X-API-Key": "free"})
            assert unlimited.status_code == 200
            assert "ratelimit" not in unlimited.headers


def test_what_is_not_a_valid_request_costs_nothing(serve: Serve, keys_file: Path) -> None:
    with serve(api_keys_file=keys_file) as client:
        for _ in range(5):
            assert client.post("/v1/predict", json={}, headers={"X-API-Key": "small"}).status_code == 422
        assert predict(client, 4, **{"X-API-Key": "small"}).status_code == 200


def test_a_batch_over_the_whole_limit_is_told_that_waiting_does_not_help(serve: Serve, keys_file: Path) -> None:
    with serve(api_keys_file=keys_file) as client:
        refused = predict(client, 5, **{"X-API-Key": "small"})
        assert refused.status_code == 422
        assert "retry-after" not in refused.headers
        assert refused.json()["error"]["details"] == [
            {"field": "posts", "code": "too_long", "got": "an array of 5", "wanted": "at most 4 posts"}
        ]
        assert predict(client, 4, **{"X-API-Key": "small"}).status_code == 200


def test_without_a_keys_file_the_limit_is_that_of_the_server(serve: Serve) -> None:
    with serve(rate_limit_posts_per_minute=2) as client:
        assert predict(client, 2).status_code == 200
        assert "this server has 0 posts left" in check_limited(predict(client, 1, **{"X-API-Key": "anything"}))
        assert 'signalbox_refusals_total{code="rate_limited"} 1.0' in client.get("/metrics").text


def test_health_and_metrics_are_never_limited(serve: Serve) -> None:
    with serve(rate_limit_posts_per_minute=1) as client:
        predict(client)
        check_limited(predict(client))
        for path in ("/healthz", "/readyz", "/metrics", "/v1/model", "/"):
            for _ in range(3):
                assert client.get(path).status_code == 200


def test_no_limit_is_set_unless_it_is_asked_for(client: TestClient) -> None:
    assert not [name for name in predict(client, 3).headers if name.startswith("ratelimit")]


@pytest.mark.parametrize("spoken", DIALECTS.values(), ids=DIALECTS)
def test_posts_count_alike_whatever_the_dialect_they_come_in(serve: Serve, spoken: Spoken) -> None:
    with serve(rate_limit_posts_per_minute=3) as client:
        taken = client.post(spoken.path, json=spoken.body("thanks", "lol"))
        assert taken.status_code == 200
        assert taken.headers["ratelimit"].startswith('"posts";r=1;')
        refused = client.post(spoken.path, json=spoken.body("thanks", "lol"))
        assert "1 posts left" in check_error(refused, 429, spoken)[spoken.error]
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["ratelimit-policy"] == '"posts";q=3;w=60'
        check_error(client.post(spoken.path, json=spoken.body(*["lol"] * 4)), 422, spoken)


# Over time, by a clock that the test sets


requests = st.lists(st.tuples(st.floats(0, 40, allow_nan=False), st.integers(1, 12)), max_size=30)


@given(limit=st.integers(1, 10), sent=requests)
def test_in_no_span_of_time_does_a_key_send_more_than_one_bucket_and_what_comes_back(
    limit: int, sent: list[tuple[float, int]]
) -> None:
    quotas, taken = Quotas(limit), []
    with clock_at(1_000.0) as now:
        for pause_s, posts in sent:
            now[0] += pause_s
            try:
                quotas.take(KEY, posts)
            except RateLimitedError:
                continue
            except InvalidPostError:
                assert posts > limit
                continue
            taken.append((now[0], posts))
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            span_s = taken[last][0] - taken[first][0]
            together = sum(posts for _, posts in taken[first : last + 1])
            assert together <= limit + limit * span_s / MINUTE_S + 1e-6


@given(limit=st.integers(1, 10), sent=requests)
def test_whoever_waits_as_long_as_told_is_let_through(limit: int, sent: list[tuple[float, int]]) -> None:
    quotas = Quotas(limit)
    with clock_at(1_000.0) as now:
        for pause_s, wanted in sent:
            now[0] += pause_s
            posts = min(wanted, limit)
            try:
                quotas.take(KEY, posts)
            except RateLimitedError as refused:
                wait_s = int((refused.headers or {})["Retry-After"])
                assert wait_s <= MINUTE_S + 1
                now[0] += wait_s
                quotas.take(KEY, posts)


@given(posts=st.lists(st.integers(1, 5), min_size=1, max_size=20))
def test_what_is_refused_costs_nothing(posts: list[int]) -> None:
    quotas, left = Quotas(10), 10
    with clock_at(1_000.0):
        for each in posts:
            if each <= left:
                left -= each
                assert quotas.take(KEY, each)["RateLimit"].startswith(f'"posts";r={left};')
            else:
                with pytest.raises(RateLimitedError, match=f"has {left} posts left"):
                    quotas.take(KEY, each)


def test_a_key_whose_limit_was_lowered_is_never_told_of_less_than_nothing() -> None:
    quotas = Quotas(0)
    with clock_at(1_000.0):
        quotas.take(KEY.model_copy(update={"posts_per_minute": 600}), 600)
        lowered = KEY.model_copy(update={"posts_per_minute": 6})
        with pytest.raises(RateLimitedError, match="has 0 posts left"):
            quotas.look(lowered)
        with pytest.raises(RateLimitedError, match="has 0 posts left"):
            quotas.take(lowered, 6)
