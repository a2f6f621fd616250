"""The options that several verbs share: bundle or pair, labelled posts, margins, budget, queue."""

import argparse
from pathlib import Path

from data.splits import DEFAULT_SPLITS, PARTS
from models.bundle import DEFAULT_BUNDLE


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share; wanted a number from 0 to 1, such as 0.02")
    return value


def _size(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no size; wanted at least 1 post")
    return value


def add_bundle(verb: argparse.ArgumentParser) -> None:
    """Adds one bundle, and a policy in place of its own."""
    verb.add_argument(
        "bundle", nargs="?", type=Path, default=DEFAULT_BUNDLE, metavar="BUNDLE", help="default: %(default)s"
    )
    verb.add_argument("--policy", type=Path, metavar="IN", help="a policy file in place of the bundle's own")


def add_pair(verb: argparse.ArgumentParser) -> None:
    """Adds champion, challenger and what a comparison of them needs, to a verb."""
    verb.add_argument("champion", type=Path, metavar="CHAMPION", help="the bundle in service")
    verb.add_argument("challenger", type=Path, metavar="CHALLENGER", help="the bundle that wants to be")
    add_gate(verb)


def add_gate(verb: argparse.ArgumentParser) -> None:
    """Adds the margins of the gate, and where its report goes."""
    out = Path("reports/comparison")
    verb.add_argument("--gate", type=Path, metavar="IN", help="TOML file of margins in place of the shipped ones")
    verb.add_argument("--out", type=Path, default=out, metavar="DIR", help="of the report (default: %(default)s)")


def add_posts(verb: argparse.ArgumentParser) -> None:
    """Adds the labelled posts: a file, its part and splits, the languages."""
    add, corpus = verb.add_argument, DEFAULT_SPLITS.parent
    add("file", nargs="?", type=Path, default=corpus, metavar="FILE", help="default: %(default)s")
    add("--part", choices=("all", *PARTS), help="the part of FILE to read")
    add("--splits", type=Path, default=DEFAULT_SPLITS, metavar="IN", help="the parts of FILE (default: %(default)s)")
    add("--lang", action="append", default=[], metavar="CODE", help="only posts in this language (repeatable)")


def add_budget(certify: argparse.ArgumentParser) -> None:
    """Adds the budget of risks, and where a policy fitted to it goes."""
    add = certify.add_argument
    add("--leak-sensitive", type=_share, metavar="A", help="share of sensitive posts that may be closed")
    add("--leak-influencer", type=_share, metavar="B", help="share of influencer posts that may be closed")
    add("--wrong", type=_share, metavar="C", help="share of the machine's closings that may be wrong")
    add("--confidence", type=_share, metavar="P", help="with which all of it holds; what is not given is the policy's")
    add("--fit", type=Path, metavar="OUT", help="find thresholds for this budget and write their policy")
    add("--version", metavar="V", help="the version of the policy that --fit writes")


def add_queue(verb: argparse.ArgumentParser) -> None:
    """Adds the posts, what the queue is to hold, and where it goes."""
    add = verb.add_argument
    add("bundle", type=Path, metavar="BUNDLE", help="the bundle that is to get better")
    add("posts", metavar="POSTS", help="posts with ids; labels that stand there are not looked at")
    add("--out", type=Path, required=True, metavar="OUT", help="the table (.csv); the posts go beside it (.jsonl)")
    add("--size", type=_size, default=200, metavar="N", help="posts to queue (default: %(default)s)")
    add("--champion", type=Path, metavar="OTHER", help="a bundle to disagree with: up to half of what is not random")
    add("--known", action="append", default=[], metavar="FILE", help="labelled or queued already (repeatable)")
    add("--random-share", type=_share, default=0.2, metavar="A", help="of the size (default: %(default)s)")
    add("--head", choices=("route", "intent"), default="route", help="which label is in doubt (default: %(default)s)")
    add("--seed", type=int, default=0, metavar="S", help="another one, another queue (default: %(default)s)")
