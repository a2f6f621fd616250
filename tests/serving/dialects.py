"""The dialects as their tests ask them: which routes they have, how each is asked, and how each says an error."""

from dataclasses import dataclass
from typing import Any

from httpx2 import Response


@dataclass(frozen=True)
class Spoken:
    """One dialect: the route that judges posts, a body for it, what needs a key beside it, and what is open to all."""

    path: str
    closed: tuple[str, ...]
    open: tuple[str, ...]
    error: str
    """The field of an error's body that holds the message."""

    def body(self, *texts: str) -> dict[str, Any]:
        """The request that asks about texts."""
        if self.path == "/invocations":
            return {"dataframe_records": [{"text": text} for text in texts]}
        if self.path == "/predict":
            return {"inputs": [[text] for text in texts]}
        return {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}]}


MODEL = "/v2/models/signalbox"
VERSION = f"{MODEL}/versions/{{version}}"
KSERVE = Spoken(
    path=f"{MODEL}/infer",
    closed=(MODEL, VERSION),
    open=("/v2", "/v2/health/live", "/v2/health/ready", f"{MODEL}/ready", f"{VERSION}/ready"),
    error="error",
)
MLFLOW = Spoken(path="/invocations", closed=(), open=("/ping", "/version"), error="message")
TEI = Spoken(path="/predict", closed=("/info",), open=("/health",), error="error")
DIALECTS = {"kserve": KSERVE, "mlflow": MLFLOW, "tei": TEI}
OPEN_PATHS = {path for each in DIALECTS.values() for path in each.open}
POSTS_TAKEN_AT = {each.path for each in DIALECTS.values()} | {f"{VERSION}/infer"}
CLOSED_ROUTES = {("POST", path) for path in POSTS_TAKEN_AT} | {
    ("GET", path) for each in DIALECTS.values() for path in each.closed
}


def check_error(response: Response, status: int, spoken: Spoken) -> dict[str, Any]:
    """The body of an error in the shape of its dialect, with the fallback that no failure may lack."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body: dict[str, Any] = response.json()
    further = {"mlflow": {"error_code"}, "tei": {"error_type"}, "kserve": set()}
    (name,) = (name for name, each in DIALECTS.items() if each is spoken)
    assert set(body) == {spoken.error, "details", "fallback", *further[name]}
    assert isinstance(body[spoken.error], str)
    assert body[spoken.error]
    assert body["fallback"] == {"action": "agent"}
    return body
