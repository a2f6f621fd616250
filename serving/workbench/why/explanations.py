"""The evidence of the posts that were asked about last. Owns that nobody waits for a long post longer than for a page.

A long post asks the model a hundred times. So who asks for its evidence is told that it is on its way, and asks again;
what was asked of the model until then is not asked twice.
"""

import asyncio
from collections import OrderedDict

from data.rendering import Rendered
from evaluation.workbench.evidence import Evidence, explain_in_steps
from models.bundle import MODEL_FILE
from models.policy import Facts
from models.predictor import Predictor
from serving.workbench.worker import Worker

WAIT_S = 0.2
"""A post of twenty words is told by then, and a page is to take 0.3 s at most (issue 5)."""
_KEPT = 32
"""Some 20 KB each."""


class Explanations:
    """Evidence that is made in turns on the pages' thread. Every method is for the event loop's thread."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._kept: OrderedDict[tuple[object, ...], asyncio.Task[Evidence]] = OrderedDict()

    async def ask(self, predictor: Predictor, rendered: Rendered, facts: Facts) -> Evidence | None:
        """Why `predictor` decides so about what was read of a post; `None` while the model is still being asked.

        Raises what the model raised; who asks again then asks it anew.
        """
        graph, policy = predictor.bundle.manifest.files[MODEL_FILE], predictor.policy.model_dump_json()
        key = (graph, policy, rendered, facts)
        task = self._kept.get(key) or self._begin(key, predictor, rendered, facts)
        await asyncio.wait({task}, timeout=WAIT_S)
        if not task.done():
            return None
        if task.cancelled() or task.exception() is not None:
            self._kept.pop(key, None)
        return task.result()

    def _begin(
        self, key: tuple[object, ...], predictor: Predictor, rendered: Rendered, facts: Facts
    ) -> asyncio.Task[Evidence]:
        steps = explain_in_steps(predictor, rendered, facts)
        task = self._kept[key] = asyncio.get_running_loop().create_task(self._worker.aside.run_in_turns(steps))
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)[1].cancel()
        return task
