"""By what a decision is found and counted, taken from its entry on the writing thread. Owns what each facet means.

Nothing here holds text: what is near to what is a name of words, and an author is a keyed hash.
"""

from collections import OrderedDict
from datetime import UTC, datetime
from hashlib import blake2b

from serving.journal.entry import Entry
from serving.journal.tables import Row
from serving.likeness import Alike, name_of, shingles_of, words_of
from serving.rules import rule_of

MOST_CLUSTERS = 2_000
"""The newest so many are known: some 6 MB, and what an hour brings to a busy desk."""


def ms_of(when: datetime) -> int:
    """A time as the whole milliseconds since 1970 began in UTC."""
    return round(when.timestamp() * 1_000)


def time_of(at_ms: int) -> datetime:
    """The time, in UTC, of so many milliseconds since 1970 began."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC)


class Clusters:
    """Posts that say nearly the same, each with the first of them that is still known. For one thread."""

    def __init__(self, most: int = MOST_CLUSTERS) -> None:
        self._most = most
        self._alike = Alike()
        self._last_used: OrderedDict[str, None] = OrderedDict()

    def of(self, text: str) -> str | None:
        """The name of the cluster of a rendered text, 16 hexadecimal digits; `None` where it has no words.

        The same words have the same name everywhere and for ever, unless they are near to other words that came first.
        """
        words = words_of(text)
        if not words:
            return None
        shingles = shingles_of(words)
        name = self._alike.find(shingles) or name_of(words)
        self._alike.add(name, shingles)
        self._last_used[name] = None
        self._last_used.move_to_end(name)
        if len(self._last_used) > self._most:
            self._alike.discard(self._last_used.popitem(last=False)[0])
        return name


def facet_of(entry: Entry, cluster: str | None) -> Row:
    """The row of facets of an entry. `lot` is a number that nothing in the post has a part in, for drawing samples."""
    prediction, answer, received_at = entry.prediction, entry.answer, entry.caller.received_at
    waited_s = entry.posted_at and (received_at - entry.posted_at).total_seconds()
    return {
        "prediction_id": answer.prediction_id,
        "at_ms": ms_of(received_at),
        "lane": entry.lane,
        "platform": prediction.facts.platform,
        "lang": prediction.facts.lang or "",
        "route": prediction.route,
        "intent": prediction.intent,
        "action": prediction.decision.action,
        "abstained": prediction.decision.abstained,
        "confidence": prediction.routes[prediction.route],
        "characters": len(prediction.rendered.text),
        "model_version": answer.versions.model,
        "latency_ms": entry.latency_ms,
        "waited_s": waited_s,
        "lot": int.from_bytes(blake2b(answer.prediction_id.encode(), digest_size=4).digest()) >> 1,
        "cluster": cluster,
        "author": entry.author,
        "policy_version": answer.versions.policy,
        "held_by": rule_of(prediction.decision.reasons),
    }
