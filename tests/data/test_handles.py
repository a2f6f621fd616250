"""Who is known as an authority or as press, by handle and by name."""

import pytest

from data.handles import AUTHORITY_HANDLES, AUTHORITY_NAMES, DEFAULT_HANDLES, PRESS_HANDLES, Handles, normal_handle


@pytest.mark.parametrize("handle", AUTHORITY_HANDLES)
def test_every_listed_authority_is_known_however_it_is_written(handle: str) -> None:
    assert DEFAULT_HANDLES.role(f"@{handle.upper()}") == "authority"


@pytest.mark.parametrize("handle", PRESS_HANDLES)
def test_every_listed_paper_is_known_however_it_is_written(handle: str) -> None:
    assert DEFAULT_HANDLES.role(f"@{handle.swapcase()}") == "press"


def test_no_handle_is_in_both_lists() -> None:
    assert not set(map(normal_handle, AUTHORITY_HANDLES)) & set(map(normal_handle, PRESS_HANDLES))


@pytest.mark.parametrize("handle", ["WestYorksPolice", "tradingstandardsNE", "TelecomOmbudsman", "@policia"])
def test_the_word_of_an_office_in_a_handle_makes_an_authority(handle: str) -> None:
    assert DEFAULT_HANDLES.role(handle) == "authority"


@pytest.mark.parametrize("handle", ["leedslivenews", "citynewsdesk", "HarbourNews24"])
def test_a_handle_that_ends_in_news_is_press(handle: str) -> None:
    assert DEFAULT_HANDLES.role(handle) == "press"


@pytest.mark.parametrize("handle", ["tobes", "newsagent_sue", "ftcfan", "regulatory_affairs", "", "@"])
def test_anybody_else_is_nobody(handle: str) -> None:
    assert DEFAULT_HANDLES.role(handle) is None


def test_a_policy_adds_its_own_names() -> None:
    handles = Handles(extra_authorities=("@TramRegulatorXY",), extra_press=("harbourherald",))
    assert (handles.role("tramregulatorxy"), handles.role("@HarbourHerald")) == ("authority", "press")
    assert DEFAULT_HANDLES.role("harbourherald") is None


@pytest.mark.parametrize(
    "text",
    ["I'll go to the Ombudsman", "reported to Ofcom.", "small claims it is", "telling the FCA", "trading standards"],
)
def test_an_authority_is_found_by_its_name_in_a_sentence(text: str) -> None:
    assert AUTHORITY_NAMES.search(text)


@pytest.mark.parametrize("text", ["iconic bag", "what a bbbrilliant day", "the coffee claims to be hot"])
def test_a_name_inside_another_word_is_no_authority(text: str) -> None:
    assert not AUTHORITY_NAMES.search(text)
