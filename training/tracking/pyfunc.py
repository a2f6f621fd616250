"""The registered model as MLflow runs it ("models from code"): a data frame of posts in, one of decisions out.

MLflow runs this file in the environment that the model lists, beside copies of the modules of `data` and `models` that
it needs (`training.tracking.packing` puts them there); nothing of ours imports it, and nothing of it is pickled.
"""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel

from models.bundle import load_bundle
from models.predictor import Predictor
from models.rows import OUTPUT_COLUMNS, RowError, post_of_row, row_of_prediction


class NotAPostError(MlflowException):
    """A row that is no post. Its message stays as it was given: MLflow's server would put the whole frame before it."""

    def __init__(self, message: str) -> None:
        self._said = message
        super().__init__(message, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """What is wrong, without the text of any post."""
        return self._said

    @message.setter
    def message(self, said: str) -> None:
        """Nothing; what MLflow would have it say instead is not heard."""


class Signalbox(PythonModel):
    """The bundle behind `mlflow.pyfunc.load_model` and `mlflow models serve`."""

    def load_context(self, context: Any) -> None:
        """Loads and verifies the bundle.

        Raises:
            BundleError: when it is incomplete, changed, or computes something else here than where it was made.
        """
        self._predictor = Predictor.load(load_bundle(Path(context.artifacts["bundle"])))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002 (MLflow's signature)
        """One row of `OUTPUT_COLUMNS` for each row, under the same index; all rows or none.

        Raises:
            NotAPostError: when a row is no post; it names row and column, never the content.
        """
        known = model_input.astype(object).where(model_input.notna(), None)
        posts = []
        for number, row in enumerate(known.to_dict("records")):
            try:
                posts.append(post_of_row(row))
            except RowError as error:
                raise NotAPostError(f"Row {number} is no post: {error}") from None
        predictor = self._predictor
        rows = [row_of_prediction(each, predictor.bundle, predictor.policy) for each in predictor.predict(posts)]
        return pd.DataFrame(rows, columns=list(OUTPUT_COLUMNS), index=model_input.index)


mlflow.models.set_model(Signalbox())
