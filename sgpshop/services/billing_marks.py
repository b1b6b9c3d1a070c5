"""What the end of a registration means for its row, in the transaction that records the end (P29)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.payment_status import Event
from sgpshop.models import AttemptState, Billing, BillingState
from sgpshop.services.outcomes import Outcome


def mark(session: Session, attempt_id: int, outcome: Outcome, now: datetime) -> None:
    """Write `outcome` of the attempt into its billing; what is in doubt stays as it is."""
    if outcome.state is AttemptState.UNKNOWN:
        return
    values: dict[str, Any] = {"error_codes": "|".join(outcome.codes)[:400]}
    if outcome.state is AttemptState.DONE:
        # Charged by API: that is the result.  By file it comes later.
        values |= {
            "state": sa.case(
                (Billing.by_file, BillingState.REGISTERED.value), else_=BillingState.PAID.value
            ),
            "registered_at": now,
            "result_at": sa.case((Billing.by_file, None), else_=now),
        }
    elif outcome.event is Event.BILL_POSTPONED:
        values["state"] = BillingState.POSTPONED
    else:
        values["state"] = BillingState.REFUSED
    session.execute(
        sa.update(Billing)
        .where(Billing.attempt_id == attempt_id)
        .values(values)
        .execution_options(synchronize_session=False)
    )
