"""Where the heads start: as a linear probe of the pretrained encoder has them, in place of drawn at random.

Drawn heads pull the encoder about before they know anything. Where texts are few, that costs what it was pretrained
for ("linear probing, then fine-tuning", Kumar et al. 2022, arXiv 2202.10054).
"""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from data.progress import Watch, unwatched
from training.development import Vectors, pool_pairs
from training.examples import UNLABELLED, Encoder, Example
from training.network import Network

_C = 10.0
"""Of the logistic regression, on vectors of length one on average. Of 1 to 300 the best on five folds of 770 texts."""


def _set_head(head: nn.Linear, rows: Vectors, labels: Sequence[int]) -> None:
    """Nothing; `head` says of vectors like `rows` `[n, d]` what their labels, two or more, teach it.

    A class that no label names starts with the rarest one's bias and no weights.
    """
    length = float(np.linalg.norm(rows, axis=1).mean())
    regression = LogisticRegression(C=_C, max_iter=1_000).fit(rows / length, labels)
    weights, biases = regression.coef_ / length, regression.intercept_
    if len(regression.classes_) == 2:  # scikit-learn says one row for two classes
        weights, biases = (np.concatenate([-each, each]) / 2 for each in (weights, biases))
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(float(biases.min()))
        head.weight[regression.classes_] = torch.tensor(weights, dtype=head.weight.dtype)
        head.bias[regression.classes_] = torch.tensor(biases, dtype=head.bias.dtype)


def start_heads(
    network: Network, encoder: Encoder, examples: Sequence[Example], *, routed: bool, watch: Watch = unwatched
) -> None:
    """Nothing; the heads of `network` start from the labels of `examples`, its encoder left as it is.

    The route head is set where routes are learnt (`routed`), else left as it was drawn. So is a head for which
    `examples` have one label alone.
    """
    labelled = [each for each in examples if each.intent != UNLABELLED]
    rows = pool_pairs(network, encoder, [each.full for each in labelled], watch=watch)
    of_heads = [(network.intent, [each.intent for each in labelled])]
    if routed:
        of_heads.append((network.route, [each.route for each in labelled]))
    for head, labels in of_heads:
        if len(set(labels)) > 1:
            _set_head(head, rows, labels)
