"""What the end of a registration means for its row, in the transaction that records the end (P29).

Only what the card company or the order's own data refused is a failure (売上失敗, R105).  Whatever
passes by itself or is for the shop to mend (not reachable, congested, a password, no card known yet)
leaves 決済待ち: the registration is put off and tried again, with growing pauses, until it goes
through or somebody cancels the order.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.billing_calendar import file_window_ends
from sgpshop.domain.order_rules import ONLY_BY_FILE
from sgpshop.domain.payment_status import Event
from sgpshop.domain.reconciliation import BEFORE_CHARGE, AlertKind
from sgpshop.gateway import ErrorKind, TradeStatus, explain, worst
from sgpshop.models import (
    AttemptState,
    Billing,
    BillingFile,
    BillingState,
    CardTransaction,
    Order,
    join_codes,
    utc_now,
)
from sgpshop.services.orders import alerts
from sgpshop.services.orders.history import WORKER
from sgpshop.services.payments import filed_numbers, transaction_numbers
from sgpshop.services.payments.outcomes import CALLED_OFF, NOT_THROUGH, Outcome
from sgpshop.services.payments.transactions import look_now
from sgpshop.services.payments.unknown_numbers import UNKNOWN_NUMBER

#: Reason of a file that came after its window: the next one is in the month after (protocol.md §13.9).
WINDOW_CLOSED = "window_closed"
#: Reason of a line whose file may be at SMBC-GP, where nothing showed it.
FILE_IN_DOUBT = "file_in_doubt"

#: Detail of an outcome: whether money is reserved under the number of a registration.
RESERVED = "reserved"

#: Kinds of codes that speak of the card, or of what the line itself says.
_FINAL = frozenset(
    {
        ErrorKind.BUYER_CARD,
        ErrorKind.MERCHANT,
        ErrorKind.RECURRING_FILE,
        ErrorKind.THREE_DS,
        ErrorKind.TOKEN,
    }
)
#: «Order id already exists» under a number that turned out unpaid: the next number is taken.
_NUMBER_IS_THERE = "E01040010"
#: Codes that speak of the number alone.
_OF_THE_NUMBER = frozenset({_NUMBER_IS_THERE, ONLY_BY_FILE})
_IN_FILE = "月次ファイルで登録されている可能性があり、結果を待っています"
#: Reasons without a code that say nothing about the card; what they are in the history.
_PASSING = {
    filed_numbers.MAY_BE_FILED: _IN_FILE,
    FILE_IN_DOUBT: "月次ファイルがSMBC-GPに届いたか確認できません",
    "unreachable": "SMBC-GPに接続できません",
    "look_failed": "SMBC-GPに確認できません",
    "no_card": "請求に使うカードが分かりません",
    "broke_off": "このシステムの不具合で準備できませんでした",
    "seal_broken": "保存した認証情報を読み出せません",
    CALLED_OFF: "注文ファイルで注文キャンセルになりました",
    NOT_THROUGH: "登録の前に、配送完了ではなくなりました",
    UNKNOWN_NUMBER: "どの注文の決済か分からない取引があります",
    "other_transaction": "同じ番号に判断できない取引があります",
    "unknown_state": "同じ番号に判断できない取引があります",
}
#: Between two tries: ten minutes, growing to six hours.
_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (10, 30, 60, 180, 360))
#: States of a row whose sale SMBC-GP may turn out to have made all the same.
NOT_YET_PAID = (
    BillingState.REGISTERED,
    BillingState.REFUSED,
    BillingState.POSTPONED,
    BillingState.NOT_PAID,
)


def judged(session: Session, transaction_id: int, outcome: Outcome) -> Outcome:
    """The end of a registration, a refusal that is no failure turned into one that is put off.

    While a monthly file may still charge the number, nothing has failed (P3).
    """
    if outcome.event is not Event.BILL_REJECTED:
        return outcome
    why = _passing(outcome)
    if not why and outcome.reason != "cancelled_there":
        number = session.get_one(CardTransaction, transaction_id).gateway_order_id
        why = _IN_FILE if filed_numbers.is_waiting(session, number) else ""
    if not why:
        return outcome
    return replace(
        outcome,
        event=Event.BILL_POSTPONED,
        sentence="bill_put_off",
        detail=outcome.detail | {"why": why},
    )


def _passing(outcome: Outcome) -> str:
    """Why nothing is wrong with this sale itself, in words; "" for a failure."""
    if outcome.codes:
        code = worst(outcome.codes)
        is_final = explain(code).kind in _FINAL and code not in _OF_THE_NUMBER
        return "" if is_final else "、".join(outcome.codes[:5])
    return _PASSING.get(outcome.reason.partition(":")[0], "")


def mark(session: Session, attempt_id: int, row: Any, outcome: Outcome, now: datetime) -> None:
    """Write `outcome` of the attempt into its billing; what is in doubt stays as it is.

    `row` is that of record._READ, with the order locked.
    """
    if outcome.state is AttemptState.UNKNOWN:
        return
    billing = session.scalars(
        sa.select(Billing)
        .where(Billing.attempt_id == attempt_id)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if billing is None:
        return
    if outcome.detail.get(RESERVED):
        order = session.get_one(Order, row.order_id)
        alerts.raise_once(
            session, order, AlertKind.UNEXPECTED_CHARGE, found=outcome.detail["found"]
        )
    billing.error_codes = join_codes(outcome.codes)
    billing.retry_at = None
    trade = outcome.trade
    is_billed = outcome.state is AttemptState.DONE or outcome.event is Event.FOUND_BILLED
    is_charged = is_billed and trade is not None and trade.state.is_captured
    if is_billed:
        if trade is not None:  # told under the number that was charged
            billing.gateway_order_id = trade.order_id
        # Charged by API: that is the result.  By file it comes later, unless it is here already.
        if trade is not None and trade.state.is_unfinished:
            _wait_for_results(session, billing, now)
        is_paid = is_charged or not billing.by_file
        billing.state = BillingState.PAID if is_paid else BillingState.REGISTERED
        billing.registered_at = now
        billing.result_at = now if is_paid else None
        billing.postponed = 0
    elif outcome.event is Event.BILL_POSTPONED or outcome.event.is_found:
        billing.state = BillingState.POSTPONED
        if outcome.reason != WINDOW_CLOSED:
            billing.retry_at = now + _pause(billing, now)
        billing.postponed += 1
    elif outcome.event is Event.CLOSED_BY_PERSON:
        billing.state = (
            BillingState.POSTPONED
        )  # nobody refused it; `found_unpaid` says when it goes on
    else:
        billing.state = BillingState.REFUSED
    if billing.state is not BillingState.POSTPONED:  # how it ended says more than what was feared
        for kind in BEFORE_CHARGE:
            alerts.mended(session, row.order_id, kind, WORKER.name, now)
    if not is_billed:  # a payment that was called the order's meanwhile may count from now on
        for other in transaction_numbers.live_elsewhere([row.order_id]):
            if other.is_captured:
                look_now(other)
    session.flush()


def found_unpaid(session: Session, order_id: int, now: datetime) -> None:
    """A look-up ended the doubt, and the order is 決済待ち again: what was put off is tried again."""
    session.execute(
        sa.update(Billing)
        .where(
            Billing.order_id == order_id,
            Billing.state == BillingState.POSTPONED,
            Billing.retry_at.is_(None),
        )
        .values(retry_at=now + pause_after(0))
        .execution_options(synchronize_session=False)
    )


def _wait_for_results(session: Session, billing: Billing, now: datetime) -> None:
    """A line of a file before this call is what charges it: the results of that file tell."""
    billing.by_file = True
    found = filed_numbers.filed(session, billing.gateway_order_id)
    if found is None:
        return
    billing.file_id = found.file_id
    session.execute(
        sa.update(BillingFile)
        .where(BillingFile.id == found.file_id, BillingFile.results_due_at.is_(None))
        .values(results_due_at=now)
        .execution_options(synchronize_session=False)
    )


def put_off_again(session: Session, billing_id: int, number: str, paid_as: str) -> None:
    """What a look-up ended as paid under the number `paid_as` was not: it is to come, under `number`."""
    session.execute(
        sa.update(Billing)
        .where(Billing.id == billing_id, Billing.gateway_order_id == paid_as)
        .values(
            state=BillingState.POSTPONED,
            gateway_order_id=number,
            registered_at=None,
            result_at=None,
            retry_at=utc_now(),
        )
        .execution_options(synchronize_session=False)
    )


def is_billed(session: Session, transaction: CardTransaction) -> bool:
    """Whether the number of `transaction` was registered from here."""
    row = sa.exists().where(
        Billing.order_id == transaction.order_id,
        Billing.gateway_order_id == transaction.gateway_order_id,
    )
    return bool(session.scalar(sa.select(row)))


def _pause(billing: Billing, now: datetime) -> timedelta:
    """`pause_after`; by file at most half of what is left of the window, so that one try is near its end."""
    pause, left = pause_after(billing.postponed), (file_window_ends(now) - now) / 2
    return min(pause, left) if billing.by_file and left >= _PAUSES[0] else pause


def pause_after(postponed: int) -> timedelta:
    """How long a sale waits that was put off so many times before."""
    return _PAUSES[min(postponed, len(_PAUSES) - 1)]


def found(
    session: Session, order_id: int, trade: TradeStatus, now: datetime, *, is_billing: bool
) -> None:
    """A look-up showed `trade` under a number of the order: a sale that was made is a result.

    Where it `is_billing`, the order's sale is made: what was put off under another number ends too,
    told under the number that was charged.
    """
    if not trade.state.is_captured:
        return
    number = trade.access.order_id
    # Of this order: another one meant to use the number, until it turned out to be this one's.
    is_of_number = sa.and_(Billing.order_id == order_id, Billing.gateway_order_id == number)
    is_known = sa.select(sa.exists().where(is_of_number))
    rows = [is_of_number, Billing.state.in_(NOT_YET_PAID)]
    if is_billing and not session.scalar(is_known):
        put_off = sa.select(sa.func.max(Billing.id)).where(
            Billing.order_id == order_id, Billing.state == BillingState.POSTPONED
        )
        rows = [Billing.id == session.scalar(put_off)]
    session.execute(
        sa.update(Billing)
        .where(*rows)
        .values(
            state=BillingState.PAID,
            gateway_order_id=number,
            registered_at=sa.func.coalesce(Billing.registered_at, now),
            result_at=now,
            result="",
            error_codes="",
            retry_at=None,
            postponed=0,
        )
        .execution_options(synchronize_session=False)
    )
