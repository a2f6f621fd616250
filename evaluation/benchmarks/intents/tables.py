"""The results as Markdown, and their place in a page: between two marks, as those of the serving benchmark."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean, stdev

from evaluation.benchmarks.intents.methods import METHODS
from evaluation.benchmarks.intents.published import PUBLISHED
from evaluation.benchmarks.intents.results import Cell, Results
from evaluation.benchmarks.intents.sets import HINT3_BOTS

MARKS = (
    "<!-- yardsticks: python -m evaluation.benchmarks.intents table docs/yardsticks.md -->",
    "<!-- /yardsticks -->",
)
Figure = Callable[[Cell], float | None]
FIGURES: dict[str, Figure] = {
    "accuracy": lambda cell: cell.scored.accuracy,
    "macro-F1": lambda cell: cell.scored.macro_f1,
    "accuracy with threshold": lambda cell: cell.scored.turned.in_scope_accuracy if cell.scored.turned else None,
    "out-of-scope recall": lambda cell: cell.scored.turned.out_of_scope_recall if cell.scored.turned else None,
    "AUROC": lambda cell: cell.scored.auroc,
}


def spread(values: Sequence[float | None]) -> str:
    """Mean and standard deviation over seeds in per cent; a dash where there is no figure."""
    known = [100 * value for value in values if value is not None]
    if not known or len(known) < len(values):
        return "-"
    return f"{fmean(known):.2f} ± {stdev(known):.2f}" if len(known) > 1 else f"{known[0]:.2f}"


def by_set(results: Results) -> dict[tuple[str, str], list[Cell]]:
    """The cells of each set and method, sets in the order of the run."""
    groups: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for size in results.sizes:
        for cell in results.cells:
            if cell.set == size.set:
                groups[size.set, cell.method].append(cell)
    return dict(groups)


def three_bots(results: Results, method: str, figure: Figure) -> list[float | None]:
    """For each seed the mean of a figure over the bots of HINT3; nothing where a bot was not measured."""
    of_seed: dict[int, list[float | None]] = defaultdict(list)
    for cell in results.cells:
        if cell.method == method and cell.set in {f"hint3-{bot}" for bot in HINT3_BOTS}:
            of_seed[cell.seed].append(figure(cell))
    whole = [values for values in of_seed.values() if len(values) == len(HINT3_BOTS)]
    return [fmean(known) if len(known := [v for v in each if v is not None]) == len(each) else None for each in whole]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _seconds(cells: Sequence[Cell]) -> str:
    return f"{fmean(cell.seconds for cell in cells):,.0f}"


def _spreads(cells: Sequence[Cell]) -> list[str]:
    return [spread([figure(cell) for cell in cells]) for figure in FIGURES.values()]


def measured_table(results: Results) -> str:
    """One row a set and method; the bots of HINT3 also as one."""
    rows = [
        [name, f"`{method}`", str(len(cells)), *_spreads(cells), _seconds(cells)]
        for (name, method), cells in by_set(results).items()
    ]
    for method in METHODS:
        means = {name: three_bots(results, method, figure) for name, figure in FIGURES.items()}
        if any(means.values()):
            seeds = str(len(means["accuracy"]))
            rows.append(["hint3, mean of bots", f"`{method}`", seeds, *(spread(each) for each in means.values()), ""])
    return _table(("set", "method", "seeds", *FIGURES, "seconds"), rows)


def published_table() -> str:
    """What others printed."""
    rows = [
        [each.set, each.who, each.accuracy or "-", each.out_of_scope_recall or "-", each.source] for each in PUBLISHED
    ]
    return _table(("set", "who", "accuracy", "out-of-scope recall", "source"), rows)


def render_tables(results: Results) -> str:
    """All of it as Markdown."""
    sizes = [
        [
            size.set,
            *(f"{number:,}" for number in (size.intents, size.train, size.development, size.test, size.out_of_scope)),
        ]
        for size in results.sizes
    ]
    missing = "".join(
        f"- `{each.method}` on {each.set}, seed {each.seed}: {each.reason}.\n" for each in results.missing
    )
    return (
        f"{results.made_at:%Y-%m-%d}, commit {results.git_commit}, {results.machine}. "
        f"Per cent, mean ± standard deviation over seeds.\n\n{measured_table(results)}\n"
        + (f"Not measured:\n\n{missing}\n" if missing else "")
        + f"### Published\n\n{published_table()}\n### Sets\n\n"
        + _table(("set", "intents", "train", "development", "test in scope", "test out of scope"), sizes)
    )
