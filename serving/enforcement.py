"""From the journal to the models in service: the policy that people made active, put in force.

It is read where the must-not-answer rules are, and before them: until both were read once, no machine answers.
"""

import asyncio
from typing import TYPE_CHECKING

from serving.changeover import Changeover, Enforced

if TYPE_CHECKING:
    from serving.journal.policies import PolicyVersion

WITHIN_S = 10.0
"""Far longer than the event loop is ever busy; then the reading has failed, and is tried again."""


class Enforcer:
    """Hands a version over from the thread that read it to the event loop, on which alone models change."""

    def __init__(self) -> None:
        self._models: tuple[Changeover, asyncio.AbstractEventLoop] | None = None

    def start(self, changeover: Changeover) -> None:
        """Nothing; these are the models, and the running loop is theirs."""
        self._models = (changeover, asyncio.get_running_loop())

    def __call__(self, version: "PolicyVersion | None") -> None:
        """Nothing; champions decide by that version from now on, or by their own policy. On any thread but the loop's.

        Raises:
            NotReadyError: while no model is in service.
            PolicyError: when the champion cannot decide by it. What was in force goes on.
            TimeoutError: when the event loop does not come to it.
        """
        if self._models is None:
            raise RuntimeError("A policy was to be put in force before there was a model.")
        changeover, loop = self._models
        active = Enforced(version.policy, version.model_version, version.history[-1].by) if version else None

        async def enforce() -> None:
            changeover.enforce(active)

        asyncio.run_coroutine_threadsafe(enforce(), loop).result(WITHIN_S)
