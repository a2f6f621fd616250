"""The verbs `promote`, `rollback` and `ledger` of `python -m training`: their options and what they do."""

import argparse
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from data.dependencies import MissingGroupError, needs_group
from data.fingerprint import fingerprint
from data.progress import Say
from data.user_name import user_name
from evaluation.behaviour.capabilities import CasesError
from evaluation.comparison.settings import Gate, GateError, read_gate
from evaluation.options import add_gate, add_posts
from models.bundle import DEFAULT_BUNDLE, load_bundle
from training.errors import PromotionError, RefusedError, RegistryError, StoreError
from training.promotion.installation import Places, holding, manifest_of, recover
from training.promotion.ledger import Line, head_of, read_ledger, text_of
from training.promotion.promotion import (
    Evidence,
    Person,
    check_evidence,
    check_other,
    promote,
    read_evidence,
    roll_back,
)

PROMOTE_EXAMPLES = """  python -m training promote build/mine --reason "more sensitive posts" --by Ada
  python -m training promote build/mine my-posts.csv --splits my-splits.json --part calibration --reason ... --by Ada
  python -m training promote build/mine --report reports/comparison/comparison.json --reason ... --by Ada
"""
ROLLBACK_EXAMPLES = (
    '  python -m training rollback\n  python -m training rollback --reason "wrong answers on refunds" --by Ada\n'
)
LEDGER_EXAMPLES = (
    "  python -m training ledger\n  python -m training ledger --champion /srv/signalbox/bundle --head HASH\n"
    "  python -m training ledger --track\n"
)
_CATCH_UP = "python -m training ledger --track"


def _add_champion(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--champion", type=Path, default=DEFAULT_BUNDLE, metavar="DIR", help="the bundle in service (%(default)s)"
    )


def _add_track(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--track", action="store_true", help="register it in MLflow and point the alias champion to it")


def add_promote(verb: argparse.ArgumentParser) -> None:
    """Adds the options of `promote`."""
    verb.add_argument("challenger", type=Path, metavar="CHALLENGER", help="the bundle that wants to be champion")
    add_posts(verb)
    add_gate(verb)
    _add_champion(verb)
    verb.add_argument("--reason", required=True, metavar="TEXT", help="why, for the ledger")
    verb.add_argument("--by", required=True, metavar="NAME", help="who answers for it, for the ledger")
    verb.add_argument("--report", type=Path, metavar="IN", help="a comparison.json of these bundles and posts")
    verb.add_argument("--override", metavar="REASON", help="promote although the gate is not passed, and why")
    _add_track(verb)


def add_rollback(verb: argparse.ArgumentParser) -> None:
    """Adds the options of `rollback`."""
    _add_champion(verb)
    verb.add_argument("--reason", default="rolled back", metavar="TEXT", help="why, for the ledger (%(default)r)")
    verb.add_argument("--by", metavar="NAME", help="who answers for it (default: the user that runs it)")
    _add_track(verb)


def add_ledger(verb: argparse.ArgumentParser) -> None:
    """Adds the options of `ledger`."""
    _add_champion(verb)
    verb.add_argument("--head", metavar="HASH", help="the hash of a line that was the last one once")
    _add_track(verb)


def _find_evidence(arguments: Namespace, say: Say) -> Evidence:
    with needs_group("evaluate", "Comparing two bundles"):
        from evaluation.commands import UsageError
    try:
        return _use_report(arguments, say) if arguments.report else _run_gate(arguments, say)
    except (CasesError, GateError, UsageError) as error:
        raise PromotionError(str(error)) from None


def _run_gate(arguments: Namespace, say: Say) -> Evidence:
    from evaluation.commands import load_predictor
    from evaluation.comparison.command import run_comparison, tell

    compared, files = run_comparison(arguments, load_predictor, say)
    tell(compared, files.html, say)
    return read_evidence(files.json)


def _use_report(arguments: Namespace, say: Say) -> Evidence:
    from evaluation.commands import part_of, read_part

    evidence = read_evidence(arguments.report)
    gate = read_gate(arguments.gate) if arguments.gate else Gate()
    read = read_part(arguments, part_of(arguments), load_bundle(arguments.challenger).taxonomy, say)
    margins = gate.model_dump(mode="json")
    check_evidence(evidence, arguments.champion, arguments.challenger, fingerprint(read.posts), margins)
    return evidence


def _track(arguments: Namespace, say: Say) -> int | None:
    """The number of the registered version that bears the alias now, `None` where nobody asked or MLflow is away."""
    if not arguments.track:
        return None
    try:
        with needs_group("train", "Registering a champion"):
            from training.tracking.registry import register
        version = register(arguments.champion, "champion")
    except (StoreError, RegistryError, MissingGroupError) as error:
        say(f"{error} What was decided stands; register it later: {_CATCH_UP} --champion {arguments.champion}")
        return None
    say(f"Version {version.number} of the registered model is champion")
    return version.number


def _answer(line: Line, places: Places, version: int | None) -> dict[str, Any]:
    head = head_of(places.ledger)
    return {"champion": str(places.champion), "line": json.loads(text_of(line)), "head": head, "registered": version}


def _tell_recovery(places: Places, say: Say) -> None:
    with holding(places):
        said = recover(places)
    if said:
        say(said)


def run_promote(arguments: Namespace, say: Say) -> dict[str, Any]:
    """The promotion's line in the ledger; where the gate refuses, the reasons under `refused`.

    Raises:
        PromotionError, LedgerError, BundleError, SourceError: when something cannot be used; nothing has changed.
    """
    places = Places(arguments.champion)
    _tell_recovery(places, say)
    check_other(places, arguments.challenger)  # before the gate, which takes a minute
    evidence = _find_evidence(arguments, say)
    person = Person(arguments.by, arguments.reason, arguments.override)
    try:
        line = promote(places, arguments.challenger, evidence, person)
    except RefusedError as error:
        say(str(error))
        return {"champion": str(places.champion), "refused": list(error.reasons)}
    if line.override:
        say(f"OVERRIDDEN: the gate was not passed, and {line.by} promotes all the same: {line.override}")
    say(f"{line.to_version} is champion in place of {line.from_version}. A running server takes it with SIGHUP.")
    return _answer(line, places, _track(arguments, say))


def run_rollback(arguments: Namespace, say: Say) -> dict[str, Any]:
    """The rollback's line in the ledger.

    Raises:
        PromotionError, LedgerError, BundleError: when something cannot be used; nothing has changed.
    """
    places = Places(arguments.champion)
    _tell_recovery(places, say)
    line = roll_back(places, Person(arguments.by or user_name(), arguments.reason))
    say(f"{line.to_version} is champion again, {line.from_version} is kept. A running server takes it with SIGHUP.")
    return _answer(line, places, _track(arguments, say))


def run_ledger(arguments: Namespace, say: Say) -> dict[str, Any]:
    """Every line of the ledger after its chain was checked, its last hash, whether the champion is the one it names.

    Raises:
        PromotionError, LedgerError: when the chain is broken.
    """
    places = Places(arguments.champion)
    _tell_recovery(places, say)
    lines = read_ledger(places.ledger, arguments.head)
    for line in lines:
        words = f"{line.at:%Y-%m-%d %H:%M} {line.action:<8} {line.from_version} -> {line.to_version} by {line.by}"
        say(f"{words}: {line.reason}{f'  OVERRIDDEN: {line.override}' if line.override else ''}")
    stands = manifest_of(places.champion)
    if stands is None:
        raise PromotionError(
            f"There is no champion at {places.champion}. Wanted a bundle. Give its path with --champion."
        )
    mine = [line for line in lines if line.champion == places.champion.name]
    in_step = not mine or mine[-1].to_manifest_sha256 == stands
    if not in_step:
        say(f"The champion is not the one that the ledger names last ({mine[-1].to_version}): somebody replaced it.")
        if arguments.track:
            raise PromotionError(
                "Nothing was registered: the champion is not the one that the ledger names last. Wanted that one. "
                "Promote what stands there from a copy, or roll back."
            )
    say(f"{len(lines)} lines, the chain is whole. Last hash: {head_of(places.ledger)}")
    shown = [json.loads(text_of(line)) for line in lines]
    told = {"ledger": str(places.ledger), "lines": shown, "head": head_of(places.ledger), "in_step": in_step}
    return told | {"registered": _track(arguments, say)}
