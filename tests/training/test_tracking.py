"""What a run leaves in MLflow, read back through MLflow's own client; and that nothing is left where nobody asked."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.dependencies import MissingGroupError
from models.bundle import FILES, GOLDEN_FILE, MANIFEST_FILE, load_bundle
from tests.training.whole_run import WholeRun
from training.recipe import Recipe
from training.tracking.run import EXPERIMENT, Untracked, flatten, track

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore::sqlalchemy.exc.SADeprecationWarning"
    ),  # between MLflow and its database library
]
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


def fail_after_a_step(store: str) -> None:
    with track("doomed", store) as tracking:
        tracking.metrics({"loss": 0.5}, step=1)
        raise RuntimeError("power")


def test_a_run_that_fails_is_kept_as_failed_with_what_it_had_told(
    client: Any, whole_run: WholeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(whole_run.directory)
    with pytest.raises(RuntimeError, match="power"):
        fail_after_a_step(whole_run.store)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    (doomed,) = client.search_runs([experiment.experiment_id], "run_name = 'doomed'")
    try:
        assert (doomed.info.status, doomed.data.metrics) == ("FAILED", {"loss": 0.5})
    finally:
        client.delete_run(doomed.info.run_id)


def test_untracked_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tracking = Untracked()
    tracking.params({"seed": 1})
    tracking.metrics({"loss": 0.5}, step=1)
    tracking.figure(object(), "curve")
    tracking.directory(tmp_path, "bundle")
    assert list(tmp_path.iterdir()) == []


def test_tracking_without_mlflow_is_answered_with_the_command_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingGroupError) as caught, track("tiny", "sqlite://"):
        pass
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
