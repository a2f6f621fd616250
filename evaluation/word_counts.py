"""The yardstick beside every model of ours: TF-IDF of words and pieces of words, and a linear SVC."""

from data.dependencies import needs_group

with needs_group("evaluate", "Counting words"):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
    from sklearn.svm import LinearSVC

_MIN_POSTS_PER_TERM = 2
_REGULARISATION = 0.3
"""LinearSVC's C, set once and never searched: a yardstick, not a rival."""


def word_counts() -> FeatureUnion:
    """What makes vectors of texts, not yet fitted, in the manner of scikit-learn; both halves have length 1."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=_MIN_POSTS_PER_TERM)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=_MIN_POSTS_PER_TERM)
    return make_union(words, characters)


def word_count_classifier(seed: int) -> Pipeline:
    """An untrained classifier of texts, in the manner of scikit-learn."""
    return make_pipeline(word_counts(), LinearSVC(C=_REGULARISATION, random_state=seed))
