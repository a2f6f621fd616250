"""What `python -m evaluation compare` does: champion and challenger on the same posts, and the gate's answer."""

from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path

from data.fingerprint import fingerprint
from data.progress import Say, progress_bar
from evaluation.behaviour.capabilities import DEFAULT_CASES, read_cases
from evaluation.commands import ALL, Answer, Load, part_of, read_part
from evaluation.comparison.checks import run_checks, slice_changes
from evaluation.comparison.flips import read_flips
from evaluation.comparison.page import Compared, ComparisonFiles, as_json, write_comparison
from evaluation.comparison.settings import Gate, read_gate
from evaluation.comparison.sides import run_pair


def run_comparison(arguments: Namespace, load: Load, say: Say) -> tuple[Compared, ComparisonFiles]:
    """The comparison that the arguments ask for, and its files, written to `arguments.out`.

    Raises:
        BundleError, SourceError, SplitsError, UsageError, CasesError, GateError: when something cannot be used.
        OSError: when the files cannot be written.
    """
    gate = read_gate(arguments.gate) if arguments.gate else Gate()
    champion, challenger = load(arguments.champion, None), load(arguments.challenger, None)
    read = read_part(arguments, part_of(arguments), challenger.bundle.taxonomy, say)
    pair = run_pair(champion, challenger, read.posts, read_cases(DEFAULT_CASES), watch=progress_bar)
    changes = slice_changes(pair)
    seen = read.why_seen(champion.bundle, challenger.bundle)
    compared = Compared(
        pair=pair,
        gate=gate,
        checks=run_checks(pair, changes, gate, seen),
        slices=changes,
        flips=read_flips(pair),
        file=str(arguments.file),
        part=None if read.name == ALL else read.name,
        posts_fingerprint=fingerprint(read.posts),
        created_at=datetime.now(UTC),
    )
    return compared, write_comparison(arguments.out, compared)


def tell(compared: Compared, html: Path, say: Say) -> None:
    """Says every check and where the page is."""
    signs = {True: "passed", False: "FAILED", None: "-"}
    for check in compared.checks:
        say(f"{signs[check.passed]:<7} {check.name:<16} {check.words}")
    worse = len(compared.flips)
    say(f"{worse} post{'s' if worse != 1 else ''} got worse: read {'them' if worse != 1 else 'it'} in {html}")


def compare(arguments: Namespace, load: Load, say: Say) -> Answer:
    """The comparison as JSON with the names of its files; passed where no check failed."""
    compared, files = run_comparison(arguments, load, say)
    tell(compared, files.html, say)
    names = {"html": str(files.html), "json": str(files.json), "flips": str(files.flips)}
    return Answer(as_json(compared) | {"files": names}, passed=compared.passed)
