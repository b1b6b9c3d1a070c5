"""Whose yen are where at the end of a life: the gateway's ledger against our database, nothing else.

Every yen that SMBC-GP holds or took for an order, under all its numbers, is in our books under the
same order, once; whatever is not as it should be stands on a list that somebody sees; nothing waits
for ever.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.billing_calendar import end_of, month_of, next_month, registers_at
from sgpshop.domain.bounds import FIRST_DAY, LAST_DAY
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.order_acts import is_return_open
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    Alert,
    Attempt,
    AttemptState,
    Billing,
    BillingFile,
    BillingState,
    CardTransaction,
    FiledNumber,
    MoneyMovement,
    Operation,
    Order,
    OrderKind,
    utc_now,
)
from sgpshop.services import journals, settings
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.subscriptions.stages import NEEDS_REMINDER, needs_attention
from sgpshop.simulator.processing import BY_FILE
from tests.gateway_world import World
from tests.services.acting import TANAKA

S = PaymentStatus
_TAKEN = {"SALES", "CAPTURE"}
_HELD = {"AUTH"}
_PAID = {S.CAPTURED, S.BILLING_REPORTED}
#: these stand on tiles of the first page by themselves
_ON_A_TILE = {S.AUTHORIZED, S.CAPTURE_FAILED, S.NEEDS_REVIEW}
#: as far as a look-up may lie behind its time when everything has been worked off
_PATIENCE = timedelta(hours=1)

Trade = Mapping[str, Any]


def complaints(world: World) -> list[str]:
    """Every broken promise, in words; empty when all is well.  The worker has come to rest."""
    db.session.rollback()
    db.session.expire_all()
    orders = {order.order_no: order for order in db.session.scalars(sa.select(Order))}
    trades = _by_order(world.ledger(), orders)
    found = [
        f"{trade['order_id']}: {trade['status']} {trade['amount']} yen of no order of ours"
        for trade in trades.pop("", ())
        if trade["status"] in _TAKEN | _HELD
    ]
    for order in orders.values():
        found += [
            f"{order.order_no}: {words}" for words in _of(world, order, trades[order.order_no])
        ]
        found += _another_card(world, trades[order.order_no])
    found += _of_files()
    found += _of_journals(orders, trades)
    found += [f"history: {problem.what}" for problem in Verification().problems()]
    return found


def _by_order(ledger: Iterable[Trade], orders: Mapping[str, Order]) -> dict[str, list[Trade]]:
    """The gateway's transactions by our order number; "" for those of nobody."""
    found: dict[str, list[Trade]] = defaultdict(list)
    for trade in ledger:
        order_no = re.sub(r"-\d{1,2}$", "", trade["order_id"])
        found[order_no if order_no in orders else ""].append(trade)
    return found


def _of(world: World, order: Order, trades: list[Trade]) -> Iterator[str]:
    rows = {
        row.gateway_order_id: row
        for row in db.session.scalars(
            sa.select(CardTransaction).where(CardTransaction.order_id == order.id)
        )
    }
    is_told = _has_alert(order)
    live = [trade for trade in trades if trade["status"] in _TAKEN | _HELD]
    taken = [trade for trade in live if trade["status"] in _TAKEN]
    asked = _asked_about(order)
    yield from _our_row_of_each([t for t in live if t["order_id"] not in asked], rows)
    yield from _nothing_made_up(trades, rows, asked=asked)
    past_us = world.paid_past_us & set(map(_number, trades))
    ours = [trade for trade in trades if _number(trade) not in past_us]
    ours_taken = [trade for trade in ours if trade in taken]
    if sum(map(_took_ourselves, ours)) > 1 and len(ours_taken) > 1:
        yield f"taken {len(ours_taken)} times: {[_number(trade) for trade in ours_taken]}"
    for paid in trades:
        if _number(paid) in past_us:
            yield from _charged_beside(paid, ours)
    if len(live) > 1 and not is_told:
        yield f"{len(live)} live transactions and nobody is told: {[t['order_id'] for t in live]}"
    yield from _status(order, taken, live, is_told=is_told)
    if not taken:
        yield from _delivered_for_nothing(order, is_told=is_told)
    yield from _waits(order)
    yield from _failed_in_passing(order)


def _our_row_of_each(live: list[Trade], rows: Mapping[str, CardTransaction]) -> Iterator[str]:
    for trade in live:
        row = rows.get(trade["order_id"])
        there = f"{trade['status']} {trade['amount']} yen there"
        if row is None:
            yield f"{trade['order_id']}: {there}, not in our books"
        elif (row.gateway_state, row.gateway_amount) != (trade["status"], trade["amount"]):
            yield (
                f"{trade['order_id']}: {there}, {row.gateway_state} {row.gateway_amount} yen here"
            )


def _asked_about(order: Order) -> set[str]:
    """Numbers whose look-up showed what a person has to judge: what stands here is from before."""
    return {
        attempt.gateway_order_id
        for attempt in db.session.scalars(sa.select(Attempt).where(Attempt.order_id == order.id))
        if attempt.state is AttemptState.UNKNOWN and attempt.look_result
    }


def _nothing_made_up(
    trades: list[Trade], rows: Mapping[str, CardTransaction], *, asked: set[str]
) -> Iterator[str]:
    there = {trade["order_id"]: trade["status"] for trade in trades}
    for number, row in rows.items():
        if number in asked:
            continue
        if row.gateway_state in _TAKEN | _HELD and there.get(number) not in _TAKEN | _HELD:
            yield f"{number}: {row.gateway_state} {row.gateway_amount} yen here, {there.get(number)} there"


def _another_card(world: World, trades: list[Trade]) -> Iterator[str]:
    """A card kept for later is the one that was checked, whatever else its owner keeps there."""
    shown = world.cards_of([trade["order_id"] for trade in trades])
    checked = {shown[trade["order_id"]][0] for trade in trades if trade["status"] == "CHECK"}
    for trade in trades:
        last4, member = shown[trade["order_id"]]
        if checked and member and trade["status"] in _TAKEN and last4 not in checked:
            yield f"{trade['order_id']}: card {last4} was charged, {checked} was checked"


def _number(trade: Trade) -> str:
    return str(trade["order_id"])


def _charged_beside(paid: Trade, ours: list[Trade]) -> Iterator[str]:
    """A call or file of ours that took money while the buyer's payment past us stood: it has to ask before."""
    for trade in ours:
        for step in trade["history"]:
            if step["by"] == "api" and step["status"] in _TAKEN and not step["error"]:
                sent = _sent(trade, step)
                before = [other for other in paid["history"] if sent and _time(other) < sent]
                if before and before[-1]["status"] in _TAKEN:
                    yield f"{_number(trade)}: charged though {_number(paid)} was paid"


def _sent(trade: Trade, step: Trade) -> datetime | None:
    """When we sent what took that money; None: the shop front did, or a file our books have lost since."""
    if step["api"] == BY_FILE:
        file = sa.select(sa.func.max(BillingFile.sent_at)).join(FiledNumber)
        return db.session.scalar(file.where(FiledNumber.gateway_order_id == _number(trade)))
    call = sa.select(sa.func.max(Attempt.sent_at)).where(
        Attempt.gateway_order_id == _number(trade),
        Attempt.sent_at < _time(step) + timedelta(seconds=1),  # the gateway's time is in seconds
    )
    return db.session.scalar(call)


def _time(step: Trade) -> datetime:
    return datetime.fromisoformat(step["time"])


def _took_ourselves(trade: Trade) -> bool:
    """Whether it was taken because of us, not by somebody in the console."""
    return any(
        step["job"] in ("SALES", "CAPTURE")
        and step["status"] in _TAKEN
        and not step["error"]
        and step["by"] != "console"
        for step in trade["history"]
    )


def _status(order: Order, taken: list[Trade], live: list[Trade], *, is_told: bool) -> Iterator[str]:
    now = order.payment_status
    yen = sum(trade["amount"] for trade in taken)
    if taken and now not in _PAID and not is_told and now is not S.NEEDS_REVIEW:
        yield f"{yen} yen taken there, {now} here and nobody is told"
    if taken and now in _PAID and yen != order.total and not is_told:
        yield f"{yen} yen taken there, {order.total} yen on our screen and nobody is told"
    if not taken and now in _PAID and not is_told:
        yield f"{now} here, nothing taken there and nobody is told"
    if live and not taken and now not in _ON_A_TILE and not is_told:
        yield f"{live[0]['amount']} yen held there, {now} here and nobody is told"
    if live and now is S.CANCELLED and not is_told:
        yield f"cancelled here, {[trade['status'] for trade in live]} there and nobody is told"


def _delivered_for_nothing(order: Order, *, is_told: bool) -> Iterator[str]:
    if not order.is_sgp or is_told or order.payment_status in _ON_A_TILE:
        return
    parcels = [parcel for parcel in order.deliveries if parcel.status == "delivered"]
    if not parcels:
        return
    if order.payment_status is S.AWAITING_BILLING:
        yield from _overdue(order, [p.delivered_at for p in parcels if p.delivered_at])
    elif (
        order.payment_status is S.CANCELLED and order.processing_class is ProcessingClass.DELIVERED
    ):
        yield "delivered, cancelled and nobody is told"


def _overdue(order: Order, delivered: list[Any]) -> Iterator[str]:
    """決済待ち that was delivered, and whose registration should be over."""
    if is_return_open(order) or db.session.scalar(
        sa.select(
            sa.exists().where(Order.id == order.id, sa.or_(needs_attention(), NEEDS_REMINDER))
        )
    ):
        return  # told on 定期購入 and on the first page
    shop = settings.load()
    last = max(delivered, default=None)
    if last is None or registers_at(month_of(last), shop.billing_day) > utc_now():
        return
    is_whole = order.processing_class is ProcessingClass.DELIVERED
    # What one month did not take is tried again in the next; then somebody has to know.
    too_late = end_of(next_month(month_of(last))) + timedelta(days=shop.billing_day)
    if is_whole and utc_now() > too_late:
        yield f"delivered {last:%Y-%m-%d}, never billed and nobody is told"
    if not is_whole and utc_now() > too_late:
        yield f"partly delivered {last:%Y-%m-%d}, never billed and nobody is told"


def _waits(order: Order) -> Iterator[str]:
    for attempt in db.session.scalars(
        sa.select(Attempt).where(Attempt.order_id == order.id, Attempt.is_open)
    ):
        is_flagged = attempt.state is AttemptState.UNKNOWN and attempt.look_result
        if not is_flagged:
            yield f"{attempt.operation} is {attempt.state} for ever ({attempt.reason})"
    for row in db.session.scalars(
        sa.select(CardTransaction).where(
            CardTransaction.order_id == order.id,
            CardTransaction.next_look_at < utc_now() - _PATIENCE,
        )
    ):
        yield f"{row.gateway_order_id}: the look-up due {row.next_look_at} is never made"


def _failed_in_passing(order: Order) -> Iterator[str]:
    """A subscription fails by what the card company or its own data say, not by a bad day."""
    if order.kind is not OrderKind.SUBSCRIPTION or order.payment_status is not S.CAPTURE_FAILED:
        return
    last = db.session.scalars(
        sa.select(Attempt)
        .where(
            Attempt.order_id == order.id, Attempt.operation.in_((Operation.BILL, Operation.REPAY))
        )
        .order_by(Attempt.id.desc())
        .limit(1)
    ).one_or_none()
    if last is not None and last.state is AttemptState.REJECTED:
        passing = re.search(r"E92|E0103000|unreachable|http", f"{last.error_codes} {last.reason}")
        if passing and last.operation is Operation.BILL:
            yield f"failed for good by a passing fault: {last.reason} {last.error_codes}"


def _of_files() -> Iterator[str]:
    for file in db.session.scalars(
        sa.select(BillingFile).where(
            sa.or_(
                BillingFile.due_at < utc_now() - _PATIENCE,
                BillingFile.results_due_at < utc_now() - 2 * _PATIENCE,
            )
        )
    ):
        yield f"file {file.id} of {file.window} is {file.state} and waits for ever"
    open_ones = sa.select(Billing).where(
        Billing.state.in_((BillingState.PLANNED, BillingState.REGISTERED))
    )
    for line in db.session.scalars(open_ones):
        if not _has_alert(line.order):
            yield f"{line.gateway_order_id}: billing is {line.state} for ever and nobody is told"


def _of_journals(orders: Mapping[str, Order], trades: Mapping[str, list[Trade]]) -> Iterator[str]:
    """The journal files say of every order what SMBC-GP has of it in the end, less what went back by hand."""
    went_back = sa.func.sum(MoneyMovement.kept_before - MoneyMovement.kept_after)
    recorded = sa.select(MoneyMovement.order_id, went_back).where(MoneyMovement.is_by_hand)
    rows = db.session.execute(recorded.group_by(MoneyMovement.order_id))
    by_hand = {order_id: int(yen) for order_id, yen in rows}
    booked: dict[str, int] = defaultdict(int)
    for movement in journals.movements(FIRST_DAY, LAST_DAY):
        booked[movement.order_no] += movement.amount
    for number, order in orders.items():
        taken = sum(trade["amount"] for trade in trades[number] if trade["status"] in _TAKEN)
        left = max(0, taken - by_hand.get(order.id, 0))
        if booked[number] != left:
            yield f"{number}: {left} yen left of what was taken, {booked[number]} yen in the journals"


def _has_alert(order: Order) -> bool:
    """Whether a person is told something of it, or was and took note."""
    is_told = sa.or_(Alert.acknowledged_at.is_(None), Alert.acknowledged_by == TANAKA.name)
    return bool(
        db.session.scalar(sa.select(sa.exists().where(Alert.order_id == order.id, is_told)))
    )
