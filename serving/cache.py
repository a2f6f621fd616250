"""Probabilities of posts that came before or are being run: nothing is run twice that would give the same bytes.

Exact: the key is the whole rendered input, and logits do not depend on what else runs (`docs/decisions/0002`). One
cache belongs to one loaded model. Only probabilities are kept; the facts of a post and the decision are made anew for
each. A key is a digest: no text stays in memory. For the event loop's thread alone.
"""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Literal

from data.rendering import Rendered
from models.predictor import Probabilities
from serving.lanes import State, Task

Key = bytes
Inference = Task[Probabilities]
Found = Literal["hit", "joined", "miss"]


def key_of(rendered: Rendered) -> Key:
    """The key of a rendered post: no two pairs share one, since neither text holds the character between them."""
    return sha256(f"{rendered.text}\0{rendered.context}".encode("utf-8", "surrogatepass")).digest()


class Cache:
    """The last `posts` probabilities by use, and the inferences under way; for 0 nobody should ask it anything.

    `evicted` is told of each entry that made room for another.
    """

    def __init__(self, posts: int, evicted: Callable[[], None]) -> None:
        self.posts = posts
        self._evicted = evicted
        self._kept: OrderedDict[Key, Probabilities] = OrderedDict()
        self._under_way: dict[Key, Inference] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Key) -> Probabilities | Inference | None:
        """What is known of a key: its probabilities, the inference that will give them, or nothing."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        task = self._under_way.get(key)
        return task if task is not None and task.state is not State.UNRUN and task.error is None else None

    def expect(self, key: Key, task: Inference) -> None:
        """Nothing; from now on others who ask for `key` find this inference."""
        self._under_way[key] = task

    def settle(self, key: Key, task: Inference) -> None:
        """Nothing; keeps what an inference found, or forgets one that found nothing or that nobody waits for."""
        if self._under_way.get(key) is not task or (task.state is not State.DONE and task.tickets):
            return
        del self._under_way[key]
        if task.state is State.DONE and task.error is None:
            self._kept[key] = task.outcome()
            if len(self._kept) > self.posts:
                self._kept.popitem(last=False)
                self._evicted()
