"""What goes over the wire: requests, answers and errors of the design's section 5, and nothing of how they are made.

Server and client share it, so it needs no more than pydantic. Over 400 lines, since the whole interface is read here.

Additive changes only: a field may be added, none renamed, removed or given another meaning.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from data.post import MAX_TEXT_CHARACTERS, Post
from data.taxonomy import Intent, Route
from models.policy import Action, Certificate, Promise, Queue, RiskBudget, Thresholds

MAX_BATCH_POSTS = 256
"""The design's section 5."""
TIMEOUT_HEADER = "X-Request-Timeout-Ms"
"""Says within how many whole milliseconds, 1 to `MAX_TIMEOUT_MS`, the caller wants its answer."""
MAX_TIMEOUT_MS = 600_000
_LAST_POSTED_AT = datetime(2100, 1, 1, tzinfo=UTC)
"""A later time is a mistake of the caller, and counting on from the year 9999 would not be a time at all."""

EXAMPLE_POST: dict[str, Any] = {
    "id": "1059",
    "text": "where do I track my parcel?",
    "platform": "x",
    "lang": None,
    "author": {"handle": "@tobes", "followers": 212, "verified": False, "bio": "leeds | snow"},
    "reach": {"reposts": 0, "replies": 1, "likes": 0},
    "in_reply_to": None,
    "posted_at": "2026-11-22T09:00:00Z",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of this server, where its settings are stricter than the schema. Handed in as validation context."""

    text_characters: int = MAX_TEXT_CHARACTERS
    batch_posts: int = MAX_BATCH_POSTS


def _within_text_limit(text: str, info: ValidationInfo) -> str:
    if isinstance(info.context, Limits) and len(text) > info.context.text_characters:
        limit = info.context.text_characters
        raise PydanticCustomError("string_too_long", "String should have at most {limit} characters", {"limit": limit})
    return text


def _not_far_future(when: datetime | None) -> datetime | None:
    if when is not None and when > _LAST_POSTED_AT:
        raise PydanticCustomError("datetime_too_late", "Input should be a time before the year 2100")
    return when


class PredictRequest(Post):
    """One post to judge. Only `text` is required; what is not known is left out or `null`, never zero."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_POST]})

    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARACTERS), AfterValidator(_within_text_limit)]
    posted_at: Annotated[AwareDatetime | None, AfterValidator(_not_far_future)] = None


def _within_batch_limit(posts: list[PredictRequest], info: ValidationInfo) -> list[PredictRequest]:
    if isinstance(info.context, Limits) and len(posts) > info.context.batch_posts:
        limit = info.context.batch_posts
        raise PydanticCustomError("too_long", "Array should have at most {limit} posts", {"limit": limit})
    return posts


class BatchRequest(BaseModel):
    """Posts to judge in one call: answered in order, all or none."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"posts": [{"text": "is the app down?"}]}]}
    )

    posts: Annotated[
        list[PredictRequest],
        Field(min_length=1, max_length=MAX_BATCH_POSTS),
        AfterValidator(_within_batch_limit),
    ]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


Share = Annotated[float, Field(ge=0.0, le=1.0)]


class RouteAnswer(_Answer):
    """Who should handle the post."""

    label: Route = Field(description="The most probable route")
    confidence: Share = Field(description="Its calibrated probability", examples=[0.981])
    probabilities: dict[Route, Share] = Field(
        description="Calibrated, of all four routes; 6 digits, so they sum to 1 within 0.00001",
        examples=[{"simple": 0.981, "complex": 0.017, "sensitive": 0.001, "influencer": 0.001}],
    )


class Alternative(_Answer):
    """One intent and how probable it is."""

    label: Intent = Field(examples=["order_status"])
    probability: Share = Field(examples=[0.964])


class IntentAnswer(_Answer):
    """What the post is about."""

    label: Intent = Field(
        description="The most probable intent: one of those of the bundle that answered (`versions.taxonomy`), which "
        "`GET /v1/model` lists",
        examples=["order_status"],
    )
    confidence: Share = Field(description="Its calibrated probability", examples=[0.964])
    alternatives: tuple[Alternative, ...] = Field(description="The three most probable intents, that one first")


class ReasonAnswer(_Answer):
    """One rule of the policy that fired."""

    code: str = Field(description="A stable word for programs", examples=["simple_over_threshold"])
    detail: str = Field(description="The same with the numbers compared", examples=["simple 0.981 >= 0.930"])


class DecisionAnswer(_Answer):
    """What to do with the post."""

    action: Action = Field(description="Anything a program does not know is to be read as `agent`")
    queue: Queue
    abstained: bool = Field(description="True where the post looked simple and is given to a person all the same")
    move_to_private: bool = Field(description="True where the post shows personal data: continue out of the public eye")
    reasons: tuple[ReasonAnswer, ...] = Field(description="Every rule that fired; the first set the action")


class DueAnswer(_Answer):
    """By when the post is to be acknowledged and resolved, counted from `posted_at` by the policy."""

    acknowledge_by: datetime
    resolve_by: datetime


class Versions(_Answer):
    """What answered."""

    model: str = Field(examples=["2026.11.22+3fa1c2"])
    policy: str = Field(examples=["3"])
    taxonomy: str = Field(examples=["1"])
    rendering: str = Field(examples=["1"])


class PredictResponse(_Answer):
    """The answer for one post."""

    id: str | None = Field(description="As it was sent", examples=["1059"])
    prediction_id: str = Field(description="A ULID of this answer, for logs and corrections")
    route: RouteAnswer
    intent: IntentAnswer
    decision: DecisionAnswer
    due: DueAnswer | None = Field(description="`null` where `posted_at` was not sent")
    truncated: bool = Field(description="True where the post is longer than the model reads")
    versions: Versions


class BatchResponse(_Answer):
    """The answers for a batch, in the order of its posts."""

    results: tuple[PredictResponse, ...]


class LabelsAnswer(_Answer):
    """The labels in the order of the model's outputs."""

    route: tuple[str, ...]
    intent: tuple[str, ...]


class GuardsAnswer(_Answer):
    """The lines of the guards; of the lists only how long they are."""

    supported_languages: tuple[str, ...]
    followers: int = Field(description="From so many followers on a post goes to specialists")
    reposts: int = Field(description="From so many reposts on a post goes to specialists")
    vip_handles: int
    extra_authority_handles: int
    extra_press_handles: int


class LimitsAnswer(_Answer):
    """What this server accepts."""

    body_bytes: int
    text_characters: int
    batch_posts: int
    request_timeout_ms: int


Mode = Literal["shadow", "canary"]
Role = Literal["champion", "shadow", "canary"]
CANARY_SHARE = 0.1
"""The share of posts that a canary answers where none is named."""


class PostCounts(_Answer):
    """What became of posts while a challenger was in service."""

    answered: int = Field(description="Posts that the challenger answered, as a canary")
    compared: int = Field(description="Posts that champion and challenger have both scored")
    dropped: int = Field(description="Posts that only one of them scored, since the machine had no room")


class DisagreementCounts(_Answer):
    """Of the compared posts, those that champion and challenger disagree on; one post may count in several."""

    route: int = Field(description="Another route")
    action: int = Field(description="Another action")
    auto_gained: int = Field(description="The challenger closes by machine what the champion gives to a person")
    auto_lost: int = Field(description="The challenger gives to a person what the champion closes by machine")


class ChallengerAnswer(_Answer):
    """The model that is tried beside the champion."""

    versions: Versions
    mode: Mode = Field(description="A `shadow` answers nothing; a `canary` answers a share of the posts")
    share: Share = Field(description="Of the posts, by a hash of their id, those that it answers")
    posts: PostCounts
    disagreements: DisagreementCounts


class ModelResponse(_Answer):
    """What is in service."""

    versions: Versions
    created_at: datetime
    precision: str = Field(description="Of the weights: `int8` or `fp32`")
    encoder: str = Field(description="The pretrained encoder that was fine-tuned")
    git_commit: str
    data_fingerprint: str
    files: dict[str, str] = Field(description="SHA-256 of every file of the bundle, as verified at the start")
    labels: LabelsAnswer
    policy_source: str = Field(
        description="`bundle`, `override` where a policy file replaced the bundle's own, or `workbench` where people "
        "put a version in force"
    )
    thresholds: Thresholds
    budget: RiskBudget
    certificates: tuple[Certificate, ...] = Field(description="What was proven of the thresholds, and what was not")
    guards: GuardsAnswer
    promise: Promise
    limits: LimitsAnswer
    challenger: ChallengerAnswer | None = Field(description="The model that is tried beside this one, if any is")


class HealthResponse(_Answer):
    """The process is alive (`healthz`), or a model answers (`readyz`)."""

    status: str = Field(examples=["ok"])


JournalState = Literal["ok", "behind", "down", "off"]


class JournalAnswer(_Answer):
    """How the journal does. Whatever it is, answers are right: a journal that is down keeps nobody from them."""

    state: JournalState = Field(description="`down` while the database fails, `behind` while entries wait for long")
    buffered: int = Field(description="Decisions that wait to be written")
    dropped: int = Field(description="Decisions since the start that are not in the journal: the buffer was full")


RulesState = Literal["ok", "stale", "unread", "off"]


class RulesAnswer(_Answer):
    """How the must-not-answer rules do."""

    state: RulesState = Field(
        description="`stale` while they cannot be read and the last known ones hold; `unread` before they were read "
        "once: until then nothing is answered by the machine; `off` without a journal"
    )
    rules: int = Field(description="Rules known, those of other models included")


BrakeState = Literal["ok", "stale", "unread"]


class BrakeAnswer(_Answer):
    """Whether the crisis brake holds. While it does, nothing is answered by the machine."""

    engaged: bool
    since: datetime | None
    cause: str = Field(description="What came in that was too much, or `held by hand: ` and why")
    state: BrakeState = Field(
        description="`stale` while it cannot be read and is as it was; `unread` before it was read once: until then "
        "nothing is answered by the machine"
    )
    by_itself: bool = Field(description="Whether this server looks for a crisis by itself, as SIGNALBOX_BRAKE says")


RiskState = Literal["off", "unread", "nothing", "quiet", "alarm", "stale"]


class RiskAnswer(_Answer):
    """What automatic answers that were drawn by lot and read say of a policy's promise. No answer depends on it."""

    state: RiskState = Field(
        description="`alarm` where more are wrong than promised; `quiet` where nothing shows it; `nothing` while no "
        "drawn answer was read; `off` where nobody is drawn or nothing is promised; `unread` before it was looked at; "
        "`stale` while it cannot be, and there was no alarm"
    )
    e_value: float | None = Field(
        description="Capital of the bets against the promise, which is expected not to grow while it holds"
    )
    alarm_at: float | None = Field(description="The capital at which it is an alarm")


class ReadyResponse(HealthResponse):
    """A model answers."""

    journal: JournalAnswer
    rules: RulesAnswer
    brake: BrakeAnswer | None = Field(description="`null` without a journal")
    risk: dict[Role, RiskAnswer] | None = Field(
        description="Of each model that answers, by role, what the risk monitor says; `null` without a journal"
    )


EXAMPLE_FEEDBACK: dict[str, Any] = {
    "prediction_id": "01KAN4Z1WFV8T9KT2V1JY5DB7N",
    "route": "complex",
    "intent": "delivery_problem",
    "must_not_answer": "near",
}


class FeedbackRequest(BaseModel):
    """What a post should have been called."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"examples": [EXAMPLE_FEEDBACK]})

    prediction_id: Annotated[
        str, Field(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$", description="Of the answer that is corrected")
    ]
    route: Route = Field(description="Who should have handled it")
    intent: Intent = Field(description="What it is about: one of those that `GET /v1/model` lists")
    note: str = Field(default="", max_length=2_000, description="Why, for people; personal data in it is masked")
    must_not_answer: Literal["exact", "near"] | None = Field(
        default=None,
        description="`exact`: from now on no post of the same words is answered by the machine, `near`: nor of nearly "
        "the same; until the next model",
    )


class FeedbackResponse(_Answer):
    """What was kept of a correction."""

    correction_id: str = Field(description="A ULID of this correction")
    prediction_id: str
    rule_id: str | None = Field(description="Of the rule that was made of it, `null` where none was asked for")


class Detail(_Answer):
    """One thing that is wrong with a request."""

    field: str = Field(description="Path of the field, as `author.followers` or `posts.3.text`", examples=["platform"])
    code: str = Field(description="What is wrong with it, as a stable word", examples=["literal_error"])
    got: str = Field(
        description="Kind and size of what was sent, never the content", examples=["a string of 7 characters"]
    )
    wanted: str = Field(description="What is allowed there", examples=["Input should be 'x' or 'facebook'"])


class ErrorBody(_Answer):
    """What went wrong."""

    code: str = Field(description="A stable word for programs", examples=["invalid_post"])
    message: str = Field(description="For people: what failed, what was sent, what is allowed, what to do")
    details: tuple[Detail, ...] = ()


class Fallback(_Answer):
    """What the caller should do with the post instead."""

    action: Literal["agent"] = "agent"


class ErrorResponse(_Answer):
    """The body of every answer that is not a success."""

    error: ErrorBody
    fallback: Fallback = Fallback()


class ReloadRequest(BaseModel):
    """A bundle to load, and what it is to be."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"bundle": "2026-12-01", "as": "canary", "share": 0.1}]},
    )

    bundle: Annotated[str, Field(min_length=1, max_length=1_000)] | None = Field(
        default=None,
        description="Its directory, within SIGNALBOX_BUNDLES_ROOT or from there; `null`: SIGNALBOX_BUNDLE, read again",
    )
    role: Role = Field(default="champion", alias="as", description="What it is to be in service as")
    share: Share | None = Field(default=None, description="Of a canary alone: which share of the posts; 0.1 where null")

    @model_validator(mode="after")
    def _only_a_canary_has_a_share(self) -> Self:
        if self.share is not None and self.role != "canary":
            raise PydanticCustomError("share_without_canary", "Only a canary has a share; leave it out")
        return self


class VerdictAnswer(_Answer):
    """What one model makes of a post."""

    route: Route
    confidence: Share
    action: Action


class DisagreementAnswer(_Answer):
    """One post that champion and challenger disagree on. Nothing of the post itself."""

    prediction_id: str = Field(description="Of the answer that was given")
    kinds: tuple[str, ...] = Field(description="As in `disagreements`")
    champion: VerdictAnswer
    challenger: VerdictAnswer


class ServedAnswer(_Answer):
    """A model in memory."""

    versions: Versions
    bundle: str = Field(description="The directory that it was loaded from")


class LineupResponse(_Answer):
    """Every model in service."""

    champion: ServedAnswer = Field(description="It answers")
    previous: ServedAnswer | None = Field(description="What rollback goes back to")
    challenger: ChallengerAnswer | None
    sample: tuple[DisagreementAnswer, ...] = Field(description="The newest disagreements, at most 100")


class GoldenDifference(_Answer):
    """One golden post on which the new model differs from the champion before it."""

    id: str | None
    before: VerdictAnswer
    after: VerdictAnswer


class GoldenAnswer(_Answer):
    """The new model beside the champion before it, on the golden posts of its bundle."""

    posts: int = Field(description="Posts compared; 0 where neither bundle has golden posts")
    routes: int = Field(description="Posts with another route")
    actions: int = Field(description="Posts with another action")
    differences: tuple[GoldenDifference, ...]


class ReloadResponse(_Answer):
    """What a reload did."""

    lineup: LineupResponse
    golden: GoldenAnswer
