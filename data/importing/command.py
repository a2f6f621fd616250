"""`python -m data import`: other people's tables and annotation exports, as posts or as a first mapping file."""

from argparse import Namespace
from pathlib import Path

from data.annotation import argilla, label_studio
from data.console import DONE, AddVerb, UsageError, add_taxonomy, answer, refuse_existing, say, taxonomy_of
from data.importing.draft import mapping_text, taxonomy_text
from data.importing.mapping import identity, read_mapping
from data.importing.posts import Imported, import_posts, write_imported
from data.importing.suggestion import guess
from data.importing.tables import Table, TableOptions, read_table
from data.output import whole_file
from data.progress import progress_bar
from data.rejects import write_rejects

_EXPORTS = {"label-studio": label_studio.read_export, "argilla": argilla.read_export}
_OWN_VERSION = "own-1"


def _table(arguments: Namespace, options: TableOptions) -> Table:
    if arguments.format == "table":
        table = read_table(arguments.file, options)
    else:
        table = _EXPORTS[arguments.format](arguments.file)
    say(f"Read {table.file}: {table.described}, {len(table.rows):,} rows.")
    return table


def _suggest(arguments: Namespace) -> int:
    for path in filter(None, (arguments.suggest, arguments.own_intents)):
        refuse_existing(path, "somebody may have corrected it")
    table = _table(arguments, TableOptions())
    guessed = guess(table, None if arguments.own_intents else taxonomy_of(arguments))
    with whole_file(arguments.suggest) as file:
        file.write(mapping_text(table, guessed))
    say(f"The mapping: {arguments.suggest}. Correct it, then import with --mapping {arguments.suggest} --out OUT.")
    if arguments.own_intents:
        with whole_file(arguments.own_intents) as file:
            file.write(taxonomy_text(table, guessed, _OWN_VERSION))
        say(f"The intents: {arguments.own_intents}. Say what each is about; give it with --taxonomy.")
    unsure = sum(ours == "?" for values in guessed.values.values() for ours in values.values())
    answer({"mapping": str(arguments.suggest), "columns": guessed.columns, "unknown_labels": unsure})
    return DONE


def _report(arguments: Namespace, imported: Imported) -> None:
    if imported.rejects:
        write_rejects(arguments.rejects, imported.rejects)
        say("\n".join(map(str, imported.unknown)) or "\n".join(map(str, imported.rejects)))
        say(f"{len(imported.rejects)} rows are no posts; they are put aside in {arguments.rejects}.")
    if imported.generated_ids:
        say(f"{imported.generated_ids} rows have no id: theirs is the hash of what stands in them.")
    say(f"{len(imported.posts)} posts: {arguments.out}. Next: python -m data check {arguments.out}")


def _import(arguments: Namespace) -> int:
    if arguments.suggest:
        return _suggest(arguments)
    if not arguments.out:
        raise UsageError(
            f"{arguments.file} was not imported: no file to write was given. Wanted --out my-posts.jsonl with a "
            "--mapping, or --suggest mapping.toml for a first mapping. Give one of them."
        )
    mapping = read_mapping(arguments.mapping) if arguments.mapping else None
    table = _table(arguments, mapping.options if mapping else TableOptions())
    imported = import_posts(
        table,
        mapping or identity(table),
        taxonomy=taxonomy_of(arguments),
        keep_going=arguments.keep_going,
        watch=progress_bar,
    )
    write_imported(arguments.out, imported)
    _report(arguments, imported)
    counts = {"posts": len(imported.posts), "rejects": len(imported.rejects), "generated_ids": imported.generated_ids}
    answer({"out": str(arguments.out), "format": table.described, **counts})
    return DONE


def add(verb: AddVerb) -> None:
    """Nothing; the verb `import` stands on the command line afterwards."""
    importing = verb(
        "import",
        _import,
        "labelled posts from any CSV, Excel, Parquet or annotation export",
        "import export.csv --suggest mapping.toml\n"
        "  python -m data import export.csv --mapping mapping.toml --out my-posts.jsonl",
    )
    importing.epilog = (importing.epilog or "").partition("\n\n")[2]  # FILE is more here than for the other verbs
    option = importing.add_argument
    option("file", type=Path, metavar="FILE", help="CSV, Excel, Parquet, JSON Lines, or an export")
    option("--mapping", type=Path, metavar="IN", help="what their columns and labels are in our words (TOML)")
    option("--out", type=Path, metavar="OUT", help="the posts to write, as JSON Lines")
    option("--suggest", type=Path, metavar="OUT", help="guess a mapping and write it here, for you to correct")
    option("--own-intents", type=Path, metavar="OUT", help="with --suggest: write a taxonomy of the intents found")
    add_taxonomy(importing)
    option("--from", dest="format", choices=("table", *_EXPORTS), default="table", help="what FILE is an export of")
