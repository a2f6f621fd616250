"""MLflow: a pyfunc as models-from-code has it; `mlflow_files` saves it, `mlflow models serve` runs it."""

from typing import Any

import mlflow
from mlflow.pyfunc.model import PythonModel

from evaluation.benchmarks.serving.peers.model import Pair, RouteModel


class Routes(PythonModel):
    """The model behind `mlflow models serve`."""

    def load_context(self, context: Any) -> None:  # noqa: ARG002 (MLflow's signature)
        """Loads the model in a worker."""
        self.model = RouteModel()

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[str]:  # noqa: ARG002 (likewise)
        """The labels of the pairs, which come as a data frame of two columns."""
        columns = zip(model_input["text"], model_input["context"], strict=True)
        pairs: list[Pair] = [{"text": text, "context": context} for text, context in columns]
        return [str(verdict["label"]) for verdict in self.model.judge(pairs)]


mlflow.models.set_model(Routes())
