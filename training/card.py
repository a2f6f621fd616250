"""The model card of a bundle, filled from the same `metrics.json` that stands beside it: no figure is typed."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evaluation.certificates import explain
from models.bundle import Manifest
from models.policy import Policy
from training.errors import TrainingError
from training.recipe import Recipe

START_MARK, END_MARK = "<!-- figures: python -m training figures --into README.md -->", "<!-- /figures -->"

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


def put_figures(page: str, figures: str, marks: tuple[str, str] = (START_MARK, END_MARK)) -> str:
    """`page` with `figures` between its two `marks`, in place of what stood there.

    Raises:
        TrainingError: when the page has no such marks.
    """
    start, end = page.find(marks[0]), page.find(marks[1])
    if not 0 <= start < end:
        raise TrainingError(
            f"The figures could not be put in: the page has no lines {marks[0]} and {marks[1]} in this order. "
            "Write both where the figures belong."
        )
    return f"{page[: start + len(marks[0])]}\n{figures}{page[end:]}"
