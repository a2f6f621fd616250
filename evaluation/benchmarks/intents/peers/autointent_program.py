"""AutoIntent on a file of texts, run by its own environment: FILE ENCODER SEED OUT. Knows nothing of ours.

Its preset `classic-light` (Alekseev et al. 2025, arXiv 2509.21138) looks for the best scorer on embeddings of the
frozen encoder: nearest neighbours or a cross-validated logistic regression, by F1 on texts held out of training. Its
decision node is left out, since thresholds are the caller's.
"""

import json
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from autointent import Dataset, OptimizationConfig, Pipeline
from autointent.utils import load_preset

PRESET = "classic-light"
TIMEOUT_S = 1_200
"""After it no further trial is begun; the preset's 20 are mostly the same few again, which it does not learn twice."""
_VALIDATION_SHARE = 0.2
"""As AutoIntent's own split has it."""
_LEAST = 1e-12
"""Keeps the logarithm of a probability finite."""


def split(labels: Sequence[int], seed: int) -> tuple[list[int], list[int]]:
    """The places of the texts to learn from and of those to choose by: a fifth of each intent, one text at the least.

    AutoIntent refuses a part that lacks an intent, and its own split makes such parts where intents are rare. The only
    text of an intent is therefore in both.
    """
    shuffled = random.Random(seed)
    learn, choose = [], []
    for label in sorted(set(labels)):
        places = [place for place, each in enumerate(labels) if each == label]
        shuffled.shuffle(places)
        held = max(1, round(_VALIDATION_SHARE * len(places)))
        choose += places[:held]
        learn += places[held:] or places
    return learn, choose


def search(texts: Sequence[str], labels: Sequence[int], encoder: str, seed: int, directory: Path) -> tuple[Any, str]:
    """The scorer that did best on the texts to choose by, fitted to all texts afterwards, and its name.

    `refit_after` of AutoIntent 0.4.0 fits to the texts to learn from once more and not to all.
    """
    settings = load_preset(PRESET)
    settings["search_space"] = [node for node in settings["search_space"] if node["node_type"] == "scoring"]
    settings["hpo_config"]["timeout"] = TIMEOUT_S
    settings["embedder_config"] = {"model_name": encoder, "device": "cpu"}
    settings["logging_config"] = {"project_dir": directory}
    settings["seed"] = seed + 1  # it takes positive ones alone
    parts = zip(("train", "validation"), split(labels, seed), strict=True)
    rows = {part: [{"utterance": texts[place], "label": labels[place]} for place in places] for part, places in parts}
    pipeline = Pipeline.from_optimization_config(OptimizationConfig(**settings))
    pipeline.fit(Dataset.from_dict(rows))
    scorer = pipeline.nodes["scoring"].module
    scorer.clear_cache()
    scorer.fit(list(texts), list(labels))
    return scorer, str(scorer.name)


def main(file: str, encoder: str, seed: str, out: str) -> None:
    """Nothing; `out` holds the logarithms of the probabilities of both held-out parts."""
    rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    taught = [row for row in rows if row["part"] == "train"]
    names = sorted({row["intent"] for row in taught})
    said = {}
    with tempfile.TemporaryDirectory() as directory:
        os.environ["XDG_CACHE_HOME"] = directory  # where it keeps embeddings, which nobody else asks for
        labels = [names.index(row["intent"]) for row in taught]
        scorer, chosen = search([row["text"] for row in taught], labels, encoder, int(seed), Path(directory))
        for part in ("development", "test"):
            held = [row["text"] for row in rows if row["part"] == part]
            chances = np.asarray(scorer.predict(held)) if held else np.zeros((0, len(names)))
            said[part] = np.log(np.maximum(chances, _LEAST))
    np.savez(out, development=said["development"], test=said["test"])
    sys.stdout.write(json.dumps({"out": out, "chosen": chosen}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
