"""The addresses of the review queue: the page, what comes next, and what people say of it.

Readings come under an id that the browser made, so one that is sent again after a broken connection is kept once. The
model's own answer is told only after a person has read the post, so that nobody's reading leans on it.
"""

from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from data.taxonomy import ROUTES, Taxonomy
from serving.engine import ServedModel
from serving.journal.draws import Stream, read_draw, read_draws
from serving.journal.queries import KeptPost, find_post
from serving.journal.reviews import add_review, last_review, withdraw_review
from serving.journal.unmaskings import Unmasking, log_unmasking
from serving.workbench.review.guide import read_guide
from serving.workbench.review.queues import QUEUES, Progress, next_posts, read_agreement, read_progress
from serving.workbench.review.readings import MAX_NOTE_CHARACTERS, check_id, review_of
from serving.workbench.visits import Desk, Visit, for_readers

PATH = "/qa/review"
GUIDE = "labelling-guide.md"
"""In the directory of the labelled posts."""
MOST = 20
"""Posts that a browser holds ahead: some minutes of reading, so that a dead connection is not noticed at once."""
INTENT_KEYS = "abcdefhijklmnopqrstuvwxyz"
"""Without g, which leads to other pages."""


def _as_json(post: KeptPost) -> dict[str, object]:
    """What a reader sees of a post: nothing that the model said of it."""
    return {
        "prediction_id": post.prediction_id,
        "text": post.text,
        "context": post.context,
        "platform": post.platform,
        "lang": post.lang,
        "received_at": post.received_at.isoformat(timespec="minutes"),
    }


class ReviewPages:
    """The pages over the journal."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """All addresses."""
        readers = partial(for_readers, self._desk)
        return [
            Route(PATH, readers(self.show)),
            Route(f"{PATH}/next", readers(self.following)),
            Route(f"{PATH}/progress", readers(self.progress)),
            Route(f"{PATH}/readings", readers(self.keep), methods=["POST"]),
            Route(f"{PATH}/withdrawals", readers(self.withdraw), methods=["POST"]),
            Route(f"{PATH}/unmaskings", readers(self.unmask), methods=["POST"]),
        ]

    @property
    def _champion(self) -> ServedModel:
        return self._desk.bench.service.lineup().champion

    def _draw(self, connection: Connection, now: datetime) -> Stream | None:
        """What the risk monitor has drawn of the answers of the model in service, `None` where it does not."""
        model, days = self._champion, self._desk.bench.settings.journal_retention_days
        return read_draw(connection, model.versions, model.predictor.content, now, days)

    async def _read_progress(self, visit: Visit, now: datetime) -> Progress:
        name, content = visit.reader.name, self._champion.predictor.content
        return await self._desk.read(
            lambda each: read_progress(each, name, now, content=content, draw=self._draw(each, now))
        )

    def _drawn(self, connection: Connection, now: datetime) -> Stream | None:
        """Likewise of all models that answer: a canary's answers are to be read, too."""
        answering = self._desk.bench.service.lineup().answering.values()
        models = {model.versions: model.predictor.content for model in answering}
        return read_draws(connection, models, now, self._desk.bench.settings.journal_retention_days)

    def _taxonomy(self) -> Taxonomy:
        return self._champion.predictor.bundle.taxonomy

    async def show(self, visit: Visit) -> Response:
        """The page on which one reads."""
        name = visit.query.get("queue", "next")
        if name not in QUEUES:
            raise HTTPException(
                404, f"There is no queue {name[:20]!r}. Wanted: one of {', '.join(QUEUES)}. Choose again."
            )
        now = datetime.now(UTC)
        progress = await self._read_progress(visit, now)
        agreed, last = await self._desk.read(
            lambda connection: (read_agreement(connection, now), last_review(connection, visit.reader.name))
        )
        guide = self._desk.bench.settings.qa_posts / GUIDE
        intents = self._taxonomy().names
        return self._desk.pages.show(
            visit.request,
            "review.html.j2",
            visit.reader,
            queues=QUEUES,
            chosen=name,
            progress=progress,
            agreed=agreed,
            undoable=last is not None,
            routes=list(enumerate(ROUTES, 1)),
            intents=[(INTENT_KEYS[n] if n < len(INTENT_KEYS) else "", intent) for n, intent in enumerate(intents)],
            guide=await self._desk.worker.run(read_guide, guide, (*ROUTES, *intents)),
            guide_path=str(guide),
        )

    async def following(self, visit: Visit) -> Response:
        """What comes next, as JSON, without what the model said of it."""
        queue, now = QUEUES.get(visit.query.get("queue", "")), datetime.now(UTC)
        if queue is None:
            raise HTTPException(
                404, f"There is no such queue. Wanted: one of {', '.join(QUEUES)}. Load the page again."
            )

        def read(connection: Connection) -> tuple[KeptPost, ...]:
            draw = self._drawn(connection, now) if queue.by_lot else None
            return next_posts(connection, queue, visit.reader.name, now, MOST, draw=draw)

        posts = await self._desk.read(read)
        return JSONResponse({"posts": [_as_json(post) for post in posts]})

    async def progress(self, visit: Visit) -> Response:
        """How far reading is, as a part of the page."""
        progress = await self._read_progress(visit, datetime.now(UTC))
        return self._desk.pages.show(visit.request, "review-progress.html.j2", visit.reader, progress=progress)

    async def keep(self, visit: Visit) -> Response:
        """Keeps one reading, once however often it is sent, and tells what the model had said."""
        review = review_of(visit.form, visit.reader.name, self._taxonomy())

        def write(connection: Connection) -> KeptPost | None:
            post = find_post(connection, review.prediction_id)
            if post is not None:
                add_review(connection, review)
            return post

        post = await self._desk.write(write)
        if post is None:
            raise HTTPException(
                404, "The reading was not kept: its post has been deleted since. Go on with the next one."
            )
        said = {"route": post.route, "intent": post.intent, "action": post.action}
        return JSONResponse({"kept": review.id, "model": said})

    async def withdraw(self, visit: Visit) -> Response:
        """Takes a reading of this reader back; one that is back already stays so. Without an id, the newest."""
        review_id, reader = visit.form.get("id", ""), visit.reader.name

        def write(connection: Connection) -> str | None:
            last = None if review_id else last_review(connection, reader)
            taken = review_id or (last.id if last else "")
            withdraw_review(connection, taken, reader=reader)
            return last.prediction_id if last else None

        if review_id:
            check_id(review_id)
        prediction_id = await self._desk.write(write)
        post = await self._desk.read(lambda each: find_post(each, prediction_id)) if prediction_id else None
        return JSONResponse({"withdrawn": True, "post": _as_json(post) if post else None})

    async def unmask(self, visit: Visit) -> Response:
        """The caller's own id of a post, by which the original can be found; who asked and why is kept.

        The journal has no unmasked text to show.
        """
        if not visit.reader.may_unmask:
            raise HTTPException(
                403,
                "The original was not looked for: your key lacks the scope unmask. Wanted: a key that has it. Ask the "
                "operator, who makes one with `python -m serving hash-key --scope qa --scope unmask`.",
            )
        reason, prediction_id = visit.form.get("reason", "").strip(), visit.form.get("prediction_id", "")
        if not reason or len(reason) > MAX_NOTE_CHARACTERS:
            raise HTTPException(
                422,
                f"The original was not looked for: the reason has {len(reason)} characters. Wanted: 1 to "
                f"{MAX_NOTE_CHARACTERS}, since it is kept. Write why it must be seen.",
            )

        def write(connection: Connection) -> KeptPost | None:
            post = find_post(connection, prediction_id)
            if post is not None:
                log_unmasking(connection, Unmasking(prediction_id, visit.reader.name, reason))
            return post

        post = await self._desk.write(write)
        if post is None:
            raise HTTPException(404, "There is no such post any more. Go on with the next one.")
        return JSONResponse({"post_id": post.post_id})
