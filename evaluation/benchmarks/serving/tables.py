"""The results as Markdown, and their place in a page: between two marks, as the figures of a bundle in the README."""

from collections.abc import Iterator, Sequence
from typing import get_args

from pydantic import BaseModel

from evaluation.benchmarks.serving.results import GOOD_MS, Bare, Benchmark, Load, Measured, Server

MARKS = (
    "<!-- benchmark: python -m evaluation.benchmarks.serving table docs/benchmarks.md -->",
    "<!-- /benchmark -->",
)
NONE = "none"


def _number(value: float | None, digits: int = 2) -> str:
    return NONE if value is None else f"{value:,.{digits}f}"


def _both(value: float | None, ratio: float | None, digits: int = 2) -> str:
    """A figure, and in brackets the ratio to the bare model."""
    return NONE if value is None else f"{_number(value, digits)} ({_number(ratio)})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _summary_row(server: Server, found: Measured) -> list[str]:
    ratios = found.ratios
    return [
        f"`{server.name}` {server.version}".strip(),
        _both(found.idle.p50_ms, ratios.idle_p50),
        _both(found.idle.p90_ms, ratios.idle_p90),
        _both(found.idle.p99_ms, ratios.idle_p99),
        _both(found.sustained_per_s, ratios.sustained, 0),
        _both(found.peak_throughput_per_s, ratios.throughput, 0),
        _both(found.overload.goodput_per_s, ratios.overload_goodput, 0),
        _both(found.half.cpu_s_per_1000, ratios.cpu),
        _both(found.half.pss_mb, ratios.memory, 0),
        f"{found.ready_s:.1f}",
        f"{found.same_label:.0%}",
    ]


_SUMMARY_HEAD = (
    *("server", "idle p50, ms", "idle p90, ms", "idle p99, ms", f"sustained within {GOOD_MS} ms, posts/s"),
    *("highest throughput, posts/s", "goodput at 5 x overload, posts/s", "CPU s per 1,000 posts", "memory (PSS), MB"),
    *("ready, s", "same label"),
)


def summary_table(results: Benchmark) -> str:
    """One row a server; in brackets the ratio to the bare model around it."""
    rows = [_summary_row(server, server.measured) for server in results.servers if server.measured]
    return _table(_SUMMARY_HEAD, rows)


def _load_row(name: str, load: Load) -> list[str]:
    return [
        f"`{name}`",
        load.scenario,
        _number(load.offered_per_s, 0),
        _number(load.throughput_per_s, 0),
        _number(load.goodput_per_s, 0),
        *(_number(value) for value in (load.p50_ms, load.p90_ms, load.p99_ms)),
        str(load.refused),
        str(load.failed),
        _number(load.cpu_s_per_1000),
        _number(load.tool_cpu_s, 1),
    ]


_LOAD_HEAD = (
    *("server", "scenario", "offered/s", "answered/s", f"within {GOOD_MS} ms/s", "p50, ms", "p90, ms", "p99, ms"),
    *("refused", "failed", "CPU s per 1,000", "load tool, CPU s"),
)


def load_table(results: Benchmark) -> str:
    """One row for every stream of requests."""
    rows = [
        _load_row(server.name, load)
        for server in results.servers
        if server.measured
        for load in (server.measured.idle, *server.measured.steps, server.measured.overload)
    ]
    return _table(_LOAD_HEAD, rows)


def _bare_row(name: str, when: str, bare: Bare) -> list[str]:
    model, predictor = bare.model, bare.predictor
    return [
        f"`{name}`",
        when,
        *(_number(value) for value in (model.p50_ms, model.p99_ms, model.paced_p50_ms)),
        *(_number(model.limit_per_s, 0), _number(model.cpu_s_per_1000)),
        *(_number(value) for value in (predictor.p50_ms, predictor.p99_ms)),
        *(_number(predictor.limit_per_s, 0), _number(bare.pss_mb, 0)),
    ]


_BARE_HEAD = (
    *("around", "when", "p50, ms", "p99, ms", "p50 at idle rate, ms", "limit, posts/s", "CPU s per 1,000 posts"),
    *("whole predictor p50, ms", "its p99, ms", "its limit, posts/s", "memory (PSS), MB"),
)


def bare_table(results: Benchmark) -> str:
    """The bare model before and after each server: how much the machine itself changed."""
    rows = [
        _bare_row(server.name, when, bare)
        for server in results.servers
        if server.measured
        for when, bare in (("before", server.measured.bare_before), ("after", server.measured.bare_after))
    ]
    return _table(_BARE_HEAD, rows)


def _configuration(server: Server) -> str:
    problem = "" if server.measured else f" **Not measured ({server.status.replace('_', ' ')})**: {server.reason}."
    return f"- `{server.name}` {server.version}: {server.configuration}. Does {server.does}.{problem}\n"


def render_tables(results: Benchmark) -> str:
    """All of it as Markdown."""
    machine = results.machine
    quick = " **A quick run, too short to be quoted.**" if results.quick else ""
    return (
        f"{results.made_at:%Y-%m-%d}, commit {results.git_commit}, model {results.model_version}, {machine.processor}, "
        f"{machine.cores} cores, {machine.system}, Python {machine.python}; load by {results.load_tool}, "
        f"{results.posts} posts.{quick}\n\n"
        "In brackets the ratio to the bare model measured right before and right after the same server.\n\n"
        f"{summary_table(results)}\n{''.join(map(_configuration, results.servers))}\n"
        f"### Every load\n\n{load_table(results)}\n"
        f"### The bare model around each server\n\n{bare_table(results)}"
    )


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _models(part)


def fields_table(model: type[BaseModel]) -> str:
    """Every field of a kind of results, and of all that it holds, with its description: the schema for people."""
    rows = [
        [f"`{name}`", each.__name__, str(field.description)]
        for each in dict.fromkeys(_models(model))
        for name, field in each.model_fields.items()
    ]
    return _table(("field", "of", "meaning"), rows)
