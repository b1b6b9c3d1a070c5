"""`/api/v1/orders`: orders taken in, looked up, captured and cancelled (interfaces.md §5)."""

from __future__ import annotations

import re

from flask import Blueprint, Response

from sgpshop.domain.errors import OrderChanged, OrderNotFound
from sgpshop.models import Operation, Scope
from sgpshop.services import intake
from sgpshop.services.order_detail import answers as order_answers
from sgpshop.services.orders import acting, feed
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.reading import get_order
from sgpshop.services.payments import acts, cancelling
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.payments.cancelling import money_effect
from sgpshop.web.api import answers, queries, replays
from sgpshop.web.api.access import caller, needs
from sgpshop.web.api.bodies import CancelBody, CaptureBody, NewOrderBody, new_order_of
from sgpshop.web.api.fields import ORDER_NO
from sgpshop.web.api.reading import refuse_unconfirmed, sent, take_no_parameters
from sgpshop.web.frame import run_and_wait
from sgpshop.web.frame.problems import ApiRefusal

bp = Blueprint("api_orders", __name__, url_prefix="/api/v1/orders")


@bp.get("")
@needs(Scope.READ, is_search=True)
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


@bp.get("/<order_no>")
@needs(Scope.READ)
def show(order_no: str) -> Response:
    """One order as it is now."""
    take_no_parameters()
    return _order(_known(order_no))


@bp.post("")
@needs(Scope.INTAKE)
def create() -> Response:
    """Take an order in and have its card authorized, charged or checked (T1-T5, P27)."""
    body, given = sent(NewOrderBody)
    order = new_order_of(given)

    def place(_token: str) -> Response:
        # Repeatable by its order number: an order begun before goes on, or is only told of.
        placed = intake.place(order, caller().actor)
        now = answers.of_order(order_answers.one(placed.order_no))
        answer = answers.PlacedAnswer(**dict(now), redirect_url=placed.redirect_url)
        if placed.redirect_url:
            return answers.respond(answer, 202)
        return answers.respond(answer, 201 if placed.is_new else 200)

    return replays.once(body, place)


@bp.post("/<order_no>/capture")
@needs(Scope.CAPTURE)
def capture(order_no: str) -> Response:
    """SGPカード実売上処理 of what the caller saw (R55, P20)."""
    body, given = sent(CaptureBody)
    number = _known(order_no)

    def act(token: str) -> Response:
        seen = Seen(given.version, given.amount, token, "capture")
        wanted = OperationRequest(Operation.CAPTURE, is_sum_confirmed=given.confirm_large_amount)
        try:
            run_and_wait.carry_out(number, wanted, seen, caller().actor)
        except acts.SumNotConfirmed:
            refuse_unconfirmed(given.amount)
        return _order(number)

    return replays.once(body, act)


@bp.post("/<order_no>/cancel")
@needs(Scope.CAPTURE)
def cancel(order_no: str) -> Response:
    """注文キャンセル: SMBC-GP first, the order after (R91, R92)."""
    body, given = sent(CancelBody)
    number = _known(order_no)

    def act(token: str) -> Response:
        seen = Seen(given.version, given.amount, token, "cancel")
        order = get_order(number)
        if not acting.was_accepted(order.id, seen):
            _cancel(number, given, seen)
        return _order(number)

    return replays.once(body, act)


def _cancel(order_no: str, given: CancelBody, seen: Seen) -> None:
    order = get_order(order_no)
    if (order.version, order.total) != (given.version, given.amount):
        raise OrderChanged  # before asking about a refund the caller knows nothing of (P20)
    if money_effect(order).may_refund and not given.refund:
        raise ApiRefusal(
            422,
            "refund_not_confirmed",
            "返金になる(または返金になる可能性がある)注文です。"
            "返金してよければ、refundにtrueを指定してください。",
        )
    wanted = cancelling.operation_request(
        order_no, restock=False, return_points=False, refund_confirmed=given.refund
    )
    run_and_wait.carry_out(order_no, wanted, seen, caller().actor)


def _order(order_no: str) -> Response:
    return answers.respond(answers.of_order(order_answers.one(order_no)))


def _known(order_no: str) -> str:
    """The number if an order could have it.  Raises NotFound."""
    if not re.fullmatch(ORDER_NO, order_no):
        raise OrderNotFound
    return order_no
