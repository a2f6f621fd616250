"""The facts of a post that no score may overrule: language, readable words, authorities, exposed data, VIPs."""

from datetime import date

import pytest

from data.post import Author, Post, Reach
from data.rendering import render
from models.guards import Guards, Language, LanguageDetector
from models.policy import Facts, GuardLines

TODAY = date(2026, 11, 22)
ENGLISH = "my parcel was due on Tuesday and there is still no sign of it at all"
GERMAN = "mein Paket sollte am Dienstag kommen und es ist immer noch nichts da"


class SaidDetector(LanguageDetector):
    """Finds what it was told to find."""

    def __init__(self, code: str | None, confidence: float) -> None:
        self._language = Language(code, confidence)

    def detect(self, text: str) -> Language:
        return self._language


@pytest.fixture(scope="module")
def detector() -> LanguageDetector:
    return LanguageDetector()


def read(post: Post, detector: LanguageDetector, lines: GuardLines | None = None, *, truncated: bool = False) -> Facts:
    lines = lines or GuardLines()
    return Guards(detector).read(post, render(post, lines.handles), truncated=truncated, lines=lines, today=TODAY)


def test_an_english_post_is_told_from_its_words(detector: LanguageDetector) -> None:
    facts = read(Post(text=ENGLISH), detector)
    assert (facts.lang, facts.supported_language) == ("en", True)


def test_a_foreign_post_is_told_from_its_words(detector: LanguageDetector) -> None:
    facts = read(Post(text=GERMAN), detector)
    assert (facts.lang, facts.supported_language) == ("de", False)


@pytest.mark.parametrize(
    "text",
    [
        "die App geht nicht mehr \U0001f621\U0001f62d\U0001f926\u200d\u2640\ufe0f",
        "l'appli ne marche plus \U0001f62d\U0001f621\U0001f937",
        "die App geht nicht mehr &#128545;&#128557;&#129318;",
    ],
)
def test_the_english_names_of_emoji_make_no_foreign_post_english(text: str, detector: LanguageDetector) -> None:
    assert not read(Post(text=text), detector).supported_language


def test_the_names_of_emoji_make_no_english_post_foreign(detector: LanguageDetector) -> None:
    facts = read(Post(text="leg day leg \U0001f480"), detector)
    assert (facts.lang, facts.supported_language, facts.readable) == (None, True, True)


@pytest.mark.parametrize("said", [None, "en"])
@pytest.mark.parametrize(
    "text",
    [
        "\u6211\u7684\u5305\u88f9\u4e22\u4e86",
        "\u8377\u7269\u304c\u5c4a\u304b\u306a\u3044",
        "\u0433\u0434\u0435 \u0437\u0430\u043a\u0430\u0437",
    ],
)
def test_a_few_letters_of_a_script_that_no_supported_language_has_are_enough_to_tell(
    text: str, said: str | None, detector: LanguageDetector
) -> None:
    assert not read(Post(text=text, lang=said), detector).supported_language


@pytest.mark.parametrize(
    ("text", "languages"),
    [
        ("thx \u00af\\_(\u30c4)_/\u00af", ("en",)),
        ("\u8377\u7269\u304c\u5c4a\u304b\u306a\u3044", ("en", "ja")),
        ("\u6211\u7684\u5305\u88f9", ("zh",)),
        ("\u0433\u0434\u0435", ("uk",)),
        ("ok thx", ("ja",)),
        ("\U0001f44d", ("en",)),
    ],
)
def test_letters_of_a_script_that_a_supported_language_has_are_not_foreign(
    text: str, languages: tuple[str, ...], detector: LanguageDetector
) -> None:
    assert read(Post(text=text), detector, GuardLines(supported_languages=languages)).supported_language


def test_a_language_that_is_said_and_not_supported_is_believed(detector: LanguageDetector) -> None:
    facts = read(Post(text=ENGLISH, lang="fr"), detector)
    assert (facts.lang, facts.supported_language) == ("fr", False)


def test_a_supported_language_that_the_words_contradict_is_not_believed(detector: LanguageDetector) -> None:
    facts = read(Post(text=GERMAN, lang="en"), detector)
    assert (facts.lang, facts.supported_language) == ("de", False)


@pytest.mark.parametrize(
    ("said", "confidence", "lang", "supported"),
    [
        (None, 0.49, "de", True),
        (None, 0.50, "de", False),
        ("en", 0.89, "en", True),
        ("en", 0.90, "de", False),
    ],
)
def test_a_contradiction_needs_more_confidence_than_a_post_of_unsaid_language(
    said: str | None, confidence: float, lang: str, supported: bool
) -> None:
    facts = read(Post(text=ENGLISH, lang=said), SaidDetector("de", confidence))
    assert (facts.lang, facts.supported_language) == (lang, supported)


def test_the_supported_languages_are_the_policys(detector: LanguageDetector) -> None:
    facts = read(Post(text=GERMAN), detector, GuardLines(supported_languages=("en", "de")))
    assert (facts.lang, facts.supported_language) == ("de", True)


@pytest.mark.parametrize("text", ["thx", "merci", "ok ok", "14:30?", "@tobes #Verspätungsalarm https://t.co/abc"])
def test_a_text_too_short_to_tell_has_no_language_and_no_doubt(text: str, detector: LanguageDetector) -> None:
    facts = read(Post(text=text), detector)
    assert (facts.lang, facts.supported_language) == (None, True)


def test_twelve_letters_are_enough_to_tell_and_eleven_are_not(detector: LanguageDetector) -> None:
    assert detector.detect("abcdef ghijk 123").code is None
    assert detector.detect("abcdef ghijkl").code is not None


def test_mentions_hashtags_and_masks_say_nothing_of_the_language(detector: LanguageDetector) -> None:
    plain = detector.detect(ENGLISH)
    dressed = detector.detect(f"@user @authority @press {ENGLISH} #Verspätung [link] [national_id]")
    assert dressed.code == plain.code == "en"
    assert dressed.confidence == pytest.approx(plain.confidence, abs=0.01)


@pytest.mark.parametrize(
    "text", ["https://t.co/abc", "@brand @other", "...!?", "@brand https://t.co/abc !!", "\u200b\x07"]
)
def test_a_post_of_links_mentions_and_marks_alone_is_not_readable(text: str, detector: LanguageDetector) -> None:
    assert not read(Post(text=text), detector).readable


@pytest.mark.parametrize("text", ["why", "\U0001f621", "#MissingParcel", "404", "@brand why"])
def test_a_word_an_emoji_or_a_number_is_readable(text: str, detector: LanguageDetector) -> None:
    assert read(Post(text=text), detector).readable


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        ("@brand @Ofcom still no signal", "an authority is tagged"),
        ("taking this to the Financial Ombudsman", "ombudsman is named"),
        ("my complaint goes to #TradingStandards", "trading standards is named"),
        ("my complaint goes to trading&nbsp;standards", "trading standards is named"),
        ("of\u200bcom will hear of this", "ofcom is named"),
        ("see you in small claims", "small claims is named"),
        ("the regulatory page is down", None),
        ("where is my parcel?", None),
        ("@BBCNews look at this queue", None),
    ],
)
def test_an_authority_counts_where_it_is_tagged_or_named(
    text: str, authority: str | None, detector: LanguageDetector
) -> None:
    assert read(Post(text=text), detector).authority == authority


def test_a_policy_may_add_authorities(detector: LanguageDetector) -> None:
    post = Post(text="@brand @AutoridadDelConsumo nobody answers")
    assert read(post, detector).authority is None
    lines = GuardLines(extra_authority_handles=("@autoridaddelconsumo",))
    assert read(post, detector, lines).authority == "an authority is tagged"


def test_exposed_data_is_told_by_its_kinds(detector: LanguageDetector) -> None:
    facts = read(Post(text="call me on 07911 123456, card 4111 1111 1111 1111"), detector)
    assert facts.exposed == ("card", "phone")


def test_a_helpline_and_an_email_address_expose_nobody(detector: LanguageDetector) -> None:
    assert read(Post(text="I rang 0800 123 4567 and wrote to help@brand.example"), detector).exposed == ()


@pytest.mark.parametrize("handle", ["@Ada_L", "ada_l", "ADA_L"])
def test_a_vip_is_known_by_handle_however_it_is_written(handle: str, detector: LanguageDetector) -> None:
    lines = GuardLines(vip_handles=("@ada_l",))
    assert read(Post(text=ENGLISH, author=Author(handle=handle)), detector, lines).vip


@pytest.mark.parametrize("listed", ["@ada_l", " @ada_l", "Ada_L\n"])
@pytest.mark.parametrize("handle", ["@ada_l ", " ada_l", "@ ada_l", "\u00a0@ada_l\t", "\uff20ada\uff3fl"])
def test_a_vip_is_known_whatever_blanks_and_forms_stand_around_the_name(
    handle: str, listed: str, detector: LanguageDetector
) -> None:
    lines = GuardLines(vip_handles=(listed,))
    assert read(Post(text=ENGLISH, author=Author(handle=handle)), detector, lines).vip


@pytest.mark.parametrize("author", [None, Author(), Author(handle="@ada")])
def test_anybody_else_is_no_vip(author: Author | None, detector: LanguageDetector) -> None:
    assert not read(Post(text=ENGLISH, author=author), detector, GuardLines(vip_handles=("@ada_l",))).vip


def test_platform_reach_length_and_day_are_handed_on(detector: LanguageDetector) -> None:
    post = Post(text=ENGLISH, platform="reddit", author=Author(followers=12), reach=Reach(reposts=3))
    facts = read(post, detector, truncated=True)
    assert (facts.platform, facts.followers, facts.reposts) == ("reddit", 12, 3)
    assert facts.truncated
    assert facts.today == TODAY


def test_unknown_reach_stays_unknown(detector: LanguageDetector) -> None:
    facts = read(Post(text=ENGLISH), detector)
    assert (facts.followers, facts.reposts) == (None, None)
