"""Results of a benchmark to show and to reckon with: round figures, nothing measured."""

from datetime import UTC, datetime

from evaluation.benchmarks.serving.measurement import summarise
from evaluation.benchmarks.serving.results import Bare, Benchmark, Load, Loop, Machine, Measured, Server


def loop(p50_ms: float = 2.0, limit_per_s: float = 400.0) -> Loop:
    return Loop(
        p50_ms=p50_ms,
        p90_ms=2 * p50_ms,
        p99_ms=4 * p50_ms,
        paced_p50_ms=p50_ms,
        paced_p99_ms=4 * p50_ms,
        limit_per_s=limit_per_s,
        cpu_s_per_1000=5.0,
    )


def bare(p50_ms: float = 2.0, limit_per_s: float = 400.0) -> Bare:
    return Bare(model=loop(p50_ms, limit_per_s), predictor=loop(2 * p50_ms), rss_mb=120.0, pss_mb=100.0)


def load(scenario: str, offered_per_s: float, good_share: float = 1.0, p50_ms: float = 3.0) -> Load:
    requests = round(offered_per_s * 4)
    good = round(requests * good_share)
    return Load(
        scenario=scenario,
        offered_per_s=offered_per_s,
        duration_s=4.0,
        requests=requests,
        answered=good,
        refused=requests - good,
        failed=0,
        good=good,
        throughput_per_s=good / 4,
        goodput_per_s=good / 4,
        p50_ms=p50_ms,
        p90_ms=2 * p50_ms,
        p99_ms=4 * p50_ms,
        max_ms=5 * p50_ms,
        dropped=0,
        late_p99_ms=1.0,
        cpu_s_per_1000=6.0,
        tool_cpu_s=0.4,
        rss_mb=260.0,
        pss_mb=250.0,
    )


def measured() -> Measured:
    return summarise(
        bare(),
        bare(p50_ms=4.0, limit_per_s=200.0),
        ready_s=1.2,
        same_label=1.0,
        idle=load("idle", 20),
        steps=[load("25%", 100), load("50%", 200), load("75%", 300, 0.5), load("search 62%", 250)],
        overload=load("overload", 2_000, 0.12),
    )


def results() -> Benchmark:
    """A run of this server and a peer that could not be installed."""
    return Benchmark(
        made_at=datetime(2026, 11, 22, tzinfo=UTC),
        quick=False,
        git_commit="0000000",
        model_version="2026.11.22+fake00",
        load_tool="k6 1.1.0",
        posts=8_000,
        machine=Machine(processor="Fake", cores=2, memory_gb=16.0, system="Linux 6", python="3.11.7"),
        servers=[
            Server(
                name="signalbox",
                version="0000000",
                configuration="as shipped",
                does="everything",
                status="measured",
                reason="",
                measured=measured(),
            ),
            Server(
                name="litserve",
                version="",
                configuration="2 workers",
                does="the model alone",
                status="not_installed",
                reason="pip ended with 1",
                measured=None,
            ),
        ],
    )
