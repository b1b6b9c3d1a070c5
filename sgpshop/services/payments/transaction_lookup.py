"""Orders from a file meet their transactions: look the order number up and believe the answer.

SearchTrade returns AccessID, AccessPass, status and amount, so a shop's own order file and its
contract are all that is needed to start (R143, P3).

Only the transaction that counts now speaks for its order.  What is seen of an earlier one (R141) is
kept with it and never becomes the order's status; that money is still reserved or charged there is
told a person.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.look_schedule import next_look
from sgpshop.domain.order_number import at_gateway
from sgpshop.domain.order_rules import (
    HELD_STATES,
    LIVE_STATES,
    MOST_NUMBERS,
    UNFINISHED_STATES,
)
from sgpshop.domain.payment_status import CAPTURABLE, Event, PaymentStatus
from sgpshop.domain.reconciliation import AlertKind, decide
from sgpshop.extensions import db
from sgpshop.gateway import (
    GatewayError,
    GatewayRejected,
    SmbcGpGateway,
    TradeState,
    TradeStatus,
    only_while,
)
from sgpshop.models import (
    MISMATCH,
    CardTransaction,
    Order,
    OrderKind,
)
from sgpshop.services import settings
from sgpshop.services.orders import alerts, history, subscription_rounds
from sgpshop.services.orders.acting import lock_order
from sgpshop.services.orders.history import LOOK_UP
from sgpshop.services.payments import (
    billing_marks,
    effects,
    past_us,
    transaction_numbers,
    unknown_numbers,
)
from sgpshop.services.payments.card_notes import NOT_KEPT
from sgpshop.services.payments.gateway_access import current_gateway
from sgpshop.services.payments.journal import RunResult
from sgpshop.services.payments.transactions import (
    describe,
    found_event,
    look_now,
    record_trade,
)
from sgpshop.services.payments.unknown_numbers import Numbered
from sgpshop.storage import news, queue, shared_clock
from sgpshop.storage.among import among
from sgpshop.storage.database import chunks, writing
from sgpshop.storage.queue import Task, Urgency, tell_now

#: Here the buyer may have paid again by another way than ours.
_MAY_BE_PAID_AGAIN = (PaymentStatus.NEEDS_REVIEW, PaymentStatus.CAPTURE_FAILED)
#: While one thread looks, no other does.
_LOOKING = timedelta(seconds=60)
#: What a look-up showed decides nothing while a person is asked whose another payment is.
_PERHAPS_PAID = "perhaps_paid"
#: Refused unread for load (E92): asked again so soon, at the worker's slower pace.
_CONGESTED = timedelta(seconds=5)


#: A settled payment can change at SMBC-GP for so long (protocol.md §3.4: 180 days).
SETTLED, CHANGEABLE = (PaymentStatus.CAPTURED, PaymentStatus.CANCELLED), timedelta(days=180)
#: Transactions worth asking about: the one that counts, and earlier ones unless they never can hold
#: anything but a card check.
MAY_HOLD_MONEY = sa.or_(
    CardTransaction.is_current,
    CardTransaction.gateway_state.is_distinct_from(TradeState.CHECK.value),
)


@dataclass(frozen=True)
class _Claim:
    """A look-up that is ours, and how the order stood when it began (P17)."""

    order_id: int
    gateway_order_id: str
    order_no: str
    sequence: int
    payment_status: PaymentStatus | None
    is_current: bool
    #: grows with every claim: whoever finds another one does not own the look-up any more
    looks: int
    version: int
    kind: OrderKind


def look_up(transaction_id: int) -> RunResult:
    """Look one transaction up at SMBC-GP, if that is due, and let the order say what it says."""
    shop = settings.load()
    gateway = current_gateway(shop)
    claim = _claim(transaction_id)
    if claim is None:
        return RunResult.NOT_OURS
    ours = shared_clock.Renewal(partial(_put_off, transaction_id, claim.looks), _LOOKING)
    try:
        with only_while(ours.go_on, each=True):
            trade = gateway.search_trade(claim.gateway_order_id)
            found = _later_payments(gateway, claim, trade)
    except GatewayError as failure:
        if isinstance(failure, GatewayRejected) and failure.is_congestion:
            _plan(transaction_id, claim, "", pause=_CONGESTED)
            return RunResult.CONGESTED
        _plan(transaction_id, claim, "unanswered")
        return RunResult.POSTPONED
    later = found or []
    if trade is not None and not _is_ours(transaction_id):
        later, trade = [(claim.sequence, trade), *later], None
    shown = [one for one in (trade, *(one for _, one in later)) if one is not None]
    held, asked = unknown_numbers.held_and_asked(claim.kind, shown)
    seen = _Seen(trade, later, held, asked, was_asked=found is not None)
    _record(transaction_id, claim, seen, shop)
    return RunResult.ENDED


@dataclass(frozen=True)
class _Seen:
    """What a look-up showed under the number, and under those after it."""

    trade: TradeStatus | None
    later: Sequence[Numbered]
    #: numbers where money stands, or which a monthly file may still charge
    held: Collection[str]
    #: numbers whose owner has to be asked for, unless he is known
    asked: Collection[str]
    #: the later numbers were asked for, all of them
    was_asked: bool


def _is_ours(transaction_id: int) -> bool:
    try:
        return unknown_numbers.is_ours(db.session(), transaction_id)
    finally:
        db.session.commit()


#: A number may have been used up without ever being entered: no more than these in a row are asked
#: for before it is believed that nothing follows.
_GAP = 3


def _later_payments(
    gateway: SmbcGpGateway, claim: _Claim, trade: TradeStatus | None
) -> list[Numbered] | None:
    """The payments under `<order number>-n` after this one, in their order (R106); None: not asked.

    Asked only where one may be: nothing was paid under the stored number, or it did not succeed; and
    where a person is asked whose one is.
    After an earlier number comes the one that counts, and we know that.
    """
    if not claim.is_current:
        return None
    is_unpaid = trade is None or trade.state.is_unfinished or trade.state.is_check
    is_news = trade is not None and trade.state.is_cancelled
    is_news = is_news and claim.payment_status is not PaymentStatus.CANCELLED
    may_follow = is_unpaid or is_news or claim.payment_status in _MAY_BE_PAID_AGAIN
    is_billed = claim.payment_status is PaymentStatus.BILLING_REPORTED
    session = db.session()
    is_wanted = may_follow and not is_billed
    if not is_wanted and not past_us.may_be_paid_now(session, claim.order_id):
        session.commit()  # no transaction is open while we wait for the network (P8)
        return None
    others = transaction_numbers.of_other_orders(session, claim.order_id, claim.order_no)
    named = past_us.named(session, [claim.order_id])[claim.order_id]
    named.pop(claim.gateway_order_id, None)
    session.commit()
    return list(numbers_after(claim.order_no, claim.sequence, gateway.search_trade, others, named))


def numbers_after(
    order_no: str,
    sequence: int,
    search: Callable[[str], TradeStatus | None],
    others: Collection[str] = (),
    named: Mapping[str, int] | None = None,
) -> Iterator[Numbered]:
    """What `search` shows under the numbers of that order after `sequence`, gaps passed over.

    `others` are numbers of other orders: they are not asked for, and are no gaps.  Those `named` by
    SMBC-GP or asked about (past_us) are asked for wherever they stand, as they are written there.
    """
    missing, named = 0, named or {}
    following = {at_gateway(order_no, n): n for n in range(sequence + 1, MOST_NUMBERS + 1)}
    for number, n in sorted({**following, **named}.items(), key=lambda one: one[1]):
        if number in others or (missing >= _GAP and number not in named):
            continue
        found = search(number)
        if found is not None:
            yield n, found
        if n > sequence:
            missing = 0 if found is not None else missing + 1


def look_soon(order_id: int) -> None:
    """Somebody asks for 照合: the look-ups are due now, unless one is under way (R120)."""
    with writing() as session:
        make_due(session, sa.and_(CardTransaction.order_id == order_id, MAY_HOLD_MONEY))


def look_soon_and_wait(transaction: CardTransaction, seconds: float) -> bool:
    """The same for the order of this transaction; whether its look-up is over by then."""
    look_soon(transaction.order_id)
    tell_now(Task.LOOK_UP, transaction.id)
    transaction_id, before = transaction.id, transaction.looks

    def was_looked_up() -> bool:
        now = db.session.execute(
            sa.select(CardTransaction.looks, CardTransaction.next_look_at).where(
                CardTransaction.id == transaction_id
            )
        ).one_or_none()
        db.session.commit()  # the next look sees what others wrote meanwhile
        if now is None:  # its order was taken back
            return True
        # While it is under way the next one is planned for just _LOOKING after its beginning.
        soonest = shared_clock.now() + _LOOKING / 2
        is_at_it = (
            now.next_look_at is not None
            and soonest < now.next_look_at < shared_clock.now() + _LOOKING
        )
        return now.looks > before and not is_at_it

    return news.wait_until(was_looked_up, transaction.order_id, seconds)


def look_soon_at(transaction_ids: Sequence[int]) -> int:
    """The same for these transactions, done at the worker's own pace; how many there are."""
    for chunk in chunks(transaction_ids):
        with writing() as session:
            make_due(session, CardTransaction.id.in_(chunk))
    return len(transaction_ids)


def look_soon_at_orders(order_ids: Sequence[int]) -> int:
    """The same for many orders, at the worker's own pace; how many there are (R51)."""
    planned = 0
    for chunk in chunks(order_ids):
        with writing() as session:  # each on its own: nobody waits long, nobody in a circle
            are_theirs = CardTransaction.order_id.in_(chunk)
            make_due(session, sa.and_(are_theirs, MAY_HOLD_MONEY))
            planned += session.execute(
                sa.select(sa.func.count())
                .select_from(CardTransaction)
                .where(are_theirs, CardTransaction.is_current)
            ).scalar_one()
    return planned


def looks_since(order_ids: Collection[int], since: datetime) -> tuple[set[int], set[int]]:
    """Of these orders, those whose look-up is still to come, and those looked up since then."""
    rows = db.session.execute(
        sa.select(
            CardTransaction.order_id, CardTransaction.next_look_at, CardTransaction.looked_up_at
        ).where(among(CardTransaction.order_id, order_ids), CardTransaction.is_current)
    ).all()
    soon = shared_clock.now() + _LOOKING
    looked_up = {row.order_id for row in rows if row.looked_up_at and row.looked_up_at >= since}
    waiting = {row.order_id for row in rows if row.next_look_at and row.next_look_at <= soon}
    return waiting - looked_up, looked_up


def make_due(session: Session, are_meant: sa.ColumnElement[bool]) -> int:
    """In a write transaction: these look-ups are due now, but not those due soon or under way.

    How many it made due.
    """
    now = shared_clock.now()
    result = session.execute(
        sa.update(CardTransaction)
        .where(
            are_meant,
            sa.or_(
                CardTransaction.next_look_at.is_(None),
                CardTransaction.next_look_at > now + _LOOKING,
            ),
        )
        .values(next_look_at=now, first_look_at=None)
        .execution_options(synchronize_session=False)
    )
    made: int = result.rowcount  # type: ignore[attr-defined]
    if made:
        queue.tell(session, Task.SWEEP, [0], Urgency.LATER)
    return made


def is_due(session: Session, transaction_id: int) -> bool:
    """Whether the look-up of this transaction is due and nobody has begun it."""
    return bool(
        session.scalar(
            sa.select(CardTransaction.next_look_at <= shared_clock.now()).where(
                CardTransaction.id == transaction_id
            )
        )
    )


def pending() -> int:
    """How many transactions wait for their first look-up (shown while a file is taken in)."""
    return db.session.execute(
        sa.select(sa.func.count())
        .select_from(CardTransaction)
        .where(CardTransaction.next_look_at.is_not(None), CardTransaction.looks == 0)
    ).scalar_one()


def _claim(transaction_id: int) -> _Claim | None:
    now = shared_clock.now()
    with writing() as session:
        row = session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.id == transaction_id, CardTransaction.next_look_at <= now)
            # One UPDATE claims it: who finds next_look_at moved on changes no row and does not ask.
            .values(next_look_at=now + _LOOKING, looks=CardTransaction.looks + 1)
            .returning(
                CardTransaction.gateway_order_id,
                CardTransaction.sequence,
                CardTransaction.looks,
                CardTransaction.order_id,
                CardTransaction.is_current,
            )
        ).one_or_none()
        if row is None:
            return None
        order = session.execute(
            sa.select(Order.order_no, Order.payment_status, Order.version, Order.kind).where(
                Order.id == row.order_id
            )
        ).one()
        return _Claim(
            row.order_id,
            row.gateway_order_id,
            order.order_no,
            row.sequence,
            order.payment_status,
            row.is_current,
            row.looks,
            order.version,
            order.kind,
        )


def _put_off(transaction_id: int, looks: int, now: datetime) -> bool:
    """Between two questions of a look-up: nobody else begins one; False where somebody has."""
    with writing() as session:
        result = session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.id == transaction_id, CardTransaction.looks == looks)
            .values(next_look_at=now + _LOOKING)
        )
    return bool(result.rowcount == 1)  # type: ignore[attr-defined]


def _plan(transaction_id: int, claim: _Claim, problem: str, pause: timedelta | None = None) -> None:
    with writing() as session:
        transaction = session.get(CardTransaction, transaction_id, populate_existing=True)
        if transaction is not None and transaction.looks == claim.looks:
            _plan_next(transaction, problem)
            if pause is not None:
                transaction.next_look_at = shared_clock.now() + pause
            news.tell(session, transaction.order_id)


def _plan_next(transaction: CardTransaction, problem: str) -> None:
    now = shared_clock.now()
    first = transaction.first_look_at or now
    transaction.first_look_at = first
    # Whose transaction it is was seen; that the next look-up is not answered takes nothing back.
    lasting = (MISMATCH, NOT_KEPT, _PERHAPS_PAID)
    stays = transaction.look_problem in lasting and problem in ("", "unanswered")
    if not stays:
        transaction.look_problem = problem
    transaction.next_look_at = next_look(first, now, current_app.config["RESOLVE_SCHEDULE"])


def _record(
    transaction_id: int,
    claim: _Claim,
    seen_there: _Seen,
    shop: settings.ShopSettings,
) -> None:
    trade = seen_there.trade
    with writing() as session:
        is_there = sa.exists().where(CardTransaction.id == transaction_id)
        if not session.scalar(sa.select(is_there)):
            return  # the number was given back meanwhile, or its order taken back
        news.tell(session, claim.order_id)
        order = lock_order(session, claim.order_id)
        transaction = session.get(CardTransaction, transaction_id, populate_existing=True)
        if transaction is None or transaction.looks != claim.looks:
            return  # frozen so long that somebody else looked (P17)
        if not transaction.is_current:  # perhaps only since we asked
            _ask_about_itself(session, order, transaction, seen_there)
            _check_earlier(session, order, transaction, trade, shop)
            return
        if order.version != claim.version:
            # What we saw is older than what happened since, perhaps a capture: look again.
            transaction.next_look_at = shared_clock.now()
            return
        if order.open_attempt is not None:
            _plan_next(transaction, transaction.look_problem)  # that operation's look-ups decide
            return
        later, is_question = _told_unknown(session, order, transaction, seen_there)
        for _, found in later:
            _check_earlier(session, order, transaction, trade, shop)
            # What comes after a card check charges that card, unless the buyer gave another one to
            # be checked: as every try before the first check is.
            is_charge = order.kind is not OrderKind.NORMAL and not found.state.is_check
            is_charge = is_charge and (not found.state.is_unfinished or _was_used(session, order))
            began = transaction.first_look_at
            transaction = transaction_numbers.return_to(order, found.order_id, is_charge=is_charge)
            transaction.first_look_at = began
            trade = found
        before = order.payment_status
        was_unsure = transaction.look_problem == _PERHAPS_PAID  # seen then, and decided only now
        known, seen = transaction.access_id, _seen(transaction)
        is_first = transaction.gateway_state is None
        was_used = is_first and _was_used(session, order)
        if trade is None:
            _plan_next(transaction, "not_found")
        elif known and known != trade.access.access_id:
            _plan_next(transaction, MISMATCH)
            kind, there = AlertKind.OTHER_TRANSACTION, describe(trade)
            if alerts.raise_once(session, order, kind, found=there):
                _record_history(order, "other_transaction", before, trade)
            return
        else:
            record_trade(transaction, trade, shop)
            # What failed, or was told of, since a backup is asked for with it (past_us).
            transaction.is_restored &= not seen_there.was_asked
            _mend(session, order, AlertKind.OTHER_TRANSACTION)
            effects.tell_money(session, order, trade, seen[0])
            transaction.next_look_at = unknown_numbers.looks_again_at(session, order.id)
            session.flush()
            if trade.state.is_cancelled and _gives_way(session, order, transaction, was=seen[0]):
                _record_history(order, "linked", before, trade)
                return
            if order.kind is OrderKind.SUBSCRIPTION:
                # A sale under a number after its own is its billing, whoever made it: what only a
                # look-up showed was no charge of ours as long as it was not paid.
                is_later = transaction.sequence > 0
                transaction.is_charge |= is_later and trade.state.is_captured
        is_nothing = trade is None or trade.state.is_unfinished or trade.state.is_check
        is_claimed = before is PaymentStatus.BILLING_REPORTED and not transaction.is_charge
        if is_nothing and is_first and is_claimed:  # billed elsewhere, which no look-up shows
            transaction.next_look_at, transaction.look_problem = None, ""
            return
        event = found_event(order, trade)
        if trade is not None and order.kind is OrderKind.SUBSCRIPTION:
            is_billing = event is Event.FOUND_BILLED
            now = shared_clock.now()
            billing_marks.found(session, order.id, trade, now, is_billing=is_billing)
        if event is Event.FOUND_SUBSCRIPTION_CHECK and transaction_numbers.is_repayment(
            transaction
        ):
            event = Event.REPAY_REJECTED  # not paid again: failed as before, not to be billed anew
        is_claim = order.claimed_status is PaymentStatus.CANCELLED
        may_be_paid = is_question or bool(seen_there.held and not _is_live(trade))
        is_unsure = is_claim and before is PaymentStatus.NEEDS_REVIEW and may_be_paid
        is_unsure = is_unsure or (is_question and event is Event.FOUND_CANCELLED)
        if is_unsure:  # perhaps charged, now or on the day of results, whatever a file says
            event = None
        decision = decide(
            before,
            event,
            total=order.total,
            found_total=trade.total if trade else 0,
            # Of a number that we registered we told ourselves how it stood; and a cancel under one
            # that became the order's only now is news, where its card was seen before.
            is_first=is_first
            and not billing_marks.is_billed(session, transaction)
            and not (was_used and event is Event.FOUND_CANCELLED),
            claimed=order.claimed_status,
            is_delivered=order.processing_class is ProcessingClass.DELIVERED,
        )
        if before is None or decision is None:
            if is_unsure:
                _plan_next(transaction, _PERHAPS_PAID)
            elif trade is not None and event is None:
                _plan_next(transaction, "unknown_state")
            if _seen(transaction)[1] != seen[1]:  # the status stays, the amount is told (P5)
                _record_history(order, "linked", before, trade)
            return
        if before is PaymentStatus.CANCELLED is not decision.after:
            subscription_rounds.share_if_taken(session, order)
        order.payment_status = decision.after
        _tell_cancelled_in_file(session, order, before, is_first=is_first)
        if (
            before is PaymentStatus.NEEDS_REVIEW
            and decision.after is PaymentStatus.AWAITING_BILLING
        ):
            billing_marks.found_unpaid(session, order.id, shared_clock.now())
        if decision.after is not PaymentStatus.NEEDS_REVIEW:
            order.claimed_status = None  # decided
            _mend(session, order, AlertKind.CLAIM_UNPROVED)
            if decision.after is PaymentStatus.CANCELLED:
                _mend(session, order, AlertKind.CANCELLED_IN_FILE)
        if trade is not None and trade.state.is_unfinished:
            _plan_next(transaction, "")  # the buyer may still finish
        is_same = decision.after is before and _seen(transaction) == seen and not was_unsure
        if is_same and transaction.looks > 1:
            return  # nothing new to tell
        if trade is None or trade.state.is_unfinished:
            sentence = "look_up_unfinished"
        elif is_same or is_first:
            sentence = "linked"
        else:
            sentence = "look_up_differs"
        session.flush()
        if not is_same:
            is_claim = AlertKind.CLAIM_UNPROVED in decision.alerts
            shown = order.claimed_status if is_claim else before
            alerts.raise_for(
                session, order.id, shown, decision, found=describe(trade), total=order.total
            )
        if before is not PaymentStatus.CANCELLED is decision.after:
            effects.alert_what_is_left(session, order.id, before, order.total)
        _record_history(order, sentence, before, trade)


def _tell_cancelled_in_file(
    session: Session, order: Order, before: PaymentStatus | None, *, is_first: bool
) -> None:
    """What a file cancelled before anybody knew of its payment was found standing (R143).

    Parcels that are cancelled before the payment is known were so in a file: we cancel none unasked.
    """
    was_open = is_first or before is PaymentStatus.NEEDS_REVIEW
    is_cancelled = order.claimed_status is PaymentStatus.CANCELLED or (
        was_open and order.processing_class is ProcessingClass.CANCELLED
    )
    stands = order.payment_status not in (PaymentStatus.CANCELLED, PaymentStatus.NEEDS_REVIEW)
    if is_cancelled and stands and before is not PaymentStatus.CANCELLED:
        alerts.raise_cancelled_in_file(session, order)


def _was_used(session: Session, order: Order) -> bool:
    """Whether a card of the order was checked or paid under any of its numbers so far."""
    was_used = sa.exists().where(
        CardTransaction.order_id == order.id,
        CardTransaction.gateway_state.not_in(sorted(UNFINISHED_STATES)),
    )
    return bool(session.scalar(sa.select(was_used)))


def _mend(session: Session, order: Order, kind: AlertKind) -> None:
    """The look-up ended what that alert told of."""
    alerts.mended(session, order.id, kind, LOOK_UP.name, shared_clock.now())


def _check_earlier(
    session: Session,
    order: Order,
    transaction: CardTransaction,
    trade: TradeStatus | None,
    shop: settings.ShopSettings,
) -> None:
    """What a look-up showed of a transaction that does not count any more: kept, and that is all.

    But money that is still reserved or charged there is nobody's any more: a person must know.  Where
    the one that counts holds none, this one does from now on, and the next look-up says what it means.
    """
    transaction.next_look_at = None
    if trade is None:
        transaction.look_problem = "not_found"
        return
    record_trade(transaction, trade, shop)
    transaction.is_restored = False
    session.flush()
    if not trade.state.is_live:
        transaction_numbers.tell_less(session, order)
        return
    is_ours = unknown_numbers.is_ours(session, transaction.id)
    if is_ours and transaction_numbers.pays_instead(order, transaction):
        look_now(transaction)
        return
    found = transaction_numbers.left_elsewhere(order.id, transaction)
    if alerts.raise_once(session, order, AlertKind.EARLIER_IS_LIVE, found=found):
        _record_history(order, "earlier_is_live", order.payment_status, trade, found=found)


def _gives_way(
    session: Session, order: Order, transaction: CardTransaction, *, was: str | None
) -> bool:
    """Let another number count where the payment of `transaction`, seen last as `was`, was given back.

    Of two payments, or holds, that is the other.  Where money was taken and given back no mere hold
    takes its place: it would be captured.  What a person called the order's after it was given back
    never counted: the order is what it was without it, and a checked card is still to be charged
    (R141).
    """
    never_counted = was is None and unknown_numbers.was_said_to_be_ours(session, transaction)
    if was not in LIVE_STATES and not never_counted:
        return False
    is_of_hold = never_counted or was in HELD_STATES
    others = transaction_numbers.live_elsewhere([order.id])
    other = next((o for o in reversed(others) if o.is_captured or is_of_hold), None)
    if other is not None:
        transaction_numbers.return_to(order, other.gateway_order_id)
        look_now(other)
        return True
    is_to_be_charged = order.kind is not OrderKind.NORMAL and order.payment_status in CAPTURABLE
    if never_counted and is_to_be_charged:
        with suppress(transaction_numbers.NumbersUsedUp):
            transaction_numbers.take_next_number(order)
            return True
    return False


def _ask_about_itself(
    session: Session, order: Order, transaction: CardTransaction, seen: _Seen
) -> None:
    """A number that does not count was never entered by us, yet somebody paid there: whose is it?"""
    number = transaction.gateway_order_id
    assert order.transaction is not None
    asked = seen.held if order.transaction.gateway_state in LIVE_STATES else seen.asked
    here = [one for one in seen.later if one[1].order_id == number and number in asked]
    if here and number not in transaction_numbers.of_other_orders(
        session, order.id, order.order_no, of=[number]
    ):
        unknown_numbers.ask(session, order, here)


def _told_unknown(
    session: Session, order: Order, transaction: CardTransaction, seen: _Seen
) -> tuple[Sequence[Numbered], bool]:
    """The later payments that are the order's, once whose the others are is asked; whether any is.

    The order's are those that an act of ours may have entered, and the one whose AccessID a file
    brought for it.
    """
    known = unknown_numbers.numbers_of_ours(session, order.id)
    known.discard("" if seen.trade is not None else transaction.gateway_order_id)
    ours: list[Numbered] = []
    unknown: list[Numbered] = []
    is_unfinished = seen.trade is None or seen.trade.state.is_unfinished
    asked = seen.held if _is_live(seen.trade) else seen.asked
    for number, found in seen.later:
        is_claimed = transaction.access_id == found.access.access_id and is_unfinished
        if found.order_id in known or is_claimed:
            ours.append((number, found))
        # A card that was checked is a question where the order has none that was.
        elif found.order_id in asked or (found.state.is_check and is_unfinished):
            unknown.append((number, found))
        if found.order_id not in known and found.state.is_unfinished and not is_claimed:
            # It may be paid yet, whichever number comes to count: the nights look at it.
            transaction_numbers.keep_strange(session, order, number, found.order_id)
    if seen.was_asked:
        shown = {found.order_id for _, found in unknown}
        rest = {
            row.gateway_order_id
            for row in unknown_numbers.open_of(order.id)
            if row.gateway_order_id not in shown
        }
        unknown_numbers.not_there(session, order, rest)
    if unknown:
        unknown_numbers.ask(session, order, unknown)
    is_held = any(found.order_id in seen.held for _, found in unknown)
    # The order is paid under the number it has: none that comes after takes its place by itself.
    if _is_live(seen.trade):
        return [], is_held
    # Money that was taken pays the order before any hold (R141).
    if captured := [one for one in ours if one[1].state.is_captured]:
        return captured, is_held
    if seen.trade is not None and seen.trade.state.is_cancelled:
        # Nothing counts instead that was not paid, and where money was taken and given back no hold:
        # it would be captured from a buyer who has his money again.
        was_taken = transaction.is_captured or bool(transaction.captured_amount)
        ours = [] if was_taken else [one for one in ours if not one[1].state.is_unfinished]
    elif order.kind is not OrderKind.NORMAL and (
        transaction.is_charge or (seen.trade is not None and seen.trade.state.is_check)
    ):  # its checked card is to be charged, whatever was given back
        ours = [one for one in ours if not one[1].state.is_cancelled]
    return ours, is_held


def _is_live(trade: TradeStatus | None) -> bool:
    return trade is not None and trade.state.is_live


def _record_history(
    order: Order,
    sentence: str,
    before: PaymentStatus | None,
    trade: TradeStatus | None,
    *,
    found: str = "",
) -> None:
    """A new version of the locked order, and what made it one."""
    history.record_change(order, sentence, LOOK_UP, before=before, found=found or describe(trade))


def _seen(transaction: CardTransaction) -> tuple[str | None, int | None]:
    """What the last look-up or answer showed: state and yen."""
    return transaction.gateway_state, transaction.gateway_amount
