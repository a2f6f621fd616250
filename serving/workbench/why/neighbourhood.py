"""The labelled posts near a post: their index is made once, in turns on the pages' thread, while the page says so."""

import asyncio
from dataclasses import dataclass
from logging import getLogger
from typing import Literal

from data.post import LabelledPost
from data.redaction import redact
from data.rejects import SourceError
from data.splits import SplitsError
from data.taxonomy import Taxonomy
from evaluation.workbench.neighbours import Index, index_in_steps, nearest
from serving.logs import fault_of
from serving.memory import keep_what_lives
from serving.workbench.confusion.sources import LabelledSet, Mark, Shelf, read_in_steps
from serving.workbench.worker import Worker

LOG = getLogger("signalbox.workbench")
TAUGHT = "train"
"""The part of a corpus that models are trained on (`data.splits`)."""


@dataclass(frozen=True, slots=True)
class Near:
    """A labelled post with its text masked, and how alike it is: 0 to 1."""

    post: LabelledPost
    text: str
    similarity: float


@dataclass(slots=True, eq=False)
class Making:
    """An index on its way, done, or failed. Changed by the event loop's thread alone."""

    name: str
    mark: Mark
    state: Literal["running", "done", "failed"] = "running"
    problem: str = ""
    posts: tuple[LabelledPost, ...] = ()
    index: Index | None = None


def taught_set(shelf: Shelf) -> LabelledSet | None:
    """The posts that models are taught with: that part of the directory, its first file where it has none, or none."""
    files = [each for each in shelf.sets() if each.path is not None]
    return next((each for each in files if each.part == TAUGHT), files[0] if files else None)


class Neighbourhood:
    """One index at a time. Every method is for the event loop's thread."""

    def __init__(self, shelf: Shelf, worker: Worker) -> None:
        self._shelf = shelf
        self._worker = worker
        self._making: Making | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, taxonomy: Taxonomy) -> Making | None:
        """The index as far as it is; begun where there is none or the files have changed. `None` without any posts."""
        chosen = taught_set(self._shelf)
        if chosen is None or chosen.path is None:
            return None
        known = self._making
        if known is None or (known.name, known.mark) != (chosen.name, chosen.mark):
            if self._task is not None:
                self._task.cancel()
            known = self._making = Making(chosen.name, chosen.mark)
            self._task = asyncio.get_running_loop().create_task(self._make(known, chosen, taxonomy))
        return known

    async def _make(self, making: Making, chosen: LabelledSet, taxonomy: Taxonomy) -> None:
        try:
            if chosen.path is None:
                raise TypeError("An index was to be made of a span of the journal.")
            in_turns = self._worker.aside.run_in_turns
            making.posts = await in_turns(read_in_steps(chosen.path, chosen.part, taxonomy))
            making.index = await in_turns(index_in_steps(making.posts))
            await self._worker.aside.run(keep_what_lives)
            making.state = "done"
        except (SourceError, SplitsError, OSError, ValueError) as error:
            making.problem, making.state = str(error), "failed"
        except Exception as error:  # noqa: BLE001 - whatever it was, the page must not wait for it for ever
            LOG.error("qa_index_failed", extra={"fields": fault_of(error)})
            making.problem = (
                "The labelled posts were not indexed, through a fault of the server. Wanted: an index. Start the "
                "server again; its log has the event qa_index_failed."
            )
            making.state = "failed"

    async def find(self, making: Making, text: str) -> tuple[Near, ...]:
        """The labelled posts that are nearest to a text as the model read it; none while the index is not done."""
        if making.index is None:
            return ()
        found = await self._worker.run(nearest, making.index, text)
        posts = [making.posts[each.place] for each in found]
        texts = [redact(post.text, post.lang) for post in posts]
        return tuple(Near(post, shown, each.similarity) for post, shown, each in zip(posts, texts, found, strict=True))
