"""The buyer's browser comes back from 3-D Secure: only now the card is authorized (protocol.md §11)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from sgpshop.domain.errors import NotFound
from sgpshop.domain.order_rules import CHECK_STATE, LIVE_STATES
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import AFTER_THREE_DS, Attempt, CardTransaction, Order, utc_now
from sgpshop.services.order_detail.unfinished import REFUSED, unfinished
from sgpshop.services.orders import acting
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, checkouts, journal, three_ds
from sgpshop.services.payments.acts import TAKE_OVER_AFTER, OperationRequest
from sgpshop.services.payments.clocks import usable_gateway
from sgpshop.services.payments.outcomes import CHALLENGED
from sgpshop.storage.database import writing
from sgpshop.storage.queue import Task, tell_now

_OVER = (PaymentStatus.CANCELLED, PaymentStatus.CAPTURE_FAILED)


@dataclass(frozen=True)
class CheckoutReturn:
    """Where the buyer goes on: the shop's own page, told how it ended; "" without one."""

    url: str
    order_no: str
    #: "paid", "failed" or "pending"
    result: str


def come_back(gateway_order_id: str, mark: str, access_id: str) -> CheckoutReturn:
    """Finish the payment of a buyer who was at 3-D Secure; a second return changes nothing.

    Raises NotFound for an address that is not ours or an AccessID that is not this checkout's,
    ShopError without a usable contract.
    """
    if not three_ds.is_ours(gateway_order_id, mark):
        raise _unknown()
    usable_gateway()
    # A reload or a second tab begins nothing: only one may finish what waits at 3-D Secure.
    attempt_id = _begin(gateway_order_id, access_id)
    if attempt_id is not None:
        tell_now(Task.OPERATION, attempt_id)
        journal.wait_for_end(attempt_id, current_app.config["CHECKOUT_WAIT"])
    return _how_it_stands(gateway_order_id)


def _begin(gateway_order_id: str, access_id: str) -> int | None:
    """Write down that the payment goes on; None when there is nothing (more) to do."""
    try:
        with writing() as session:
            transaction = session.scalars(
                sa.select(CardTransaction)
                .where(CardTransaction.gateway_order_id == gateway_order_id)
                .execution_options(populate_existing=True)
            ).one_or_none()
            if transaction is None or transaction.access_id != access_id:
                raise _unknown()
            order = acting.lock_order(session, transaction.order_id)
            session.refresh(transaction)  # another card may have taken its place while we waited
            is_waiting = (
                transaction.is_current
                and transaction.challenge_url
                and order.open_attempt is None
                and order.payment_status in checkouts.MAY_FINISH
            )
            if not is_waiting:
                return None
            sent = session.scalars(  # what sent the buyer there; a billing may have come before
                sa.select(Attempt)
                .where(Attempt.transaction_id == transaction.id, Attempt.reason == CHALLENGED)
                .order_by(Attempt.id.desc())
                .limit(1)
            ).one_or_none()
            if sent is None:
                return None
            wanted = OperationRequest(sent.operation, choices={"step": AFTER_THREE_DS})
            actor = Actor(sent.actor_kind, sent.actor)
            due_at = utc_now() + TAKE_OVER_AFTER
            [attempt] = acts.open(session, [order], wanted, actor, due_at=due_at)
            return attempt.id
    except IntegrityError:  # two returns at the same moment: the other one goes on
        return None


def _how_it_stands(gateway_order_id: str) -> CheckoutReturn:
    """Paid is what SMBC-GP holds or took, never what the order's status only lets one think.

    Failed is what is over, by a clear no: what may yet be paid, or has to be looked at, is pending.
    """
    current = aliased(CardTransaction)
    row = db.session.execute(
        sa.select(
            Order.id,
            Order.order_no,
            Order.payment_status,
            CardTransaction.return_url,
            CardTransaction.gateway_state,
            current.gateway_state.label("current_state"),
        )
        .join(Order, Order.id == CardTransaction.order_id)
        .join(current, sa.and_(current.order_id == Order.id, current.is_current))
        .where(CardTransaction.gateway_order_id == gateway_order_id)
    ).one()
    order = db.session.get_one(Order, row.id, populate_existing=True)
    last = db.session.scalar(
        sa.select(Attempt).where(Attempt.order_id == row.id).order_by(Attempt.id.desc()).limit(1)
    )
    how_far = unfinished(order, last, utc_now())
    is_under_way = order.open_attempt is not None
    db.session.commit()
    # A check is all that is wanted of a preorder or subscription; and who paid in another window paid.
    is_paid = row.gateway_state in LIVE_STATES | {CHECK_STATE} or row.current_state in LIVE_STATES
    result = "pending"
    if not is_under_way and (row.payment_status in _OVER or how_far in REFUSED):
        result = "failed"
    elif not is_under_way and is_paid and row.payment_status is not PaymentStatus.NEEDS_REVIEW:
        result = "paid"
    return CheckoutReturn(_told(row.return_url, row.order_no, result), row.order_no, result)


def _told(address: str | None, order_no: str, result: str) -> str:
    """The shop's own page with what it is told, signed; "" without one."""
    if not address or address == three_ds.OUR_PAGE:
        return ""
    timestamp = str(int(utc_now().timestamp()))
    signature = three_ds.signature(order_no, result, timestamp)
    return _with_params(
        address, order_no=order_no, result=result, timestamp=timestamp, signature=signature
    )


def _with_params(address: str, **params: str) -> str:
    """`address` with these parameters: before its fragment, which no server gets to see."""
    before, hash_sign, fragment = address.partition("#")
    joint = "&" if "?" in before else "?"
    return f"{before}{joint}{urlencode(params)}{hash_sign}{fragment}"


def _unknown() -> NotFound:
    return NotFound("このお支払いは見つかりません。ショップの画面から、もう一度お手続きください。")
