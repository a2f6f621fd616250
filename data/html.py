"""Pages of ours for people: one HTML file each, styles inside, no script, nothing loaded. Owns how they are filled.

jinja2 escapes every value; texts of posts are redacted before they come here.
"""

from pathlib import Path

from data.dependencies import needs_group
from data.redaction import redact

PAGE_TEMPLATES = Path(__file__).parent / "templates"
_MAX_CHARACTERS_SHOWN = 240


def fill_page(template: str, **values: object) -> str:
    """The HTML of that template with these values.

    Raises:
        MissingGroupError: when jinja2 is not installed.
    """
    with needs_group("evaluate", "Writing the page"):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    environment = Environment(loader=FileSystemLoader(PAGE_TEMPLATES), autoescape=True, undefined=StrictUndefined)
    return environment.get_template(template).render(values)


def excerpt(text: str) -> str:
    """The text of a post as a page shows it: redacted, on one line, cut where it is long."""
    folded = " ".join(redact(text).split())
    return folded if len(folded) <= _MAX_CHARACTERS_SHOWN else f"{folded[:_MAX_CHARACTERS_SHOWN]} …"
