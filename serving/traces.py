"""Which trace a request belongs to: W3C Trace Context, as OpenTelemetry's API reads it, which FastAPI brings along."""

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import Scope

_W3C = TraceContextTextMapPropagator()


def parent_of(scope: Scope) -> Context:
    """What the caller says of the trace in `traceparent` and `tracestate`; empty where that is not valid or not there.

    Two `traceparent` headers are none: nobody can say which holds.
    """
    headers = Headers(scope=scope)
    said = {name: headers.getlist(name) for name in ("traceparent", "tracestate")}
    return _W3C.extract(said) if len(said["traceparent"]) == 1 else Context()


def trace_id_of(scope: Scope) -> str | None:
    """The trace of a request, 32 hexadecimal digits: of its own span where it has one, else the caller's."""
    own = trace.get_current_span().get_span_context()
    context = own if own.is_valid else trace.get_current_span(parent_of(scope)).get_span_context()
    return format_trace_id(context.trace_id) if context.is_valid else None
