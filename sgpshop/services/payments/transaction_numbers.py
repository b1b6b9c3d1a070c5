"""The transaction at SMBC-GP that a new payment of an order uses, with a number of its own (R141).

The first has the order's number.  A second payment of the buyer (R106), a preorder's capture and a
subscription's billing (R112, R102) are new transactions, sent as `<order number>-1`, `-2`…
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased, object_session

from sgpshop.domain.errors import NotPossible
from sgpshop.domain.order_number import at_gateway
from sgpshop.domain.order_rules import (
    CHECK_STATE,
    LIVE_STATES,
    MOST_NUMBERS,
    ONLY_BY_FILE,
    Refusal,
)
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.gateway import TradeState
from sgpshop.models import (
    CHECKOUTS,
    ENTERED_OTHERWISE,
    Attempt,
    AttemptState,
    Billing,
    CardTransaction,
    MoneyMovement,
    Operation,
    Order,
    OrderKind,
    RefusedCheckout,
    UnknownNumber,
    utc_now,
)
from sgpshop.services.orders import alerts
from sgpshop.services.orders.history import LOOK_UP
from sgpshop.services.payments import filed_numbers
from sgpshop.services.payments.transactions import look_now, standing
from sgpshop.storage.among import among


class NumbersUsedUp(NotPossible):
    """Every number that the order may have at SMBC-GP was used."""

    def __init__(self) -> None:
        super().__init__(Refusal.NUMBERS_USED_UP.sentence)


def transaction_for(order: Order, operation: Operation) -> CardTransaction:
    """The transaction for the next payment of `order` (locked), made current.

    A number under which a payment was sent and refused by SMBC-GP is spent, and so is one that was
    sent to 3-D Secure.  One that never got there, or provably was not carried out, is used again:
    there the gateway itself refuses a second payment (P1).  Whether it was entered for what is wanted now is
    seen before it is paid (operations.entering).  Raises NotPossible while money of the order is
    reserved or taken under any number, or while a monthly file may charge one: nobody pays an order
    twice; and NumbersUsedUp.
    """
    current = order.transaction
    assert current is not None
    if current.gateway_state in LIVE_STATES or current.others_live:
        raise NotPossible(Refusal.OTHERS_LIVE.sentence)
    #: a card that was checked is charged; a buyer who pays gives a card anew
    is_charge = operation not in CHECKOUTS or operation is Operation.REPAY
    if waiting := _in_files(order):
        if operation is not Operation.BILL:
            raise NotPossible(Refusal.IN_FILE.sentence)
        if current.gateway_order_id in waiting:
            return current  # asked for under its own number, and found there
        return return_to(order, waiting[-1])  # as what counts by now was given back
    #: the buyer's second card, which look-ups of earlier versions took for the charge
    is_mere_check = is_charge and current.gateway_state == CHECK_STATE
    if current.is_charge is is_charge and not is_mere_check and not _is_spent(current):
        return current
    return make_current(order, _next_sequence(order), is_charge=is_charge)


def take_next_number(order: Order) -> CardTransaction:
    """The same payment of `order` (locked) under the next number: the present one is used up (R141).

    SMBC-GP knows the present one with another amount or purpose; it is kept, but counts no more.
    Raises NumbersUsedUp.
    """
    old = order.transaction
    assert old is not None
    new = make_current(order, _next_sequence(order), is_charge=old.is_charge)
    new.return_url = old.return_url
    return new


def left_elsewhere(order_id: int, *besides: CardTransaction) -> str:
    """What is still reserved or taken under other numbers of the order, in words; "" for nothing.

    And what is so `besides`, which is about not to count any more.
    """
    others = {*live_elsewhere([order_id]), *besides}
    return "、".join(
        f"{other.gateway_order_id} {standing(other)} {other.gateway_amount or 0:,}円"
        for other in sorted(others, key=lambda one: one.sequence)
    )


def tell_left(session: Session, order: Order) -> None:
    """That money stands under other numbers of `order` (locked) is told, once."""
    if left := left_elsewhere(order.id):
        alerts.raise_once(session, order, AlertKind.EARLIER_IS_LIVE, found=left)


def tell_less(session: Session, order: Order) -> None:
    """What tells of money under other numbers of `order` (locked) names what is left, and ends with it."""
    kind, left = AlertKind.EARLIER_IS_LIVE, left_elsewhere(order.id)
    if not left:
        alerts.mended(session, order.id, kind, LOOK_UP.name, utc_now())
    elif any(alert.kind is kind for alert in alerts.open_of(order.id)):
        before, total = order.payment_status, order.total
        alerts.raise_kind(session, order.id, kind, before=before, found=left, total=total)


def live_elsewhere(order_ids: Collection[int]) -> Sequence[CardTransaction]:
    """What holds or took money of these orders under numbers that do not count any more; one query."""
    return db.session.scalars(
        sa.select(CardTransaction)
        .where(
            among(CardTransaction.order_id, order_ids),
            ~CardTransaction.is_current,
            CardTransaction.gateway_state.in_(sorted(LIVE_STATES)),
        )
        .order_by(CardTransaction.sequence)
    ).all()


def was_entered_otherwise(transaction: CardTransaction, *, by_three_ds: bool) -> bool:
    """Whether an earlier try under this number may have entered it with another wish for 3-D Secure.

    No look-up shows which: if it was entered, the number is used up (operations.entering).
    """
    session = object_session(transaction)
    assert session is not None
    last = session.scalar(
        sa.select(Attempt.choices)
        .where(Attempt.transaction_id == transaction.id)
        .order_by(Attempt.id.desc())
        .limit(1)
    )
    if last is None:
        return False
    return bool(last.get(ENTERED_OTHERWISE)) or bool(transaction.return_url) is not by_three_ds


def was_entered_unseen(attempt_id: int, *, by_three_ds: bool) -> bool:
    """Whether nothing of ours says how the number of this attempt was entered, which SMBC-GP knows all the same.

    By a checkout that was declined long ago (checkouts.tidy), by books that were put back since (P36),
    or by the declined card of another order: with which wish for 3-D Secure no look-up shows.
    """
    others = aliased(Attempt)
    was_declined_so = sa.exists().where(
        RefusedCheckout.gateway_order_id == Attempt.gateway_order_id,
        RefusedCheckout.by_three_ds.is_(by_three_ds),
    )
    was_ours = sa.or_(
        sa.and_(Attempt.tries > 1, ~_entered_nothing(Attempt)),
        sa.exists().where(
            others.transaction_id == Attempt.transaction_id,
            others.id != Attempt.id,
            ~_entered_nothing(others),
        ),
        was_declined_so,
    )
    found = db.session.scalar(sa.select(was_ours).where(Attempt.id == attempt_id))
    db.session.commit()  # no transaction is open while we wait for the network (P8)
    return found is False


def _entered_nothing(attempt: type[Attempt]) -> sa.ColumnElement[bool]:
    """The last try of that attempt provably did not get there (P9)."""
    words = ("connect:", "unreachable:connect:", "codes:E92")
    return sa.or_(*(attempt.reason.startswith(word) for word in words))


def number_for_file(order: Order, transaction: CardTransaction) -> CardTransaction:
    """The transaction of `order` (locked) for a line of a monthly file.

    A number that a call of ours entered, or may have, and did not pay is used up: SMBC-GP knows it
    already, and would refuse the line as one that was sent before (protocol.md §13.9); and where the
    answer to its file is lost, what the call entered would pass for the line.
    """
    session = object_session(transaction)
    assert session is not None
    is_used_up = filed_numbers.may_be_entered(session, transaction.gateway_order_id)
    return take_next_number(order) if is_used_up else transaction


def is_repayment(transaction: CardTransaction) -> bool:
    """Whether 再決済 was to be paid with this transaction last: the order had failed before (T23)."""
    session = object_session(transaction)
    assert session is not None
    paying = (Operation.REPAY, Operation.BILL)
    last = session.scalar(
        sa.select(Attempt.operation)
        .where(Attempt.transaction_id == transaction.id, Attempt.operation.in_(paying))
        .order_by(Attempt.id.desc())
        .limit(1)
    )
    return last is Operation.REPAY


def _next_sequence(order: Order) -> int:
    """The next number's suffix.  Raises NumbersUsedUp behind the last one.

    A number that another order has is passed over: `A-1` may be one of a shop that numbers so; and one
    that SMBC-GP named, too.  But the first free one behind what acts of ours used is taken, not behind
    what was named: books put back from a backup find what follows by asking one number after the other.
    """
    session = object_session(order)
    assert session is not None
    rows: Sequence[CardTransaction] = session.scalars(
        sa.select(CardTransaction)
        .where(CardTransaction.order_id == order.id)
        .execution_options(populate_existing=True)
    ).all()
    places = {row.sequence for row in rows}
    used = max((row.sequence for row in rows if row.is_used), default=0)
    others = of_other_orders(session, order.id, order.order_no)
    others |= {row.gateway_order_id for row in rows}
    for sequence in range(used + 1, MOST_NUMBERS + 1):
        if sequence not in places and at_gateway(order.order_no, sequence) not in others:
            return sequence
    raise NumbersUsedUp


def of_other_orders(
    session: Session, order_id: int, order_no: str, *, of: Sequence[str] = ()
) -> set[str]:
    """Which `<order_no>-n`, or which `of` these, our books know as another order's number or transaction.

    A shop may number its orders `A` and `A-1`: whatever is paid there is not this order's.  Nor is
    what a person said is not (unknown_numbers).
    """
    numbers = of or [at_gateway(order_no, n) for n in range(1, MOST_NUMBERS + 1)]
    transactions = sa.select(CardTransaction.gateway_order_id).where(
        among(CardTransaction.gateway_order_id, numbers), CardTransaction.order_id != order_id
    )
    written = [mark + number for number in numbers for mark in ("", "#")]
    orders = sa.select(Order.order_no).where(among(Order.order_no, written), Order.id != order_id)
    answered = sa.select(UnknownNumber.gateway_order_id).where(
        UnknownNumber.order_id == order_id, UnknownNumber.is_ours.is_(False)
    )
    return {
        number.removeprefix("#")
        for number in session.scalars(sa.union(transactions, orders, answered))
    }


def make_way(session: Session, order: Order, gateway_order_id: str) -> None:
    """Another's payment stands under that number: where `order` (locked) meant to use it, it takes the next.

    Where it does not even mean to any more, the number is given back; but what was booked of it, and
    balanced since, stays with a number of the order.  Raises NumbersUsedUp.
    """
    meant = session.scalars(
        sa.select(CardTransaction).where(
            CardTransaction.order_id == order.id,
            CardTransaction.gateway_order_id == gateway_order_id,
        )
    ).one_or_none()
    if meant is None:
        return
    was_booked = sa.exists().where(MoneyMovement.transaction_id == meant.id)
    if meant.is_current or session.scalar(sa.select(was_booked)):
        meant.sequence = _next_sequence(order)
        meant.gateway_order_id = at_gateway(order.order_no, meant.sequence)
        # A look-up that is under way asks about the other's (P17).  The database counts: one that
        # begins just now does so without the order's lock.
        meant.looks = CardTransaction.looks + 1
        session.execute(  # what was put off is to be charged under that
            sa.update(Billing)
            .where(Billing.order_id == order.id, Billing.gateway_order_id == gateway_order_id)
            .values(gateway_order_id=meant.gateway_order_id)
            .execution_options(synchronize_session=False)
        )
    else:
        assert order.transaction is not None
        # Their own column keeps the number they were wanted under.
        session.execute(
            sa.update(Attempt)
            .where(Attempt.transaction_id == meant.id)
            .values(transaction_id=order.transaction.id)
        )
        session.delete(meant)
    session.flush()


def keep_strange(session: Session, order: Order, sequence: int, number: str) -> None:
    """A number of `order` (locked) that no act of ours entered, and that may be paid: it does not count."""
    is_known = sa.exists().where(CardTransaction.gateway_order_id == number)
    if not session.scalar(sa.select(is_known)):
        sequence = _free(session, order, sequence)
        session.add(
            CardTransaction(
                order_id=order.id, sequence=sequence, is_current=False, gateway_order_id=number
            )
        )
        session.flush()


def _free(session: Session, order: Order, sequence: int) -> int:
    """`sequence`, or the next one where another number of the order has that place already."""
    is_taken = sa.exists().where(
        CardTransaction.order_id == order.id, CardTransaction.sequence == sequence
    )
    return _next_sequence(order) if session.scalar(sa.select(is_taken)) else sequence


def make_current(
    order: Order, sequence: int, *, is_charge: bool, number: str = ""
) -> CardTransaction:
    """A transaction with that number of `order` (locked), which counts from now on (R106).

    `number` is as SMBC-GP writes it, where that is not as we would.
    """
    session, old = object_session(order), order.transaction
    assert session is not None
    assert old is not None
    _retire(session, old)
    new = CardTransaction(
        order_id=order.id,
        sequence=sequence,
        is_charge=is_charge,
        gateway_order_id=number or at_gateway(order.order_no, sequence),
        member_id=old.member_id,
        card_seq=old.card_seq,
        card_last4=old.card_last4 if is_charge else "",
    )
    session.add(new)
    session.flush()
    session.expire(order, ["transaction"])
    return new


def return_to(
    order: Order, gateway_order_id: str, *, is_charge: bool | None = None
) -> CardTransaction:
    """The transaction with that number counts for `order` (locked) from now on: it is what pays it.

    It is made if our books did not know the number, as a charge where it `is_charge`.
    """
    session, old = object_session(order), order.transaction
    assert session is not None
    assert old is not None
    known = session.scalars(
        sa.select(CardTransaction).where(
            CardTransaction.order_id == order.id,
            CardTransaction.gateway_order_id == gateway_order_id,
        )
    ).one_or_none()
    if is_charge is None:
        is_charge = order.kind is not OrderKind.NORMAL
    if known is None:
        sequence = _free(session, order, int(gateway_order_id.rpartition("-")[2]))
        return make_current(order, sequence, is_charge=is_charge, number=gateway_order_id)
    if known.is_mere_number:
        known.is_charge = is_charge
        known.member_id, known.card_seq = old.member_id, old.card_seq
    _retire(session, old)
    known.is_current = True
    session.flush()
    session.expire(order, ["transaction"])
    tell_less(session, order)  # what was told of may be where the order is paid
    return known


def count_again(order: Order, transaction: CardTransaction) -> None:
    """`transaction` counts for `order` (locked), as it is: what took its place was not the order's."""
    session, now = object_session(order), order.transaction
    assert session is not None
    if now is not None and now is not transaction:
        _retire(session, now)
        transaction.is_current = True
        session.flush()
        session.expire(order, ["transaction"])


def pays_instead(order: Order, paid: CardTransaction) -> bool:
    """Let `paid`, under which money was found, count for `order` (locked); whether it does from now on.

    Only what no act of ours may be at is passed over for it: no money is there, or only held where
    this was taken (R141), and none will come by a monthly file.  A mere hold does not count instead
    of what was taken and given back: whoever captured it would charge a buyer who has his money again;
    nor instead of what books put back from a backup have yet to see (P36).  A look that was planned of
    what is passed over is made all the same: it may have been paid since it was seen.
    """
    current = order.transaction
    assert current is not None
    if current.captured_amount and not paid.is_captured:
        return False
    is_live = current.gateway_state in LIVE_STATES
    is_mere_hold = is_live and not current.is_captured and paid.is_captured
    if order.open_attempt is not None or (is_live and not is_mere_hold):
        return False
    is_to_be_seen = current.next_look_at is not None
    is_unseen = current.gateway_state is None or (current.is_restored and not paid.is_captured)
    if (is_to_be_seen and is_unseen) or _waits_for_file(current):
        return False
    return_to(order, paid.gateway_order_id)
    if is_mere_hold or is_to_be_seen:  # what is left over is told at once
        look_now(current)
    return True


def _retire(session: Session, old: CardTransaction) -> None:
    # A look-up of the old number that is under way finds this and keeps what it saw apart (R141).
    old.is_current = False
    old.next_look_at = None
    old.challenge_url = ""  # a buyer who is still at 3-D Secure there cannot finish it any more
    session.flush()  # first: the database allows one current transaction an order


def _in_files(order: Order) -> list[str]:
    session = object_session(order)
    assert session is not None
    is_charged_so = order.kind is OrderKind.SUBSCRIPTION
    return filed_numbers.waiting_of(session, order.id) if is_charged_so else []


def _waits_for_file(transaction: CardTransaction) -> bool:
    session = object_session(transaction)
    assert session is not None
    return filed_numbers.is_waiting(session, transaction.gateway_order_id)


def _is_spent(transaction: CardTransaction) -> bool:
    if TradeState.of(transaction.gateway_state or "").is_cancelled:
        return True  # paid and given back, by another's call
    session = object_session(transaction)
    assert session is not None
    if session.scalar(sa.select(filed_numbers.has_result(transaction.gateway_order_id))):
        return True  # a file brought it there, and is over
    last = session.execute(
        sa.select(Attempt.state, Attempt.error_codes, Attempt.sent_at)
        .where(Attempt.transaction_id == transaction.id)
        .order_by(Attempt.id.desc())
        .limit(1)
    ).one_or_none()
    if last is None:
        return False
    if (
        ONLY_BY_FILE in last.error_codes
    ):  # a look-up tells if its results are over: filed_numbers.whose
        return False
    # Refused before it was sent, while asking for the card or entering: that is no word about this
    # number, and whatever stands there must be found before another one is charged.
    was_sent = last.sent_at is not None
    is_refused = last.state is AttemptState.REJECTED and bool(last.error_codes) and was_sent
    is_at_bank = transaction.gateway_state == TradeState.AUTHENTICATED or transaction.challenge_url
    return is_refused or last.state is AttemptState.DONE or bool(is_at_bank)
