"""Which labels are likely wrong, the likeliest first. Owns the order of the review list.

Confident learning (Northcutt, Jiang, Chuang: "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021)
as the library cleanlab has it, on out-of-fold probabilities. It says what to look at; only people correct a label.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.audit.folds import FloatArray, IntArray, out_of_fold
from data.dependencies import needs_group
from data.post import LabelledPost
from data.progress import Watch, unwatched
from data.rejects import SourceError
from data.rendering import Rendered
from data.suggestions import Suggestion

Kind = Literal["route", "intent"]
KINDS: tuple[Kind, ...] = ("route", "intent")


@dataclass(frozen=True, slots=True)
class Suspect:
    """One label that is worth a second look."""

    place: int
    """Of the post in the list."""
    kind: Kind
    given: str
    suggested: str
    score: float
    """How well the label fits: the out-of-fold probability of the label given, 0 (surely wrong) to 1.

    Measured on Banking77 with 3 % flipped: better than the normalised margin or the weighted entropy
    (docs/retraining.md)."""
    likely_wrong: bool
    """Whether confident learning counts it among the wrong ones."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the audit of one kind of label found: every judged post's suspicion, the worst first."""

    kind: Kind
    suspects: tuple[Suspect, ...]
    not_judged: Mapping[str, int]
    """Labels that stand in one group alone, with their posts: no other post could speak for or against them."""

    @property
    def likely_wrong(self) -> int:
        """How many labels confident learning takes for wrong."""
        return sum(each.likely_wrong for each in self.suspects)

    def worst(self, most: int | None = None) -> tuple[Suspect, ...]:
        """The first `most` of the list; without it as many as are likely wrong, and those that are.

        Confident learning tells better how many labels are wrong than which: the score alone finds more of them.
        """
        if most is not None:
            return self.suspects[:most]
        wanted = self.likely_wrong
        return tuple(each for rank, each in enumerate(self.suspects) if rank < wanted or each.likely_wrong)


def label_of(post: LabelledPost, kind: Kind) -> str:
    """The label of that kind."""
    return post.route if kind == "route" else post.intent


def _groups_of_labels(labels: Sequence[str], groups: Sequence[int]) -> dict[str, int]:
    found: dict[str, set[int]] = defaultdict(set)
    for label, group in zip(labels, groups, strict=True):
        found[label].add(group)
    return {label: len(numbers) for label, numbers in found.items()}


def _said(suggestions: Mapping[str, Suggestion], post: LabelledPost, kind: Kind, names: Sequence[str]) -> list[float]:
    said = suggestions.get(post.id)
    probabilities = getattr(said, kind).probabilities if said else None
    lacking = "the post" if said is None else next((name for name in names if name not in (probabilities or {})), None)
    if probabilities is None or lacking:
        raise SourceError(
            f"The probabilities cannot be used: they lack {lacking or 'all labels'} for the {kind} of {post.id}. "
            "Wanted `probabilities` of every label that stands in the file, for every post. "
            "Write them with `python -m evaluation predict`, by a model that was not trained on these posts."
        )
    return [float(probabilities[name]) for name in names]


def _normal(probabilities: FloatArray) -> FloatArray:
    """Rows that sum to 1, also where labels were left out or a file rounded."""
    raised = np.maximum(probabilities, 1e-9)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _judge(
    labels: IntArray, probabilities: FloatArray
) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """The score of each label `[n]`, and whether confident learning takes it for wrong `[n]`."""
    with needs_group("audit", "Auditing labels"):
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    scores = np.asarray(get_label_quality_scores(labels, probabilities, method="self_confidence"))
    wrong = np.asarray(find_label_issues(labels, probabilities, filter_by="prune_by_noise_rate", n_jobs=1))
    return scores, wrong


def audit(
    posts: Sequence[LabelledPost],
    rendered: Sequence[Rendered],
    groups: Sequence[int],
    kind: Kind,
    *,
    suggestions: Mapping[str, Suggestion] | None = None,
    watch: Watch = unwatched,
) -> Verdicts:
    """What is likely wrong among the labels of one kind; `groups` `[n]` numbers the posts that belong together.

    `suggestions`, where given, are another model's probabilities, and must be of a model that was not trained on
    these posts; else TF-IDF and logistic regression are cross-fitted.

    Raises:
        SourceError: when the suggestions lack a post or a label.
        MissingGroupError: when cleanlab or scikit-learn is not installed.
    """
    given = [label_of(post, kind) for post in posts]
    counted = _groups_of_labels(given, groups)
    judged = [place for place, label in enumerate(given) if counted[label] > 1]
    names = sorted({given[place] for place in judged})
    not_judged = dict(Counter(label for label in given if counted[label] == 1))
    if len(names) < 2:
        return Verdicts(kind, (), not_judged)
    labels = np.array([names.index(given[place]) for place in judged], dtype=np.int64)
    if suggestions is None:
        texts = [f"{rendered[place].text} | {rendered[place].context}" for place in judged]
        probabilities = out_of_fold(texts, labels, [groups[place] for place in judged], watch=watch)
    else:
        probabilities = np.array([_said(suggestions, posts[place], kind, names) for place in judged])
    probabilities = _normal(probabilities)
    scores, wrong = _judge(labels, probabilities)
    best = probabilities.copy()
    best[np.arange(len(labels)), labels] = -1.0
    suspects = [
        Suspect(place, kind, given[place], names[other], float(score), bool(flag))
        for place, other, score, flag in zip(judged, best.argmax(axis=1), scores, wrong, strict=True)
    ]
    return Verdicts(kind, tuple(sorted(suspects, key=lambda each: (each.score, each.place))), not_judged)
