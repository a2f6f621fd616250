"""The plane of latency and quality: every way of `training.variants`, made of one run's weights and measured.

Each way is measured as it would serve, every post alone: milliseconds on one thread, posts a second on two, quality on
the development split, calibrated like a bundle.
"""

import filecmp
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from data.grouping import group
from data.post import LabelledPost
from data.progress import Watch, unwatched
from data.rendering import render
from data.splits import Splits
from data.taxonomy import ROUTES
from evaluation.metrics import Estimate, accuracy, bootstrap, macro_f1, tallied_macro_f1, tally
from evaluation.risk import augrc
from models.calibration import Calibration, probabilities
from models.classifier import Classifier, Logits, Session
from training.batches import BatchCost, SameBytes, batch_costs, same_bytes
from training.candidates import fit_calibration
from training.encoder import find_encoder
from training.export import FP32_FILE, export_fp32, trace
from training.members import AVERAGE_FILE
from training.network import load_network
from training.pipeline import INT8_FILE
from training.recipe import Gates, Recipe
from training.runs import RUNS, find_left, read_parts, run_directory
from training.static import read_feeds
from training.student import load_student
from training.turns import THREADS, run_in_turns, run_on_threads
from training.variants import REFERENCE, Graphs, Variant, variants

CALIBRATION_POSTS = 200
"""Posts of the train split that fix the ranges of static activations; ranges settle within a few hundred."""
BATCHED = (REFERENCE, "static, min-max", "static, scaled by token")
"""The ways of which batches are measured: one for each kind of arithmetic that a batch could help."""
_POINTS = 100.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What a way came to on the development split. Changes and flips are against the reference, in points and shares.

    `same_bytes` is the graph's own; as it is served every window is run alone. `within_gates` leaves out the gate on
    the leak, which needs a policy. A way is `on_front` where none is both faster (`p50_ms`) and better (`macro_f1`).
    """

    name: str
    macro_f1: float
    macro_f1_change_points: Estimate
    accuracy: float
    augrc: float
    route_flips_share: float
    intent_flips_share: float
    size_bytes: int
    p50_ms: float
    p99_ms: float
    posts_per_s: float
    same_bytes: SameBytes
    within_gates: bool
    ships: bool
    on_front: bool = False


@dataclass(frozen=True, slots=True)
class Plane:
    """All that was measured in one go, and on what."""

    processor: str
    onnxruntime: str
    posts: int
    tokens_median: float
    ways: tuple[Measured, ...]
    batches: tuple[BatchCost, ...]


@dataclass(frozen=True, slots=True)
class _Way:
    """A variant that was made and opened, ready to answer."""

    variant: Variant
    graph: Path
    session: Session
    classifier: Classifier


@dataclass(frozen=True, slots=True)
class _Truth:
    """The development posts' true routes `[n]` and groups `[n]`, and what the reference says of them."""

    routes: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    reference: Logits


def _predicted(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    return np.asarray(logits.argmax(axis=1), dtype=np.int64)


def _change_points(truth: _Truth, routes: npt.NDArray[np.int64]) -> Estimate:
    """What macro-F1 changed by against the reference, both drawn on the same posts."""
    k = len(ROUTES)
    both = [tally(truth.routes, said, k) for said in (routes, _predicted(truth.reference.route))]

    def change(totals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        ours, theirs = (tallied_macro_f1(half.reshape(-1, 3, k)) for half in np.split(totals, 2, axis=1))
        return np.asarray(_POINTS * (ours - theirs), dtype=np.float64)

    counts = np.concatenate(both, axis=1).reshape(-1, 2 * 3 * k)
    low, high = bootstrap(counts, truth.groups, change)
    return Estimate(float(change(counts.sum(axis=0, keepdims=True))[0]), float(low), float(high))


def _measured(
    way: _Way,
    said: Logits,
    calibration: Calibration,
    truth: _Truth,
    *,
    took_ms: npt.NDArray[np.float64],
    posts_per_s: float,
    same: SameBytes,
    shipped: Path | None,
) -> Measured:
    routes = _predicted(said.route)
    confidence = probabilities(said.route, calibration.route_temperature).max(axis=1)
    p50_ms, p99_ms = np.percentile(took_ms, [50, 99])
    return Measured(
        name=way.variant.name,
        macro_f1=macro_f1(truth.routes, routes, ROUTES),
        macro_f1_change_points=_change_points(truth, routes),
        accuracy=accuracy(truth.routes, routes),
        augrc=augrc(confidence, routes != truth.routes),
        route_flips_share=float((routes != _predicted(truth.reference.route)).mean()),
        intent_flips_share=float((_predicted(said.intent) != _predicted(truth.reference.intent)).mean()),
        size_bytes=way.graph.stat().st_size,
        p50_ms=float(p50_ms),
        p99_ms=float(p99_ms),
        posts_per_s=posts_per_s,
        same_bytes=same,
        within_gates=False,
        ships=shipped is not None and filecmp.cmp(way.graph, shipped, shallow=False),
    )


def _held(way: Measured, reference: Measured, gates: Gates) -> Measured:
    """`way` with what the gates say of it against the reference."""
    within = (
        -way.macro_f1_change_points.value <= gates.max_macro_f1_loss_points
        and _POINTS * (way.augrc - reference.augrc) <= gates.max_augrc_loss_points
        and way.route_flips_share <= gates.max_route_flips_share
    )
    return replace(way, within_gates=within)


def mark_front(ways: Sequence[Measured]) -> tuple[Measured, ...]:
    """The ways in their order, those marked that no other one beats: at least as fast and as good, and more in one."""

    def beats(other: Measured, way: Measured) -> bool:
        no_worse = other.p50_ms <= way.p50_ms and other.macro_f1 >= way.macro_f1
        return no_worse and (other.p50_ms, other.macro_f1) != (way.p50_ms, way.macro_f1)

    return tuple(replace(way, on_front=not any(beats(other, way) for other in ways)) for way in ways)


def _processor() -> str:
    """The name of the processor as Linux has it, elsewhere its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _open(variant: Variant, graph: Path, tokenizer: Path, recipe: Recipe) -> _Way:
    session = variant.open(graph, 1)
    return _Way(variant, graph, session, Classifier(graph, tokenizer, recipe.reading, open_session=lambda *_: session))


def _truth(posts: Sequence[LabelledPost], reference: Logits) -> _Truth:
    routes = np.array([ROUTES.index(post.route) for post in posts], dtype=np.int64)
    return _Truth(routes, np.array(group(posts).numbers, dtype=np.int64), reference)


def measure_plane(
    graphs: Graphs,
    tokenizer: Path,
    recipe: Recipe,
    splits: Splits,
    *,
    scratch: Path,
    shipped: Path | None = None,
    openvino: bool = False,
    watch: Watch = unwatched,
) -> Plane:
    """Everything measured of all ways from `graphs`; new graphs go into `scratch`, `shipped` is looked for among them.

    Raises:
        ExportError: when a graph is not a fused BERT-like graph.
        MissingGroupError: when `openvino` is asked for and not installed.
    """
    reader = Classifier(graphs.fused, tokenizer, recipe.reading)
    development, temperature = splits.part("development"), splits.part("temperature")
    feeds = read_feeds(reader, splits.part("train")[:CALIBRATION_POSTS])
    all_variants = variants(graphs, feeds, openvino=openvino, runs_at_once=THREADS)
    ways = [
        _open(variant, variant.make(scratch / f"{place}.onnx"), tokenizer, recipe)
        for place, variant in enumerate(watch(all_variants, "making graphs", len(all_variants)))
    ]
    posts = [reader.encode(render(post)) for post in development]
    windows = [post.windows[0] for post in posts]
    classifiers = [way.classifier for way in ways]
    loads = run_on_threads(classifiers, [reader.encode(render(post)) for post in temperature], watch)
    answers = run_in_turns(classifiers, posts, watch)
    truth = _truth(development, answers[0][0])
    measured = [
        _measured(
            way,
            said,
            fit_calibration(load, temperature, splits.taxonomy),
            truth,
            took_ms=took_ms,
            posts_per_s=posts_per_s,
            same=same_bytes(way.session, windows),
            shipped=shipped,
        )
        for way, (load, posts_per_s), (said, took_ms) in zip(ways, loads, answers, strict=True)
    ]
    batched = {way.variant.name: way.session for way in ways if way.variant.name in BATCHED}
    return Plane(
        processor=_processor(),
        onnxruntime=onnxruntime.__version__,
        posts=len(development),
        tokens_median=float(np.median([post.tokens for post in posts])),
        ways=mark_front([_held(each, measured[0], recipe.gates) for each in measured]),
        batches=batch_costs(batched, windows, watch=watch),
    )


def plane_of_run(
    recipe: Recipe,
    *,
    runs: Path = RUNS,
    run: Path | None = None,
    student: Path | None = None,
    shipped: Path | None = None,
    openvino: bool = False,
    watch: Watch = unwatched,
) -> Plane:
    """The plane of what the run of `recipe` left in `runs`, or of what is in the directory `run`.

    `student` are the weights of a distilled network; `shipped` is the graph that is marked as the one in service.

    Raises:
        TrainingError: when the run left nothing, or its graph cannot be quantised.
        SourceError, SplitsError: when the posts or their splits cannot be read.
        MissingGroupError: when `openvino` is asked for and not installed.
    """
    splits = read_parts(recipe)
    directory = run or run_directory(recipe, splits, runs)
    weights, fused = (find_left(name, directory, recipe) for name in (AVERAGE_FILE, FP32_FILE))
    encoder = find_encoder(recipe.encoder)
    gated = directory / INT8_FILE
    with tempfile.TemporaryDirectory(dir=directory, prefix=".plane-") as scratch:
        place = Path(scratch)
        (place / "student").mkdir()
        graphs = Graphs(
            traced=trace(load_network(encoder, weights), place / "traced.onnx"),
            fused=fused,
            gated=gated if gated.is_file() else None,
            student=student and export_fp32(load_student(encoder, student), place / "student"),
        )
        return measure_plane(
            graphs,
            encoder / "tokenizer.json",
            recipe,
            splits,
            scratch=place,
            shipped=shipped,
            openvino=openvino,
            watch=watch,
        )
