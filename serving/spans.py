"""A span for each request, where the `OTEL_` variables name an exporter (OpenTelemetry; group `tracing`).

A span holds what the access log holds and the decision; never a text, an address that was asked for, or what an
exception says. Nothing of OpenTelemetry's SDK is imported, and nothing is done, where no exporter is named.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points

from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue
from starlette.types import ASGIApp, Receive, Scope, Send

from data.dependencies import needs_group
from serving.observer import METHODS, RequestRecord, known_record
from serving.settings import SettingsError
from serving.traces import parent_of
from serving.wire import PredictResponse, Versions

SERVICE_NAME = "signalbox"
_EXPORTER, _PROTOCOL, _ENDPOINT = "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES_PROTOCOL, _TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_UNTRACED = frozenset({"/healthz", "/readyz", "/metrics", "/health", "/ping", "/v2/health/live", "/v2/health/ready"})
"""Asked every few seconds by machines, in every dialect; their spans would be most of all spans and tell nothing."""


def _exporter_names(environment: Mapping[str, str]) -> list[str]:
    """The exporters that are asked for, as the SDK's packages name them."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    has_endpoint = environment.get(_TRACES_ENDPOINT) or environment.get(_ENDPOINT)
    asked = environment.get(_EXPORTER) or ("otlp" if has_endpoint else "none")
    protocol = environment.get(_TRACES_PROTOCOL) or environment.get(_PROTOCOL) or "http/protobuf"
    names = [name.strip() for name in asked.split(",")]
    return [_OTLP.get(protocol, protocol) if name == "otlp" else name for name in names if name not in ("", "none")]


def tracer_from(environment: Mapping[str, str]) -> Tracer | None:
    """A tracer that samples and exports as the `OTEL_` variables say; `None` where they name no exporter.

    Raises:
        MissingGroupError: when one is named and OpenTelemetry's SDK is not installed.
        SettingsError: when there is no such exporter.
    """
    names = _exporter_names(environment)
    if not names:
        return None
    with needs_group("tracing", "Exporting traces"):
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    named = environment.get("OTEL_SERVICE_NAME") or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": SERVICE_NAME}))
    for name in names:
        found = list(entry_points(group="opentelemetry_traces_exporter", name=name))
        if not found:
            raise SettingsError(
                f"The server cannot start: {_EXPORTER} or {_PROTOCOL} asks for the trace exporter {name!r}, which is "
                f"not installed. Wanted: otlp over http/protobuf, console, or a package that brings it. Unset it, or "
                "install what is missing: pip install --group tracing -c constraints.txt"
            )
        provider.add_span_processor(BatchSpanProcessor(found[0].load()()))
    return provider.get_tracer(SERVICE_NAME)


def _method_of(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "_OTHER"


def _versions(answers: Sequence[PredictResponse]) -> dict[str, AttributeValue]:
    """What answered; where a canary took some posts of a batch, both."""
    of_all = [each.versions for each in answers]
    return {f"signalbox.version.{of}": sorted({getattr(each, of) for each in of_all}) for of in Versions.model_fields}


def _attributes(record: RequestRecord, scope: Scope) -> dict[str, AttributeValue]:
    """What a span says of a request: HTTP by OpenTelemetry's conventions 1.44, ours under `signalbox.`"""
    said: dict[str, AttributeValue] = {
        "http.request.method": _method_of(scope),
        "http.route": record.route,
        "http.response.status_code": record.status,
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
        "signalbox.request_id": record.request_id,
    }
    if record.error_code is not None:
        said["error.type"] = record.error_code
    if record.timing is not None:
        said |= {f"signalbox.{stage}_ms": milliseconds for stage, milliseconds in record.timing.stages_ms().items()}
    if record.answers:
        said["signalbox.posts"] = len(record.answers)
        said |= {
            f"signalbox.actions.{action}": count
            for action, count in Counter(each.decision.action for each in record.answers).items()
        }
        said |= _versions(record.answers)
    return said


class Tracing:
    """Middleware around the observer: a server span for each request but those of health and metrics."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request, in the trace of its caller."""
        if scope["type"] != "http" or scope["path"] in _UNTRACED:
            await self._app(scope, receive, send)
            return
        with self._tracer.start_as_current_span(
            "HTTP",
            context=parent_of(scope),
            kind=SpanKind.SERVER,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                await self._app(scope, receive, send)
            finally:
                record = known_record(scope)
                if span.is_recording() and record is not None:
                    span.update_name(f"{_method_of(scope)} {record.route}")
                    span.set_attributes(_attributes(record, scope))
                    if record.status >= 500:
                        span.set_status(StatusCode.ERROR)
