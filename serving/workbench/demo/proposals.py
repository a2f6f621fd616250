"""Versions of the policy that the readers of a demo proposed. Owns which budgets; what they come to is proven."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from evaluation.workbench.desk import Desk, set_budget
from models.policy import RiskBudget
from serving.journal.policies import approve_policy, changes, propose_policy
from serving.workbench.demo.readers import FIRST, SECOND


@dataclass(frozen=True, slots=True)
class Proposal:
    """A budget that somebody proposed so long ago, and whether another approved it a day later."""

    version: str
    budget: RiskBudget
    author: str
    reason: str
    ago: timedelta
    approved_by: str | None = None


PROPOSALS = (
    Proposal(
        "demo-careful",
        RiskBudget(leak_sensitive=0.015, leak_influencer=0.05, wrong=0.10, confidence=0.95),
        FIRST,
        "Fewer leaks before the campaign begins.",
        timedelta(days=9),
        approved_by=SECOND,
    ),
    Proposal(
        "demo-bolder",
        RiskBudget(leak_sensitive=0.03, leak_influencer=0.08, wrong=0.15, confidence=0.90),
        SECOND,
        "More automatic answers for the campaign's questions.",
        timedelta(days=2),
    ),
)


def propose_all(connection: Connection, desk: Desk, model_version: str, now: datetime) -> int:
    """How many versions were proposed: those that the labelled posts prove and that change something."""
    made = 0
    for each in PROPOSALS:
        setting = set_budget(desk, each.budget)
        policy = setting.policy.model_copy(update={"version": each.version})
        if not setting.certified or not changes(desk.in_force, policy):
            continue
        at = now - each.ago
        policy_id = propose_policy(
            connection,
            policy,
            base=desk.in_force,
            model_version=model_version,
            author=each.author,
            reason=each.reason,
            at=at,
        )
        if each.approved_by:
            approve_policy(connection, policy_id, by=each.approved_by, at=at + timedelta(days=1))
        made += 1
    return made
