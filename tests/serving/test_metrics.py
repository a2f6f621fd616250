import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from serving.errors import API_ERRORS
from serving.metrics import SERVING_STAGES, Metrics, metrics_table
from serving.observer import Accounts
from tests.serving.clients import WAIT_S, Serve, service_of
from tests.serving.gates import GATE_WORD, GatedClassifier


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    """Every sample as the scraper reads it: name and label values, and its value."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def post(client: TestClient, **fields: Any) -> None:
    assert client.post("/v1/predict", json=fields).status_code == 200


def test_predictions_are_counted_by_label_and_action(serve: Serve) -> None:
    with serve() as client:
        post(client, text="where is my parcel?")
        post(client, text="lol")
        post(client, text="a scam again")
        post(client, text="parcel " * 400)
        found = samples(client)
        assert found["signalbox_predictions_total", "simple"] == 3
        assert found["signalbox_predictions_total", "sensitive"] == 1
        assert found["signalbox_predictions_total", "influencer"] == 0
        assert found["signalbox_actions_total", "auto_answer"] == 1
        assert found["signalbox_actions_total", "no_reply"] == 1
        assert found["signalbox_actions_total", "specialist"] == 1
        assert found["signalbox_actions_total", "agent"] == 1
        assert found["signalbox_abstentions_total",] == 1
        assert found["signalbox_truncated_total",] == 1


def test_every_post_is_timed_in_every_stage(serve: Serve) -> None:
    with serve() as client:
        post(client, text="thanks")
        client.post("/v1/predict/batch", json={"posts": [{"text": "thanks"}, *({"text": "lol"},) * 3]})
        found = samples(client)
        for stage in SERVING_STAGES:
            # Two requests of five posts, three of which are "lol": of two kinds of posts each was run once.
            wanted = {"queue": 2, "infer": 2}.get(stage, 5)
            assert found["signalbox_stage_seconds_count", stage] == wanted
            assert ("signalbox_stage_seconds_bucket", "5e-05", stage) in found  # 50 us, the finest bucket


def test_requests_and_refusals_are_counted_by_route_and_code(serve: Serve) -> None:
    with serve() as client:
        post(client, text="thanks")
        client.post("/v1/predict", json={})
        client.get("/v1/predict")
        found = samples(client)
        assert found["signalbox_requests_total", "/v1/predict", "200"] == 1
        assert found["signalbox_requests_total", "/v1/predict", "422"] == 1
        assert found["signalbox_requests_total", "/v1/predict", "405"] == 1
        assert found["signalbox_request_seconds_count", "/v1/predict"] == 3
        assert found["signalbox_refusals_total", "invalid_post"] == 1
        assert found["signalbox_refusals_total", "method_not_allowed"] == 1
        assert found["signalbox_refusals_total", "overloaded"] == 0


def test_paths_that_are_not_ours_share_one_series(serve: Serve) -> None:
    with serve() as client:
        for path in ("/wp-admin", "/v1/predict/", "/%F0%9F%98%80", "/xylophone?text=xylophone"):
            client.get(path)
        text = client.get("/metrics").text
        assert 'signalbox_requests_total{route="unmatched",status="404"} 4.0' in text
        assert "xylophone" not in text
        assert "wp-admin" not in text


def test_readiness_and_versions_are_shown(serve: Serve) -> None:
    with serve() as client:
        ready = samples(client)
        assert ready["signalbox_ready",] == 1
        assert ready["signalbox_posts_in_work",] == 0
        assert ready["signalbox_versions", "2026.11.22+fake00", "7", "1", "champion", "1"] == 1
        service_of(client).drain()
        assert samples(client)["signalbox_ready",] == 0


def test_posts_in_work_are_shown_while_they_are(serve: Serve) -> None:
    classifier = GatedClassifier()
    with serve(classifier) as client, ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.post, "/v1/predict", json={"text": GATE_WORD})
        assert classifier.entered.wait(WAIT_S)
        assert samples(client)["signalbox_posts_in_work",] == 1
        classifier.gate.set()
        assert running.result(WAIT_S).status_code == 200
        assert samples(client)["signalbox_posts_in_work",] == 0


def test_two_servers_in_one_process_count_each_their_own(serve: Serve) -> None:
    with serve() as one, serve() as other:
        post(one, text="thanks")
        assert samples(one)["signalbox_predictions_total", "simple"] == 1
        assert samples(other)["signalbox_predictions_total", "simple"] == 0


def test_every_error_code_has_its_series_from_the_start() -> None:
    text = Metrics().render().decode()
    for error in API_ERRORS:
        assert f'signalbox_refusals_total{{code="{error.code}"}} 0.0' in text


def test_every_metric_stands_in_the_operations_manual() -> None:
    """Print `metrics_table(Metrics().families())` into docs/operations.md when this fails."""
    assert metrics_table(Metrics().families()) in Path("docs/operations.md").read_text(encoding="utf-8")


def test_the_table_names_what_the_registry_renders() -> None:
    metrics = Metrics()
    rendered = set(re.findall(r"^# TYPE (\S+)", metrics.render().decode(), re.M))
    assert rendered == {family.name for family in metrics.families()}


def test_how_long_somebody_listens_to_an_answer_is_no_latency() -> None:
    metrics = Metrics()
    accounts = Accounts(metrics, timeout_s=1.0, access_log=False)

    async def stream() -> None:
        scope = {"type": "http", "method": "GET", "path": "/qa/cockpit/stream", "headers": []}
        record = accounts.begin(scope)
        record.answered_at = record.started_at
        accounts.end(record, scope)

    asyncio.run(stream())
    assert 'signalbox_request_seconds_sum{route="unmatched"} 0.0' in metrics.render().decode()
