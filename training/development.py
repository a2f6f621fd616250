"""What a network in training makes of the development part: the figures that stop it and choose its weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from data.taxonomy import ROUTES
from evaluation.metrics import accuracy, macro_f1
from training.examples import Encoder, Example

_POSTS_AT_A_TIME = 64


@torch.no_grad()
def predict_labels(
    network: nn.Module, encoder: Encoder, examples: Sequence[Example]
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
    """The most likely route and intent of each example, `[n]` and `[n]`."""
    network.eval()
    lengths = encoder.lengths(examples)
    routes, intents = np.zeros(len(examples), dtype=np.int64), np.zeros(len(examples), dtype=np.int64)
    order = sorted(range(len(examples)), key=lambda place: lengths[place])
    for start in range(0, len(order), _POSTS_AT_A_TIME):
        places = order[start : start + _POSTS_AT_A_TIME]
        batch = encoder.batch([examples[place].full for place in places], [(0, 0)] * len(places))
        route, intent = network(batch.input_ids, batch.attention_mask, batch.token_type_ids)
        routes[places] = route.argmax(1).numpy()
        intents[places] = intent.argmax(1).numpy()
    return routes, intents


def measure(network: nn.Module, encoder: Encoder, examples: Sequence[Example]) -> dict[str, float]:
    """Macro-F1 and accuracy of the routes and accuracy of the intents over `examples`."""
    routes, intents = predict_labels(network, encoder, examples)
    true_routes = np.array([each.route for each in examples], dtype=np.int64)
    true_intents = np.array([each.intent for each in examples], dtype=np.int64)
    return {
        "macro_f1": macro_f1(true_routes, routes, ROUTES),
        "accuracy": accuracy(true_routes, routes),
        "intent_accuracy": accuracy(true_intents, intents),
    }
