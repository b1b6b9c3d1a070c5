"""The results of registered sales: OK is told, NG becomes 売上失敗 with its code (T20, R105)."""

from __future__ import annotations

from datetime import date, timedelta

import sqlalchemy as sa

from sgpshop import logs
from sgpshop.domain.payment_status import Event, is_possible, next_status
from sgpshop.extensions import db
from sgpshop.gateway import GatewayError, ResultLine, SmbcGpGateway, TradeState
from sgpshop.models import (
    Billing,
    BillingFile,
    BillingState,
    CardTransaction,
    FileState,
    utc_now,
)
from sgpshop.services import gateway_facts, history, opening, settings
from sgpshop.services.billing.planning import WORKER
from sgpshop.services.database import writing

#: While there is no result they are asked for again after so long.
_PAUSE = timedelta(hours=1)
RESULT_WORDS = {
    "1": "有効性NG(カードが使えません)",
    "2": "照合エラー(確認できません)",
    "3": "入力データエラー(請求先のカード会社がありません)",
}


def fetch(gateway: SmbcGpGateway, window: date) -> int:
    """Ask for the results of the files sent in the month `window`; how many lines were told."""
    with writing() as session:  # first: whoever else asks now waits for an hour
        due = session.execute(
            sa.update(BillingFile)
            .where(BillingFile.window == window, BillingFile.results_due_at <= utc_now())
            .values(results_due_at=utc_now() + _PAUSE)
        )
        if not due.rowcount:  # type: ignore[attr-defined]
            return 0
    try:
        lines = gateway.fetch_monthly_result(f"{window:%Y%m}")
    except GatewayError as failure:
        logs.event("billing_results_not_read", window=str(window), reason=failure.reason)
        return 0
    if lines is None:
        return 0
    told = sum(_tell(line) for line in lines)
    waiting = sa.exists().where(
        Billing.file_id == BillingFile.id, Billing.state == BillingState.REGISTERED
    )
    with writing() as session:
        session.execute(
            sa.update(BillingFile)
            .where(BillingFile.window == window, BillingFile.state == FileState.CLOSED, ~waiting)
            .values(results_due_at=None)
        )
    logs.event("billing_results", window=str(window), lines=len(lines), told=told)
    return told


def _tell(line: ResultLine) -> bool:
    """Write one result down; False if it was told before or is not ours."""
    order_id = db.session.scalar(
        sa.select(Billing.order_id).where(
            Billing.gateway_order_id == line.order_id, Billing.state == BillingState.REGISTERED
        )
    )
    db.session.commit()
    if order_id is None:
        return False
    with writing() as session:
        order = opening.lock_order(session, order_id)
        billing = session.scalars(
            sa.select(Billing)
            .where(
                Billing.gateway_order_id == line.order_id,
                Billing.state == BillingState.REGISTERED,
            )
            .execution_options(populate_existing=True)
        ).one_or_none()
        if billing is None:
            return False
        if billing.amount != line.line.amount:
            logs.event("billing_result_differs", order=line.order_id, amount=line.line.amount)
            return False
        now = utc_now()
        billing.result_at = now
        billing.result = line.result.value
        billing.error_codes = "|".join(line.codes)[:400]
        billing.state = BillingState.PAID if line.is_charged else BillingState.NOT_PAID
        before = order.payment_status
        if line.is_charged:
            transaction = session.scalars(
                sa.select(CardTransaction).where(CardTransaction.gateway_order_id == line.order_id)
            ).one()
            gateway_facts.record_answer(
                transaction,
                TradeState.CAPTURE,
                billing.amount,
                tran_id=transaction.tran_id,
                at=now,
                valid_days=settings.load().auth_valid_days,
            )
        elif before is not None and is_possible(before, Event.BILL_NOT_PAID):
            order.payment_status = next_status(before, Event.BILL_NOT_PAID)
        order.version += 1
        order.updated_at = now
        session.flush()
        history.record(
            order.id,
            "bill_paid" if line.is_charged else "bill_not_paid",
            WORKER,
            before=before,
            after=order.payment_status,
            total=order.total,
            version=order.version,
            result=RESULT_WORDS.get(line.result.value, ""),
            codes=list(line.codes),
        )
    return True
