"""Words to MLflow: each kind of word as the call that says it. Owns what MLflow's record of a run looks like."""

import json
from typing import Any

from training.tracking.outbox import RefusedError, UnreachableError, Word
from training.tracking.store import refuses

_DIGEST_CHARACTERS = 36
"""MLflow's longest digest of a dataset; the whole fingerprint stands in the profile."""


def _known_metrics(client: Any, run: Any) -> dict[tuple[str, int], float]:
    return {
        (name, each.step): each.value
        for name in run.data.metrics
        if not name.startswith("system/")
        for each in client.get_metric_history(run.info.run_id, name)
    }


class Teller:
    """Says words to MLflow, of one run."""

    def __init__(self, client: Any, run: Any) -> None:
        self.client, self.run_id = client, str(run.info.run_id)
        self._known = _known_metrics(client, run)

    def _metrics(self, word: Word) -> None:
        from mlflow.entities import Metric

        step = word["step"] or 0
        # A sitting that goes on tells again what an earlier one told: a figure stands once in the record.
        new = {name: value for name, value in word["values"].items() if self._known.get((name, step)) != value}
        self.client.log_batch(self.run_id, metrics=[Metric(*each, word["at_ms"], step) for each in new.items()])
        self._known |= {(name, step): value for name, value in new.items()}

    def _datasets(self, word: Word) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = [
            DatasetInput(
                Dataset(
                    name=each["source"],
                    digest=each["fingerprint"][:_DIGEST_CHARACTERS],
                    source_type="local",
                    source=json.dumps({"uri": each["source"]}),
                    profile=json.dumps({"posts": each["posts"], "fingerprint": each["fingerprint"]}),
                ),
                tags=[InputTag("mlflow.data.context", each["context"])],
            )
            for each in word["values"]
        ]
        self.client.log_inputs(self.run_id, inputs)

    def _say(self, word: Word) -> None:
        from mlflow.entities import Param, RunTag

        match word["kind"]:
            case "params":
                self.client.log_batch(self.run_id, params=[Param(*each) for each in word["values"].items()])
            case "tags":
                self.client.log_batch(self.run_id, tags=[RunTag(*each) for each in word["values"].items()])
            case "metrics":
                self._metrics(word)
            case "datasets":
                self._datasets(word)
            case "files":
                self.client.log_artifacts(self.run_id, word["path"], artifact_path=word["to"])
            case "end":
                self.client.set_terminated(self.run_id, word["status"])

    def __call__(self, word: Word) -> None:
        """Nothing; the word was said.

        Raises:
            RefusedError: when the store does not take it.
            UnreachableError: when the store does not answer.
        """
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            self._say(word)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            said = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
            raise (RefusedError if refuses(error) else UnreachableError)(said) from error
