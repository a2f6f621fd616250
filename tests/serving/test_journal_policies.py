"""Versions of the policy: another person approves, one is active, and every step stays on record."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from models.policy import Certificate, Policy
from serving.journal.database import Database
from serving.journal.policies import (
    Change,
    PolicyStepError,
    activate_policy,
    active_policy,
    approve_policy,
    policy_versions,
    propose_policy,
    reject_policy,
    roll_back_policy,
)
from tests.fakes import BOLD_POLICY
from tests.serving.desks import put_in_force
from tests.serving.journals import address_of


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(address_of(tmp_path / "journal.db"))) as database:
        yield database


def stricter(version: str, simple: float = 0.95) -> Policy:
    thresholds = BOLD_POLICY.thresholds.model_copy(update={"simple": simple})
    return BOLD_POLICY.model_copy(update={"version": version, "thresholds": thresholds})


def propose(desk: Database, policy: Policy, reason: str = "leaks on Monday", author: str = "ann") -> str:
    return desk.write(propose_policy, policy, base=BOLD_POLICY, model_version="m1", author=author, reason=reason)


def activate(desk: Database, policy: Policy) -> str:
    return put_in_force(desk, policy, base=BOLD_POLICY, model="m1")


def test_a_proposal_keeps_who_why_and_what_it_changes(desk: Database) -> None:
    propose(desk, stricter("8"))
    (found,) = desk.read(policy_versions)
    assert (found.policy, found.state, found.author, found.history[0].reason) == (
        stricter("8"),
        "proposed",
        "ann",
        "leaks on Monday",
    )
    assert found.diff == (Change("thresholds.simple", 0.9, 0.95),)
    assert (found.base_version, found.model_version) == ("7", "m1")
    assert desk.read(active_policy) is None


def test_the_reasons_of_every_step_are_kept_masked(desk: Database) -> None:
    reason = "Jo on 07911 123456 complained"
    policy_id = propose(desk, stricter("8"), reason=reason)
    desk.write(approve_policy, policy_id, by="bob", reason=reason)
    desk.write(activate_policy, policy_id, by="bob", reason=reason)
    desk.write(roll_back_policy, by="bob", reason=reason)
    desk.write(reject_policy, propose(desk, stricter("9")), by="bob", reason=reason)
    kept = [event.reason for found in desk.read(policy_versions) for event in found.history]
    assert kept == ["Jo on [phone] complained"] * 4 + ["leaks on Monday", "Jo on [phone] complained"]


def test_of_a_proof_each_figure_that_changes_is_kept_under_its_risk(desk: Database) -> None:
    proof = Certificate(
        risk="wrong",
        budget=0.1,
        confidence=0.95,
        events=7,
        trials=139,
        p_value=0.03,
        upper_bound=0.0925,
        certified=True,
    )
    before = BOLD_POLICY.model_copy(update={"certificates": (proof,)})
    after = before.model_copy(
        update={"version": "8", "certificates": (proof.model_copy(update={"events": 6, "trials": 119}),)}
    )
    desk.write(propose_policy, after, base=before, model_version="m1", author="ann", reason="fewer")
    (found,) = desk.read(policy_versions)
    assert found.diff == (Change("certificates.wrong.events", 7, 6), Change("certificates.wrong.trials", 139, 119))


def test_nobody_approves_his_own_proposal(desk: Database) -> None:
    policy_id = propose(desk, stricter("8"))
    with pytest.raises(PolicyStepError, match=r"ann proposed it\. Wanted: another person's approval"):
        desk.write(approve_policy, policy_id, by="ann")
    assert desk.read(policy_versions)[0].state == "proposed"


def test_only_what_another_person_approved_becomes_active(desk: Database) -> None:
    policy_id = propose(desk, stricter("8"))
    with pytest.raises(PolicyStepError, match=r"version 8 is proposed\. Wanted: one that is approved or rolled_back"):
        desk.write(activate_policy, policy_id, by="bob")
    desk.write(approve_policy, policy_id, by="bob")
    desk.write(activate_policy, policy_id, by="ann")
    active = desk.read(active_policy)
    assert active is not None
    assert [(event.state, event.by) for event in active.history] == [
        ("proposed", "ann"),
        ("approved", "bob"),
        ("active", "ann"),
    ]


def test_one_policy_is_active_at_a_time(desk: Database) -> None:
    activate(desk, stricter("8"))
    activate(desk, stricter("9", 0.97))
    assert [(each.policy.version, each.state) for each in desk.read(policy_versions)] == [
        ("8", "replaced"),
        ("9", "active"),
    ]


def test_going_back_makes_the_one_before_active_and_then_none(desk: Database) -> None:
    activate(desk, stricter("8"))
    second = activate(desk, stricter("9", 0.97))
    before = desk.write(roll_back_policy, by="eve", reason="too strict")
    assert before is not None
    assert before.policy.version == "8"
    assert desk.write(roll_back_policy, by="eve", reason="still") is None
    assert [each.state for each in desk.read(policy_versions)] == ["rolled_back", "rolled_back"]
    with pytest.raises(PolicyStepError, match="no policy version is active"):
        desk.write(roll_back_policy, by="eve", reason="again")
    desk.write(activate_policy, second, by="bob")
    assert [each.state for each in desk.read(policy_versions)] == ["rolled_back", "active"]


def test_what_is_rejected_is_never_active(desk: Database) -> None:
    policy_id = propose(desk, stricter("8"))
    desk.write(reject_policy, policy_id, by="ann", reason="a typing error")
    refused: tuple[Callable[[], None], ...] = (
        lambda: desk.write(approve_policy, policy_id, by="bob"),
        lambda: desk.write(activate_policy, policy_id, by="bob"),
        lambda: desk.write(reject_policy, policy_id, by="bob", reason="again"),
    )
    for step in refused:
        with pytest.raises(PolicyStepError, match="version 8 is rejected"):
            step()


@pytest.mark.parametrize(
    ("policy", "reason", "problem"),
    [
        (BOLD_POLICY.model_copy(update={"version": "8"}), "why", "it says the same as version 7"),
        (stricter("7"), "why", "version 7 is taken"),
        (stricter("8"), " ", "it has no reason"),
    ],
)
def test_a_proposal_that_is_none_is_refused(desk: Database, policy: Policy, reason: str, problem: str) -> None:
    with pytest.raises(PolicyStepError, match=problem):
        propose(desk, policy, reason)
    assert desk.read(policy_versions) == ()


def test_two_proposals_have_two_versions(desk: Database) -> None:
    propose(desk, stricter("8"))
    with pytest.raises(PolicyStepError, match="version 8 is taken"):
        propose(desk, stricter("8", 0.99))


def test_a_version_that_is_not_there_is_said_so(desk: Database) -> None:
    with pytest.raises(PolicyStepError, match="there is no policy version nine"):
        desk.write(approve_policy, "nine", by="bob")
