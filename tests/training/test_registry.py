"""The registered model: what is registered is the bundle, and whatever goes wrong, no version lacks one."""

import ast
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest

from data.post import Author, Post
from models.bundle import MANIFEST_FILE, METRICS_FILE, BundleError, load_bundle, sha256_of
from models.classifier import Classifier, Encoded, Logits
from models.predictor import Predictor
from models.rows import row_of_prediction
from tests.models.tiny_bundle import write_tiny_bundle
from tests.training.stores import own_store, quietly
from training.__main__ import main
from training.errors import RegistryError, StoreError
from training.promotion.installation import Places, manifest_of
from training.promotion.promotion import Evidence, Person, promote
from training.tracking.packing import ROOT, modules_needed, pack
from training.tracking.registry import Version, download, find, point, register, resolve, versions
from training.tracking.store import open_store

pytestmark = [pytest.mark.slow, *quietly]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three bundles of three versions."""
    directory = tmp_path_factory.mktemp("bundles")
    names = ("one", "two", "three")
    return [write_tiny_bundle(directory / name, version=f"2026.11.22+{name}").directory for name in names]


@pytest.fixture(scope="module")
def whole_store(tmp_path_factory: pytest.TempPathFactory, bundles: list[Path], empty_store: Path) -> Iterator[str]:
    """A store in which the second bundle is champion and the first challenger; for tests that only look."""
    with own_store(tmp_path_factory.mktemp("store"), empty_store) as uri:
        register(bundles[0], "challenger")
        register(bundles[1], "champion")
        yield uri


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Iterator[str]:
    """An empty store."""
    with own_store(tmp_path, empty_store) as uri:
        yield uri


def test_the_alias_leads_to_the_version_and_the_version_to_the_bundle(
    whole_store: str, bundles: list[Path], tmp_path: Path
) -> None:
    champion = resolve("champion")
    manifest_sha256 = sha256_of(bundles[1] / MANIFEST_FILE)
    assert champion == Version(2, "2026.11.22+two", manifest_sha256, ("champion",), run_id=None)
    assert [each.number for each in versions()] == [1, 2]
    got = download("champion", tmp_path / "got")
    assert got.manifest == load_bundle(bundles[1]).manifest
    assert download(1, tmp_path / "first").manifest.model_version == "2026.11.22+one"
    with pytest.raises(RegistryError, match="it exists"):
        download(1, tmp_path / "first")


def test_a_version_says_what_it_was_made_from(whole_store: str, bundles: list[Path]) -> None:
    from mlflow import MlflowClient

    found = MlflowClient(whole_store).get_model_version("signalbox", "2")
    manifest = load_bundle(bundles[1]).manifest
    for name in ("data_fingerprint", "git_commit", "taxonomy", "rendering", "precision", "model_version"):
        assert found.tags[name] == getattr(manifest, name)


def test_the_champion_is_loaded_by_its_name_and_decides_as_the_predictor(whole_store: str, bundles: list[Path]) -> None:
    import mlflow
    import pandas as pd

    mlflow.set_tracking_uri(whole_store)
    posts = [
        Post(text="where is my parcel", platform="x"),
        Post(text="injured again", author=Author(followers=3)),
        Post(text="thanks", author=Author(followers=90_000)),
    ]
    frame = pd.DataFrame(
        [{"text": each.text, "platform": each.platform, "followers": each.followers, "route": "?"} for each in posts],
        index=[7, 8, 9],
    )
    predictor = Predictor.load(load_bundle(bundles[1]))
    wanted = [row_of_prediction(each, predictor.bundle, predictor.policy) for each in predictor.predict(posts)]
    answers = mlflow.pyfunc.load_model("models:/signalbox@champion").predict(frame)
    assert answers.to_dict("records") == wanted
    assert list(answers.index) == [7, 8, 9]
    assert {each["action"] for each in wanted} == {"auto_answer", "specialist"}


def test_a_frame_with_a_row_that_is_no_post_is_refused_without_its_text(whole_store: str) -> None:
    import mlflow
    import pandas as pd
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(whole_store)
    model = mlflow.pyfunc.load_model("models:/signalbox@champion")
    with pytest.raises(MlflowException) as caught:
        model.predict(pd.DataFrame([{"text": "hello"}, {"text": "s3cret", "followers": "many"}]))
    assert "Row 1 is no post: author.followers is a str of 4 characters" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_what_is_packed_is_the_code_that_is_needed_and_no_pickle(bundles: list[Path], tmp_path: Path) -> None:
    from mlflow.models import Model

    pack(load_bundle(bundles[0]), tmp_path / "model", about=Model())
    code = {path.relative_to(tmp_path / "model/code") for path in (tmp_path / "model/code").rglob("*.py")}
    assert code == {file.relative_to(ROOT) for file in modules_needed()}
    assert {path.parts[0] for path in code} == {"data", "models"}
    suffixes = {path.suffix for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert suffixes == {"", ".py", ".json", ".yaml", ".txt", ".onnx", ".toml", ".md"}
    for line in (tmp_path / "model/requirements.txt").read_text().splitlines():
        assert "==" in line or line == "-c constraints.txt"
        assert not line.startswith(("torch", "transformers"))


def test_every_import_of_the_packed_code_is_packed(bundles: list[Path]) -> None:
    packed = {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in modules_needed()}
    for file in modules_needed():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("data", "models"):
                assert node.module in packed


def test_a_bundle_that_is_registered_already_keeps_its_version_and_an_alias_moves(
    store: str, bundles: list[Path]
) -> None:
    assert register(bundles[0]).aliases == ()
    assert register(bundles[0], "challenger").aliases == ("challenger",)
    assert register(bundles[1], "challenger").number == 2
    assert (resolve("challenger").number, find("champion")) == (2, None)
    assert point("champion", 1).aliases == ("champion",)
    assert point("challenger", 1).aliases == ("challenger", "champion")
    assert [each.aliases for each in versions()] == [("challenger", "champion"), ()]


def test_a_bundle_that_was_changed_is_refused_and_nothing_is_registered(store: str, tmp_path: Path) -> None:
    directory = write_tiny_bundle(tmp_path / "bundle").directory
    (directory / METRICS_FILE).write_text("{}\n\n")
    with pytest.raises(BundleError, match="was changed"):
        register(directory)
    assert versions() == ()


def test_a_bundle_that_computes_something_else_here_is_refused_and_nothing_is_registered(
    store: str, bundles: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Classifier.logits

    def wrong(classifier: Classifier, posts: Sequence[Encoded]) -> Logits:
        said = right(classifier, posts)
        return Logits(-said.route, -said.intent)

    monkeypatch.setattr(Classifier, "logits", wrong)
    with pytest.raises(BundleError, match="computes something else here"):
        register(bundles[0])
    assert versions() == ()


class KilledError(BaseException):
    """Stands for `kill -9`: nothing that handles an error sees it."""


class DyingClient:
    """A client of MLflow whose process is killed at one of its calls."""

    def __init__(self, client: Any, call: str) -> None:
        self._client, self._call = client, call

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._client, name)
        if name != self._call:
            return asked

        def die(*arguments: Any, **options: Any) -> None:
            raise KilledError

        return die


@pytest.mark.parametrize(
    "call",
    [
        "log_model_artifacts",
        "create_registered_model",
        "create_model_version",
        "set_registered_model_alias",
    ],
)
def test_whoever_is_killed_leaves_no_version_without_its_bundle_and_the_same_again_goes_on(
    call: str, store: str, bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("training.tracking.registry.open_store", lambda *asked: DyingClient(open_store(*asked), call))
        with pytest.raises(KilledError):
            register(bundles[0], "challenger")
    left = versions()
    assert len(left) == (call == "set_registered_model_alias")
    for version in left:
        assert download(version.number, tmp_path / "left").manifest == load_bundle(bundles[0]).manifest
    assert register(bundles[0], "challenger") == resolve("challenger")
    assert [each.number for each in versions()] == [1]


def test_an_upload_that_arrives_changed_is_never_given_a_version(
    store: str, bundles: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pack_badly(*asked: Any, **options: Any) -> None:
        pack(*asked, **options)
        (asked[1] / "artifacts/bundle" / METRICS_FILE).write_text("{}\n\n")

    monkeypatch.setattr("training.tracking.registry.pack", pack_badly)
    with pytest.raises(BundleError, match="was changed"):
        register(bundles[0])
    assert versions() == ()


def test_files_that_were_changed_in_the_store_are_refused(store: str, bundles: list[Path], tmp_path: Path) -> None:
    register(bundles[0], "champion")
    (kept,) = Path().rglob(f"artifacts/bundle/{METRICS_FILE}")
    kept.write_text("{}\n\n")
    with pytest.raises(BundleError, match="was changed"):
        download("champion", tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_what_is_not_there_is_named_with_what_is(store: str, bundles: list[Path], tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"No version of .* is champion\. .*python -m training register"):
        resolve("champion")
    with pytest.raises(RegistryError, match=r"has no version 3\. Wanted one of: none"):
        point("champion", 3)
    register(bundles[0])
    with pytest.raises(RegistryError, match=r"has no version 3\. Wanted one of: 1"):
        download(3, tmp_path / "got")
    with pytest.raises(RegistryError, match=r"No alias is called 'best'\. Wanted: champion or challenger"):
        point("best", 1)  # type: ignore[arg-type]  # as a caller might
    assert find("champion") is None


def test_a_store_that_does_not_answer_is_named(bundles: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StoreError) as caught:
        register(bundles[0], uri="http://127.0.0.1:9")
    assert "Registering a bundle is not possible: the MLflow store http://127.0.0.1:9 said" in str(caught.value)
    assert "Start it, or name another by MLFLOW_TRACKING_URI." in str(caught.value)


def test_the_command_registers_and_says_so(store: str, bundles: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["register", str(bundles[2]), "--alias", "challenger"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer == {"model": "signalbox", "version": 1, "bundle": "2026.11.22+three", "aliases": ["challenger"]}
    assert resolve("challenger").number == 1


def test_the_command_refuses_what_is_no_bundle(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["register", str(tmp_path)]) == 2
    assert "there is no manifest.json" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["register", str(tmp_path), "--alias", "champion"])
    assert ended.value.code == 2


def test_a_change_of_champion_waits_for_no_store_and_is_registered_when_it_is_back(
    store: str, bundles: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(tmp_path / "models" / "default")
    copytree(bundles[0], places.champion)
    hashes = [manifest_of(each) or "" for each in (places.champion, bundles[1])]
    evidence = Evidence("a" * 64, hashes[0], hashes[1], "b" * 64, {}, (), passed=True)
    promote(places, bundles[1], evidence, Person("Ada", "a try"))
    given = ["--champion", str(places.champion), "--track"]
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the discard port, at which nobody listens
        away.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        assert main(["rollback", *given]) == 0
    said = capsys.readouterr()
    assert (json.loads(said.out)["registered"], manifest_of(places.champion)) == (None, hashes[0])
    assert f"register it later: python -m training ledger --track --champion {places.champion}" in said.err
    assert find("champion") is None
    assert main(["ledger", *given]) == 0
    assert json.loads(capsys.readouterr().out)["registered"] == 1
    assert resolve("champion").manifest_sha256 == hashes[0]
    rmtree(places.champion)
    copytree(bundles[2], places.champion)
    assert main(["ledger", *given]) == 2
    assert "Nothing was registered: the champion is not the one that the ledger names last" in capsys.readouterr().err
    assert len(versions()) == 1
