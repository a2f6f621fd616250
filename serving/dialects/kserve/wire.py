"""What goes over the wire in the Open Inference Protocol: the shapes alone."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from serving.dialects.kserve.tensors import Datatype, Element
from serving.wire import Detail, Fallback


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputParameters(_Wire):
    """How an input comes."""

    binary_data_size: Annotated[int, Field(ge=0)] | None = None


class InputTensor(_Wire):
    """An input; its elements stand in `data` or, where `binary_data_size` is given, in the bytes after the JSON."""

    name: str
    datatype: str
    shape: list[Annotated[int, Field(ge=0)]]
    parameters: InputParameters = InputParameters()
    data: list[JsonValue] | None = None


class OutputParameters(_Wire):
    """How an output is to come."""

    binary_data: bool | None = None


class RequestedOutput(_Wire):
    """An output that is wanted."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferParameters(_Wire):
    """How all outputs are to come, and in how many microseconds."""

    binary_data_output: bool = False
    timeout: Annotated[int, Field(gt=0)] | None = None


class InferRequest(_Wire):
    """Posts as tensors."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "inputs": [
                        {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["where do I track my parcel?"]}
                    ]
                }
            ]
        }
    )

    id: str | None = None
    parameters: InferParameters = InferParameters()
    inputs: Annotated[list[InputTensor], Field(min_length=1)]
    outputs: list[RequestedOutput] | None = None


class OutputTensor(BaseModel):
    """An output; where it comes in bytes, `parameters` say how many, and `data` is not there."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    parameters: dict[str, int] | None = None
    data: tuple[Element, ...] | None = None


class InferResponse(BaseModel):
    """The answers as tensors."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class TensorMetadata(BaseModel):
    """What a tensor is; -1 stands for the number of posts."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]


class ModelMetadata(BaseModel):
    """What the model takes and gives."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


class ServerMetadata(BaseModel):
    """What the server is."""

    name: str
    version: str
    extensions: tuple[str, ...]


class ServerLive(BaseModel):
    """The process is alive."""

    live: bool


class ServerReady(BaseModel):
    """A model answers."""

    ready: bool


class ModelReady(BaseModel):
    """The model answers."""

    name: str
    ready: bool


class KserveError(BaseModel):
    """An error as the protocol says it, with the fallback that the caller should take."""

    error: str
    details: tuple[Detail, ...]
    fallback: Fallback = Fallback()
