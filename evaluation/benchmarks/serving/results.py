"""What a benchmark found: the values of `serving.json`. A field's description is its documentation.

Latencies are milliseconds from the moment that the arrival plan sets for a request to the end of its answer, so time
that a request waited to be sent counts; where requests were dropped, the plan is lost and they count from the sending.
A ratio is the server's figure over that of the bare model, measured right before and right after this server (the mean
of both).
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

FORMAT: Literal["1"] = "1"
GOOD_MS = 50
"""An answer later than this is worth nothing here: the limit that the issue of the serving engine set."""
SUSTAINED_SHARE = 0.99
"""A rate is sustained where at least this share of its requests got an answer within GOOD_MS."""

Status = Literal["measured", "not_installed", "not_started", "failed"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Loop(_Value):
    """What one function does in a loop in one process, without a server around it."""

    p50_ms: Annotated[float, Field(description="median time of a post, one thread, one post after the other")]
    p90_ms: Annotated[float, Field(description="nine tenths of the posts take at most this")]
    p99_ms: Annotated[float, Field(description="99 of 100 posts take at most this")]
    paced_p50_ms: Annotated[float, Field(description="median time of a post when they come at the idle rate")]
    paced_p99_ms: Annotated[float, Field(description="the same, 99 of 100")]
    limit_per_s: Annotated[float, Field(description="posts a second with one thread for each core")]
    cpu_s_per_1000: Annotated[float, Field(description="CPU seconds for 1,000 posts at that limit")]


class Bare(_Value):
    """The limits that no server can pass: the model alone, and the model with all that a decision takes."""

    model: Annotated[Loop, Field(description="tokenizer and session.run over rendered posts")]
    predictor: Annotated[Loop, Field(description="Predictor.predict: rendering, redaction, guards, model, policy")]
    rss_mb: Annotated[float, Field(description="resident memory of that process")]
    pss_mb: Annotated[float, Field(description="the same, shared pages counted by their share")]


class Load(_Value):
    """What came of a stream of requests at one rate."""

    scenario: Annotated[str, Field(description="idle, a percentage of the bare limit, search or overload")]
    offered_per_s: Annotated[float, Field(description="planned arrivals a second, whatever the server does")]
    duration_s: Annotated[float, Field(description="how long they came")]
    requests: Annotated[int, Field(description="planned arrivals, or those sent where these are more")]
    answered: Annotated[int, Field(description="answers with status 200")]
    refused: Annotated[int, Field(description="answers with status 429, 503 or 504")]
    failed: Annotated[int, Field(description="no answer in time, any other status, or cut off at the end")]
    good: Annotated[int, Field(description=f"answers with status 200 within {GOOD_MS} ms")]
    throughput_per_s: Annotated[float, Field(description="answers with status 200 a second")]
    goodput_per_s: Annotated[float, Field(description=f"answers with status 200 within {GOOD_MS} ms a second")]
    p50_ms: Annotated[float | None, Field(description="median latency of the answers with status 200")]
    p90_ms: Annotated[float | None, Field(description="nine tenths of these answers took at most this")]
    p99_ms: Annotated[float | None, Field(description="99 of 100 of these answers took at most this")]
    max_ms: Annotated[float | None, Field(description="the slowest of these answers")]
    dropped: Annotated[int, Field(description="of the failed: not even sent, since no client of the tool was free")]
    late_p99_ms: Annotated[
        float | None,
        Field(description="how late the load tool sent, 99 of 100; in the latencies, unless requests were dropped"),
    ]
    cpu_s_per_1000: Annotated[float | None, Field(description="CPU seconds of the server for 1,000 such answers")]
    tool_cpu_s: Annotated[
        float, Field(description="CPU seconds of the load tool, its start included; it shares the cores")
    ]
    rss_mb: Annotated[float, Field(description="resident memory of the server's processes at the end")]
    pss_mb: Annotated[float, Field(description="the same, shared pages counted by their share")]


class Ratios(_Value):
    """The figures of a server over those of the bare model of its own minutes; `None` where there is no figure."""

    idle_p50: Annotated[float | None, Field(description="idle median over that of the bare model")]
    idle_p90: Annotated[float | None, Field(description="the same at nine tenths")]
    idle_p99: Annotated[float | None, Field(description="the same at 99 of 100")]
    sustained: Annotated[float | None, Field(description="sustained rate over the bare limit")]
    throughput: Annotated[float | None, Field(description="highest throughput at any rate over the bare limit")]
    goodput: Annotated[float | None, Field(description="highest goodput at any rate over the bare limit")]
    overload_goodput: Annotated[float | None, Field(description="goodput at 5 times overload over the bare limit")]
    cpu: Annotated[float | None, Field(description="CPU seconds of 1,000 posts at half load over the bare model's")]
    memory: Annotated[float | None, Field(description="PSS at half load over that of the bare process")]


class Measured(_Value):
    """Everything measured of one server."""

    bare_before: Annotated[Bare, Field(description="the bare model right before this server started")]
    bare_after: Annotated[Bare, Field(description="the bare model right after this server ended")]
    ready_s: Annotated[float, Field(description="from process start to the first answer")]
    same_label: Annotated[float, Field(description="share of checked posts with the bare model's route label")]
    idle: Annotated[Load, Field(description="requests at a low rate: what a lone request costs")]
    steps: Annotated[list[Load], Field(description="25, 50 and 75 % of the bare limit, then the search")]
    overload: Annotated[Load, Field(description="5 times the bare limit")]
    sustained_per_s: Annotated[
        float | None, Field(description=f"highest rate with {SUSTAINED_SHARE:.0%} of the requests good")
    ]
    peak_throughput_per_s: Annotated[float, Field(description="highest throughput at any rate")]
    peak_goodput_per_s: Annotated[float, Field(description="highest goodput at any rate but overload")]
    ratios: Annotated[Ratios, Field(description="the figures over those of the bare model")]

    @property
    def half(self) -> Load:
        """The load at half of the bare limit."""
        return self.steps[1]


class Server(_Value):
    """One server of the run: what it is, and what was measured or why nothing was."""

    name: Annotated[str, Field(description="as in --peers; `signalbox` is this server")]
    version: Annotated[str, Field(description="of its package, empty where it is not installed")]
    configuration: Annotated[str, Field(description="how it was set up, and why")]
    does: Annotated[str, Field(description="what it does for a post beside running the model, and what it does not")]
    status: Annotated[Status, Field(description="measured, or how far it came")]
    reason: Annotated[str, Field(description="why it was not measured, empty where it was")]
    measured: Annotated[Measured | None, Field(description="the figures, null where there are none")]


class Machine(_Value):
    """Where the run was."""

    processor: Annotated[str, Field(description="as the system names it")]
    cores: Annotated[int, Field(description="that this process may use")]
    memory_gb: Annotated[float, Field(description="of the whole machine")]
    system: Annotated[str, Field(description="kernel and its release")]
    python: Annotated[str, Field(description="that ran this server and the bare model")]


class Benchmark(_Value):
    """A whole run: the content of `serving.json`."""

    format: Annotated[Literal["1"], Field(description="version of this layout")] = FORMAT
    made_at: Annotated[AwareDatetime, Field(description="when the run began")]
    quick: Annotated[bool, Field(description="true for a run too short to be quoted")]
    git_commit: Annotated[str, Field(description="of this repository, with + where files were changed")]
    model_version: Annotated[str, Field(description="of the bundle whose graph every server served")]
    load_tool: Annotated[str, Field(description="name and version")]
    posts: Annotated[int, Field(description="different posts in the load")]
    machine: Annotated[Machine, Field(description="where the run was")]
    servers: Annotated[list[Server], Field(description="in the order in which they were measured")]


class ResultsError(ValueError):
    """A file that holds no results of this format."""


def read_results(path: Path) -> Benchmark:
    """The results in a file that `run` wrote.

    Raises:
        ResultsError: when it cannot be read or holds no such results.
    """
    try:
        return Benchmark.model_validate_json(path.read_bytes())
    except OSError as error:
        got = error.strerror or "nothing"
    except ValueError as error:
        got = str(error).splitlines()[0]
    raise ResultsError(
        f"The results {path} cannot be used: {got}. Wanted the serving.json of a run, format {FORMAT}. "
        "Make one: python -m evaluation.benchmarks.serving run"
    )
