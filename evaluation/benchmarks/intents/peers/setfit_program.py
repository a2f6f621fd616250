"""SetFit on a file of texts, run by its own environment: FILE ENCODER SEED OUT. Knows `texts` alone of ours.

Contrastive pairs are drawn in 20 rounds, as its authors do for few texts (Tunstall et al. 2022, arXiv 2209.11055), but
no more than MAX_STEPS steps are taken: on all of Banking77 they would take hours for each seed. Steps are taken in
bfloat16 where that does no harm, as ours are; SetFit has no option of its own for it, the trainer under it has.
"""

import json
import os
import sys

from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments

from evaluation.benchmarks.intents.peers.texts import read_texts, write_logits

BATCH, ROUNDS, MAX_STEPS = 16, 20, 2_000


def main(file: str, encoder: str, seed: str, out: str) -> None:
    """Nothing; `out` holds the logarithms of the probabilities of both held-out parts."""
    os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"  # read when Trainer is made
    texts = read_texts(file)
    model = SetFitModel.from_pretrained(encoder)
    steps = min(MAX_STEPS, 2 * ROUNDS * len(texts.train) // BATCH)
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
    taught = Dataset.from_dict({"text": list(texts.train), "label": list(texts.labels)})
    Trainer(model=model, args=arguments, train_dataset=taught).train()
    write_logits(out, texts, lambda held: model.predict_proba(held, as_numpy=True))
    sys.stdout.write(json.dumps({"out": out, "steps": steps}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
