"""How every route that judges posts takes them in: within limits and quota, by the deadline, and put on record."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from serving.abandonment import WhileConnected
from serving.observer import record_of
from serving.quotas import Quotas
from serving.requests import JSON_MEDIA_TYPE, read_body, read_timeout_ms
from serving.service import Service
from serving.settings import Settings
from serving.timing import Timing
from serving.wire import Limits, PredictRequest, PredictResponse


@dataclass(frozen=True, slots=True)
class Intake:
    """The one way from a request to the answers of its posts, whatever the interface it speaks."""

    service: Service
    settings: Settings
    quotas: Quotas

    @property
    def limits(self) -> Limits:
        """What a request may hold."""
        return Limits(text_characters=self.settings.max_text_characters, batch_posts=self.settings.max_batch_posts)

    async def read(self, request: Request, *, media_type: str = JSON_MEDIA_TYPE) -> bytes:
        """The body of a request whose declared media type is all of the expression `media_type`.

        From here on its deadline is the one that it asks for, where that is before the server's own.

        Raises:
            ApiError: when no model may be asked, no post would be done in time, the key has no post left, or the body
                is too large, too late or declared as something else.
        """
        record = record_of(request)
        record.heed(read_timeout_ms(request.headers))
        self.service.check(deadline_s=record.deadline_s)  # a server that cannot answer does not read
        self.quotas.look(record.key)
        return await read_body(
            request,
            limit_bytes=self.settings.max_body_bytes,
            deadline_s=record.deadline_s,
            media_type=media_type,
        )

    async def judge(
        self,
        request: Request,
        posts: Sequence[PredictRequest],
        *,
        bulk: bool,
        mixed: bool = True,
        version: str | None = None,
    ) -> list[PredictResponse]:
        """The answers for the posts of a request, in order; `bulk` posts run after all that are not.

        An interface that names the model once for all its answers says that they may not be `mixed`. `version` is the
        model that the caller wants, taken where it answers any post.

        Raises:
            ApiError: when no model may be asked, the key has not so many posts left, the queue has no room, they are
                not done in time, or the client has gone before they were.
        """
        record = record_of(request)
        record.headers.update(self.quotas.take(record.key, len(posts)))
        record.timing = Timing()
        async with WhileConnected(request.receive):
            answers = await self.service.predict(
                posts,
                deadline_s=record.deadline_s,
                bulk=bulk,
                caller=record.caller,
                timing=record.timing,
                mixed=mixed,
                version=version,
            )
        record.answers.extend(answers)
        return answers
