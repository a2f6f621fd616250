"""What training makes small: the error on the labels, the distance to teachers, and to oneself under other dropout.

Every objective is a mean over the posts of a batch of something that depends on one post alone, so that it does not
matter which posts are in a batch together.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from data.taxonomy import ROUTES
from training.examples import Batch, Example
from training.network import Network
from training.recipe import ClassWeights, FinetuneRecipe

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
    weights = route_weights(settings.class_weights, [each.route for each in examples])
    believed = weights.log()

    def loss(route: Tensor, intent: Tensor, batch: Batch) -> Tensor:
        errors = nn.functional.cross_entropy(route + believed, batch.routes, reduction="none")
        of_intent = nn.functional.cross_entropy(intent, batch.intents)
        return _of_heads((weights[batch.routes] * errors).mean(), of_intent, settings)

    return loss


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
    teachers: Sequence[Network],
    of_labels: Objective,
    *,
    settings: FinetuneRecipe,
    temperature: float,
    label_share: float,
) -> Objective:
    """The objective of a student: what the teachers say of the same batch, on average, and the labels, `of_labels`."""

    @torch.no_grad()
    def ask_teachers(batch: Batch) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bf16):
            said = [teacher(batch.input_ids, batch.attention_mask, batch.token_type_ids) for teacher in teachers]
        routes, intents = zip(*said, strict=True)
        return (
            mean_logits([each.float() for each in routes], temperature),
            mean_logits([each.float() for each in intents], temperature),
        )

    def loss(route: Tensor, intent: Tensor, batch: Batch) -> Tensor:
        their_route, their_intent = ask_teachers(batch)
        of_route, of_intent = soft_loss(route, their_route, temperature), soft_loss(intent, their_intent, temperature)
        said = _of_heads(of_route, of_intent, settings)
        return (1 - label_share) * said + label_share * of_labels(route, intent, batch)

    return loss


def twice(batch: Batch) -> Batch:
    """The batch with every post in it twice, `[2n, t]`: first all of them, then all of them again."""
    return Batch(
        input_ids=batch.input_ids.repeat(2, 1),
        attention_mask=batch.attention_mask.repeat(2, 1),
        token_type_ids=batch.token_type_ids.repeat(2, 1),
        routes=batch.routes.repeat(2),
        intents=batch.intents.repeat(2),
        share=batch.share,
    )


def disagreement(logits: Tensor) -> Tensor:
    """How far the two readings in `twice` a batch, `[2n, k]`, are from each other, in nats a post.

    The mean of both divergences (R-Drop: Wu et al. 2021, arXiv 2106.14448, equation 2).
    """
    one, other = nn.functional.log_softmax(logits, dim=1).chunk(2)
    there = nn.functional.kl_div(one, other, reduction="batchmean", log_target=True)
    return (there + nn.functional.kl_div(other, one, reduction="batchmean", log_target=True)) / 2


def r_drop_loss(of_once: Objective, settings: FinetuneRecipe) -> Objective:
    """`of_once` over both readings of `twice` a batch, and with the weight of the recipe how far they disagree."""

    def loss(route: Tensor, intent: Tensor, batch: Batch) -> Tensor:
        apart = _of_heads(disagreement(route), disagreement(intent), settings)
        return of_once(route, intent, batch) + settings.r_drop * apart

    return loss
