"""The application: its routes, what each needs, and its life from start to stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Security, params
from opentelemetry.trace import Tracer
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from data.taxonomy import ROUTES
from models.policy import Policy
from serving import pages
from serving.admin import add_admin_routes
from serving.auth import BEARER, HEADER, KeyRing, Scope, sent_key
from serving.braking import AnyBrake, make_brake
from serving.changeover import BundleLoader, Changeover
from serving.dialects import add_dialects, error_writer
from serving.dialects.host import Host
from serving.direct import DirectRoute
from serving.door import Door
from serving.enforcement import Enforcer
from serving.engine import ServedModel
from serving.errors import (
    PREDICT_ERRORS,
    AdminClosedError,
    ErrorWriter,
    InternalError,
    KeyMissingError,
    KeyRefusedError,
    NotReadyError,
    as_api_error,
)
from serving.feedback import add_feedback_route
from serving.intake import Intake
from serving.journal.journal import AnyJournal, make_journal
from serving.lineup import Lineup
from serving.metrics import Metrics
from serving.observer import Accounts, Observer, record_of
from serving.openapi import DESCRIPTION, INTERFACE_VERSION, body_of, describe, judges, responses_of
from serving.quotas import Quotas
from serving.requests import parse
from serving.risk import NoRisk, RiskWatch, make_risk
from serving.rules import Rules, make_rules
from serving.service import PredictorLoader, Service
from serving.settings import Settings
from serving.spans import Tracing
from serving.turns import Turns
from serving.wire import (
    BatchRequest,
    BatchResponse,
    GuardsAnswer,
    HealthResponse,
    LabelsAnswer,
    LimitsAnswer,
    ModelResponse,
    PredictRequest,
    PredictResponse,
    ReadyResponse,
)
from serving.workbench.bench import Bench
from serving.workbench.mount import add_workbench

_KEY_ERRORS = (KeyMissingError, KeyRefusedError)


def _needs(keys: KeyRing | None, scope: Scope) -> params.Depends:
    """A dependency that lets a request through whose key may do `scope`; any request where there is no keys file."""

    async def check(request: Request, _bearer: object = Security(BEARER), _header: object = Security(HEADER)) -> None:
        if keys is not None:
            record_of(request).key = keys.check(sent_key(request), scope)

    return params.Depends(check)


def _needs_admin(keys: KeyRing | None) -> params.Depends:
    """A dependency that lets a request through whose key may do `admin`; none where there is no keys file.

    Without one, any page in a browser on this machine could send a request, and nobody could say who did.
    """
    if keys is not None:
        return _needs(keys, "admin")

    async def refuse() -> None:
        raise AdminClosedError

    return params.Depends(refuse)


def _http_error_handler(write: ErrorWriter) -> Callable[[Request, Exception], Coroutine[Any, Any, Response]]:
    """What answers an error that a route or the router raised."""

    async def answer(request: Request, error: Exception) -> Response:
        known = as_api_error(error, request) if isinstance(error, HTTPException) else InternalError()
        record_of(request).error_code = known.code
        return write(known, request.url.path)

    return answer


def _source_of(policy: Policy, model: ServedModel) -> str:
    if policy is not model.own_policy:
        return "workbench"
    return "bundle" if policy is model.predictor.bundle.policy else "override"


def _model_answer(lineup: Lineup, settings: Settings) -> ModelResponse:
    model = lineup.champion
    manifest, policy = model.predictor.bundle.manifest, model.predictor.policy
    taxonomy, guards = model.predictor.bundle.taxonomy, policy.guards
    return ModelResponse(
        versions=model.versions,
        created_at=manifest.created_at,
        precision=manifest.precision,
        encoder=manifest.encoder.name,
        git_commit=manifest.git_commit,
        data_fingerprint=manifest.data_fingerprint,
        files=manifest.files,
        labels=LabelsAnswer(route=ROUTES, intent=taxonomy.names),
        policy_source=_source_of(policy, model),
        thresholds=policy.thresholds,
        budget=policy.budget,
        certificates=policy.certificates,
        guards=GuardsAnswer(
            supported_languages=guards.supported_languages,
            followers=guards.followers,
            reposts=guards.reposts,
            vip_handles=len(guards.vip_handles),
            extra_authority_handles=len(guards.extra_authority_handles),
            extra_press_handles=len(guards.extra_press_handles),
        ),
        promise=policy.promise,
        limits=LimitsAnswer(
            body_bytes=settings.max_body_bytes,
            text_characters=settings.max_text_characters,
            batch_posts=settings.max_batch_posts,
            request_timeout_ms=settings.request_timeout_ms,
        ),
        challenger=lineup.challenger.described() if lineup.challenger else None,
    )


def _add_predict_routes(app: FastAPI, intake: Intake, keys: KeyRing | None) -> None:
    options: dict[str, Any] = {
        "methods": ["POST"],
        "responses": responses_of(*PREDICT_ERRORS),
        "dependencies": [_needs(keys, "predict")],
        "tags": ["predict"],
        "route_class_override": DirectRoute,
    }

    async def predict(request: Request) -> PredictResponse:
        """Who should handle a post, what it is about, and what to do with it."""
        post = parse(await intake.read(request), PredictRequest, intake.limits)
        return (await intake.judge(request, [post], bulk=False))[0]

    async def predict_batch(request: Request) -> BatchResponse:
        """The same for many posts: answered in order, all or none."""
        batch = parse(await intake.read(request), BatchRequest, intake.limits)
        return BatchResponse(results=tuple(await intake.judge(request, batch.posts, bulk=True)))

    one, many = body_of(PredictRequest), body_of(BatchRequest)
    add = app.router.add_api_route
    add("/v1/predict", predict, summary="Judge one post", openapi_extra=one, **options)
    add("/v1/predict/batch", predict_batch, summary="Judge up to 256 posts", openapi_extra=many, **options)


def _add_operator_routes(
    app: FastAPI,
    service: Service,
    settings: Settings,
    keys: KeyRing | None,
    metrics: Metrics,
    *,
    journal: AnyJournal,
    rules: Rules,
    brake: AnyBrake,
    risk: RiskWatch | NoRisk,
) -> None:
    @app.get(
        "/v1/model",
        summary="What is in service",
        tags=["operate"],
        dependencies=[_needs(keys, "model")],
        responses=responses_of(*_KEY_ERRORS, NotReadyError),
    )
    async def model() -> ModelResponse:
        """The bundle, its labels, its thresholds and what was certified of them."""
        return _model_answer(service.lineup(), settings)

    @app.get("/healthz", summary="The process is alive", tags=["operate"])
    async def healthz() -> HealthResponse:
        """Alive. Says nothing of the model."""
        return HealthResponse(status="ok")

    @app.get("/readyz", summary="A model answers", tags=["operate"], responses=responses_of(NotReadyError))
    async def readyz() -> ReadyResponse:
        """Ready once a model has answered a warm-up post, until the server drains, however the journal does."""
        service.running()
        return ReadyResponse(
            status="ready",
            journal=journal.health(),
            rules=rules.health(),
            brake=brake.health(),
            risk=risk.health(),
        )

    @app.get(
        "/metrics",
        summary="Metrics for Prometheus",
        tags=["operate"],
        dependencies=[_needs(keys, "metrics")],
        responses=responses_of(*_KEY_ERRORS),
        response_class=Response,
    )
    async def read_metrics() -> Response:
        """Counters, gauges and histograms in the Prometheus text format."""
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)


def _add_pages(app: FastAPI) -> None:
    def asset_route(path: str) -> Callable[[], Awaitable[Response]]:
        async def asset() -> Response:
            return pages.asset(path)

        return asset

    async def try_page() -> Response:
        return pages.try_page()

    async def docs_page() -> Response:
        return pages.docs_page()

    async def openapi() -> Response:
        app.openapi_schema = app.openapi_schema or describe(app)
        return JSONResponse(app.openapi_schema)

    for path, route in (
        ("/", try_page),
        ("/docs", docs_page),
        ("/openapi.json", openapi),
        *((path, asset_route(path)) for path in pages.ASSETS),
    ):
        app.add_api_route(path, route, include_in_schema=False)


def create_app(
    settings: Settings,
    load: PredictorLoader,
    tracer: Tracer | None = None,
    load_bundle: BundleLoader | None = None,
) -> FastAPI:
    """The application. Its start calls `load` on another thread; until a model answers, `readyz` says 503.

    `load_bundle` is what a reload calls, by default that of `serving.loading`. `app.state.service` is the `Service`
    within, `app.state.changeover` the `Changeover`, `app.state.metrics` what it counts.

    Raises:
        SettingsError: when the keys file cannot be used, or the journal has no address that is known.
        MissingGroupError: when the driver of the journal's database is not installed.
    """
    metrics = Metrics()
    keys = KeyRing(settings.api_keys_file, metrics) if settings.api_keys_file else None
    quotas = Quotas(settings.rate_limit_posts_per_minute)
    journal = make_journal(settings, metrics)
    brake = make_brake(settings, metrics, journal.health)
    enforcer = Enforcer()
    rules = make_rules(settings, metrics, enforcer, lambda: brake.objection)
    service = Service(settings, metrics, journal, rules)
    risk = make_risk(settings, service.lineup, metrics)
    changeover = Changeover(service, settings, metrics, load_bundle)
    write = error_writer(settings.dialects)

    async def begin() -> None:
        await service.start(load)
        journal.start()  # only now, so that nothing it loads delays the model
        enforcer.start(changeover)
        rules.start()
        brake.start()
        risk.start()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(begin())
        yield
        service.drain()
        await starting
        workbench.close()
        await asyncio.to_thread(service.close)
        await asyncio.to_thread(rules.close)
        await asyncio.to_thread(brake.close)
        await asyncio.to_thread(risk.close)
        feedback.close()
        await asyncio.to_thread(journal.close, settings.journal_flush_ms / 1_000)

    app = FastAPI(
        title="Signalbox",
        version=INTERFACE_VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _http_error_handler(write)},
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    intake = Intake(service, settings, quotas)
    _add_predict_routes(app, intake, keys)
    _add_operator_routes(app, service, settings, keys, metrics, journal=journal, rules=rules, brake=brake, risk=risk)
    app.state.request_models = add_dialects(
        app,
        settings.dialects,
        Host(intake, lambda: _model_answer(service.lineup(), settings), _needs(keys, "predict")),
    )
    feedback = add_feedback_route(app, service, settings, rules, _needs(keys, "feedback"))
    add_admin_routes(app, service, changeover, _needs_admin(keys))
    _add_pages(app)
    workbench = add_workbench(app, Bench(settings, keys, service, journal, rules, brake))
    judging = {getattr(route, "path", ""): route for route in app.routes if judges(route)}
    accounts = Accounts(metrics, timeout_s=settings.request_timeout_ms / 1_000, access_log=settings.access_log)
    turns = Turns()
    app.add_middleware(Observer, accounts=accounts, turns=turns, write=write)
    if tracer is not None:
        app.add_middleware(Tracing, tracer=tracer)  # the outermost
    app.state.service, app.state.changeover, app.state.metrics = service, changeover, metrics
    app.state.brake, app.state.rules, app.state.risk = brake, rules, risk
    app.state.door = Door(service, accounts, turns, routes=judging, write=write)
    return app
