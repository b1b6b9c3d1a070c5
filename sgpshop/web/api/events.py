"""`/api/v1/events`: what happened to orders, one after the other, so that nothing is missed."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import Field

from sgpshop.models import Scope
from sgpshop.services.orders import feed
from sgpshop.web.api import answers
from sgpshop.web.api.access import needs
from sgpshop.web.api.entries import EntryAnswer, values_of_alert, values_of_entry
from sgpshop.web.api.fields import ORDER_NO, AnswerBody
from sgpshop.web.api.queries import EventsQuery, place, read_plain

bp = Blueprint("api_events", __name__, url_prefix="/api/v1/events")


class EventAnswer(EntryAnswer):
    """The same, with its place among all events of the shop."""

    id: Annotated[str, Field(description="Unique; `after` takes it as well as `next_after`.")]
    order_no: Annotated[str, Field(pattern=ORDER_NO)]


class EventsAnswer(AnswerBody):
    """Events in the order in which they became readable."""

    events: list[EventAnswer]
    next_after: Annotated[
        str, Field(description="Ask with this as `after` next time, now or later.")
    ]
    has_more: Annotated[bool, Field(description="More are there already.")]


@bp.get("")
@needs(Scope.READ, is_search=True)
def show() -> Response:
    """Events after a place."""
    query = read_plain(EventsQuery)
    rows, next_after, has_more = feed.events(place(query.after, "after"), query.size)
    generation = next_after.partition("-")[0]
    return answers.respond(
        EventsAnswer(
            events=[
                EventAnswer(
                    id=feed.cursor(generation, row.OrderEvent.position),
                    order_no=row.order_no,
                    **_values(row),
                )
                for row in rows
            ],
            next_after=next_after,
            has_more=has_more,
        )
    )


def _values(row: Any) -> dict[str, Any]:
    entry = row.HistoryEntry
    return values_of_entry(entry) if entry is not None else values_of_alert(row.Alert)
