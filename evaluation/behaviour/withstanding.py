"""Which policies withstand the cases that no policy may close: what a fit asks of every step that it could take."""

from collections.abc import Callable

from evaluation.behaviour.capabilities import CasesFile
from evaluation.behaviour.expectations import Answers, is_trial, judge
from models.policy import Policy
from models.predictor import Predictor, decide_scores


def withstands(predictor: Predictor, file: CasesFile) -> Callable[[Policy], bool]:
    """Whether a policy over the model of `predictor` closes none of the cases that it never may.

    Those are the cases of the capabilities of `file` that expect `never_closed` and allow no failure: words to a
    machine among them. The posts are scored once, here; a policy costs its decisions alone.
    """
    asked = [each for each in file.capability if each.expect == "never_closed" and each.limit == 0]
    cases = [case for each in asked for case in each.cases(file.texts)]
    posts = list(dict.fromkeys(post for case in cases for post in (case.before, case.after)))
    scores = dict(zip(posts, predictor.score(posts), strict=True))
    taxonomy = predictor.bundle.taxonomy

    def holds(policy: Policy) -> bool:
        said = {post: decide_scores(found, taxonomy, policy) for post, found in scores.items()}
        answers = [Answers(said[case.before], said[case.after], 0.0, case.axis) for case in cases]
        return not any(is_trial("never_closed", each) and judge("never_closed", each) for each in answers)

    return holds
