"""Who is measured: this server, and each peer as one who knows it would set it up for this model on these cores.

Every peer gets the same graph, the same tokenizer, one thread a session without spinning, and a worker for each core
where it has workers. Why each is set up as it is stands beside it, and in the results.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.benchmarks.serving.environments import program_of
from evaluation.benchmarks.serving.peers.machine import cores
from evaluation.benchmarks.serving.workload import Item, own_body, pair_of

ROOT = Path(__file__).parents[3]
OWN = "signalbox"
OWN_CACHED = "signalbox-cached"
_PEERS = "evaluation.benchmarks.serving.peers"
_CACHE_SETTING = "SIGNALBOX_CACHE_POSTS"
_OWN_DOES = "everything: rendering, redaction, guards, both heads, calibration, policy, refusal of what comes too late"
_MODEL_ALONE = "the route of a post that was rendered already; no redaction, guards, intent, calibration or policy"
QUIET = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
    "RAY_AUTH_MODE": "disabled",
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "UVICORN_LOG_LEVEL": "warning",
}
"""Nothing is reported home, fetched or logged for each request, and no library starts threads of its own."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contender runs: its port, a directory of its own, and the bundle whose graph it serves."""

    port: int
    directory: Path
    bundle: Path


@dataclass(frozen=True, slots=True)
class Contender:
    """One server of the comparison. `label_of` reads the route label out of an answer."""

    name: str
    package: str
    configuration: str
    does: str
    command: Callable[[Place], list[str]]
    path: str
    body: Callable[[Item], str]
    label_of: Callable[[Any], str]
    prepare: Callable[[Place], list[str]] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_within_s: float = 60.0
    repeats: bool = False
    """True where the load repeats popular posts."""
    deadline_ms: int | None = None
    """Sent with each request under overload, where the server knows such a thing."""

    @property
    def is_peer(self) -> bool:
        """True where it has an environment of its own."""
        return bool(self.package)


def own_settings() -> str:
    """The table of this server's settings, as its documentation has it and a test holds it."""
    return (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def _own_command(place: Place) -> list[str]:
    return [sys.executable, "-m", "serving", "run", "--port", str(place.port), "--bundle", str(place.bundle)]


def _own_label(answer: Any) -> str:
    return str(answer["route"]["label"])


def own_contender(settings: str) -> Contender:
    """This server without its cache, so that every post is run; `settings` says whether it has one."""
    return Contender(
        name=OWN,
        package="",
        configuration="as shipped, its journal in SQLite included, without its cache of repeated posts; a deadline of "
        "50 ms under overload",
        does=_OWN_DOES,
        command=_own_command,
        path="/v1/predict",
        body=own_body,
        label_of=_own_label,
        environment={_CACHE_SETTING: "0"} if _CACHE_SETTING in settings else {},
        deadline_ms=50,
    )


def own_cached_contender() -> Contender:
    """This server as shipped, when popular posts come again as retweets do."""
    return Contender(
        name=OWN_CACHED,
        package="",
        configuration="as shipped with its cache, on a load in which the n-th most popular post comes 1/n as often; "
        "no comparison with others, who got each post once",
        does=_OWN_DOES,
        command=_own_command,
        path="/v1/predict",
        body=own_body,
        label_of=_own_label,
        repeats=True,
        deadline_ms=50,
    )


def _pair(item: Item) -> str:
    return json.dumps(pair_of(item))


def _python(name: str) -> str:
    return str(program_of(name, "python"))


LITSERVE = Contender(
    name="litserve",
    package="litserve",
    configuration="a worker process a core on 1 thread each, no batches: its workers would poll for them",
    does=_MODEL_ALONE,
    command=lambda place: [_python("litserve"), "-m", f"{_PEERS}.litserve_server", str(place.port)],
    path="/predict",
    body=_pair,
    label_of=lambda answer: str(answer["label"]),
)
LITSERVE_WHOLE = Contender(
    name="litserve-whole",
    package="litserve",
    configuration="as litserve, but each worker runs this server's own predictor: the same answer by another server",
    does="rendering, redaction, guards, both heads, calibration and policy; no journal, no refusal, no cache",
    command=lambda place: [_python("litserve-whole"), "-m", f"{_PEERS}.litserve_whole", str(place.port)],
    path="/predict",
    body=own_body,
    label_of=lambda answer: str(answer["label"]),
)
BENTOML = Contender(
    name="bentoml",
    package="bentoml",
    configuration="a worker process a core on 1 thread each, adaptive batching of up to 8 within 50 ms",
    does=_MODEL_ALONE,
    command=lambda place: [
        str(program_of("bentoml", "bentoml")),
        "serve",
        f"{_PEERS}.bentoml_service:Routes",
        *("--working-dir", str(ROOT), "--host", "127.0.0.1", "--port", str(place.port)),
    ],
    path="/predict",
    body=lambda item: json.dumps({"pairs": [pair_of(item)]}),
    label_of=lambda answer: str(answer[0]["label"]),
)
RAY = Contender(
    name="ray",
    package="ray",
    configuration="a replica a core on 1 thread each, batches of up to 8 of what waits, no wait for more; no dashboard",
    does=_MODEL_ALONE,
    command=lambda place: [_python("ray"), "-m", f"{_PEERS}.ray_app", str(place.port)],
    path="/predict",
    body=_pair,
    label_of=lambda answer: str(answer["label"]),
    # Ray's own switch for few large processes that answer many requests; and one HTTP proxy serves them.
    environment={"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"},
    ready_within_s=120.0,
)


def _mlserver_body(item: Item) -> str:
    columns = [
        {"name": name, "shape": [1, 1], "datatype": "BYTES", "parameters": {"content_type": "str"}, "data": [value]}
        for name, value in pair_of(item).items()
    ]
    return json.dumps({"inputs": columns})


MLSERVER = Contender(
    name="mlserver",
    package="mlserver",
    configuration="a parallel worker a core on 1 thread each; adaptive batching off as by default: even a lone request "
    "would wait out its window",
    does=_MODEL_ALONE,
    prepare=lambda place: [
        _python("mlserver"),
        "-m",
        f"{_PEERS}.mlserver_files",
        str(place.directory),
        str(place.port),
    ],
    command=lambda place: [
        *(str(program_of("mlserver", "mlserver")), "start", str(place.directory)),
    ],
    path="/v2/models/routes/infer",
    body=_mlserver_body,
    label_of=lambda answer: str(answer["outputs"][0]["data"][0]),
)
MLFLOW = Contender(
    name="mlflow",
    package="mlflow",
    configuration="mlflow models serve with a worker process a core on 1 thread each; it has no batching",
    does=_MODEL_ALONE,
    prepare=lambda place: [_python("mlflow"), "-m", f"{_PEERS}.mlflow_files", str(place.directory / "model")],
    command=lambda place: [
        *(str(program_of("mlflow", "mlflow")), "models", "serve", "--model-uri", str(place.directory / "model")),
        *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(place.port), "--workers", str(cores())),
    ],
    path="/invocations",
    body=lambda item: json.dumps(
        {"dataframe_split": {"columns": list(pair_of(item)), "data": [[*pair_of(item).values()]]}}
    ),
    label_of=lambda answer: str(answer["predictions"][0]),
    ready_within_s=90.0,
)


def _infinity_label(answer: Any) -> str:
    return str(max(answer["data"][0], key=lambda each: float(each["score"]))["label"])


INFINITY = Contender(
    name="infinity",
    package="infinity-emb",
    configuration="its optimum engine on CPU, one process, batches of up to 8; the graph's output `route` renamed to "
    "the `logits` that its classifier reads; it takes one text, so the context follows [SEP] in it and the model "
    "reads both as one segment",
    does=_MODEL_ALONE,
    prepare=lambda place: [_python("infinity"), "-m", f"{_PEERS}.infinity_files", str(place.directory)],
    command=lambda place: [
        # It runs in that directory, and must: given by its path, optimum looks for the graph by that path as a name.
        *(str(program_of("infinity", "infinity_emb")), "v2", "--model-id", "."),
        *("--engine", "optimum", "--device", "cpu", "--batch-size", "8", "--no-model-warmup", "--log-level", "error"),
        # The graph is fused and quantised as it is, and shall be the same for all.
        *("--onnx-disable-optimize", "--no-bettertransformer"),
        *("--served-model-name", "routes", "--host", "127.0.0.1", "--port", str(place.port)),
    ],
    path="/classify",
    body=lambda item: json.dumps(
        {"model": "routes", "input": [f"{item.rendered.text} [SEP] {item.rendered.context}"], "raw_scores": False}
    ),
    label_of=_infinity_label,
    # One process on both cores: without workers, threads are what keeps the second core busy.
    environment={"OMP_NUM_THREADS": "2"},
    ready_within_s=120.0,
)
PEERS = {each.name: each for each in (LITSERVE, LITSERVE_WHOLE, BENTOML, RAY, MLSERVER, MLFLOW, INFINITY)}
