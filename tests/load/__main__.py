"""`python -m tests.load`: one drill against a real server on this machine.

People's text goes to stderr; the last line of stdout is one JSON object. Exit codes: 0 passed, 1 not, 2 misuse.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.load.drills import DRILLS, Database, PostgresDatabase, make_place
from tests.load.posting import corpus_posts
from tests.postgres import NoPostgresError, running_cluster


def _end(number: int, _: object) -> None:
    """Ends the drill as Ctrl-C does, so that it does not leave its server running."""
    raise SystemExit(128 + number)


@contextmanager
def _database(*, postgres: bool) -> Iterator[Database | None]:
    if not postgres:
        yield None
        return
    with running_cluster() as cluster:
        yield PostgresDatabase(cluster)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 the drill passed, 1 it did not, 2 misuse."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.load",
        description="Run one drill: do something to a server under load, and account for every post.",
        epilog="examples:\n  python -m tests.load kill\n  python -m tests.load routing --seconds 600 --postgres",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("drill", choices=sorted(DRILLS), help="kill -9, SIGTERM, hot swaps, or all that a router meets")
    parser.add_argument("--seconds", type=float, default=20.0, help="of load (%(default)s)")
    parser.add_argument(
        "--postgres", action="store_true", help="keep the journal in a PostgreSQL that crashes in outages"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the JSON goes besides stdout")
    arguments = parser.parse_args(argv)
    drill = DRILLS[arguments.drill]
    print(drill.__doc__, file=sys.stderr)
    signal.signal(signal.SIGTERM, _end)
    try:
        with tempfile.TemporaryDirectory() as directory, _database(postgres=arguments.postgres) as database:
            report, passed = drill(make_place(Path(directory), database), corpus_posts(), arguments.seconds)
    except NoPostgresError as error:
        print(f"The drill did not begin: {error}", file=sys.stderr)
        return 2
    began = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"drill": arguments.drill, "at": began, "seconds": arguments.seconds, "passed": passed} | report)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
