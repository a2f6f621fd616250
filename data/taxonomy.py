"""The labels and their order: the four routes, the platforms, and the intents of a taxonomy.

The routes are the same for everybody, since policy and proof rest on them. The intents are a list of the user's own,
a small TOML file (`data.sources.read_taxonomy`); who has none takes the built-in one. Order and names are part of every
trained artefact: they never change within a version. A new label, a renamed one or another order is a new version.
"""

from difflib import get_close_matches
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Route = Literal["simple", "complex", "sensitive", "influencer"]
Platform = Literal["x", "facebook", "instagram", "linkedin", "reddit", "tiktok", "youtube", "trustpilot", "other"]
Intent = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
"""The name of an intent. Which names there are is said by the taxonomy at hand: that of the file or of the bundle."""

ROUTES: tuple[Route, ...] = get_args(Route)
PLATFORMS: tuple[Platform, ...] = get_args(Platform)
MIN_INTENTS, MAX_INTENTS = 2, 256
"""The published sets of intents end at 151 (CLINC150); a person still finds a name in a list of 256."""
_SHOWN_NAMES = 40

_BUILT_IN_VERSION = "1"
_BUILT_IN_INTENTS: dict[str, str] = {
    "order_status": "Where is it, when does it come or leave, with nothing wrong yet.",
    "product_info": "What it is, stock, availability, compatibility, ingredients, coverage, launch dates.",
    "store_info": "Opening hours, locations, contact details, events.",
    "pricing_plans": "Prices, fees, offers, vouchers, eligibility, plans.",
    "how_to": "How to use, set up or change something; policies and rules.",
    "account_access": "Sign in, password, codes, profile, locked account.",
    "billing_payment": "Charges, invoices, payments that fail or repeat, missing points or miles.",
    "refund_return": "Refunds, returns, exchanges, compensation.",
    "change_cancel": "Change or cancel an order, booking, plan or subscription.",
    "delivery_problem": "Late, missing, wrong or damaged parcel, meal, bag; missed appointment; lost property.",
    "fault_outage": "Service down, bug, broken product, poor signal.",
    "service_quality": "Staff, waits, delays as a rant, nobody answers, the experience as a whole.",
    "praise": "Thanks, compliments.",
    "suggestion": "Ideas, wishes, feature requests.",
    "not_service": "Spam, adverts, jokes, news, job seekers, chatter that asks the brand for nothing.",
    "fraud_security": "Fraud, scam, phishing, account taken over.",
    "safety_health": "Injury, illness, hazard, contamination.",
    "legal_regulatory": "Legal threat, regulator, police, data-protection request.",
    "discrimination_conduct": "Discrimination, harassment, serious misconduct.",
    "vulnerable_wellbeing": "Bereavement, hardship, disability need, self-harm, abuse.",
    "privacy_data": "Personal data exposed, leaked or misused.",
}
"""In the labelling guide's words, shortened (`data/corpus/labelling-guide.md`)."""


class Taxonomy(BaseModel):
    """One version of the intents, in the order in which a model's logits stand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]
    needs_no_reply: tuple[Intent, ...] = ()
    """Intents that lose nothing by silence (thanks, chatter, spam): to close them without a reply is no error."""
    no_reply_intents: tuple[Intent, ...] = ()
    """Those of them that a new policy closes without a reply; later the policy says it."""
    intents: Annotated[
        dict[Intent, Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\r\n]+$")]],
        Field(min_length=MIN_INTENTS, max_length=MAX_INTENTS),
    ]
    """What each intent is about, in one sentence."""

    @model_validator(mode="after")
    def _names_what_it_has(self) -> Self:
        for field, given, place, known in (
            ("needs_no_reply", self.needs_no_reply, "[intents]", self.names),
            ("no_reply_intents", self.no_reply_intents, "needs_no_reply", self.needs_no_reply),
        ):
            strange = [name for name in given if name not in known]
            if strange:
                raise ValueError(f"{field} names {strange[0]!r}; wanted names of {place}: {', '.join(known) or 'none'}")
        return self

    @model_validator(mode="after")
    def _has_a_version_of_its_own(self) -> Self:
        if self.version == _BUILT_IN_VERSION and self.names != tuple(_BUILT_IN_INTENTS):
            raise ValueError(f"version {self.version!r} is that of the built-in intents; wanted a version of its own")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The intents in the order of the logits."""
        return tuple(self.intents)

    @property
    def wanted(self) -> str:
        """In words, what an intent may be; of a long list its head."""
        shown = ", ".join(self.names[:_SHOWN_NAMES])
        more = f", and {len(self.names) - _SHOWN_NAMES} more" if len(self.names) > _SHOWN_NAMES else ""
        return f"one of the {len(self.names)} intents of taxonomy {self.version}: {shown}{more}"

    def nearest(self, name: str) -> str | None:
        """The intent whose name is most like `name`, where one is."""
        folded = "_".join(name.lower().replace("-", " ").replace("_", " ").split())
        return next(iter(get_close_matches(folded, self.names, n=1)), None)


BUILT_IN = Taxonomy(
    version=_BUILT_IN_VERSION,
    intents=_BUILT_IN_INTENTS,
    needs_no_reply=("praise", "not_service"),
    no_reply_intents=("not_service",),
)
"""The taxonomy of the bundle that ships. Silence loses nothing for these two: "no answer is needed at all (thanks,
praise, chatter, spam)", says the labelling guide of simple posts. Whether thanks are answered all the same is the
policy's business."""
