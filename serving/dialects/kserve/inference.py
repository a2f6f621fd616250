"""From the tensors of a request to posts, and from records to the tensors of an answer."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pydantic import JsonValue
from pydantic_core import from_json
from starlette.responses import Response

from data.taxonomy import ROUTES
from serving.dialects.host import MODEL_NAME
from serving.dialects.kserve.tensors import Datatype, Element, Tensor, TensorError, parts_of, texts_of_bytes, to_bytes
from serving.dialects.kserve.wire import InferRequest, InferResponse, InputTensor, OutputTensor
from serving.dialects.records import Record
from serving.errors import BadJsonError
from serving.requests import invalid_value, parse_posts
from serving.wire import Limits, PredictRequest

HEADER_LENGTH = "Inference-Header-Content-Length"
INPUTS = ("text", "post")
_SANE_LENGTH = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Output:
    """A column of the answer as a tensor: its datatype, its elements for one record, and how many they are."""

    datatype: Datatype
    of: Callable[[Record], Sequence[Element]]
    width: tuple[int, ...] = ()


def _one(of: Callable[[Record], Element]) -> Callable[[Record], Sequence[Element]]:
    return lambda record: (of(record),)


OUTPUTS: dict[str, Output] = {
    "route": Output("BYTES", _one(lambda record: record.route)),
    "confidence": Output("FP32", _one(lambda record: record.confidence)),
    "probabilities": Output(
        "FP32", lambda record: [record.probabilities[label] for label in ROUTES], width=(len(ROUTES),)
    ),
    "intent": Output("BYTES", _one(lambda record: record.intent)),
    "intent_confidence": Output("FP32", _one(lambda record: record.intent_confidence)),
    "action": Output("BYTES", _one(lambda record: record.action)),
    "queue": Output("BYTES", _one(lambda record: record.queue)),
    "abstained": Output("BOOL", _one(lambda record: record.abstained)),
    "move_to_private": Output("BOOL", _one(lambda record: record.move_to_private)),
    "reasons": Output("BYTES", _one(lambda record: ",".join(record.reasons))),
    "prediction_id": Output("BYTES", _one(lambda record: record.prediction_id)),
    "model_version": Output("BYTES", _one(lambda record: record.versions.model)),
    "policy_version": Output("BYTES", _one(lambda record: record.versions.policy)),
}


def split(body: bytes, header: str | None) -> tuple[bytes, bytes]:
    """The JSON of a body, and the binary data after it; `header` says where the one ends.

    Raises:
        BadJsonError: when it does not.
    """
    if header is None:
        return body, b""
    if not _SANE_LENGTH.fullmatch(header) or int(header) > len(body):
        raise BadJsonError(
            f"The body could not be read: the header {HEADER_LENGTH} is no length within its {len(body)} bytes. "
            "Wanted: how many bytes of JSON stand before the tensors. Let a client of the protocol write it."
        )
    return body[: int(header)], body[int(header) :]


def _flat(data: Sequence[JsonValue]) -> list[JsonValue]:
    """The elements of a tensor, which JSON may hold flat or by its first dimension."""
    return list(chain.from_iterable(each if isinstance(each, list) else [each] for each in data))


def _texts(tensor: InputTensor, binary: bytes, place: str) -> list[str]:
    """The elements of an input, checked against its datatype and shape."""
    if tensor.datatype != "BYTES":
        raise invalid_value(f"{place}.datatype", tensor.datatype, wanted="BYTES", code="wrong_datatype")
    if tensor.data is not None:
        elements = _flat(tensor.data)
        texts = [each for each in elements if isinstance(each, str)]
        if len(texts) < len(elements):
            raise invalid_value(f"{place}.data", elements, wanted="strings", code="wrong_datatype")
    else:
        try:
            texts = texts_of_bytes(binary)
        except TensorError as error:
            raise invalid_value(place, binary, wanted=str(error), code="not_a_tensor") from None
    if tensor.shape not in ([len(texts)], [len(texts), 1]):
        wanted = f"[{len(texts)}] or [{len(texts)}, 1], as many as there are elements"
        raise invalid_value(f"{place}.shape", tensor.shape, wanted=wanted, code="wrong_shape")
    return texts


def _binary_parts(asked: InferRequest, binary: bytes) -> list[bytes]:
    """The binary data of each input, empty where it has none."""
    for number, tensor in enumerate(asked.inputs):
        if (tensor.data is None) == (tensor.parameters.binary_data_size is None):
            wanted = "either data or parameters.binary_data_size"
            raise invalid_value(f"inputs.{number}", tensor.name, wanted=wanted, code="no_data")
    try:
        return parts_of(binary, [tensor.parameters.binary_data_size or 0 for tensor in asked.inputs])
    except TensorError as error:
        raise invalid_value("inputs", binary, wanted=str(error), code="wrong_size") from None


def _parsed(text: str, number: int) -> JsonValue:
    try:
        value: JsonValue = from_json(text)
    except ValueError:
        raise invalid_value(f"post.{number}", text, wanted="a post as JSON", code="json_invalid") from None
    return value


def posts_of(asked: InferRequest, binary: bytes, limits: Limits) -> list[PredictRequest]:
    """The posts of a request.

    Raises:
        InvalidPostError: when the inputs are not one tensor `text` or one tensor `post`, or hold no valid posts.
    """
    parts = _binary_parts(asked, binary)
    names = [tensor.name for tensor in asked.inputs]
    if names not in (["text"], ["post"]):
        wanted = "one input: `text`, or `post` where more than the text is known"
        raise invalid_value("inputs", names, wanted=wanted, code="wrong_inputs")
    texts = _texts(asked.inputs[0], parts[0], "inputs.0")
    if names == ["text"]:
        return parse_posts([{"text": text} for text in texts], limits, place="text")
    return parse_posts([_parsed(text, number) for number, text in enumerate(texts)], limits, place="post")


def wanted_outputs(asked: InferRequest) -> dict[str, bool]:
    """The names of the outputs to give, in order, and whether each is to come in bytes.

    Raises:
        InvalidPostError: when there is no such output.
    """
    everywhere = asked.parameters.binary_data_output
    if not asked.outputs:
        return dict.fromkeys(OUTPUTS, everywhere)
    for number, each in enumerate(asked.outputs):
        if each.name not in OUTPUTS:
            wanted = f"one of {', '.join(OUTPUTS)}"
            raise invalid_value(f"outputs.{number}.name", each.name, wanted=wanted, code="unknown_output")
    return {
        each.name: everywhere if each.parameters.binary_data is None else each.parameters.binary_data
        for each in asked.outputs
    }


def _tensor(name: str, records: Sequence[Record]) -> Tensor:
    output = OUTPUTS[name]
    elements = tuple(chain.from_iterable(map(output.of, records)))
    return Tensor(name, output.datatype, (len(records), *output.width), elements)


def response_of(asked: InferRequest, wanted: Mapping[str, bool], records: Sequence[Record]) -> Response:
    """The answer in JSON, or in JSON and bytes where any output is wanted so."""
    outputs, binary = [], []
    for name, in_bytes in wanted.items():
        tensor = _tensor(name, records)
        output = OutputTensor(name=name, datatype=tensor.datatype, shape=tensor.shape)
        if in_bytes:
            binary.append(to_bytes(tensor))
            outputs.append(output.model_copy(update={"parameters": {"binary_data_size": len(binary[-1])}}))
        else:
            outputs.append(output.model_copy(update={"data": tensor.elements}))
    version = records[0].versions.model
    answer = InferResponse(model_name=MODEL_NAME, model_version=version, id=asked.id, outputs=outputs)
    header = answer.model_dump_json(exclude_none=True).encode()
    if not binary:
        return Response(header, media_type="application/json")
    headers = {HEADER_LENGTH: str(len(header))}
    return Response(b"".join([header, *binary]), media_type="application/octet-stream", headers=headers)
