"""What `python -m evaluation` does: score, report, certify and try the behaviour of a bundle. Prints nothing itself."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data.fingerprint import fingerprint
from data.post import LabelledPost
from data.progress import Say, progress_bar
from data.sources import read_labelled, read_posts
from data.splits import PARTS, load_splits
from data.taxonomy import Taxonomy
from evaluation.behaviour.capabilities import read_cases
from evaluation.behaviour.suite import as_text as behaviour_text
from evaluation.behaviour.suite import run_suite
from evaluation.certificates import all_certified, certify, explain
from evaluation.predictions import Predictions, predict_posts
from evaluation.report.page import Origin, write_report
from evaluation.suggestions import suggest, write_suggestions
from evaluation.summary import summarise
from evaluation.tables import as_text
from evaluation.thresholds import fit_policy
from models.bundle import Bundle, load_bundle
from models.policy import Policy, PolicyError, RiskBudget
from models.predictor import Predictor

CORPUS = Path("data/corpus")
ALL = "all"
UNSEEN_PART = "calibration"
"""The one part that takes no part in making a model; thresholds are proven on it."""
Load = Callable[[Path, Policy | None], Predictor]
"""The predictor of a bundle directory; the policy, where given, replaces the bundle's own."""


class UsageError(ValueError):
    """Arguments that cannot be done as asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The JSON object that a command ends with, and whether its gate was passed."""

    content: dict[str, Any]
    passed: bool = True


def load_predictor(bundle: Path, policy: Policy | None) -> Predictor:
    """The predictor of a verified bundle.

    Raises:
        BundleError: when the bundle cannot be trusted.
        UsageError: when the policy names intents that the bundle does not know.
    """
    try:
        return Predictor.load(load_bundle(bundle), policy=policy)
    except PolicyError as error:
        raise UsageError(str(error)) from None


def read_policy(path: Path) -> Policy:
    """The policy in a JSON file.

    Raises:
        UsageError: when it cannot be read or is not a policy.
    """
    try:
        return Policy.model_validate_json(path.read_bytes())
    except OSError as error:
        got = error.strerror or "nothing"
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        got = f"{'.'.join(map(str, first['loc'])) or 'the whole file'}: {first['msg']}"
    raise UsageError(
        f"The policy {path} cannot be used: {got}. Wanted the JSON of a policy. Start from policy.json of a bundle."
    )


def part_of(arguments: Namespace) -> str:
    """The part of the posts that is asked for: of our corpus what proves the thresholds, of any other file all."""
    is_corpus = arguments.file.resolve() == CORPUS.resolve()
    return str(arguments.part or (UNSEEN_PART if is_corpus else ALL))


@dataclass(frozen=True, slots=True)
class ReadPart:
    """Posts of one part of a file, those in the languages asked for; `fingerprint` is that of the whole part."""

    name: str
    posts: tuple[LabelledPost, ...]
    fingerprint: str

    def why_seen(self, *bundles: Bundle) -> str | None:
        """Why figures of the bundles on these posts would be too good, `None` where nothing says so."""
        if self.name not in (ALL, UNSEEN_PART):
            return f"the part {self.name!r} takes part in making a model; wanted {UNSEEN_PART!r}, or posts of their own"
        made = [each.manifest for each in bundles if each.manifest.data_fingerprint == self.fingerprint]
        if self.name == ALL and made:
            versions = " and ".join(each.model_version for each in made)
            return f"these are the posts that {versions} was made from; wanted others, or --part {UNSEEN_PART}"
        return None


def read_part(arguments: Namespace, part: str, taxonomy: Taxonomy, say: Say) -> ReadPart:
    """The posts of one part of the file, labelled by the taxonomy of the bundle, in the languages asked for.

    Raises:
        SourceError: when the file cannot be read or holds rows that are no such posts.
        SplitsError: when the splits are not those of the file.
        UsageError: when no post is left.
    """
    reading = read_labelled(arguments.file, taxonomy=taxonomy, watch=progress_bar)
    if reading.ignored_fields:
        say(f"Ignored fields that are not of a post: {', '.join(reading.ignored_fields)}.")
    posts = list(reading.posts)
    if part != ALL:
        posts = load_splits(arguments.splits, posts).part(next(name for name in PARTS if name == part))
    kept = tuple(post for post in posts if not arguments.lang or post.lang in arguments.lang)
    if not kept:
        spoken = ", ".join(sorted({post.lang for post in posts})) or "none"
        raise UsageError(
            f"Nothing to evaluate: none of the {len(posts)} posts of {arguments.file}, part {part}, is in "
            f"{', '.join(arguments.lang) or 'any language'}. Their languages: {spoken}. Choose of these with --lang."
        )
    return ReadPart(part, kept, fingerprint(posts))


def _read(arguments: Namespace, load: Load, say: Say) -> tuple[Predictor, ReadPart]:
    policy = read_policy(arguments.policy) if arguments.policy else None
    predictor = load(arguments.bundle, policy)
    return predictor, read_part(arguments, part_of(arguments), predictor.bundle.taxonomy, say)


def _predict(arguments: Namespace, load: Load, say: Say) -> tuple[Predictor, Predictions]:
    predictor, read = _read(arguments, load, say)
    return predictor, predict_posts(predictor, read.posts)


def _origin(arguments: Namespace, predictor: Predictor) -> Origin:
    part, manifest = part_of(arguments), predictor.bundle.manifest
    return Origin(
        model_version=manifest.model_version,
        precision=manifest.precision,
        file=str(arguments.file),
        part=None if part == ALL else part,
        languages=tuple(arguments.lang),
        created_at=datetime.now(UTC),
    )


def score(arguments: Namespace, load: Load, say: Say) -> Answer:
    """All figures of a bundle on labelled posts: a table for people, the whole summary as JSON."""
    predictor, predictions = _predict(arguments, load, say)
    origin, summary = _origin(arguments, predictor), summarise(predictions, predictor.policy)
    say(f"{origin.model_version} on {origin.file}{f', part {origin.part}' if origin.part else ''}\n{as_text(summary)}")
    return Answer({"origin": origin.as_json(predictions), "summary": summary})


def report(arguments: Namespace, load: Load, say: Say) -> Answer:
    """The confusion report written to a directory, and the names of its files."""
    predictor, predictions = _predict(arguments, load, say)
    files = write_report(arguments.out, _origin(arguments, predictor), predictions, predictor.policy)
    say(f"The report: {files.html}\nAll figures: {files.json}\nThe errors: {files.errors}")
    return Answer({"html": str(files.html), "json": str(files.json), "errors": str(files.errors)})


def predict(arguments: Namespace, load: Load, say: Say) -> Answer:
    """What the bundle says of posts, labelled or not, written as the file that labelling and auditing read."""
    posts = read_posts(arguments.file, watch=progress_bar).posts
    without = sum(post.id is None for post in posts)
    if without:
        raise UsageError(
            f"Nothing was predicted: {without} of the {len(posts)} posts of {arguments.file} have no id, by which a "
            "suggestion finds its post. Wanted one for each. Import the file first: python -m data import"
        )
    policy = read_policy(arguments.policy) if arguments.policy else None
    predictor = load(arguments.bundle, policy)
    written = write_suggestions(arguments.out, suggest(predictor, posts))
    say(f"What {predictor.bundle.manifest.model_version} says of {written:,} posts: {arguments.out}")
    return Answer({"out": str(arguments.out), "posts": written, "model": predictor.bundle.manifest.model_version})


def _budget(arguments: Namespace, policy: Policy) -> RiskBudget:
    stated = {name: getattr(arguments, name) for name in RiskBudget.model_fields}
    try:
        return RiskBudget.model_validate(
            policy.budget.model_dump() | {name: value for name, value in stated.items() if value is not None}
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(
            f"The budget cannot be proven: {first['loc'][0]} is {first['input']}; wanted: {first['msg']}. "
            "Give shares between 0 and 1, and a confidence between 0.5 and 1."
        ) from None


def _fit(arguments: Namespace, predictor: Predictor, calibration: Predictions, base: Policy, say: Say) -> Policy:
    development = predict_posts(predictor, read_part(arguments, "development", predictor.bundle.taxonomy, say).posts)
    fitted = fit_policy(development, calibration, base.model_copy(update={"version": arguments.version}))
    say(f"Tested {len(fitted.steps)} of {len(fitted.path)} steps from safe to bold.")
    arguments.fit.write_text(fitted.policy.model_dump_json(indent=2) + "\n", encoding="utf-8")
    say(f"The policy: {arguments.fit}")
    return fitted.policy


def _check_fit(arguments: Namespace) -> None:
    if arguments.fit and (part_of(arguments) != UNSEEN_PART or not arguments.version):
        raise UsageError(
            f"No policy was fitted: the part is {part_of(arguments)!r}, its version {arguments.version!r}. Wanted part "
            "'calibration' of a file with splits, and a new version. Give --part calibration --splits FILE --version V."
        )


def certify_bundle(arguments: Namespace, load: Load, say: Say) -> Answer:
    """What the posts prove of the policy within a risk budget; with `fit`, of new thresholds for that budget.

    Raises:
        BundleError, SourceError, SplitsError, UsageError: when something cannot be used, posts that the model has seen
            among it.
    """
    _check_fit(arguments)
    predictor, read = _read(arguments, load, say)
    seen = read.why_seen(predictor.bundle)
    if seen:
        raise UsageError(f"Nothing was certified: {seen}. What a model does on posts it has seen proves nothing.")
    predictions = predict_posts(predictor, read.posts)
    base = predictor.policy.model_copy(update={"budget": _budget(arguments, predictor.policy)})
    if arguments.fit:
        policy = _fit(arguments, predictor, predictions, base, say)
        certificates: Sequence[Any] = policy.certificates
    else:
        policy, certificates = base, certify(base, predictions)
    if policy.thresholds.answer_nothing:
        say("This policy answers nothing: no thresholds are proven for it.")
    for each in certificates:
        say(explain(each))
    proven = all_certified(certificates) and not policy.thresholds.answer_nothing
    content = {
        "origin": _origin(arguments, predictor).as_json(predictions),
        "thresholds": policy.thresholds.model_dump(mode="json"),
        "certified": proven,
        "certificates": [each.model_dump(mode="json") for each in certificates],
    }
    return Answer(content, passed=proven)


def behaviour(arguments: Namespace, load: Load, say: Say) -> Answer:
    """The failures of a bundle on the behaviour cases, by capability; passed where none has more than it may."""
    file = read_cases(arguments.cases)
    predictor = load(arguments.bundle, read_policy(arguments.policy) if arguments.policy else None)
    results = run_suite(predictor, file, watch=progress_bar)
    say(f"{predictor.bundle.manifest.model_version} on {arguments.cases}\n{behaviour_text(results)}")
    passed = all(each.passed for each in results)
    content = {
        "model_version": predictor.bundle.manifest.model_version,
        "cases": str(arguments.cases),
        "passed": passed,
        "capabilities": [each.as_json() for each in results],
    }
    return Answer(content, passed=passed)
