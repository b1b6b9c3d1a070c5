"""How an act on an order begins: is it the first time, is the order as it was seen, is it possible?

Acts on money become an attempt (`open_attempt`), written before SMBC-GP is asked (P6, P7).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.errors import NotPossible, OrderBusy, ShopError
from sgpshop.domain.order_acts import Act, WhyNot, require
from sgpshop.domain.order_rules import (
    OrderFacts,
    capture_refusal,
    increase,
    is_big,
    is_to_be_charged,
)
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.second_look import ApprovalState, yen_to_approve
from sgpshop.models import (
    ENTERED_OTHERWISE,
    Approval,
    Attempt,
    AttemptState,
    CardTransaction,
    FollowUp,
    Operation,
    Order,
    table_of,
)
from sgpshop.services import settings
from sgpshop.services.access import activities
from sgpshop.services.orders.acting import Seen, first_use, lock_order, require_seen
from sgpshop.services.orders.facts import Facts, TransactionFacts
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import second_look, transaction_numbers
from sgpshop.services.payments.clocks import usable_gateway
from sgpshop.services.payments.second_look import ApprovalAsked
from sgpshop.services.settings import ShopSettings
from sgpshop.storage import queue, shared_clock
from sgpshop.storage.database import chunks, writing
from sgpshop.storage.queue import Task, Urgency
from sgpshop.storage.rows import free_ids, put

#: The entrance tells a worker itself and waits; the sweeper finds the row if its process died first.
TAKE_OVER_AFTER = timedelta(seconds=5)

_ACTS = {
    Operation.CAPTURE: Act.CAPTURE,
    Operation.CHANGE_AMOUNT: Act.SEND_CHANGES,
    Operation.CANCEL: Act.CANCEL,
    Operation.EXTEND: Act.EXTEND,
    Operation.REFUND_DIFFERENCE: Act.REFUND_DIFFERENCE,
}


#: Acts nobody presses: the buyer's payment, and the monthly registration.
_MAY_BEGIN_IN = {
    **dict.fromkeys(
        (
            Operation.AUTHORIZE,
            Operation.SALE,
            Operation.CHECK_CARD,
            Operation.REGISTER_CARD,
        ),
        (PaymentStatus.NEEDS_REVIEW,),
    ),
    Operation.REPAY: (PaymentStatus.CAPTURE_FAILED,),
    Operation.BILL: (PaymentStatus.AWAITING_BILLING,),
}


_attempts = table_of(Attempt)
#: Made once: it runs for every order that comes in.
_OPEN_ONE = sa.insert(_attempts).returning(_attempts.c.id)
_THEN = {None: "", FollowUp.CAPTURE: "と実売上処理", FollowUp.DELIVER: "と配送完了"}


@dataclass(frozen=True)
class OperationRequest:
    """A money operation somebody asks for, and what goes with it."""

    operation: Operation
    #: the second step of the same act
    follow_up: FollowUp | None = None
    #: choices to be told in the history
    choices: dict[str, Any] = field(default_factory=dict)
    #: the buyer is there to pass 3-D Secure (of a new payment only)
    by_three_ds: bool = False
    #: a monthly file carries it (of a billing only)
    by_file: bool = False
    #: the amount was confirmed a second time, which a big capture, an increase and a refund need (S21)
    is_sum_confirmed: bool = False
    #: a second person agreed, or it is a step of what needed nobody or was agreed to (R157)
    is_agreed: bool = False

    @property
    def captures(self) -> bool:
        """Whether it is, or ends with, 実売上処理."""
        return self.operation is Operation.CAPTURE or self.follow_up is FollowUp.CAPTURE

    @property
    def words(self) -> str:
        """The act, as people read it."""
        return self.operation.label + _THEN[self.follow_up]


CAPTURE = OperationRequest(Operation.CAPTURE)


class Opened(NamedTuple):
    """An attempt that was just made."""

    id: int
    transaction_id: int
    gateway_order_id: str
    #: yen
    amount: int


class SumNotConfirmed(ShopError):
    """A capture so big that it has to be confirmed a second time, and was not (S21)."""

    yen = 0

    def __init__(self, yen: int) -> None:
        self.yen = yen
        super().__init__(
            f"{yen:,}円の実売上処理です。金額を確認のうえ、確認欄にチェックを入れてください。"
            "SMBC-GPへの送信は行っていません。"
        )


class IncreaseNotConfirmed(SumNotConfirmed):
    """More of the buyer's money is to be reserved, and nobody confirmed that (S21)."""

    def __init__(self, yen: int, total: int) -> None:
        self.yen = yen
        ShopError.__init__(
            self,
            f"{yen:,}円の増額({total:,}円)です。金額を確認のうえ、確認欄にチェックを入れてください。"
            "SMBC-GPへの送信は行っていません。",
        )


class RefundNotConfirmed(SumNotConfirmed):
    """A refund that was not confirmed a second time (S21)."""

    def __init__(self) -> None:
        ShopError.__init__(
            self,
            "返金になるため、金額を確認のうえ、確認欄にチェックを入れてください。"
            "SMBC-GPへの送信は行っていません。",
        )


def open_capture(order_id: int, seen: Seen, actor: Actor) -> int:
    """`open_attempt` for a plain capture."""
    return open_attempt(order_id, CAPTURE, seen, actor)


def open_attempt(
    order_id: int,
    wanted: OperationRequest,
    seen: Seen,
    actor: Actor,
    also: Callable[[Order], None] | None = None,
) -> int:
    """Write down what `actor` wants done to this order's money; the attempt's id (P6, P7, P19).

    `also` changes the locked order in the same transaction: both are written, or neither.

    The same form again returns the first attempt.  Raises FormUsed for its token with another act,
    OrderBusy, OrderChanged (P20), SumNotConfirmed (S21), NotPossible with the reason, or ShopError
    without a usable contract or clock; then nothing was written.  Raises ApprovalAsked where a second
    person has to agree (R157): `also` and the request are written then, and no attempt.
    """
    usable_gateway()  # what cannot be sent is not accepted (R2)
    try:
        with writing() as session:
            begun = _begin(session, order_id, wanted, seen, actor, also)
    except IntegrityError:  # the database itself allows one open attempt per order (P7)
        raise OrderBusy from None
    if isinstance(begun, ApprovalAsked):
        raise begun
    return begun


def _begin(
    session: Session,
    order_id: int,
    wanted: OperationRequest,
    seen: Seen,
    actor: Actor,
    also: Callable[[Order], None] | None,
) -> int | ApprovalAsked:
    order = lock_order(session, order_id)  # first: a double click waits here for the first
    if first := first_use(session, order_id, seen):
        if first.attempt_id is not None:
            return int(first.attempt_id)
        if asked := second_look.by_token(session, seen.token):
            if not asked.is_waiting:
                raise second_look.refused_before(asked)
            return ApprovalAsked(asked)
    # After the token: a form sent twice gets its own attempt back, not «busy» because of it.
    if order.open_attempt is not None:
        raise OrderBusy
    require_seen(order, seen)
    if also is not None:
        also(order)
    if yen := _yen_to_approve([order], wanted, actor, settings.load()):
        _require(order, wanted.operation, settings.load(), shared_clock.now())
        if not wanted.is_sum_confirmed:
            _need_no_confirmation(wanted, order)
        return ApprovalAsked(_ask(session, order, wanted, seen, actor, yen))
    [attempt] = open(
        session,
        [order],
        wanted,
        actor,
        due_at=shared_clock.now() + TAKE_OVER_AFTER,
        request_token=seen.token,
        request_act=seen.act,
    )
    if not wanted.is_sum_confirmed:
        _need_no_confirmation(wanted, order)
    _record(session, order, wanted, attempt.amount, actor)
    return attempt.id


def _ask(
    session: Session, order: Order, wanted: OperationRequest, seen: Seen, actor: Actor, yen: int
) -> Approval:
    """Write down what a second person has to agree to; one that is no good any more makes room."""
    for before in second_look.waiting_of_order(order.id):
        if not second_look.is_as_asked(before, order):
            second_look.end(session, before, ApprovalState.VOID, why=second_look.CHANGED)
    refund = "(返金)" if wanted.operation is Operation.CANCEL else ""
    return second_look.ask(
        session,
        actor,
        order_id=order.id,
        what=f"{wanted.operation.label}{refund}{_THEN[wanted.follow_up]}",
        operation=wanted.operation,
        follow_up=wanted.follow_up,
        choices=wanted.choices,
        version=order.version,
        total=order.total,
        orders=1,
        yen=yen,
        request_token=seen.token,
        request_act=seen.act,
    )


def _yen_to_approve(
    orders: Sequence[OrderFacts], wanted: OperationRequest, actor: Actor, shop: ShopSettings
) -> int:
    """Yen that a second person has to agree to before this is opened; 0: none (R157)."""
    if wanted.is_agreed or actor.begins_of_itself:
        return 0
    return yen_to_approve(orders, wanted.operation, shop, captures=wanted.captures)


def _record(
    session: Session, order: Order, wanted: OperationRequest, yen: int, actor: Actor
) -> None:
    held = order.transaction.gateway_amount if order.transaction else None
    is_change = wanted.operation is Operation.CHANGE_AMOUNT and held is not None
    activities.record(
        session,
        ActivityEvent.MONEY_ASKED,
        order.order_no,
        by=actor.name,
        note=wanted.words,
        yen=yen,
        changes=[["金額", f"{held:,}円", f"{yen:,}円"]] if is_change else [],
    )


def _need_no_confirmation(wanted: OperationRequest, order: Order) -> None:
    """Raises SumNotConfirmed for what has to be confirmed a second time (S21)."""
    if wanted.captures and is_big(1, order.total):
        raise SumNotConfirmed(order.total)
    if wanted.operation is Operation.CHANGE_AMOUNT and (more := increase(order)):
        raise IncreaseNotConfirmed(more, order.total)
    if wanted.operation is Operation.REFUND_DIFFERENCE:
        raise RefundNotConfirmed


def open(
    session: Session,
    orders: Sequence[Order | Facts],
    wanted: OperationRequest,
    actor: Actor,
    **values: Any,
) -> list[Opened]:
    """The one place that makes attempts: one each of what is `wanted` on these locked orders (P6, P7).

    In their order (R48), QUEUED and due unless `values` of the rows say otherwise; versions of the
    orders are raised.  Raises NotPossible with the reason of the table of acts: then none is made.
    """
    now = shared_clock.now()
    shop = settings.load()
    if yen := _yen_to_approve(orders, wanted, actor, shop):
        raise second_look.ApprovalNeeded(yen)  # an entrance that did not ask
    rows = []
    for order in orders:
        _require(order, wanted.operation, shop, now)
        transaction, choices = _transaction_for(session, order, wanted)
        rows.append(
            {
                "order_id": order.id,
                "transaction_id": transaction.id,
                "gateway_order_id": transaction.gateway_order_id,
                "amount": amount_of(order, wanted.operation),
                "status_before": order.payment_status,
                "choices": choices,
            }
        )
    of_all = {
        "operation": wanted.operation,
        "follow_up": wanted.follow_up,
        "actor_kind": actor.kind,
        "actor": actor.name,
        "created_at": now,
        "due_at": now,
    }
    session.flush()  # transactions that were made for them
    # The unique index on open attempts refuses a second one here, before any version has moved (P7).
    attempts = _open_rows(session, [row | of_all | values for row in rows])
    for chunk in chunks([order.id for order in orders]):
        session.execute(
            sa.update(Order)
            .where(Order.id.in_(chunk))
            .values(version=Order.version + 1)
            .execution_options(synchronize_session="evaluate")
        )
    return attempts


def open_one(session: Session, row: dict[str, Any]) -> int:
    """The id of a QUEUED attempt of just these columns, which its caller carries out."""
    attempt_id: int = (
        session.connection().execute(_OPEN_ONE, {"state": AttemptState.QUEUED} | row).scalar_one()
    )
    return attempt_id


def _open_rows(session: Session, rows: Sequence[dict[str, Any]]) -> list[Opened]:
    """QUEUED attempts of just these columns, all of the same, which workers are told of."""
    if not rows:
        return []
    connection = session.connection()
    ids = free_ids(connection, _attempts, len(rows))
    names, made = rows[0], [*zip(ids, rows, strict=True)]
    put(
        connection,
        _attempts,
        ("id", "state", *names),
        # By name: in whatever order a row was put together, no value lands in another column.
        [(one, AttemptState.QUEUED, *(row[name] for name in names)) for one, row in made],
    )
    now = shared_clock.now()
    due = (one for one, row in made if row["due_at"] is not None and row["due_at"] <= now)
    urgency = Urgency.NEXT_STEP if len(rows) == 1 else Urgency.MANY
    queue.tell(session, Task.OPERATION, due, urgency)
    return [
        Opened(one, row["transaction_id"], row["gateway_order_id"], row["amount"])
        for one, row in made
    ]


def _require(order: Order | Facts, operation: Operation, shop: ShopSettings, now: datetime) -> None:
    if operation is Operation.CAPTURE:
        if refusal := capture_refusal(order):
            raise NotPossible(refusal.sentence, refusal.value)
    elif operation in _ACTS:
        require(_ACTS[operation], order, shop, now)
    elif order.payment_status not in _MAY_BEGIN_IN[operation]:
        raise NotPossible("この注文の決済は、すでに進んでいるか終わっています。", WhyNot.STATUS)


def _transaction_for(
    session: Session, order: Order | Facts, wanted: OperationRequest
) -> tuple[CardTransaction | TransactionFacts, dict[str, Any]]:
    """The transaction it is about, and the choices; a payment gets one under its own number (R112)."""
    choices = wanted.choices
    # SGP orders have one; a row damaged by hand must not become a 500.
    if order.transaction is None:
        raise NotPossible("この注文にはSMBC-GPの取引情報がありません。")
    is_new = wanted.operation.enters(is_unpaid_charge=is_to_be_charged(order.transaction))
    if not is_new or choices.get("step"):
        return order.transaction, choices
    # The next number depends on what other payments of the order left: read under the lock.
    locked = order if isinstance(order, Order) else lock_order(session, order.id)
    before = order.transaction.id
    transaction = transaction_numbers.transaction_for(locked, wanted.operation)
    if transaction.id == before and transaction_numbers.was_entered_otherwise(
        transaction, by_three_ds=wanted.by_three_ds
    ):
        choices = choices | {ENTERED_OTHERWISE: True}
    if not wanted.by_three_ds:
        transaction.return_url = ""
    if wanted.by_file:
        transaction = transaction_numbers.number_for_file(locked, transaction)
    return transaction, choices


def amount_of(order: OrderFacts, operation: Operation) -> int:
    """Yen the operation is about: our total, or what SMBC-GP holds where that stays or goes."""
    held = order.transaction.gateway_amount if order.transaction else None
    if operation in (Operation.CANCEL, Operation.EXTEND) and held is not None:
        return held
    return order.total
