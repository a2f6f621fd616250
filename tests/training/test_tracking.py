"""What a run leaves in MLflow, read back through MLflow's own client; and that nothing is left where nobody asked."""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.dependencies import MissingGroupError
from data.fingerprint import fingerprint
from data.splits import PARTS, Splits
from models.bundle import FILES, GOLDEN_FILE, MANIFEST_FILE, load_bundle, sha256_of
from tests.training.stores import own_store, quietly
from tests.training.whole_run import WholeRun
from training.errors import TrainingError
from training.pipeline import make_bundle
from training.recipe import Recipe
from training.tracking.outbox import Outbox
from training.tracking.port import DIRECTORY, Tracking, Untracked, UsedPosts, flatten
from training.tracking.run import RECORD_FILE, MlflowTracker, tell
from training.tracking.store import EXPERIMENT

pytestmark = [pytest.mark.slow, *quietly]
nested = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, min_size=1, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def client(whole_run: WholeRun) -> Any:
    from mlflow import MlflowClient

    assert whole_run.code == 0, whole_run.told
    return MlflowClient(tracking_uri=whole_run.store)


@pytest.fixture(scope="module")
def kept(client: Any) -> Any:
    """The one run in the store."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def paths(client: Any, run: Any, directory: str) -> set[str]:
    return {each.path for each in client.list_artifacts(run.info.run_id, directory)}


def test_a_run_is_kept_under_the_name_of_its_recipe_as_finished(kept: Any) -> None:
    assert (kept.info.run_name, kept.info.status) == ("tiny", "FINISHED")


def test_every_field_of_the_recipe_is_a_parameter(kept: Any, recipe: Recipe) -> None:
    assert kept.data.params == {name: str(value) for name, value in flatten(recipe.model_dump(mode="json")).items()}


def test_the_figures_of_every_epoch_of_every_member_are_kept(client: Any, kept: Any, whole_run: WholeRun) -> None:
    members = load_bundle(whole_run.bundle).metrics["training"]["members"]
    for number, member in enumerate(members):
        for name in ("loss", "macro_f1", "accuracy", "intent_accuracy"):
            history = client.get_metric_history(kept.info.run_id, f"member_{number}_{name}")
            assert {each.step: each.value for each in history} == {
                epoch["epoch"]: pytest.approx(epoch[name]) for epoch in member["history"]
            }


def test_the_figures_of_the_finished_model_and_the_baseline_are_kept(kept: Any, whole_run: WholeRun) -> None:
    metrics = load_bundle(whole_run.bundle).metrics
    figures = kept.data.metrics
    assert figures["held_out_macro_f1"] == pytest.approx(metrics["held_out"]["route"]["macro_f1"]["value"])
    assert figures["development_macro_f1"] == pytest.approx(metrics["training"]["development_macro_f1"])
    assert figures["baseline_calibration_macro_f1"] == pytest.approx(metrics["baseline"]["calibration_macro_f1"])
    assert figures["size_bytes"] == metrics["export"]["size_bytes"]


def test_there_is_a_learning_curve_of_every_member_to_look_at(client: Any, kept: Any, recipe: Recipe) -> None:
    assert paths(client, kept, "figures") == {
        f"figures/learning_curve_member_{number}.html" for number in range(recipe.finetune.members)
    }


def test_the_bundle_is_kept_byte_for_byte(client: Any, kept: Any, whole_run: WholeRun, tmp_path: Path) -> None:
    assert paths(client, kept, "bundle") == {f"bundle/{name}" for name in (*FILES, GOLDEN_FILE, MANIFEST_FILE)}
    directory = Path(client.download_artifacts(kept.info.run_id, "bundle", str(tmp_path)))
    manifest = json.loads((whole_run.bundle / MANIFEST_FILE).read_bytes())
    for name, sha256 in manifest["files"].items():
        assert hashlib.sha256((directory / name).read_bytes()).hexdigest() == sha256
    assert load_bundle(directory).manifest == load_bundle(whole_run.bundle).manifest


def test_the_confusion_report_is_kept(client: Any, kept: Any) -> None:
    assert any(path.endswith(".html") for path in paths(client, kept, "report"))


def test_the_run_is_known_by_its_posts_its_commit_its_machine_and_its_bundle(
    kept: Any, whole_run: WholeRun, splits: Splits
) -> None:
    tags = kept.data.tags
    bundle = load_bundle(whole_run.bundle)
    assert tags["data_fingerprint"] == fingerprint(splits.posts)
    assert tags["git_commit"] == "unknown"  # it was made outside any checkout
    assert tags["python"] == ".".join(map(str, sys.version_info[:3]))
    assert tags["model_version"] == bundle.manifest.model_version
    assert tags["manifest_sha256"] == sha256_of(whole_run.bundle / MANIFEST_FILE)
    assert (tags["precision"], tags["certified"]) == ("int8", "true")
    assert {"cpu", "cores", "memory_gb", "system", "torch"} <= set(tags)


def test_the_posts_of_every_part_are_inputs_of_the_run(kept: Any, recipe: Recipe, splits: Splits) -> None:
    import mlflow

    inputs = {each.tags[0].value: each.dataset for each in kept.inputs.dataset_inputs}
    assert set(inputs) == set(PARTS)
    for name, dataset in inputs.items():
        posts = splits.part(name)
        assert (dataset.name, dataset.digest) == (recipe.data.posts, fingerprint(posts)[:36])
        assert json.loads(dataset.profile) == {"posts": len(posts), "fingerprint": fingerprint(posts)}
        source: Any = mlflow.data.get_source(dataset)
        assert source.uri == recipe.data.posts


def test_what_was_installed_and_the_resolved_recipe_are_kept(client: Any, kept: Any, tmp_path: Path) -> None:
    assert {"requirements.txt", "recipe.toml"} <= paths(client, kept, "")
    installed = Path(client.download_artifacts(kept.info.run_id, "requirements.txt", str(tmp_path))).read_text()
    import mlflow
    import torch

    assert f"mlflow=={mlflow.__version__}\n" in installed
    assert f"torch=={torch.__version__}\n" in installed


def test_the_load_of_the_machine_is_kept(kept: Any) -> None:
    assert kept.data.metrics["system/system_memory_usage_megabytes"] > 0
    assert 0 <= kept.data.metrics["system/cpu_utilization_percentage"] <= 100


def histories(client: Any, run: Any) -> dict[str, list[tuple[int, float]]]:
    return {
        name: [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
        if not name.startswith("system/")
    }


def test_the_same_command_again_goes_on_with_the_same_record_and_tells_nothing_twice(
    client: Any, kept: Any, whole_run: WholeRun, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(whole_run.directory)
    before = histories(client, kept)
    tracker = MlflowTracker(print, whole_run.store)
    make_bundle(recipe, tmp_path / "again", runs=whole_run.runs, track=tracker)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    (again,) = client.search_runs([experiment.experiment_id])
    assert (again.info.run_id, again.info.status, tracker.untold) == (kept.info.run_id, "FINISHED", 0)
    after = histories(client, again)
    del before["size_bytes"], after["size_bytes"]  # of a file with the time in it
    assert after == before


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Iterator[str]:
    """A store of a test's own."""
    with own_store(tmp_path, empty_store) as uri:
        yield uri


def runs_of(store: str) -> list[Any]:
    """Every run in the store, the oldest first."""
    from mlflow import MlflowClient

    client: Any = MlflowClient(store)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]))


def tell_then(directory: Path, error: BaseException | None, *, fresh: bool = False) -> None:
    with MlflowTracker(print)("tiny", directory, fresh=fresh) as tracking:
        tracking.metrics({"loss": 0.5}, step=1)
        if error:
            raise error


def test_however_a_sitting_ended_the_next_goes_on_with_its_record(store: str, tmp_path: Path) -> None:
    for error, status in ((RuntimeError("power"), "FAILED"), (KeyboardInterrupt(), "KILLED")):
        with pytest.raises(type(error)):
            tell_then(tmp_path / "run", error)
        assert [(each.info.status, each.data.metrics) for each in runs_of(store)] == [(status, {"loss": 0.5})]
    tell_then(tmp_path / "run", None)
    assert [(each.info.run_name, each.info.status) for each in runs_of(store)] == [("tiny", "FINISHED")]


class KilledError(BaseException):
    """Stands for `kill -9`: nothing is said any more."""


def test_a_record_that_was_left_running_by_a_kill_is_found_and_ended(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*asked: object, **options: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("training.tracking.run.MlflowTracking.end", kill)
        with pytest.raises(KilledError):
            tell_then(tmp_path / "run", None)
    assert [each.info.status for each in runs_of(store)] == ["RUNNING"]
    with monkeypatch.context() as patch:  # where a record is there, no second one is made
        patch.setattr("mlflow.MlflowClient.create_run", kill)
        tell_then(tmp_path / "run", None)
        with pytest.raises(KilledError):
            tell_then(tmp_path / "other", None)
    assert [each.info.status for each in runs_of(store)] == ["FINISHED"]
    tell_then(tmp_path / "other", None)
    assert [each.info.status for each in runs_of(store)] == ["FINISHED", "FINISHED"]


def test_a_fresh_run_has_a_record_of_its_own_and_the_old_one_is_ended(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*asked: object, **options: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("training.tracking.run.MlflowTracking.end", kill)
        with pytest.raises(KilledError):
            tell_then(tmp_path / "run", None)
    tell_then(tmp_path / "run", None, fresh=True)
    assert [each.info.status for each in runs_of(store)] == ["KILLED", "FINISHED"]


def test_what_the_store_refuses_is_said_and_kept_and_the_rest_is_told(store: str, tmp_path: Path) -> None:
    told: list[str] = []
    tracker = MlflowTracker(told.append)
    with tracker("tiny", tmp_path / "run", fresh=False) as tracking:
        tracking.params({"seed": 1})
        tracking.params({"seed": 2})  # MLflow lets no parameter change
        tracking.metrics({"loss": 0.5}, step=1)
    (run,) = runs_of(store)
    assert (run.data.params, run.data.metrics, run.info.status) == ({"seed": "1"}, {"loss": 0.5}, "FINISHED")
    assert tracker.untold == 1
    assert any(line.startswith("MLflow refused what the run told it:") for line in told)
    assert len(Outbox(tmp_path / "run" / DIRECTORY)) == 1


def test_a_directory_that_was_never_tracked_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=f"there is no {DIRECTORY}/{RECORD_FILE}"):
        tell(tmp_path, print)


def test_untracked_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tracking: Tracking = Untracked()
    tracking.params({"seed": 1})
    tracking.tags({"commit": "0"})
    tracking.datasets([UsedPosts("posts.csv", "train", "0" * 64, 1)])
    tracking.text("torch", "requirements.txt")
    tracking.metrics({"loss": 0.5}, step=1)
    tracking.figure(object(), "curve")
    tracking.directory(tmp_path, "bundle")
    assert list(tmp_path.iterdir()) == []


def test_tracking_without_mlflow_is_answered_with_the_command_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingGroupError) as caught:
        tell_then(tmp_path, None)
    assert str(caught.value) == (
        "Tracking a run needs `mlflow`, which is not installed here. It belongs to the group `train`. "
        "Install it: pip install --group train -c constraints.txt"
    )


@given(values=st.dictionaries(st.text("abc", min_size=1, max_size=2), nested, max_size=4))
def test_flat_names_lead_to_every_value(values: dict[str, object]) -> None:
    flat = flatten(values)
    for name, value in flat.items():
        found: Any = values
        for part in name.split("."):
            found = found[part]
        assert found == value
        assert not isinstance(value, dict)

    def leaves(inner: object) -> int:
        return sum(map(leaves, inner.values())) if isinstance(inner, dict) else 1

    assert len(flat) == leaves(values)
