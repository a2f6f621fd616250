"""Measured figures between two marks of a page, so that they can be put in anew and nothing else is touched."""

Marks = tuple[str, str]
"""The lines before and after the figures."""


class MarksError(ValueError):
    """A page that figures cannot be put into."""


def put_between(page: str, marks: Marks, figures: str) -> str:
    """`page` with `figures` between its two `marks`, in place of what stood there.

    Raises:
        MarksError: when the page does not hold both marks in this order.
    """
    start, end = page.find(marks[0]), page.find(marks[1])
    if not 0 <= start < end:
        raise MarksError(
            f"The figures could not be put in: the page has no lines {marks[0]} and {marks[1]} in this order. "
            "Write both where the figures belong."
        )
    return f"{page[: start + len(marks[0])]}\n{figures}{page[end:]}"
