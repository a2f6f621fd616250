"""Fakes that stand where a port is: written once, tested in tests/models/test_fakes.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from data.rendering import Rendered
from data.taxonomy import BUILT_IN, ROUTES, Intent, Route
from models.bundle import MODEL_FILE, Bundle, Encoder, Manifest
from models.calibration import Calibration
from models.classifier import Encoded, Logits
from models.guards import Guards, LanguageDetector
from models.policy import Policy, Thresholds
from models.predictor import Predictor

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
WORDS: tuple[tuple[str, Route, Intent], ...] = (
    ("injured", "sensitive", "safety_health"),
    ("scam", "sensitive", "fraud_security"),
    ("journalist", "influencer", "product_info"),
    ("subscribers", "influencer", "product_info"),
    ("again", "complex", "service_quality"),
    ("still nothing", "complex", "delivery_problem"),
    ("parcel", "simple", "order_status"),
    ("thanks", "simple", "praise"),
    ("lol", "simple", "not_service"),
)
SURE, UNSURE = 8.0, 3.0


@dataclass(frozen=True, slots=True)
class FakeEncoded(Encoded):
    """Carries the text instead of tokens."""

    text: str = ""

    @property
    def tokens(self) -> int:
        return len(self.text.split()) + 2


class FakeClassifier:
    """Sure of the first known word in the text, unsure (`complex`, `service_quality`) where there is none."""

    max_words = 300

    def encode(self, rendered: Rendered) -> Encoded:
        words = rendered.text.split()
        return FakeEncoded(windows=(), truncated=len(words) > self.max_words, text=rendered.text.lower())

    def logits(self, posts: Sequence[Encoded]) -> Logits:
        route = np.zeros((len(posts), len(ROUTES)), dtype=np.float32)
        intent = np.zeros((len(posts), len(BUILT_IN.names)), dtype=np.float32)
        for row, post in enumerate(posts):
            text = post.text if isinstance(post, FakeEncoded) else ""
            label: tuple[Route, Intent, float] = ("complex", "service_quality", UNSURE)
            for word, known_route, known_intent in WORDS:
                if word in text:
                    label = (known_route, known_intent, SURE)
                    break
            route[row, ROUTES.index(label[0])] = label[2]
            intent[row, BUILT_IN.names.index(label[1])] = label[2]
        return Logits(route=route, intent=intent)


BOLD_POLICY = Policy(
    version="7", thresholds=Thresholds(simple=0.9, intent=0.5, sensitive=0.1, influencer=0.3, answer_nothing=False)
)


def fake_bundle(policy: Policy = BOLD_POLICY) -> Bundle:
    """A bundle that has no files: what a predictor asks of it, and nothing else."""
    manifest = Manifest(
        model_version="2026.11.22+fake00",
        created_at=NOW,
        taxonomy="1",
        precision="int8",
        encoder=Encoder(name="fake", sha256="0" * 64),
        git_commit="0" * 40,
        data_fingerprint="0" * 64,
        files={MODEL_FILE: "f" * 64},
    )
    return Bundle(
        directory=Path("fake"),
        manifest=manifest,
        taxonomy=BUILT_IN,
        calibration=Calibration(),
        policy=policy,
        metrics={},
    )


def fake_predictor(policy: Policy = BOLD_POLICY) -> Predictor:
    """A predictor that needs no model file, with a clock that stands still."""
    return Predictor(fake_bundle(policy), FakeClassifier(), Guards(LanguageDetector()), now=lambda: NOW)
