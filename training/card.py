"""The model card of a bundle, filled from the same `metrics.json` that stands beside it: no figure is typed."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evaluation.certificates import explain
from models.bundle import Manifest
from models.policy import Policy
from training.recipe import Recipe

MARKS = ("<!-- figures: python -m training figures --into README.md -->", "<!-- /figures -->")

_TEMPLATES = Path(__file__).parent / "templates"


def _percent(share: float | None, digits: int = 1) -> str:
    return "not defined" if share is None else f"{100 * share:.{digits}f} %"


def _environment() -> Environment:
    environment = Environment(  # noqa: S701 (Markdown, and every value is ours)
        loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = _percent
    return environment


def render_template(name: str, **values: Any) -> str:
    """The template of that name filled with `values`."""
    return _environment().get_template(name).render(values)


def render_figures(policy: Policy, metrics: dict[str, Any]) -> str:
    """The figures and proofs of a bundle as Markdown: the same block in its card and in the project's README."""
    proofs = [explain(certificate) for certificate in policy.certificates]
    return render_template("figures.md.j2", policy=policy, metrics=metrics, proofs=proofs)


def render_card(manifest: Manifest, recipe: Recipe, policy: Policy, metrics: dict[str, Any]) -> str:
    """The card as Markdown."""
    proofs = [explain(certificate) for certificate in policy.certificates]
    return render_template(
        "card.md.j2", manifest=manifest, recipe=recipe, policy=policy, metrics=metrics, proofs=proofs
    )
