"""An order that was handed in becomes rows: once, whoever sends it how often (P6, P27)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session, object_session

from sgpshop.domain.errors import ShopError
from sgpshop.domain.order_number import at_gateway
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import SalesMode
from sgpshop.models import (
    ENTERED_OTHERWISE,
    Attempt,
    BeginningStep,
    Billing,
    CardTransaction,
    Delivery,
    Operation,
    Order,
    OrderKind,
    OrderLine,
    RefusedCheckout,
    UnknownNumber,
    table_of,
    utc_now,
)
from sgpshop.services.intake.content import card_token, content_of, fingerprint
from sgpshop.services.intake.new_order import NewOrder, OnDecline
from sgpshop.services.intake.problems import (
    BeingBilled,
    ChangedSince,
    Declined,
    IntakeClosed,
    NumberInQuestion,
    OrderNumberTaken,
    ThreeDsNotSetUp,
    declined,
)
from sgpshop.services.orders import acting, beginnings, subscription_rounds
from sgpshop.services.orders.history import Actor
from sgpshop.services.orders.subscription_rounds import RoundTaken, round_of
from sgpshop.services.payments import (
    acts,
    checkouts,
    notifications,
    stored_cards,
    transaction_lookup,
    unknown_numbers,
)
from sgpshop.services.payments.acts import TAKE_OVER_AFTER, OperationRequest
from sgpshop.services.payments.outcomes import CHALLENGED
from sgpshop.services.settings import ShopSettings
from sgpshop.storage.database import writing

_orders, _transactions = table_of(Order), table_of(CardTransaction)
_parcels, _lines = table_of(Delivery), table_of(OrderLine)
_OWN, _THEIR = sa.bindparam("own", type_=sa.String), sa.bindparam("their", type_=sa.String)
#: Whether anything is known of a number, ours or SMBC-GP's: of most that come in nothing is.  Made once, as
#: all that runs for every one of them: others wait until it is written.
_IS_KNOWN = sa.select(
    sa.or_(
        sa.exists().where(_orders.c.order_no == _OWN),
        sa.exists().where(_transactions.c.gateway_order_id.in_([_OWN, _THEIR])),
        sa.exists().where(UnknownNumber.gateway_order_id == _THEIR),
        sa.exists().where(RefusedCheckout.order_no == _OWN),
    )
)
_INSERT_ORDER = sa.insert(_orders).returning(_orders.c.id)
_INSERT_TRANSACTION = sa.insert(_transactions).returning(_transactions.c.id)


@dataclass(frozen=True)
class IntakeStarted:
    """Where the order stands in our books; `attempt_id` is the payment whose end decides."""

    order_id: int
    attempt_id: int | None
    is_new: bool
    #: this call wrote the payment down, so it also carries it out
    is_ours: bool


def write_down(new: NewOrder, actor: Actor, shop: ShopSettings) -> IntakeStarted:
    """Write the order and its payment down, or find what an earlier call wrote.

    Raises OrderNumberTaken, NumberInQuestion, ChangedSince, BeingBilled, RoundTaken, Declined for a
    card that was declined before, IntakeClosed, ThreeDsNotSetUp, ShopError; and IntegrityError when
    somebody else wrote the same order at this moment: call again.
    """
    numbers = {"own": new.order_no, "their": at_gateway(new.order_no)}
    with writing() as session:
        is_known = bool(session.connection().execute(_IS_KNOWN, numbers).scalar())
        if is_known:
            order = session.scalars(
                sa.select(Order).where(Order.order_no == new.order_no).with_for_update()
            ).one_or_none()
            if order is not None:
                return _again(session, order, new, actor, shop)
            _make_room(session, new)
        if new.method:
            order_id = _write_order(session, new, shop)
            checkouts.receive(order_id, actor)
            return IntakeStarted(order_id, None, is_new=True, is_ours=False)
        if is_known:
            _refuse_declined(session, new)
        if not shop.enabled:
            raise IntakeClosed
        if new.kind is OrderKind.SUBSCRIPTION and not shop.subscription_enabled:
            raise IntakeClosed(
                "定期購入を利用しない設定のため、定期購入の注文は受け付けていません。"
            )
        _refuse_taken_round(session, new)
        otherwise = is_known and _was_entered_otherwise(session, new)
        return _write(session, new, actor, shop, entered_otherwise=otherwise)


def _make_room(session: Session, new: NewOrder) -> None:
    """See that the number may be this order's.  Raises NumberInQuestion or OrderNumberTaken."""
    if unknown_numbers.is_asked(session, new.order_no):
        raise NumberInQuestion
    unknown_numbers.give_way(session, [new.order_no])
    is_used = sa.exists().where(
        CardTransaction.gateway_order_id == new.order_no,
        CardTransaction.order_id == Order.id,
        # The same order may have been written since we looked: then the unique number says so.
        Order.order_no != new.order_no,
    )
    if session.scalar(sa.select(is_used)):  # that of an order #1001 from a file
        raise OrderNumberTaken


def _refuse_taken_round(session: Session, new: NewOrder) -> None:
    wanted = round_of(new.subscription_id, new.subscription_round)
    if wanted is None:
        return
    taken = subscription_rounds.holders(session, [wanted])
    if wanted in taken:
        raise RoundTaken(taken[wanted])


def _again(
    session: Session, order: Order, new: NewOrder, actor: Actor, shop: ShopSettings
) -> IntakeStarted:
    if order.intake_fingerprint != fingerprint(new):
        raise OrderNumberTaken
    if new.method:
        return IntakeStarted(order.id, None, is_new=False, is_ours=False)
    locked = acting.lock_order(session, order.id)
    known = session.scalars(
        sa.select(Attempt).where(Attempt.request_token == card_token(new))
    ).one_or_none()
    if known is None and locked.kind is not OrderKind.NORMAL:
        _refuse_another_card(session, locked)
    if locked.open_attempt is not None:
        return IntakeStarted(order.id, locked.open_attempt.id, is_new=False, is_ours=False)
    if _waits_for_look(locked):
        assert locked.transaction is not None
        transaction_lookup.make_due(session, CardTransaction.id == locked.transaction.id)
    operation = _second_payment(locked, new, shop)
    if operation is None or (known is not None and not _may_be_renewed(locked, new, operation)):
        return IntakeStarted(order.id, known.id if known else None, is_new=False, is_ours=False)
    if (locked.total, locked.kind) != (new.total, new.kind):
        raise ChangedSince  # the buyer agreed to what this request says, and to nothing else
    _refuse_wrong_three_ds(new, shop)
    # The token is unique: let go of before the new attempt takes it.
    if known is not None:
        known.request_token = None  # the newest try with this card answers for it
        session.flush()
    wanted = OperationRequest(operation, by_three_ds=bool(new.return_url))  # 再決済 (R106)
    [attempt] = acts.open(session, [locked], wanted, actor, **_card(new))
    transaction = session.get_one(CardTransaction, attempt.transaction_id)
    for name, value in _payer(new).items():
        setattr(transaction, name, value)
    return IntakeStarted(order.id, attempt.id, is_new=False, is_ours=True)


def _refuse_another_card(session: Session, order: Order) -> None:
    """What is charged later is charged on the card that was checked: another is never taken and not used (R106)."""
    was_registered = sa.exists().where(Billing.order_id == order.id)
    is_subscription = order.payment_status is PaymentStatus.AWAITING_BILLING
    if (
        order.open_attempt is not None
        or _waits_for_look(order)
        or (is_subscription and session.scalar(sa.select(was_registered)))
    ):
        raise BeingBilled
    is_preorder = order.kind is OrderKind.PREORDER and order.payment_status in _PREORDER_UNPAID
    if is_subscription or is_preorder:
        raise BeingBilled(is_later=True)


#: 予約 with a card that was checked, and that its charge is, or was, to be made on
_PREORDER_UNPAID = (PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURE_FAILED)


def _may_be_renewed(order: Order, new: NewOrder, operation: Operation) -> bool:
    """Whether 再決済 with a card that was tried before may go better by now.

    A stored card's number stays when the card behind it is renewed; a token is good for once.  While
    the buyer is at 3-D Secure, they are sent there again.
    """
    if operation is not Operation.REPAY or new.payment.token:
        return False
    session = object_session(order)
    assert session is not None
    last = session.scalar(
        sa.select(Attempt.reason)
        .where(Attempt.order_id == order.id)
        .order_by(Attempt.id.desc())
        .limit(1)
    )
    return last != CHALLENGED


def _waits_for_look(order: Order) -> bool:
    """Whether only a look-up can say if the order's charge was made (P11).

    要確認 then is no first payment that failed: a person has ended the doubt about a capture, a
    billing or 再決済 by hand, and nothing is paid before SMBC-GP shows that it was not.
    """
    is_charge = order.transaction is not None and order.transaction.is_charge
    return order.payment_status is PaymentStatus.NEEDS_REVIEW and is_charge


def _second_payment(order: Order, new: NewOrder, shop: ShopSettings) -> Operation | None:
    """What another card can do for an order that is here; None: nothing, it is paid or over."""
    if _waits_for_look(order):
        return None
    if order.payment_status is PaymentStatus.NEEDS_REVIEW:
        return _operation(new, shop)
    is_unpaid = order.payment_status is PaymentStatus.CAPTURE_FAILED
    return Operation.REPAY if is_unpaid and order.kind is OrderKind.SUBSCRIPTION else None


def _operation(new: NewOrder, shop: ShopSettings) -> Operation:
    """What completes this order, by kind and 売上処理種類 (T1-T4, R111)."""
    if new.kind is OrderKind.SUBSCRIPTION:
        return Operation.REGISTER_CARD
    if new.kind is OrderKind.PREORDER:
        return Operation.CHECK_CARD
    is_immediate = shop.sales_mode == SalesMode.IMMEDIATE
    return Operation.SALE if is_immediate else Operation.AUTHORIZE


def _refuse_declined(session: Session, new: NewOrder) -> None:
    before = session.execute(
        sa.select(RefusedCheckout.error_codes, RefusedCheckout.reason)
        .where(
            RefusedCheckout.order_no == new.order_no,
            RefusedCheckout.card_token == card_token(new),
            RefusedCheckout.amount == new.total,  # of another sum the card company may say yes
        )
        .order_by(RefusedCheckout.id.desc())
        .limit(1)
    ).one_or_none()
    if before is None:
        return
    problem = declined(before.error_codes, before.reason)
    if isinstance(problem, Declined):  # what was our own trouble may work by now
        raise problem


def _was_entered_otherwise(session: Session, new: NewOrder) -> bool:
    """Whether a checkout that was declined may have entered its number with another wish for 3-D Secure.

    No look-up shows which, and to pay it would skip what this request wants (transaction_numbers).
    """
    is_other = RefusedCheckout.by_three_ds.is_distinct_from(bool(new.return_url))
    wanted = sa.exists().where(RefusedCheckout.order_no == new.order_no, is_other)
    return bool(session.scalar(sa.select(wanted)))


def _refuse_wrong_three_ds(new: NewOrder, shop: ShopSettings) -> None:
    """Asked only where a payment begins: who repeats an order that is here is told how it stands."""
    if not new.three_ds and not shop.three_ds_optional:
        raise ShopError(
            "このショップは3Dセキュアを省略できない設定です。three_ds に required を指定してください。"
        )
    if new.three_ds and not current_app.config["PUBLIC_URL"]:
        raise ThreeDsNotSetUp(is_optional=shop.three_ds_optional)


def _write_order(session: Session, new: NewOrder, shop: ShopSettings) -> int:
    # Whether prices include tax a program says, whatever the shop's own do (interfaces.md §5).
    content = content_of(new, replace(shop.tax_rule, is_included=new.prices_include_tax))
    connection, row = session.connection(), content.order_row()
    row |= {
        "order_no": new.order_no,
        "payment_status": None if new.method else PaymentStatus.NEEDS_REVIEW,
        "intake_fingerprint": fingerprint(new),
    }
    order_id: int = connection.execute(_INSERT_ORDER, row).scalar_one()
    connection.execute(sa.insert(_parcels), content.delivery_rows(order_id))
    connection.execute(sa.insert(_lines), content.line_rows(order_id))
    return order_id


def _write(
    session: Session, new: NewOrder, actor: Actor, shop: ShopSettings, *, entered_otherwise: bool
) -> IntakeStarted:
    _refuse_wrong_three_ds(new, shop)
    order_id, now = _write_order(session, new, shop), utc_now()
    transaction = {"order_id": order_id, "gateway_order_id": new.order_no} | _payer(new)
    transaction_id = session.connection().execute(_INSERT_TRANSACTION, transaction).scalar_one()
    notifications.come_in(session, [new.order_no])
    refuses = new.on_decline is OnDecline.REFUSE
    row = {
        "order_id": order_id,
        "transaction_id": transaction_id,
        "operation": _operation(new, shop),
        "amount": new.total,
        "gateway_order_id": new.order_no,
        "actor_kind": actor.kind,
        "actor": actor.name,
        "created_at": now,
        "status_before": PaymentStatus.NEEDS_REVIEW,
        "choices": ({"on_decline": checkouts.REFUSE} if refuses else {})
        | ({ENTERED_OTHERWISE: True} if entered_otherwise else {}),
    }
    attempt_id = acts.open_one(session, row | _card(new))
    if refuses:
        beginnings.note(session.connection(), BeginningStep.PAYING, [(order_id, new.order_no)])
    else:
        checkouts.receive(order_id, actor)
    return IntakeStarted(order_id, attempt_id, is_new=True, is_ours=True)


def _card(new: NewOrder) -> dict[str, Any]:
    """Columns of the attempt: the card that is to pay, and by when the worker takes over."""
    token = new.payment.token
    return {
        "card_sealed": stored_cards.seal_token(token, new.order_no) if token else None,
        "request_token": card_token(new),
        "due_at": utc_now() + TAKE_OVER_AFTER,
    }


def _payer(new: NewOrder) -> dict[str, Any]:
    """Columns of the transaction: a stored card that is to pay, and where its buyer goes afterwards."""
    card = new.payment
    return {
        "member_id": "" if card.token else card.member_id,
        "card_seq": None if card.token else card.card_seq,
        "return_url": new.return_url or "",
    }
