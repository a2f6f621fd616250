"""Batches, dropped authors, rough texts and padding: what training sees of the posts."""

import random
import re
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.post import Post
from data.rendering import Rendered, render
from data.taxonomy import BUILT_IN, ROUTES, Route
from evaluation.behaviour.capabilities import DEFAULT_CASES
from models.bundle import Reading
from models.classifier import Classifier, Session
from tests.data.strategies import labelled
from tests.training.test_finetune import with_settings
from training.asides import CLOSING_WORDS, TO_MACHINES
from training.examples import UNLABELLED, Encoder, Said, make_examples, order_batches, roughen, training_reading
from training.recipe import Recipe

MARKS = ("[link]", "[card]", "[phone]", "[email]", "[iban]", "[account]", "[national_id]", "@authority", "@press")
MARK = re.compile(r"\[(?:link|card|phone|email|iban|account|national_id)\]|@(?:user|press|authority)\b")
lengths = st.lists(st.integers(3, 60), min_size=1, max_size=200)
seeds = st.integers(0, 2**32 - 1)
words = st.sampled_from(
    [*MARKS, "@user", "broken", "again", "don't", "why?!", "12.50", "#great deal", "ok", "\u00e9t\u00e9"]
)
texts = st.lists(st.tuples(words, st.sampled_from(["", ".", ",", "!", '"', "-"])), min_size=1, max_size=12).map(
    lambda pairs: " ".join(word + ending for word, ending in pairs)
)


@given(lengths=lengths, batch_posts=st.integers(1, 20), seed=seeds, epoch=st.integers(0, 50))
def test_every_post_is_in_exactly_one_batch_of_an_epoch(
    lengths: list[int], batch_posts: int, seed: int, epoch: int
) -> None:
    batches = order_batches(lengths, batch_posts, seed, epoch)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= batch_posts for batch in batches)
    assert len(batches) == len(order_batches(lengths, batch_posts, seed, 0))


@given(lengths=lengths, seed=seeds, epoch=st.integers(0, 50))
def test_the_batches_of_an_epoch_are_the_same_every_time(lengths: list[int], seed: int, epoch: int) -> None:
    assert order_batches(lengths, 8, seed, epoch) == order_batches(lengths, 8, seed, epoch)


def test_another_epoch_or_seed_has_other_batches() -> None:
    lengths = [10 + place % 7 for place in range(100)]
    orders = [order_batches(lengths, 8, seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len({str(order) for order in orders}) == len(orders)
    assert len({str(sorted(map(sorted, order))) for order in orders}) == len(orders)


def test_a_batch_holds_posts_of_like_length() -> None:
    draw = random.Random(0)
    lengths = [draw.randrange(5, 100) for _ in range(400)]
    spreads = [
        max(lengths[place] for place in batch) - min(lengths[place] for place in batch)
        for batch in order_batches(lengths, 16, 0, 0)
    ]
    assert max(spreads) < 15


def test_an_example_knows_its_labels_and_both_its_renderings() -> None:
    post = labelled("a", "love it", route="simple", intent="praise", author={"handle": "sue", "followers": 12})
    (example,) = make_examples([post], BUILT_IN)
    assert (ROUTES[example.route], BUILT_IN.names[example.intent]) == ("simple", "praise")
    assert example.full == render(post)
    assert "followers" in example.full.context
    assert example.anonymous.text == example.full.text
    assert "followers" not in example.anonymous.context


@pytest.mark.parametrize("followers", [None, 300, 10_000, 60_000])
@pytest.mark.parametrize("route", ROUTES)
def test_an_influencer_never_loses_its_author_and_everybody_else_may(
    route: Route, followers: int | None, recipe: Recipe
) -> None:
    post = labelled("a", "hi there", route=route, author={"followers": followers, "bio": "writes"})
    (example,) = make_examples([post], BUILT_IN)
    always = with_settings(recipe, author_dropout=1.0, noise=0.0).finetune
    contexts = {training_reading(example, always, random.Random(seed))[0].context for seed in range(20)}
    assert contexts == {example.full.context if route == "influencer" else example.anonymous.context}
    assert example.full.context != example.anonymous.context


def test_a_stranger_is_the_author_of_another_post_that_is_no_influencers() -> None:
    ours = [labelled(f"p{n}", "the router is broken", author={"bio": f"bio {n}"}) for n in range(5)]
    theirs = labelled("i", "buy my book", route="influencer", author={"bio": "on telly", "followers": 90_000})
    nobody = labelled("n", "the router is broken")
    *of_us, of_influencer, of_nobody = make_examples([*ours, theirs, nobody], BUILT_IN)
    assert of_influencer.stranger is None
    contexts = [each.stranger.context for each in (*of_us, of_nobody) if each.stranger]
    assert len(contexts) == 6
    assert all("bio: bio " in context for context in contexts)


def test_authors_are_dropped_and_swapped_and_texts_roughened_as_often_as_asked(recipe: Recipe) -> None:
    posts = [labelled(f"p{n}", "the router is broken again", author={"followers": 12, "bio": str(n)}) for n in (1, 2)]
    example = next(each for each in make_examples(posts * 9, BUILT_IN) if each.stranger != each.full)
    settings = with_settings(recipe, author_dropout=0.3, author_swap=0.2, noise=0.6).finetune
    draw = random.Random(0)
    pairs = [training_reading(example, settings, draw)[0] for _ in range(2_000)]
    anonymous, strange = (
        sum(pair.context == other.context for pair in pairs) / len(pairs)
        for other in (example.anonymous, example.stranger)
        if other
    )
    rough = sum(pair.text != example.full.text for pair in pairs) / len(pairs)
    assert [anonymous, strange] == pytest.approx([0.3, 0.2], abs=0.04)
    # Where nothing can be made rough, as a leading mention that is not there, the text stays as it was.
    assert 0.3 < rough < 0.6


def test_a_post_that_is_not_simple_stands_beside_its_aside_as_often_as_asked_and_a_simple_one_never(
    recipe: Recipe,
) -> None:
    trouble = [labelled(f"t{n}", f"router {n} is broken", route="complex", intent="fault_outage") for n in range(60)]
    easy = [labelled("s", "where is the lift"), labelled("l", " ".join(["so long"] * 10)), labelled("i", "hi")]
    examples = make_examples([*trouble, *easy], BUILT_IN, unlabelled=[Post(id="u", text="no idea")])
    assert [each.aside for each in examples[60:]] == [None] * 4
    words = {*TO_MACHINES, *CLOSING_WORDS}
    asides = {each.aside for each in examples[:60]}
    assert {"where is the lift", "hi"} < asides
    assert asides - words == {"where is the lift", "hi"}  # the long one stands beside nothing
    assert asides & {*TO_MACHINES}
    assert asides & {*CLOSING_WORDS}
    example, draw = examples[0], random.Random(0)
    settings = with_settings(recipe, asides=0.4, noise=0.0).finetune
    read = [training_reading(example, settings, draw)[0].text for _ in range(2_000)]
    beside = [f"{example.aside} {example.full.text}", f"{example.full.text} {example.aside}"]
    assert set(read) == {example.full.text, *beside}
    assert [read.count(text) / len(read) for text in beside] == pytest.approx([0.2, 0.2], abs=0.04)
    never = with_settings(recipe, asides=0.0, noise=0.0).finetune
    assert {training_reading(example, never, draw)[0].text for _ in range(50)} == {example.full.text}


def test_no_aside_of_training_is_a_case_of_the_behaviour_suite() -> None:
    cases = DEFAULT_CASES.read_text(encoding="utf-8").casefold()
    assert not [each for each in (*TO_MACHINES, *CLOSING_WORDS) if f'"{each.casefold()}"' in cases]


def test_a_text_without_its_author_or_under_a_strangers_name_is_taught_what_teachers_say_of_it_without(
    recipe: Recipe,
) -> None:
    known, unknown = (Said(torch.full((4,), value), torch.full((21,), value)) for value in (1.0, 2.0))
    (example,) = make_examples([labelled("a", "it broke", author={"followers": 5})], BUILT_IN)
    taught = replace(example, said=(known, unknown))
    for dropped, swapped, said in ((0.0, 0.0, known), (1.0, 0.0, unknown), (0.0, 1.0, unknown)):
        settings = with_settings(recipe, author_dropout=dropped, author_swap=swapped, noise=0.5).finetune
        assert training_reading(taught, settings, random.Random(0))[1] is said


def test_posts_without_labels_stand_after_the_others_and_have_none() -> None:
    examples = make_examples([labelled("a", "hi there")], BUILT_IN, unlabelled=[Post(id="u", text="no idea")])
    assert [each.full.text for each in examples] == ["hi there", "no idea"]
    assert (examples[1].route, examples[1].intent) == (UNLABELLED, UNLABELLED)


@given(text=texts, seed=seeds)
def test_a_rough_text_keeps_every_mask_and_role_and_is_never_empty(text: str, seed: int) -> None:
    rough = roughen(text, random.Random(seed))
    assert rough.strip()
    # Only a mention of nobody in particular may go, from the front, or come there; and a link may come at the end.
    kept = [mark for mark in MARK.findall(rough) if mark not in ("@user", "[link]")]
    assert kept == [mark for mark in MARK.findall(text) if mark not in ("@user", "[link]")]
    assert rough.count("[link]") - text.count("[link]") in (0, 1)


@given(text=st.text(min_size=1), seed=seeds)
def test_any_text_can_be_made_rough_and_the_same_draw_makes_it_the_same(text: str, seed: int) -> None:
    rough = roughen(text, random.Random(seed))
    assert rough
    assert rough == roughen(text, random.Random(seed))


@given(text=st.lists(st.sampled_from(["router", "broken", "again"]), min_size=4, max_size=9).map(" ".join), seed=seeds)
def test_a_rough_text_differs_in_few_letters(text: str, seed: int) -> None:
    rough = roughen(text, random.Random(seed)).removesuffix(" [link]").replace("@user ", "")
    changed = [word for word in rough.split() if word not in ("router", "broken", "again")]
    assert len(rough.split()) == len(text.split())
    assert len(changed) <= max(1, len(text.split()) // 8)


READING = Reading(window_tokens=48, overlap_tokens=8, context_tokens=12)


@pytest.fixture(scope="module")
def batcher(encoder: Path) -> Encoder:
    return Encoder(encoder / "tokenizer.json", READING)


def test_a_batch_is_padded_to_its_longest_post(batcher: Encoder) -> None:
    pairs = [Rendered(text="track my parcel", context="x"), Rendered(text="thanks", context="x")]
    batch = batcher.batch(pairs, [(0, 3), (2, 5)])
    assert batch.input_ids.shape == batch.attention_mask.shape == batch.token_type_ids.shape == (2, 7)
    assert batch.attention_mask.sum(1).tolist() == [7, 5]
    assert batch.attention_mask[1].tolist() == [1, 1, 1, 1, 1, 0, 0]
    assert (batch.input_ids[batch.attention_mask == 0] == 0).all()
    assert batch.token_type_ids[0].tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert (batch.routes.tolist(), batch.intents.tolist()) == ([0, 2], [3, 5])
    assert batch.input_ids.dtype == torch.long


def test_a_long_post_is_cut_to_one_window(batcher: Encoder) -> None:
    batch = batcher.batch([Rendered(text="router " * 90, context="x")], [(0, 0)])
    assert batch.input_ids.shape == (1, 48)


@pytest.mark.parametrize("text", ["track my parcel", "router " * 90])
def test_a_post_is_read_in_training_as_the_first_window_is_in_service(
    batcher: Encoder, encoder: Path, tmp_path: Path, text: str
) -> None:
    rendered = Rendered(text=text, context="x " + "where is my parcel " * 9)
    served = Classifier(tmp_path, encoder / "tokenizer.json", READING, open_session=lambda *_: cast(Session, None))
    batch = batcher.batch([rendered], [(0, 0)])
    first = served.encode(rendered).windows[0]
    assert batch.input_ids[0].tolist() == first.ids
    assert batch.token_type_ids[0].tolist() == first.type_ids
    assert sum(first.type_ids) == READING.context_tokens + 1  # and the mark of its end


def test_lengths_are_those_of_the_post_with_its_author(batcher: Encoder) -> None:
    post = labelled("a", "track my parcel", platform="x", author={"followers": 5})
    (example,) = make_examples([post], BUILT_IN)
    (length,) = batcher.lengths([example.full])
    assert length == batcher.batch([example.full], [(0, 0)]).input_ids.shape[1]
    assert length > batcher.batch([example.anonymous], [(0, 0)]).input_ids.shape[1]
