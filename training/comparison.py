"""Ways from fp32 to INT8, made and measured side by side on one trained graph: the figures of `docs/decisions/0002`.

Every way is measured as it would serve, each post alone on one thread. The ways take turns post by post, so that a
machine that slows down slows all of them.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationMethod

from data.fingerprint import fingerprint
from data.progress import Watch, unwatched
from data.rendering import render
from data.splits import Splits
from data.taxonomy import ROUTES
from evaluation.metrics import macro_f1
from evaluation.risk import augrc
from models.bundle import Reading
from models.calibration import Calibration, probabilities
from models.classifier import Classifier, Encoded, Logits
from training.candidates import fit_calibration
from training.encoder import find_encoder
from training.errors import TrainingError
from training.export import FP32_FILE
from training.pipeline import RUNS, read_parts, run_directory
from training.quantize import OPERATORS, quantize_int8, save_dynamic, shrink_embeddings
from training.recipe import Recipe
from training.static import PERCENTILE, Feed, quantize_static_int8, read_feeds

CALIBRATION_POSTS = 200
"""Posts of the train split that fix the ranges of static activations; ranges settle within a few hundred."""
FEED_FORWARD_DOWN = r"layer\.\d+/output/dense"
"""The second half of every feed-forward network, whose inputs have the largest outliers."""
_WARM_UP_POSTS = 5


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a graph: its name, and what makes it of the fp32 graph (first path) at the second path."""

    name: str
    make: Callable[[Path, Path], Path]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a way came to: figures on the development split, flips against the first way, cost of a post."""

    name: str
    macro_f1: float
    augrc: float
    route_flips_share: float
    intent_flips_share: float
    size_bytes: int
    median_ms: float


def _copy(fp32: Path, target: Path) -> Path:
    target.write_bytes(fp32.read_bytes())
    return target


def _plain(fp32: Path, int8: Path) -> Path:
    return save_dynamic(onnx.load(str(fp32)), int8, operators=(*OPERATORS, "EmbedLayerNormalization"))


def _rows(fp32: Path, int8: Path) -> Path:
    model = onnx.load(str(fp32))
    shrink_embeddings(model)
    return save_dynamic(model, int8)


def ways(feeds: Sequence[Feed]) -> tuple[Way, ...]:
    """All ways that are compared, fp32 first; static ones take their ranges from `feeds`."""

    def fixed(method: CalibrationMethod, excluded: str) -> Callable[[Path, Path], Path]:
        return lambda fp32, int8: quantize_static_int8(fp32, int8, feeds, method, excluded)

    least_to_most, most = CalibrationMethod.MinMax, CalibrationMethod.Percentile
    return (
        Way("fp32", _copy),
        Way("dynamic", _plain),
        Way("dynamic, embeddings by row", _rows),
        Way("dynamic, embeddings by row, scaled by token", quantize_int8),
        Way("static, min-max", fixed(least_to_most, "")),
        Way(f"static, {PERCENTILE:g} %", fixed(most, "")),
        Way("static, min-max, feed-forward down in fp32", fixed(least_to_most, FEED_FORWARD_DOWN)),
        Way(f"static, {PERCENTILE:g} %, feed-forward down in fp32", fixed(most, FEED_FORWARD_DOWN)),
    )


def run_in_turns(
    classifiers: Sequence[Classifier], posts: Sequence[Encoded], watch: Watch = unwatched
) -> Iterator[tuple[Logits, float]]:
    """The logits and the median milliseconds a post of each classifier, all having run each post before the next."""
    for classifier in classifiers:
        classifier.logits(posts[:_WARM_UP_POSTS])
    logits: list[list[Logits]] = [[] for _ in classifiers]
    took_ms: list[list[float]] = [[] for _ in classifiers]
    for post in watch(posts, "measuring", len(posts)):
        for place, classifier in enumerate(classifiers):
            start = time.perf_counter()
            logits[place].append(classifier.logits([post]))
            took_ms[place].append(1_000 * (time.perf_counter() - start))
    for said, milliseconds in zip(logits, took_ms, strict=True):
        joined = Logits(np.concatenate([each.route for each in said]), np.concatenate([each.intent for each in said]))
        yield joined, float(np.median(milliseconds))


def _measured(
    way: Way,
    graph: Path,
    said: Logits,
    fp32: Logits,
    *,
    calibration: Calibration,
    routes: npt.NDArray[np.int64],
    ms: float,
) -> Measured:
    predicted = said.route.argmax(axis=1).astype(np.int64)
    confidence = probabilities(said.route, calibration.route_temperature).max(axis=1)
    return Measured(
        name=way.name,
        macro_f1=macro_f1(routes, predicted, ROUTES),
        augrc=augrc(confidence, predicted != routes),
        route_flips_share=float((predicted != fp32.route.argmax(axis=1)).mean()),
        intent_flips_share=float((said.intent.argmax(axis=1) != fp32.intent.argmax(axis=1)).mean()),
        size_bytes=graph.stat().st_size,
        median_ms=ms,
    )


def compare_ways(
    fp32: Path, tokenizer: Path, reading: Reading, splits: Splits, *, watch: Watch = unwatched
) -> tuple[Measured, ...]:
    """What every way of `ways` makes of the fused graph `fp32`, in that order, each calibrated like a bundle.

    Raises:
        ExportError: when the graph is not a fused BERT-like graph.
    """
    reader = Classifier(fp32, tokenizer, reading)
    all_ways = ways(read_feeds(reader, splits.part("train")[:CALIBRATION_POSTS]))
    development = splits.part("development")
    routes = np.array([ROUTES.index(post.route) for post in development], dtype=np.int64)
    with tempfile.TemporaryDirectory(dir=fp32.parent, prefix=".ways-") as scratch:
        graphs = [
            way.make(fp32, Path(scratch) / f"{place}.onnx")
            for place, way in enumerate(watch(all_ways, "quantising", len(all_ways)))
        ]
        classifiers = [Classifier(graph, tokenizer, reading) for graph in graphs]
        calibrations = [
            fit_calibration(each, splits.part("temperature"))
            for each in watch(classifiers, "calibrating", len(classifiers))
        ]
        outcomes = list(run_in_turns(classifiers, [reader.encode(render(post)) for post in development], watch))
        return tuple(
            _measured(way, graph, said, outcomes[0][0], calibration=calibration, routes=routes, ms=ms)
            for way, graph, calibration, (said, ms) in zip(all_ways, graphs, calibrations, outcomes, strict=True)
        )


def compare_run(
    recipe: Recipe, *, runs: Path = RUNS, run: Path | None = None, watch: Watch = unwatched
) -> tuple[Measured, ...]:
    """What every way makes of the graph that the run of `recipe` left in `runs`, or of that in the directory `run`.

    Raises:
        TrainingError: when there is no such graph, or it cannot be quantised.
        SourceError, SplitsError: when the posts or their splits cannot be read.
    """
    splits = read_parts(recipe)
    fp32 = (run or run_directory(recipe, fingerprint(splits.posts), runs)) / FP32_FILE
    if not fp32.is_file():
        raise TrainingError(
            f"The ways to INT8 cannot be compared: there is no graph {fp32}. Wanted: the fp32 graph that a run of "
            f"the recipe {recipe.name!r} leaves. Make it: python -m training run. Or name another run: --run-dir DIR."
        )
    tokenizer = find_encoder(recipe.encoder) / "tokenizer.json"
    return compare_ways(fp32, tokenizer, recipe.reading, splits, watch=watch)


def table(measured: Sequence[Measured]) -> str:
    """The measured ways as a table for people."""
    width = max(len(each.name) for each in measured)
    head = f"{'way':{width}}  macro-F1   AUGRC  route flips  intent flips     MB  ms a post"
    rows = [
        f"{each.name:{width}}  {each.macro_f1:8.4f}  {each.augrc:6.4f}  {each.route_flips_share:11.2%}  "
        f"{each.intent_flips_share:12.2%}  {each.size_bytes / 1e6:5.1f}  {each.median_ms:9.2f}"
        for each in measured
    ]
    return "\n".join([head, *rows])
