"""A whole bundle around the tiny classifier, written in a test; with golden posts, as the pipeline writes them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from data.post import Author, Post
from data.taxonomy import BUILT_IN, Taxonomy
from models.bundle import Bundle, BundleParts, Encoder, Manifest, Reading, write_bundle
from models.calibration import Calibration
from models.golden import record
from models.policy import Policy
from models.predictor import Predictor
from tests.fakes import BOLD_POLICY
from tests.models.tiny_model import MEANING, Meaning, write_tiny_model, write_tiny_tokenizer

CREATED = datetime(2026, 11, 22, tzinfo=UTC)
TINY_VERSION = "2026.11.22+tiny00"
GOLDEN_POSTS = (
    Post(id="g-1", text="where is my parcel"),
    Post(id="g-2", text="injured again"),
    Post(id="g-3", text="thanks", author=Author(followers=90_000)),
    Post(id="g-4", text="where is my parcel again " * 30),
)


def write_tiny_bundle(
    directory: Path,
    *,
    version: str = TINY_VERSION,
    meaning: Meaning = MEANING,
    policy: Policy = BOLD_POLICY,
    golden: Sequence[Post] = GOLDEN_POSTS,
    taxonomy: Taxonomy = BUILT_IN,
) -> Bundle:
    """The bundle written to `directory`; without any post in `golden`, one of the time before there were any."""
    with TemporaryDirectory() as scratch:
        model, tokenizer = Path(scratch) / "model.onnx", Path(scratch) / "tokenizer.json"
        write_tiny_model(model, meaning, taxonomy)
        write_tiny_tokenizer(tokenizer)
        parts = BundleParts(
            manifest=Manifest(
                model_version=version,
                created_at=CREATED,
                taxonomy=taxonomy.version,
                precision="fp32",
                encoder=Encoder(name="tiny", sha256="0" * 64),
                git_commit="0" * 40,
                data_fingerprint="0" * 64,
                reading=Reading(window_tokens=64, overlap_tokens=8, context_tokens=20, max_windows=2),
            ),
            model=model,
            tokenizer=tokenizer,
            calibration=Calibration(),
            policy=policy,
            metrics={},
            recipe="",
            card="A bundle of the tests.\n",
            taxonomy=taxonomy,
        )
        bundle = write_bundle(directory, parts)
        if golden:
            found = Predictor.load(bundle).predict(golden)
            bundle = write_bundle(directory, replace(parts, golden=record(golden, found, policy, CREATED)))
    return bundle
