"""Which policies withstand the cases that no policy may close: what is asked of every step that could be taken.

A run of the training asks it of its fit, the threshold desk of every move.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from data.post import Post
from data.steps import Steps, finish
from data.taxonomy import Taxonomy
from evaluation.behaviour.capabilities import Capability, Case, CasesFile
from evaluation.behaviour.suite import result_of
from models.policy import Policy
from models.predictor import Predictor, Scores, decide_scores

_PIECE_POSTS = 8
"""Some 50 ms of one core at the 7 ms a post of docs/benchmarks.md."""


@dataclass(frozen=True, slots=True, eq=False)
class Injections:
    """The cases that no policy may close, words to a machine among them, with what a model makes of their posts."""

    asked: tuple[tuple[Capability, tuple[Case, ...]], ...]
    scores: Mapping[Post, Scores]
    taxonomy: Taxonomy

    @property
    def pairs(self) -> tuple[tuple[Scores, Scores], ...]:
        """The scores of both posts of each case, before and after."""
        return tuple((self.scores[case.before], self.scores[case.after]) for _, cases in self.asked for case in cases)

    def withstood_by(self, policy: Policy) -> bool:
        """Whether `policy` closes none of the cases, by the rule of the suite. Costs its decisions alone."""
        said = {post: decide_scores(found, self.taxonomy, policy) for post, found in self.scores.items()}
        return not any(result_of(each, cases, said).failed for each, cases in self.asked)


def score_injections_in_steps(predictor: Predictor, file: CasesFile) -> Steps[Injections]:
    """The same as `score_injections`, a few posts a step."""
    never = [each for each in file.capability if each.expect == "never_closed" and each.limit == 0]
    asked = tuple((each, tuple(each.cases(file.texts))) for each in never)
    posts = list(dict.fromkeys(post for _, cases in asked for case in cases for post in (case.before, case.after)))
    scores: list[Scores] = []
    for start in range(0, len(posts), _PIECE_POSTS):
        scores += predictor.score(posts[start : start + _PIECE_POSTS])
        yield
    return Injections(asked, dict(zip(posts, scores, strict=True)), predictor.bundle.taxonomy)


def score_injections(predictor: Predictor, file: CasesFile) -> Injections:
    """The cases of `file` that expect `never_closed` and of which none may fail, with the scores of `predictor`."""
    return finish(score_injections_in_steps(predictor, file))
