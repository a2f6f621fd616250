"""AutoIntent on a file of texts, run by its own environment: FILE ENCODER SEED OUT. Knows `texts` alone of ours.

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

from autointent import Dataset, OptimizationConfig, Pipeline
from autointent.utils import load_preset

from evaluation.benchmarks.intents.peers.texts import read_texts, write_logits

PRESET = "classic-light"
TIMEOUT_S = 1_200
"""After it no further trial is begun; the preset's 20 are mostly the same few again, which it does not learn twice."""
_VALIDATION_SHARE = 0.2
"""As AutoIntent's own split has it."""


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
    texts = read_texts(file)
    with tempfile.TemporaryDirectory() as directory:
        os.environ["XDG_CACHE_HOME"] = directory  # where it keeps embeddings, which nobody else asks for
        scorer, chosen = search(texts.train, texts.labels, encoder, int(seed), Path(directory))
        write_logits(out, texts, scorer.predict)
    sys.stdout.write(json.dumps({"out": out, "chosen": chosen}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
