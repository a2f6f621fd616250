"""The commands of `data`: import, check, audit, split, describe and render files of posts, and their labelling.

People's text and progress go to stderr; the last line of stdout is one JSON object; exit 0 done, 1 findings that
are errors, 2 misuse or a source that cannot be read.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

import data.annotation.command
import data.audit.command
import data.importing.command
from data.checks import MIN_POSTS_PER_LABEL, check
from data.console import DONE, FAILED, MISUSE, UsageError, add_taxonomy, answer, say, taxonomy_of
from data.dependencies import MissingGroupError
from data.description import describe
from data.grouping import NEAR_DUPLICATE
from data.page import write_page
from data.post import LabelledPost, Post
from data.progress import progress_bar
from data.rejects import SourceError, problems_of, write_rejects
from data.rendering import RENDERING_VERSION, render
from data.sources import AnyPost, Reading, read_labelled, read_posts
from data.splits import DEFAULT_SEED, SplitsError, read_splits, split, write_splits
from data.taxonomy import PLATFORMS

_SOURCES = (
    "FILE is JSON Lines (.jsonl, .ndjson), .csv, .parquet, a directory of such files, or hf:NAME[:CONFIG][:SPLIT]."
)
_LARGE_GROUP_SHARE = 0.01
"""The smallest part is 4 % of the posts: a group above 1 % of them starts to unbalance it."""


def _report_reading(reading: Reading[AnyPost], rejects: Path) -> None:
    if reading.ignored_fields:
        say(f"Ignored fields that are not of a post: {', '.join(reading.ignored_fields)}.")
    if reading.rejects:
        write_rejects(rejects, reading.rejects)
        say("\n".join(map(str, reading.rejects)))
        say(f"{len(reading.rejects)} rows are no posts; they are put aside in {rejects}.")


def _read_labelled(arguments: argparse.Namespace) -> Reading[LabelledPost]:
    reading = read_labelled(
        arguments.files, taxonomy=taxonomy_of(arguments), keep_going=arguments.keep_going, watch=progress_bar
    )
    _report_reading(reading, arguments.rejects)
    return reading


def _read_plain(arguments: argparse.Namespace) -> Reading[Post]:
    reading = read_posts(arguments.files, keep_going=arguments.keep_going, watch=progress_bar)
    _report_reading(reading, arguments.rejects)
    return reading


def _check(arguments: argparse.Namespace) -> int:
    taxonomy = taxonomy_of(arguments)
    # A check reports bad rows together with all else, so it always reads on; --keep-going says what they count as.
    reading = read_labelled(arguments.files, taxonomy=taxonomy, keep_going=True, watch=progress_bar)
    if arguments.keep_going:
        _report_reading(reading, arguments.rejects)
    report = check(
        reading.posts,
        taxonomy=taxonomy,
        rejects=reading.rejects,
        rejects_are="warning" if arguments.keep_going else "error",
        splits=read_splits(arguments.splits) if arguments.splits else None,
        least=arguments.least,
        watch=progress_bar,
    )
    say(report.as_text())
    if arguments.report:
        arguments.report.write_text(json.dumps(report.as_json(), indent=1), encoding="utf-8")
    if arguments.html:
        write_page(arguments.html, report, reading.posts, files=reading.files, least=arguments.least, taxonomy=taxonomy)
        say(f"The page: {arguments.html}")
    counts = {f"{severity}s": report.count(severity) for severity in ("error", "warning", "note")}
    answer({"posts": report.posts, "rejects": len(reading.rejects), **counts, "passed": report.passed})
    return DONE if report.passed else FAILED


def _split(arguments: argparse.Namespace) -> int:
    reading = _read_labelled(arguments)
    kept = read_splits(arguments.keep) if arguments.keep else None
    splits = split(
        reading.posts,
        seed=arguments.seed,
        kept=kept,
        withdrawn=arguments.withdraw,
        left_out=arguments.leave_out,
        watch=progress_bar,
    )
    write_splits(arguments.out, splits)
    file = splits.file
    for name, counts in file.counts.items():
        say(f"{name:<12} {sum(counts.values()):>6}  " + "  ".join(f"{route} {n}" for route, n in counts.items()))
    say(f"{file.posts} posts in {file.groups} groups, the largest of {file.largest_group_posts}.")
    if file.largest_group_posts > max(1, _LARGE_GROUP_SHARE * file.posts):
        say(
            f"The largest group holds more than {_LARGE_GROUP_SHARE:.0%} of the posts, which unbalances the parts: "
            f"look at the handles, threads and texts ({NEAR_DUPLICATE}) that many posts share."
        )
    answer({"out": str(arguments.out), **file.model_dump(mode="json", exclude={"parts"})})
    return DONE


def _describe(arguments: argparse.Namespace) -> int:
    reading = _read_plain(arguments) if arguments.plain else _read_labelled(arguments)
    description = describe(reading.posts)
    say(description.as_text())
    answer(description.as_json())
    return DONE


def _render(arguments: argparse.Namespace) -> int:
    if arguments.text is None:
        posts: Sequence[Post] = _read_plain(arguments).posts
    else:
        posts = [Post(text=arguments.text, platform=arguments.platform, lang=arguments.lang)]
    for post in posts:
        rendered = render(post)
        exposed = list(rendered.exposed)
        answer({"id": post.id, "text": rendered.text, "context": rendered.context, "exposed": exposed})
    answer({"posts": len(posts), "rendering": RENDERING_VERSION})
    return DONE


def _reading_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--keep-going", action="store_true", help="put rows that are no posts aside and read the rest")
    options.add_argument(
        "--rejects",
        type=Path,
        default=Path("rejects.jsonl"),
        metavar="OUT",
        help="where --keep-going puts them, as JSON Lines (default: %(default)s)",
    )
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m data", description="Import, check, audit and split posts.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    options = _reading_options()

    def verb(
        name: str,
        run: Callable[[argparse.Namespace], int],
        about: str,
        example: str,
        *,
        keeps_going: bool = True,
    ) -> argparse.ArgumentParser:
        added = verbs.add_parser(
            name,
            parents=[options] if keeps_going else [],
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            epilog=f"{_SOURCES}\n\nexample:\n  python -m data {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        return added

    checking = verb(
        "check",
        _check,
        "report what is wrong with labelled posts; exit 1 when errors are found",
        "check data/corpus --splits data/corpus/splits.json",
    )
    checking.add_argument(
        "--splits", type=Path, metavar="IN", help="look for leakage between the parts of this file too"
    )
    checking.add_argument(
        "--least", type=int, default=MIN_POSTS_PER_LABEL, metavar="N", help="posts a label needs (default: %(default)s)"
    )
    checking.add_argument("--report", type=Path, metavar="OUT", help="write every finding to this file as JSON")
    checking.add_argument("--html", type=Path, metavar="OUT", help="write a page to read them on")
    splitting = verb(
        "split",
        _split,
        "part labelled posts into train, development, temperature and calibration",
        "split my-posts.jsonl --out my-splits.json\n"
        "  python -m data split my-posts.jsonl more.jsonl --keep my-splits.json --out grown.json\n"
        "  python -m data split my-posts.jsonl --keep my-splits.json --withdraw p-0815 --out without.json\n"
        "  python -m data split my-posts.jsonl --leave-out bank --leave-out insurance --out no-money.json",
    )
    splitting.add_argument("--out", type=Path, required=True, metavar="OUT", help="the file of splits to write")
    either = splitting.add_mutually_exclusive_group()
    either.add_argument(
        "--keep", type=Path, metavar="IN", help="posts of these earlier splits stay where they are, new ones are added"
    )
    either.add_argument(
        "--leave-out",
        action="append",
        default=[],
        metavar="INDUSTRY",
        help="its posts are the calibration part, all others the rest: what is proven is proven in a trade that the "
        "model never saw (repeatable)",
    )
    splitting.add_argument(
        "--withdraw",
        action="append",
        default=[],
        metavar="ID",
        help="a post of --keep that is gone for good, as when its author asks for that (repeatable)",
    )
    splitting.add_argument("--seed", type=int, default=DEFAULT_SEED, metavar="N", help="default: %(default)s")
    describing = verb("describe", _describe, "count posts by label, platform, language, length", "describe data/corpus")
    describing.add_argument("--plain", action="store_true", help="the posts have no labels")
    for added in (checking, splitting, describing):
        added.add_argument("files", nargs="+", metavar="FILE", help="one or more sources")
        add_taxonomy(added)
    rendering = verb("render", _render, "show posts as the model reads them", "render --text 'where is my parcel?'")
    what = rendering.add_mutually_exclusive_group(required=True)
    what.add_argument("files", nargs="*", default=[], metavar="FILE", help="one or more sources")
    what.add_argument("--text", help="a post to render instead of files")
    rendering.add_argument("--platform", choices=PLATFORMS, default="other", help="of --text (default: %(default)s)")
    rendering.add_argument("--lang", help="of --text: a two-letter code")
    for command in (data.importing.command, data.audit.command, data.annotation.command):
        command.add(verb)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the command: 0 done, 1 errors were found, 2 misuse."""
    parsed = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except (SourceError, SplitsError, MissingGroupError, UsageError) as error:
        say(str(error))
    except ValidationError as error:
        say("The post is not valid: " + "; ".join(map(str, problems_of(error))))
    except OSError as error:
        say(f"The file {error.filename} could not be written: {error.strerror}. Check the path and its permissions.")
    return MISUSE


if __name__ == "__main__":
    sys.exit(main())
