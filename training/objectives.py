"""What training makes small: the error on the labels, the distance to teachers, and to oneself in another reading.

Every objective is a mean over the posts of a batch of something that depends on one post alone, so that it does not
matter which posts are in a batch together.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from data.taxonomy import ROUTES
from training.examples import UNLABELLED, Batch, Example
from training.recipe import ClassWeights, FinetuneRecipe, TaughtHeads

Objective = Callable[[Tensor, Tensor, Batch], Tensor]
"""The loss of one batch, from route logits `[n, 4]`, intent logits `[n, k]` and the batch itself."""


def route_weights(class_weights: ClassWeights, routes: Sequence[int]) -> Tensor:
    """What an error on a post of each route weighs `[4]`, 1 on average over posts of these `routes` (their places)."""
    posts = np.bincount(np.asarray(routes, dtype=np.int64), minlength=len(ROUTES))
    if class_weights == "none":
        weights = np.ones(len(ROUTES))
    elif class_weights == "balanced":
        weights = 1 / np.maximum(posts, 1)
    else:
        weights = np.array([class_weights.get(route, 1.0) for route in ROUTES])
    weights = weights * posts.sum() / max(float((weights * posts).sum()), np.finfo(np.float64).tiny)
    return torch.tensor(np.where(posts > 0, weights, 1.0), dtype=torch.float32)


def _of_heads(route: Tensor, intent: Tensor, settings: FinetuneRecipe) -> Tensor:
    """What both heads lose, by their weights.

    A route head that weighs nothing gets no gradient at all: one of zero would have AdamW shrink it.
    """
    of_intent = settings.intent_loss_weight * intent
    return settings.route_loss_weight * route + of_intent if settings.trains_routes else of_intent


def label_loss(settings: FinetuneRecipe, examples: Sequence[Example]) -> Objective:
    """The objective of fine-tuning: cross-entropy of the true route, and with its weight that of the true intent.

    Class weights `w` make a network believe in `w * p` instead of `p` (Elkan 2001, "The Foundations of Cost-Sensitive
    Learning"). So the logits get `log w` before the loss and nowhere else (Menon et al. 2021, arXiv 2007.07314): what
    they learn without it is `p`, and all that reads them, early stopping, calibration and export, needs no
    correction (docs/decisions/0027).
    """
    labelled = [each.route for each in examples if each.route != UNLABELLED]
    weights = route_weights(settings.class_weights, labelled)
    believed = weights.log()

    def loss(route: Tensor, intent: Tensor, batch: Batch) -> Tensor:
        errors = nn.functional.cross_entropy(route + believed, batch.routes, reduction="none")
        of_intent = intent_errors(intent, batch)
        weight = weights[batch.routes.clamp(min=0)]  # where there is no label there is no error to weigh
        return _of_heads((weight * errors).mean(), of_intent.mean(), settings)

    return loss


def intent_errors(intent: Tensor, batch: Batch) -> Tensor:
    """The cross-entropy `[n]` of the true intents; 0 where nobody labelled it."""
    return nn.functional.cross_entropy(intent, batch.intents, reduction="none")


def soft_loss(ours: Tensor, theirs: Tensor, temperature: float) -> Tensor:
    """The divergence of the teacher's logits `[n, k]` from ours, both softened, in nats a post.

    Times the temperature squared, so that its gradient weighs the same at any temperature (Hinton et al. 2015, arXiv
    1503.02531, section 2).
    """
    said, wanted = (nn.functional.log_softmax(logits / temperature, dim=1) for logits in (ours, theirs))
    return nn.functional.kl_div(said, wanted, reduction="batchmean", log_target=True) * temperature**2


def mean_logits(logits: Sequence[Tensor], temperature: float) -> Tensor:
    """Logits `[n, k]` whose softened probabilities are the mean of those of all `logits`, each `[n, k]`."""
    softened = torch.stack([nn.functional.log_softmax(each / temperature, dim=1) for each in logits])
    return temperature * (softened.logsumexp(0) - math.log(len(logits)))


def distillation_loss(
    of_labels: Objective,
    *,
    settings: FinetuneRecipe,
    temperature: float,
    label_share: float,
    heads: TaughtHeads = "both",
) -> Objective:
    """The objective of a pupil: what teachers say of the same batch (`Batch.said`) and the labels, `of_labels`."""

    def loss(route: Tensor, intent: Tensor, batch: Batch) -> Tensor:
        if batch.said is None:
            raise ValueError("A pupil got a batch of which no teacher said anything; wanted Batch.said.")
        of_route = soft_loss(route, batch.said.route, temperature)
        of_intent = (
            soft_loss(intent, batch.said.intent, temperature)
            if heads == "both"
            else intent_errors(intent, batch).mean()
        )
        said = _of_heads(of_route, of_intent, settings)
        return (1 - label_share) * said + label_share * of_labels(route, intent, batch)

    return loss


def disagreement(logits: Tensor) -> Tensor:
    """How far the two readings of each post, one after the other in `[2n, k]`, are from each other, in nats a post.

    The mean of both divergences (R-Drop: Wu et al. 2021, arXiv 2106.14448, equation 2).
    """
    said = nn.functional.log_softmax(logits, dim=1)
    one, other = said[0::2], said[1::2]
    there = nn.functional.kl_div(one, other, reduction="batchmean", log_target=True)
    return (there + nn.functional.kl_div(other, one, reduction="batchmean", log_target=True)) / 2


def r_drop_loss(of_once: Objective, settings: FinetuneRecipe) -> Objective:
    """`of_once` over both readings of every post, and with the weight of the recipe how far they disagree."""

    def loss(route: Tensor, intent: Tensor, batch: Batch) -> Tensor:
        apart = _of_heads(disagreement(route), disagreement(intent), settings)
        return of_once(route, intent, batch) + settings.r_drop * apart

    return loss
