"""What programs do with the money of one order (interfaces.md §5): each as the screen does it (P19, P20).

Answered when it ended, or after a moment (202).  What SMBC-GP did not carry out is a problem, never a
200: `operation_failed`, with the order as it is now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import sqlalchemy as sa
from flask import Response

from sgpshop.domain.errors import NotPossible, OrderBusy, OrderChanged
from sgpshop.domain.money_effect import money_effect
from sgpshop.domain.order_rules import reserves_nothing
from sgpshop.extensions import db
from sgpshop.models import Attempt, AttemptState, Operation, Order
from sgpshop.services.order_detail import answers as order_answers
from sgpshop.services.order_detail import editing
from sgpshop.services.order_detail.unfinished import may_refund
from sgpshop.services.orders import acting
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.reading import get_order
from sgpshop.services.payments import acts, cancelling, second_look
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.payments.second_look import ApprovalAsked
from sgpshop.web.api import answers, replays
from sgpshop.web.api.access import actor_here
from sgpshop.web.api.bodies import AmountBody, CancelBody, CaptureBody, SeenBody
from sgpshop.web.api.reading import known, refuse_unconfirmed, sent
from sgpshop.web.frame import problems, run_and_wait
from sgpshop.web.frame.problems import ApiRefusal


def capture(order_no: str) -> Response:
    """SGPカード実売上処理 of what the caller saw (R55, P20)."""
    given = sent(CaptureBody)
    number = known(order_no)

    def act(token: str) -> Response:
        seen = Seen(given.version, given.amount, token, "capture")
        wanted = OperationRequest(Operation.CAPTURE, is_sum_confirmed=given.confirm_large_amount)
        try:
            with _telling(number), suppress(ApprovalAsked):
                run_and_wait.carry_out(number, wanted, seen, actor_here())
        except acts.SumNotConfirmed:
            refuse_unconfirmed(given.amount)
        return _ended(number, token)

    return replays.once(given, act)


def cancel(order_no: str) -> Response:
    """注文キャンセル: SMBC-GP first, the order after (R91, R92)."""
    given = sent(CancelBody)
    number = known(order_no)

    def act(token: str) -> Response:
        seen = Seen(given.version, given.amount, token, "cancel")
        if not acting.was_accepted(get_order(number).id, seen):
            with _telling(number), suppress(ApprovalAsked):
                _cancel(number, given, seen)
        return _ended(number, token)

    return replays.once(given, act)


def change_amount(order_no: str) -> Response:
    """The total becomes another, and SMBC-GP holds that: both, or neither is begun (R64, R67).

    Declined, the total stays as it was asked for; it comes back to what is held without being sent.
    """
    given = sent(AmountBody)
    number = known(order_no)

    def act(token: str) -> Response:
        seen = Seen(given.version, given.amount, token, f"amount:{given.new_amount}")
        actor = actor_here()
        # One token, one row: the change of the total has its own, and is written with the attempt.
        other = hashlib.sha256(f"total:{token}".encode()).hexdigest()
        of_total = replace(seen, token=other)

        def also(order: Order) -> None:
            editing.change_total(order, given.new_amount, of_total, actor)

        order = get_order(number)
        # What was begun by this very request is found by its token, whatever is held by now (P19).
        is_new = not acting.was_accepted(order.id, seen)
        was_alone = is_new and acting.was_accepted(order.id, of_total)
        if was_alone or (is_new and _has_nothing_to_send(order, given.new_amount)):
            with _telling(number):
                editing.correct_total(order.id, given.new_amount, of_total, actor)
            return _ended(number, token)
        wanted = OperationRequest(Operation.CHANGE_AMOUNT, is_sum_confirmed=given.confirm_increase)
        try:
            with _telling(number):
                run_and_wait.carry_out(number, wanted, seen, actor, also)
        except acts.IncreaseNotConfirmed as increase:
            raise ApiRefusal(
                "increase_not_confirmed",
                f"{increase.yen:,}円の増額です。金額に間違いがなければ、"
                "confirm_increaseにtrueを指定してください。",
            ) from None
        return _ended(number, token)

    return replays.once(given, act)


def _has_nothing_to_send(order: Order, total: int) -> bool:
    """Whether SMBC-GP holds nothing of the order, or `total` already, to which it comes back."""
    there = order.transaction
    if reserves_nothing(order):
        return True
    if there is None or order.open_attempt is not None:
        return False
    return order.total != total == there.gateway_amount


def extend(order_no: str) -> Response:
    """オーソリ期間延長 (R83)."""
    return _simply(order_no, SeenBody, Operation.EXTEND)


def refund_difference(order_no: str) -> Response:
    """差額を返金: what was taken beyond the total goes back to the buyer (R100)."""
    return _simply(order_no, CancelBody, Operation.REFUND_DIFFERENCE)


@contextmanager
def _telling(order_no: str) -> Iterator[None]:
    """What stands in the way is told with the order as it is: who repeats a request sees what it did."""
    try:
        yield
    except (OrderChanged, OrderBusy, NotPossible) as refusal:
        order = answers.of_order(order_answers.one(order_no))
        raise problems.with_order(refusal, order.model_dump(mode="json")) from None


def _simply(order_no: str, model: type[SeenBody], operation: Operation) -> Response:
    given = sent(model)
    number = known(order_no)
    is_confirmed = isinstance(given, CancelBody) and given.refund

    def act(token: str) -> Response:
        seen = Seen(given.version, given.amount, token, operation.value)
        wanted = OperationRequest(operation, is_sum_confirmed=is_confirmed)
        try:
            with _telling(number), suppress(ApprovalAsked):
                run_and_wait.carry_out(number, wanted, seen, actor_here())
        except acts.RefundNotConfirmed:
            _refuse_refund()
        return _ended(number, token)

    return replays.once(given, act)


def _cancel(order_no: str, given: CancelBody, seen: Seen) -> None:
    now = order_answers.one(order_no)
    acting.require_seen(
        now.order, seen
    )  # before asking about a refund the caller knows nothing of (P20)
    is_safe = given.refund or not may_refund(now.last, now.unfinished)
    if money_effect(now.order).may_refund and not is_safe:
        _refuse_refund()
    wanted = cancelling.operation_request(
        order_no, restock=False, return_points=False, refund_confirmed=is_safe
    )
    run_and_wait.carry_out(order_no, wanted, seen, actor_here())


def _refuse_refund() -> None:
    raise ApiRefusal(
        "refund_not_confirmed",
        "返金になる(または返金になる可能性がある)注文です。"
        "返金してよければ、refundにtrueを指定してください。",
    )


def _ended(order_no: str, token: str) -> Response:
    """The order after the attempt with that token, or what waits for a second person.

    Raises ApiRefusal where it was not carried out, or not approved.
    """
    now = order_answers.one(order_no)
    answer = answers.of_order(now)
    asked = second_look.by_token(db.session(), token)
    if asked is not None and asked.is_waiting:
        waiting = answers.WaitingOrderAnswer(**answer.model_dump(), **answers.waits(asked))
        return answers.respond(waiting, 202)
    if asked is not None and asked.attempt_id is None:
        with _telling(order_no):
            raise second_look.refused_before(asked)
    is_ours = Attempt.request_token == token if asked is None else Attempt.id == asked.attempt_id
    ended = db.session.execute(
        sa.select(Attempt.state, Attempt.operation).where(is_ours)
    ).one_or_none()
    if ended is not None and ended.state is AttemptState.REJECTED:
        problem = now.problem
        raise ApiRefusal(
            "operation_failed",
            problem.sentence if problem else f"{ended.operation.label}は行われませんでした。",
            codes=list(problem.codes) if problem else [],
            order=answer.model_dump(mode="json"),
        )
    return answers.respond(answer, 202 if answer.open_operation else 200)
