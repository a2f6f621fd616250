from pathlib import Path

import pytest

from data.post import MAX_TEXT_CHARACTERS
from serving.settings import Settings, SettingsError, is_loopback, read_settings, settings_table, variable


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)


def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        read_settings()
    return str(refused.value)


def test_the_defaults_serve_the_default_bundle_to_this_machine_alone() -> None:
    settings = read_settings()
    assert (settings.host, settings.port, settings.bundle) == ("127.0.0.1", 8000, Path("models/default"))
    assert settings.max_text_characters == MAX_TEXT_CHARACTERS
    assert settings.max_batch_posts == 256


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALBOX_PORT", "9000")
    monkeypatch.setenv("SIGNALBOX_WORKERS", "3")
    settings = read_settings(port=9001, host=None)
    assert (settings.port, settings.workers, settings.host) == (9001, 3, "127.0.0.1")


def test_an_unknown_variable_is_refused_by_name_with_the_one_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(monkeypatch, SIGNALBOX_PROT="1") == (
        "The server cannot start: SIGNALBOX_PROT is set, and there is no such setting. Did you mean SIGNALBOX_PORT? "
        "All settings stand in docs/operations.md; unset this one or correct its name."
    )


def test_an_unknown_variable_that_resembles_none_is_answered_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal(monkeypatch, SIGNALBOX_ZZZZZZZZZZZZZZZZ="1")
    assert all(variable(field) in message for field in Settings.model_fields)


def test_a_value_that_is_not_allowed_is_named_with_what_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(monkeypatch, SIGNALBOX_PORT="http") == (
        "The server cannot start: SIGNALBOX_PORT is 'http'; wanted: Input should be a valid integer, unable to parse "
        "string as an integer. Correct it or unset it; all settings stand in docs/operations.md."
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", "65536"),
        ("workers", "-1"),
        ("queue_posts", "0"),
        ("request_timeout_ms", "0"),
        ("head_timeout_ms", "0"),
        ("max_connections", "0"),
        ("rate_limit_posts_per_minute", "-1"),
        ("max_body_bytes", "10"),
        ("max_text_characters", str(MAX_TEXT_CHARACTERS + 1)),
        ("max_batch_posts", "257"),
        ("drain_ms", "-1"),
        ("access_log", "perhaps"),
        ("dialects", "klingon"),
        ("log_level", "loud"),
        ("host", ""),
    ],
)
def test_every_limit_has_bounds(monkeypatch: pytest.MonkeyPatch, field: str, value: str) -> None:
    assert f"{variable(field)} is {value!r}" in refusal(monkeypatch, **{variable(field): value})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "signalbox.example"])
def test_without_a_keys_file_only_loopback_is_listened_on(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    message = refusal(monkeypatch, SIGNALBOX_HOST=host)
    assert f"(host {host})" in message
    assert "SIGNALBOX_API_KEYS_FILE" in message
    assert "python -m serving hash-key" in message
    monkeypatch.setenv("SIGNALBOX_API_KEYS_FILE", "keys.toml")
    assert read_settings().host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_has_several_names(host: str) -> None:
    assert is_loopback(host)
    assert read_settings(host=host).host == host


def test_a_batch_that_would_never_fit_the_queue_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal(monkeypatch, SIGNALBOX_QUEUE_POSTS="10")
    assert "a batch of 256 posts would never fit a queue of 10" in message


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read_settings().port = 1


def test_every_setting_stands_in_the_operations_manual() -> None:
    """Print `settings_table()` into docs/operations.md when this fails."""
    assert settings_table() in Path("docs/operations.md").read_text(encoding="utf-8")
