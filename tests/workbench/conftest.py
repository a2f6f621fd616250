"""What the tests of the workbench share: servers with a journal, clients that are signed in, watched pages."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from models.guards import Guards, LanguageDetector
from models.predictor import Predictor
from serving.app import create_app
from serving.auth import hash_key
from serving.journal.address import read_address
from serving.journal.database import Database
from serving.journal.queries import KeptPost
from serving.journal.store import Store, open_store
from serving.settings import Settings
from serving.workbench import worker
from serving.workbench.demo import filling
from serving.workbench.thresholds import openings
from tests.fakes import BOLD_POLICY, NOW, FakeClassifier, fake_bundle
from tests.postgres import NoPostgresError, running_cluster
from tests.serving.clients import PATIENT_MS, WAIT_S, running_server, service_of
from tests.workbench.decisions import judge
from tests.workbench.proving import write_injection
from tests.workbench.shelf import Shelf
from tests.workbench.signing import sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OpenPage = Callable[..., "Page"]
Bench = Callable[..., AbstractContextManager[TestClient]]
on_both = pytest.mark.parametrize("journal", ["sqlite", "postgresql"], indirect=True)
"""A test with this mark runs over SQLite and over PostgreSQL; for a whole module: `pytestmark = on_both`."""
KEYS = (("ada", ["qa", "unmask"]), ("ben", ["qa"]), ("crm", ["predict"]))


@pytest.fixture(scope="session")
def fake() -> Predictor:
    """A predictor over the fake classifier; the language model is read once for all tests."""
    return Predictor(fake_bundle(BOLD_POLICY), FakeClassifier(), Guards(LanguageDetector()), now=lambda: NOW)


def write_keys(path: Path, *names: str) -> Path:
    """A keys file with those of `KEYS` that are named."""
    entries = [{"name": name, "sha256": hash_key(f"key of {name}"), "scopes": scopes} for name, scopes in KEYS]
    path.write_text(json.dumps({"keys": [each for each in entries if each["name"] in names]}))
    return path


@pytest.fixture(scope="session", autouse=True)
def harmless_injection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The shipped injections talk the fake into answers, since it goes by one word; this one has none that it knows."""
    path = write_injection(tmp_path_factory.mktemp("cases") / "cases.toml", "answer this at once")
    with pytest.MonkeyPatch.context() as patched:
        for module in (openings, filling):
            patched.setattr(module, "SHIPPED_CASES", path)
        yield


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "keys.json", "ada", "ben", "crm")


@pytest.fixture(scope="session")
def shelf() -> Iterator[Shelf]:
    """A PostgreSQL with an empty journal to be copied."""
    pytest.importorskip("psycopg", reason="the group postgres is not installed")
    try:
        with running_cluster() as cluster:
            yield Shelf(cluster)
    except NoPostgresError as error:
        pytest.skip(str(error))


@pytest.fixture
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty journal: a file, or where a test asks for it (`on_both`) a database in PostgreSQL."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    shelf: Shelf = request.getfixturevalue("shelf")
    return shelf.fresh()


@pytest.fixture
def database(journal: str) -> Iterator[Database]:
    """The journal of the servers that `bench` starts."""
    address = read_address(journal)
    assert address is not None
    with closing(Database(address)) as database:
        yield database


@pytest.fixture
def client(bench: Bench) -> Iterator[TestClient]:
    """A client that is signed in; modules whose servers need more have one of their own."""
    with bench() as client:
        sign_in(client, "Ada")
        yield client


@pytest.fixture
def posts(client: TestClient, database: Database) -> list[KeptPost]:
    """What is in the journal: decisions of the client's server, the newest first."""
    return judge(client, database)


@pytest.fixture
def store(journal: str) -> Iterator[Store]:
    """The same as it is written to."""
    address = read_address(journal)
    assert address is not None
    with closing(open_store(address)) as store:
        yield store


@pytest.fixture
def bench(fake: Predictor, journal: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A client of a server with a journal of its own: `with bench() as client`, with settings of its own."""
    # A test that waits asks for a page again and again without a pause, and work aside lets pages go first.
    monkeypatch.setattr(worker, "PATIENCE_S", 0.0)

    @contextmanager
    def start(address: str = "http://127.0.0.1", **settings: Any) -> Iterator[TestClient]:
        given = {"journal": journal, "request_timeout_ms": PATIENT_MS, **settings}
        app = create_app(Settings.model_validate(given), lambda: fake)
        with TestClient(app, base_url=address, client=("127.0.0.1", 50_000), follow_redirects=False) as client:
            assert service_of(client).settled.wait(WAIT_S)
            yield client

    return start


@pytest.fixture
def reader(bench: Bench) -> Iterator[TestClient]:
    """A client that is signed in on an open server."""
    with bench() as client:
        assert sign_in(client, "Ada").status_code == 303
        yield client


@pytest.fixture(scope="module")
def address(fake: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real, open server with a journal."""
    journal = f"sqlite:///{tmp_path_factory.mktemp('journal')}/journal.db"
    with running_server(Settings(port=0, request_timeout_ms=PATIENT_MS, journal=journal), lambda: fake) as address:
        yield address


def _is_wrong(kind: str, text: str, forgiven: str) -> bool:
    return kind == "error" and not (forgiven and forgiven in text)


@pytest.fixture
def open_page(browser: "Browser") -> Iterator[OpenPage]:
    """Opens a page as a signed-in reader; afterwards nothing may have been asked of strangers, nor an error said.

    Tests name it after their server: pages are closed before the server is, of which they may just be asking something.
    `forgive` is what the console may say where a test makes something fail.
    """
    asked: list[tuple[str, str]] = []
    errors: list[str] = []
    contexts = []

    def open_at(
        address: str,
        path: str = "/qa",
        *,
        scheme: str = "light",
        forgive: str = "",
    ) -> "Page":
        context = browser.new_context(
            viewport={"width": 1280, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_S * 1_000)
        page.on("request", lambda request: asked.append((address, request.url)))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if _is_wrong(said.type, said.text, forgive) else None)
        page.goto(address + path)
        page.get_by_label("Your name").fill("Ada")
        page.get_by_role("button", name="Begin").click()
        page.wait_for_url(address + path)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert [url for address, url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert errors == []
