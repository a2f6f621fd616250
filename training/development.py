"""What a network in training makes of the development part: the figures that stop it and choose its weights."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data.progress import Watch, unwatched
from data.rendering import Rendered
from data.taxonomy import ROUTES
from evaluation.metrics import accuracy, macro_f1
from training.examples import Encoder, Example
from training.network import Network

_POSTS_AT_A_TIME = 64
Logits = np.ndarray[Any, np.dtype[np.float32]]
Vectors = Logits


@torch.no_grad()
def _ask(
    ask: Callable[[Tensor, Tensor, Tensor], Sequence[Tensor]],
    encoder: Encoder,
    pairs: Sequence[Rendered],
    watch: Watch,
) -> list[Logits]:
    """Each of the answers of `ask`, in the order of the pairs, one or more."""
    lengths = encoder.lengths(pairs)
    order = sorted(range(len(pairs)), key=lambda place: lengths[place])
    said = []
    starts = range(0, len(order), _POSTS_AT_A_TIME)
    for start in watch(starts, "reading", len(starts)):
        places = order[start : start + _POSTS_AT_A_TIME]
        batch = encoder.batch([pairs[place] for place in places], [(0, 0)] * len(places))
        said.append(ask(batch.input_ids, batch.attention_mask, batch.token_type_ids))
    back = np.argsort(order)
    return [torch.cat(answers).float().numpy()[back] for answers in zip(*said, strict=True)]


def predict_logits(
    network: nn.Module, encoder: Encoder, pairs: Sequence[Rendered], *, watch: Watch = unwatched
) -> tuple[Logits, Logits]:
    """The route logits `[n, 4]` and the intent logits `[n, k]` of the rendered pairs, one or more."""
    routes, intents = _ask(network.eval(), encoder, pairs, watch)
    return routes, intents


def pool_pairs(network: Network, encoder: Encoder, pairs: Sequence[Rendered], *, watch: Watch = unwatched) -> Vectors:
    """The vectors `[n, d]` that the heads of `network` would read of the pairs, one or more, without dropout."""
    network.eval()
    (rows,) = _ask(lambda *inputs: (network.pool(*inputs),), encoder, pairs, watch)
    return rows


def figures_of(
    examples: Sequence[Example], route_logits: Logits, intent_logits: Logits, *, routed: bool
) -> dict[str, float]:
    """Macro-F1 and accuracy of the routes, or of the intents where nothing is `routed`; accuracy of the intents.

    The logits `[n, 4]` and `[n, k]` are of the n examples as they are.
    """
    intents = np.array([each.intent for each in examples], dtype=np.int64), intent_logits.argmax(1)
    routes = np.array([each.route for each in examples], dtype=np.int64), route_logits.argmax(1)
    true, said = routes if routed else intents
    names = ROUTES if routed else [str(place) for place in range(intent_logits.shape[1])]
    return {
        "macro_f1": macro_f1(true, said, names),
        "accuracy": accuracy(true, said),
        "intent_accuracy": accuracy(*intents),
    }


def measure(network: nn.Module, encoder: Encoder, examples: Sequence[Example], *, routed: bool) -> dict[str, float]:
    """`figures_of` what the network says; not a number without examples: an intent task may hold nothing out."""
    if not examples:
        return dict.fromkeys(("macro_f1", "accuracy", "intent_accuracy"), math.nan)
    said = predict_logits(network, encoder, [each.full for each in examples])
    return figures_of(examples, *said, routed=routed)
