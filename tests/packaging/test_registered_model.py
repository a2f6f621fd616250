"""The registered model where nothing else is: an environment made of what it lists, by pip, away from the checkout.

The environment is made once and kept under `.cache/` like the serving one: 25 s for the first run of a clone, then
nothing. CI makes it with the rest.
"""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data.post import Post
from models.bundle import DEFAULT_BUNDLE, load_bundle
from models.predictor import Predictor
from models.rows import row_of_prediction
from tests.packaging.conftest import ROOT, made_once, run
from tests.training.mlflow_server import free_port, stop_group, wait_for
from tests.training.stores import own_store, quietly
from training.tracking.packing import pack
from training.tracking.registry import register

pytestmark = [pytest.mark.slow, *quietly]

LOAD_AND_PREDICT = """
import json, sys
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/signalbox@champion")
answers = model.predict(pandas.DataFrame(json.load(sys.stdin)))
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"answers": answers.to_dict("records"), "loaded": loaded}))
"""


@dataclass(frozen=True, slots=True)
class Registered:
    """A store with the shipped bundle as champion, and posts with what our own predictor makes of them."""

    directory: Path
    uri: str
    rows: list[dict[str, Any]]
    wanted: list[dict[str, Any]]


def row_of(post: Post) -> dict[str, Any]:
    """The post as a flat row; what is not known is left out."""
    known = post.model_dump(mode="json", exclude_none=True, exclude={"id"})
    inner = {f"{outer}.{name}": cell for outer in ("author", "reach") for name, cell in known.pop(outer, {}).items()}
    return known | inner


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registered]:
    predictor = Predictor.load(load_bundle(ROOT / DEFAULT_BUNDLE))
    assert predictor.bundle.golden is not None
    posts = predictor.bundle.golden.inputs
    wanted = [row_of_prediction(each, predictor.bundle, predictor.policy) for each in predictor.predict(posts)]
    with own_store(tmp_path_factory.mktemp("registered")) as uri:
        register(ROOT / DEFAULT_BUNDLE, "champion")
        yield Registered(Path.cwd(), uri, [row_of(each) for each in posts], wanted)


@pytest.fixture(scope="module")
def model_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds what the model lists and nothing else."""
    from mlflow.models import Model

    model = tmp_path_factory.mktemp("packed") / "model"
    pack(load_bundle(ROOT / DEFAULT_BUNDLE), model, about=Model())

    def make(directory: Path) -> None:
        run(sys.executable, "-m", "venv", directory)
        run(directory / "bin/python", "-m", "pip", "install", "--no-compile", "-r", "requirements.txt", cwd=model)

    return made_once("model", ("constraints.txt", "training/tracking/packing.py"), make) / "bin/python"


def test_nothing_that_trains_is_installed(model_python: Path) -> None:
    listed = json.loads(run(model_python, "-m", "pip", "list", "--format", "json").stdout)
    names = {each["name"].lower() for each in listed}
    assert {"mlflow-skinny", "onnxruntime", "tokenizers"} <= names
    assert not names & {"torch", "transformers", "mlflow", "scikit-learn", "datasets", "onnx", "pytest"}


def test_the_champion_loads_by_its_alias_and_decides_as_our_predictor(
    model_python: Path, registered: Registered
) -> None:
    done = subprocess.run(
        [str(model_python), "-c", LOAD_AND_PREDICT],
        cwd=registered.directory,
        env={
            "MLFLOW_TRACKING_URI": registered.uri,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "HOME": str(registered.directory),
        },
        input=json.dumps(registered.rows),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["answers"] == registered.wanted
    assert {each["action"] for each in said["answers"]} >= {"agent", "specialist"}
    assert not {"torch", "transformers", "training", "evaluation", "serving", "tests"} & set(said["loaded"])


@pytest.fixture(scope="module")
def served(model_python: Path, registered: Registered) -> Iterator[str]:
    """The URL of `mlflow models serve` on the champion."""
    url, log = f"http://127.0.0.1:{(port := free_port())}", registered.directory / "served.log"
    command = ("-m", "mlflow", "models", "serve", "--model-uri", "models:/signalbox@champion", "--env-manager", "local")
    with log.open("wb") as told:
        process = subprocess.Popen(
            [str(model_python), *command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=registered.directory,
            env={
                "MLFLOW_TRACKING_URI": registered.uri,
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "HOME": str(registered.directory),
                "PATH": f"{model_python.parent}:/usr/bin:/bin",
            },
            stdout=told,
            stderr=told,
            start_new_session=True,
        )
    wait_for(f"{url}/ping", process, log)
    yield url
    stop_group(process)


def invoke(url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    asked = urllib.request.Request(
        f"{url}/invocations", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as response:
        predictions: list[dict[str, Any]] = json.load(response)["predictions"]
    return predictions


def test_mlflow_serves_it_and_it_decides_as_our_predictor(served: str, registered: Registered) -> None:
    assert invoke(served, {"dataframe_records": registered.rows}) == registered.wanted
    columns = sorted({name for row in registered.rows for name in row})
    cells = [[row.get(name) for name in columns] for row in registered.rows]
    assert invoke(served, {"dataframe_split": {"columns": columns, "data": cells}}) == registered.wanted


def test_mlflow_refuses_a_row_that_is_no_post_and_does_not_repeat_it(served: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        invoke(served, {"dataframe_records": [{"text": "s3cret", "platform": "s3cret"}]})
    said = caught.value.read().decode()
    assert caught.value.code == 400
    assert "Row 0 is no post: platform is a str of 6 characters" in said
    assert "s3cret" not in said
