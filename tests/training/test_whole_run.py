"""From a recipe to a bundle that serves, by the command that a person types; and through `kill -9`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
import torch

from data.fingerprint import fingerprint
from data.post import Post
from data.splits import PARTS, Splits
from data.taxonomy import ROUTES
from evaluation.metrics import macro_f1
from evaluation.predictions import predict_posts
from models.bundle import CARD_FILE, RECIPE_FILE, Bundle, load_bundle
from models.predictor import Predictor
from tests.data.own_taxonomy import OWN
from tests.training.stores import quietly
from tests.training.test_finetune import read_weights, same
from tests.training.whole_run import WholeRun
from training.errors import TrainingError
from training.finetune import CHECKPOINT_FILE
from training.golden import GOLDEN_POSTS
from training.history import read_history
from training.members import AVERAGE_FILE
from training.pipeline import make_bundle
from training.recipe import Recipe, read_recipe
from training.runs import holding_run, run_directory
from training.tracking.store import EXPERIMENT

ROOT = Path(__file__).parents[2]
WAIT_S = 300
"""A run of this size takes seconds; a machine that is busy with others may need minutes."""

pytestmark = [pytest.mark.slow, *quietly]


@pytest.fixture(scope="module")
def bundle(whole_run: WholeRun) -> Bundle:
    return load_bundle(whole_run.bundle)


@pytest.fixture(scope="module")
def predictor(bundle: Bundle) -> Predictor:
    return Predictor.load(bundle)


def test_a_run_ends_well_and_its_last_line_says_what_it_made(whole_run: WholeRun, bundle: Bundle) -> None:
    assert whole_run.code == 0, whole_run.told
    answer = json.loads(whole_run.answer.splitlines()[-1])
    held_out = bundle.metrics["held_out"]["route"]
    assert answer == {
        "bundle": str(whole_run.bundle),
        "model": bundle.manifest.model_version,
        "precision": "int8",
        "macro_f1": held_out["macro_f1"]["value"],
        "accuracy": held_out["accuracy"]["value"],
        "certified": True,
        "untold": 0,
    }


def test_what_people_read_goes_to_stderr(whole_run: WholeRun) -> None:
    assert len(whole_run.answer.splitlines()) == 1
    for stage in ("Fine-tuning tiny on", "Training the TF-IDF baseline", "Exporting to ONNX", "Quantising to INT8"):
        assert stage in whole_run.told
    assert f"Wrote and verified {whole_run.bundle}" in whole_run.told


def test_the_bundle_answers_posts(predictor: Predictor, splits: Splits) -> None:
    posts = [
        Post(text="where is my parcel and when will the courier arrive", platform="x", lang="en"),
        Post(text="the hospital said burned and injured after the smoke", platform="x", lang="en"),
        Post(text="the router is broken again and the restart failed", platform="x", lang="en"),
    ]
    predictions = predictor.predict(posts)
    assert [each.route for each in predictions] == ["simple", "sensitive", "complex"]
    assert predictions[1].decision.action == "specialist"
    for each in predictions:
        assert sum(each.routes.values()) == pytest.approx(1)
        assert sum(each.intents.values()) == pytest.approx(1)


def test_the_bundle_carries_golden_posts_and_answers_them_as_recorded(bundle: Bundle) -> None:
    assert bundle.golden is not None
    assert len(bundle.golden.posts) == GOLDEN_POSTS
    Predictor.load(bundle)


def test_the_figures_are_those_of_the_bundle_itself(predictor: Predictor, bundle: Bundle, splits: Splits) -> None:
    scored = predict_posts(predictor, splits.part("calibration"), progress=False)
    assert bundle.metrics["held_out"]["route"]["macro_f1"]["value"] == macro_f1(
        scored.routes, scored.predicted_routes, ROUTES
    )


def test_the_metrics_count_the_posts_of_every_part(bundle: Bundle, splits: Splits) -> None:
    counted = bundle.metrics["data"]
    assert counted["posts"] == len(splits.posts)
    assert {name: counted[f"{name}_posts"] for name in PARTS} == {name: len(splits.part(name)) for name in PARTS}


def test_the_metrics_tell_how_the_graph_was_chosen(bundle: Bundle) -> None:
    export = bundle.metrics["export"]
    assert 0 <= export["fp32_difference"] <= 1e-4
    assert export["size_bytes"] == bundle.model_path.stat().st_size
    assert (export["precision"], export["left_in_fp32"], export["refused"]) == ("int8", "", [])
    assert export["comparison"]["failures"] == []


def test_the_metrics_keep_the_history_of_every_member(bundle: Bundle, recipe: Recipe) -> None:
    members = bundle.metrics["training"]["members"]
    assert len(members) == recipe.finetune.members
    for member in members:
        assert [epoch["epoch"] for epoch in member["history"]] == list(range(1, recipe.finetune.epochs + 1))


def test_posts_from_outside_are_only_measured_with(bundle: Bundle, splits: Splits) -> None:
    (outside,) = bundle.metrics["outside"]
    assert (outside["file"], outside["languages"]) == ("posts.jsonl", ["en"])
    assert outside["posts"] == len(splits.posts)
    assert 0 <= outside["macro_f1"] <= 1
    assert "t-0001" not in json.dumps(bundle.metrics)


def test_the_recipe_in_the_bundle_is_the_one_that_made_it(bundle: Bundle, recipe: Recipe) -> None:
    assert read_recipe(bundle.directory / RECIPE_FILE) == recipe


def test_the_manifest_says_what_the_bundle_was_made_from(bundle: Bundle, recipe: Recipe, splits: Splits) -> None:
    manifest = bundle.manifest
    assert manifest.data_fingerprint == fingerprint(splits.posts)
    assert (manifest.encoder.name, manifest.encoder.sha256) == (recipe.encoder.name, recipe.encoder.sha256)
    assert manifest.reading == recipe.reading
    assert manifest.git_commit == "unknown"  # it was made outside any checkout
    assert manifest.model_version.endswith(f"+{manifest.files['model.onnx'][:6]}")


def test_the_card_names_the_bundle_and_its_proofs(bundle: Bundle) -> None:
    card = (bundle.directory / CARD_FILE).read_text(encoding="utf-8")
    assert card.startswith(f"# Signalbox bundle {bundle.manifest.model_version}\n")
    assert "leak_sensitive: " in card


def test_the_confusion_report_lies_beside_the_state_of_the_run(whole_run: WholeRun) -> None:
    assert list((whole_run.state / "report").glob("*.html"))


def test_a_run_that_another_process_trains_is_left_alone(
    whole_run: WholeRun, recipe: Recipe, splits: Splits, tmp_path: Path
) -> None:
    state = run_directory(recipe, splits, tmp_path)
    with (
        holding_run(state),
        pytest.raises(TrainingError, match=r"is being trained by another process\. Wanted: one at a time"),
    ):
        make_bundle(recipe, runs=tmp_path, fresh=True)
    with holding_run(state):  # whoever let go is not in the way
        pass


def test_the_directory_of_a_run_is_named_by_recipe_posts_and_splits(
    whole_run: WholeRun, recipe: Recipe, splits: Splits
) -> None:
    own = run_directory(recipe, splits, whole_run.runs)
    assert own == whole_run.state
    assert run_directory(recipe.model_copy(update={"seed": 4}), splits, whole_run.runs) != own
    assert run_directory(recipe, replace(splits, posts=splits.posts[1:]), whole_run.runs) != own
    moved = replace(splits, file=splits.file.model_copy(update={"sha256": "0" * 64}))
    assert run_directory(recipe, moved, whole_run.runs) != own  # who proved it then may train it now
    assert run_directory(recipe, replace(splits, taxonomy=OWN), whole_run.runs) != own


def test_the_same_command_given_again_trains_nothing_and_makes_the_same_graph(
    whole_run: WholeRun, bundle: Bundle, recipe: Recipe, tmp_path: Path
) -> None:
    again = make_bundle(recipe, tmp_path / "again", runs=whole_run.runs)
    assert again.metrics["training"] == bundle.metrics["training"]
    assert again.manifest.files["model.onnx"] == bundle.manifest.files["model.onnx"]


def test_a_fresh_run_forgets_what_was_there_and_leaves_its_bundle_in_its_own_directory(
    recipe: Recipe, splits: Splits, tmp_path: Path
) -> None:
    short = recipe.model_copy(
        update={
            "precision": "fp32",
            "finetune": recipe.finetune.model_copy(update={"members": 1, "epochs": 1}),
        }
    )
    state = run_directory(short, splits, tmp_path / "runs") / "member-0"
    state.mkdir(parents=True)
    (state / CHECKPOINT_FILE).write_bytes(b"of another program")
    made = make_bundle(short, runs=tmp_path / "runs", fresh=True)
    assert made.directory == state.with_name("bundle")
    assert (made.manifest.precision, made.metrics["export"]["comparison"]) == ("fp32", None)
    assert read_weights(state / CHECKPOINT_FILE)


def start(whole_run: WholeRun, out: Path, runs: Path, log: Path) -> subprocess.Popen[bytes]:
    """The command as a person starts it, on one thread like this process; what MLflow keeps lies beside `out`."""
    command = [sys.executable, "-m", "training", "run", "--recipe", str(whole_run.recipe_file)]
    tracked = {"MLFLOW_TRACKING_URI": f"sqlite:///{out.parent / 'mlflow.db'}", "PYTHONPATH": str(ROOT)}
    with log.open("wb") as told:
        return subprocess.Popen(
            [*command, "--out", str(out), "--runs", str(runs)],
            cwd=out.parent,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | tracked,
            stdout=told,
            stderr=told,
        )


def wait_until(done: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while not done():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)


def history(bundle: Bundle) -> list[dict[str, Any]]:
    return [epoch for member in bundle.metrics["training"]["members"] for epoch in member["history"]]


def record(directory: Path) -> tuple[str, str, list[int]]:
    """The id and the status of the one run that MLflow keeps in `directory`, and the epochs of its first member."""
    from mlflow import MlflowClient

    client: Any = MlflowClient(f"sqlite:///{directory / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    epochs = client.get_metric_history(run.info.run_id, "member_0_loss")
    return run.info.run_id, run.info.status, [each.step for each in epochs]


def test_a_run_that_is_killed_goes_on_when_it_is_started_again_and_ends_with_the_same_weights(
    whole_run: WholeRun, empty_store: Path, tmp_path: Path
) -> None:
    copyfile(empty_store, tmp_path / "mlflow.db")
    runs, out, log = tmp_path / "runs", tmp_path / "bundle", tmp_path / "log"
    state = runs / whole_run.state.name
    checkpoint = state / "member-0" / CHECKPOINT_FILE

    first = start(whole_run, out, runs, log)
    wait_until(checkpoint.exists, first, log)
    first.kill()
    assert first.wait() == -signal.SIGKILL
    assert not (state / AVERAGE_FILE).exists()
    assert not out.exists()
    left = torch.load(checkpoint, weights_only=True)["progress"]["history"]
    assert left
    run_id, status, _ = record(tmp_path)
    assert status == "RUNNING"

    second = start(whole_run, out, runs, log)
    assert second.wait(timeout=WAIT_S) == 0, log.read_text()
    assert same(read_weights(state / AVERAGE_FILE), read_weights(whole_run.state / AVERAGE_FILE))
    # The seconds of the first epochs are those of the killed sitting: nothing was trained twice.
    assert history(load_bundle(out))[: len(left)] == left
    epochs = [epoch.epoch for epoch in read_history(state / "member-0")]
    assert record(tmp_path) == (run_id, "FINISHED", epochs)
