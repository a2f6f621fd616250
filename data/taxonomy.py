"""The labels and their order, by version. Owns the closed lists of routes, intents and platforms.

The order of the labels is part of every trained artefact: it never changes within a version. A new label, a
renamed one or another order is a new version.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Route = Literal["simple", "complex", "sensitive", "influencer"]
Intent = Literal[
    "order_status",
    "product_info",
    "store_info",
    "pricing_plans",
    "how_to",
    "account_access",
    "billing_payment",
    "refund_return",
    "change_cancel",
    "delivery_problem",
    "fault_outage",
    "service_quality",
    "praise",
    "suggestion",
    "not_service",
    "fraud_security",
    "safety_health",
    "legal_regulatory",
    "discrimination_conduct",
    "vulnerable_wellbeing",
    "privacy_data",
]
Platform = Literal["x", "facebook", "instagram", "linkedin", "reddit", "tiktok", "youtube", "trustpilot", "other"]

ROUTES: tuple[Route, ...] = get_args(Route)
INTENTS: tuple[Intent, ...] = get_args(Intent)
PLATFORMS: tuple[Platform, ...] = get_args(Platform)
TAXONOMY_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """One version of the labels, in the order in which a model's logits stand."""

    version: str
    routes: tuple[str, ...]
    intents: tuple[str, ...]


TAXONOMIES: dict[str, Taxonomy] = {TAXONOMY_VERSION: Taxonomy(version=TAXONOMY_VERSION, routes=ROUTES, intents=INTENTS)}


class UnknownTaxonomyError(ValueError):
    """A taxonomy version that this program does not know."""


def taxonomy(version: str = TAXONOMY_VERSION) -> Taxonomy:
    """The taxonomy of that version.

    Raises:
        UnknownTaxonomyError: when no such version is known.
    """
    try:
        return TAXONOMIES[version]
    except KeyError:
        known = ", ".join(sorted(TAXONOMIES))
        raise UnknownTaxonomyError(
            f"No taxonomy has version {version!r}. Known versions: {known}. "
            "Use one of these, or update Signalbox to a release that knows it."
        ) from None
