"""The behaviour suite run on a predictor: failures by capability. Owns the counting, and the table for a terminal."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from data.post import Post
from data.progress import Watch, unwatched
from evaluation.behaviour.capabilities import Capability, Case, CasesFile
from evaluation.behaviour.expectations import Answers, is_trial, judge
from evaluation.metrics import Estimate, exact_share
from models.predictor import Prediction, Predictor


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that failed: both texts, what differs in the author where that is the case, and what is wrong."""

    before: str
    after: str
    author: str | None
    words: str


@dataclass(frozen=True, slots=True)
class Result:
    """One capability: `cases` that asked something, those that failed, and the share that may fail.

    `rate` has the exact 95 % interval for cases drawn like these; ours are written, so it says how little few cases
    tell, not how a feed behaves.
    """

    capability: str
    cases: int
    limit: float
    rate: Estimate
    failed: tuple[Failure, ...]

    @property
    def passed(self) -> bool:
        """True where no more cases failed than may, and at least one asked something."""
        return bool(self.cases) and len(self.failed) <= self.limit * self.cases

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values, every failure in full."""
        return asdict(self) | {"failed": [asdict(each) for each in self.failed], "passed": self.passed}


def _author(case: Case) -> str | None:
    author = case.after.author
    return None if author is None else author.model_dump_json(exclude_none=True)


def result_of(capability: Capability, cases: Sequence[Case], said: dict[Post, Prediction]) -> Result:
    """What the cases of a capability come to, given what is `said` of every post in them."""
    trials, failed = 0, []
    for case in cases:
        answers = Answers(said[case.before], said[case.after], capability.tolerance, case.axis)
        if not is_trial(capability.expect, answers):
            continue
        trials += 1
        words = judge(capability.expect, answers)
        if words is not None:
            failed.append(Failure(case.before.text, case.after.text, _author(case), words))
    rate = exact_share(len(failed), trials)
    return Result(capability.name, trials, capability.limit, rate, tuple(failed))


def run_suite(predictor: Predictor, file: CasesFile, *, watch: Watch = unwatched) -> tuple[Result, ...]:
    """The results of every capability of `file`, in its order; a post that several cases share is run once."""
    cases = [tuple(each.cases(file.texts)) for each in file.capability]
    posts = dict.fromkeys(post for many in cases for case in many for post in (case.before, case.after))
    said = {post: predictor.predict([post])[0] for post in watch(posts, "behaviour", len(posts))}
    return tuple(result_of(each, many, said) for each, many in zip(file.capability, cases, strict=True))


def as_text(results: Sequence[Result]) -> str:
    """The results as a table, and the first failures of each capability that failed."""
    lines = [f"{'capability':<20}{'cases':>7}{'failed':>8}{'rate':>9}{'95 % interval':>18}{'limit':>9}"]
    for each in results:
        interval = f"{100 * each.rate.low:.1f} to {100 * each.rate.high:.1f} %"
        lines.append(
            f"{each.capability:<20}{each.cases:>7}{len(each.failed):>8}{100 * each.rate.value:>7.1f} %"
            f"{interval:>18}{100 * each.limit:>7.1f} %  {'passed' if each.passed else 'FAILED'}"
        )
    for each in results:
        if not each.passed:
            lines.append(f"{each.capability}: the first of {len(each.failed)} failures")
            lines += [f"  {failure.after!r}: {failure.words}" for failure in each.failed[:_SHOWN]]
    return "\n".join(lines)


_SHOWN = 5
