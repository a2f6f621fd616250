"""Where and how the server runs. Read once, in `main`, from `SIGNALBOX_` variables; frozen from then on.

What the model decides is no setting: thresholds, guards and lists stand in the policy file.
"""

import difflib
import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from data.post import MAX_TEXT_CHARACTERS
from models.bundle import DEFAULT_BUNDLE
from serving.wire import MAX_BATCH_POSTS

PREFIX = "SIGNALBOX_"
MAX_POSTS_PER_MINUTE = 10_000_000
"""Far above what one server can do; a limit over it is a mistake in the figure."""
DialectName = Literal["kserve", "mlflow", "tei"]
DIALECT_NAMES: tuple[DialectName, ...] = get_args(DialectName)


class SettingsError(ValueError):
    """A setting that the server cannot start with."""


def is_loopback(host: str) -> bool:
    """True where only this machine can reach a server that listens on `host`."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _split(value: object) -> object:
    """`"kserve, tei"` as its parts."""
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


def _shown(default: object) -> str:
    """A default as one would set it."""
    return ",".join(default) if isinstance(default, tuple) else str(default).lower()


class Settings(BaseSettings):
    """All settings of the server. Each is the variable `SIGNALBOX_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: Annotated[str, Field(min_length=1, description="Address to listen on; loopback only without a keys file")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=0, le=65_535, description="Port to listen on; 0 takes a free one")] = 8000
    bundle: Annotated[Path, Field(description="Directory of the bundle to serve")] = DEFAULT_BUNDLE
    bundles_root: Annotated[
        Path | None,
        Field(description="Directory that bundles are reloaded from; by default the one that SIGNALBOX_BUNDLE lies in"),
    ] = None
    policy: Annotated[
        Path | None, Field(description="Policy file used instead of the bundle's own; needs a version of its own")
    ] = None
    api_keys_file: Annotated[
        Path | None, Field(description="JSON or TOML file of hashed API keys; without it no key is asked for")
    ] = None
    rate_limit_posts_per_minute: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_POSTS_PER_MINUTE,
            description="Posts that each key may send in a minute unless the keys file says otherwise, or all callers "
            "together without one; above it 429; 0 is no limit",
        ),
    ] = 0
    workers: Annotated[
        int, Field(ge=0, le=256, description="Threads that predict; 0 is one for each core this process may use")
    ] = 0
    # 512 posts are 2 s of work for 2 cores at the 7 ms a post measured in shared/examples-to-follow.md.
    queue_posts: Annotated[
        int, Field(ge=1, description="Posts accepted and not yet answered, running ones included; above it 429")
    ] = 512
    cache_posts: Annotated[
        int,
        Field(ge=0, description="Posts whose probabilities are kept for others that read the same; 0 keeps none"),
    ] = 16_384
    request_timeout_ms: Annotated[
        int, Field(ge=1, le=600_000, description="Time in which a request must be read and answered; after it 504")
    ] = 5_000
    head_timeout_ms: Annotated[
        int,
        Field(
            ge=1,
            le=600_000,
            description="Time in which a request's head must arrive, after it 408; and in which an answer must be read",
        ),
    ] = 10_000
    # A process may usually have 1,024 files open; the model, the log and the port need some of them.
    max_connections: Annotated[int, Field(ge=1, description="Most connections open at a time; above it 503")] = 1_000
    max_body_bytes: Annotated[int, Field(ge=1_024, description="Largest request body; above it 413")] = 2 * 1024 * 1024
    max_text_characters: Annotated[
        int, Field(ge=1, le=MAX_TEXT_CHARACTERS, description="Longest text of a post; above it 422")
    ] = MAX_TEXT_CHARACTERS
    max_batch_posts: Annotated[
        int, Field(ge=1, le=MAX_BATCH_POSTS, description="Most posts of one batch; above it 422")
    ] = MAX_BATCH_POSTS
    drain_ms: Annotated[
        int,
        Field(ge=0, le=600_000, description="After SIGTERM, how long readyz at least says 503 before the port closes"),
    ] = 0
    dialects: Annotated[
        tuple[DialectName, ...],
        NoDecode,
        BeforeValidator(_split),
        Field(description="Other interfaces answered beside the own one, with commas between; empty for none"),
    ] = DIALECT_NAMES
    journal: Annotated[
        str, Field(repr=False, description="Database of the journal: `sqlite:///PATH`, `postgresql://...`, or `off`")
    ] = "sqlite:///var/journal.db"
    # An entry takes 8.5 KB in memory (measured, docs/operations.md, "Journal"), so this many 85 MB.
    journal_buffer: Annotated[
        int, Field(ge=1, le=1_000_000, description="Decisions kept in memory while the database is away; more are lost")
    ] = 10_000
    journal_flush_ms: Annotated[
        int, Field(ge=0, le=600_000, description="At a stop, how long decisions in memory are still written")
    ] = 5_000
    journal_retention_days: Annotated[
        int, Field(ge=0, le=36_500, description="Days after which a decision is deleted; 0 keeps all")
    ] = 90
    brake: Annotated[
        bool,
        Field(
            description="Whether the crisis brake takes hold by itself, so that no machine answers while far more than "
            "usual comes in; by hand it can always be held"
        ),
    ] = True
    author_key: Annotated[
        str | None,
        Field(
            repr=False,
            min_length=16,
            description="Secret by which the journal keeps a pseudonym of each post's author, to see who comes back; "
            "unset, it keeps none",
        ),
    ] = None
    qa_posts: Annotated[Path, Field(description="Directory of labelled files that the workbench can report on")] = Path(
        "data/corpus"
    )
    qa_notice: Annotated[
        str | None,
        Field(max_length=500, description="What stands on top of every page of the workbench, such as `Staging`"),
    ] = None
    access_log: Annotated[bool, Field(description="One log line for each request")] = False
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least severe log lines that are written")
    ] = "info"

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.api_keys_file is None and not is_loopback(self.host):
            raise ValueError(
                f"without a keys file anybody could ask it; wanted a loopback address such as 127.0.0.1, or "
                f"{PREFIX}API_KEYS_FILE set as well (make a key with `python -m serving hash-key`)"
            )
        if self.max_batch_posts > self.queue_posts:
            raise ValueError(
                f"a batch of {self.max_batch_posts} posts would never fit a queue of {self.queue_posts}; wanted "
                f"{PREFIX}QUEUE_POSTS of at least {PREFIX}MAX_BATCH_POSTS"
            )
        return self


def variable(field: str) -> str:
    """The environment variable of a setting: `SIGNALBOX_PORT` for `port`."""
    return PREFIX + field.upper()


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = [variable(field) for field in Settings.model_fields]
    for name in environment:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(known)}."
            raise SettingsError(
                f"The server cannot start: {name} is set, and there is no such setting. {hint} "
                "All settings stand in docs/operations.md; unset this one or correct its name."
            )


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    wanted = str(first["msg"]).removeprefix("Value error, ")
    if not first["loc"]:
        host = first["input"].get("host", Settings.model_fields["host"].default)
        return f"The server cannot start with these settings (host {host}): {wanted}. All stand in docs/operations.md."
    name = variable(str(first["loc"][0]))
    field = Settings.model_fields.get(str(first["loc"][0]))
    got = repr(first["input"]) if field is None or field.repr else "a value that is not shown, as it is a secret"
    return (
        f"The server cannot start: {name} is {got}; wanted: {wanted}. "
        "Correct it or unset it; all settings stand in docs/operations.md."
    )


def read_settings(**overrides: object) -> Settings:
    """The settings of the environment; `overrides` (from the command line) win where they are not `None`.

    Raises:
        SettingsError: when a variable is unknown or a value not allowed.
    """
    _refuse_unknown(os.environ)
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type] # checked by pydantic, which is what this call is for
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def settings_table() -> str:
    """All settings as the Markdown table of docs/operations.md: variable, default, meaning."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{_shown(field.default)}`"
        rows.append(f"| `{variable(name)}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"
