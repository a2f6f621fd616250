"""Personal data in a text: found by kind, masked, and left alone where it is none."""

from itertools import pairwise

import pytest
from hypothesis import example, given

from data.redaction import Finding, find_personal_data, mask, mask_all, redact
from tests.data.strategies import any_text, messy_text, sentences


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("my card 4111 1111 1111 1111 was charged", "my card [card] was charged"),
        ("4111111111111111", "[card]"),
        ("5500-0000-0000-0004 ok", "[card] ok"),
        ("amex 3782 822463 10005", "amex [card]"),
        ("4111 1111 1111 1111 123", "[card] 123"),
        ("4111 1111 1111 1111 04/26 123", "[card] 04/26 123"),
        ("order 24 4111 1111 1111 1111", "order 24 [card]"),
        ("card 4111 1111 1111 1112 (a typing error)", "card [card] (a typing error)"),
        ("GB29 NWBK 6016 1331 9268 19 is mine", "[iban] is mine"),
        ("DE89370400440532013000 thanks", "[iban] thanks"),
        ("sort code 60-16-13 31926819", "sort code [account]"),
        ("account no: 31926819", "account no: [account]"),
        ("acc number 123 456 789", "acc number [account]"),
        ("passport no 533401372", "passport no [national_id]"),
        ("my ssn is 536-90-4399", "my ssn is [national_id]"),
        ("national insurance AB 12 34 56 C", "national insurance [national_id]"),
        ("nhs number 943 476 5919", "nhs number [national_id]"),
        ("dni 54362315K", "dni [national_id]"),
        ("CPF 390.533.447-05", "CPF [national_id]"),
        ("ring me on 07700 900123", "ring me on [phone]"),
        ("+44 7700 900123", "[phone]"),
        ("(202) 555-0123", "[phone]"),
        ("text 2025550123 now", "text [phone] now"),
        ("+91 98765 43210", "[phone]"),
        ("0161.496.0018", "[phone]"),
        ("write to jo.b+x@mail.example", "write to [email]"),
    ],
)
def test_personal_data_is_masked_by_its_kind(text: str, redacted: str) -> None:
    assert redact(text, "en") == redacted


@pytest.mark.parametrize(
    "text",
    [
        "order 1182 is late",
        "order 1234567890123 where is it",
        "ref 4111 1111 1111 1112",
        "12345678901234567890123456",
        "flight 22/11/2026 0900-1000",
        "from 2026-11-22 09:00:00 to 10:30:00",
        "$1,299.00 for 60,000 miles",
        "parcel JD014600006281230704",
        "error 504, then 503, then 502",
        "the account is closed since 2019",
        "DM me @tobes",
        "ping 203.0.113.40 gives 8 44 ms 51 ms",
        "",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert find_personal_data(text, "en") == ()
    assert redact(text, "en") == text


@pytest.mark.parametrize(
    ("lang", "number"),
    [
        ("de", "0151 23456789"),
        ("fr", "06 12 34 56 78"),
        ("es", "612 34 56 78"),
        ("hi", "098765 43210"),
        ("it", "312 345 6789"),
    ],
)
def test_a_phone_without_prefix_is_found_where_its_language_is_spoken(lang: str, number: str) -> None:
    assert redact(f"tel {number}", lang) == "tel [phone]"


@pytest.mark.parametrize(
    ("number", "personal"), [("0800 123 4567", False), ("07700 900123", True), ("020 7946 0018", True)]
)
def test_a_helpline_is_nobodys_number(number: str, personal: bool) -> None:
    assert [finding.personal for finding in find_personal_data(f"call {number}", "en")] == [personal]


def test_an_e_mail_address_is_masked_but_exposes_nobody() -> None:
    assert find_personal_data("jo@mail.example") == (Finding(0, 15, "email", personal=False),)


def test_findings_stand_in_order_and_name_their_places() -> None:
    text = "mail jo@mail.example or ring 07700 900123, card 4111 1111 1111 1111"
    found = find_personal_data(text, "en")
    assert [(finding.kind, text[finding.start : finding.end]) for finding in found] == [
        ("email", "jo@mail.example"),
        ("phone", "07700 900123"),
        ("card", "4111 1111 1111 1111"),
    ]


def test_what_a_first_mask_brings_together_is_masked_too() -> None:
    text = "4111111111111111GB29 NWBK 6016 1331 9268 19"
    masked, findings = mask_all(text, "en")
    assert masked == "[card][iban]"
    assert sorted(finding.kind for finding in findings) == ["card", "iban"]


def test_the_word_of_a_mask_is_no_word_beside_a_number() -> None:
    assert redact("07700 900123 or order 2025550123", "en") == "[phone] or order 2025550123"


@given(messy_text)
def test_findings_never_overlap_and_lie_inside_the_text(text: str) -> None:
    found = find_personal_data(text, "en")
    assert all(0 <= finding.start < finding.end <= len(text) for finding in found)
    assert all(one.end <= other.start for one, other in pairwise(found))


@given(messy_text)
@example("+44 7700 900123/07700 900124 or 2025550123")
@example("account 12-34-56 12345678")
def test_nothing_is_left_to_find_in_a_redacted_text(text: str) -> None:
    assert find_personal_data(redact(text, "en"), "en") == ()


@given(messy_text)
def test_a_second_redaction_changes_nothing(text: str) -> None:
    once = redact(text, "en")
    assert redact(once, "en") == once


@given(any_text | sentences | messy_text)
def test_a_text_without_findings_is_never_changed(text: str) -> None:
    if not find_personal_data(text, "en"):
        assert redact(text, "en") == text


@given(messy_text)
def test_a_mask_keeps_every_other_character(text: str) -> None:
    found = find_personal_data(text, "en")
    kept, done = [], 0
    for finding in found:
        kept.append(text[done : finding.start])
        done = finding.end
    kept.append(text[done:])
    masked = mask(text, found)
    for piece in kept:
        assert piece in masked
    assert len(masked) == sum(map(len, kept)) + sum(len(finding.kind) + 2 for finding in found)
