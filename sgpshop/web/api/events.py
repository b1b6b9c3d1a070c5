"""`/api/v1/events`: what happened to orders, one after the other, so that nothing is missed."""

from __future__ import annotations

from typing import Annotated

from flask import Response
from pydantic import Field

from sgpshop.services.orders import feed
from sgpshop.services.orders.entries import values_of_event
from sgpshop.web.api import answers
from sgpshop.web.api.content import DateTime
from sgpshop.web.api.entries import EntryAnswer
from sgpshop.web.api.fields import ORDER_NO, AnswerBody
from sgpshop.web.api.queries import EventsQuery, place, read_plain


class EventAnswer(EntryAnswer):
    """The same, with its place among all events of the shop."""

    id: Annotated[str, Field(description="Unique; `after` takes it as well as `next_after`.")]
    order_no: Annotated[str, Field(pattern=ORDER_NO, description="Which order it is about.")]


class WebhookMessage(AnswerBody):
    """What a webhook posts: one event, by the Standard Webhooks scheme."""

    type: Annotated[
        str,
        Field(
            description="`order.` and the type of the event; a test that somebody sends by hand has"
            " the type `test`, and of `data` only an `id`."
        ),
    ]
    timestamp: Annotated[DateTime, Field(description="When it happened: `at` of the event.")]
    data: Annotated[EventAnswer, Field(description="The event, as `/events` tells it.")]


class EventsAnswer(AnswerBody):
    """Events in the order in which they became readable."""

    events: Annotated[list[EventAnswer], Field(description="Up to `size`, oldest first.")]
    next_after: Annotated[
        str, Field(description="Ask with this as `after` next time, now or later.")
    ]
    has_more: Annotated[bool, Field(description="More are there already.")]


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
                    **values_of_event(row),
                )
                for row in rows
            ],
            next_after=next_after,
            has_more=has_more,
        )
    )
