"""From files to answers: a bundle with a real graph and a real tokenizer, loaded as the server loads it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.post import Author, Post
from models.bundle import BundleParts, Encoder, Manifest, load_bundle, write_bundle
from models.calibration import Calibration
from models.policy import Policy
from models.predictor import Predictor
from tests.fakes import BOLD_POLICY
from tests.models.conftest import READING


@pytest.fixture(scope="module")
def directory(tiny_files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, tokenizer = tiny_files
    parts = BundleParts(
        manifest=Manifest(
            model_version="2026.11.22+tiny00",
            created_at=datetime(2026, 11, 22, tzinfo=UTC),
            taxonomy="1",
            precision="fp32",
            encoder=Encoder(name="tiny", sha256="0" * 64),
            git_commit="0" * 40,
            data_fingerprint="0" * 64,
            reading=READING,
        ),
        model=model,
        tokenizer=tokenizer,
        calibration=Calibration(),
        policy=BOLD_POLICY,
        metrics={},
        recipe="",
        card="",
    )
    return write_bundle(tmp_path_factory.mktemp("bundles") / "tiny", parts).directory


@pytest.mark.parametrize(
    ("text", "route", "action"),
    [
        ("where is my parcel", "simple", "auto_answer"),
        ("where is my parcel " * 30, "simple", "agent"),
        ("injured", "sensitive", "specialist"),
        ("my subscribers", "influencer", "specialist"),
        ("again", "complex", "agent"),
    ],
    ids=["easy", "easy and too long", "hurt", "heard", "failed"],
)
def test_a_loaded_bundle_reads_and_decides(text: str, route: str, action: str, directory: Path) -> None:
    predictor = Predictor.load(load_bundle(directory))
    (prediction,) = predictor.predict([Post(text=text, platform="x")])
    assert (prediction.route, prediction.decision.action) == (route, action)


def test_a_batch_answers_as_each_post_alone(directory: Path) -> None:
    predictor = Predictor.load(load_bundle(directory))
    texts = ("where is my parcel", "injured again " * 20, "thanks", "\U0001f642", "x")
    posts = [Post(text=text, author=Author(bio=text, followers=3)) for text in texts]
    together = predictor.predict(posts)
    assert together == [predictor.predict([post])[0] for post in posts]


def test_a_policy_given_at_load_replaces_the_bundles(directory: Path) -> None:
    predictor = Predictor.load(load_bundle(directory), policy=Policy(version="9"))
    (prediction,) = predictor.predict([Post(text="where is my parcel")])
    assert prediction.decision.action == "agent"
    assert predictor.policy.version == "9"
