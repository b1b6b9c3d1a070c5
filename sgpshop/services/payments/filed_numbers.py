"""Whether a number is in a monthly file that SMBC-GP has, or may have: it will be charged by itself.

Such a number is the order's until the results of its file are over (protocol.md §13.9): no other
may be charged beside it, and nothing may be called uncharged because of what a look-up does not
show yet.  What stands in a file is asked of its own content, which never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.billing_calendar import (
    RESULTS_OVERDUE,
    month_of,
    previous_month,
    results_at,
)
from sgpshop.domain.shop_terms import BillingMode
from sgpshop.models import Attempt, Billing, BillingFile, FileState, utc_now
from sgpshop.services import settings

#: What SMBC-GP says to any call of ours on a transaction that a monthly file brought.
ONLY_BY_FILE = "E01410010"

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


def filed(session: Session, gateway_order_id: str, *, since: date = date.min) -> Filed | None:
    """The file that may charge this number; None if no file may have brought it there.

    Only files of the month `since` and later are asked.  None, too, once a result said that it was
    not charged, or a call of ours entered it: then it was not there.
    """
    is_known = sa.or_(
        sa.exists().where(Billing.gateway_order_id == gateway_order_id, Billing.result != ""),
        sa.exists().where(
            Attempt.gateway_order_id == gateway_order_id,
            Attempt.state_seen != "",
            Attempt.error_codes.not_like(f"%{ONLY_BY_FILE}%"),
        ),
    )
    files = session.execute(
        sa.select(BillingFile.id, BillingFile.window, BillingFile.refused)
        .where(
            MAY_BE_THERE,
            BillingFile.content.contains(f",{gateway_order_id},", autoescape=True),
            BillingFile.window >= since,
            sa.not_(is_known),
        )
        .order_by(BillingFile.id.desc())
    ).all()
    mode = BillingMode(settings.load().billing_mode)
    for file in files:
        if gateway_order_id not in file.refused:
            ends = results_at(file.window, mode.result_day) + RESULTS_OVERDUE
            return Filed(file.id, ends <= utc_now())
    return None


def is_waiting(session: Session, gateway_order_id: str) -> bool:
    """Whether a monthly file may still charge this number."""
    # No results come later than early in the month after.
    found = filed(session, gateway_order_id, since=previous_month(month_of(utc_now())))
    return found is not None and not found.is_over


def is_in_unknown_file(session: Session, gateway_order_id: str) -> bool:
    """Whether SMBC-GP said that a monthly file brought this number, and our books know of none.

    A restored backup forgets files (P36); the results of that one decide all the same.
    """
    told_at = session.scalar(
        sa.select(sa.func.max(Attempt.created_at)).where(
            Attempt.gateway_order_id == gateway_order_id,
            Attempt.error_codes.contains(ONLY_BY_FILE),
            ~sa.exists().where(Billing.gateway_order_id == gateway_order_id, Billing.result != ""),
        )
    )
    if told_at is None or filed(session, gateway_order_id) is not None:
        return False
    mode = BillingMode(settings.load().billing_mode)
    return utc_now() < results_at(month_of(told_at), mode.result_day) + RESULTS_OVERDUE
