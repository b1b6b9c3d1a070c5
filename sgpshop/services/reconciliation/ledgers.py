"""Are our books and SMBC-GP's the same?  Asks about every order, changes nothing (P4).

An order with an operation under way or in doubt is listed as open, but is no difference: how it
stands is what that operation's look-ups are about to decide, and P4 promises agreement only when
nothing is open.  What could not be asked is listed too, for then nobody knows that it agrees.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from flask import current_app

from sgpshop.domain.billing_calendar import results_at
from sgpshop.domain.order_number import at_gateway
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import agrees
from sgpshop.domain.shop_terms import BillingMode
from sgpshop.extensions import db
from sgpshop.gateway import (
    GatewayError,
    GatewayRejected,
    GatewayUnreachable,
    SmbcGpGateway,
    TradeStatus,
    without_answer,
)
from sgpshop.models import (
    SGP_METHOD,
    Attempt,
    Billing,
    BillingFile,
    BillingState,
    CardTransaction,
    Operation,
    Order,
    OrderKind,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.payments import past_us, transaction_lookup, transaction_numbers
from sgpshop.services.payments.gateway_access import current_gateway
from sgpshop.services.payments.transactions import describe, found_event
from sgpshop.services.payments.unknown_numbers import IS_OURS
from sgpshop.storage.among import among
from sgpshop.storage.database import read_alone

_CHUNK = 200
#: An order that changed while we asked is asked about again, so often.
_AGAIN = 3
_PAUSE = 1.0
_RESULT_DAY = timedelta(days=1)


class Verdict(StrEnum):
    """How one order came out."""

    AGREES = "agrees"
    DIFFERENCE = "difference"
    OPEN = "open"
    UNANSWERED = "unanswered"
    #: we hold it as another way of payment
    OTHER_METHOD = "other_method"


@dataclass(frozen=True)
class BookedOrder:
    """One order as our books say.  Amounts are yen."""

    id: int
    order_no: str
    kind: OrderKind
    version: int
    payment_status: PaymentStatus
    total: int
    gateway_order_id: str
    access_id: str | None
    gateway_amount: int | None
    captured_amount: int | None
    is_charge: bool
    operation: Operation | None
    #: when that operation was asked for
    since: datetime | None
    #: month in whose window the monthly file was sent whose result is still to come
    awaits_result_of: date | None
    #: the buyer may have paid under a number that nobody here entered
    may_be_paid_past_us: bool
    #: the numbers it used before, under which nothing may be left
    earlier: tuple[str, ...] = ()
    #: behind it no number is known to our books, but may be to SMBC-GP (P36)
    last_number: int = 0
    #: but for these, of which SMBC-GP told (past_us)
    named: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True)
class Comparison:
    """Both sides of one order; `why` says in words what differs or why nobody knows."""

    ours: BookedOrder
    verdict: Verdict
    trade: TradeStatus | None = None
    why: str = ""
    #: what is left under earlier numbers
    left: tuple[TradeStatus, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The form of `compare-ledgers --json`."""
        ours, trade = self.ours, self.trade
        is_answered = self.verdict is not Verdict.UNANSWERED
        return {
            "order_no": ours.order_no,
            "result": self.verdict.value,
            "why": self.why,
            "payment_status": ours.payment_status.value,
            "total": ours.total,
            "gateway_amount": ours.gateway_amount,
            "gateway": {
                "order_id": ours.gateway_order_id,
                "status": trade.raw_status if trade else None,
                "amount": trade.total if trade else None,
            }
            if is_answered
            else None,
            "left": [
                {"order_id": t.order_id, "status": t.raw_status, "amount": t.total}
                for t in self.left
            ],
            "open_operation": ours.operation.value if ours.operation else None,
            "open_since": ours.since.isoformat() if ours.since else None,
        }

    def as_line(self) -> str:
        """The same as a line for people."""
        ours = self.ours
        held = "-" if ours.gateway_amount is None else f"{ours.gateway_amount:,}円"
        there = "照会できず" if self.verdict is Verdict.UNANSWERED else describe(self.trade)
        return (
            f"{ours.order_no}  こちら: {ours.payment_status.label} {ours.total:,}円"
            f"(SMBC-GP側金額 {held})  SMBC-GP: {there}  {self.why}"
        )


def compare(order_nos: Collection[str] = ()) -> Iterator[Comparison]:
    """Every order paid by SGP card, or those with the numbers given, beside SMBC-GP's answer.

    GATEWAY_CONCURRENCY look-ups at a time, by order id.  Raises ShopError without a contract.
    """
    gateway = current_gateway()
    connections: int = current_app.config["GATEWAY_CONCURRENCY"]
    ask = _Asker(gateway, current_app.config["CONGESTION_TRIES"])
    cursor = 0
    with ThreadPoolExecutor(connections, "compare") as pool:
        while chunk := _read(sa.and_(Order.id > cursor, _named(order_nos)), _CHUNK):
            cursor = chunk[-1].id
            for ours, answers in zip(chunk, pool.map(ask, chunk), strict=True):
                yield _settled(ours, answers, ask)


@dataclass(frozen=True)
class OtherMethod:
    """An order we hold as one of another way of payment, though SMBC-GP has money under its number."""

    order_no: str
    method: str
    #: None: it could not be asked about
    trade: TradeStatus | None

    def as_json(self) -> dict[str, Any]:
        """The form of `compare-ledgers --others --json`."""
        trade = self.trade
        return {
            "order_no": self.order_no,
            "result": (Verdict.OTHER_METHOD if trade else Verdict.UNANSWERED).value,
            "method": self.method,
            "gateway": trade
            and {"order_id": trade.order_id, "status": trade.raw_status, "amount": trade.total},
        }

    def as_line(self) -> str:
        """The same as a line for people."""
        there = describe(self.trade) if self.trade else "照会できず"
        what_next = "注文の画面でSGPカード決済の注文に直せます" if self.trade else ""
        return f"{self.order_no}  こちら: {self.method}  SMBC-GP: {there}  {what_next}"


def compare_others() -> Iterator[OtherMethod | None]:
    """Every order of another way of payment; None where SMBC-GP holds nothing under its number.

    Raises ShopError without a contract.
    """
    connections: int = current_app.config["GATEWAY_CONCURRENCY"]
    ask = _Asker(current_gateway(), current_app.config["CONGESTION_TRIES"]).ask
    cursor = 0
    with ThreadPoolExecutor(connections, "compare") as pool:
        while chunk := _read_others(cursor):
            cursor = chunk[-1].id
            numbers = {at_gateway(order.order_no): order for order in chunk}
            for used in _used(list(numbers)):  # `#1001` beside `1001`, which is paid by SGP card
                del numbers[used]
            for order, found in zip(numbers.values(), pool.map(ask, numbers), strict=True):
                if isinstance(found, GatewayError):
                    yield OtherMethod(order.order_no, order.method, None)
                elif found is not None and found.state.is_live:
                    yield OtherMethod(order.order_no, order.method, found)
                else:
                    yield None


def _read_others(cursor: int) -> Sequence[sa.Row[int, str, str]]:
    rows = db.session.execute(
        sa.select(Order.id, Order.order_no, Order.method)
        .where(Order.id > cursor, Order.method != SGP_METHOD)
        .order_by(Order.id)
        .limit(_CHUNK)
    ).all()
    db.session.commit()  # no transaction is open while we wait for the network (P8)
    return rows


def _used(numbers: Sequence[str]) -> set[str]:
    column = CardTransaction.gateway_order_id
    return set(read_alone(sa.select(column).where(among(column, numbers))))


def unknown_numbers(order_nos: Collection[str]) -> list[str]:
    """Which of these numbers are no order paid by SGP card."""
    known = {ours.order_no for ours in _read(_named(order_nos), len(order_nos))}
    return [number for number in order_nos if number not in known]


_Answer = TradeStatus | GatewayError | None
#: for the number that counts, and then for all others
_Answers = tuple[_Answer, ...]


class _Asker:
    """Looks all numbers of one order up, after a pause where the gateway is congested."""

    def __init__(self, gateway: SmbcGpGateway, tries: int) -> None:
        self._gateway = gateway
        self._tries = tries

    def __call__(self, ours: BookedOrder) -> _Answers:
        answers = [self.ask(number) for number in (ours.gateway_order_id, *ours.earlier)]
        trade = answers[0]
        is_paid = isinstance(trade, TradeStatus) and trade.state.is_live
        is_alone = ours.kind is OrderKind.NORMAL and not ours.may_be_paid_past_us
        if is_paid and is_alone:  # nothing is charged after it
            return tuple(answers)
        after = transaction_lookup.numbers_after(
            ours.order_no, ours.last_number, self._search, named=dict(ours.named)
        )
        try:
            answers.extend(found for _, found in after)
        except GatewayError as failure:
            answers.append(failure)
        return tuple(answers)

    def ask(self, gateway_order_id: str) -> _Answer:
        """What is there under one number, or why nobody knows."""
        try:
            return self._search(gateway_order_id)
        except GatewayError as failure:
            return failure

    def _search(self, gateway_order_id: str) -> TradeStatus | None:
        for number in range(1, self._tries + 1):
            try:
                return self._gateway.search_trade(gateway_order_id)
            except GatewayError as failure:
                is_passing = isinstance(failure, GatewayUnreachable) or (
                    isinstance(failure, GatewayRejected) and failure.is_congestion
                )
                if not is_passing or number == self._tries:
                    raise
                time.sleep(_PAUSE * number)
        raise AssertionError("unreachable")


def _settled(
    ours: BookedOrder, answers: _Answers, ask: Callable[[BookedOrder], _Answers]
) -> Comparison:
    """The comparison, asked again while the order changes under our eyes."""
    found = _compared(ours, answers)
    for _ in range(_AGAIN):
        if found.verdict is not Verdict.DIFFERENCE:
            break
        [now] = _read(Order.id == ours.id, 1)
        if now == ours:
            break
        ours = now
        found = _compared(ours, ask(ours))
    return found


def _compared(ours: BookedOrder, answers: _Answers) -> Comparison:
    trades: list[TradeStatus | None] = []
    for answer in answers:
        if isinstance(answer, GatewayError):
            why = without_answer(answer.reason)
            return Comparison(ours, Verdict.UNANSWERED, None, why)
        trades.append(answer)
    trade, *earlier = trades
    left = tuple(one for one in earlier if one is not None and one.state.is_live)
    if left:
        others = transaction_numbers.of_other_orders(db.session(), ours.id, ours.order_no)
        left = tuple(one for one in left if one.order_id not in others)
    if ours.operation is not None:
        why = f"{ours.operation.label}の結果待ち"
        return Comparison(ours, Verdict.OPEN, trade, why, left)
    remains = [f"別の取引が残っています({t.order_id} {describe(t)})" for t in left]
    why = "、".join([*_differences(ours, trade), *remains])
    return Comparison(ours, Verdict.DIFFERENCE if why else Verdict.AGREES, trade, why, left)


def _differences(ours: BookedOrder, trade: TradeStatus | None) -> Iterator[str]:
    if trade is not None and ours.access_id and trade.access.access_id != ours.access_id:
        yield "取引IDが異なります"
        return
    event = found_event(ours, trade)
    if event is None:
        yield "SMBC-GPの状態を判断できません"
        return
    if not agrees(ours.payment_status, event):
        yield "状態が異なります"
    elif _is_never_charged(ours, trade):
        yield "売上報告済ですが、請求されていません"
    if trade is None or not (trade.state.is_authorized or trade.state.is_captured):
        return
    if ours.gateway_amount != trade.total:
        yield "SMBC-GP側金額が異なります"
    elif trade.state.is_captured and ours.captured_amount != trade.total:
        yield "売上の金額が異なります"


def _is_never_charged(ours: BookedOrder, trade: TradeStatus | None) -> bool:
    """A reported sale that was not made by the day of results (R105); before it, it has its time."""
    is_reported = ours.payment_status is PaymentStatus.BILLING_REPORTED and ours.is_charge
    if not is_reported or not (trade is None or trade.state.is_unfinished):
        return False
    if ours.awaits_result_of is None:
        return True
    mode = BillingMode(settings.load().billing_mode)
    return utc_now() >= results_at(ours.awaits_result_of, mode.result_day) + _RESULT_DAY


def _named(order_nos: Collection[str]) -> sa.ColumnElement[bool]:
    return among(Order.order_no, order_nos) if order_nos else sa.true()


def _read(are_meant: sa.ColumnElement[bool], limit: int) -> list[BookedOrder]:
    rows = db.session.execute(
        sa.select(
            Order.id,
            Order.order_no,
            Order.kind,
            Order.version,
            Order.payment_status,
            Order.total,
            sa.func.coalesce(CardTransaction.gateway_order_id, Order.order_no),
            CardTransaction.access_id,
            CardTransaction.gateway_amount,
            CardTransaction.captured_amount,
            sa.func.coalesce(CardTransaction.is_charge, sa.false()),
            Attempt.operation,
            sa.func.coalesce(Attempt.uncertain_since, Attempt.created_at),
            sa.select(sa.func.max(BillingFile.window))
            .join(Billing, Billing.file_id == BillingFile.id)
            .where(
                Billing.gateway_order_id == CardTransaction.gateway_order_id,
                Billing.state == BillingState.REGISTERED,
            )
            .correlate(CardTransaction)
            .scalar_subquery(),
            past_us.MAY_BE_PAID,
        )
        .outerjoin(Order.transaction)
        .outerjoin(Order.open_attempt)
        .where(Order.method == SGP_METHOD, are_meant)
        .order_by(Order.id)
        .limit(limit)
    ).all()
    earlier = defaultdict[int, list[str]](list)
    for order_id, number in db.session.execute(
        sa.select(CardTransaction.order_id, CardTransaction.gateway_order_id)
        .where(
            among(CardTransaction.order_id, [row[0] for row in rows]),
            ~CardTransaction.is_current,
            transaction_lookup.MAY_HOLD_MONEY,
        )
        .order_by(CardTransaction.sequence)
    ):
        earlier[order_id].append(number)
    last = {
        row.order_id: row.last
        for row in db.session.execute(
            sa.select(CardTransaction.order_id, sa.func.max(CardTransaction.sequence).label("last"))
            # Behind the last of ours: a strange one leaves a gap that others may have paid in.
            .where(among(CardTransaction.order_id, [row[0] for row in rows]), IS_OURS)
            .group_by(CardTransaction.order_id)
        )
    }
    named = past_us.named(db.session(), [row[0] for row in rows])
    db.session.commit()  # no transaction is open while we wait for the network (P8)
    return [
        _made(*row, tuple(earlier[row[0]]), last.get(row[0], 0), frozenset(named[row[0]].items()))
        for row in rows
    ]


#: The statement gives the fields by position; a checker cannot follow that.
_made: Callable[..., BookedOrder] = BookedOrder
