"""Versions of the policy that people made: proposed by one, approved by another, active, and gone back from.

What happens to a version is a row each time; its state is what happened last. At most one is active, and it was made
for one model: with another model in service it says nothing.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, select

from models.policy import Policy
from serving.journal.reviews import masked, new_id, now
from serving.journal.tables import POLICY_EVENTS, POLICY_VERSIONS

State = Literal["proposed", "approved", "rejected", "active", "replaced", "rolled_back"]


class PolicyStepError(Exception):
    """A step that a policy version cannot take. Says why in words that may be shown."""


@dataclass(frozen=True, slots=True)
class Change:
    """One value of a policy that is another one, by its path, such as `thresholds.simple`."""

    path: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class PolicyEvent:
    """What somebody did with a version."""

    state: State
    by: str
    reason: str
    at: datetime
    key: str | None = None
    """What stands for the key that it was done with, `None` where nobody was asked for one."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy, what it changes, and all that happened to it, the first first."""

    id: str
    policy: Policy
    model_version: str
    base_version: str
    diff: tuple[Change, ...]
    history: tuple[PolicyEvent, ...]

    @property
    def author(self) -> str:
        """Who proposed it."""
        return self.history[0].by

    @property
    def state(self) -> State:
        """What happened last."""
        return self.history[-1].state


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _leaves(each, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def _values(policy: Policy) -> dict[str, Any]:
    """What a policy says but for its version, with the proof of each risk under its name."""
    proofs = {each.risk: each.model_dump(mode="json", exclude={"risk"}) for each in policy.certificates}
    return policy.model_dump(mode="json", exclude={"version", "certificates"}) | {"certificates": proofs}


def changes(before: Policy, after: Policy) -> tuple[Change, ...]:
    """What is another in the second policy, but for its version; a list counts as one value, but for the proofs."""
    old, new = (dict(_leaves(_values(each))) for each in (before, after))
    return tuple(
        Change(path, old.get(path), new.get(path)) for path in {**old, **new} if old.get(path) != new.get(path)
    )


def _refuse(what: str, got: str, wanted: str) -> PolicyStepError:
    return PolicyStepError(f"{what}: {got}. Wanted: {wanted}.")


def _tell(
    connection: Connection,
    policy_id: str,
    state: State,
    by: str,
    reason: str,
    *,
    at: datetime | None = None,
    key: str | None = None,
) -> None:
    row = {"policy_id": policy_id, "state": state, "by": by, "reason": masked(reason), "at": at or now(), "key": key}
    connection.execute(insert(POLICY_EVENTS), row)


def _versions(connection: Connection, **only: str) -> tuple[PolicyVersion, ...]:
    found = connection.execute(
        select(POLICY_VERSIONS)
        .where(*(POLICY_VERSIONS.c[name] == value for name, value in only.items()))
        .order_by(POLICY_VERSIONS.c.made_at, POLICY_VERSIONS.c.id)
        .with_for_update()  # two who decide at once decide one after the other
    )
    return tuple(_version(connection, row) for row in found.mappings().all())


def _version(connection: Connection, row: Any) -> PolicyVersion:
    events = POLICY_EVENTS.c["state", "by", "reason", "at", "key"]
    happened = select(*events).where(POLICY_EVENTS.c.policy_id == row["id"]).order_by(POLICY_EVENTS.c.place)
    return PolicyVersion(
        id=row["id"],
        policy=Policy.model_validate_json(row["policy"]),
        model_version=row["model_version"],
        base_version=row["base_version"],
        diff=tuple(Change(*each) for each in json.loads(row["diff"])),
        history=tuple(PolicyEvent(*each) for each in connection.execute(happened)),
    )


def _named(connection: Connection, policy_id: str, what: str, *states: State) -> PolicyVersion:
    found = next(iter(_versions(connection, id=policy_id)), None)
    if found is None:
        raise _refuse(what, f"there is no policy version {policy_id}", "one of those that are listed")
    if found.state not in states:
        raise _refuse(what, f"version {found.policy.version} is {found.state}", f"one that is {' or '.join(states)}")
    return found


def _held(connection: Connection) -> PolicyVersion | None:
    """The version that holds, for who puts another in its place: until that is done nobody else can."""
    return next((each for each in _versions(connection) if each.state == "active"), None)


def propose_policy(
    connection: Connection,
    policy: Policy,
    *,
    base: Policy,
    model_version: str,
    author: str,
    reason: str,
    at: datetime | None = None,
    key: str | None = None,
) -> str:
    """The id of a new version of the policy `base`, made for that model; `at` is when, by default now.

    `key` stands for the key of the author, where there are keys.

    Raises:
        PolicyStepError: when it changes nothing, has no reason, or its version is taken.
    """
    what, diff = "The policy was not proposed", changes(base, policy)
    taken = {base.version, *(each.policy.version for each in _versions(connection, version=policy.version))}
    if not diff:
        raise _refuse(what, f"it says the same as version {base.version}", "a change")
    if not reason.strip():
        raise _refuse(what, "it has no reason", "why it should be changed, in a sentence")
    if policy.version in taken:
        raise _refuse(what, f"version {policy.version} is taken", "a version of its own")
    row = {
        "id": (policy_id := new_id()),
        "version": policy.version,
        "model_version": model_version,
        "made_at": at or now(),
        "base_version": base.version,
        "policy": policy.model_dump_json(),
        "diff": json.dumps([[each.path, each.before, each.after] for each in diff]),
    }
    connection.execute(insert(POLICY_VERSIONS), row)
    _tell(connection, policy_id, "proposed", author, reason, at=at, key=key)
    return policy_id


def approve_policy(
    connection: Connection,
    policy_id: str,
    *,
    by: str,
    reason: str = "",
    at: datetime | None = None,
    key: str | None = None,
) -> None:
    """Nothing; a proposed version may be activated. `at` is when it was approved, by default now.

    Where there are keys, two of them are needed: `key` stands for that of who approves.

    Raises:
        PolicyStepError: when there is no such one, or who approves proposed it, under whatever name.
    """
    what = "The policy was not approved"
    found = _named(connection, policy_id, what, "proposed")
    proposed = found.history[0]
    if proposed.by == by:
        raise _refuse(what, f"{by} proposed it", "another person's approval")
    if key is not None and proposed.key == key:
        raise _refuse(what, f"{by} has the key with which {proposed.by} proposed it", "another person's approval")
    if (key is None) != (proposed.key is None):
        one, other = ("with a key", "without one") if key else ("without a key", "with one")
        raise _refuse(what, f"it was proposed {other} and would be approved {one}", "both with keys. Propose it again")
    _tell(connection, policy_id, "approved", by, reason, at=at, key=key)


def reject_policy(connection: Connection, policy_id: str, *, by: str, reason: str) -> None:
    """Nothing; a version that is proposed or approved is so no more. Its author may withdraw it so.

    Raises:
        PolicyStepError: when there is no such one.
    """
    _named(connection, policy_id, "The policy was not rejected", "proposed", "approved")
    _tell(connection, policy_id, "rejected", by, reason)


def activate_policy(connection: Connection, policy_id: str, *, by: str, reason: str = "") -> None:
    """Nothing; an approved version is the active one, instead of the one before it.

    Raises:
        PolicyStepError: when there is no such one.
    """
    found = _named(connection, policy_id, "The policy was not activated", "approved", "rolled_back")
    before = _held(connection)
    if before is not None:
        _tell(connection, before.id, "replaced", by, f"by version {found.policy.version}")
    _tell(connection, policy_id, "active", by, reason)


def roll_back_policy(connection: Connection, *, by: str, reason: str) -> PolicyVersion | None:
    """The version that is active now: the one that was replaced last, or none, which is the bundle's own policy.

    Raises:
        PolicyStepError: when none is active.
    """
    active = _held(connection)
    if active is None:
        raise _refuse("Nothing was rolled back", "no policy version is active", "one that is")
    _tell(connection, active.id, "rolled_back", by, reason)
    replaced = [each for each in policy_versions(connection) if each.state == "replaced"]
    if not replaced:
        return None
    last = select(POLICY_EVENTS.c.policy_id).where(POLICY_EVENTS.c.policy_id.in_([each.id for each in replaced]))
    policy_id = connection.execute(
        last.group_by(POLICY_EVENTS.c.policy_id).order_by(func.max(POLICY_EVENTS.c.place).desc()).limit(1)
    ).scalar_one()
    _tell(connection, policy_id, "active", by, f"after version {active.policy.version} was rolled back")
    return active_policy(connection)


def policy_versions(connection: Connection) -> tuple[PolicyVersion, ...]:
    """All of them, the first proposed first."""
    return _versions(connection)


def active_id(connection: Connection) -> str | None:
    """The id of the version that holds. Cheap, and locks nothing: it may be asked again and again."""
    last = select(func.max(POLICY_EVENTS.c.place)).group_by(POLICY_EVENTS.c.policy_id)
    found = select(POLICY_EVENTS.c.policy_id).where(POLICY_EVENTS.c.place.in_(last), POLICY_EVENTS.c.state == "active")
    return connection.execute(found).scalar()


def active_policy(connection: Connection) -> PolicyVersion | None:
    """The version that holds, `None` where the bundle's own policy or the policy file does."""
    found = select(POLICY_VERSIONS).where(POLICY_VERSIONS.c.id == active_id(connection))
    row = connection.execute(found).mappings().one_or_none()
    return None if row is None else _version(connection, row)


def find_policy(connection: Connection, version: str, model_version: str) -> Policy | None:
    """The policy of that name that was made for that model, `None` where nobody made one."""
    found = select(POLICY_VERSIONS.c.policy).where(
        POLICY_VERSIONS.c.version == version, POLICY_VERSIONS.c.model_version == model_version
    )
    text = connection.execute(found).scalar()
    return None if text is None else Policy.model_validate_json(text)
