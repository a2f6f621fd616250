"""`POST /v1/feedback`: what a post should have been called, from whoever finds out, kept beside the decision."""

import asyncio
import logging
from functools import cache
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, params

from serving.errors import (
    BadJsonError,
    BodyTooLargeError,
    DeadlineError,
    InternalError,
    InvalidPostError,
    JournalClosedError,
    KeyMissingError,
    KeyRefusedError,
    NotJsonContentError,
    NotReadyError,
    PredictionUnknownError,
)
from serving.journal.address import Address, read_address
from serving.journal.faults import JournalError
from serving.observer import record_of
from serving.openapi import body_of, responses_of
from serving.requests import invalid_value, parse, read_body
from serving.rules import Rules
from serving.service import Service
from serving.settings import Settings, variable
from serving.wire import FeedbackRequest, FeedbackResponse, Limits

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from serving.journal.database import Database
    from serving.journal.rules import Rule

LOG = logging.getLogger("signalbox.feedback")
NOBODY = "local"
"""Who gives feedback where no key is asked for, and so nobody can be told from another."""
_ERRORS = (
    BadJsonError, KeyMissingError, KeyRefusedError, PredictionUnknownError, BodyTooLargeError, NotJsonContentError,
    InvalidPostError, InternalError, JournalClosedError, NotReadyError, DeadlineError,
)  # fmt: skip


class Feedback:
    """Keeps corrections in the journal's database, and makes rules of them where that is asked for."""

    def __init__(self, address: Address | None, rules: Rules) -> None:
        self._address = address
        self._rules = rules
        self._database = cache(self._open)

    def _open(self) -> "Database":
        if self._address is None:
            raise JournalClosedError(
                f"The correction was not kept: {variable('journal')} is `off`. Wanted: a journal, where the decision "
                "that it corrects is kept. Name a database; docs/operations.md tells more."
            )
        # Here and not at the start: SQLAlchemy takes 0.25 s of CPU, which no start waits for.
        from serving.journal.database import Database

        return Database(self._address)

    def close(self) -> None:
        """Nothing; lets go of the database."""
        if self._database.cache_info().currsize:
            self._database().close()

    def keep(self, sent: FeedbackRequest, reader: str) -> FeedbackResponse:
        """What was kept of a correction. Blocks: for a thread.

        Raises:
            PredictionUnknownError: when the prediction is not in the journal.
            JournalClosedError: when there is none, or it cannot be written to now.
            InvalidPostError: when a rule is asked for and the post has no words.
        """
        database = self._database()
        from serving.journal.corrections import Correction, add_correction
        from serving.journal.rules import NoWordsError, RuleWish, add_rule

        correction = Correction(sent.prediction_id, reader, sent.route, sent.intent, sent.note)

        def write(connection: "Connection") -> "Rule | None":
            if not add_correction(connection, correction):
                raise PredictionUnknownError(sent.prediction_id)
            kind = sent.must_not_answer
            return kind and add_rule(connection, RuleWish(sent.prediction_id, kind, reader, sent.note))

        try:
            rule = database.write(write)
        except NoWordsError:
            wanted = "null, since the post has no words by which others could be known"
            raise invalid_value("must_not_answer", sent.must_not_answer, wanted=wanted, code="no_words") from None
        except JournalError as error:
            LOG.error("feedback_refused", extra={"fields": {"code": error.code}})
            raise JournalClosedError(
                "The correction was not kept: the journal's database cannot be written to now. Wanted: one that can. "
                "Send it again after Retry-After seconds; /readyz tells how the journal does.",
                headers={"Retry-After": "5"},
            ) from None
        if rule is not None:
            self._rules.look()
        return FeedbackResponse(
            correction_id=correction.id, prediction_id=sent.prediction_id, rule_id=rule.id if rule else None
        )


def add_feedback_route(
    app: FastAPI, service: Service, settings: Settings, rules: Rules, needs_key: params.Depends
) -> Feedback:
    """What keeps the corrections that the application takes from now on."""
    feedback = Feedback(read_address(settings.journal), rules)

    @app.post(
        "/v1/feedback",
        summary="Correct a decision",
        tags=["feedback"],
        dependencies=[needs_key],
        responses=responses_of(*_ERRORS),
        openapi_extra=body_of(FeedbackRequest, timed=False),
    )
    async def correct(request: Request) -> FeedbackResponse:
        """Keeps the labels that a post should have had, and, where asked, forbids to answer such posts from now on."""
        record = record_of(request)
        taxonomy = service.running().predictor.bundle.taxonomy
        body = await read_body(request, limit_bytes=settings.max_body_bytes, deadline_s=record.deadline_s)
        sent = parse(body, FeedbackRequest, Limits())
        if sent.intent not in taxonomy.intents:
            raise invalid_value("intent", sent.intent, wanted=taxonomy.wanted, code="unknown_intent")
        return await asyncio.to_thread(feedback.keep, sent, record.key.name if record.key else NOBODY)

    return feedback
