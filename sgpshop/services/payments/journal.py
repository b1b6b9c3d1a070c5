"""The journal around every money operation: written before SMBC-GP is asked, closed after (P6-P17).

An attempt is taken from state to state by single conditional UPDATEs; whoever changed no row does
not own it any more and does nothing.  A lease number, raised by every claim, fences off a worker
that slept through its lease.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy import bindparam
from sqlalchemy.orm import Session, aliased

from sgpshop.domain.look_schedule import next_look
from sgpshop.domain.order_number import at_gateway
from sgpshop.domain.order_rules import is_to_be_charged
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import Card, TradeAccess, TradeStatus
from sgpshop.models import (
    AFTER_THREE_DS,
    CHECKOUTS,
    ENTERED_OTHERWISE,
    IN_FILE,
    Attempt,
    Billing,
    CardTransaction,
    Operation,
    Order,
    OrderKind,
    join_codes,
    table_of,
)
from sgpshop.models.attempt import AttemptState, LookResult
from sgpshop.services.orders import acting
from sgpshop.services.payments import (
    filed_numbers,
    outcomes,
    past_us,
    transaction_numbers,
    unknown_numbers,
)
from sgpshop.services.payments.record import close
from sgpshop.storage import news, shared_clock, vault
from sgpshop.storage.database import asked_alone, writing
from sgpshop.storage.write_together import write_together

#: `Attempt.reason` of an attempt whose worker never came back.
WORKER_LOST = "worker_lost"


class RunResult(StrEnum):
    """What became of one call of an operation or look-up, for the loop that drives it."""

    ENDED = "ended"
    CONGESTED = "congested"
    POSTPONED = "postponed"
    NOT_OURS = "not_ours"


@dataclass(frozen=True)
class ClaimedAttempt:
    """A claimed attempt: everything needed to send, and the lease that entitles to it."""

    attempt_id: int
    lease: int
    operation: Operation
    amount: int
    gateway_order_id: str
    access_id: str
    access_pass_sealed: str | None = field(repr=False)
    tries: int
    #: look before sending: an earlier attempt was uncertain once (P11, R43), or the operation is
    #: one that the gateway would carry out a second time or that depends on its present state
    look_first: bool
    kind: OrderKind
    #: a look-up or an answer to us showed its transaction under its own OrderID (P3)
    is_confirmed: bool
    #: its transaction is a charge of ours that was not made yet (CardTransaction.is_unpaid_charge)
    is_unpaid_charge: bool
    #: nothing of its money is reserved, as far as SMBC-GP has said (order_rules.reserves_nothing)
    reserves_nothing: bool
    #: how the order stood for the person who asked (P20)
    status_before: PaymentStatus | None
    #: yen that SMBC-GP held then, as far as we knew
    held: int | None
    #: yen that SMBC-GP took, as far as we know; None: nothing
    captured: int | None
    order_id: int
    order_no: str
    transaction_id: int
    #: a one-time token, sealed
    card_sealed: str | None = field(repr=False)
    #: a card stored at SMBC-GP
    member_id: str
    card_seq: int | None
    #: where the buyer's browser goes after 3-D Secure; "": the buyer is not there
    return_url: str
    #: the buyer came back from 3-D Secure: only SecureTran2 is left
    finishes_three_ds: bool
    #: an earlier try may have entered the number with another wish for 3-D Secure
    entered_otherwise: bool
    #: a monthly file brought, or may have brought, the number there
    in_file: bool
    #: a file has called the order 注文キャンセル, and nobody took note of that yet
    is_called_off: bool = False
    #: the buyer may have paid under a number that nobody here entered
    may_be_paid_past_us: bool = False
    #: SMBC-GP answered this very try that it entered the number
    is_entered: bool = False
    #: the card to pay with, once it was asked for (a new transaction only)
    card: Card | None = None

    def access(self) -> TradeAccess:
        """What the gateway wants to see.  Raises SealBroken when the stored secret is unreadable."""
        return TradeAccess(
            order_id=self.gateway_order_id,
            access_id=self.access_id,
            access_pass=vault.open_access_pass(self.access_pass_sealed, self.gateway_order_id),
        )


#: Operations that the gateway refuses to do a second time on one transaction.
_SENT_AT_ONCE = (Operation.CAPTURE, *sorted(CHECKOUTS), Operation.BILL)

_earlier = aliased(Attempt)
_READ = (
    sa.select(
        Attempt.state,
        Attempt.lease,
        Attempt.operation,
        Attempt.amount,
        Attempt.tries,
        CardTransaction.gateway_order_id,
        CardTransaction.access_id,
        CardTransaction.access_pass_sealed,
        CardTransaction.gateway_amount,
        CardTransaction.gateway_state,
        CardTransaction.is_charge,
        CardTransaction.is_restored,
        CardTransaction.captured_amount,
        CardTransaction.member_id,
        CardTransaction.card_seq,
        CardTransaction.return_url,
        Attempt.transaction_id,
        Attempt.card_sealed,
        Attempt.choices,
        Attempt.status_before,
        Order.id.label("order_id"),
        Order.order_no,
        Order.kind,
        sa.or_(
            Attempt.operation.not_in(_SENT_AT_ONCE),
            sa.exists().where(
                _earlier.order_id == Attempt.order_id,
                _earlier.operation == Attempt.operation,
                _earlier.uncertain_since.is_not(None),
            ),
        ).label("look_first"),
        Order.is_called_off.label("is_called_off"),
        past_us.MAY_BE_PAID.label("may_be_paid_past_us"),
    )
    .join(Order, Order.id == Attempt.order_id)
    .join(CardTransaction, CardTransaction.id == Attempt.transaction_id)
    .where(Attempt.id == bindparam("attempt"))
)
_attempts = table_of(Attempt)
_TAKE = (
    sa.update(_attempts)
    .where(
        _attempts.c.id == bindparam("attempt"),
        _attempts.c.lease == bindparam("held"),
        _attempts.c.state == AttemptState.QUEUED,
    )
    .values(
        {name: bindparam(name) for name in ("lease", "due_at", "tries", "sent_at")}
        | {"state": AttemptState.SENDING}
    )
)


def _held(attempt_id: Any, lease: Any) -> sa.ColumnElement[bool]:
    """Still under way, and with this lease (P17)."""
    return sa.and_(
        Attempt.id == attempt_id, Attempt.lease == lease, Attempt.state == AttemptState.SENDING
    )


_MAY_STILL_SEND = sa.select(Attempt.id).where(
    _held(bindparam("attempt"), bindparam("held")),
    Attempt.due_at > bindparam("now"),
    Attempt.sent_at > bindparam("begun"),
)


def claim(attempt_id: int) -> ClaimedAttempt | None:
    """Take a QUEUED attempt for this thread, durably SENDING from here on; None if it is not ours.

    When no look-up has to come first the row says that it is being sent, before it is.
    """
    return write_together(lambda session: _take(session, attempt_id))


def _take(session: Session, attempt_id: int) -> ClaimedAttempt | None:
    now = shared_clock.now()
    connection = session.connection()
    row = connection.execute(_READ, {"attempt": attempt_id}).one_or_none()
    if row is None or row.state is not AttemptState.QUEUED:
        return None
    tries = row.tries + 1
    is_unpaid_charge = row.is_charge and is_to_be_charged(row)
    is_new = row.operation.enters(is_unpaid_charge=is_unpaid_charge)
    finishes = row.choices.get("step") == AFTER_THREE_DS
    # Entering moves nothing, so nothing is sent yet; but whoever comes second, a try or an attempt
    # on the same number, must see what the first left there, and of which amount.
    otherwise = bool(row.choices.get(ENTERED_OTHERWISE))
    may_be_there = tries > 1 or finishes or otherwise or bool(row.access_id)
    look_first = row.look_first or (is_new and may_be_there)
    # Access data of a file: the gateway would act by it whatever order it belongs to.
    look_first = look_first or (not is_new and row.gateway_state is None)
    # Books from a backup do not know what was done since it was taken (P36).
    look_first = look_first or row.is_restored
    # Other numbers are asked about, which may take long: only after it is the call on its way.
    look_first = look_first or (row.may_be_paid_past_us and row.operation is Operation.CAPTURE)
    # State and lease in the WHERE: of two threads that read the row, one changes it, the other gets 0.
    taken = connection.execute(
        _TAKE,
        {
            "attempt": attempt_id,
            "held": row.lease,
            "lease": row.lease + 1,
            "due_at": now + shared_clock.lease_time(),
            "tries": tries,
            "sent_at": None if look_first or is_new else now,
        },
    )
    if taken.rowcount != 1:
        return None
    return ClaimedAttempt(
        attempt_id=attempt_id,
        lease=row.lease + 1,
        operation=row.operation,
        amount=row.amount,
        gateway_order_id=row.gateway_order_id,
        access_id=row.access_id or "",
        access_pass_sealed=row.access_pass_sealed,
        tries=tries,
        look_first=look_first,
        kind=row.kind,
        is_confirmed=row.gateway_state is not None,
        is_unpaid_charge=is_unpaid_charge,
        reserves_nothing=_reserves_nothing(row),
        status_before=row.status_before,
        held=row.gateway_amount,
        captured=row.captured_amount,
        order_id=row.order_id,
        order_no=row.order_no,
        transaction_id=row.transaction_id,
        card_sealed=row.card_sealed,
        member_id=row.member_id,
        card_seq=row.card_seq,
        return_url=row.return_url,
        finishes_three_ds=finishes,
        entered_otherwise=otherwise,
        is_called_off=row.is_called_off,
        may_be_paid_past_us=row.may_be_paid_past_us,
        in_file=bool(row.choices.get(IN_FILE))
        or (
            row.operation is Operation.BILL
            and filed_numbers.is_waiting(session, row.gateway_order_id)
        ),
    )


def _reserves_nothing(row: Any) -> bool:
    is_unknown_preorder = row.gateway_state is None and row.kind is OrderKind.PREORDER
    return is_to_be_charged(row) or is_unknown_preorder


def renumber(claimed: ClaimedAttempt) -> ClaimedAttempt | None:
    """Go on under the next number: SMBC-GP knows this one with other content (R141).

    It stays with the order, whoever entered it: what is paid there later has to be seen.  None if the
    lease is not ours any more.  Raises NumbersUsedUp.
    """
    with writing() as session:
        # Order first, attempt after, as everybody locks: nobody waits in a circle.
        order = acting.lock_order(session, claimed.order_id)
        if not session.scalar(sa.select(sa.exists().where(_is_held(claimed)))):
            return None
        transaction = transaction_numbers.take_next_number(order)
        # Whose it is matters again only once it is paid.
        unknown_numbers.not_there(session, order, [claimed.gateway_order_id])
        number = transaction.gateway_order_id
        choices = session.scalars(sa.select(Attempt.choices).where(_is_held(claimed))).one()
        session.execute(
            sa.update(Attempt)
            .where(_is_held(claimed))
            .values(
                transaction_id=transaction.id,
                gateway_order_id=number,
                choices={k: v for k, v in choices.items() if k != ENTERED_OTHERWISE},
            )
            .execution_options(synchronize_session=False)
        )
        session.execute(  # its result is told under the number that was charged
            sa.update(Billing)
            .where(Billing.attempt_id == claimed.attempt_id)
            .values(gateway_order_id=number, result="")
            .execution_options(synchronize_session=False)
        )
        return replace(
            claimed,
            gateway_order_id=number,
            transaction_id=transaction.id,
            access_id="",
            access_pass_sealed=None,
            entered_otherwise=False,
            is_entered=False,
        )


def about_to_enter(claimed: ClaimedAttempt) -> bool:
    """Write down that a call of ours may have entered the number from now on.

    Whether none may have before.  Asked of later numbers alone: a monthly file (filed_numbers) or
    another's order (unknown_numbers) may have brought them there too.
    """
    if claimed.gateway_order_id == at_gateway(claimed.order_no):
        return False
    with writing() as session:
        return _changed(
            session,
            sa.update(CardTransaction)
            .where(
                CardTransaction.id == claimed.transaction_id,
                CardTransaction.entry_sent_at.is_(None),
            )
            .values(entry_sent_at=shared_clock.now()),
        )


def not_entered(claimed: ClaimedAttempt) -> None:
    """The first call that might have entered the number provably did not: what is there is not ours."""
    with writing() as session:
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.id == claimed.transaction_id)
            .values(entry_sent_at=None)
        )


def about_to_send(
    claimed: ClaimedAttempt, trade: TradeStatus, *, enters: bool, may_be_called_off: bool
) -> ClaimedAttempt | None:
    """After a look-up that showed `trade`: write down that we send now, and what was there before.

    None if the lease is not ours any more; and for a new payment (`enters`) when our books have
    learned meanwhile that money of the order is live under another number (P1); and when a file has
    called the order off meanwhile, unless `may_be_called_off`.
    """
    now = shared_clock.now()
    is_wanted = sa.select(~Order.is_called_off).where(Order.id == claimed.order_id)
    is_alone = sa.select(~CardTransaction.others_live).where(
        CardTransaction.id == claimed.transaction_id
    )
    with writing() as session:
        is_ours = _changed(
            session,
            sa.update(Attempt)
            .where(
                _is_held(claimed),
                Attempt.due_at > now,  # past it, somebody else may take the attempt any moment
                is_alone.scalar_subquery() if enters else sa.true(),
                sa.true() if may_be_called_off else is_wanted.scalar_subquery(),
            )
            .values(
                sent_at=now,
                due_at=now + shared_clock.lease_time(),
                state_seen=trade.raw_status[:20],
                amount_seen=trade.total,
                tran_id_seen=trade.tran_id[:28],
            ),
        )
        values: dict[str, object] = {"entered_at": now} if claimed.is_entered else {}
        if not claimed.access_id:  # a later look-up must find the same transaction (P14)
            access = trade.access
            sealed = vault.seal_access_pass(access.access_pass, claimed.gateway_order_id)
            values |= {"access_id": access.access_id, "access_pass_sealed": sealed}
        # Once: for a row changed twice in a transaction PostgreSQL asks for its order's row, which is
        # locked by whoever hands the order in again and waits for this one.
        if is_ours and values:
            session.execute(
                sa.update(CardTransaction)
                .where(CardTransaction.gateway_order_id == claimed.gateway_order_id)
                .values(values)
            )
    if not is_ours:
        return None
    return replace(claimed, access_id=trade.access.access_id)


def renew(claimed: ClaimedAttempt, now: datetime) -> bool:
    """Put the lease off, while nothing is sent yet; False if it ran out or is not ours any more (P17)."""
    with writing() as session:
        return _changed(
            session,
            sa.update(Attempt)
            .where(_is_held(claimed), Attempt.due_at > now)
            .values(due_at=now + shared_clock.lease_time()),
        )


def may_still_send(claimed: ClaimedAttempt) -> bool:
    """Whether the attempt is still this thread's; asked right before the first byte (P17).

    No clock of ours says so: it may have stood still as long as this machine did (suspended, moved,
    restored), while another worker took the attempt for lost and a person went on.
    """
    now = shared_clock.now()
    held = {"attempt": claimed.attempt_id, "held": claimed.lease}
    times = {"now": now, "begun": now - _until_sent()}
    return asked_alone(_MAY_STILL_SEND, held | times) is not None


def _until_sent() -> timedelta:
    """So long after `sent_at` the first byte leaves at the latest: a free connection, connecting."""
    return 3 * timedelta(seconds=current_app.config["GATEWAY_CONNECT_TIMEOUT"])


def requeue(
    claimed: ClaimedAttempt, pause: float, reason: str, codes: tuple[str, ...] = ()
) -> None:
    """Put a provably unprocessed attempt back, to be tried again after `pause` seconds (P9)."""
    with writing() as session:
        _changed(
            session,
            sa.update(Attempt)
            .where(_is_held(claimed))
            .values(
                state=AttemptState.QUEUED,
                due_at=shared_clock.now() + timedelta(seconds=pause),
                sent_at=None,
                reason=reason,
                error_codes=join_codes(codes),
            ),
        )


def give_up_lost(attempt_id: int) -> None:
    """Deal with a SENDING attempt whose lease ran out: its worker was killed or is frozen (P17).

    Not yet about to send: back to the queue.  Else a byte may have left: UNKNOWN, to be looked up.
    """
    now = shared_clock.now()
    with writing() as session:
        attempt = session.get(Attempt, attempt_id, populate_existing=True)
        if attempt is None:  # a forged message, or one from before a restore
            return
        if attempt.state is not AttemptState.SENDING or attempt.due_at is None:
            return
        if attempt.due_at > now:
            return
        lease, sent_at = attempt.lease, attempt.sent_at
        if sent_at is None:
            _update(
                session,
                attempt,
                (AttemptState.SENDING,),
                # The higher lease fences off the worker that only slept: it can neither send nor record now.
                state=AttemptState.QUEUED,
                lease=lease + 1,
                due_at=now,
            )
            return
    lost = replace(
        outcomes.unknown(attempt.operation, WORKER_LOST),
        uncertain_since=min(now, sent_at + _until_sent()),  # P14
    )
    close(attempt_id, lease, lost)


def claim_look(attempt_id: int, *, not_within: float = 0.0) -> Attempt | None:
    """Take the look-up of an UNKNOWN attempt for this thread; None if nothing is to be done.

    `not_within` seconds of the last look-up nobody looks again, however often somebody asks.
    """
    now = shared_clock.now()
    with writing() as session:
        attempt = session.get(Attempt, attempt_id, populate_existing=True)
        if attempt is None or attempt.state is not AttemptState.UNKNOWN:
            return None
        if _is_being_looked_up(attempt, now):
            return None
        if attempt.looked_up_at and (now - attempt.looked_up_at).total_seconds() < not_within:
            return None
        lease = attempt.lease + 1
        if not _update(
            session,
            attempt,
            (AttemptState.UNKNOWN,),
            lease=lease,
            due_at=now + shared_clock.lease_time(),
            looks=attempt.looks + 1,
            looked_up_at=now,
        ):
            return None
        session.refresh(attempt)
        session.refresh(attempt.transaction)
        return attempt


def _is_being_looked_up(attempt: Attempt, now: datetime) -> bool:
    """Whether a look-up is under way: a second would only take the lease from the first."""
    if attempt.looked_up_at is None or attempt.due_at is None:
        return False
    return (
        attempt.due_at == attempt.looked_up_at + shared_clock.lease_time() and attempt.due_at > now
    )


def was_looked_up(attempt_id: int, before: datetime | None) -> bool:
    """Whether a look-up after the one of `before` is over, or there is nothing left to look up."""
    attempt = db.session.get(Attempt, attempt_id, populate_existing=True)
    db.session.commit()  # the next look sees what others wrote meanwhile
    if attempt is None or not attempt.is_open:
        return True
    return attempt.looked_up_at != before and not _is_being_looked_up(attempt, shared_clock.now())


def look_soon() -> None:
    """At start-up: look-ups planned for later are due now (P13); those under way stay alone."""
    now = shared_clock.now()
    with writing() as session:
        session.execute(
            sa.update(Attempt)
            .where(
                Attempt.state == AttemptState.UNKNOWN,
                Attempt.due_at > now + shared_clock.lease_time(),
            )
            .values(due_at=now)
        )


def make_look_due(session: Session, attempt: Attempt) -> bool:
    """In a write transaction: the look-up of this UNKNOWN attempt is due now.

    False, and nothing changed, while one is under way.
    """
    now = shared_clock.now()
    if _is_being_looked_up(attempt, now):
        return False
    if attempt.due_at is not None and attempt.due_at <= now:
        return True
    return _update(session, attempt, (AttemptState.UNKNOWN,), due_at=now)


def look_again(
    attempt: Attempt, result: LookResult | None, word: str = "", amount: int | None = None
) -> None:
    """The look-up did not decide: note what it showed and plan the next one (P13, P15).

    Counted from when it began: a slow one must not skip the next of the schedule.
    """
    began = attempt.looked_up_at or shared_clock.now()
    since = attempt.uncertain_since or began
    with writing() as session:
        _update(
            session,
            attempt,
            (AttemptState.UNKNOWN,),
            look_result=result,
            look_word=word[:120],
            look_amount=amount,
            # From the start of the doubt, not of this try: the schedule must not begin anew with each look.
            due_at=next_look(since, began, current_app.config["RESOLVE_SCHEDULE"]),
        )
        news.tell(session, attempt.order_id)


def wait_for_end(attempt_id: int, seconds: float) -> None:
    """Return as soon as nothing of this attempt's order is under way, or `seconds` are over.

    At once when too many requests wait already: they see it under way, and it ends by itself.
    """
    order_id = db.session.scalar(sa.select(Attempt.order_id).where(Attempt.id == attempt_id))
    db.session.commit()
    if order_id is None:  # refused at once, and the order with it
        return
    under_way = sa.select(
        sa.exists().where(
            Attempt.order_id == order_id,
            Attempt.is_open,
            Attempt.state.in_((AttemptState.QUEUED, AttemptState.SENDING)),
        )
    )
    # By the order, not the attempt: the second step of the same act is an attempt of its own.

    def has_ended() -> bool:
        is_at_it = db.session.scalar(under_way)
        db.session.commit()  # the next look sees what others wrote meanwhile
        return not is_at_it

    news.wait_until(has_ended, order_id, seconds)


def _update(
    session: Session, attempt: Attempt, expected: tuple[AttemptState, ...], **values: Any
) -> bool:
    """Change this attempt only if it is still as it was read: state and lease in the WHERE."""
    return _changed(
        session,
        sa.update(Attempt)
        .where(
            Attempt.id == attempt.id, Attempt.lease == attempt.lease, Attempt.state.in_(expected)
        )
        .values(**values),
    )


def _is_held(claimed: ClaimedAttempt) -> sa.ColumnElement[bool]:
    return _held(claimed.attempt_id, claimed.lease)


def _changed(session: Session, statement: sa.Update) -> bool:
    result = session.execute(statement.execution_options(synchronize_session=False))
    return bool(result.rowcount == 1)  # type: ignore[attr-defined]
