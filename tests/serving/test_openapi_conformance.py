"""The OpenAPI document against a real server: schemathesis calls every operation, rightly and wrongly, with a key.

Checked by its own checks: only the documented statuses, media types, headers and bodies; and no fault of the server.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

pytest.importorskip("schemathesis", reason="group dev")
import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.auth import hash_key
from serving.settings import Settings
from tests.serving.clients import PATIENT_MS, MakePredictor, running_server

DOCUMENT: dict[str, Any] = json.loads(Path("docs/openapi.json").read_text(encoding="utf-8"))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKED: list[Any] = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
KEY = "the key that may do everything"
EXAMPLES = 30
"""For each operation; the same ones at every run."""


@pytest.fixture(scope="module")
def address(make_predictor: MakePredictor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server with fakes, where one key opens every route."""
    directory = tmp_path_factory.mktemp("conformance")
    keys = directory / "keys.json"
    scopes = ["predict", "feedback", "model", "metrics", "admin"]
    keys.write_text(json.dumps({"keys": [{"name": "all", "sha256": hash_key(KEY), "scopes": scopes}]}))
    journal = f"sqlite:///{directory / 'journal.db'}"
    nowhere = directory / "nowhere"  # so that no reload has anything to load
    own = Settings(port=0, request_timeout_ms=PATIENT_MS, api_keys_file=keys, journal=journal, bundle=nowhere)
    with running_server(own, make_predictor) as address:
        yield address


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_an_operation_answers_as_it_is_documented(case: "schemathesis.Case[Any]", address: str) -> None:
    response = case.call(base_url=address, headers={"X-API-Key": KEY})
    case.validate_response(response, checks=CHECKED)
    given_up = response.status_code == 504 and "X-Request-Timeout-Ms" in (case.headers or {})
    assert response.status_code < 500 or given_up, response.text


def test_every_documented_operation_is_called() -> None:
    documented = {(method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations}
    operations_found: list[Any] = list(SCHEMA.get_all_operations())
    found = {(each.ok().method.upper(), each.ok().path) for each in operations_found}
    assert found == documented
