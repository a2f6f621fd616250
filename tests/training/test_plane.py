"""The plane: every way is made and measured on the same posts, and the front is what no other way beats."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from shutil import copyfile
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.rendering import render
from data.splits import Splits
from data.taxonomy import ROUTES
from evaluation.metrics import Estimate, accuracy, macro_f1
from models.classifier import Classifier
from tests.training.tiny_encoder import READING
from training.batches import SIZES
from training.errors import TrainingError
from training.export import FP32_FILE
from training.members import AVERAGE_FILE, Finetuned
from training.pipeline import INT8_FILE
from training.plane import BATCHED, Measured, Plane, mark_front, plane_of_run
from training.recipe import Recipe
from training.variants import REFERENCE

Item = TypeVar("Item")
ONNXRUNTIME = [
    REFERENCE,
    "fp32, as torch wrote it",
    "dynamic",
    "dynamic, embeddings by row",
    "dynamic, scaled by token",
    "dynamic, scaled by token, as the gates left it",
    "static, scaled by token",
    "static, min-max",
    "static, 99.99 %",
    "static, min-max, feed-forward down in fp32",
]
STUDENT = ["student, fp32", "student, dynamic, scaled by token", "student, static, scaled by token"]
OPENVINO = ["OpenVINO, fp32", "OpenVINO, bf16", "OpenVINO, static, scaled by token", "OpenVINO, static, min-max"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, finetuned: Finetuned, fp32: Path, int8: Path) -> Path:
    """What a run leaves behind."""
    directory = tmp_path_factory.mktemp("run")
    for file, name in ((finetuned.weights, AVERAGE_FILE), (fp32, FP32_FILE), (int8, INT8_FILE)):
        copyfile(file, directory / name)
    return directory


@pytest.fixture(scope="module")
def plane(run: Path, recipe: Recipe, finetuned: Finetuned, int8: Path) -> Plane:
    return plane_of_run(recipe, run=run, student=finetuned.weights, shipped=int8, openvino=True)


@pytest.fixture(scope="module")
def ways(plane: Plane) -> dict[str, Measured]:
    return {way.name: way for way in plane.ways}


def test_every_way_is_measured_the_reference_first(plane: Plane, splits: Splits) -> None:
    assert [way.name for way in plane.ways] == [*ONNXRUNTIME, *STUDENT, *OPENVINO]
    assert plane.posts == len(splits.part("development"))
    for way in plane.ways:
        assert 0 < way.macro_f1 <= 1
        assert 0 <= way.augrc <= 0.5
        assert 0 < way.p50_ms <= way.p99_ms
        assert way.posts_per_s > 0


def test_the_reference_gets_the_figures_of_its_own_answers(
    ways: dict[str, Measured], splits: Splits, fp32: Path, encoder: Path
) -> None:
    posts, exact = splits.part("development"), Classifier(fp32, encoder / "tokenizer.json", READING)
    said = exact.logits([exact.encode(render(post)) for post in posts]).route.argmax(axis=1)
    true = np.array([ROUTES.index(post.route) for post in posts])
    reference = ways[REFERENCE]
    assert (reference.macro_f1, reference.accuracy) == (macro_f1(true, said, ROUTES), accuracy(true, said))
    assert reference.macro_f1_change_points == Estimate(0, 0, 0)
    assert (reference.route_flips_share, reference.intent_flips_share) == (0, 0)
    assert reference.size_bytes == fp32.stat().st_size
    assert reference.within_gates


def test_the_change_is_that_of_macro_f1_in_points(plane: Plane) -> None:
    for way in plane.ways:
        change = way.macro_f1_change_points
        assert change.value == pytest.approx(100 * (way.macro_f1 - plane.ways[0].macro_f1))
        assert change.low <= change.value <= change.high


def test_the_same_weights_say_the_same_however_they_are_written_and_run(ways: dict[str, Measured]) -> None:
    for name in ("fp32, as torch wrote it", "student, fp32", "OpenVINO, fp32"):
        assert ways[name].route_flips_share == 0


def test_8_bits_take_less_room_and_what_is_left_out_takes_more(ways: dict[str, Measured]) -> None:
    size_bytes = {name: way.size_bytes for name, way in ways.items()}
    assert size_bytes["dynamic"] < size_bytes[REFERENCE]
    assert size_bytes["static, min-max"] < size_bytes["static, min-max, feed-forward down in fp32"]


def test_the_graph_in_service_is_marked_by_its_bytes(ways: dict[str, Measured], int8: Path) -> None:
    assert ways["dynamic, scaled by token, as the gates left it"].ships
    assert not ways[REFERENCE].ships
    assert all(way.size_bytes == int8.stat().st_size for way in ways.values() if way.ships)


def test_graphs_whose_scales_hold_for_a_whole_batch_say_so(ways: dict[str, Measured]) -> None:
    assert ways["dynamic"].same_bytes == ways["dynamic, scaled by token"].same_bytes == "alone"
    assert ways["static, scaled by token"].same_bytes != "alone"


def test_batches_are_measured_of_one_way_of_each_kind(plane: Plane) -> None:
    assert {(cost.name, cost.windows) for cost in plane.batches} == set(product(BATCHED, SIZES))


def test_no_graph_is_left_behind(plane: Plane, run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == sorted([AVERAGE_FILE, FP32_FILE, INT8_FILE])


def test_without_student_and_openvino_the_rest_is_measured_and_what_a_run_made_of_the_gates_is_left_out(
    run: Path, recipe: Recipe, tmp_path: Path
) -> None:
    for name in (AVERAGE_FILE, FP32_FILE):
        copyfile(run / name, tmp_path / name)
    stages: list[str] = []

    def watch(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        stages.append(what)
        yield from items

    plane = plane_of_run(recipe, run=tmp_path, watch=watch)
    assert [way.name for way in plane.ways] == [name for name in ONNXRUNTIME if "gates" not in name]
    assert not any(way.ships for way in plane.ways)
    assert stages == ["making graphs", "measuring throughput", "measuring latency", "batching"]


@pytest.mark.parametrize("name", [AVERAGE_FILE, FP32_FILE])
def test_a_run_that_left_nothing_is_answered_with_the_command_that_makes_it(
    run: Path, recipe: Recipe, tmp_path: Path, name: str
) -> None:
    for other in {AVERAGE_FILE, FP32_FILE} - {name}:
        copyfile(run / other, tmp_path / other)
    with pytest.raises(TrainingError) as caught:
        plane_of_run(recipe, run=tmp_path)
    assert str(caught.value) == (
        f"There is no file {tmp_path / name}. Wanted: what a run of the recipe 'tiny' leaves. Make it: "
        "python -m training run. Or name another run: --run-dir DIR."
    )


WAY = Measured("a way", 0.8, Estimate(0, -1, 1), 0.8, 0.04, 0.01, 0.02, 1, 5.0, 9.0, 100.0, "equal", True, False)
figures = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=8)


def front_of(ways: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    marked = mark_front([replace(WAY, p50_ms=float(ms), macro_f1=f1 / 10) for ms, f1 in ways])
    assert [way.p50_ms for way in marked] == [ms for ms, _ in ways]
    return [(way.p50_ms, way.macro_f1) for way in marked if way.on_front]


def test_the_front_is_what_no_other_way_beats() -> None:
    assert front_of([(5, 8), (3, 7), (4, 7), (6, 8), (2, 3)]) == [(5, 0.8), (3, 0.7), (2, 0.3)]


def test_equal_ways_do_not_beat_each_other() -> None:
    assert front_of([(5, 8), (5, 8)]) == [(5, 0.8), (5, 0.8)]


@given(ways=figures)
def test_the_fastest_of_the_best_and_the_best_of_the_fastest_are_on_the_front(ways: list[tuple[int, int]]) -> None:
    front = front_of(ways)
    best, fastest = max(f1 for _, f1 in ways), min(ms for ms, _ in ways)
    assert (min(ms for ms, f1 in ways if f1 == best), best / 10) in front
    assert (fastest, max(f1 for ms, f1 in ways if ms == fastest) / 10) in front
