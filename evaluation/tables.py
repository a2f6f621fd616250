"""A summary as lines for a terminal. Owns the layout, computes nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from evaluation.certificates import explain
from evaluation.summary import Summary
from models.policy import Certificate

_Figure = Mapping[str, Any]
_WORST_SLICES = 5


def _share(value: float | None) -> str:
    return "      -" if value is None else f"{100 * value:5.1f} %"


def _estimate(name: str, figure: _Figure) -> str:
    low, high = _share(figure["low"]).strip(), _share(figure["high"]).strip()
    return f"  {name:<24} {_share(figure['value'])}   ({low} to {high})"


def _score(name: str, figure: _Figure) -> str:
    return f"  {name:<24} {figure['value']:7.3f}   ({figure['low']:.3f} to {figure['high']:.3f})"


def _counted(name: str, figure: _Figure) -> str:
    if not figure["trials"]:
        return f"  {name:<24} {_share(None)}   no such post"
    return f"{_estimate(name, figure)}   {figure['events']} of {figure['trials']}"


def _by_risk(shares: Mapping[str, float | None]) -> str:
    return ", ".join(f"{_share(share).strip()} at {100 * float(risk):.0f} %" for risk, share in shares.items())


def _class(figures: _Figure) -> str:
    cells = [f"{figures[name]['value']:.3f}" if figures[name] else "-" for name in ("precision", "recall", "f1")]
    return f"  {figures['label']:<24}" + "".join(f"{cell:>11}" for cell in cells) + f"{figures['support']:>8}"


def _labels(summary: Summary) -> Iterator[str]:
    yield "Labels"
    for head in ("route", "intent"):
        yield _estimate(f"{head} accuracy", summary[head]["accuracy"])
        yield _score(f"{head} macro-F1", summary[head]["macro_f1"])
    yield f"  {'route':<24}" + "".join(f"{name:>11}" for name in ("precision", "recall", "F1")) + f"{'posts':>8}"
    yield from map(_class, summary["route"]["classes"])


def _confidence(summary: Summary) -> Iterator[str]:
    yield "Confidence"
    for head in ("route", "intent"):
        honest = summary[head]["calibration"]
        yield f"  {head:<24} ECE {honest['ece_equal_mass']:.4f} (bins of equal mass), Brier {honest['brier']:.4f}"
    chosen = summary["selective"]
    yield f"  {'ranking of routes':<24} AURC {chosen['aurc']:.4f}, AUGRC {chosen['augrc']:.4f}"
    yield f"  {'routes kept':<24} {_by_risk(chosen['coverage_at_risk'])} wrong"
    yield f"  {'simple posts answerable':<24} {_by_risk(chosen['simple_answerable_at_wrong'])} wrong"


def _decisions(decided: Mapping[str, Any]) -> Iterator[str]:
    yield "Decisions"
    yield _estimate("closed by the machine", decided["automatic_share"])
    for name, leak in decided["leak"].items():
        yield _counted(f"leak of {name}", leak)
    yield _counted("wrong closings", decided["wrong"])
    yield "Proven on the calibration posts of the policy"
    for certificate in decided["certificates"]:
        yield f"  {explain(Certificate.model_validate(certificate))}"
    if not decided["certificates"]:
        yield "  nothing: the policy carries no certificate"


def _slices(summary: Summary) -> Iterator[str]:
    yield "Worst slices"
    for each in [each for each in summary["slices"] if not each["small"]][:_WORST_SLICES]:
        name = f"{each['dimension']}: {each['name']}"
        yield f"  {name:<36} macro-F1 {each['macro_f1']:.3f}   {each['posts']} posts"


def as_text(summary: Summary) -> str:
    """The figures of a summary for people to read; ranges are 95 % intervals."""
    routes = ", ".join(f"{name} {posts}" for name, posts in summary["posts_by_route"].items())
    return "\n".join(
        [
            f"{summary['posts']} posts in {summary['groups']} groups: {routes}",
            *_labels(summary),
            *_confidence(summary),
            *_decisions(summary["decisions"]),
            *_slices(summary),
        ]
    )
