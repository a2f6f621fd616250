"""How a client without a browser signs in and sends forms."""

import re

from httpx2 import Response
from starlette.testclient import TestClient


def token_in(page: str) -> str:
    """The token that the forms of a page carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found, page
    return found.group(1)


def token_of(page: Response) -> str:
    """The token that the forms of a page carry."""
    return token_in(page.text)


def sign_in(client: TestClient, key: str, target: str = "/qa") -> Response:
    """The answer to signing in, on an open server with a name."""
    token = token_of(client.get("/qa/login"))
    return client.post("/qa/login", data={"csrf": token, "key": key, "next": target})


def token_for(client: TestClient) -> str:
    """The token of a client that is signed in."""
    return token_of(client.get("/qa"))
