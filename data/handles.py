"""Who is an authority and who is press, by handle or by name. Owns the default lists; a policy may extend them.

An authority tagged in a complaint is a step against the brand (labelling guide, "Cases"), so these names decide.
The lists are short on purpose: bodies that customers really tag, plus words that stand in the handles of such
bodies everywhere.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Role = Literal["authority", "press"]

AUTHORITY_HANDLES = (
    # United Kingdom
    "ofcom", "ofgem", "ofwat", "ofwatuk", "thefca", "fca", "ico", "iconews", "icouk", "asa_uk", "cmagovuk",
    "financialombuds", "energyombudsuk", "ombudservices", "hseuk", "h_s_e", "foodgov", "uk_caa", "railombuds",
    "raildotgov", "orr_gov", "actionfrauduk", "metpoliceuk", "citizensadvice", "nationaltrading", "ntscot",
    "cqcprof", "equalityhumanrights", "ehrc", "transportfocus", "passengerfocus", "psr_uk",
    # United States
    "ftc", "fcc", "cfpb", "usdot", "faanews", "fda", "us_fda", "uscpsc", "nhtsagov", "bbb_us", "bbb",
    "secgov", "eeoc", "usdol", "fbi", "usoccdc",
    # Elsewhere
    "eu_commission", "eu_consumer", "edps", "cnil", "bnetza", "verbraucherzentrale", "vzbv", "acm_nl", "accc_gov_au",
    "acmadotgov", "afca_org_au", "crtceng", "crtc", "ccts_cprst", "trai", "rbi", "jagograhakjago", "consaff",
    "dotindia", "moca_goi", "dgcaindia", "procon", "proconsp", "anatel_informa", "consumidorgovbr", "profeco",
)  # fmt: skip
PRESS_HANDLES = (
    "bbcwatchdog", "bbcnews", "bbcbreaking", "bbc", "skynews", "itvnews", "channel4news", "guardian", "thetimes",
    "telegraph", "dailymailuk", "mailonline", "thesun", "dailymirror", "metrouk", "independent", "financialtimes",
    "ft", "reuters", "ap", "afp", "cnn", "foxnews", "nbcnews", "abc", "cbsnews", "msnbc", "nytimes", "washingtonpost",
    "wsj", "usatoday", "latimes", "buzzfeednews", "bloomberg", "business", "techcrunch", "verge", "wired", "whichuk",
    "moneysavingexp", "martinslewis", "ndtv", "timesofindia", "htTweets", "lemondefr", "derspiegel", "zeit", "elpais",
    "corriere", "folha", "g1", "smh", "abcnews", "cbc", "rte", "thejournal_ie", "irishtimes",
)  # fmt: skip

_AUTHORITY_WORDS = re.compile(r"ombuds|police|tradingstandards|polizei|policia|regulator(?!y)|consumerprotect", re.I)
_PRESS_WORDS = re.compile(r"(news|newsroom|newsdesk)\d*$", re.I)

AUTHORITY_NAMES = re.compile(
    r"\b(ombuds(?:man|woman|person)?|ofcom|ofgem|ofwat|trading standards|small claims|consumer protection|"
    r"attorney general|better business bureau|citizens advice|action fraud|information commissioner|"
    r"(?:the )?(?:fca|cfpb|ftc|fcc|bbb|usdot|ico|cnil))\b",
    re.I,
)
"""Names of authorities in running text; short ones are matched as whole words."""


def normal_handle(handle: str) -> str:
    """The handle as it is compared: without blanks around it and `@`, compatibility forms folded, lower case."""
    return unicodedata.normalize("NFKC", handle).strip().removeprefix("@").lstrip().lower()


@dataclass(frozen=True)
class Handles:
    """The known authorities and press: the default lists and what a policy adds to them."""

    extra_authorities: tuple[str, ...] = ()
    extra_press: tuple[str, ...] = ()

    @cached_property
    def _authorities(self) -> frozenset[str]:
        return frozenset(map(normal_handle, AUTHORITY_HANDLES + self.extra_authorities))

    @cached_property
    def _press(self) -> frozenset[str]:
        return frozenset(map(normal_handle, PRESS_HANDLES + self.extra_press))

    def role(self, handle: str) -> Role | None:
        """What the owner of `handle` is known as, `None` for anybody else."""
        name = normal_handle(handle)
        if name in self._authorities or _AUTHORITY_WORDS.search(name):
            return "authority"
        if name in self._press or _PRESS_WORDS.search(name):
            return "press"
        return None


DEFAULT_HANDLES = Handles()
