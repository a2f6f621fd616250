"""What a benchmark found: ratios to the bare model, the file, its documentation, its tables and its picture."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from evaluation.benchmarks.serving.comparison import headline, write_results
from evaluation.benchmarks.serving.endurance import Idle, Sample, Soak, judge_soak
from evaluation.benchmarks.serving.figures import draw
from evaluation.benchmarks.serving.measurement import summarise
from evaluation.benchmarks.serving.results import Benchmark, ResultsError, read_results
from evaluation.benchmarks.serving.tables import fields_table, render_tables
from tests.evaluation.benchmark_results import bare, load, measured, results

DOCS = Path("docs/benchmarks.md")


def test_a_ratio_is_to_the_mean_of_the_bare_model_before_and_after() -> None:
    ratios = measured().ratios
    assert ratios.idle_p50 == pytest.approx(3.0 / 3.0)
    assert ratios.sustained == pytest.approx(250 / 300)
    assert ratios.overload_goodput == pytest.approx(240 / 300)
    assert ratios.cpu == pytest.approx(6.0 / 5.0)
    assert ratios.memory == pytest.approx(250 / 100)


def test_a_rate_is_sustained_only_where_nearly_every_request_got_a_good_answer() -> None:
    found = measured()
    assert found.sustained_per_s == 250
    assert found.peak_goodput_per_s == 250


def test_a_server_that_sustains_nothing_has_no_sustained_rate_and_no_ratio() -> None:
    nothing = load("25%", 100, 0.5)
    found = summarise(
        bare(), bare(), ready_s=1.0, same_label=1.0, idle=nothing, steps=[nothing, nothing], overload=nothing
    )
    assert found.sustained_per_s is None
    assert found.ratios.sustained is None
    assert found.peak_goodput_per_s == 50


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_results(tmp_path / "serving.json", results())
    assert read_results(tmp_path / "serving.json") == results()
    assert [path.name for path in tmp_path.iterdir()] == ["serving.json"]


@pytest.mark.parametrize("content", [None, b"no JSON", b'{"format": "0"}'])
def test_a_file_that_holds_no_results_is_refused_with_what_to_do(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "serving.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        ResultsError, match=r"cannot be used: .+ Wanted the serving.json of a run, format 1\. Make one:"
    ):
        read_results(path)


def test_the_headline_holds_ratios_or_a_status() -> None:
    line = headline(results())
    assert line["litserve"] == "not_installed"
    assert isinstance(line["signalbox"], dict)


@pytest.mark.parametrize("model", [Benchmark, Soak, Idle])
def test_every_field_is_described_and_the_documentation_has_it_all(model: type[BaseModel]) -> None:
    table = fields_table(model)
    assert "| None |" not in table
    assert table in DOCS.read_text(encoding="utf-8"), "paste what fields_table gives"


def test_the_tables_show_every_figure_with_its_ratio_and_what_was_not_measured() -> None:
    text = render_tables(results())
    assert "| `signalbox` 0000000 | 3.00 (1.00) |" in text
    assert "250 (0.83)" in text
    assert "`litserve` : 2 workers. Does the model alone. **Not measured (not installed)**: pip ended with 1." in text
    assert text.count("| `signalbox` | ") == 6 + 2


def test_the_picture_has_a_bar_for_each_server_that_was_measured() -> None:
    traces = draw(results()).data
    assert len(traces) == 6
    assert {tuple(trace.y) for trace in traces} == {("signalbox",)}


def _samples(*rss_mb: float) -> list[Sample]:
    return [Sample(second=float(place + 1), rss_mb=value) for place, value in enumerate(rss_mb)]


@pytest.mark.parametrize(
    ("rss_mb", "answered", "passed"),
    [
        ((100.0, 200, 205, 209.9), 10, True),
        ((100.0, 200, 211, 200), 10, False),
        ((100.0, 200, 200, 200), 9, False),
        ((100.0, 200, 150, 150), 10, True),
    ],
)
def test_memory_is_flat_where_it_stays_within_five_percent_of_where_it_settled(
    rss_mb: tuple[float, ...], answered: int, passed: bool
) -> None:
    early = [Sample(second=0.1, rss_mb=50.0)]
    found = judge_soak(10, answered, [*early, *_samples(*rss_mb)[1:]])
    assert found.passed == passed
    assert found.settled_rss_mb == 200
