"""A remote store: a real `mlflow server` on loopback that is there, is not there, and dies in the middle of a run."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from data.post import Post
from models.bundle import MANIFEST_FILE, load_bundle, sha256_of
from models.predictor import Predictor
from tests.models.tiny_bundle import write_tiny_bundle
from tests.training.mlflow_server import MlflowServer
from tests.training.stores import quietly
from training.__main__ import main
from training.history import read_history
from training.pipeline import make_bundle
from training.recipe import Recipe, recipe_toml
from training.tracking.port import DIRECTORY
from training.tracking.registry import download, register, resolve
from training.tracking.run import MlflowTracker
from training.tracking.store import EXPERIMENT

pytestmark = [pytest.mark.slow, *quietly]
Item = TypeVar("Item")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("server"))
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server.uri)
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        yield server
    server.stop()


@pytest.fixture(scope="module")
def short(recipe: Recipe) -> Recipe:
    """One member, two epochs, nothing quantised."""
    settings = recipe.finetune.model_copy(update={"members": 1, "epochs": 2, "batch_posts": 32})
    return recipe.model_copy(update={"name": "short", "precision": "fp32", "finetune": settings})


def the_run(server: MlflowServer) -> Any:
    """The one run that the server knows, and its client."""
    from mlflow import MlflowClient

    client: Any = MlflowClient(server.uri)
    (run,) = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    return run, client


def test_a_run_whose_server_dies_goes_on_and_tells_the_rest_when_it_is_back(
    server: MlflowServer, short: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told, seen = list[str](), dict[str, Any]()

    def stop_after_an_epoch(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        for item in items:
            yield item
            (state,) = (tmp_path / "runs").glob("short-*")
            if what.startswith("fine-tuning") and read_history(state / "member-0") and not seen:
                seen["run"] = the_run(server)[0]
                server.stop()

    tracker = MlflowTracker(told.append)
    made = make_bundle(
        short, tmp_path / "bundle", runs=tmp_path / "runs", track=tracker, watch=stop_after_an_epoch, say=told.append
    )
    (state,) = (tmp_path / "runs").glob("short-*")
    assert load_bundle(tmp_path / "bundle").manifest == made.manifest
    assert (seen["run"].info.status, seen["run"].data.params["name"]) == ("RUNNING", "short")
    assert tracker.untold > 0
    assert sum(line.startswith("MLflow does not answer") for line in told) == 1
    assert told[-1].startswith(f"{tracker.untold} things that this run had to tell MLflow were not told.")
    assert f"python -m training tell {state}" in told[-1]

    assert main(["tell", str(state)]) == 2
    assert "Telling what was not told is not possible" in capsys.readouterr().err
    server.start()
    assert main(["tell", str(state)]) == 0
    run, client = the_run(server)
    assert json.loads(capsys.readouterr().out) == {"run": run.info.run_id, "told": tracker.untold}
    assert (run.info.run_id, run.info.status) == (seen["run"].info.run_id, "FINISHED")
    losses = [each.value for each in client.get_metric_history(run.info.run_id, "member_0_loss")]
    assert losses == [epoch.loss for epoch in read_history(state / "member-0")]
    got = Path(client.download_artifacts(run.info.run_id, "bundle", str(tmp_path)))
    assert load_bundle(got).manifest == made.manifest
    assert not list((state / DIRECTORY).glob("untold*"))
    assert main(["tell", str(state)]) == 0  # there is nothing left to tell
    assert json.loads(capsys.readouterr().out)["told"] == 0
    assert register(tmp_path / "bundle").run_id == run.info.run_id  # a version leads to the run that made it


def test_a_bundle_is_registered_at_a_server_and_loaded_from_there_by_its_alias(
    server: MlflowServer, tmp_path: Path
) -> None:
    import mlflow
    import pandas as pd

    bundle = write_tiny_bundle(tmp_path / "bundle")
    version = register(bundle.directory, "champion")
    assert resolve("champion") == version
    assert version.manifest_sha256 == sha256_of(bundle.directory / MANIFEST_FILE)
    assert download("champion", tmp_path / "got").manifest == bundle.manifest
    mlflow.set_tracking_uri(server.uri)
    (prediction,) = Predictor.load(bundle).predict([Post(text="injured again")])
    answers = mlflow.pyfunc.load_model("models:/signalbox@champion").predict(pd.DataFrame({"text": ["injured again"]}))
    assert answers.loc[0, "action"] == prediction.decision.action == "specialist"


def test_a_server_that_is_not_there_at_the_start_is_named_before_anything_is_trained(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the discard port, at which nobody listens
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / "tiny.toml").write_text(recipe_toml(recipe))
    files = ("--recipe", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs"))
    assert main(["run", *files]) == 2
    told = capsys.readouterr().err
    assert "Tracking a run is not possible: the MLflow store http://127.0.0.1:9 said" in told
    assert "name another by MLFLOW_TRACKING_URI. Or keep nothing: --no-tracking." in told
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "runs").rglob("member-*"))
