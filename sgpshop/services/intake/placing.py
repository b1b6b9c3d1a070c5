"""Take an order in: write it down, let its payment run, say how it stands (T1-T5, P27)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError

from sgpshop.domain.errors import ShopError
from sgpshop.extensions import db
from sgpshop.models import Attempt, CardTransaction, Order, RefusedCheckout
from sgpshop.models.attempt import OPEN_STATES
from sgpshop.services import settings
from sgpshop.services.intake.content import card_token
from sgpshop.services.intake.new_order import NewOrder
from sgpshop.services.intake.problems import Declined, declined
from sgpshop.services.intake.writing_down import IntakeStarted, write_down
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import checkouts, journal, three_ds
from sgpshop.services.payments.clocks import usable_gateway
from sgpshop.services.payments.outcomes import CHALLENGED
from sgpshop.services.settings import ShopSettings
from sgpshop.storage.database import writing
from sgpshop.storage.queue import Task, tell_now

#: Others may write the same order at the same moment, or take it back.
_TRIES = 5


@dataclass(frozen=True)
class IntakeResult:
    """An order that is in our books; its payment may still be under way."""

    order_no: str
    #: False: it was there before, this is the first answer again
    is_new: bool
    #: the buyer must pass 3-D Secure there; else None
    redirect_url: str | None


def place(new: NewOrder, actor: Actor) -> IntakeResult:
    """Take `new` in and run its payment, waiting for it at most CHECKOUT_WAIT seconds.

    The same order again, also with another card for one that was not paid, is the same order.
    Raises ContractMissing, IntakeClosed, OrderNumberTaken, ChangedSince, BeingBilled, RoundTaken,
    ThreeDsNotSetUp, Declined, PaymentRefused or PaymentUnavailable (with `on_decline` refuse: nothing
    is kept then),
    or ShopError for content that does not fit.
    """
    shop = settings.load()
    if new.method:
        return _keep(new, actor, shop)
    usable_gateway(shop)
    page = (new.return_url or three_ds.OUR_PAGE) if new.three_ds else None
    new = replace(new, return_url=page)
    for _ in range(_TRIES):
        try:
            # Committed before anything is sent: a crash from here on leaves an attempt that the worker goes on with.
            begun = write_down(new, actor, shop)
        except IntegrityError:
            continue
        placed = _carry_out(new, begun)
        if placed is not None:
            return placed
    raise _at_the_same_time()


def _keep(new: NewOrder, actor: Actor, shop: ShopSettings) -> IntakeResult:
    """One that is not paid by card here is written down, and that is all.  Raises as `place`."""
    if shop.known_methods.is_sgp(new.method):
        raise ShopError(
            f"「{new.method}」はSGPカード決済の呼び名です。カードのtokenを指定してください。"
        )
    for _ in range(_TRIES):
        try:
            begun = write_down(new, actor, shop)
        except IntegrityError:
            continue
        return IntakeResult(new.order_no, begun.is_new, None)
    raise _at_the_same_time()


def _at_the_same_time() -> ShopError:
    return ShopError("同じ注文が同時に処理されています。少し待ってから、もう一度送信してください。")


def _carry_out(new: NewOrder, begun: IntakeStarted) -> IntakeResult | None:
    """Let the payment end or go on by itself; None when the order was taken back by another call."""
    if begun.attempt_id is not None:
        if begun.is_ours:
            tell_now(Task.OPERATION, begun.attempt_id)
        journal.wait_for_end(begun.attempt_id, current_app.config["CHECKOUT_WAIT"])
        if not _acknowledge(begun):
            _raise_refusal(new)
            return None
    return _standing(begun)


def _acknowledge(begun: IntakeStarted) -> bool:
    """From now on the order stays, whatever its payment does (P2); False if it is gone."""
    is_told = db.session.scalar(
        sa.select(Order.history_state != "").where(Order.id == begun.order_id)
    )
    db.session.commit()
    if is_told:  # its history has begun, so nobody takes it back
        return True
    with writing() as session:
        # Locked by the statement that reads it: its card may be refused at this moment, and then it
        # is gone when the lock is ours.
        order = session.get(
            Order, begun.order_id, populate_existing=True, with_for_update={"of": Order}
        )
        if order is None:
            return False
        attempt = session.get(Attempt, begun.attempt_id, populate_existing=True)
        is_open = attempt is not None and attempt.state in OPEN_STATES
        if attempt is not None and is_open and attempt.choices.get("on_decline"):
            attempt.choices = {k: v for k, v in attempt.choices.items() if k != "on_decline"}
            if not order.history_state:
                checkouts.receive(order.id, Actor(attempt.actor_kind, attempt.actor))
    return True


def _raise_refusal(new: NewOrder) -> None:
    refused = db.session.execute(
        sa.select(RefusedCheckout.error_codes, RefusedCheckout.reason, RefusedCheckout.card_token)
        .where(RefusedCheckout.order_no == new.order_no)
        .order_by(RefusedCheckout.id.desc())
        .limit(1)
    ).one_or_none()
    db.session.commit()
    if refused is None:
        raise Declined
    if refused.card_token == card_token(new):
        raise declined(refused.error_codes, refused.reason)


def _standing(begun: IntakeStarted) -> IntakeResult:
    row = db.session.execute(
        sa.select(Order.order_no, Order.payment_status, CardTransaction.challenge_url)
        .join(Order.transaction)
        .where(Order.id == begun.order_id)
    ).one()
    last = db.session.scalar(
        sa.select(Attempt.reason)
        .where(Attempt.order_id == begun.order_id)
        .order_by(Attempt.id.desc())
        .limit(1)
    )
    db.session.commit()
    is_at_3ds = last == CHALLENGED and row.payment_status in checkouts.MAY_FINISH
    return IntakeResult(row.order_no, begun.is_new, row.challenge_url if is_at_3ds else None)
