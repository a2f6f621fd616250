"""What a training may hold: few kernels from one step to the next, and a long batch in pieces."""

import json
import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.__main__ import main
from training.examples import Batch, split_batch

CACHES = ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")


def batch_of(posts: int, tokens: int, share: float = 1.0) -> Batch:
    ids = torch.arange(posts * tokens).reshape(posts, tokens)
    labels = torch.arange(posts)
    return Batch(ids, ids + 1, ids + 2, routes=labels, intents=labels + 1, share=share)


@given(
    posts=st.integers(1, 20),
    tokens=st.integers(1, 40),
    most=st.integers(1, 300),
    readings=st.sampled_from([1, 2]),
    share=st.floats(0.01, 1.0),
)
def test_the_pieces_of_a_batch_are_its_posts_in_order_with_all_their_readings_and_share_what_it_had(
    posts: int, tokens: int, most: int, readings: int, share: float
) -> None:
    rows = readings * posts
    whole = batch_of(rows, tokens, share)
    pieces = split_batch(whole, most, readings)
    for name in ("input_ids", "attention_mask", "token_type_ids", "routes", "intents"):
        assert torch.equal(torch.cat([getattr(each, name) for each in pieces]), getattr(whole, name))
    assert all(len(each.routes) % readings == 0 and int(each.routes[0]) % readings == 0 for each in pieces)
    assert all(each.input_ids.numel() <= readings * most or len(each.routes) == readings for each in pieces)
    assert sum(each.share for each in pieces) == pytest.approx(share)
    assert all(each.share == pytest.approx(share * len(each.routes) / rows) for each in pieces)


def test_a_command_keeps_few_kernels_unless_somebody_set_how_many(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(CACHES[0], raising=False)
    monkeypatch.setenv(CACHES[1], "500")
    assert main(["figures"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [os.environ[name] for name in CACHES] == ["64", "500"]
