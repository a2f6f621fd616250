"""A challenger made champion, or an earlier champion again: what is refused, and the line that the ledger gets."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.bundle import Bundle, load_bundle, sha256_of
from training.errors import PromotionError, RefusedError
from training.promotion.installation import Places, holding, install, manifest_of, recover
from training.promotion.ledger import Line, head_of, read_ledger, to_undo


@dataclass(frozen=True, slots=True)
class Evidence:
    """A comparison that a promotion rests on: its hash, what it was of, and why it was not passed where it was not."""

    report_sha256: str
    champion_manifest_sha256: str
    challenger_manifest_sha256: str
    posts_fingerprint: str
    gate: dict[str, Any]
    reasons: tuple[str, ...]
    passed: bool


def read_evidence(path: Path) -> Evidence:
    """The evidence in a `comparison.json`.

    Raises:
        PromotionError: when it cannot be read or is no comparison.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Evidence(
            report_sha256=sha256_of(path),
            champion_manifest_sha256=content["champion"]["manifest_sha256"],
            challenger_manifest_sha256=content["challenger"]["manifest_sha256"],
            posts_fingerprint=content["posts_fingerprint"],
            gate=content["gate"],
            reasons=tuple(content["reasons"]),
            passed=content["passed"] is True,
        )
    except OSError as error:
        got = error.strerror or "nothing"
    except (ValueError, KeyError, TypeError) as error:
        got = f"{type(error).__name__} {error}"
    raise PromotionError(
        f"The report {path} cannot be used: {got}. Wanted the comparison.json of `python -m evaluation compare`. "
        "Make it anew, or leave --report out: then the gate is run."
    )


@dataclass(frozen=True, slots=True)
class Person:
    """Who changes the champion, and why; `override` is why although the gate was not passed."""

    by: str
    reason: str
    override: str | None = None


def _load_champion(places: Places) -> Bundle:
    if manifest_of(places.champion) is None:
        raise PromotionError(
            f"There is no champion at {places.champion}. Wanted the directory of a bundle in service. Make the first "
            f"one there, python -m training run --out {places.champion}, or copy it; from then on the gate decides."
        )
    return load_bundle(places.champion)


def check_evidence(
    evidence: Evidence, champion: Path, challenger: Path, posts_fingerprint: str, gate: dict[str, Any]
) -> None:
    """Nothing, where the report is of these two bundles, these posts and these margins.

    Raises:
        PromotionError: when it is of others.
    """
    for what, got, wanted in (
        ("champion", evidence.champion_manifest_sha256, manifest_of(champion)),
        ("challenger", evidence.challenger_manifest_sha256, manifest_of(challenger)),
        ("posts", evidence.posts_fingerprint, posts_fingerprint),
        ("margins", evidence.gate, gate),
    ):
        if got != wanted:
            raise PromotionError(
                f"The report is not of this {what}: it says {got}, wanted {wanted}. Something changed since it was "
                "made. Make it anew, or leave --report out: then the gate is run."
            )


def check_other(places: Places, challenger: Path) -> None:
    """Nothing, where both are bundles, and not the same one.

    Raises:
        PromotionError: when there is no champion, or it is this very bundle.
        BundleError: when one of them is none.
    """
    _load_champion(places)
    after = load_bundle(challenger)
    if manifest_of(places.champion) == manifest_of(challenger):
        raise PromotionError(
            f"Nothing was promoted: {challenger} is the champion already, {after.manifest.model_version}. Wanted "
            "another bundle. Give its directory."
        )


def promote(places: Places, challenger: Path, evidence: Evidence, person: Person) -> Line:
    """The ledger's line of the promotion that was done.

    Raises:
        RefusedError: when the gate was not passed and nobody overrides it.
        PromotionError: when the champion is not the one of the evidence, or another process changes it.
        BundleError, LedgerError: when a bundle or the ledger cannot be trusted. Nothing has changed then.
    """
    with holding(places):
        recover(places)
        read_ledger(places.ledger)
        check_other(places, challenger)
        before, after = _load_champion(places), load_bundle(challenger)
        found = (manifest_of(places.champion), manifest_of(challenger))
        wanted = (evidence.champion_manifest_sha256, evidence.challenger_manifest_sha256)
        if found != wanted:
            raise PromotionError(
                f"Nothing was promoted: the gate compared the manifests {wanted}, now there are {found}. Run it again."
            )
        if not evidence.passed and person.override is None:
            raise RefusedError(evidence.reasons)
        line = _line(places, before, after, person, evidence)
        install(places, challenger, line)
        return line


def _line(places: Places, before: Bundle, after: Bundle, person: Person, evidence: Evidence | None) -> Line:
    overridden = evidence is not None and not evidence.passed
    return Line(
        at=datetime.now(UTC),
        by=person.by,
        action="rollback" if evidence is None else "promote",
        champion=places.champion.name,
        from_version=before.manifest.model_version,
        from_manifest_sha256=manifest_of(before.directory) or "",
        to_version=after.manifest.model_version,
        to_manifest_sha256=manifest_of(after.directory) or "",
        data_fingerprint=after.manifest.data_fingerprint,
        report_sha256=evidence.report_sha256 if evidence else None,
        posts_fingerprint=evidence.posts_fingerprint if evidence else None,
        gate_passed=evidence.passed if evidence else None,
        reason=person.reason,
        override=person.override if overridden else None,
        previous_sha256=head_of(places.ledger),
    )


def roll_back(places: Places, person: Person) -> Line:
    """The ledger's line of the newest promotion undone: the champion before it is champion again.

    Raises:
        PromotionError: when there is nothing to undo, the earlier bundle is gone, or another process changes something.
        BundleError, LedgerError: when a bundle or the ledger cannot be trusted. Nothing has changed then.
    """
    with holding(places):
        recover(places)
        undone = to_undo(read_ledger(places.ledger), places.champion.name)
        if undone is None:
            raise PromotionError(
                f"Nothing to roll back: the ledger {places.ledger} has no promotion that still stands. Wanted one. "
                "Promote a bundle: python -m training promote CHALLENGER."
            )
        earlier = places.earlier(undone.from_manifest_sha256)
        if manifest_of(earlier) != undone.from_manifest_sha256:
            raise PromotionError(
                f"Not rolled back: the bundle {undone.from_version} is not in {earlier} any more. Wanted it as it was. "
                f"Copy it there from its source, or promote another bundle."
            )
        line = _line(places, _load_champion(places), load_bundle(earlier), person, None)
        install(places, earlier, line)
        return line
