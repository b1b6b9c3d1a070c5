"""Subscriptions and preorders of the sample at every stage, each by a real answer of the gateway."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from sgpshop.domain.billing_calendar import month_of, previous_month, results_at
from sgpshop.domain.payment_calendar import JST, jst_day, start_of_day
from sgpshop.domain.shop_terms import BillingMode
from sgpshop.models import ActorKind, BillingFile, CardTransaction, Delivery, Order, utc_now
from sgpshop.services import settings
from sgpshop.services.demo.sample import SampleOrder
from sgpshop.services.demo.simulator import Simulator
from sgpshop.services.orders import acting
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, runner, stored_cards, transaction_lookup
from sgpshop.services.subscriptions import billing
from sgpshop.storage.database import writing

#: 出荷予定日 of the preorders in days from today, newest order first.
_SHIPPING_DAYS = (-4, None, 0, 2, 3, 5, None, 9, 14, 21, 28, None, 40, 60, -1)
_WITH_SLIP, _DELIVERED = slice(2, 4), slice(4, 7)
_BILLED = 4
#: so old that they left in a month that is over
_LONG_AGO = timedelta(days=35)
_SHIPPED_AFTER = timedelta(days=1, hours=2)
_CHARGED = 3
_DECLINED = "42G550000"


def arrange(orders: Sequence[SampleOrder], now: datetime) -> tuple[list[str], list[str]]:
    """Change the sample's rows before they are taken in.

    Numbers of the subscriptions that are to be billed, and of the preorders that are to be charged.
    """
    waiting = [order for order in orders if order["決済方法ステータス"] == "決済待ち"]
    for at, order in enumerate(waiting[_WITH_SLIP.start : _DELIVERED.stop]):
        order.set(配送会社="002", 伝票番号=f"4000-0000-{at:04d}")
    for order in waiting[_DELIVERED]:
        order.set(処理状況="配送", 配送ステータス="配送完了")
    old = [
        order
        for order in orders
        if order["決済方法ステータス"] == "売上報告済" and now - order.ordered_at > _LONG_AGO
    ][:_BILLED]
    for order in old:
        order.set(決済方法ステータス="決済待ち")
    preorders = [order for order in orders if order["予約フラグ"] == "1"]
    for order, days in zip(preorders, _SHIPPING_DAYS, strict=False):
        day = "" if days is None else f"{jst_day(now) + timedelta(days=days):%Y/%m/%d}"
        order.set(配送希望日=day)
    return [order.order_no for order in old], [o.order_no for o in preorders[1 : _CHARGED + 1]]


def bill(simulator: Simulator, orders: Sequence[Order]) -> None:
    """Register what left long ago as of the 10th of this month; of the last the card is gone."""
    if not orders:
        return
    for order in orders:
        _look_up(order)
    nowhere = stored_cards.member_of_ours(settings.load().shop_id, orders[-1].order_no)
    with writing() as session:
        for order in orders:
            session.execute(
                sa.update(Delivery)
                .where(Delivery.order_id == order.id)
                .values(delivered_at=order.ordered_at + _SHIPPED_AFTER)
            )
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.order_id == orders[-1].id)
            .values(member_id=nowhere, card_seq=9)
        )
    this_month = month_of(utc_now())
    with simulator.other_times():
        simulator.set_clock(start_of_day(this_month.replace(day=10)).astimezone(JST))
        billing.report(previous_month(this_month))
    # That also asked for results, on a day on which there were none: the worker asks on their own day.
    results_day = BillingMode(settings.load().billing_mode).result_day
    with writing() as session:
        session.execute(
            sa.update(BillingFile).values(results_due_at=results_at(this_month, results_day))
        )


def charge(simulator: Simulator, orders: Sequence[Order]) -> None:
    """Capture these preorders; the card of the last is declined."""
    for order in orders:
        _look_up(order)
        if order is orders[-1]:
            simulator.fail_once(f"{order.order_no}-1", _DECLINED, api="ExecTran")
        seen = acting.Seen(order.version, order.total, secrets.token_hex(16))
        actor = Actor(ActorKind.COMMAND, "見本データ")
        runner.run_operation(acts.open_capture(order.id, seen, actor))


def _look_up(order: Order) -> None:
    if order.transaction is not None:
        transaction_lookup.look_soon(order.id)
        transaction_lookup.look_up(order.transaction.id)
