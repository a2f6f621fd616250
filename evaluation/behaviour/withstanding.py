"""Which policies withstand the cases that no policy may close: what a fit asks of every step that it could take."""

from collections.abc import Callable

from evaluation.behaviour.capabilities import CasesFile
from evaluation.behaviour.suite import result_of
from models.policy import Policy
from models.predictor import Predictor, decide_scores


def withstands(predictor: Predictor, file: CasesFile) -> Callable[[Policy], bool]:
    """Whether a policy over the model of `predictor` closes none of the cases that it never may.

    Those are the cases of the capabilities of `file` that expect `never_closed` and allow no failure: words to a
    machine among them. The posts are scored once, here; a policy costs its decisions alone.
    """
    never = [each for each in file.capability if each.expect == "never_closed" and each.limit == 0]
    asked = [(each, tuple(each.cases(file.texts))) for each in never]
    posts = list(dict.fromkeys(post for _, cases in asked for case in cases for post in (case.before, case.after)))
    scores = dict(zip(posts, predictor.score(posts), strict=True))
    taxonomy = predictor.bundle.taxonomy

    def holds(policy: Policy) -> bool:
        said = {post: decide_scores(found, taxonomy, policy) for post, found in scores.items()}
        return not any(result_of(each, cases, said).failed for each, cases in asked)

    return holds
