"""Seeding the demo: what the sample tells is played at the gateway, then the sample is taken in.

Every transaction is made over the wire, at its own time of the simulator's clock, so dates,
deadlines and refusals are the gateway's own.  Running it again does no harm.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from sgpshop.domain.errors import CouldNotAsk, EnvironmentUnusable, ShopError
from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.row_files import Limits
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation, Card, GatewayRejected, Job, Receipt, SmbcGpGateway
from sgpshop.models import SGP_METHOD, ActorKind, ImportRun, Order, utc_now
from sgpshop.services import installation
from sgpshop.services.demo import stages
from sgpshop.services.demo.sample import SampleOrder, as_file, sample_orders
from sgpshop.services.demo.simulator import Simulator
from sgpshop.services.order_files import importing
from sgpshop.services.orders import acting
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, runner, transaction_lookup
from sgpshop.services.payments.gateway_access import check_connection, current_gateway
from sgpshop.storage.among import among
from sgpshop.storage.database import read_alone

_ACTOR = "見本データ"
#: A card of the test environment that is approved (protocol.md §5), never a person's.
_CARD = Card(number="4111111111111111", expire="3912", security_code="123")
#: What the card company says once to a capture that is to fail: daily limit (§13).
_REFUSAL = "42G550000"
_LONGEST_HOLD = timedelta(days=90)
_SHIPPED_AFTER = timedelta(days=1, hours=2)
_ALREADY_THERE = "E01040010"


def is_seeded() -> bool:
    """Whether any order of the sample is in the database."""
    numbers = [order.order_no for order in sample_orders(utc_now())]
    return db.session.scalar(sa.select(sa.exists().where(among(Order.order_no, numbers)))) is True


def seed_sample() -> ImportRun | None:
    """Bring in the orders of the sample that are not there, with their transactions.

    None: all of them are there.  The worker looks up the ones whose transaction the file does not
    name.  Raises ShopError when the shop is not connected to a simulator.
    """
    simulator, gateway = Simulator.connected(), current_gateway()
    _require_valid_contract()
    installation.become_demo()
    known = set(read_alone(sa.select(Order.order_no)))
    orders = [order for order in sample_orders(utc_now()) if order.order_no not in known]
    if not orders:
        return None
    billed, charged = stages.arrange(orders, utc_now())
    with simulator.other_times():
        for step in sorted(_steps(orders, gateway), key=lambda step: step.at):
            simulator.set_clock(step.at)
            step.act()
    run = _take_in(orders)
    _fail_captures(simulator, [o.order_no for o in orders if _said(o) == "売上失敗"])
    stages.bill(simulator, [_order(order_no) for order_no in billed])
    stages.charge(simulator, [_order(order_no) for order_no in charged])
    return run


def _require_valid_contract() -> None:
    """Raise EnvironmentUnusable when the simulator does not know our ids and passwords."""
    try:
        check_connection()
    except CouldNotAsk:
        raise
    except ShopError as problem:
        raise EnvironmentUnusable(
            f"設定 → SGP:クレジットカードの設定: {problem.message}シミュレーターのIDとパスワードを登録してください。"
        ) from None


@dataclass(frozen=True)
class _DemoStep:
    """Something that happened at the gateway at a certain time."""

    at: datetime
    act: Callable[[], None]


def _steps(orders: list[SampleOrder], gateway: SmbcGpGateway) -> Iterator[_DemoStep]:
    for order in orders:
        if not order["決済方法"].startswith(SGP_METHOD):
            continue
        happened = _Trade(order, gateway)
        yield _DemoStep(order.ordered_at, happened.begin)
        if _said(order) in ("決済完了", "注文キャンセル"):
            end = min(order.ordered_at + _SHIPPED_AFTER, utc_now())
            yield _DemoStep(end, happened.end)


def _said(order: SampleOrder) -> str:
    return order["決済方法ステータス"]


class _Trade:
    """The transaction of one order, as far as the sample says it got."""

    def __init__(self, order: SampleOrder, gateway: SmbcGpGateway) -> None:
        self._order = order
        self._gateway = gateway
        self._receipt: Receipt | None = None
        self._amount = int(order["オーソリ金額"] or order["合計金額"])

    def begin(self) -> None:
        """What the buyer did: paid, gave a card to be checked, or left in the middle."""
        order, gateway = self._order, self._gateway
        try:
            if _said(order) == "要確認":
                gateway.enter(order.order_no, Job.AUTH, self._amount)
            elif order["予約フラグ"] == "1" or order["定期購入ID"]:
                self._receipt = gateway.check_card(order.order_no, _CARD)
            else:
                self._receipt = gateway.authorize(order.order_no, self._amount, _CARD)
        except GatewayRejected as refusal:
            if refusal.codes != (_ALREADY_THERE,):  # made by an earlier run that broke off
                raise
        if self._receipt is not None and order["承認日時"]:
            self._name_in_file(self._receipt)

    def end(self) -> None:
        """What the shop did in the console before it came to us."""
        if self._receipt is None:
            return
        if _said(self._order) == "決済完了":
            self._gateway.capture(self._receipt.access, self._amount)
        else:
            self._gateway.cancel(self._receipt.access, Cancellation.RETURN)

    def _name_in_file(self, receipt: Receipt) -> None:
        self._order.set(
            取引ID=receipt.access.access_id,
            取引パスワード=receipt.access.access_pass,
            承認日時=receipt.processed_at.astimezone(JST).strftime("%Y%m%d%H%M%S"),
        )


def _take_in(orders: list[SampleOrder]) -> ImportRun:
    stream = as_file(orders)
    run, survey = importing.begin(importing.new_run_id(), _ACTOR, [stream], Limits())
    if survey is not None:
        importing.carry_out(run.id, [stream], Limits(), survey)
    return importing.find(run.id)


def _fail_captures(simulator: Simulator, order_nos: list[str]) -> None:
    """Let captures be refused for real, so that 売上失敗 rests on an answer (P3)."""
    actor = Actor(ActorKind.COMMAND, _ACTOR)
    for order_no in order_nos:
        order = _order(order_no)
        if order.transaction is not None:
            transaction_lookup.look_up(order.transaction.id)
        order = _order(order_no)
        if order.payment_status is not PaymentStatus.AUTHORIZED:
            continue
        if not _is_expired(order):
            simulator.fail_once(order_no, _REFUSAL)
        seen = acting.Seen(order.version, order.total, secrets.token_hex(16))
        runner.run_operation(acts.open_capture(order.id, seen, actor))


def _is_expired(order: Order) -> bool:
    """Whether the gateway refuses the capture by itself, because the hold is too old (R130)."""
    return utc_now() - order.ordered_at > _LONGEST_HOLD


def _order(order_no: str) -> Order:
    order = db.session.scalars(
        sa.select(Order).where(Order.order_no == order_no).execution_options(populate_existing=True)
    ).one()
    db.session.expire(order, ["transaction"])
    return order
