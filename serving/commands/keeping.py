"""The commands over what the journal keeps: a decision made again, old ones deleted, corrections written out."""

import argparse
from datetime import datetime
from pathlib import Path

from serving.commands.verbs import DONE, FAILED, MISUSE, Verbs, add_bundle, add_journal, add_verb, reply, say


def add(verbs: Verbs) -> None:
    """Nothing; `replay`, `prune` and `export-corrections` are there."""
    replaying = add_verb(
        verbs,
        "replay",
        replay,
        "make a decision of the journal again, and compare",
        "replay 01JD2K7ZC5T8VXN4R3Q9WYHMBA",
        "replay 01JD2K7ZC5T8VXN4R3Q9WYHMBA --bundle build/new --journal sqlite:///copy.db",
    )
    replaying.add_argument("prediction_id", help="the `prediction_id` of an answer")
    pruning = add_verb(verbs, "prune", prune, "delete old decisions from the journal", "prune", "prune --days 30")
    pruning.add_argument("--days", type=int, help="delete what is older (SIGNALBOX_JOURNAL_RETENTION_DAYS); 0: nothing")
    exporting = add_verb(
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
    add_journal(replaying, pruning, exporting)
    add_bundle(replaying)


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
        say(
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
        say(str(error))
        return MISUSE
    for found in again.differences:
        say(f"{found.field}: kept {found.kept!r}, now {found.again!r}")
    if again.differences:
        fields = [found.field for found in again.differences]
        reply({"prediction_id": arguments.prediction_id, "same": False, "differing": fields})
        return FAILED
    say(f"The same, byte for byte; received {row['received_at']:%Y-%m-%d %H:%M:%S} UTC.")
    reply(again.answer)
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
    say(f"Deleted {deleted} decisions that are older than {days} days." if days else "Nothing deleted: 0 keeps all.")
    reply({"deleted": deleted, "days": days})
    return DONE


def export_corrections(arguments: argparse.Namespace) -> int:
    """Writes the corrected posts as a labelled file, masked, each with where it comes from beside its labels."""
    from serving.journal.database import existing_database
    from serving.journal.restoration import write_corrections
    from serving.settings import read_settings

    since: datetime | None = arguments.since
    if since is not None and since.tzinfo is None:
        say(f"Nothing was exported: --since is {since.isoformat()}. Wanted: a time with its zone. Add `Z` for UTC.")
        return MISUSE
    settings = read_settings(journal=arguments.journal, host="127.0.0.1")
    with existing_database(settings) as database:
        posts, left_out = database.read(write_corrections, arguments.out, since=since, lang=arguments.lang)
    left = f"; {left_out} were left out, since a model would not read them as it did then" if left_out else ""
    say(f"Wrote {posts} corrected posts to {arguments.out}{left}. `python -m data check` looks at them.")
    reply({"file": str(arguments.out), "posts": posts, "left_out": left_out})
    return DONE
