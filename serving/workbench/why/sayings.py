"""What people say of a decision on its page: readings, and corrections for the next training."""

from functools import partial
from urllib.parse import quote

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from serving.journal.corrections import Correction, add_correction
from serving.journal.queries import find_post
from serving.journal.reviews import add_review, withdraw_review
from serving.workbench.review.readings import check_id, review_of
from serving.workbench.visits import Desk, Visit, for_readers

PATH = "/qa/why"


def refuse_gone(prediction_id: str) -> HTTPException:
    """What to raise where a decision is not in the journal."""
    return HTTPException(
        404,
        f"There is no decision {prediction_id[:40]!r} in the journal: it was never kept, or it has been deleted since. "
        "Wanted: one that is there. Search for it by the caller's own id of the post or by the X-Request-ID.",
    )


def _back(prediction_id: str) -> Response:
    return RedirectResponse(f"{PATH}/{quote(prediction_id)}#said", 303)


class Sayings:
    """The forms of the page. What is sent twice is kept once: every form carries the id of what it brings."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """All addresses."""
        readers = partial(for_readers, self._desk)
        return [
            Route(f"{PATH}/{{id}}/readings", readers(self.keep), methods=["POST"]),
            Route(f"{PATH}/{{id}}/withdrawals", readers(self.withdraw), methods=["POST"]),
        ]

    async def keep(self, visit: Visit) -> Response:
        """Keeps a reading, and with it a correction where that is wished."""
        prediction_id = visit.request.path_params["id"]
        taxonomy = self._desk.bench.service.lineup().champion.predictor.bundle.taxonomy
        form = {**visit.form, "prediction_id": prediction_id}
        if form.get("verdict") != "label":
            form |= {"route": "", "intent": ""}
        review = review_of(form, visit.reader.name, taxonomy)
        correction = None
        if form.get("correct") and review.route and review.intent:
            correction_id = check_id(form.get("correction", ""))
            labels = (review.route, review.intent)
            correction = Correction(prediction_id, review.reader, *labels, note=review.note, id=correction_id)

        def write(connection: Connection) -> bool:
            if find_post(connection, prediction_id) is None:
                return False
            add_review(connection, review)
            return correction is None or add_correction(connection, correction)

        if not await self._desk.write(write):
            raise refuse_gone(prediction_id)
        return _back(prediction_id)

    async def withdraw(self, visit: Visit) -> Response:
        """Takes a reading of this reader back; one that is back already stays so."""
        review_id, reader = check_id(visit.form.get("id", "")), visit.reader.name
        await self._desk.write(partial(withdraw_review, review_id=review_id, reader=reader))
        return _back(visit.request.path_params["id"])
