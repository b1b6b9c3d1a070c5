"""Whether a number is in a monthly file that SMBC-GP has, or may have: it will be charged by itself.

Such a number is the order's until the results of its file are over (protocol.md §13.9): no other
may be charged beside it, and nothing may be called uncharged because of what a look-up does not
show yet.  What stands in a file was noted when it was made, and never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.billing_calendar import (
    RESULTS_OVERDUE,
    month_of,
    previous_month,
    results_at,
)
from sgpshop.domain.shop_terms import BillingMode
from sgpshop.extensions import db
from sgpshop.gateway import TradeState, TradeStatus
from sgpshop.models import Attempt, Billing, BillingFile, FiledNumber, FileState, OrderKind, utc_now
from sgpshop.services import settings

#: What SMBC-GP says to any call of ours on a transaction that a monthly file brought.
ONLY_BY_FILE = "E01410010"

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


@dataclass(frozen=True)
class Filed:
    """The latest file that has, or may have, brought a number to SMBC-GP."""

    file_id: int
    #: the results of that file have had their time: what is unpaid now stays unpaid
    is_over: bool


def was_entered(gateway_order_id: str) -> sa.Exists:
    """A call of ours entered the number: what is seen just before it is paid is seen nowhere else."""
    return sa.exists().where(
        Attempt.gateway_order_id == gateway_order_id,
        Attempt.state_seen != "",
        Attempt.error_codes.not_like(f"%{ONLY_BY_FILE}%"),
    )


def _is_known(gateway_order_id: str) -> sa.ColumnElement[bool]:
    """A result said that the number was not charged, or a call of ours entered it."""
    has_result = sa.exists().where(
        Billing.gateway_order_id == gateway_order_id, Billing.result != ""
    )
    return sa.or_(has_result, was_entered(gateway_order_id))


def filed(session: Session, gateway_order_id: str, *, since: date = date.min) -> Filed | None:
    """The file that may charge this number; None if no file may have brought it there.

    Only files of the month `since` and later are asked.  None, too, once a result said that it was
    not charged, or a call of ours entered it: then it was not there.
    """
    files = session.execute(
        sa.select(BillingFile.id, BillingFile.window, BillingFile.refused)
        .join(FiledNumber, FiledNumber.file_id == BillingFile.id)
        .where(
            MAY_BE_THERE,
            FiledNumber.gateway_order_id == gateway_order_id,
            BillingFile.window >= since,
            sa.not_(_is_known(gateway_order_id)),
        )
        .order_by(BillingFile.id.desc())
    ).all()
    for file in files:
        if gateway_order_id not in file.refused:
            return Filed(file.id, _ends(file.window) <= utc_now())
    return None


def is_waiting(session: Session, gateway_order_id: str) -> bool:
    """Whether a monthly file may still charge this number."""
    # No results come later than early in the month after.
    found = filed(session, gateway_order_id, since=previous_month(month_of(utc_now())))
    return found is not None and not found.is_over


def may_be_unknown_line(kind: OrderKind, trade: TradeStatus) -> bool:
    """Whether `trade`, of an order of that `kind`, may be a line of a file our books do not know.

    Another system sent it, or books that were lost when a backup was restored (P36).  Until its
    results are over it shows as what a call of ours would have entered (protocol.md §13.9).
    """
    is_charge = kind is OrderKind.SUBSCRIPTION and "-" in trade.order_id and trade.total > 0
    if not is_charge or trade.state is not TradeState.UNPROCESSED:
        return False
    if _ends(month_of(trade.processed_at)) <= utc_now():
        return False
    session = db.session()
    is_known = session.scalar(sa.select(_is_known(trade.order_id)))
    is_unknown = not is_known and filed(session, trade.order_id) is None
    session.commit()  # no transaction is open while we wait for the network (P8)
    return is_unknown


def _ends(window: date) -> datetime:
    """When the results of what was sent in the month `window` have had their time."""
    mode = BillingMode(settings.load().billing_mode)
    return results_at(window, mode.result_day) + RESULTS_OVERDUE
