"""Payments under `<order number>-n` that no act of ours entered: nobody guesses whose they are (R141).

A shop may number its orders `1001` and `1001-1`; the buyer may have paid again past us (R106); books
put back from a backup do not know what was entered since (P36).  SMBC-GP shows the same each time.  So
a person says it, or an order file that brings the order of that number; until then the order is neither
charged nor called unpaid.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from sgpshop.domain.errors import NotFound, NotPossible, OrderBusy, ShopError
from sgpshop.domain.order_number import as_later, at_gateway
from sgpshop.domain.order_rules import LIVE_STATES, UNFINISHED_STATES
from sgpshop.domain.payment_status import PAID, PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.words import Reason
from sgpshop.extensions import db
from sgpshop.gateway import TradeState, TradeStatus
from sgpshop.models import (
    IN_FILE,
    Attempt,
    Billing,
    BillingState,
    CardTransaction,
    FiledNumber,
    Order,
    OrderKind,
    RefusedCheckout,
    UnknownNumber,
    utc_now,
)
from sgpshop.services.orders import alerts, history
from sgpshop.services.orders.acting import id_of, lock_order
from sgpshop.services.orders.history import LOOK_UP, Actor
from sgpshop.services.payments import filed_numbers, transaction_numbers
from sgpshop.services.payments.clocks import TOLERANCE
from sgpshop.services.payments.transactions import describe_state, look_now
from sgpshop.storage import news, queue, shared_clock
from sgpshop.storage.among import among
from sgpshop.storage.database import writing
from sgpshop.storage.questions import Question
from sgpshop.storage.queue import Task, Urgency

#: Reason of what is neither charged nor cancelled beside one.
UNKNOWN_NUMBER = "unknown_number"

#: A buyer who entered a payment, or went to 3-D Secure, has paid or gone by then.
_PAYING = timedelta(minutes=30)
_DAY = timedelta(days=1)

#: A number and what a look-up of it showed.
Numbered = tuple[int, TradeStatus]


def is_ours(session: Session, transaction_id: int) -> bool:
    """Whether that transaction is the order's: its own number, or one that an act of ours may have entered.

    A later number that was only reserved for the next try is not: another's payment may stand there;
    nor is one that was given back.
    """
    row = session.execute(
        sa.select(CardTransaction.gateway_order_id, _IS_ENTERED).where(
            CardTransaction.id == transaction_id
        )
    ).one_or_none()
    if row is None:
        return False
    return bool(row[1]) or filed_numbers.was_filed(session, row.gateway_order_id)


def was_said_to_be_ours(session: Session, transaction: CardTransaction) -> bool:
    """Whether a person said so of it (Answer.OURS)."""
    was_said = sa.exists().where(
        UnknownNumber.order_id == transaction.order_id,
        UnknownNumber.gateway_order_id == transaction.gateway_order_id,
        UnknownNumber.is_ours.is_(True),
    )
    return bool(session.scalar(sa.select(was_said)))


def never_counted(session: Session, transaction_id: int) -> bool:
    """Whether a person called it the order's, and nobody here saw it pay the order since."""
    transaction = session.get_one(CardTransaction, transaction_id)
    return transaction.gateway_state is None and was_said_to_be_ours(session, transaction)


def numbers_of_ours(session: Session, order_id: int) -> set[str]:
    """The numbers of all its transactions of which `is_ours` says so."""
    rows = session.execute(
        sa.select(CardTransaction.gateway_order_id, _IS_ENTERED.label("is_entered")).where(
            CardTransaction.order_id == order_id
        )
    ).all()
    return {
        row.gateway_order_id
        for row in rows
        if row.is_entered or filed_numbers.was_filed(session, row.gateway_order_id)
    }


_IS_ENTERED = sa.or_(
    CardTransaction.sequence == 0,
    CardTransaction.entry_sent_at.is_not(None),
    CardTransaction.access_id.is_not(None),
    CardTransaction.gateway_state.is_not(None),
    sa.exists().where(
        UnknownNumber.order_id == CardTransaction.order_id,
        UnknownNumber.gateway_order_id == CardTransaction.gateway_order_id,
        UnknownNumber.is_ours.is_(True),
    ),
)


#: A number that an act of ours entered, or a file of ours brought.
IS_OURS = sa.or_(
    _IS_ENTERED,
    sa.exists().where(FiledNumber.gateway_order_id == CardTransaction.gateway_order_id),
)
#: A number that an order has only meant to use: who pays there may have it.
IS_FREE = sa.and_(
    sa.not_(IS_OURS),
    # What is under way uses its own number, and counts the one that counts now; not those passed over.
    ~sa.exists().where(
        Attempt.order_id == CardTransaction.order_id,
        Attempt.is_open,
        sa.or_(CardTransaction.is_current, Attempt.transaction_id == CardTransaction.id),
    ),
)


#: Made once, as all that is asked for each batch of a file.
_MEANT = sa.select(CardTransaction.order_id, CardTransaction.gateway_order_id).where(
    among(CardTransaction.gateway_order_id, "numbers"), IS_FREE
)
_IS_ANY_ASKED = sa.select(
    sa.exists(sa.select(UnknownNumber.id).where(UnknownNumber.is_ours.is_(None)))
)


def holds(kind: OrderKind, trade: TradeStatus) -> bool:
    """Whether money is there, or may be, or may still come: by a buyer who is paying, or a monthly file."""
    is_recent = trade.total > 0 and trade.processed_at > utc_now() - _PAYING
    is_being_paid = trade.state.is_unfinished and is_recent
    may_be_there = trade.state.is_live or trade.state is TradeState.UNKNOWN or is_being_paid
    return may_be_there or is_filed(kind, trade)


def is_filed(kind: OrderKind, trade: TradeStatus) -> bool:
    """Whether a monthly file that our books do not know may still charge it."""
    return filed_numbers.whose(kind, trade) is filed_numbers.Whose.UNKNOWN_FILE


_later = aliased(Attempt)
#: Whether some number may be in a monthly file that our books do not know: asked about, or what an act
#: of ours ended for (of a number that was taken for ours, which is not asked about).
IS_ANY_PERHAPS_FILED = sa.or_(
    sa.exists().where(
        UnknownNumber.is_open,
        UnknownNumber.gateway_state.in_(sorted(UNFINISHED_STATES)),
        Order.id == UnknownNumber.order_id,
        Order.kind == OrderKind.SUBSCRIPTION,
    ),
    sa.exists().where(
        Attempt.reason.in_((filed_numbers.MAY_BE_FILED, IN_FILE)),
        ~sa.exists().where(_later.order_id == Attempt.order_id, _later.id > Attempt.id),
        Order.id == Attempt.order_id,
        Order.payment_status.not_in((*sorted(PAID), PaymentStatus.CANCELLED)),
        ~sa.exists().where(UnknownNumber.order_id == Attempt.order_id),
    ),
)


def held_and_asked(kind: OrderKind, trades: Iterable[TradeStatus]) -> tuple[set[str], set[str]]:
    """The numbers that hold money (`holds`); and all that say something about the order whose they are.

    What was given back says so too.
    """
    seen = [trade for trade in trades if not _was_declined(trade)]
    held = {trade.order_id for trade in seen if holds(kind, trade)}
    return held, held | {trade.order_id for trade in seen if trade.state.is_cancelled}


def _was_declined(trade: TradeStatus) -> bool:
    """Whether a checkout of ours entered it whose card was declined: nobody is paying there any more."""
    if not trade.state.is_unfinished:
        return False
    session = db.session()
    was_ours = sa.exists().where(RefusedCheckout.gateway_order_id == trade.order_id)
    found = bool(session.scalar(sa.select(was_ours)))
    session.commit()  # no transaction is open while we wait for the network (P8)
    return found


def ask(session: Session, order: Order, found: Sequence[Numbered]) -> None:
    """Whose these are is a question to a person from now on; `order` is locked.

    The number that counts is looked up with all that is asked about: there the question ends.  What
    was answered while SMBC-GP was asked is none.
    """
    rows = session.scalars(
        sa.select(UnknownNumber)
        .where(UnknownNumber.order_id == order.id)
        .execution_options(populate_existing=True)
    )
    known = {row.gateway_order_id: row for row in rows}
    for sequence, trade in found:
        row = known.get(trade.order_id)
        if row is not None and row.is_ours is not None:
            continue
        if row is None:
            row = UnknownNumber(
                order_id=order.id, gateway_order_id=trade.order_id, sequence=sequence
            )
            session.add(row)
        elif row.is_left:  # somebody pays there after all
            row.is_left, row.found_at = False, utc_now()
        row.gateway_state, row.amount = trade.raw_status[:20], trade.total
    session.flush()
    current = order.transaction
    if current is not None and current.next_look_at is None:
        current.next_look_at = looks_again_at(session, order.id)
    tell_open(session, order)


def may_be_of(number: str) -> int | None:
    """The order of ours of which `number` would be a later one, unless it is known as another's."""
    with writing() as session:
        order = _of_later(session, number)
        return None if order is None else order.id


def _of_later(session: Session, number: str) -> Order | None:
    """The same, locked."""
    belongs = as_later(number)
    if belongs is None:
        return None
    first, _ = belongs
    order_id = session.scalar(
        sa.select(CardTransaction.order_id).where(
            CardTransaction.gateway_order_id == first, CardTransaction.sequence == 0
        )
    ) or session.scalar(  # a long order number is shortened there
        sa.select(CardTransaction.order_id)
        .join(Order, Order.id == CardTransaction.order_id)
        .where(Order.later_stem == first, CardTransaction.is_current)
    )
    if order_id is None:
        return None
    order = lock_order(session, order_id)
    others = transaction_numbers.of_other_orders(session, order_id, order.order_no, of=[number])
    return None if number in others else order


def keep_named(number: str) -> list[int]:
    """SMBC-GP names `number` in a list or in results: kept with its order, so that acts ask for it (R141).

    The ids of the transactions to be looked up for that; none where it is no later number of an order
    of ours, or is the order's own.
    """
    with writing() as session:
        order = _of_later(session, number)
        if order is None:
            return []
        sequence = int(number.rpartition("-")[2])
        transaction_numbers.keep_strange(session, order, sequence, number)
        is_meant = CardTransaction.gateway_order_id == number
        if session.scalar(sa.select(sa.exists().where(is_meant, IS_OURS))):
            return []
        wanted = sa.select(CardTransaction.id).where(
            CardTransaction.order_id == order.id, sa.or_(is_meant, CardTransaction.is_current)
        )
        return list(session.scalars(wanted))


def not_there(session: Session, order: Order, numbers: Collection[str]) -> None:
    """Nothing stands under these any more: there is nothing to be asked; `order` is locked."""
    gone = [row for row in _unanswered(session, order.id) if row.gateway_order_id in numbers]
    for row in gone:
        session.delete(row)
    session.flush()
    if gone:
        tell_open(session, order)


def give_way(session: Session, order_nos: Collection[str]) -> None:
    """Orders with these numbers come in: who has only meant to use a number of theirs takes the next.

    One that has no number left keeps it.
    """
    numbers = [at_gateway(order_no) for order_no in order_nos]
    meant = session.execute(_MEANT, {"numbers": numbers}).all()
    if not meant:
        return
    # With those that come in, which are locked next: all in one order, so nobody waits in a circle.
    are_meant = sa.or_(
        among(Order.id, [order_id for order_id, _ in meant]), among(Order.order_no, order_nos)
    )
    session.execute(sa.select(Order.id).where(are_meant).order_by(Order.id).with_for_update())
    for order_id, number in meant:
        order = lock_order(session, order_id)
        is_free = sa.exists().where(CardTransaction.gateway_order_id == number, IS_FREE)
        if session.scalar(sa.select(is_free)):  # still, now that it is locked
            with suppress(transaction_numbers.NumbersUsedUp):
                transaction_numbers.make_way(session, order, number)


def settle(session: Session, order_nos: Collection[str]) -> None:
    """Orders with these numbers came in: what stands under a number of theirs is theirs."""
    if not session.scalar(_IS_ANY_ASKED):
        return
    numbers = [at_gateway(order_no) for order_no in order_nos]
    order_ids = session.scalars(
        sa.delete(UnknownNumber)
        .where(UnknownNumber.gateway_order_id.in_(numbers), UnknownNumber.is_ours.is_(None))
        .returning(UnknownNumber.order_id)
    ).all()
    for order_id in sorted(set(order_ids)):
        if not _unanswered(session, order_id):
            alerts.mended(session, order_id, AlertKind.UNKNOWN_NUMBER, LOOK_UP.name, utc_now())


def is_asked(session: Session, order_no: str) -> bool:
    """Whether a person still has to say whose the payment under the number of that order is."""
    is_open = sa.exists().where(
        UnknownNumber.gateway_order_id == at_gateway(order_no), UnknownNumber.is_open
    )
    return bool(session.scalar(sa.select(is_open)))


def _unanswered(session: Session, order_id: int) -> Sequence[UnknownNumber]:
    return session.scalars(
        sa.select(UnknownNumber)
        .where(UnknownNumber.order_id == order_id, UnknownNumber.is_open)
        .order_by(UnknownNumber.sequence)
        .execution_options(populate_existing=True)
    ).all()


def open_of(order_id: int) -> Sequence[UnknownNumber]:
    """What is still to be answered of one order."""
    return _unanswered(db.session(), order_id)


_ALL = (
    sa.select(UnknownNumber)
    .where(UnknownNumber.order_id == sa.bindparam("order"))
    .order_by(UnknownNumber.sequence)
)


_HAS_ANY = sa.select(sa.exists().where(UnknownNumber.order_id == sa.bindparam("order")))


def has_any_question(order_id: int) -> Question[bool]:
    """Whether there is any of one order."""
    return Question(_HAS_ANY, lambda row: bool(row[0]), {"order": order_id})


def open_and_answered(order_id: int) -> tuple[list[UnknownNumber], list[UnknownNumber]]:
    """What is still to be answered of one order; and what was said to be its own, or another's."""
    rows = db.session.scalars(_ALL, {"order": order_id}).all()
    return [row for row in rows if row.is_open], [row for row in rows if row.is_ours is not None]


def is_unpaid_charge(kind: OrderKind, row: UnknownNumber) -> bool:
    """Whether nothing is paid there, and a file may yet: «ours» would neither charge nor end it.

    That is asked of subscriptions alone; another order's unpaid number is passed over by itself.
    """
    is_unpaid = row.gateway_state == TradeState.UNPROCESSED.value
    return kind is OrderKind.SUBSCRIPTION and is_unpaid


def may_be_charged_by_file(session: Session, order_id: int) -> bool:
    """Whether a monthly file, ours or one our books do not know, may still charge what the total was."""
    is_asked = sa.exists().where(
        UnknownNumber.order_id == order_id,
        UnknownNumber.is_open,
        UnknownNumber.gateway_state == TradeState.UNPROCESSED.value,
        Order.id == UnknownNumber.order_id,
        Order.kind == OrderKind.SUBSCRIPTION,
    )
    return bool(filed_numbers.waiting_of(session, order_id) or session.scalar(sa.select(is_asked)))


def looks_again_at(session: Session, order_id: int) -> datetime | None:
    """When whoever is paying under a number that is asked about has paid or gone; None: nobody is.

    Who is still there then is looked at again after as long as it has been asked about, and each day.
    """
    found_at = session.scalar(
        sa.select(sa.func.max(UnknownNumber.found_at)).where(
            UnknownNumber.order_id == order_id,
            UnknownNumber.is_open,
            UnknownNumber.gateway_state.in_(sorted(UNFINISHED_STATES)),
        )
    )
    if found_at is None:
        return None
    now = utc_now()
    return max(found_at + _PAYING + TOLERANCE, now + min(now - found_at, _DAY))


def describe(row: UnknownNumber) -> str:
    """Number, state and yen, in words."""
    return f"{row.gateway_order_id} {describe_state(row.gateway_state, row.amount)}"


def tell_open(session: Session, order: Order) -> None:
    """What is still to be answered of the locked `order` stands on it as an alert, and nothing else."""
    found = "、".join(describe(row) for row in _unanswered(session, order.id))
    if not found:
        alerts.mended(session, order.id, AlertKind.UNKNOWN_NUMBER, LOOK_UP.name, utc_now())
    elif alerts.keep_open(session, order, AlertKind.UNKNOWN_NUMBER, found=found):
        history.record_change(
            order, "unknown_number", LOOK_UP, before=order.payment_status, found=found
        )
    news.tell(session, order.id)


class Answer(Reason):
    """What a person can say of such a payment; the values are events of the history, and endpoints."""

    OURS = ("number_is_ours", "この注文の決済です", "")
    OTHERS = ("number_is_others", "別の注文の決済です", "")
    #: of an unpaid number of a subscription: the buyer did not pay, and no monthly file brought it
    LEFT = (
        "number_was_left",
        "購入者が支払わなかった取引です",
        "まだ支払われていません。購入者が支払いをやめた取引だと確認できたら"
        "「購入者が支払わなかった取引です」を選んでください(次の番号で請求します)。"
        "月次ファイルで登録した取引なら、選ばずにお待ちください。結果が届くと自動で解決します。",
    )

    @property
    def is_weighty(self) -> bool:
        """Whether it is confirmed: the payment is booked as the order's, and acts build on that."""
        return self is Answer.OURS


def answers_to(kind: OrderKind, row: UnknownNumber) -> tuple[Answer, ...]:
    """What there is to be said of it.

    What is still being paid is nobody's yet: taken as ours it would stand in the way of no charge.
    """
    if is_unpaid_charge(kind, row):
        return (Answer.LEFT, Answer.OTHERS)
    is_being_paid = row.gateway_state in UNFINISHED_STATES
    return (Answer.OTHERS,) if is_being_paid else (Answer.OURS, Answer.OTHERS)


class SeenOtherwise(ShopError):
    """What stands there is not what the person read (P20)."""

    status = 409
    sentence = (
        "この取引の状態か金額は、画面を開いている間に変わりました。まだ何も変更していません。"
        "いまの内容を読んでから、もう一度選んでください。"
    )


def answer(
    order_no: str, question_id: int, actor: Actor, said: Answer, *, read: str | None = None
) -> None:
    """A person says whose that payment is; a second click changes nothing (P19).

    `read` is the `mark` of what stood on the page (P20): what was unpaid there and is paid by now may
    be another's no more.

    What is the order's is looked up at once, and decides by the table of R120 as any other; while a
    monthly file is under way with the order, once that has ended (billing_marks).  Raises NotFound,
    OrderBusy while another operation is open, SeenOtherwise, NotPossible for what cannot be said of it.
    """
    with writing() as session:
        order = lock_order(session, id_of(order_no))
        row = session.get(UnknownNumber, question_id, populate_existing=True)
        if row is None or row.order_id != order.id:
            raise NotFound(GONE)
        if not row.is_open:
            return
        is_filing = _is_filing(session, order, row)
        if order.open_attempt is not None and not is_filing:
            raise OrderBusy
        if read not in (None, row.mark):
            raise SeenOtherwise
        if said not in answers_to(order.kind, row):
            raise NotPossible(_OTHER_BY_NOW)
        if said is Answer.LEFT:
            _leave(session, order, row)
        else:
            row.is_ours = said is Answer.OURS
            session.flush()
        if said is Answer.OURS:
            row.taken_over = _as_it_stands(session, order, row)
            (_take_later if is_filing else _take)(session, order, row)
        elif said is Answer.OTHERS:
            transaction_numbers.make_way(session, order, row.gateway_order_id)
        history.record_change(
            order, said.value, actor, before=order.payment_status, found=describe(row)
        )
        tell_open(session, order)


def _is_filing(session: Session, order: Order, row: UnknownNumber) -> bool:
    """Whether a monthly file has, or is to have, a line of the locked order under another number.

    That may last for hours, and no answer stands in its way: what is in it stays in it.
    """
    attempt = order.open_attempt
    if attempt is None or attempt.gateway_order_id == row.gateway_order_id:
        return False
    by_file = sa.exists().where(Billing.attempt_id == attempt.id, Billing.by_file)
    return bool(session.scalar(sa.select(by_file)))


GONE = "この取引は、もう確認の必要がありません。画面を開き直してください。"
_OTHER_BY_NOW = (
    "この取引の状態では選べない答えです。画面を開き直し、いまの状態を確認して選んでください。"
)
_STILL_PAYING = (
    "購入者がまだ支払いの途中かもしれません。取引が見つかってから30分たってから選んでください。"
)


def _leave(session: Session, order: Order, row: UnknownNumber) -> None:
    """The number stays with the order, for somebody may pay there yet, but the next one is used."""
    if row.found_at > utc_now() - _PAYING:
        raise NotPossible(_STILL_PAYING)
    row.is_left = True
    assert order.transaction is not None
    if order.transaction.gateway_order_id == row.gateway_order_id:
        transaction_numbers.take_next_number(order)
    else:
        transaction_numbers.keep_strange(session, order, row.sequence, row.gateway_order_id)
    session.flush()
    session.execute(  # what waited for it goes on
        sa.update(Billing)
        .where(Billing.order_id == order.id, Billing.state == BillingState.POSTPONED)
        .where(Billing.retry_at.is_not(None))
        .values(retry_at=shared_clock.now())
        .execution_options(synchronize_session=False)
    )


#: A registration that is still to come, for all we know.
NOT_REGISTERED = (BillingState.PLANNED, BillingState.POSTPONED)
#: Columns of a number that was only meant to be used: the card that was to pay there.
MEANT = ("member_id", "card_seq", "card_last4", "is_charge")


def _as_it_stands(session: Session, order: Order, row: UnknownNumber) -> dict[str, Any]:
    """What is put back of the locked `order`, should the answer be taken back (answers_taken_back)."""
    assert order.transaction is not None
    own = _of_number(session, row.gateway_order_id).one_or_none()
    put_off = session.execute(  # it ends as paid there
        sa.select(Billing.id, Billing.gateway_order_id)
        .where(Billing.order_id == order.id, Billing.state.in_(NOT_REGISTERED))
        .order_by(Billing.id.desc())
        .limit(1)
    ).one_or_none()
    return {
        "at": utc_now().isoformat(),
        "put_off": list(put_off) if put_off else None,
        "counted": order.transaction.id,
        "status": order.payment_status,
        "claimed": order.claimed_status,
        "own": {name: getattr(own, name) for name in MEANT} if own else {},
    }


def _take(session: Session, order: Order, row: UnknownNumber) -> None:
    """It is a transaction of the order, and counts unless the one that does is paid, or came later.

    What came later and was refused does not stand in the way of what is paid; and what was given back
    not in the way of charging a preorder's card, which was checked.
    """
    current = order.transaction
    assert current is not None
    state = TradeState.of(row.gateway_state)
    is_charge = order.kind is not OrderKind.NORMAL and not state.is_check
    own = _of_number(session, row.gateway_order_id).one_or_none()
    # Money that was taken pays the order, and a mere hold of it is the one that is left over.
    is_paid = current.is_captured or (
        current.gateway_state in LIVE_STATES and not state.is_captured
    )
    came_later = current.sequence > row.sequence and is_ours(session, current.id)
    is_new = own is None or own.is_mere_number
    is_to_be_charged = order.kind is OrderKind.PREORDER and state.is_cancelled
    counts = state.is_live or (is_new and not came_later and not is_to_be_charged)
    if not is_paid and counts:
        taken = transaction_numbers.return_to(order, row.gateway_order_id, is_charge=is_charge)
    elif own is not None:
        if own.is_current and is_to_be_charged:
            transaction_numbers.take_next_number(order)
        taken = own
    else:
        transaction_numbers.keep_strange(session, order, row.sequence, row.gateway_order_id)
        taken = _of_number(session, row.gateway_order_id).one()
    for transaction in {taken, current}:  # what counted until now may hold money, or none any more
        look_now(transaction)
    queue.tell(session, Task.SWEEP, [0], Urgency.LATER)


def _take_later(session: Session, order: Order, row: UnknownNumber) -> None:
    """It is a transaction of the order, and looked up; which one counts, the end of the file tells."""
    transaction_numbers.keep_strange(session, order, row.sequence, row.gateway_order_id)
    look_now(_of_number(session, row.gateway_order_id).one())
    queue.tell(session, Task.SWEEP, [0], Urgency.LATER)


def _of_number(session: Session, number: str) -> sa.ScalarResult[CardTransaction]:
    return session.scalars(
        sa.select(CardTransaction).where(CardTransaction.gateway_order_id == number)
    )
