"""The manual is run: every example of docs/api.md, every field, every error."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
from starlette.testclient import TestClient

from serving.errors import API_ERRORS
from serving.metrics import ConnectionCode
from serving.openapi import POST_FIELDS

API = Path("docs/api.md").read_text(encoding="utf-8")
POLICY_CODE = re.compile(r'Reason\(\s*"(\w+)"')
ROUTE_CODES = {"route_complex", "route_sensitive", "route_influencer"}


class Example(NamedTuple):
    method: str
    path: str
    body: str
    status: int
    answer: str | None


def examples() -> list[Example]:
    """The examples in order: a request, and the answer that is written after it, if one is."""
    found = []
    pattern = r"```json request (\w+) (\S+)\n(.*?)```(?:\n```json answer (\d+)\n(.*?)```)?"
    for method, path, body, status, answer in re.findall(pattern, API, re.S):
        found.append(Example(method, path, body, int(status or 200), answer or None))
    return found


def shape(value: Any) -> Any:
    """The names and kinds of a value, without what it says; of a list, the shape of its first element."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def without_numbers(value: object) -> str:
    """What a value says without its scores, and without the ids and versions that every server has its own of."""
    text = re.sub(r"\d\.\d+", "#", json.dumps(value))
    text = re.sub(r'("prediction_id"): "[^"]*"', r"\1", text)
    return re.sub(r'("versions"): \{.*?\}|("model_version"): "[^"]*"', r"\1", text)


def test_the_manual_has_its_examples() -> None:
    assert len(examples()) == API.count("```json request") == 8
    assert sum(example.answer is not None for example in examples()) == API.count("```json answer") == 6


def test_every_program_of_the_manual_prints_what_the_manual_says(
    serving_address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = re.findall(r"```python\n(.*?)```\n```text\n(.*?)```", API, re.S)
    assert len(programs) == API.count("```python") == 2
    for program, printed in programs:
        exec(program.replace("http://127.0.0.1:8000", serving_address).replace("timeout_s=2.0", "timeout_s=120.0"), {})
        assert capsys.readouterr().out == printed


@pytest.mark.parametrize("example", examples(), ids=lambda example: f"{example.method} {example.path} {example.status}")
def test_every_example_is_answered_as_the_manual_says(client: TestClient, example: Example) -> None:
    headers = {"content-type": "application/json"} if example.body else {}
    response = client.request(example.method, example.path, content=example.body or None, headers=headers)
    assert response.status_code == example.status, response.text
    if example.answer is None:
        return
    written, got = json.loads(example.answer), response.json()
    assert shape(got) == shape(written)
    if example.status != 200:
        assert got == written
        return
    if not example.path.startswith("/v1/"):
        assert without_numbers(got) == without_numbers(written)
        return
    assert (got["id"], got["due"], got["truncated"]) == (written["id"], written["due"], written["truncated"])
    assert got["route"]["label"] == written["route"]["label"]
    assert got["intent"]["label"] == written["intent"]["label"]
    assert without_numbers(got["decision"]) == without_numbers(written["decision"])


def test_every_field_of_a_request_is_in_the_manual_with_its_meaning() -> None:
    prefixes = {"PredictRequest": "", "Author": "author.", "Reach": "reach."}
    for model, fields in POST_FIELDS.items():
        for field, meaning in fields.items():
            assert f"| `{prefixes[model]}{field}` | {meaning} |" in API


def test_every_field_of_an_answer_is_in_the_manual(client: TestClient) -> None:
    answer = client.post("/v1/predict", json={"text": "thanks", "posted_at": "2026-11-22T09:00:00Z"}).json()
    for name, value in answer.items():
        described = isinstance(value, dict) and name != "versions"
        for path in [f"{name}.{inner}" for inner in value] if described else [name]:
            assert f"`{path}`" in API


def test_every_field_of_the_model_route_is_in_the_manual(client: TestClient) -> None:
    for name in client.get("/v1/model").json():
        assert f"`{name}`" in API


def test_every_error_is_in_the_manual_with_its_meaning() -> None:
    for error in API_ERRORS:
        assert f"| {error.status} | `{error.code}` | {error.meaning} |" in API


def test_every_refusal_of_a_connection_is_in_the_manual() -> None:
    for code in get_args(ConnectionCode):
        assert f"`{code}`" in API


def test_every_code_of_a_reason_is_in_the_manual_and_on_the_page() -> None:
    codes = ROUTE_CODES | set(POLICY_CODE.findall(Path("models/policy.py").read_text(encoding="utf-8")))
    for module in ("rules", "braking"):
        codes |= set(POLICY_CODE.findall(Path(f"serving/{module}.py").read_text(encoding="utf-8")))
    codes |= {"sensitive_over_threshold", "influencer_over_threshold"}
    assert len(codes) > 15
    page = Path("serving/pages/index.html").read_text(encoding="utf-8")
    for code in codes:
        assert f"`{code}`" in API
        assert f"  {code}:" in page


def test_every_route_is_in_the_manual_and_described_for_programs(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    for route in client.app.routes:  # type: ignore[attr-defined] # what a client calls is typed as any application
        for method in route.methods:
            documented = f"{method} {route.path}" in API or route.path.startswith("/docs/")
            assert documented, route.path
            assert (method.lower() in document["paths"].get(route.path, {})) == route.include_in_schema


def test_every_field_is_explained_to_programs(client: TestClient) -> None:
    """Fields of requests, and of what answers one post; what needs no word is a label, a number or a time by name."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for model in ("PredictRequest", "Author", "Reach", "Detail"):
        for name, field in schemas[model]["properties"].items():
            assert field.get("description"), f"{model}.{name}"
    assert schemas["PredictRequest"]["examples"][0]["id"] == "1059"
    body = client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]["requestBody"]
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/PredictRequest"}
    assert set(schemas["PredictRequest"]["properties"]) == set(POST_FIELDS["PredictRequest"])


def test_no_reference_of_the_description_leads_nowhere(client: TestClient) -> None:
    text = client.get("/openapi.json").text
    schemas = json.loads(text)["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert references <= set(schemas)
    assert {"PredictRequest", "BatchRequest", "PredictResponse", "ErrorResponse"} <= references
