"""The span that an exporter gets of a request, and which exporter that is."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.app import create_app
from serving.settings import Settings, SettingsError
from serving.spans import tracer_from
from tests.serving.clients import PATIENT_MS, WAIT_S, MakePredictor, lines, service_of
from tests.serving.dialects import OPEN_PATHS
from tests.serving.gates import FAULT_WORD, FaultyClassifier

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
SECRET = "xylophone"
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter", reason="group tracing")


@pytest.fixture
def spans() -> Any:
    """What an exporter was given."""
    return memory.InMemorySpanExporter()


@pytest.fixture
def traced(make_predictor: MakePredictor, spans: Any) -> Iterator[TestClient]:
    """A server that exports each span as it ends."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    settings = Settings(request_timeout_ms=PATIENT_MS, access_log=True)
    app = create_app(settings, lambda: make_predictor(FaultyClassifier()), provider.get_tracer("signalbox"))
    with TestClient(app) as client:
        assert service_of(client).settled.wait(WAIT_S)
        yield client
    provider.shutdown()


def test_a_request_is_one_span_with_its_decision_and_versions(traced: TestClient, spans: Any) -> None:
    traced.post("/v1/predict", json={"text": "a scam again"}, headers={"traceparent": PARENT, "X-Request-ID": "crm-1"})
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind.name) == ("POST /v1/predict", "SERVER")
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    took = {stage: span.attributes[f"signalbox.{stage}_ms"] for stage in ("queue", "read", "infer", "decide")}
    assert {name: value for name, value in span.attributes.items() if not name.endswith("_ms")} == {
        "http.request.method": "POST",
        "http.route": "/v1/predict",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "signalbox.request_id": "crm-1",
        "signalbox.posts": 1,
        "signalbox.actions.specialist": 1,
        "signalbox.version.model": ("2026.11.22+fake00",),
        "signalbox.version.policy": ("7",),
        "signalbox.version.taxonomy": ("1",),
        "signalbox.version.rendering": ("1",),
    }
    assert took["infer"] > 0
    assert sum(took.values()) <= (span.end_time - span.start_time) / 1e6


def test_a_batch_is_one_span_that_counts_its_actions(traced: TestClient, spans: Any) -> None:
    posts = [{"text": "where is my parcel?"}, {"text": "lol"}, {"text": "where is my parcel?"}]
    traced.post("/v1/predict/batch", json={"posts": posts})
    (span,) = spans.get_finished_spans()
    actions = {name: value for name, value in span.attributes.items() if ".actions." in name}
    assert actions == {"signalbox.actions.auto_answer": 2, "signalbox.actions.no_reply": 1}
    assert span.attributes["signalbox.posts"] == 3
    assert span.parent is None


def test_a_refusal_and_a_fault_are_told_apart_and_neither_says_what_was_sent(traced: TestClient, spans: Any) -> None:
    traced.post("/v1/predict", json={"text": SECRET, SECRET: SECRET})
    traced.post("/v1/predict", json={"text": f"{FAULT_WORD} {SECRET}"})
    traced.get(f"/{SECRET}?text={SECRET}")
    traced.request(SECRET.upper(), "/v1/predict")
    found = spans.get_finished_spans()
    assert [(span.name, span.attributes["error.type"], span.status.status_code.name) for span in found] == [
        ("POST /v1/predict", "invalid_post", "UNSET"),
        ("POST /v1/predict", "internal_error", "ERROR"),
        ("GET unmatched", "not_found", "UNSET"),
        ("_OTHER /v1/predict", "method_not_allowed", "UNSET"),
    ]
    assert SECRET not in "".join(span.to_json() for span in found).lower()


def test_health_and_metrics_have_no_spans(traced: TestClient, spans: Any) -> None:
    for path in ("/healthz", "/readyz", "/metrics", *(path for path in OPEN_PATHS if "health" in path), "/ping"):
        assert traced.get(path).status_code == 200
    assert spans.get_finished_spans() == ()


def test_without_a_trace_of_the_caller_the_log_names_that_of_the_span(
    traced: TestClient, spans: Any, log: io.StringIO
) -> None:
    traced.post("/v1/predict", json={"text": "thanks"})
    (span,) = spans.get_finished_spans()
    assert [line["trace_id"] for line in lines(log) if line["event"] == "request"] == [f"{span.context.trace_id:032x}"]


# What the OTEL_ variables ask for


@pytest.mark.parametrize(
    "environment", [{"OTEL_TRACES_EXPORTER": "otlp"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}]
)
def test_a_named_exporter_is_used_under_our_name_or_that_of_the_variables(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, given_name in (("signalbox", None), ("routing", "routing")):
        if given_name:
            monkeypatch.setenv("OTEL_SERVICE_NAME", given_name)
            environment = {**environment, "OTEL_SERVICE_NAME": given_name}
        tracer: Any = tracer_from(environment)
        assert tracer.resource.attributes["service.name"] == name
        (processor,) = tracer.span_processor._span_processors
        assert type(processor.span_exporter).__module__.startswith("opentelemetry.exporter.otlp.proto.http")
        processor.shutdown()


def test_an_exporter_that_is_not_there_keeps_the_server_from_starting() -> None:
    with pytest.raises(SettingsError, match=r"asks for the trace exporter 'jaeger'.*pip install --group tracing"):
        tracer_from({"OTEL_TRACES_EXPORTER": "jaeger"})
    with pytest.raises(SettingsError, match="otlp_proto_grpc"):
        tracer_from({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
