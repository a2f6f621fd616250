"""What a model that never saw a post, nor a copy of it, thinks of its label: out-of-fold probabilities.

TF-IDF and logistic regression, cross-fitted over folds that keep groups of posts together (`data.grouping`), so that a
copy or a near copy in the training part cannot vouch for a wrong label.
"""

import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data.dependencies import needs_group
from data.progress import Watch, unwatched

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
FOLDS = 5
_SEED = 1
_MIN_POSTS_PER_TERM = 2
_INVERSE_REGULARISATION = 10.0
"""LogisticRegression's C. On Banking77 with 3 % of the labels flipped 5, 10 and 20 found the same, 1 less."""
_TOLERANCE, _MAX_ITERATIONS = 1e-2, 100
"""SAGA is there after 15 rounds and ranks as L-BFGS at 1e-4 does, in a twenty-fifth of the time (77 intents,
10,003 posts: 3.4 s against 88 s)."""


def deal(labels: Sequence[int], groups: Sequence[int], folds: int = FOLDS) -> IntArray:
    """The fold of each post, `[n]`: groups stay whole, and each label's groups go round the folds, largest first.

    A label that stands in two groups or more stands in two folds or more, so that every training part knows it.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        members[group].append(place)
    fold_of = np.zeros(len(labels), dtype=np.int64)
    turn: Counter[int] = Counter()
    for group in sorted(members, key=lambda group: (-len(members[group]), group)):
        places = members[group]
        (label, _), *_ = Counter(labels[place] for place in places).most_common(1)
        fold_of[places] = turn[label] % folds
        turn[label] += 1
    return fold_of


def out_of_fold(
    texts: Sequence[str], labels: IntArray, groups: Sequence[int], *, folds: int = FOLDS, watch: Watch = unwatched
) -> FloatArray:
    """The probabilities of each label for each text, `[n, c]`, by models that saw nothing of the text's group.

    `labels` `[n]` count from 0 to c - 1. Where a fold's training part lacks a label, its probability is 0 there.

    Raises:
        MissingGroupError: when scikit-learn is not installed.
    """
    with needs_group("evaluate", "Auditing labels"):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
    # Terms and their frequencies know nothing of labels, so one vocabulary for all folds leaks none.
    matrix = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=_MIN_POSTS_PER_TERM).fit_transform(texts)
    fold_of = deal(labels.tolist(), groups, folds)
    found = np.zeros((len(texts), int(labels.max()) + 1))
    for fold in watch(range(folds), "cross-fitting", folds):
        here = np.flatnonzero(fold_of == fold)
        known = np.flatnonzero(fold_of != fold)
        if not len(here) or not len(known):
            continue
        classes = np.unique(labels[known])
        if len(classes) == 1:
            found[np.ix_(here, classes)] = 1.0
            continue
        model = LogisticRegression(
            C=_INVERSE_REGULARISATION, solver="saga", tol=_TOLERANCE, max_iter=_MAX_ITERATIONS, random_state=_SEED
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # nearly fitted ranks as well
            model.fit(matrix[known], labels[known])
        found[np.ix_(here, classes)] = model.predict_proba(matrix[here])
    return found
