"""`/api/v1/orders`: orders taken in, looked up, searched (interfaces.md §5)."""

from __future__ import annotations

from flask import Response

from sgpshop.services import intake
from sgpshop.services.order_detail import answers as order_answers
from sgpshop.services.order_detail.unfinished import Unfinished
from sgpshop.services.orders import feed
from sgpshop.web.api import answers, queries, replays
from sgpshop.web.api.access import actor_here
from sgpshop.web.api.bodies import NewOrderBody, new_order_of
from sgpshop.web.api.reading import known, sent, take_no_parameters

_DECLINED = (Unfinished.DECLINED, Unfinished.AUTHENTICATION_FAILED)


def search() -> Response:
    """One page of a search by the conditions of the screen (R35), or of what changed since."""
    query = queries.read()
    changed_cursor = None
    if query.changed_since is None:
        found, next_cursor = order_answers.page(*queries.conditions(query))
    else:
        place = queries.place(query.cursor or query.changed_since, "changed_since")
        ids, changed_cursor, has_more = feed.changed(place, query.size)
        found, next_cursor = order_answers.of_ids(ids), changed_cursor if has_more else ""
    return answers.respond(
        answers.OrdersAnswer(
            orders=[answers.of_order(now) for now in found],
            next_cursor=next_cursor or None,
            changed_cursor=changed_cursor,
        )
    )


def show(order_no: str) -> Response:
    """One order as it is now."""
    take_no_parameters()
    return answers.respond(answers.of_order(order_answers.one(known(order_no))))


def create() -> Response:
    """Take an order in and have its card authorized, charged or checked (T1-T5, P27)."""
    given = sent(NewOrderBody)
    order = new_order_of(given)

    def place(_token: str) -> Response:
        # Repeatable by its order number: an order begun before goes on, or is only told of.
        placed = intake.place(order, actor_here())
        now = order_answers.one(placed.order_no)
        if given.on_decline == "refuse" and now.unfinished in _DECLINED:
            # Told as here before: the order stays, and so does what became of its card.
            raise intake.Declined(now.problem.codes if now.problem else ())
        answer = answers.of_order(now)
        if answer.redirect_url:
            return answers.respond(answer, 202)
        return answers.respond(answer, 201 if placed.is_new else 200)

    return replays.once(given, place)
