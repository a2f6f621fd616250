"""The commands that check: a bundle before it serves, and the description of the interface."""

import argparse
from pathlib import Path

from serving.commands.verbs import DONE, FAILED, Verbs, add_bundle, add_verb, reply, say

OPENAPI_FILE = Path("docs/openapi.json")


def add(verbs: Verbs) -> None:
    """Nothing; `check` and `openapi` are there."""
    checking = add_verb(
        verbs, "check", check, "verify a bundle and ask it what every bundle must know", "check --bundle build/new"
    )
    add_bundle(checking)
    describing = add_verb(verbs, "openapi", openapi, f"write {OPENAPI_FILE}", "openapi", "openapi --check")
    describing.add_argument("--out", type=Path, default=OPENAPI_FILE, help="file to write")
    describing.add_argument("--check", action="store_true", help="write nothing; exit 1 where the file is out of date")


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
        say(str(error))
        reply({"bundle": str(settings.bundle), "fit": False, "problems": [str(error)]})
        return FAILED
    problems = failures(predictor)
    for problem in problems:
        say(problem)
    golden = len(predictor.bundle.golden.posts) if predictor.bundle.golden else 0
    recorded = f"{golden} golden posts answered as recorded" if golden else "no golden posts to compare with"
    asked = f"{len(cases(predictor))} posts asked, {len(problems)} problems"
    say(f"{settings.bundle}: every file verified; {recorded}; {asked}.")
    answer = {"bundle": str(settings.bundle), "fit": not problems, "problems": problems, "golden_posts": golden}
    reply({**answer, "versions": versions_of(predictor).model_dump()})
    return FAILED if problems else DONE


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
        say(f"{out} is not what the program says. Wanted: the same. Run `python -m serving openapi`.")
    reply({"file": str(out), "was_current": current})
    return FAILED if arguments.check and not current else DONE
