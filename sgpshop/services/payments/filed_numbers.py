"""Whether a number is in a monthly file that SMBC-GP has, or may have: it will be charged by itself.

Such a number is the order's until the results of its file are over (protocol.md §13.9): no other
may be charged beside it, and nothing may be called uncharged because of what a look-up does not
show yet.  What stands in a file was noted when it was made, and never changes.

No calendar ends that, nor do results that leave a number out: SMBC-GP's results may be late or cut,
and what was given up then would be charged twice.  It is over once they said that it was not
charged, or a person that nothing comes any more (P1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum, auto
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.billing_calendar import (
    RESULTS_OVERDUE,
    month_of,
    results_at,
)
from sgpshop.domain.shop_terms import BillingMode
from sgpshop.extensions import db
from sgpshop.gateway import TradeState, TradeStatus
from sgpshop.models import (
    Attempt,
    Billing,
    BillingFile,
    CardTransaction,
    FiledNumber,
    FileState,
    HistoryEntry,
    MonthlyResults,
    OrderKind,
    UnknownNumber,
    table_of,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.payments.clocks import TOLERANCE
from sgpshop.storage.database import insert, writing

#: Why no total changes while `is_waiting`: the file charges what stands in it.
TOTAL_IS_FILED = (
    "月次ファイルでSMBC-GPに登録されている可能性があり、いまの合計金額で請求されます。"
    "結果が届くまで、金額は変更できません。"
)

#: Reason of what is not charged because another number, or this one, may be in an unknown file.
MAY_BE_FILED = "may_be_filed"

#: Sent, and no answer says that the whole of it was refused.
MAY_BE_THERE = sa.and_(
    BillingFile.tries > 0,
    sa.or_(
        BillingFile.is_doubtful,
        BillingFile.receipt_no != "",
        BillingFile.state == FileState.PREPARED,
    ),
)


#: What results that were read did not say is asked for again after so long.
ASK_AGAIN = timedelta(hours=6)
#: A row of `monthly_results` before there are any.
NOTHING_READ: dict[str, Any] = {"not_charged": [], "is_closed": False}


@dataclass(frozen=True)
class Filed:
    """The latest file that has, or may have, brought a number to SMBC-GP."""

    file_id: int
    #: its results say that it was not charged, or none come: what is unpaid now stays unpaid
    is_over: bool


class Whose(Enum):
    """Who brought the unpaid number of a charge to SMBC-GP."""

    #: a call of ours, or a file of ours: `is_waiting` tells which
    OURS = auto()
    #: perhaps a file our books do not know: it will be charged by itself, and no call can
    UNKNOWN_FILE = auto()
    #: a file that does not charge it any more; and no call can
    OVER = auto()


def is_entered(gateway_order_id: str) -> sa.ColumnElement[bool]:
    """An answer said that a call of ours entered the number, so no file can have brought it there."""
    was_answered = sa.exists().where(
        CardTransaction.gateway_order_id == gateway_order_id,
        CardTransaction.entered_at.is_not(None),
    )
    return sa.and_(was_answered, ~_is_of_file(gateway_order_id))


def may_be_entered(session: Session, gateway_order_id: str) -> bool:
    """Whether a call of ours entered the number, or may have: its answer was lost.

    Not while a file of ours may charge it.
    """
    may_be_sent = sa.exists().where(
        CardTransaction.gateway_order_id == gateway_order_id,
        sa.or_(CardTransaction.entered_at.is_not(None), CardTransaction.entry_sent_at.is_not(None)),
    )
    was_sent = session.scalar(sa.select(sa.and_(may_be_sent, ~_is_of_file(gateway_order_id))))
    return bool(was_sent) and not is_waiting(session, gateway_order_id)


def _is_first(gateway_order_id: str) -> sa.Exists:
    """It is the number of an order's first payment."""
    return sa.exists().where(
        CardTransaction.gateway_order_id == gateway_order_id, CardTransaction.sequence == 0
    )


def _is_of_file(gateway_order_id: str) -> sa.Exists:
    return sa.exists().where(
        CardTransaction.gateway_order_id == gateway_order_id, CardTransaction.was_refused_to_calls
    )


def has_result(gateway_order_id: str) -> sa.Exists:
    """A result said that the number was not charged."""
    return sa.exists().where(Billing.gateway_order_id == gateway_order_id, Billing.result != "")


def _was_left(gateway_order_id: str) -> sa.Exists:
    """A person said that its buyer left without paying, and that no file brought it (unknown_numbers)."""
    return sa.exists().where(
        UnknownNumber.gateway_order_id == gateway_order_id, UnknownNumber.is_left
    )


def filed(session: Session, gateway_order_id: str) -> Filed | None:
    """The file that may charge this number; None if no file may have brought it there.

    None, too, once a result said that it was not charged, or a call of ours entered it: then no
    file brought it there.
    """
    is_told = sa.or_(has_result(gateway_order_id), is_entered(gateway_order_id))
    files = _files(session, gateway_order_id, ~is_told)
    if not files:
        return None
    window = files[0].window
    # A refusal that was told stays one when the sale goes on under the next number (has_result).
    was_told = sa.exists().where(HistoryEntry.request_token == token_of(window, gateway_order_id))
    is_over = bool(session.scalar(sa.select(was_told)))
    return Filed(files[0].id, is_over or _is_over(session, window, gateway_order_id))


def token_of(window: date, gateway_order_id: str) -> str:
    """What the history has where results of that month, which refused the number, were told."""
    return f"result:{window:%Y%m}:{gateway_order_id}"


def was_filed(session: Session, gateway_order_id: str) -> bool:
    """Whether a file of ours has, or may have, brought the number to SMBC-GP, whatever came of it."""
    return bool(_files(session, gateway_order_id, sa.true()))


def _files(
    session: Session, gateway_order_id: str, condition: sa.ColumnElement[bool]
) -> list[sa.Row[tuple[int, date, dict[str, Any]]]]:
    """The files that may have brought it there, the latest first."""
    files = session.execute(
        sa.select(BillingFile.id, BillingFile.window, BillingFile.refused)
        .join(FiledNumber, FiledNumber.file_id == BillingFile.id)
        .where(MAY_BE_THERE, FiledNumber.gateway_order_id == gateway_order_id, condition)
        .order_by(BillingFile.id.desc())
    )
    return [file for file in files if gateway_order_id not in file.refused]


def is_waiting(session: Session, gateway_order_id: str) -> bool:
    """Whether a monthly file may still charge this number."""
    found = filed(session, gateway_order_id)
    return found is not None and not found.is_over


def waiting_of(session: Session, order_id: int) -> list[str]:
    """The numbers of that order which a monthly file may still charge, whichever counts now; few or none.

    What it charged and was given back it does not charge again.
    """
    given_back = [state.value for state in TradeState if state.is_cancelled]
    filed_ones = session.scalars(
        sa.select(CardTransaction.gateway_order_id)
        .where(
            CardTransaction.order_id == order_id,
            sa.func.coalesce(CardTransaction.gateway_state, "").not_in(given_back),
            sa.exists().where(FiledNumber.gateway_order_id == CardTransaction.gateway_order_id),
        )
        .order_by(CardTransaction.sequence)
    )
    return [number for number in filed_ones.all() if is_waiting(session, number)]


def whose(kind: OrderKind, trade: TradeStatus) -> Whose:
    """Who brought `trade`, of an order of that `kind`, to SMBC-GP; files have later numbers alone.

    The line of a file shows, until the results, as what a call of ours would have entered
    (protocol.md §13.9).  Our books do not know it when another system sent the file, or when they
    were lost and a backup was put back (P36).  Whatever is no unpaid charge of a subscription is ours.
    """
    is_charge = kind is OrderKind.SUBSCRIPTION and "-" in trade.order_id and trade.total > 0
    if not is_charge or trade.state is not TradeState.UNPROCESSED:
        return Whose.OURS
    session = db.session()
    found = _whose(session, trade)
    session.commit()  # no transaction is open while we wait for the network (P8)
    if found is Whose.UNKNOWN_FILE:
        _ask_for_results(month_of(trade.processed_at), trade.order_id)
    return found


def _whose(session: Session, trade: TradeStatus) -> Whose:
    number = trade.order_id
    if session.scalar(sa.select(_is_first(number))):  # that of an order called `20261128-001`
        return Whose.OURS
    file = filed(session, number)
    if file is not None:
        return Whose.OVER if file.is_over else Whose.OURS
    if session.scalar(sa.select(sa.or_(is_entered(number), _may_be_entered(trade)))):
        return Whose.OURS
    is_told = session.scalar(sa.select(sa.or_(has_result(number), _was_left(number))))
    is_over = is_told or _is_over(session, month_of(trade.processed_at), number)
    return Whose.OVER if is_over else Whose.UNKNOWN_FILE


def _may_be_entered(trade: TradeStatus) -> sa.ColumnElement[bool]:
    """Whether it is most likely what a call of ours entered, whose answer was lost.

    It has the amount of a try of ours, and came no earlier than the first.  A line of the same
    amount that another system sends under our number just after that cannot be told from it: to pay
    it is refused by SMBC-GP all the same, and says so; only beside the next number, should that be
    taken, both would be charged.
    """
    # SMBC-GP's clock and ours are never quite equal; beyond that we wait for the results.
    latest = trade.processed_at + TOLERANCE
    may_be_sent = sa.exists().where(
        CardTransaction.gateway_order_id == trade.order_id,
        CardTransaction.entry_sent_at <= latest,
        Attempt.order_id == CardTransaction.order_id,
        Attempt.transaction_id == CardTransaction.id,
        Attempt.amount == trade.total,
    )
    return sa.and_(may_be_sent, ~_is_of_file(trade.order_id))


def _is_over(session: Session, window: date, gateway_order_id: str) -> bool:
    """Whether what was sent in the month `window` does not charge that number any more."""
    mode = BillingMode(settings.load().billing_mode)
    if results_at(window, mode.result_day) + RESULTS_OVERDUE > utc_now():
        return False
    results = session.execute(
        sa.select(MonthlyResults.is_closed, MonthlyResults.not_charged).where(
            MonthlyResults.window == window
        )
    ).one_or_none()
    return results is not None and (results.is_closed or gateway_order_id in results.not_charged)


def _ask_for_results(window: date, gateway_order_id: str) -> None:
    """No file of ours asks for the results of that month: its number alone is why they are wanted.

    Also anew, as long as those that were read do not name it.
    """
    row = MonthlyResults.__table__.c
    known = db.session.execute(
        sa.select(row.due_at, row.not_charged).where(row.window == window)
    ).one_or_none()
    db.session.commit()
    if known is not None:
        if known.due_at is None and gateway_order_id not in known.not_charged:
            with writing() as session:
                session.execute(
                    sa.update(MonthlyResults)
                    .where(MonthlyResults.window == window, MonthlyResults.due_at.is_(None))
                    .values(due_at=utc_now() + ASK_AGAIN)
                )
        return
    with writing() as session:
        mode = BillingMode(settings.load().billing_mode)
        asked = insert(session, table_of(MonthlyResults))
        first = {"window": window, "due_at": results_at(window, mode.result_day)} | NOTHING_READ
        session.execute(asked.values(first).on_conflict_do_nothing())
