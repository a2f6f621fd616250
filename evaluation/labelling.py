"""The queue of posts for people to label: read, scored, chosen and written. Chooses nothing itself (`selection`).

Two files: a table that opens in a spreadsheet, with why each post is in it, and the posts themselves for
`python -m data export`.
"""

import csv
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.output import whole_file
from data.post import Post
from data.progress import Say, progress_bar
from data.redaction import redact
from data.rendering import render
from data.sources import read_posts
from data.spreadsheet import guarded, guarded_id
from data.taxonomy import ROUTES
from evaluation.commands import Answer, Load, UsageError
from evaluation.selection import Chosen, choose, margins, stand_ins
from models.calibration import FloatArray
from models.predictor import Predictor

_CHUNK_POSTS = 32
_PLACES = 6
"""Decimals of a probability, as in the server's answers."""
COLUMNS = ("id", "reason", "sampling_probability", "copies", "route", "intent", "margin", "champion_route", "text")
_BYTE_ORDER_MARK = "utf-8-sig"
"""By it Excel knows that the file is UTF-8."""


def _check_ids(posts: Sequence[Post], file: str) -> None:
    without = sum(post.id is None for post in posts)
    twice = [post_id for post_id, n in Counter(post.id for post in posts).items() if post_id and n > 1]
    if without or twice:
        got = f"{without} have no id" if without else f"{len(twice)} ids stand more than once, such as {twice[0]!r}"
        raise UsageError(
            f"Nothing was queued: of the {len(posts)} posts of {file}, {got}. Labels find their post by its id: wanted "
            "one for each. Import the file first: python -m data import"
        )


def _probabilities(predictor: Predictor, posts: Sequence[Post], what: str) -> tuple[FloatArray, FloatArray]:
    """Calibrated probabilities of routes `[n, 4]` and of intents `[n, k]`."""
    scores = []
    for start in progress_bar(range(0, len(posts), _CHUNK_POSTS), what):
        scores += predictor.score(posts[start : start + _CHUNK_POSTS])
    return np.array([each.routes for each in scores]), np.array([each.intents for each in scores])


def _rendered(posts: Sequence[Post]) -> list[str]:
    return [render(post).text for post in posts]


def _check_taxonomies(ours: Predictor, champion: Predictor) -> None:
    if ours.bundle.taxonomy.names != champion.bundle.taxonomy.names:
        raise UsageError(
            f"Nothing was queued: the champion {champion.bundle.directory} knows {len(champion.bundle.taxonomy.names)} "
            f"intents of taxonomy {champion.bundle.taxonomy.version}, the bundle {len(ours.bundle.taxonomy.names)} of "
            f"{ours.bundle.taxonomy.version}. Wanted the same intents to disagree about. Give --head route."
        )


def _write(path: Path, rows: Sequence[Sequence[object]], posts: Sequence[Post]) -> Path:
    """Where the posts are; they and the table are complete or as they were."""
    beside = path.with_suffix(".jsonl")
    with whole_file(beside) as file:
        file.writelines(
            Post.model_validate(post.model_dump()).model_dump_json(exclude_none=True) + "\n" for post in posts
        )
    with whole_file(path, encoding=_BYTE_ORDER_MARK) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([guarded(cell) for cell in row] for row in rows)
    return beside


class _Pool:
    """The posts that may be queued, what each stands for, and what is said of them."""

    def __init__(self, arguments: Namespace, load: Load) -> None:
        self.posts = read_posts(arguments.posts, watch=progress_bar).posts
        _check_ids(self.posts, arguments.posts)
        known = [post for file in arguments.known for post in read_posts(file, watch=progress_bar).posts]
        self.head = 0 if arguments.head == "route" else 1
        self.predictor = load(arguments.bundle, None)
        self.copies = stand_ins(_rendered(self.posts), _rendered(known), watch=progress_bar)
        self.kept = [self.posts[place] for place in self.copies]
        if not self.kept:
            raise UsageError(
                f"Nothing was queued: each of the {len(self.posts)} posts of {arguments.posts} is a near duplicate of "
                "a post in --known. Wanted others. Give new posts, or fewer files."
            )
        self.said = _probabilities(self.predictor, self.kept, "scoring")
        self.champion: tuple[FloatArray, FloatArray] | None = None
        if arguments.champion:
            champion = load(arguments.champion, None)
            if arguments.head == "intent":
                _check_taxonomies(self.predictor, champion)
            self.champion = _probabilities(champion, self.kept, "scoring by the champion")

    def row(self, chosen: Chosen) -> list[object]:
        """The cells of a post by `COLUMNS`. Texts are redacted: such tables get passed on."""
        post, place = self.kept[chosen.place], chosen.place
        routes, intents = self.said
        theirs = ROUTES[int(self.champion[0][place].argmax())] if self.champion else ""
        return [
            guarded_id(post.id or ""),
            chosen.reason,
            "" if chosen.probability is None else round(chosen.probability, _PLACES),
            list(self.copies.values())[place],
            ROUTES[int(routes[place].argmax())],
            self.predictor.bundle.taxonomy.names[int(intents[place].argmax())],
            round(float(margins(self.said[self.head][place : place + 1])[0]), _PLACES),
            theirs,
            redact(post.text, post.lang),
        ]


def queue(arguments: Namespace, load: Load, say: Say) -> Answer:
    """Posts to label next, written as a table and as posts, and how many are in them for which reason."""
    if arguments.out.suffix != ".csv":
        raise UsageError(
            f"Nothing was queued: the table would be {arguments.out}. Wanted a name that ends in .csv; the posts go "
            "beside it as .jsonl. Give another --out."
        )
    pool = _Pool(arguments, load)
    chosen = choose(
        _rendered(pool.kept),
        pool.said[pool.head],
        arguments.size,
        champion=pool.champion[pool.head] if pool.champion else None,
        random_share=arguments.random_share,
        seed=arguments.seed,
    )
    posts = _write(arguments.out, [pool.row(each) for each in chosen], [pool.kept[each.place] for each in chosen])
    reasons = Counter(each.reason for each in chosen)
    say(
        f"Queued {len(chosen):,} of {len(pool.posts):,} posts: {reasons['random']} at random, "
        f"{reasons['disagreement']} where the champion disagrees, {reasons['uncertain']} uncertain. {arguments.out}\n"
        f"To label them: python -m data export {posts} --to label-studio --out tasks.json"
    )
    return Answer(
        {
            "out": str(arguments.out),
            "posts": str(posts),
            "queued": len(chosen),
            **{reason: reasons[reason] for reason in ("random", "disagreement", "uncertain")},
            "pool": len(pool.kept),
            "near_duplicates": len(pool.posts) - len(pool.kept),
        }
    )
