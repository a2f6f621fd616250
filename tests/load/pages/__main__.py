"""`python -m tests.load.pages`: how long each page of the workbench takes over a journal of 100,000 decisions.

People's text goes to stderr; the last line of stdout is one JSON object. Exit codes: 0 all pages within the limit,
1 not, 2 misuse.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from serving.journal.address import read_address
from tests.load.pages.times import LIMIT_MS, fill_journal, measure, signed_in, table
from tests.postgres import NoPostgresError, running_cluster


@contextmanager
def _journal(given: str | None, *, postgres: bool) -> Iterator[str]:
    if postgres:
        with running_cluster() as cluster:
            yield cluster.url
        return
    with tempfile.TemporaryDirectory() as directory:
        yield given or f"sqlite:///{directory}/journal.db"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 all within the limit, 1 not, 2 misuse."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.pages",
        description="Open every page of the workbench over a large journal, and say how long each takes.",
        epilog="examples:\n  python -m tests.load.pages\n  python -m tests.load.pages --postgres --times 20\n"
        "  python -m tests.load.pages --journal sqlite:///var/large.db --only confusion",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--posts", type=int, default=100_000, help="in the journal, where it is empty (%(default)s)")
    parser.add_argument("--times", type=int, default=10, help="how often each is opened after the first (%(default)s)")
    parser.add_argument("--only", default="", help="those with this in their name")
    parser.add_argument("--journal", help="a demo's journal, filled where it is not and kept")
    parser.add_argument("--postgres", action="store_true", help="a PostgreSQL of its own")
    arguments = parser.parse_args(argv)
    try:
        with _journal(arguments.journal, postgres=arguments.postgres) as journal:
            address = read_address(journal)
            if address is None:
                parser.error("--journal is off; wanted: a database")
            fill_journal(address, arguments.posts)
            with tempfile.TemporaryDirectory() as directory, signed_in(journal, Path(directory)) as (client, server):
                found = measure(client, server, arguments.times, arguments.only)
    except NoPostgresError as error:
        print(f"Nothing was measured: {error}", file=sys.stderr)
        return 2
    print(table(found), file=sys.stderr)
    slow = [each.name for each in found if each.worst_ms > LIMIT_MS]
    worst = {
        "worst_ms": round(max((each.worst_ms for each in found), default=0.0)),
        "worst_cpu_ms": round(max((max(each.cpu_ms) for each in found), default=0.0)),
    }
    print(json.dumps({"pages": len(found), **worst, "over_the_limit": slow}))
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
