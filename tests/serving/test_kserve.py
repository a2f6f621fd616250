"""The Open Inference Protocol, asked by hand and by Triton's own client."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from data.taxonomy import ROUTES
from serving.dialects.kserve.tensors import Tensor, TensorError, parts_of, texts_of_bytes, to_bytes
from tests.serving.clients import Serve
from tests.serving.dialects import KSERVE, MODEL, check_error
from tests.serving.gates import GATE_WORD, GatedClassifier

INFER = f"{MODEL}/infer"
PARCEL, INJURED = "where is my parcel?", "my son was injured"
LENGTH = "Inference-Header-Content-Length"


def tensor(name: str, *elements: object, **fields: object) -> dict[str, object]:
    return {"name": name, "datatype": "BYTES", "shape": [len(elements)], "data": list(elements), **fields}


def infer(client: TestClient, *inputs: object, **body: object) -> Any:
    response = client.post(INFER, json={"inputs": list(inputs), **body})
    assert response.status_code == 200, response.text
    return response.json()


def refusal(client: TestClient, *inputs: object, **body: object) -> tuple[str, str]:
    error = check_error(client.post(INFER, json={"inputs": list(inputs), **body}), 422, KSERVE)
    return error["details"][0]["field"], error["details"][0]["code"]


def outputs_of(answer: Any) -> dict[str, Any]:
    return {each["name"]: each["data"] for each in answer["outputs"]}


def served_version(client: TestClient) -> str:
    return str(client.get("/v1/model").json()["versions"]["model"])


# JSON


def test_all_outputs_are_the_answer_of_our_own_interface_by_column(client: TestClient) -> None:
    answer = infer(client, tensor("text", PARCEL, INJURED), id="7")
    own = [client.post("/v1/predict", json={"text": text}).json() for text in (PARCEL, INJURED)]
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("signalbox", served_version(client), "7")
    found = outputs_of(answer)
    assert len(set(found.pop("prediction_id"))) == 2
    assert found == {
        "route": [each["route"]["label"] for each in own],
        "confidence": [each["route"]["confidence"] for each in own],
        "probabilities": [each["route"]["probabilities"][label] for each in own for label in ROUTES],
        "intent": [each["intent"]["label"] for each in own],
        "intent_confidence": [each["intent"]["confidence"] for each in own],
        "action": ["auto_answer", "specialist"],
        "queue": ["auto", "sensitive"],
        "abstained": [False, False],
        "move_to_private": [False, False],
        "reasons": ["simple_over_threshold", "sensitive_over_threshold"],
        "model_version": [each["versions"]["model"] for each in own],
        "policy_version": ["7", "7"],
    }


def test_the_metadata_name_every_input_and_every_output_as_they_are_given(client: TestClient) -> None:
    metadata = client.get(MODEL).json()
    assert metadata["versions"] == [served_version(client)]
    assert [each["name"] for each in metadata["inputs"]] == ["text", "post"]
    given_back = infer(client, tensor("text", PARCEL, INJURED, PARCEL))["outputs"]
    for described, output in zip(metadata["outputs"], given_back, strict=True):
        assert (described["name"], described["datatype"]) == (output["name"], output["datatype"])
        assert output["shape"] == [3, *described["shape"][1:]]


def test_only_the_outputs_that_are_wanted_are_given_and_in_that_order(client: TestClient) -> None:
    answer = infer(client, tensor("text", PARCEL), outputs=[{"name": "queue"}, {"name": "action"}])
    assert [each["name"] for each in answer["outputs"]] == ["queue", "action"]


def test_an_input_may_be_a_column(client: TestClient) -> None:
    for data in ([[PARCEL], [INJURED]], [PARCEL, INJURED]):
        answer = infer(client, {"name": "text", "datatype": "BYTES", "shape": [2, 1], "data": data})
        assert outputs_of(answer)["route"] == ["simple", "sensitive"]


def test_whole_posts_come_as_json(client: TestClient) -> None:
    post = json.dumps({"text": PARCEL, "author": {"followers": 60_000}})
    assert outputs_of(infer(client, tensor("post", post)))["reasons"] == ["followers_over_line"]


@pytest.mark.parametrize(
    ("inputs", "field", "code"),
    [
        ([], "inputs", "too_short"),
        ([tensor("text")], "text", "too_short"),
        ([tensor("words", "a")], "inputs", "wrong_inputs"),
        ([tensor("text", "a"), tensor("post", '{"text": "a"}')], "inputs", "wrong_inputs"),
        ([tensor("text", "a", datatype="FP32")], "inputs.0.datatype", "wrong_datatype"),
        ([tensor("text", 3)], "inputs.0.data", "wrong_datatype"),
        ([tensor("text", "a", shape=[2])], "inputs.0.shape", "wrong_shape"),
        ([tensor("text", "a", shape=[1, 1, 1])], "inputs.0.shape", "wrong_shape"),
        ([tensor("text", "a", shape=[-1])], "inputs.0.shape.0", "greater_than_equal"),
        ([{"name": "text", "datatype": "BYTES", "shape": [1]}], "inputs.0", "no_data"),
        ([tensor("text", "a", parameters={"binary_data_size": 5})], "inputs.0", "no_data"),
        (
            [tensor("text", "a", parameters={"shared_memory_region": "r"})],
            "inputs.0.parameters.shared_memory_region",
            "unknown_field",
        ),
        ([tensor("post", "{")], "post.0", "json_invalid"),
        ([tensor("post", "[" * 5_000)], "post.0", "json_invalid"),
        ([tensor("post", "3")], "post.0", "model_type"),
        ([tensor("post", '{"text": "a"}', '{"text": "a", "txet": 1}')], "post.1.txet", "unknown_field"),
    ],
)
def test_inputs_that_are_no_posts_are_refused_by_name(
    client: TestClient, inputs: list[object], field: str, code: str
) -> None:
    assert refusal(client, *inputs) == (field, code)


def test_an_output_that_is_not_there_is_refused_with_all_that_are(client: TestClient) -> None:
    body = {"inputs": [tensor("text", "a")], "outputs": [{"name": "logits"}]}
    error = check_error(client.post(INFER, json=body), 422, KSERVE)
    assert error["details"][0]["field"] == "outputs.0.name"
    assert "probabilities" in error["error"]
    classes = {"name": "route", "parameters": {"classification": 2}}
    assert refusal(client, tensor("text", "a"), outputs=[classes])[1] == "unknown_field"


def test_the_time_that_the_protocol_allows_a_request_is_kept(serve: Serve) -> None:
    classifier = GatedClassifier()
    with serve(classifier) as client:
        body = {"inputs": [tensor("text", GATE_WORD)], "parameters": {"timeout": 20_000}}
        check_error(client.post(INFER, json=body), 504, KSERVE)
        classifier.gate.set()


def test_a_version_is_answered_where_it_is_in_service_and_nowhere_else(client: TestClient) -> None:
    body = {"inputs": [tensor("text", PARCEL)]}
    for version, status in ((served_version(client), 200), ("1", 404)):
        place = f"{MODEL}/versions/{version}"
        assert client.post(f"{place}/infer", json=body).status_code == status
        assert client.get(place).status_code == status
        assert client.get(f"{place}/ready").status_code == status
    check_error(client.post(f"{MODEL}/versions/1/infer", json=body), 404, KSERVE)
    check_error(client.get("/v2/models/other"), 404, KSERVE)


def test_the_server_says_what_it_is_and_that_it_lives(client: TestClient) -> None:
    assert client.get("/v2").json() == {"name": "signalbox", "version": "1", "extensions": ["binary_tensor_data"]}
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get(f"{MODEL}/ready").json() == {"name": "signalbox", "ready": True}


# Bytes


def packed(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(each)) + each for each in elements)


def ask_in_bytes(client: TestClient, binary: bytes, size: int | None = None, length: str | None = None) -> Any:
    parameters = {"binary_data_size": len(binary) if size is None else size}
    head = json.dumps(
        {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "parameters": parameters}]}
    ).encode()
    sent = {
        b"content-type": b"application/octet-stream",
        LENGTH.encode(): (length or str(len(head))).encode("latin-1"),
    }
    return client.post(INFER, content=head + binary, headers=sent)


def test_a_body_of_json_and_bytes_is_read_up_to_where_its_header_says(client: TestClient) -> None:
    assert outputs_of(ask_in_bytes(client, packed(PARCEL.encode())).json())["route"] == ["simple"]


@pytest.mark.parametrize("length", ["-1", "x", "99999", "9" * 400, "0" * 5_000, "1.5", "²"])
def test_a_length_that_is_none_is_refused(client: TestClient, length: str) -> None:
    binary = packed(PARCEL.encode())
    check_error(ask_in_bytes(client, binary, length=length), 400, KSERVE)


@pytest.mark.parametrize(
    ("binary", "size", "code"),
    [
        (packed(b"thanks"), 9, "wrong_size"),
        (packed(b"thanks"), 11, "wrong_size"),
        (b"\x07\x00\x00\x00thanks", None, "not_a_tensor"),
        (b"\x00\x00", None, "not_a_tensor"),
        (packed(b"\xff"), None, "not_a_tensor"),
        (packed(b"a", b"b"), None, "wrong_shape"),
        (b"", None, "wrong_shape"),
    ],
)
def test_bytes_that_are_no_tensor_are_refused(client: TestClient, binary: bytes, size: int | None, code: str) -> None:
    assert check_error(ask_in_bytes(client, binary, size), 422, KSERVE)["details"][0]["code"] == code


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5))
def test_texts_as_bytes_and_back_are_the_same(texts: list[str]) -> None:
    raw = to_bytes(Tensor("text", "BYTES", (len(texts),), tuple(texts)))
    assert texts_of_bytes(raw) == texts


@given(st.binary(max_size=64))
def test_any_bytes_are_texts_or_refused(raw: bytes) -> None:
    try:
        texts = texts_of_bytes(raw)
    except TensorError:
        return
    assert packed(*(text.encode() for text in texts)) == raw


@given(st.lists(st.binary(max_size=9), max_size=5))
def test_a_body_in_parts_is_the_body(parts: list[bytes]) -> None:
    assert parts_of(b"".join(parts), [len(part) for part in parts]) == parts
    with pytest.raises(TensorError):
        parts_of(b"".join(parts), [*map(len, parts), 1])


# Triton's own client


@pytest.fixture
def triton(serving_address: str) -> Any:
    """Triton's client of a real server, and its module."""
    http = pytest.importorskip("tritonclient.http", reason="the environment that proves serving light has it not")
    with http.InferenceServerClient(serving_address.removeprefix("http://")) as client:
        yield client, http


def input_of(http: Any, name: str, *elements: str, binary: bool = True) -> Any:
    numpy = pytest.importorskip("numpy")
    made = http.InferInput(name, [len(elements)], "BYTES")
    made.set_data_from_numpy(numpy.array([each.encode() for each in elements], dtype=object), binary_data=binary)
    return made


def test_the_client_of_triton_finds_the_server_and_its_model(triton: Any) -> None:
    client, _ = triton
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("signalbox")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    (version,) = client.get_model_metadata("signalbox")["versions"]
    assert client.is_model_ready("signalbox", version)


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_the_client_of_triton_is_answered_in_json_and_in_bytes(
    triton: Any, binary_in: bool, binary_out: bool | None
) -> None:
    client, http = triton
    names = ("route", "confidence", "probabilities", "action", "abstained")
    outputs = [http.InferRequestedOutput(name, binary_data=binary_out) for name in names]
    posts = input_of(http, "text", PARCEL, "naïve thanks ✓", INJURED, binary=binary_in)
    result = client.infer("signalbox", [posts], outputs=outputs if binary_out is not None else None, request_id="7")
    assert result.get_response()["id"] == "7"
    assert [str(each, "utf-8") if isinstance(each, bytes) else each for each in result.as_numpy("action")] == [
        "auto_answer",
        "auto_answer",
        "specialist",
    ]
    assert result.as_numpy("probabilities").shape == (3, 4)
    assert result.as_numpy("probabilities").dtype == "float32"
    assert list(result.as_numpy("probabilities").argmax(axis=1)) == [0, 0, 2]
    assert abs(result.as_numpy("confidence")[0] - 0.998995) < 1e-6
    assert list(result.as_numpy("abstained")) == [False, False, False]
    assert (result.as_numpy("queue") is None) == (binary_out is not None)


def test_the_client_of_triton_may_send_whole_posts_and_name_a_version(triton: Any) -> None:
    client, http = triton
    (version,) = client.get_model_metadata("signalbox")["versions"]
    post = input_of(http, "post", json.dumps({"text": PARCEL, "author": {"followers": 60_000}}))
    result = client.infer("signalbox", [post], model_version=version)
    assert list(result.as_numpy("queue")) == [b"influencer"]


def test_the_client_of_triton_is_told_what_is_wrong(triton: Any) -> None:
    client, http = triton
    utils = pytest.importorskip("tritonclient.utils")
    with pytest.raises(utils.InferenceServerException) as refused:
        client.infer("signalbox", [input_of(http, "text", "")])
    assert refused.value.status() == "422"
    assert "The request is not valid at text.0.text" in refused.value.message()
