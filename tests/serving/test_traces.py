"""What of a caller's trace context is taken over into the log, and that nothing more is done unless it is asked for."""

import io
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.dependencies import MissingGroupError
from serving.spans import tracer_from
from serving.traces import parent_of, trace_id_of
from tests.serving.clients import WAIT_S, Serve, lines
from tests.serving.gates import FAULT_WORD, FaultyClassifier

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def scope(*traceparents: str, tracestate: str = "") -> dict[str, Any]:
    headers = [(b"traceparent", each.encode("latin-1")) for each in traceparents]
    return {"type": "http", "headers": [*headers, (b"tracestate", tracestate.encode())]}


# W3C Trace Context


@pytest.mark.parametrize(
    "traceparent",
    [
        PARENT,
        f"00-{TRACE}-b7ad6b7169203331-00",
        f"cc-{TRACE}-b7ad6b7169203331-01",  # a later version is read as far as this one goes
        f"cc-{TRACE}-b7ad6b7169203331-01-what-the-future-will-be-like",
    ],
)
def test_a_valid_context_is_taken_over(traceparent: str) -> None:
    assert trace_id_of(scope(traceparent, tracestate="vendor=1")) == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "00",
        TRACE,
        f"00-{TRACE.upper()}-b7ad6b7169203331-01",
        f"00-{TRACE}-b7ad6b7169203331-01-extra",
        f"00-{TRACE}-b7ad6b7169203331-1",
        f"00-{TRACE[1:]}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-b7ad6b7169203331-01",
        f"00-{TRACE}-b7ad6b716920333z-01",
        "00-" + "a" * 5_000,
    ],
)
def test_a_context_that_is_not_valid_is_as_none(traceparent: str) -> None:
    assert trace_id_of(scope(traceparent)) is None


def test_of_two_contexts_neither_holds() -> None:
    assert trace_id_of(scope(PARENT, PARENT)) is None
    assert trace_id_of(scope()) is None


@given(st.text(st.characters(max_codepoint=255), max_size=80), st.text(max_size=80))
def test_whatever_a_header_says_breaks_nothing(traceparent: str, tracestate: str) -> None:
    assert parent_of(scope(traceparent, tracestate=tracestate)) is not None
    assert trace_id_of(scope(f"00-{TRACE}-b7ad6b7169203331-01", tracestate=tracestate)) == TRACE


def test_the_log_names_the_trace_of_its_caller(serve: Serve, log: io.StringIO) -> None:
    with serve(FaultyClassifier(), access_log=True) as client:
        client.post("/v1/predict", json={"text": "thanks"}, headers={"traceparent": PARENT})
        client.post("/v1/predict", json={"text": "thanks"})
        client.post("/v1/predict", json={"text": FAULT_WORD}, headers={"traceparent": PARENT})
    assert [(line["event"], line["trace_id"]) for line in lines(log)[1:]] == [
        ("request", TRACE),
        ("request", None),
        ("unexpected_error", TRACE),
        ("request", TRACE),
    ]


# What the OTEL_ variables ask for


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_SERVICE_NAME": "routing"},
    ],
)
def test_no_exporter_is_no_tracing(environment: dict[str, str]) -> None:
    assert tracer_from(environment) is None


def test_an_exporter_without_the_sdk_is_answered_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    assert tracer_from({}) is None
    with pytest.raises(MissingGroupError, match="pip install --group tracing"):
        tracer_from({"OTEL_TRACES_EXPORTER": "otlp"})


def test_nothing_of_the_sdk_is_imported_unless_an_exporter_is_named() -> None:
    program = (
        "import sys; from serving.app import create_app; from serving.settings import Settings\n"
        "from serving.spans import tracer_from\n"
        "create_app(Settings(), lambda: None, tracer_from({}))\n"
        "print(*(name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=WAIT_S)
    assert done.stdout.strip() == ""
