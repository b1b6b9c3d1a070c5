"""What is asked about each line before a monthly file holds it: is the order paid already, is its card kept?

Three or four questions a line.  10,000 lines at 0.3 s an answer are 10,000 x 4 x 0.3 s = 3 h 20 min of
waiting, and 67 minutes where GATEWAY_CONCURRENCY is 4: three are asked about at a time, so that
captures find a free connection (P23).  On the 10th the window is open from 06:00 for 18 hours.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from sgpshop.domain.payment_calendar import jst_day, start_of_day
from sgpshop.extensions import db
from sgpshop.gateway import GatewayError, GatewayRejected, GatewayUnreachable, SmbcGpGateway
from sgpshop.models import (
    Attempt,
    AttemptState,
    Billing,
    BillingState,
    CardTransaction,
    Operation,
    Order,
    Queue,
    utc_now,
)
from sgpshop.models.order import IS_THROUGH
from sgpshop.services.payments import clocks, other_numbers, outcomes, past_us, stored_cards
from sgpshop.services.payments.outcomes import Outcome
from sgpshop.services.payments.record import close
from sgpshop.storage.database import read_alone, writing
from sgpshop.storage.setbacks import OF_EVERYTHING, carefully, rests
from sgpshop.storage.stopping import is_stopping

log = logging.getLogger(__name__)

_BILL = Operation.BILL
#: Seconds after which other files have their turn; the lines that are left follow in the next.
_TURN = 60.0

#: To go into a file, and in none yet.
IS_PLANNED = sa.and_(
    Billing.state == BillingState.PLANNED,
    Billing.by_file,
    Billing.file_id.is_(None),
    Billing.attempt_id.in_(sa.select(Attempt.id).where(Attempt.is_open)),
)


def is_ready(now: datetime) -> sa.ColumnElement[bool]:
    """Condition: asked about today, and nothing our books know by `now` speaks against a file.

    What they learned of since then is asked about again, and not charged (P1).
    """
    return sa.and_(
        Billing.ready_at.is_not(None),  # so that the contrary is no NULL
        Billing.ready_at >= start_of_day(jst_day(now)),
        sa.exists()
        .where(
            CardTransaction.gateway_order_id == Billing.gateway_order_id,
            CardTransaction.card_seq.is_not(None),
            ~CardTransaction.others_live,
            Order.id == CardTransaction.order_id,
            ~Order.is_called_off,
            IS_THROUGH,
        )
        .correlate(Billing),
        ~past_us.learned(Billing.order_id, Billing.ready_at),
    )


def prepare(gateway: SmbcGpGateway, within: float | None = None) -> bool:
    """Ask about lines for `within` seconds; whether nobody waits for another turn.

    A line for which nothing speaks is ready, and stays so for the day, whatever becomes of this
    process.  Any other is refused or put off with its reason (T19), and holds up nobody.
    """
    app, until = current_app._get_current_object(), time.monotonic() + (within or _TURN)  # type: ignore[attr-defined]

    def ask(billing_id: int) -> bool:
        with app.app_context():
            if time.monotonic() >= until or is_stopping():
                return False
            carefully(Queue.BILLING_LINE, [billing_id], partial(_prepare, gateway, billing_id))
        return True

    connections: int = app.config["GATEWAY_CONCURRENCY"]
    with ThreadPoolExecutor(max(1, connections - 1), "billing") as pool:
        return all(list(pool.map(ask, _unprepared())))


def _unprepared() -> list[int]:
    wanted = sa.select(Billing.id).where(
        IS_PLANNED, ~is_ready(utc_now()), ~rests(Queue.BILLING_LINE, Billing.id)
    )
    return read_alone(wanted.order_by(Billing.id))


def _prepare(gateway: SmbcGpGateway, billing_id: int) -> None:
    row = db.session.execute(
        sa.select(Billing.order_id, Billing.attempt_id, Attempt.lease, Billing.gateway_order_id)
        .join(Attempt, Attempt.id == Billing.attempt_id)
        .where(Billing.id == billing_id)
    ).one()
    db.session.commit()
    # Before: what is learned of while we ask speaks against it as well, by whatever machine's clock.
    asked_at = utc_now() - clocks.TOLERANCE
    outcome = _ask(gateway, row.order_id, row.gateway_order_id)
    if outcome is None:
        with writing() as session:
            session.execute(
                sa.update(Billing)
                .where(Billing.id == billing_id, Billing.attempt_id == row.attempt_id)
                .values(ready_at=asked_at)
            )
        return
    with writing() as session:
        are_meant = sa.and_(Billing.id == billing_id, Billing.file_id.is_(None))
        mark_sending(session, are_meant, is_sent=False)
    close(row.attempt_id, row.lease, outcome)  # unless another worker put it into a file meanwhile


def _ask(gateway: SmbcGpGateway, order_id: int, gateway_order_id: str) -> Outcome | None:
    """How the registration ends before it began; None: it is unpaid, and its card is kept."""
    order = db.session.execute(
        sa.select(Order.payment_status, Order.is_called_off, IS_THROUGH.label("is_through")).where(
            Order.id == order_id
        )
    ).one()
    db.session.commit()  # no transaction is open while we wait for the network (P8)
    if order.is_called_off:
        return outcomes.called_off(_BILL, order.payment_status)
    if not order.is_through:
        return outcomes.rejected(_BILL, outcomes.NOT_THROUGH)
    try:
        paid = other_numbers.paid_there(gateway, _BILL, order_id, gateway_order_id, by_file=True)
        if paid is None:
            stored_cards.for_later(gateway, order_id)
        return paid
    except stored_cards.NoCard as problem:
        return outcomes.rejected(_BILL, problem.reason)
    except GatewayRejected as refusal:
        return outcomes.rejected(_BILL, refusal.reason, refusal.codes)
    except GatewayUnreachable as failure:
        return outcomes.unreachable(_BILL, failure.reason)
    except GatewayError:  # keeping a card moves no money: it is put off, and asked for again
        return outcomes.rejected(_BILL, "look_failed")
    except OF_EVERYTHING:
        raise
    except Exception:  # a fault of ours about this order: nothing was sent to charge it
        log.exception("preparing the registration of %s broke off", gateway_order_id)
        return outcomes.rejected(_BILL, "broke_off")


def mark_sending(
    session: Session, are_meant: sa.ColumnElement[bool], *, is_sent: bool = True
) -> None:
    """Their attempts are under way.  Without a due time: the file is what is tried again.

    What ends before any file had it (not `is_sent`) put nothing under its number (P1).
    """
    sent = {"sent_at": utc_now(), "tries": Attempt.tries + 1} if is_sent else {}
    session.execute(
        sa.update(Attempt)
        .where(
            Attempt.id.in_(sa.select(Billing.attempt_id).where(are_meant)),
            # Under way and not sent: whoever was about to end it never came back.
            sa.or_(
                Attempt.state == AttemptState.QUEUED,
                sa.and_(Attempt.state == AttemptState.SENDING, Attempt.sent_at.is_(None)),
            ),
        )
        .values(state=AttemptState.SENDING, **sent)
        .execution_options(synchronize_session=False)
    )
