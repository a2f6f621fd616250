"""Windows of long posts, contexts that never cut a post, and the same bytes in any batch and at any padding."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Encoding, Tokenizer

from data.rendering import Rendered
from data.taxonomy import BUILT_IN, ROUTES
from models.bundle import Reading
from models.classifier import Classifier, Encoded, join_windows, session_options
from models.reading import load_tokenizer
from tests.models.conftest import READING
from tests.models.tiny_model import JAMO, WORDS

SYLLABLE = "\uc815"
words = st.sampled_from([*WORDS, "zzz", "\u00e9t\u00e9", "\U0001f642", SYLLABLE, SYLLABLE * 9])
texts = st.lists(words, max_size=60).map(" ".join)
posts = st.builds(Rendered, text=texts, context=texts)


@pytest.fixture(scope="module")
def plain(tiny_files: tuple[Path, Path]) -> Tokenizer:
    """The tokenizer without windows."""
    return Tokenizer.from_file(str(tiny_files[1]))


def parts(window: Encoding) -> tuple[list[int], list[int]]:
    """The ids of text and context in a window, without special tokens."""
    kept = [
        (number, place)
        for number, place, special in zip(window.ids, window.type_ids, window.special_tokens_mask, strict=True)
        if not special
    ]
    return [number for number, place in kept if place == 0], [number for number, place in kept if place == 1]


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


def whole_text(post: Encoded) -> list[int]:
    """The ids of the text over all windows, each overlap counted once."""
    first, *rest = [parts(window)[0] for window in post.windows]
    return first + [number for window in rest for number in window[READING.overlap_tokens :]]


def test_a_short_post_is_one_window_of_text_and_context(tiny: Classifier, plain: Tokenizer) -> None:
    post = tiny.encode(Rendered(text="where is my parcel", context="x. followers under"))
    (window,) = post.windows
    assert window.tokens == ["[CLS]", "where", "is", "my", "parcel", "[SEP]", "x", ".", "followers", "under", "[SEP]"]
    assert window.type_ids == [0] * 6 + [1] * 5
    assert not post.truncated
    assert post.tokens == 11


def test_a_post_of_nothing_readable_is_still_one_window(tiny: Classifier) -> None:
    (window,) = tiny.encode(Rendered(text="", context="x")).windows
    assert window.tokens == ["[CLS]", "[SEP]", "x", "[SEP]"]


@given(post=posts)
def test_windows_hold_the_whole_text_in_order_each_with_the_same_context(
    tiny: Classifier, plain: Tokenizer, post: Rendered
) -> None:
    encoded = tiny.encode(post)
    text, context = ids(plain, post.text), ids(plain, post.context)
    assert all(len(window.ids) <= READING.window_tokens for window in encoded.windows)
    contexts = [parts(window)[1] for window in encoded.windows]
    assert all(part == contexts[0] for part in contexts)
    assert contexts[0] == context[: len(contexts[0])]
    got = whole_text(encoded)
    assert got == text[: len(got)]
    assert encoded.truncated == (len(got) < len(text))
    assert len(encoded.windows) <= READING.max_windows
    assert len(encoded.windows) == READING.max_windows or not encoded.truncated


@given(post=posts)
def test_a_context_takes_no_more_than_its_own_tokens_and_cuts_no_post(
    tiny: Classifier, plain: Tokenizer, post: Rendered
) -> None:
    context = ids(plain, post.context)
    kept = parts(tiny.encode(post).windows[0])[1]
    if len(context) <= READING.context_tokens:
        assert kept == context
    else:
        # A letter that becomes several tokens is left out whole.
        assert READING.context_tokens - len(JAMO) < len(kept) <= READING.context_tokens
    room = READING.window_tokens - READING.context_tokens - 3
    assert len(parts(tiny.encode(post).windows[0])[0]) >= min(room, len(ids(plain, post.text)))


def test_a_context_that_becomes_more_tokens_than_it_has_letters_is_cut_too(tiny: Classifier, plain: Tokenizer) -> None:
    context = SYLLABLE * 9
    assert len(context) <= READING.context_tokens < len(ids(plain, context))
    encoded = tiny.encode(Rendered(text="hello there " * 30, context=context))
    assert parts(encoded.windows[0])[1] == ids(plain, context)[:9]


@pytest.mark.parametrize(
    ("length", "windows", "truncated"), [(19, 1, False), (20, 2, False), (49, 3, False), (50, 3, True)]
)
def test_a_post_is_truncated_from_the_first_token_that_no_window_reads(
    length: int, windows: int, truncated: bool, tiny: Classifier
) -> None:
    # Ten tokens of context leave 19 for the text of a window, of which each further one adds 15.
    encoded = tiny.encode(Rendered(text="hello " * length, context="to " * 10))
    assert (len(encoded.windows), encoded.truncated) == (windows, truncated)


def test_the_tokens_of_a_post_are_those_of_all_its_windows(tiny: Classifier) -> None:
    encoded = tiny.encode(Rendered(text="hello " * 30, context="x"))
    assert encoded.tokens == sum(len(window.ids) for window in encoded.windows) > READING.window_tokens


def test_joined_windows_are_least_simple_and_most_of_every_other_route() -> None:
    route = np.array([[5.0, 1.0, -2.0, 0.0], [3.0, 2.0, 4.0, -1.0]], dtype=np.float32)
    intent = np.zeros((2, len(BUILT_IN.names)), dtype=np.float32)
    intent[0, 0], intent[1, 2] = 2.0, 6.0
    routes, intents = join_windows(route, intent)
    np.testing.assert_array_equal(routes, [3.0, 2.0, 4.0, 0.0])
    np.testing.assert_array_equal(intents[:3], [1.0, 0.0, 3.0])


@given(
    first=st.lists(st.floats(-9, 9, width=32), min_size=4, max_size=4),
    second=st.lists(st.floats(-9, 9, width=32), min_size=4, max_size=4),
)
def test_reading_on_never_makes_a_post_look_simpler(first: list[float], second: list[float]) -> None:
    intent = np.zeros((2, len(BUILT_IN.names)), dtype=np.float32)
    route = np.array([first, second], dtype=np.float32)
    alone, _ = join_windows(route[:1], intent[:1])
    both, _ = join_windows(route, intent)
    simple = ROUTES.index("simple")
    assert both[simple] <= alone[simple]
    assert (np.delete(both, simple) >= np.delete(alone, simple)).all()


def test_one_sensitive_word_at_the_end_of_a_long_post_decides_it(tiny: Classifier) -> None:
    text = "thanks for my parcel " * 9
    calm, hurt = (tiny.encode(Rendered(text=text + end, context="x")) for end in ("", "injured"))
    assert len(hurt.windows) == READING.max_windows
    assert not hurt.truncated
    routes = tiny.logits([calm, hurt]).route
    assert routes[0].argmax() == ROUTES.index("simple")
    assert routes[1, ROUTES.index("sensitive")] > routes[0, ROUTES.index("sensitive")] + 1


def test_a_short_post_gets_the_labels_of_its_word(tiny: Classifier) -> None:
    encoded = [tiny.encode(Rendered(text=word, context="x")) for word in ("parcel", "injured")]
    logits = tiny.logits(encoded)
    assert logits.route.shape == (2, len(ROUTES))
    assert logits.intent.shape == (2, len(BUILT_IN.names))
    assert logits.route.dtype == logits.intent.dtype == np.float32
    assert [ROUTES[row] for row in logits.route.argmax(axis=1)] == ["simple", "sensitive"]
    assert [BUILT_IN.names[row] for row in logits.intent.argmax(axis=1)] == ["order_status", "safety_health"]


def test_no_posts_give_no_rows(tiny: Classifier) -> None:
    logits = tiny.logits([])
    assert (len(logits.route), len(logits.intent)) == (0, 0)


def _bytes(classifier: Classifier, batch: Sequence[Rendered]) -> list[bytes]:
    logits = classifier.logits([classifier.encode(post) for post in batch])
    return [route.tobytes() + intent.tobytes() for route, intent in zip(logits.route, logits.intent, strict=True)]


@given(batch=st.lists(posts, min_size=1, max_size=8))
def test_a_post_gets_the_same_bytes_alone_and_in_any_batch(tiny: Classifier, batch: list[Rendered]) -> None:
    assert _bytes(tiny, batch) == [_bytes(tiny, [post])[0] for post in batch]


def _padded(windows: Sequence[Encoding], padding: Sequence[int]) -> tuple[npt.NDArray[np.int64], ...]:
    width = max(len(window.ids) + extra for window, extra in zip(windows, padding, strict=True))
    arrays = np.zeros((3, len(windows), width), dtype=np.int64)
    for row, window in enumerate(windows):
        for part, values in enumerate((window.ids, window.attention_mask, window.type_ids)):
            arrays[part, row, : len(values)] = values
    return tuple(arrays)


@given(batch=st.lists(posts, min_size=1, max_size=6), data=st.data())
def test_a_window_gets_the_same_bytes_at_any_padding_and_in_any_batch(
    tiny: Classifier, batch: list[Rendered], data: st.DataObject
) -> None:
    windows = [window for post in batch for window in tiny.encode(post).windows]
    padding = data.draw(st.lists(st.integers(0, 40), min_size=len(windows), max_size=len(windows)))
    route, intent = tiny.run(*_padded(windows, padding))
    for row, window in enumerate(windows):
        alone_route, alone_intent = tiny.run(*_padded([window], [0]))
        assert route[row].tobytes() == alone_route[0].tobytes()
        assert intent[row].tobytes() == alone_intent[0].tobytes()


def test_threads_that_share_a_classifier_get_the_same_bytes(tiny: Classifier) -> None:
    batch = [Rendered(text=f"{word} " * (3 * place), context="x. bio") for place, word in enumerate(WORDS, start=1)]
    alone = _bytes(tiny, batch)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: _bytes(tiny, batch), range(12))) == [alone] * 12


def test_a_session_runs_on_the_threads_it_is_given_and_never_spins() -> None:
    options = session_options(threads=2)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.use_deterministic_compute


def test_the_tokenizer_of_a_bundle_neither_pads_nor_reads_past_a_window(tiny_files: tuple[Path, Path]) -> None:
    tokenizer = load_tokenizer(tiny_files[1], READING)
    assert tokenizer.padding is None
    assert tokenizer.truncation == {
        "max_length": 32,
        "stride": 4,
        "strategy": "only_first",
        "direction": "right",
    }


def test_windows_whose_overlap_leaves_nothing_new_to_read_are_refused() -> None:
    wanted = (
        "an overlap under the 19 tokens of text that fit beside the context, got 19; "
        "widen window_tokens or lower overlap_tokens or context_tokens"
    )
    with pytest.raises(ValueError, match=wanted):
        Reading(window_tokens=32, overlap_tokens=19, context_tokens=10)
    assert Reading(window_tokens=32, overlap_tokens=18, context_tokens=10).overlap_tokens == 18
