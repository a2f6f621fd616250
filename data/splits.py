"""The parts of a labelled set: who is trained on, who stops training, who calibrates, who proves.

A split never tears a group (`data.grouping`), keeps the mix of routes and families of the whole in every part, is
the same for the same posts and seed, and is written to a file that carries its own hash and that of the posts.
"""

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mode
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.families import family
from data.fingerprint import fingerprint
from data.grouping import NEIGHBOURS, RULES, Rule, group
from data.output import whole_file
from data.post import LabelledPost
from data.progress import Watch, unwatched
from data.taxonomy import BUILT_IN, ROUTES, Taxonomy

SPLITS_FORMAT = "1"
DEFAULT_SEED = 2026
DEFAULT_SPLITS = Path("data/corpus/splits.json")

PartName = Literal["train", "development", "temperature", "calibration"]
"""What each part is for: `train` fits the weights; `development` stops training and picks the path of thresholds;
`temperature` fits the calibration temperatures and joins `development` in
picking the path; `calibration` proves the thresholds and is used for nothing before."""
PARTS: tuple[PartName, ...] = get_args(PartName)
SHARES: Mapping[PartName, float] = {"train": 0.74, "development": 0.08, "temperature": 0.04, "calibration": 0.14}
"""0.14 leaves enough sensitive posts of our corpus to prove a leak of at most 2 % (the design asks for 149)."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Group = tuple[str, ...]


class SplitsError(ValueError):
    """A split that cannot be made, or a file of splits that cannot be trusted."""


class SplitsFile(BaseModel):
    """What stands in the file: the ids of every part by group, and what they were made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = SPLITS_FORMAT
    seed: int
    shares: dict[PartName, float]
    posts: int
    posts_fingerprint: Sha256
    groups: int
    largest_group_posts: int
    links: dict[str, int]
    """Pairs of posts that each grouping rule joined."""
    skipped_keys: dict[str, int]
    """Keys too common to join anything, by rule."""
    counts: dict[PartName, dict[str, int]]
    """Posts of each route by part."""
    parts: dict[PartName, tuple[Group, ...]]
    sha256: str = ""
    """Over the canonical JSON of everything else."""

    def content_sha256(self) -> str:
        """The SHA-256 over the canonical JSON (sorted keys, no spaces) of all fields but `sha256`."""
        content = self.model_dump(mode="json", exclude={"sha256"})
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Splits:
    """The parts of a set of posts, with the posts themselves and the taxonomy that they are labelled by."""

    file: SplitsFile
    posts: tuple[LabelledPost, ...]
    taxonomy: Taxonomy = BUILT_IN

    @cached_property
    def _by_id(self) -> dict[str, LabelledPost]:
        return {post.id: post for post in self.posts}

    def part(self, name: PartName) -> list[LabelledPost]:
        """The posts of one part, always in the same order."""
        return [self._by_id[post_id] for members in self.file.parts[name] for post_id in members]

    def groups(self, name: PartName) -> list[int]:
        """The number of the group of each post of `part(name)`, [n]: what a bootstrap draws as one."""
        return [number for number, members in enumerate(self.file.parts[name]) for _ in members]


def stratum(post: LabelledPost) -> str:
    """What every part should hold in the same share: the route within the family."""
    return f"{family(post)}/{post.route}"


def _assign(
    groups: Sequence[tuple[int, ...]],
    strata: Sequence[str],
    shares: Mapping[PartName, float],
    seed: int,
    kept: Sequence[PartName | None],
) -> dict[PartName, list[tuple[int, ...]]]:
    """The groups by part: first those with posts that are `kept` in one, then the largest to where they lack most."""
    shared = Counter(key for key, part in zip(strata, kept, strict=True) if part is None or part in shares)
    wanted = {name: {key: share * n for key, n in shared.items()} for name, share in shares.items()}
    held: dict[PartName, Counter[str]] = {name: Counter() for name in PARTS}
    assigned: dict[PartName, list[tuple[int, ...]]] = {name: [] for name in PARTS}
    order = []
    for members in groups:
        by_part = _by_kept_part(members, kept)
        for part, together in by_part.items():
            held[part].update(strata[place] for place in together)
            assigned[part].append(together)
        if not by_part:
            order.append(members)
    random.Random(seed).shuffle(order)
    for members in sorted(order, key=len, reverse=True):
        holds = Counter(strata[place] for place in members)

        def lack(name: PartName, holds: Counter[str] = holds) -> float:
            return sum(n * (1 - held[name][key] / wanted[name][key]) for key, n in holds.items())

        chosen = max(shares, key=lack)
        held[chosen].update(holds)
        assigned[chosen].append(members)
    return {name: sorted(members) for name, members in assigned.items()}


def _by_kept_part(members: Sequence[int], kept: Sequence[PartName | None]) -> dict[PartName, tuple[int, ...]]:
    """The posts of a group by the part that they are kept in, new ones where most of it is; empty if all are new."""
    old = [part for place in members if (part := kept[place])]
    if not old:
        return {}
    common, by_part = mode(old), defaultdict(list)
    for place in members:
        by_part[kept[place] or common].append(place)
    return {part: tuple(places) for part, places in by_part.items()}


def _check(posts: Sequence[LabelledPost], shares: Mapping[PartName, float]) -> None:
    if set(shares) != set(PARTS) or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-9:
        raise SplitsError(
            f"The posts cannot be split: the shares are {dict(shares)}. Wanted a share above 0 for each of "
            f"{', '.join(PARTS)}, 1 in sum. Correct the shares."
        )
    twice = sorted(post_id for post_id, n in Counter(post.id for post in posts).items() if n > 1)
    if twice:
        raise SplitsError(
            f"The posts cannot be split: {len(twice)} ids stand more than once, such as {twice[0]!r}. "
            "A split names posts by id, so every id must be unique. Run `python -m data check` and correct them."
        )
    if not posts:
        raise SplitsError("The posts cannot be split: there are none. At least one is needed. Check the files given.")


def _parts_of(kept: SplitsFile, posts: Sequence[LabelledPost], withdrawn: Collection[str]) -> dict[str, PartName]:
    """The part of each post by its id, but for those that were withdrawn."""
    part_of = {post_id: part for part, groups in kept.parts.items() for members in groups for post_id in members}
    given = {post.id for post in posts}
    wrong = sorted(each for each in withdrawn if each not in part_of or each in given)
    if wrong:
        problem = "is still among the posts given" if wrong[0] in given else "is not in the earlier splits"
        raise SplitsError(
            f"Post {wrong[0]!r} cannot be withdrawn: it {problem}. Wanted the id of a post of the earlier splits that "
            "is gone from the files. Correct the id, or the files."
        )
    part_of = {post_id: part for post_id, part in part_of.items() if post_id not in withdrawn}
    missing = sorted(part_of.keys() - given)
    if missing:
        raise SplitsError(
            f"The earlier splits cannot be kept: {len(missing)} of their {len(part_of)} posts are not among those "
            f"given, such as {missing[0]!r}. Wanted all of them, and new ones. Give the files that they were made "
            "from too, name each post that is gone for good by --withdraw, or split anew."
        )
    return part_of


def _without_calibration(shares: Mapping[PartName, float]) -> dict[PartName, float]:
    """The shares of the other parts, 1 in sum."""
    others = {name: share for name, share in shares.items() if name != "calibration"}
    return {name: share / sum(others.values()) for name, share in others.items()}


def _left_out(posts: Sequence[LabelledPost], industries: Collection[str]) -> dict[str, PartName]:
    """The part of the posts of these industries by their ids: calibration."""
    missing = sorted(set(industries) - {post.industry for post in posts})
    if missing:
        raise SplitsError(
            f"These industries cannot be left out, since no post has them: {', '.join(missing)}. Wanted names as they "
            "stand in the field `industry`. Look them up: python -m data describe FILE"
        )
    return {post.id: "calibration" for post in posts if post.industry in industries}


def split(
    posts: Sequence[LabelledPost],
    *,
    seed: int = DEFAULT_SEED,
    shares: Mapping[PartName, float] = SHARES,
    rules: Sequence[Rule] = RULES,
    stratum: Callable[[LabelledPost], str] = stratum,
    kept: SplitsFile | None = None,
    withdrawn: Collection[str] = (),
    left_out: Collection[str] = (),
    watch: Watch = unwatched,
) -> Splits:
    """The parts of `posts`: grouped by `rules` and near duplicates, balanced by `stratum`, fixed by `seed`.

    The order of `posts` does not matter. Posts that `kept` names stay in the part that they had there, so that a set
    that grows never calibrates on what a model was trained on; new ones join those that they belong to. Those that are
    `withdrawn`, by id, were in `kept` and are gone, as when somebody asks that a post be deleted. Where
    industries are `left_out`, in place of `kept`, their posts and what belongs to them are the calibration part and
    all others are the rest, so that a bundle is proven in a trade that it never saw.

    Raises:
        SplitsError: when there are no posts, an id stands twice, the shares are not shares, a post that `kept`
            names is missing, one is `withdrawn` that is given or that no `kept` names, or no post has an industry
            that is `left_out`.
    """
    _check(posts, shares)
    if withdrawn and not kept:
        raise SplitsError("--withdraw says which posts of --keep are gone. Give the earlier splits by --keep too.")
    part_of = _parts_of(kept, posts, withdrawn) if kept else _left_out(posts, left_out)
    if left_out:
        shares = _without_calibration(shares)
        # A manner is no trade: posts that share one alone do not follow those that are left out.
        rules = [rule for rule in rules if rule.name != NEIGHBOURS]
    ordered = tuple(sorted(posts, key=lambda post: post.id))
    grouping = group(ordered, rules, watch=watch)
    strata, stay = [stratum(post) for post in ordered], [part_of.get(post.id) for post in ordered]
    assigned = _assign(grouping.groups, strata, shares, seed, stay)
    routes: dict[PartName, Counter[str]] = defaultdict(Counter)
    for name, groups in assigned.items():
        routes[name].update(ordered[place].route for members in groups for place in members)
    file = SplitsFile(
        seed=seed,
        shares=dict(shares),
        posts=len(ordered),
        posts_fingerprint=fingerprint(ordered),
        groups=len(grouping.groups),
        largest_group_posts=grouping.largest,
        links=grouping.links,
        skipped_keys=grouping.skipped_keys,
        counts={name: {route: routes[name][route] for route in ROUTES} for name in PARTS},
        parts={
            name: tuple(tuple(ordered[place].id for place in members) for members in groups)
            for name, groups in assigned.items()
        },
    )
    return Splits(file=file.model_copy(update={"sha256": file.content_sha256()}), posts=ordered)


def write_splits(path: Path, splits: Splits) -> None:
    """Nothing; the file at `path` holds the splits afterwards, one group a line."""
    content = splits.file.model_dump(mode="json")
    parts = content.pop("parts")
    head = json.dumps(content, indent=1).removesuffix("\n}")
    lines = ",\n".join(
        f"  {json.dumps(name)}: [\n   " + ",\n   ".join(json.dumps(members) for members in groups) + "\n  ]"
        for name, groups in parts.items()
    )
    with whole_file(path) as file:  # nothing else knows who was in which part of a corpus that grew
        file.write(f'{head},\n "parts": {{\n{lines}\n }}\n}}\n')


def read_splits(path: Path) -> SplitsFile:
    """What stands in the file of splits at `path`, verified against its own hash.

    Raises:
        SplitsError: when the file is missing, is not a file of splits, has another format or was changed.
    """
    again = "Make it again: python -m data split FILE... --out " + str(path)
    try:
        file = SplitsFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SplitsError(f"The splits {path} could not be read: {error.strerror}. Wanted a file. {again}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise SplitsError(f"The splits {path} do not fit their format: {where}: {first['msg']}. {again}") from None
    if file.format != SPLITS_FORMAT:
        raise SplitsError(
            f"The splits {path} have format {file.format!r}; this program reads {SPLITS_FORMAT!r}. {again}"
        )
    if (found := file.content_sha256()) != file.sha256:
        raise SplitsError(
            f"The splits {path} were changed by hand: their content has SHA-256 {found}, the file says "
            f"{file.sha256}. {again}"
        )
    return file


def load_splits(path: Path, posts: Sequence[LabelledPost], taxonomy: Taxonomy = BUILT_IN) -> Splits:
    """The splits at `path` over `posts`, which must be the very posts they were made from, in any order.

    `taxonomy` is the one that the posts were read with.

    Raises:
        SplitsError: as `read_splits`, or when the posts' fingerprint is another.
    """
    file = read_splits(path)
    found = fingerprint(posts)
    if found != file.posts_fingerprint:
        raise SplitsError(
            f"The splits {path} were made from other posts: they name {file.posts} with fingerprint "
            f"{file.posts_fingerprint}, {len(posts)} were given with fingerprint {found}. "
            f"Give the same posts, or make new splits: python -m data split FILE... --out {path}"
        )
    return Splits(file=file, posts=tuple(posts), taxonomy=taxonomy)
