"""What a bundle says of posts, as the file that labelling and auditing read (`data.suggestions`). Owns that verb alone.

Probabilities are calibrated, and of all labels, so that the file can also judge labels (`python -m data audit`).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from data.dependencies import needs_group
from data.output import whole_file
from data.post import Post
from data.suggestions import Said, Suggestion, Versions
from data.taxonomy import ROUTES
from models.calibration import FloatArray
from models.predictor import Predictor

with needs_group("evaluate", "Predicting posts"):
    from tqdm import tqdm

_CHUNK_POSTS = 32
"""Posts between two steps of the progress bar; the scores do not depend on it (batch invariance)."""
_PLACES = 6
"""Decimals of a probability in the file, as in the server's answers."""


def _said(labels: Sequence[str], probabilities: FloatArray) -> Said:
    rounded: Mapping[str, float] = {
        label: round(float(p), _PLACES) for label, p in zip(labels, probabilities, strict=True)
    }
    best = labels[int(np.argmax(probabilities))]
    return Said(label=best, confidence=rounded[best], probabilities=dict(rounded))


def suggest(predictor: Predictor, posts: Sequence[Post], *, progress: bool = True) -> Iterator[Suggestion]:
    """What the bundle says of each post that has an id, in order; `progress` draws a bar on stderr."""
    versions = Versions(model=predictor.bundle.manifest.model_version)
    intents = predictor.bundle.taxonomy.names
    with tqdm(total=len(posts), desc="scoring", unit="post", disable=not progress) as bar:
        for start in range(0, len(posts), _CHUNK_POSTS):
            chunk = posts[start : start + _CHUNK_POSTS]
            for post, score in zip(chunk, predictor.score(chunk), strict=True):
                yield Suggestion(
                    id=post.id or "",
                    route=_said(ROUTES, score.routes),
                    intent=_said(intents, score.intents),
                    versions=versions,
                )
            bar.update(len(chunk))


def write_suggestions(path: Path, suggestions: Iterator[Suggestion]) -> int:
    """How many suggestions were written; the file at `path` holds them afterwards, one JSON object a line."""
    lines = [each.model_dump_json(exclude_defaults=True) + "\n" for each in suggestions]
    with whole_file(path) as file:
        file.writelines(lines)
    return len(lines)
