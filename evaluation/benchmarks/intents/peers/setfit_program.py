"""SetFit on a file of texts, run by its own environment: FILE ENCODER SEED OUT. Knows nothing of ours.

Contrastive pairs are drawn in 20 rounds, as its authors do for few texts (Tunstall et al. 2022, arXiv 2209.11055), but
no more than MAX_STEPS steps are taken: on all of Banking77 they would take hours for each seed. Steps are taken in
bfloat16 where that does no harm, as ours are; SetFit has no option of its own for it, the trainer under it has.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments

BATCH, ROUNDS, MAX_STEPS = 16, 20, 2_000
_LEAST = 1e-12
"""Keeps the logarithm of a probability finite."""


def main(file: str, encoder: str, seed: str, out: str) -> None:
    """Nothing; `out` holds the logarithms of the probabilities of both held-out parts."""
    os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"  # read when Trainer is made
    rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    taught = [row for row in rows if row["part"] == "train"]
    names = sorted({row["intent"] for row in taught})
    labels = [names.index(row["intent"]) for row in taught]
    model = SetFitModel.from_pretrained(encoder)
    steps = min(MAX_STEPS, 2 * ROUNDS * len(taught) // BATCH)
    arguments = TrainingArguments(
        output_dir=f"{out}.state",
        batch_size=BATCH,
        num_iterations=ROUNDS,
        num_epochs=1,
        max_steps=steps,
        seed=int(seed),
        save_strategy="no",
        report_to="none",
    )
    texts = [row["text"] for row in taught]
    Trainer(model=model, args=arguments, train_dataset=Dataset.from_dict({"text": texts, "label": labels})).train()
    said = {}
    for part in ("development", "test"):
        held = [row["text"] for row in rows if row["part"] == part]
        chances = np.asarray(model.predict_proba(held, as_numpy=True)) if held else np.zeros((0, len(names)))
        said[part] = np.log(np.maximum(chances, _LEAST))
    np.savez(out, development=said["development"], test=said["test"])
    sys.stdout.write(json.dumps({"out": out, "steps": steps}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
