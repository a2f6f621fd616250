"""What a server says of its workbench where it has none; the workbench itself is tested in tests/workbench."""

import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.serving.clients import Serve


@pytest.mark.parametrize("path", ["/qa", "/qa/", "/qa/confusion"])
def test_a_server_without_a_journal_has_no_workbench_and_says_what_to_set(client: TestClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 501
    assert "SIGNALBOX_JOURNAL is `off`" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_a_server_without_the_group_says_what_to_type(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("serving.workbench.")]:
        if name.rpartition(".")[2] not in ("bench", "mount", "worker"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "itsdangerous", None)
    with serve(journal=f"sqlite:///{tmp_path}/journal.db") as client:
        page = client.get("/qa")
        assert page.status_code == 501
        assert "pip install --group workbench -c constraints.txt" in page.text
        assert client.post("/v1/predict", json={"text": "thanks"}).status_code == 200
