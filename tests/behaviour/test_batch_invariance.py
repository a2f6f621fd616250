"""The shipped artefact gives a post the same bytes alone, in any batch, at any padding and in any thread.

The design requires it: one customer's score must not depend on another customer's post. Nothing here is close or
nearly; bytes are compared.
"""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from tokenizers import Encoding

from data.rendering import Rendered, render
from data.sources import read_labelled
from models.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from models.classifier import INPUTS, OUTPUTS, Classifier, Encoded, session_options

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MIXES = 2_000
"""Issue 2 asks for at least so many."""
MAX_MIX_POSTS, MAX_PADDING_TOKENS = 3, 24
SHORT_POSTS, LONG_POSTS = 150, 6
LONG_SHARE = 0.01
"""A long post costs twenty short ones; a few are enough to have every length beside every other."""
THREADS, MIXES_A_THREAD = 4, 25


@dataclass(frozen=True, slots=True)
class Alone:
    """A post, and the bytes of its logits and of those of its windows when nothing else is near."""

    post: Encoded
    logits: bytes
    windows: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Mix:
    """Posts of the pool by place, together in one call, and the padding behind the longest window."""

    places: tuple[int, ...]
    padding_tokens: int


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(ROOT / DEFAULT_BUNDLE)


@pytest.fixture(scope="module")
def classifier(bundle: Bundle) -> Classifier:
    return Classifier(bundle.model_path, bundle.tokenizer_path, bundle.manifest.reading)


def joined(parts: Sequence[npt.NDArray[np.float32]]) -> bytes:
    """The bytes of one row of route and intent logits."""
    return b"".join(part.tobytes() for part in parts)


def padded(windows: Sequence[Encoding], padding_tokens: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Ids, mask and types `[n, t]` of windows, padded on the right."""
    arrays = np.zeros((3, len(windows), max(len(each.ids) for each in windows) + padding_tokens), dtype=np.int64)
    for row, window in enumerate(windows):
        for part, values in enumerate((window.ids, window.attention_mask, window.type_ids)):
            arrays[part, row, : len(values)] = values
    return tuple(arrays)


def run_rows(classifier: Classifier, windows: Sequence[Encoding], padding_tokens: int) -> list[bytes]:
    return [joined(row) for row in zip(*classifier.run(*padded(windows, padding_tokens)), strict=True)]


def logits_rows(classifier: Classifier, posts: Sequence[Encoded]) -> list[bytes]:
    said = classifier.logits(posts)
    return [joined(row) for row in zip(said.route, said.intent, strict=True)]


def alone(classifier: Classifier, rendered: Rendered) -> Alone:
    post = classifier.encode(rendered)
    (logits,) = logits_rows(classifier, [post])
    return Alone(post, logits, tuple(run_rows(classifier, [window], 0)[0] for window in post.windows))


@pytest.fixture(scope="module")
def pool(classifier: Classifier) -> list[Alone]:
    """Posts of our corpus, most of them short and the last ones long, each run alone."""
    posts = read_labelled(ROOT / "data/corpus/plain.jsonl").posts
    chosen = random.Random(1).sample(sorted(posts, key=lambda post: len(post.text))[: len(posts) // 4], SHORT_POSTS)
    rendered = [render(post) for post in chosen]
    for place in range(LONG_POSTS):
        text = " ".join(pair.text for pair in rendered[: 5 * (place + 1)])
        rendered.append(Rendered(text=text, context=rendered[place].context))
    return [alone(classifier, pair) for pair in rendered]


def mixes(seed: int, count: int) -> Iterator[Mix]:
    """Mixes that are all different, the same ones for the same seed."""
    draw, seen = random.Random(seed), set[Mix]()
    weights = [(1 - LONG_SHARE) / SHORT_POSTS] * SHORT_POSTS + [LONG_SHARE / LONG_POSTS] * LONG_POSTS
    while len(seen) < count:
        places = draw.choices(range(SHORT_POSTS + LONG_POSTS), weights, k=draw.randint(1, MAX_MIX_POSTS))
        mix = Mix(tuple(places), draw.randint(0, MAX_PADDING_TOKENS))
        if mix not in seen:
            seen.add(mix)
            yield mix


def check(classifier: Classifier, pool: Sequence[Alone], mix: Mix) -> None:
    """Both ways into the classifier give every post of the mix the bytes that it has alone."""
    chosen = [pool[place] for place in mix.places]
    windows = [window for each in chosen for window in each.post.windows]
    expected = [said for each in chosen for said in each.windows]
    assert run_rows(classifier, windows, mix.padding_tokens) == expected, mix
    assert logits_rows(classifier, [each.post for each in chosen]) == [each.logits for each in chosen], mix


def test_the_pool_has_posts_of_many_lengths_and_of_several_windows(pool: Sequence[Alone]) -> None:
    lengths = {each.post.tokens for each in pool}
    assert len(lengths) > 20
    assert max(len(each.post.windows) for each in pool) > 1
    assert len({each.logits for each in pool}) > SHORT_POSTS * 0.95


def test_a_post_gets_the_same_bytes_in_two_thousand_mixes_of_length_batch_and_padding(
    classifier: Classifier, pool: Sequence[Alone]
) -> None:
    checked = 0
    for mix in mixes(seed=2, count=MIXES):
        check(classifier, pool, mix)
        checked += 1
    assert checked == MIXES


def test_threads_that_share_the_classifier_give_the_same_bytes(classifier: Classifier, pool: Sequence[Alone]) -> None:
    def work(seed: int) -> int:
        for mix in mixes(seed, MIXES_A_THREAD):
            check(classifier, pool, mix)
        return seed

    seeds = list(range(10, 10 + THREADS))
    with ThreadPoolExecutor(THREADS) as threads:
        assert list(threads.map(work, seeds)) == seeds


def test_another_session_gives_the_same_bytes(bundle: Bundle, pool: Sequence[Alone]) -> None:
    other = Classifier(bundle.model_path, bundle.tokenizer_path, bundle.manifest.reading)
    posts = [each.post for each in pool[-LONG_POSTS:]]
    assert logits_rows(other, posts) == [each.logits for each in pool[-LONG_POSTS:]]


def test_the_bare_graph_would_mix_posts_so_the_tests_above_can_fail(bundle: Bundle, pool: Sequence[Alone]) -> None:
    if bundle.manifest.precision == "fp32":
        pytest.skip("an fp32 graph has no scale that posts could share")
    windows = [each.post.windows[0] for each in pool[:8]]
    session = onnxruntime.InferenceSession(str(bundle.model_path), session_options())
    together = session.run(OUTPUTS, dict(zip(INPUTS, padded(windows, 0), strict=True)))
    assert [joined(row) for row in zip(*together, strict=True)] != [each.windows[0] for each in pool[:8]]
