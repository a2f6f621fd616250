"""`python -m tests.load.crises`: how often the crisis brake takes hold falsely, and how soon in a crisis.

Tables for people go to stderr; the last line of stdout is one JSON object. Exit code 0, or 2 for misuse.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np

from serving.brake import BOUNDS, Bounds
from tests.load.crises.simulation import DAY_S, KNOWN_AFTER_S, find_delays, find_holds
from tests.load.crises.streams import Stream, draw_stream, make_uneven

FEEDS = ((3_000, 12), (12_000, 12), (50_000, 6), (200_000, 3))
"""Posts a month, and months."""
SPREADS = (0.0, 0.25, 0.5)
RISES = ((False, (1.0, 2.0, 5.0, 20.0)), (True, (0.5, 1.0, 2.0, 5.0)))
"""Sensitive or not, and posts a minute."""
CRISES = 40
TRIED: dict[str, Bounds] = {
    "chosen": BOUNDS,
    "25 alike, 10 sensitive, 2 times and 4 deviations": replace(
        BOUNDS, least_cluster_posts=25, least_sensitive_posts=10, times=2.0, deviations=4.0
    ),
    "10 sensitive": replace(BOUNDS, least_sensitive_posts=10),
    "10 alike": replace(BOUNDS, least_cluster_posts=10),
    "2 times": replace(BOUNDS, times=2.0),
    "4 deviations": replace(BOUNDS, deviations=4.0),
    "without the hours beside": replace(BOUNDS, margin=timedelta(0)),
    "30 minutes": replace(BOUNDS, window=2 * BOUNDS.window),
}
_MONTH_S = 30 * DAY_S


def _false_holds(stream: Stream, bounds: Bounds) -> dict[str, float]:
    """In the first four weeks, a month after them, and how many hours of a month it then held."""
    holds = find_holds(stream, bounds)
    known = [hold for hold in holds if hold.since_s >= KNOWN_AFTER_S]
    months = (float(stream.times_s[-1]) - KNOWN_AFTER_S) / _MONTH_S
    held_h = sum(hold.until_s - hold.since_s for hold in known) / 3_600
    return {
        "first_four_weeks": len(holds) - len(known),
        "a_month": round(len(known) / months, 2),
        "hours_a_month": round(held_h / months, 2),
        "of_clusters": sum("nearly the same" in hold.cause for hold in known),
    }


def _delays(stream: Stream, bounds: Bounds) -> Iterator[dict[str, object]]:
    for sensitive, rates in RISES:
        for rate in rates:
            draw = np.random.default_rng(2)
            found = find_delays(stream, bounds, rate, sensitive=sensitive, crises=CRISES, draw=draw)
            held = [(each.seconds / 60, each.posts) for each in found if each.seconds is not None]
            told: dict[str, object] = {"sensitive": sensitive, "a_minute": rate, "held": len(held)}
            for name, values in zip(("minutes", "posts"), zip(*held, strict=True), strict=False):
                told[name] = [round(float(np.quantile(values, share)), 1) for share in (0.5, 0.9)]
            yield told


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 2 misuse."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.crises",
        description="Simulate the crisis brake: its false holds in months without a crisis, and its delay in crises.",
        epilog="example:\n  python -m tests.load.crises --posts 12000",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--posts", type=int, choices=[posts for posts, _ in FEEDS], help="a month (default: all)")
    asked = parser.parse_args(argv).posts
    report: list[dict[str, object]] = []
    for posts, months in FEEDS:
        if asked not in (None, posts):
            continue
        feed = draw_stream(posts, months)
        for spread in SPREADS:
            stream = make_uneven(feed, spread, np.random.default_rng(1)) if spread else feed
            for name, bounds in TRIED.items():
                report.append(
                    {"posts_a_month": posts, "spread": spread, "bounds": name, **_false_holds(stream, bounds)}
                )
                print(report[-1], file=sys.stderr, flush=True)
        for name in list(TRIED)[:4]:
            for told in _delays(feed, TRIED[name]):
                report.append({"posts_a_month": posts, "bounds": name, **told})
                print(report[-1], file=sys.stderr, flush=True)
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
