"""The commands of the server: `python -m serving VERB`.

More than 400 lines, since all commands of the server stand here with their help, and nothing else does.
People's text goes to stderr; the last line of stdout is one JSON object. Exit codes: 0 done, 1 a check failed or the
model did not start, 2 misuse.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.dependencies import MissingGroupError, needs_group

if TYPE_CHECKING:
    from models.predictor import Predictor
    from serving.settings import Settings

SETTINGS_HINT = "All settings are SIGNALBOX_ variables; they stand in docs/operations.md."
OPENAPI_FILE = Path("docs/openapi.json")
DONE, FAILED, MISUSE = 0, 1, 2
SCOPES = ("predict", "feedback", "model", "metrics", "admin", "qa", "unmask")
"""What a key may do, as `serving.auth` has it, which is only imported once its dependencies are known to be there."""
Verb = Callable[[argparse.Namespace], int]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _answer(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is stopped. Its JSON line on stdout comes when a model answers."""
    from serving.loading import load_predictor
    from serving.logs import configure_logs
    from serving.settings import read_settings

    settings = read_settings(host=arguments.host, port=arguments.port, bundle=arguments.bundle)
    configure_logs(settings.log_level)
    with ThreadPoolExecutor(1) as beside:  # the model is loaded while the libraries of the server are
        return _serve(settings, beside.submit(load_predictor, settings).result)


def _serve(settings: "Settings", load: Callable[[], "Predictor"], hint: str = "") -> int:
    from serving.app import create_app
    from serving.server import address_of, listen, serve
    from serving.spans import tracer_from

    app = create_app(settings, load, tracer_from(os.environ))
    with listen(settings) as listener:
        address = address_of(listener)

        def announce() -> None:
            _say(f"Signalbox answers at {address} (to try it by hand; the interface is at {address}/docs).")
            if hint:
                _say(hint.format(address=address))
            _answer({"address": address, "versions": app.state.service.versions.model_dump()})

        _say(f"Verifying and loading {settings.bundle} ...")
        failure = serve(app, settings, listener, announce)
    _say(failure or "Stopped: all that was accepted is answered.")
    return FAILED if failure else DONE


def demo(arguments: argparse.Namespace) -> int:
    """Fills a journal of its own with a month, and serves the workbench over it.

    Posts and all that is said of them are real; times, readers and how often a post comes are invented.
    """
    with needs_group("workbench", "The demo"):
        from serving.workbench.demo.command import JOURNAL, prepare

    _say("Loading the model, and filling the journal of the demo where it is not up to now ...")
    given = {name: getattr(arguments, name) for name in ("host", "port", "bundle", "posts", "fresh")}
    settings, predictor, added = prepare(arguments.journal or JOURNAL, **given)
    if arguments.fill_only:
        _answer(added)
        return DONE
    return _serve(settings, lambda: predictor, "The workbench is at {address}/qa; any name opens it.")


def check(arguments: argparse.Namespace) -> int:
    """Says whether the bundle verifies and answers as every bundle must."""
    from models.bundle import BundleError
    from serving.check import cases, failures
    from serving.engine import versions_of
    from serving.loading import load_predictor
    from serving.settings import read_settings

    settings = read_settings(bundle=arguments.bundle, host="127.0.0.1")  # nothing listens, so no host needs keys
    try:
        predictor = load_predictor(settings)
    except BundleError as error:
        _say(str(error))
        _answer({"bundle": str(settings.bundle), "fit": False, "problems": [str(error)]})
        return FAILED
    problems = failures(predictor)
    for problem in problems:
        _say(problem)
    golden = len(predictor.bundle.golden.posts) if predictor.bundle.golden else 0
    recorded = f"{golden} golden posts answered as recorded" if golden else "no golden posts to compare with"
    asked = f"{len(cases(predictor))} posts asked, {len(problems)} problems"
    _say(f"{settings.bundle}: every file verified; {recorded}; {asked}.")
    answer = {"bundle": str(settings.bundle), "fit": not problems, "problems": problems, "golden_posts": golden}
    _answer({**answer, "versions": versions_of(predictor).model_dump()})
    return FAILED if problems else DONE


def hash_key(arguments: argparse.Namespace) -> int:
    """Makes a key, and the entry that the keys file needs of it. The key itself is kept nowhere."""
    from serving.auth import KeysFile, hash_key, new_key

    key = new_key()
    entry = {"name": arguments.name, "sha256": hash_key(key), "scopes": arguments.scope or ["predict"]}
    optional = {"expires_at": arguments.expires_at, "posts_per_minute": arguments.posts_per_minute}
    entry |= {field: value for field, value in optional.items() if value is not None}
    try:
        KeysFile.model_validate({"keys": [entry]})
    except ValueError:
        _say(
            f"No key was made: --name is {arguments.name!r}, --expires-at is {arguments.expires_at!r} and "
            f"--posts-per-minute is {arguments.posts_per_minute!r}. Wanted: a name of 1 to 100 characters, a time with "
            "its zone, such as 2027-01-01T00:00:00Z, and a number of posts, 0 for no limit. Correct them."
        )
        return MISUSE
    _say("Give `key` to the caller, and add `entry` to `keys` in the file of SIGNALBOX_API_KEYS_FILE.")
    _answer({"key": key, "entry": entry})
    return DONE


def replay(arguments: argparse.Namespace) -> int:
    """Makes a decision of the journal again. Where all is as it was kept, stdout gets the answer, byte for byte."""
    from models.bundle import BundleError
    from serving.journal.database import existing_database
    from serving.journal.policies import find_policy
    from serving.journal.replay import ReplayError, replay
    from serving.journal.store import existing_store
    from serving.loading import load_predictor
    from serving.settings import read_settings

    settings = read_settings(bundle=arguments.bundle, journal=arguments.journal, host="127.0.0.1")
    with existing_store(settings) as journal:
        row = journal.find(arguments.prediction_id)
    if row is None:
        _say(
            f"There is no prediction {arguments.prediction_id} in the journal. Wanted: the `prediction_id` of an "
            "answer that was written and not yet pruned. Correct it, or name another journal with --journal."
        )
        return MISUSE
    with existing_database(settings) as database:
        active_then = database.read(find_policy, row["policy_version"], row["model_version"])
    try:
        predictor = load_predictor(settings)
        if active_then is not None and row["policy_version"] != predictor.policy.version:
            predictor = predictor.under(active_then)  # one that people made in the workbench
        again = replay(row, predictor)
    except (BundleError, ReplayError) as error:
        _say(str(error))
        return MISUSE
    for found in again.differences:
        _say(f"{found.field}: kept {found.kept!r}, now {found.again!r}")
    if again.differences:
        fields = [found.field for found in again.differences]
        _answer({"prediction_id": arguments.prediction_id, "same": False, "differing": fields})
        return FAILED
    _say(f"The same, byte for byte; received {row['received_at']:%Y-%m-%d %H:%M:%S} UTC.")
    print(again.answer, flush=True)
    return DONE


def prune(arguments: argparse.Namespace) -> int:
    """Deletes old decisions from the journal; the server does the same about once an hour."""
    from datetime import UTC, datetime, timedelta

    from serving.journal.journal import PRUNE_ENTRIES
    from serving.journal.store import existing_store
    from serving.settings import read_settings

    settings = read_settings(journal=arguments.journal, journal_retention_days=arguments.days, host="127.0.0.1")
    days, deleted, more = settings.journal_retention_days, 0, settings.journal_retention_days > 0
    before = datetime.now(UTC) - timedelta(days=days)
    with existing_store(settings) as journal:
        while more:
            count = journal.prune(before, most=PRUNE_ENTRIES)
            deleted += count
            more = count == PRUNE_ENTRIES
    _say(f"Deleted {deleted} decisions that are older than {days} days." if days else "Nothing deleted: 0 keeps all.")
    _answer({"deleted": deleted, "days": days})
    return DONE


def export_corrections(arguments: argparse.Namespace) -> int:
    """Writes the corrected posts as a labelled file, masked, each with where it comes from beside its labels."""
    from serving.journal.database import existing_database
    from serving.journal.restoration import write_corrections
    from serving.settings import read_settings

    since: datetime | None = arguments.since
    if since is not None and since.tzinfo is None:
        _say(f"Nothing was exported: --since is {since.isoformat()}. Wanted: a time with its zone. Add `Z` for UTC.")
        return MISUSE
    settings = read_settings(journal=arguments.journal, host="127.0.0.1")
    with existing_database(settings) as database:
        posts, left_out = database.read(write_corrections, arguments.out, since=since, lang=arguments.lang)
    left = f"; {left_out} were left out, since a model would not read them as it did then" if left_out else ""
    _say(f"Wrote {posts} corrected posts to {arguments.out}{left}. `python -m data check` looks at them.")
    _answer({"file": str(arguments.out), "posts": posts, "left_out": left_out})
    return DONE


def rules(arguments: argparse.Namespace) -> int:
    """Lists the must-not-answer rules that hold, or takes one away. Servers follow within two seconds."""
    import getpass

    from serving.journal.database import existing_database
    from serving.journal.rules import remove_rule, standing_rules
    from serving.settings import read_settings

    settings = read_settings(journal=arguments.journal, host="127.0.0.1")
    with existing_database(settings) as database:
        removed = arguments.remove and database.write(
            remove_rule, arguments.remove, by=getpass.getuser(), reason=arguments.reason
        )
        found = database.read(standing_rules)
    if arguments.remove and not removed:
        _say(f"Nothing was removed: no rule {arguments.remove} holds. Wanted: the id of one. List them with `rules`.")
        return MISUSE
    for rule in found:
        _say(f"{rule.id}  {rule.kind:5}  {rule.model_version}  by {rule.author}: {rule.words}")
    _answer({"rules": [rule.id for rule in found], "removed": arguments.remove})
    return DONE


def brake(arguments: argparse.Namespace) -> int:
    """Tells what the crisis brake did of late, holds it, or lets it go.

    Every server of the journal follows within five seconds. Held by hand, it lets go by hand alone.
    """
    import getpass

    from serving.journal.brake import BrakeStepError, brake_events, move_brake, standing_brake
    from serving.journal.database import existing_database
    from serving.settings import read_settings

    settings = read_settings(journal=arguments.journal, host="127.0.0.1")
    with existing_database(settings) as database:
        try:
            if arguments.hold is not None:
                database.write(move_brake, "engaged", why=arguments.hold, by=getpass.getuser())
            if arguments.release is not None:
                database.write(move_brake, "released", why=arguments.release, by=getpass.getuser())
        except BrakeStepError as error:
            _say(str(error))
            return MISUSE
        standing = database.read(standing_brake)
        events = database.read(brake_events, most=20)
    for event in events:
        _say(f"{event.at:%Y-%m-%d %H:%M:%S} UTC  {event.event} by {event.by}: {event.cause}")
    _answer({"engaged": standing.engaged, "by_hand": standing.by_hand, "events": len(events)})
    return DONE


def openapi(arguments: argparse.Namespace) -> int:
    """Writes the description of the interface, or says whether the written one is up to date."""
    from serving.app import create_app
    from serving.loading import load_predictor
    from serving.openapi import as_text, describe
    from serving.settings import Settings

    settings = Settings.model_construct()
    text = as_text(describe(create_app(settings, lambda: load_predictor(settings))))
    out: Path = arguments.out
    current = out.is_file() and out.read_text(encoding="utf-8") == text
    if not arguments.check:
        out.write_text(text, encoding="utf-8")
    elif not current:
        _say(f"{out} is not what the program says. Wanted: the same. Run `python -m serving openapi`.")
    _answer({"file": str(out), "was_current": current})
    return FAILED if arguments.check and not current else DONE


def _add_verb(verbs: Any, name: str, function: Verb, what: str, *examples: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=what,
        description=function.__doc__,
        epilog="\n".join(["examples:", *(f"  python -m serving {example}" for example in examples), "", SETTINGS_HINT]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(function=function)
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Serves a bundle over HTTP.",
        epilog=f"example: python -m serving run --port 8000 (run is the verb when none is given)\n\n{SETTINGS_HINT}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    running = _add_verb(
        verbs, "run", run, "serve until stopped", "run", "run --port 0 --bundle build/new", "--bundle build/new"
    )
    showing = _add_verb(
        verbs, "demo", demo, "fill a journal of its own with a month, and show the workbench", "demo", "demo --fresh"
    )
    showing.add_argument("--posts", type=int, default=12_000, help="of the month (default: %(default)s)")
    showing.add_argument("--fresh", action="store_true", help="begin the month anew; what was done in the demo is lost")
    showing.add_argument("--fill-only", action="store_true", help="fill the journal, and do not serve")
    checking = _add_verb(
        verbs, "check", check, "verify a bundle and ask it what every bundle must know", "check --bundle build/new"
    )
    replaying = _add_verb(
        verbs,
        "replay",
        replay,
        "make a decision of the journal again, and compare",
        "replay 01JD2K7ZC5T8VXN4R3Q9WYHMBA",
        "replay 01JD2K7ZC5T8VXN4R3Q9WYHMBA --bundle build/new --journal sqlite:///copy.db",
    )
    replaying.add_argument("prediction_id", help="the `prediction_id` of an answer")
    pruning = _add_verb(verbs, "prune", prune, "delete old decisions from the journal", "prune", "prune --days 30")
    pruning.add_argument("--days", type=int, help="delete what is older (SIGNALBOX_JOURNAL_RETENTION_DAYS); 0: nothing")
    exporting = _add_verb(
        verbs,
        "export-corrections",
        export_corrections,
        "write corrected posts as a labelled file, for retraining",
        "export-corrections --out corrections.jsonl",
        "export-corrections --out corrections.jsonl --since 2026-11-01T00:00:00Z",
    )
    exporting.add_argument("--out", type=Path, required=True, metavar="OUT", help="file to write (JSON Lines)")
    exporting.add_argument("--since", type=datetime.fromisoformat, metavar="TIME", help="leave out what is older")
    exporting.add_argument("--lang", default="en", help="language of posts too short to tell (default: %(default)s)")
    ruling = _add_verb(
        verbs,
        "rules",
        rules,
        "list the must-not-answer rules, or take one away",
        "rules",
        'rules --remove 01KAN4Z1WFV8T9KT2V1JY5DB7N --reason "the offer has ended"',
    )
    ruling.add_argument("--remove", metavar="ID", help="the rule to take away")
    ruling.add_argument("--reason", default="", metavar="WHY", help="why it is taken away")
    braking = _add_verb(
        verbs,
        "brake",
        brake,
        "tell what the crisis brake did, hold it, or let it go",
        "brake",
        'brake --hold "wrong prices in our answers"',
        'brake --release "a campaign of ours"',
    )
    moving = braking.add_mutually_exclusive_group()
    moving.add_argument("--hold", metavar="WHY", help="let no machine answer until somebody lets it go")
    moving.add_argument("--release", metavar="WHY", help="let it go, until more comes than usual once more")
    for each in (running, showing):
        each.add_argument("--host", help="address to listen on (SIGNALBOX_HOST)")
        each.add_argument("--port", type=int, help="port to listen on, 0 for a free one (SIGNALBOX_PORT)")
    for each in (replaying, pruning, exporting, ruling, braking, showing):
        each.add_argument("--journal", help="database to use; its password can be seen by `ps` (SIGNALBOX_JOURNAL)")
    for each in (running, showing, checking, replaying):
        each.add_argument("--bundle", type=Path, help="directory of the bundle (SIGNALBOX_BUNDLE)")
    keys = _add_verb(
        verbs,
        "hash-key",
        hash_key,
        "make an API key and its entry for the keys file",
        "hash-key --name crm",
        "hash-key --name prometheus --scope metrics --expires-at 2027-01-01T00:00:00Z",
    )
    keys.add_argument("--name", required=True, help="who will have the key")
    keys.add_argument("--scope", action="append", choices=SCOPES, help="may be repeated")
    keys.add_argument("--expires-at", help="a time with its zone")
    keys.add_argument("--posts-per-minute", type=int, help="its own limit, 0 for none; else that of the settings holds")
    describing = _add_verb(verbs, "openapi", openapi, f"write {OPENAPI_FILE}", "openapi", "openapi --check")
    describing.add_argument("--out", type=Path, default=OPENAPI_FILE, help="file to write")
    describing.add_argument("--check", action="store_true", help="write nothing; exit 1 where the file is out of date")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command in `argv` (by default the process's)."""
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given.insert(0, "run")
    arguments = _parser().parse_args(given)
    try:
        with needs_group("serve", "Serving"):
            from serving.settings import SettingsError
        try:
            with needs_group("serve", "Serving"):
                code: int = arguments.function(arguments)
        except SettingsError as error:
            _say(str(error))
            return MISUSE
    except MissingGroupError as error:
        _say(str(error))
        return MISUSE
    return code


if __name__ == "__main__":
    sys.exit(main())
