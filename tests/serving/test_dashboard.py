"""The Grafana dashboard asks for what there is: its queries parse, and name metrics and labels of the live registry."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.metrics import Metrics

promql = pytest.importorskip("promql_parser", reason="group dev")
DASHBOARD = json.loads(Path("docs/grafana-dashboard.json").read_text(encoding="utf-8"))
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
BY_GRAFANA = {"__rate_interval": "5m"}
"""Variables that Grafana fills in itself, each with a value that it may have."""
BY_PROMETHEUS = {"job", "instance", "le"}
"""Labels that a scrape adds, and the one of a histogram's buckets."""
SHOWN = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
QUERIES = [(panel["title"], target["expr"]) for panel in SHOWN for target in panel["targets"]]

every_query = pytest.mark.parametrize("query", [query for _, query in QUERIES], ids=[title for title, _ in QUERIES])


def filled(query: str) -> str:
    """A query as Grafana sends it: with something in the place of each variable."""
    return re.sub(r"\$(\w+)", lambda found: BY_GRAFANA.get(found[1], "anything"), query)


def parts_of(expression: Any) -> Iterator[Any]:
    """An expression and all expressions in it."""
    yield expression
    inner = [getattr(expression, name, None) for name in ("lhs", "rhs", "expr", "param", "vector_selector")]
    for part in [*inner, *getattr(expression, "args", ())]:
        if part is not None:
            yield from parts_of(part)


def labels_of_samples() -> dict[str, set[str]]:
    """The labels of every sample that a server shows or may show, by its name."""
    endings = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}
    metrics = Metrics()
    kinds = {family.name: family.type for family in metrics.registry.collect()}
    found = {}
    for family in metrics.families():
        name = family.name.removesuffix("_total")
        for ending in endings.get(kinds[name], ("",)):
            found[name + ending] = {*family.labels, *BY_PROMETHEUS}
    return found


SAMPLES = labels_of_samples()


def test_the_dashboard_can_be_imported_anywhere() -> None:
    assert DASHBOARD["title"] == "Signalbox"
    assert re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])
    assert DASHBOARD["id"] is None  # an import gives it one
    assert DASHBOARD["schemaVersion"] >= 36  # data sources by type and uid
    assert VARIABLES["datasource"]["type"] == "datasource"
    assert VARIABLES["datasource"]["query"] == "prometheus"
    for asked in [*SHOWN, *(target for panel in SHOWN for target in panel["targets"])]:
        assert asked["datasource"] == DATASOURCE


def test_no_panel_lies_over_another_or_beyond_the_edge() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@every_query
def test_a_query_is_promql_and_all_its_variables_are_there(query: str) -> None:
    promql.parse(filled(query))
    assert set(re.findall(r"\$(\w+)", query)) <= {*VARIABLES, *BY_GRAFANA}


@every_query
def test_a_query_asks_for_metrics_and_labels_that_there_are(query: str) -> None:
    parts = list(parts_of(promql.parse(filled(query))))
    selectors = [part for part in parts if isinstance(part, promql.VectorSelector)]
    assert selectors
    for selector in selectors:
        assert selector.name in SAMPLES
        assert {matcher.name for matcher in selector.matchers.matchers} <= SAMPLES[selector.name]
    known = set().union(*(SAMPLES[selector.name] for selector in selectors))
    for part in parts:
        if isinstance(part, promql.AggregateExpr) and part.modifier is not None:
            assert set(part.modifier.labels) <= known


def test_every_metric_of_ours_is_shown() -> None:
    asked = "".join(query for _, query in QUERIES)
    ours = {family.name for family in Metrics().families() if family.name.startswith("signalbox_")}
    assert {name for name in ours if not re.search(rf"\b{name}(_bucket)?\b", asked)} == set()


@pytest.mark.parametrize("panel", SHOWN, ids=[panel["title"] for panel in SHOWN])
def test_a_legend_names_labels_that_its_query_gives(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
            assert re.search(rf"\bby \([^)]*\b{label}\b", target["expr"])


def test_a_choice_is_made_among_labels_that_there_are() -> None:
    chosen = [variable for variable in VARIABLES.values() if variable["type"] == "query"]
    assert {variable["name"] for variable in chosen} == {"job", "instance", "route"}
    for variable in chosen:
        call = re.fullmatch(r"label_values\((\w+)(?:{.*})?, (\w+)\)", variable["query"]["query"])
        assert call
        assert call[2] in SAMPLES[call[1]]


def test_the_test_sees_what_is_not_there() -> None:
    assert "signalbox_requests_total" in SAMPLES
    assert "signalbox_stage_seconds_bucket" in SAMPLES
    assert not {"signalbox_requests", "signalbox_stage_seconds", "signalbox_ready_total"} & set(SAMPLES)
    names = {
        part.name for part in parts_of(promql.parse("sum by (a) (rate(b[5m])) / (c + max(d))")) if hasattr(part, "name")
    }
    assert names == {"b", "c", "d"}
