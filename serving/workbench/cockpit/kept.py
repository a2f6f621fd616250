"""A value that takes long to make, with its age: made again when it is old, and only while somebody asks."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from logging import getLogger
from typing import Generic, TypeVar

from starlette.exceptions import HTTPException

from serving.logs import fault_of

LOG = getLogger("signalbox.workbench")
Made = TypeVar("Made")


class Kept(Generic[Made]):
    """What `make` gave last. `value` is `None` before the first time, and where it failed through a fault of ours."""

    def __init__(self, make: Callable[[datetime], Awaitable[Made]], every: timedelta) -> None:
        self._make = make
        self._every = every
        self.value: Made | None = None
        self.made_at: datetime | None = None

    async def refresh(self, now: datetime) -> None:
        """Nothing; the value is made anew where it is due. A fault is logged, and the rest of the page goes on.

        Raises:
            HTTPException: when the journal cannot be asked.
        """
        if self.made_at is not None and now - self.made_at < self._every:
            return
        try:
            self.value = await self._make(now)
        except HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not take the other figures with it
            LOG.error("qa_cockpit_failed", extra={"fields": fault_of(error)})
            self.value = None
        self.made_at = now
