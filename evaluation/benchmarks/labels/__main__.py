"""The command: plants mistakes into a clean export, goes the way of docs/retraining.md, and counts what was found.

The export is made strange first (other columns, other label names, semicolons, another encoding). Every step is the
command that a user types. Writes into a directory of its own; the last line of stdout is one JSON object.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.benchmarks.labels.planting import Example, Planted, nearest_labels, plant

FLIPS, COPIES = 0.03, 0.05
_TIMES = (1, 2, 3)
_COLUMNS = ("Ref.", "Kundentext", "Anliegen (intern)")


def read_examples(files: Sequence[Path], most: int | None) -> list[Example]:
    """The texts and labels of CSV files with columns `text` and `label` or `intent`, each text once.

    Raises:
        SystemExit: when a file is missing or has no such columns, saying so.
    """
    found: dict[str, Example] = {}
    for path in files:
        if not path.is_file():
            raise SystemExit(f"{path} was not read: there is no such file. Wanted a CSV of an intent benchmark.")
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                label = row.get("label") or row.get("intent")
                if not row.get("text") or not label:
                    raise SystemExit(f"{path} was not read: wanted columns text and label, got {', '.join(row)}.")
                found.setdefault(row["text"].casefold(), Example(row["text"].strip(), label))
    return list(found.values())[:most]


def write_strange(path: Path, planted: Planted) -> None:
    """Nothing; the file at `path` is an export with columns and label names of its own afterwards."""
    labels = sorted({each.label for each in planted.examples})
    names = {label: f"{number:03} - {label.replace('_', ' ').title()}" for number, label in enumerate(labels, start=1)}
    with path.open("w", encoding="utf-16", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(_COLUMNS)
        for place, each in enumerate(planted.examples):
            writer.writerow([f"REF-{place:06}", each.text, names[each.label]])


def run(*arguments: object) -> tuple[dict[str, Any], float]:
    """The answer of `python -m data` with these arguments, and how long it took in seconds."""
    command = [sys.executable, "-m", "data", *map(str, arguments)]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 2:
        raise SystemExit(f"python -m data {arguments[0]} ended with exit code 2; its message stands above.")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer, time.perf_counter() - started


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _place(post_id: str) -> int:
    return int(post_id.removeprefix("REF-"))


def count_flips(review: Sequence[dict[str, str]], planted: Planted) -> list[dict[str, float]]:
    """Precision and recall of the list's head at one, two and three times the planted number."""
    n = len(planted.flipped)
    heads = [(times, {_place(row["id"]) for row in review[: times * n]}) for times in _TIMES]
    return [
        {
            "times": times,
            "precision": len(head & planted.flipped) / max(len(head), 1),
            "recall": len(head & planted.flipped) / n,
        }
        for times, head in heads
    ]


def count_copies(clusters: Sequence[dict[str, str]], planted: Planted) -> dict[str, float]:
    """The share of planted copies that stand in one cluster with what they were copied from."""
    cluster_of = {_place(row["id"]): row["cluster"] for row in clusters}
    found = {copy for copy, home in planted.copies.items() if cluster_of.get(copy, "") == cluster_of.get(home, "-")}
    near = set(planted.copies) - planted.exact
    return {"exact": len(found & planted.exact) / len(planted.exact), "near": len(found & near) / len(near)}


def measure(planted: Planted, directory: Path) -> dict[str, Any]:
    """What import, check and audit found of the mistakes, and the seconds that each took."""
    directory.mkdir(parents=True, exist_ok=True)
    export, mapping, intents = directory / "export.csv", directory / "mapping.toml", directory / "intents.toml"
    posts, review, clusters = directory / "posts.jsonl", directory / "review.csv", directory / "clusters.csv"
    for path in (mapping, intents, review, clusters):
        path.unlink(missing_ok=True)
    write_strange(export, planted)
    _, suggest_s = run("import", export, "--suggest", mapping, "--own-intents", intents)
    own = ("--taxonomy", intents)
    imported, import_s = run("import", export, "--mapping", mapping, *own, "--out", posts)
    checked, check_s = run("check", posts, *own, "--html", directory / "check.html")
    most = max(_TIMES) * len(planted.flipped)
    audited, audit_s = run(
        "audit", posts, *own, "--of", "intent", "--most", most, "--out", review, "--clusters", clusters
    )
    return {
        "posts": imported["posts"],
        "labels": len({each.label for each in planted.examples}),
        "flipped": len(planted.flipped),
        "flips": count_flips(_rows(review), planted),
        "likely_wrong": audited["likely_wrong"]["intent"],
        "copied": len(planted.copies),
        "copies": count_copies(_rows(clusters), planted),
        "check": {name: checked[name] for name in ("errors", "warnings", "notes")},
        "seconds": {"suggest": suggest_s, "import": import_s, "check": check_s, "audit": audit_s},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """0; the measurement is the last line of stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.benchmarks.labels",
        description="Plant flipped labels and copies into clean intent data and count what the audit finds.",
        epilog="example:\n  python -m evaluation.benchmarks.labels ../shared/benchmarks/banking77/train.csv",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="CSV with the columns text and label")
    add("--out", type=Path, default=Path("build/labels"), metavar="DIR", help="default: %(default)s")
    add("--seed", type=int, default=1, metavar="N", help="default: %(default)s")
    add("--flips", type=float, default=FLIPS, metavar="SHARE", help="default: %(default)s")
    add("--copies", type=float, default=COPIES, metavar="SHARE", help="default: %(default)s")
    add("--to-nearest", action="store_true", help="flip labels to the one that is most like them, not to any")
    add("--most", type=int, metavar="N", help="take only the first N texts")
    given = parser.parse_args(arguments)
    examples = read_examples(given.files, given.most)
    nearest = nearest_labels(examples) if given.to_nearest else None
    planted = plant(examples, flips=given.flips, copies=given.copies, seed=given.seed, nearest=nearest)
    print(json.dumps({"seed": given.seed, **measure(planted, given.out)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
