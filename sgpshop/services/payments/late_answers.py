"""Answers that come when their attempt has ended otherwise: kept as evidence (P16).

They overwrite nothing.  One that contradicts raises a look-up, and that decides.
"""

from __future__ import annotations

import sqlalchemy as sa

from sgpshop import logs
from sgpshop.models import Attempt, AttemptState, CardTransaction, LateAnswer, join_codes, utc_now
from sgpshop.services.orders import history
from sgpshop.services.orders.acting import lock_order
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments.outcomes import Outcome
from sgpshop.storage.database import writing

_ENDED = (AttemptState.DONE, AttemptState.REJECTED)


def record(attempt_id: int, outcome: Outcome) -> None:
    """Write down what an answer would have made of the attempt, had it come in time."""
    if outcome.state not in _ENDED:
        return  # «we do not know» is no evidence
    now = utc_now()
    with writing() as session:
        order_id = session.scalars(
            sa.select(Attempt.order_id).where(Attempt.id == attempt_id)
        ).one()
        order = lock_order(session, order_id)  # first: its attempt may be ending just now
        attempt = session.get_one(Attempt, attempt_id, populate_existing=True)
        contradicts = attempt.state in _ENDED and attempt.state is not outcome.state
        session.add(
            LateAnswer(
                attempt_id=attempt_id,
                at=now,
                state=outcome.state,
                reason=outcome.reason,
                error_codes=join_codes(outcome.codes),
                tran_id=outcome.tran_id,
                is_contradiction=contradicts,
            )
        )
        if attempt.state is AttemptState.UNKNOWN:
            attempt.due_at = now
        elif contradicts:
            session.execute(
                sa.update(CardTransaction)
                .where(CardTransaction.id == attempt.transaction_id)
                .values(next_look_at=now)
            )
        history.record_change(
            order,
            "late_answer",
            Actor(attempt.actor_kind, attempt.actor),
            before=order.payment_status,
            attempt_id=attempt_id,
            operation=attempt.operation.label,
            said="完了" if outcome.state is AttemptState.DONE else "受け付けられない",
            codes=list(outcome.codes),
        )
    logs.event("late_answer", attempt=attempt_id, state=outcome.state, contradicts=contradicts)
