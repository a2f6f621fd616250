"""docs/retraining.md explains the recipe that there is, every field with its default, and commands that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from training.__main__ import main
from training.recipe import Recipe

DOCS = Path("docs/retraining.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([\w.]+)` \| (.+?) \| .+ \|$", DOCS, re.M))


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every field of a recipe by its dotted name, with its default as the page writes it."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{prefix}{name}.")
        elif field.is_required():
            yield f"{prefix}{name}", "must be given"
        elif field.default is None:
            yield f"{prefix}{name}", "none"
        elif isinstance(field.default, str):
            yield f"{prefix}{name}", f"`{field.default}`"
        elif isinstance(field.default, float):
            whole, _, rest = f"{field.default:.10f}".partition(".")
            yield f"{prefix}{name}", f"{whole}.{rest.rstrip('0') or 0}"
        else:
            yield f"{prefix}{name}", str(field.default).lower()


def test_every_field_of_a_recipe_is_explained_with_its_default_in_order() -> None:
    assert list(ROWS.items()) == list(fields(Recipe))


@pytest.mark.parametrize("words", sorted(set(re.findall(r"python -m training ([\w-]+(?: --\w+)?)", DOCS))))
def test_every_training_command_on_the_page_exists(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    verb, *options = words.split()
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(option in told for option in options)


def test_every_option_of_a_run_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    options = set(re.findall(r"^  (--[\w-]+)", capsys.readouterr().out, re.M)) - {"--runs"}
    assert options == {"--recipe", "--out", "--fresh", "--no-tracking", "--measure", "--dry-run"}
    assert all(option in DOCS for option in options)
