"""What `python -m serving demo` does before it serves. Owns which journal is a demo's, and what its pages say of it."""

from datetime import UTC, datetime
from pathlib import Path

from data.progress import progress_bar
from data.rejects import SourceError
from data.splits import SplitsError
from models.bundle import BundleError
from models.predictor import Predictor
from serving.journal.address import OFF, Address, read_address
from serving.journal.faults import JournalError
from serving.loading import load_predictor
from serving.logs import configure_logs
from serving.settings import Settings, SettingsError, read_settings, variable
from serving.workbench.demo.filling import Filled, fill

JOURNAL = "sqlite:///var/demo.db"
LEAST_POSTS, MOST_POSTS = 100, 1_000_000
"""Below, most hours are empty; above, it takes hours."""
AUTHOR_KEY = "no secret: of invented people"
NOTICE = (
    "A demo: real judgements of posts that the model was not trained on; times, authors, demo-ada and demo-ben are "
    "invented."
)


def _address(journal: str, in_use: str) -> Address:
    address = read_address(journal)
    if address is None or journal == in_use:
        got = f"it is {OFF!r}" if address is None else f"{variable('journal')} names it: it is the journal in use"
        raise SettingsError(
            f"The demo was not filled: its journal cannot be this one, since {got}. Wanted: a database of its own, "
            f"such as {JOURNAL}. Name it with --journal."
        )
    return address


def _filled(settings: Settings, predictor: Predictor, address: Address, posts: int, *, fresh: bool) -> Filled:
    now = datetime.now(UTC)
    try:
        return fill(
            address,
            predictor,
            settings.qa_posts,
            now=now,
            author_key=AUTHOR_KEY,
            watch=progress_bar,
            posts=posts,
            fresh=fresh,
        )
    except (SourceError, SplitsError) as error:
        raise SettingsError(str(error)) from None
    except JournalError as error:
        raise SettingsError(
            f"The demo was not filled: {address.name} answers {error.code}. Wanted: a database that can be written to. "
            "Name another one with --journal."
        ) from None


def prepare(
    journal: str, *, posts: int, fresh: bool, host: str | None, port: int | None, bundle: Path | None
) -> tuple[Settings, Predictor, dict[str, object]]:
    """How to serve a demo, with what model, and what was added to its journal.

    Raises:
        SettingsError: when the journal is no demo's, or what a demo is made of cannot be used.
    """
    if not LEAST_POSTS <= posts <= MOST_POSTS:
        raise SettingsError(
            f"The demo was not filled: --posts is {posts}. Wanted: {LEAST_POSTS} to {MOST_POSTS}. Correct it."
        )
    in_use = read_settings(host=host, port=port, bundle=bundle)
    address = _address(journal, in_use.journal)
    settings = in_use.model_copy(
        update={"journal": journal, "author_key": AUTHOR_KEY, "brake": True, "qa_notice": NOTICE}
    )
    configure_logs("error")  # what the past logs is no event of today, and would tear the bars
    try:
        predictor = load_predictor(settings)
    except BundleError as error:
        raise SettingsError(str(error)) from None
    filled = _filled(settings, predictor, address, posts, fresh=fresh)
    configure_logs(settings.log_level)
    added = {"posts": filled.posts, "readings": filled.readings, "proposals": filled.proposals}
    return settings, predictor, {"journal": address.name, **added}
