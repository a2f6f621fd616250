"""Classifiers that do on purpose what a real one does by bad luck: wait, or break. Tested in test_gates.py."""

from collections.abc import Sequence
from threading import Event

from models.classifier import Encoded, Logits
from tests.fakes import FakeClassifier, FakeEncoded

GATE_WORD, FAULT_WORD = "gatehouse", "faultline"
GATE_TIMEOUT_S = 120.0


class GatedClassifier(FakeClassifier):
    """Stops at a post with `GATE_WORD` until `gate` is set; `entered` says that one stands there."""

    def __init__(self) -> None:
        self.entered = Event()
        self.gate = Event()
        self.seen: list[str] = []

    def logits(self, posts: Sequence[Encoded]) -> Logits:
        texts = [post.text for post in posts if isinstance(post, FakeEncoded)]
        self.seen += texts
        if any(GATE_WORD in text for text in texts):
            self.entered.set()
            if not self.gate.wait(GATE_TIMEOUT_S):
                raise RuntimeError("The test never opened the gate.")
        return super().logits(posts)


class FaultyClassifier(FakeClassifier):
    """Breaks at a post with `FAULT_WORD`, and says the post's text in its exception, as careless code does."""

    def logits(self, posts: Sequence[Encoded]) -> Logits:
        for post in posts:
            if isinstance(post, FakeEncoded) and FAULT_WORD in post.text:
                raise ValueError(f"cannot judge {post.text!r}")
        return super().logits(posts)
