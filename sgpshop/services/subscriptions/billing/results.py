"""The results of registered sales: OK is told, NG becomes 売上失敗 with its code (T20, R105).

A sale that was made always counts: also of a line that we took for not registered, and with another
amount than we wanted.  What is missing is asked for by its number, and then told.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.billing_calendar import RESULTS_OVERDUE, results_at, written
from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_status import Event, PaymentStatus, is_possible, next_status
from sgpshop.domain.reconciliation import BEFORE_CHARGE, AlertKind, decide
from sgpshop.domain.shop_terms import BillingMode
from sgpshop.extensions import db
from sgpshop.gateway import GatewayError, ResultLine, SmbcGpGateway, TradeState, TradeStatus
from sgpshop.models import (
    Alert,
    Billing,
    BillingFile,
    BillingState,
    CardTransaction,
    FileState,
    HistoryEntry,
    MonthlyResults,
    Order,
    join_codes,
    table_of,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.orders import acting, alerts, history, subscription_rounds
from sgpshop.services.orders.history import WORKER
from sgpshop.services.payments import (
    filed_numbers,
    transaction_lookup,
    transaction_numbers,
    transactions,
    unknown_numbers,
)
from sgpshop.services.payments.filed_numbers import ASK_AGAIN, NOTHING_READ
from sgpshop.storage.database import insert, read_alone, writing
from sgpshop.storage.setbacks import OF_EVERYTHING

log = logging.getLogger(__name__)

#: While there is no result they are asked for again after so long; and when they are overdue.
_PAUSE, _LATE_PAUSE = timedelta(hours=1), ASK_AGAIN
RESULT_WORDS = {
    "1": "有効性NG(カードが使えません)",
    "2": "照合エラー(確認できません)",
    "3": "入力データエラー(請求先のカード会社がありません)",
}
_CLOSED = BillingFile.state == FileState.CLOSED


def overdue_since(window: date, mode: str) -> datetime:
    """From when on results of what was registered in the month `window` are overdue, in UTC."""
    return results_at(window, BillingMode(mode).result_day) + RESULTS_OVERDUE


def next_question(window: date, now: datetime) -> datetime:
    """When results of that month are asked for after a question at `now`, or for the first time."""
    mode = settings.load().billing_mode
    pause = _LATE_PAUSE if now >= overdue_since(window, mode) else _PAUSE
    return max(now + pause, results_at(window, BillingMode(mode).result_day))


def fetch(gateway: SmbcGpGateway, window: date) -> int:
    """Ask for the results of the files sent in the month `window`; how many lines were told.

    Files of ours want them, or a number of a file that our books do not know.
    """
    now = utc_now()
    is_late = now >= overdue_since(window, settings.load().billing_mode)
    again = now + (_LATE_PAUSE if is_late else _PAUSE)
    with writing() as session:  # first: whoever else asks now waits for an hour
        of_ours = session.execute(
            sa.update(BillingFile)
            .where(BillingFile.window == window, BillingFile.results_due_at <= now)
            .values(results_due_at=again)
        )
        of_any = session.execute(
            sa.update(MonthlyResults)
            .where(MonthlyResults.window == window, MonthlyResults.due_at <= now)
            .values(due_at=again)
        )
        if not of_ours.rowcount and not of_any.rowcount:  # type: ignore[attr-defined]
            return 0
        first = {"window": window, "due_at": again} | NOTHING_READ
        table = table_of(MonthlyResults)
        session.execute(insert(session, table).values(first).on_conflict_do_nothing())
        if is_late:  # nothing was registered, and nothing of it came after all
            _nothing_more(session, window)
            _unless_waited_for(session, window)
    try:
        lines = gateway.fetch_monthly_result(f"{window:%Y%m}")
    except GatewayError as failure:
        logs.event("billing_results_not_read", window=str(window), reason=failure.reason)
        return 0
    if lines is None and not _is_closed(window):
        return 0
    lines = lines or []
    _read(window, [line.order_id for line in lines if not line.is_charged])
    told, fault, is_busy = _tell_all(window, lines)
    for order_no in _missing(window, {line.order_id for line in lines}):
        _look_for(gateway, window, order_no)
    if fault is not None:
        raise fault  # noted, and all of it told again soon
    with writing() as session:
        _nothing_more(session, window)
        if is_busy:
            session.get_one(MonthlyResults, window).due_at = again
    logs.event("billing_results", window=str(window), lines=len(lines), told=told)
    return told


def _read(window: date, not_charged: Collection[str] = (), *, is_closed: bool = False) -> None:
    """Results of that month are here, or none come: these numbers, or all, stay uncharged (P1)."""
    with writing() as session:
        row = session.get(MonthlyResults, window) or MonthlyResults(window=window, **NOTHING_READ)
        row.due_at, row.read_at = None, row.read_at or utc_now()
        row.not_charged = sorted({*row.not_charged, *not_charged})
        row.is_closed = row.is_closed or is_closed
        session.add(row)


def _unless_waited_for(session: Session, window: date) -> None:
    """Overdue results are asked for this once, where no number is perhaps in a file our books do not
    know: whoever sees such a number asks for them anew (filed_numbers.whose).
    """
    if not session.scalar(sa.select(unknown_numbers.IS_ANY_PERHAPS_FILED)):
        this_month = sa.update(MonthlyResults).where(MonthlyResults.window == window)
        session.execute(this_month.values(due_at=None))


def give_up(window: date) -> None:
    """A person says, after asking SMBC-GP, that no results of that month come any more.

    The worker looks each line up that waits for one: what was not charged is 売上失敗, to be registered
    anew.  Raises ShopError while they are not overdue.
    """
    if utc_now() < overdue_since(window, settings.load().billing_mode):
        raise ShopError(f"{written(window)} の結果は、まだ届く可能性があります。")
    _read(window, is_closed=True)
    with writing() as session:
        session.execute(
            sa.update(BillingFile)
            .where(BillingFile.window == window, BillingFile.results_due_at.is_not(None))
            .values(results_due_at=utc_now())
        )
    logs.event("billing_results_given_up", window=str(window))


def _is_closed(window: date) -> bool:
    closed = sa.select(MonthlyResults.window).where(
        MonthlyResults.window == window, MonthlyResults.is_closed
    )
    return bool(read_alone(closed))


class _Busy(Exception):
    """An operation is under way with the order: it is told after that."""


def _tell_all(window: date, lines: list[ResultLine]) -> tuple[int, Exception | None, bool]:
    """How many lines were told; what broke one off, which must not hold up the others; whether one waits."""
    told, fault, is_busy = 0, None, False
    for line in lines:
        try:
            told += _tell(window, line)
        except _Busy:
            is_busy = True
        except OF_EVERYTHING:
            raise
        except Exception as error:
            log.exception("the result of %s broke off", line.order_id)
            fault = error
    return told, fault, is_busy


def _nothing_more(session: Session, window: date) -> None:
    """Files of that month of which no line waits for its result are not asked about any more."""
    waiting = sa.exists().where(
        Billing.file_id == BillingFile.id, Billing.state == BillingState.REGISTERED
    )
    session.execute(
        sa.update(BillingFile)
        .where(BillingFile.window == window, _CLOSED, ~waiting)
        .values(results_due_at=None)
        .execution_options(synchronize_session=False)
    )


def _tell(window: date, line: ResultLine) -> bool:
    """Write one result down; False if it was told before, is not ours, or says nothing new.

    Under a number that was only meant for the order another's sale may stand: look-ups ask whose it is.
    Raises _Busy.
    """
    number = line.order_id
    transaction = _transaction_of(number)
    order_id = unknown_numbers.may_be_of(number) if transaction is None else transaction.order_id
    if order_id is None:
        return False
    if transaction is None and line.is_charged:
        with suppress(ShopError):  # all numbers of its order are used up
            transaction_lookup.look_soon_at(unknown_numbers.keep_named(number))
        return False
    with writing() as session:
        order = acting.lock_order(session, order_id)
        billing = _billing(session, order_id, number)
        if line.is_charged and billing is not None and billing.state is BillingState.PAID:
            return False
        token = None if line.is_charged else _token(session, window, number)
        is_ours = transaction is not None and unknown_numbers.is_ours(session, transaction.id)
        is_meant = billing is not None and (line.is_charged or _is_waiting(session, billing))
        #: the sale that the result ends
        sale = billing if is_ours and is_meant else None
        if sale is None and token is None and not line.is_charged:
            return False
        if order.open_attempt is not None:
            raise _Busy
        if line.is_charged:
            if sale is not None:
                return _charged(session, order, sale, line.line.amount, "bill_paid")
            _look_at(session, order, number)
            return False
        words: dict[str, Any] = {
            "result": RESULT_WORDS.get(line.result.value) or "理由の記載なし",
            "codes": list(line.codes),
            "request_token": token,
        }
        if sale is None:
            _heard(session, order, number, words)
            return True
        _not_charged(session, order, sale, "bill_not_paid", words)
        sale.result = line.result.value
        sale.error_codes = join_codes(line.codes)
    return True


def _is_waiting(session: Session, billing: Billing) -> bool:
    """Whether a refusal ends this sale: its line was registered, or is put off, and may have been there."""
    if billing.state is not BillingState.POSTPONED:
        return billing.state is BillingState.REGISTERED
    was_told = bool(billing.result)
    return not was_told and filed_numbers.was_filed(session, billing.gateway_order_id)


def _token(session: Session, window: date, number: str) -> str | None:
    """What the entry about the refusal of that number in results of that month has; None: it was told."""
    token = filed_numbers.token_of(window, number)
    was_told = sa.exists().where(HistoryEntry.request_token == token)
    return None if session.scalar(sa.select(was_told)) else token


def _heard(session: Session, order: Order, number: str, words: dict[str, Any]) -> None:
    """Refused under a number of the locked order that ends nothing here: told, and looked at.

    A line of a file that our books do not know, or one that was charged, refused or given up before.
    """
    _look_at(session, order, number)
    before = order.payment_status
    history.record_change(order, "bill_result_heard", WORKER, before=before, number=number, **words)


def _look_at(session: Session, order: Order, number: str) -> None:
    are_meant = sa.or_(CardTransaction.gateway_order_id == number, CardTransaction.is_current)
    transaction_lookup.make_due(session, sa.and_(CardTransaction.order_id == order.id, are_meant))


def _not_charged(
    session: Session, order: Order, billing: Billing, sentence: str, words: dict[str, Any]
) -> None:
    """SMBC-GP did not make this sale; no operation is under way with the locked order."""
    billing.result_at = utc_now()
    billing.state = BillingState.NOT_PAID
    billing.retry_at = None
    before, there = order.payment_status, order.transaction
    if before is not None and is_possible(before, Event.BILL_NOT_PAID):
        # The order may be paid under another number by now; but not where that was given back, or
        # only holds money.
        is_other = there is not None and there.gateway_order_id != billing.gateway_order_id
        if there is not None and is_other and _is_unpaid(order, there):
            there = transaction_numbers.return_to(order, billing.gateway_order_id)
            transaction_numbers.tell_left(session, order)
        if there is not None and there.gateway_order_id == billing.gateway_order_id:
            order.payment_status = next_status(before, Event.BILL_NOT_PAID)
            # One that was called the order's while its line was under way pays it from now on.
            for other in transaction_numbers.live_elsewhere([order.id]):
                if other.is_captured:
                    transactions.look_now(other)
            for kind in BEFORE_CHARGE:
                alerts.mended(session, order.id, kind, WORKER.name, utc_now())
    history.record_change(order, sentence, WORKER, before=before, **words)


def _is_unpaid(order: Order, current: CardTransaction) -> bool:
    """Whether what counts was given back or only holds money, and nothing is taken elsewhere."""
    state = TradeState.of(current.gateway_state or "")
    others = transaction_numbers.live_elsewhere([order.id])
    return (state.is_cancelled or state.is_authorized) and not any(o.is_captured for o in others)


def _charged(
    session: Session,
    order: Order,
    billing: Billing,
    yen: int,
    sentence: str,
    trade: TradeStatus | None = None,
) -> Literal[True]:
    """SMBC-GP made this sale, of `yen`; no operation is under way with the locked order."""
    now, shop = utc_now(), settings.load()
    transaction = session.scalars(
        sa.select(CardTransaction).where(
            CardTransaction.gateway_order_id == billing.gateway_order_id
        )
    ).one()
    if trade is not None:
        transactions.record_trade(transaction, trade, shop)
    else:
        transactions.record_answer(
            transaction,
            TradeState.CAPTURE,
            yen,
            tran_id=transaction.tran_id,
            at=now,
            valid_days=shop.auth_valid_days,
        )
    billing.state = BillingState.PAID
    billing.registered_at = billing.registered_at or now
    billing.result_at = now
    billing.result = billing.error_codes = ""
    billing.retry_at = None
    before = order.payment_status
    found = f"{TradeState.CAPTURE.label} {yen:,}円"
    alerts.money_is_there(session, order, is_taken=True, now=now, news=found)
    decision = decide(before, Event.FOUND_BILLED, total=yen, found_total=yen)
    is_paid_by_it = transaction.is_current or transaction_numbers.pays_instead(order, transaction)
    if not is_paid_by_it:  # the order is paid, or may be billed, under another number
        session.flush()
        transaction_numbers.tell_left(session, order)
    elif decision is not None:
        if before is PaymentStatus.CANCELLED is not decision.after:
            subscription_rounds.share_if_taken(session, order)
        order.payment_status = decision.after
        alerts.raise_for(session, order.id, before, decision, found=found, total=order.total)
    if yen != order.total:  # what was charged counts, whatever was filed; and a person must know
        kind = AlertKind.AMOUNT_DIFFERS
        alerts.raise_kind(session, order.id, kind, before=before, found=found, total=order.total)
    history.record_change(order, sentence, WORKER, before=before, result="", codes=[], found=found)
    return True


def _missing(window: date, answered: Collection[str]) -> list[str]:
    """Numbers at SMBC-GP that were registered in that month, and of which its result says nothing."""
    numbers = read_alone(
        sa.select(Billing.gateway_order_id)
        .join(BillingFile, BillingFile.id == Billing.file_id)
        .where(BillingFile.window == window, _CLOSED, Billing.state == BillingState.REGISTERED)
        .order_by(Billing.id)
    )
    return [number for number in numbers if number not in answered]


def _look_for(gateway: SmbcGpGateway, window: date, gateway_order_id: str) -> None:
    """A line is missing in a result that came: SMBC-GP may know more, else a person must know.

    Or has said already that nothing of that month is charged any more.
    """
    transaction = _transaction_of(gateway_order_id)
    try:
        trade = gateway.search_trade(gateway_order_id)
    except GatewayError as failure:
        logs.event("billing_line_not_asked", order=gateway_order_id, reason=failure.reason)
        return
    if transaction is None:
        return
    order_id = transaction.order_id
    with writing() as session:
        order = acting.lock_order(session, order_id)
        billing = _billing(session, order_id, gateway_order_id)
        if billing is None or billing.state is not BillingState.REGISTERED:
            return
        if order.open_attempt is not None:  # asked for again
            return
        if trade is not None and trade.state.is_captured:
            _charged(session, order, billing, trade.total, "bill_paid", trade)
            return
        found = transactions.describe(trade)
        if (trade is None or trade.state.is_unfinished) and _is_closed(window):
            _not_charged(session, order, billing, "bill_given_up", {"found": found})
            return
        was_told = session.scalar(
            sa.select(
                sa.exists().where(
                    Alert.order_id == order_id,
                    Alert.kind == AlertKind.RESULT_MISSING,
                    Alert.since >= (billing.registered_at or billing.planned_at),
                )
            )
        )
        if not was_told:
            alerts.raise_kind(
                session,
                order_id,
                AlertKind.RESULT_MISSING,
                before=order.payment_status,
                found=found,
                total=billing.amount,
            )


def _transaction_of(gateway_order_id: str) -> Any:
    """The transaction with that number: its id and `order_id`; None if our books have none."""
    found = db.session.execute(
        sa.select(CardTransaction.id, CardTransaction.order_id).where(
            CardTransaction.gateway_order_id == gateway_order_id
        )
    ).one_or_none()
    db.session.commit()
    return found


def _billing(session: Session, order_id: int, gateway_order_id: str) -> Billing | None:
    """The order's latest row of that number: one taken back and delivered again may have two."""
    found: Billing | None = session.scalars(
        sa.select(Billing)
        .where(Billing.order_id == order_id, Billing.gateway_order_id == gateway_order_id)
        .order_by(Billing.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    ).one_or_none()
    return found
