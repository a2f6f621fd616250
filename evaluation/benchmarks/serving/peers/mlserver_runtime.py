"""MLServer: a runtime for `mlserver start DIRECTORY`, named by the directory's model-settings.json."""

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from evaluation.benchmarks.serving.peers.model import Pair, RouteModel


class Routes(MLModel):
    """The model behind MLServer, by the Open Inference Protocol."""

    async def load(self) -> bool:
        """True once the model is in memory."""
        self.model = RouteModel()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The labels of the pairs in a request, which may be a batch that MLServer put together."""
        texts, contexts = (StringCodec.decode_input(each) for each in payload.inputs)
        pairs: list[Pair] = [{"text": text, "context": context} for text, context in zip(texts, contexts, strict=True)]
        labels = [str(verdict["label"]) for verdict in self.model.judge(pairs)]
        return InferenceResponse(
            model_name=self.name, id=payload.id, outputs=[StringCodec.encode_output("label", labels)]
        )
