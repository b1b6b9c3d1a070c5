"""Lives of orders over months, as a list of steps that dice draw and that can be told again.

Normal orders, preorders and subscriptions come by API and by file and share one shop, one gateway and
one calendar: parcels go out in parts and come back, totals are corrected, cards are deleted and
renewed, files repeat orders with other words, runs and slip files take several orders at once, our
process dies in mid-call, the gateway is away, passwords change and results of monthly files come
late, cut or not at all.
"""

from __future__ import annotations

import io
import itertools
import logging
import random
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
import time_machine
from flask import Flask

from sgpshop.domain.billing_calendar import month_of, previous_month
from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.errors import ShopError
from sgpshop.domain.order_rules import LIVE_STATES
from sgpshop.domain.payment_calendar import JST, jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.row_files import Limits
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.gateway import Card, GatewayError, Job, MonthlyLine, TradeAccess, monthly_file
from sgpshop.models import (
    Billing,
    CardTransaction,
    FollowUp,
    InstallationFact,
    Operation,
    Order,
    OrderKind,
    UnknownNumber,
    utc_now,
)
from sgpshop.services import intake, settings, subscriptions
from sgpshop.services.bulk import working
from sgpshop.services.deliveries import slips
from sgpshop.services.installation import backups
from sgpshop.services.installation.health import due_work
from sgpshop.services.intake.new_order import (
    Buyer,
    CardSource,
    DeliveryItem,
    Item,
    NewOrder,
    OnDecline,
    ShipTo,
)
from sgpshop.services.order_detail import editing
from sgpshop.services.order_files import importing
from sgpshop.services.orders import alerts, money_movements, parcels
from sgpshop.services.orders.acting import Seen
from sgpshop.services.payments import (
    acts,
    answers_taken_back,
    attempt_lookup,
    cancelling,
    gateway_access,
    journal,
    notifications,
    runner,
    three_ds,
    transaction_lookup,
)
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.reconciliation import daily
from sgpshop.services.subscriptions import billing
from sgpshop.services.subscriptions.billing.selecting import IS_FREE, to_register
from sgpshop.simulator.server import ConnectionDropped
from sgpshop.storage.database import writing
from tests import own_worker
from tests.faults import books
from tests.forms import hidden_of
from tests.gateway_world import GOOD_CARD, Killed, World
from tests.notifying import connect, tell
from tests.services.acting import TANAKA, run_act
from tests.services.answering import say_left, say_ours
from tests.services.arriving import SHOP_FRONT, open_shop
from tests.services.order_csv import csv_file
from tests.services.running import started
from tests.services.slip_files import CAPTURE, KEEP, NO_CAPTURE, slip, slip_file, tanaka

START = datetime(2026, 12, 1, 9, tzinfo=JST)


class Span(NamedTuple):
    """How long lives are: their days, how many acts each, and until when everything runs out."""

    days: int
    fewest: int
    most: int
    end: int
    has_troubles: bool


#: until the results of what was delivered last are here
MONTHS = Span(75, 1, 8, 115, has_troubles=True)
#: many acts on the same orders, until the results of what was delivered: a charge is what asks whether the
#: buyer of a 定期購入 paid past us meanwhile
BUSY_DAYS = Span(3, 12, 30, 60, has_troubles=False)

_TO_BE_CHARGED = (PaymentStatus.AUTHORIZED, PaymentStatus.AWAITING_BILLING)
GOOD, SECOND, SHORT, LOST = (
    "4111111111111111",
    "5555555555554444",
    "4999000000000002",
    "4999000000000036",
)
CHALLENGE = "4100000000005000"
THANKS = "https://shop.example/thanks"
OURS = "http://127.0.0.1:5000"
OVERRIDES: dict[str, Any] = {
    "QUIET_PERIOD": 0.0,
    "CONGESTION_TRIES": 2,
    "CHECKOUT_WAIT": 0.0,
    "ANSWER_WAIT": 0.0,
    "PUBLIC_URL": OURS,
    "NOTIFY_LOOK_PAUSE": 0.0,
    "NOTIFY_LOOKS_PER_MINUTE": 10**6,
    "NIGHTLY_COMPARE_HOUR": 3,
    "NIGHTLY_PACE": 100.0,
}
#: the next call of one of these goes wrong
APIS = ("EntryTran", "ExecTran", "AlterTran", "ChangeTran", "SearchTrade", "SearchCard")
FAULTS = (
    "drop_before",
    "drop_after",
    "garbage",
    "http:503",
    "error:E92000001",
    "error:42G550000",
    "error:E91019999",
    "error_after:E91019999",
    "error_after:E90010001",
)
_EVERYTHING = (
    *APIS,
    *("SecureTran2", "SearchTradeMulti", "SaveMember", "SearchMember", "TradedCard", "SaveCard"),
    "Batch",
)
_HALVES = tuple(ShipTo(name=name, items=(DeliveryItem("A-1", 1),)) for name in ("宛名1", "宛名2"))
log = logging.getLogger(__name__)


class Step(NamedTuple):
    """One thing that happens: when (days since START), to which life (-1: to all), what, how."""

    day: float
    life: int
    act: str
    how: dict[str, Any]

    def __str__(self) -> str:
        how = ", ".join(f"{name}={value!r}" for name, value in self.how.items())
        return f"day {self.day:6.2f}  life {self.life:3}  {self.act}({how})"


@dataclass
class Life:
    """What one order is from the beginning; only what its shop front knows."""

    order_no: str
    new: NewOrder | None = None
    row: dict[str, str] = field(default_factory=dict)
    redirect_url: str | None = None
    member: str = ""
    #: a file that our books do not know charges it
    is_filed: bool = False
    #: the cart took, or holds, its money itself
    is_paid: bool = False
    #: a payment page that the cart opened for the buyer: when, and what we are notified of
    page: tuple[datetime, TradeAccess, tuple[str, ...]] | None = None


# ---- drawing ------------------------------------------------------------------------------------

_KINDS = ("normal", "preorder", "subscription")
#: of the day before a registration, and of its own: before 06:00, and after
_TENTH = (0.5, 0.86, 1.1, 1.3)
_TOTALS = tuple(range(1500, 9001, 500))


def draw(dice: random.Random, lives: int, span: Span = MONTHS) -> list[Step]:
    """The steps of so many lives, in the order in which they happen."""
    steps = [step for life in range(lives) for step in _life(dice, life, span)]
    if span.has_troubles:
        steps += list(_troubles(dice))
        steps += list(_lost_files(dice, steps))
        # Whose a payment is is said on the mornings of the 10th, too, while files may be under way.
        steps += [Step(day, -1, "answer", {}) for day in (8.92, 9.05, 39.92, 40.05)]
    return sorted(steps, key=lambda step: (step.day, step.life))


def put_back(dice: random.Random, steps: list[Step]) -> list[Step]:
    """The same steps, but the books of some moment are put back after hours or days (P36).

    Often about a registration.  What came in between is left out: no book of ours would have it.
    """
    day = dice.choice(
        (dice.uniform(2, 70), *(first + part for first in (8, 39) for part in _TENTH))
    )
    end = day + dice.choice((0.2, 0.6, 1.5, 3.0, 6.0, 9.5))
    lost = {step.life for step in steps if step.act == "place" and day <= step.day <= end}
    kept = [step for step in steps if step.life not in lost]
    kept += [Step(day, -1, "backup", {}), Step(end, -1, "put_back", {})]
    return sorted(kept, key=lambda step: (step.day, step.life))


def _life(dice: random.Random, life: int, span: Span) -> Iterator[Step]:
    kind = dice.choice(_KINDS)
    day = round(dice.uniform(0, span.days * 0.6), 2)
    how = {
        "kind": kind,
        "source": dice.choice(("token", "token", "member", "three_ds", "file", "file")),
        "total": dice.choice(_TOTALS),
        "card": dice.choices((GOOD, SHORT, LOST), (8, 1, 1))[0],
        "parcels": dice.choice((1, 1, 2)),
        "keep": dice.random() < 0.5,
    }
    if how["source"] == "file" and kind == "subscription" and life % 2:
        how["source"] = "late"  # the file was faster than the card check
        front = dice.choice(("check", "charge", "hold"))
        # Within the days of the span: what comes after them nobody looks at any more.
        later = min(day + dice.choice((0.1, 2, 9)), float(span.days))
        yield Step(later, life, "front", {"what": front, "total": how["total"]})
    if dice.random() < 0.15:
        yield _mishap(dice, day, life)
    yield Step(day, life, "place", how)
    if how["source"] == "three_ds":
        passes = dice.random() < 0.8
        yield Step(day + dice.choice((0.001, 0.01, 1.5)), life, "come_back", {"passes": passes})
    later = min(day + dice.uniform(0.02, 0.16) * span.days, span.days)
    if dice.random() < 0.8:  # most are delivered and charged, sooner or later
        if kind != "subscription" and dice.random() < 0.7:
            yield Step(later, life, "capture", {})
        parcel = dice.choice((0, 0, 1))
        yield Step(later + 0.01, life, "deliver", {"parcel": parcel})
    if (
        dice.random() < 0.4
    ):  # the cart lets its buyer pay past us, once it hears of a failure or before
        opened = min(later + dice.uniform(-0.02, 0.1) * span.days, span.days)
        yield Step(max(day, opened), life, "cart_opens", {"tells": _told_of(dice)})
        paid = opened + dice.uniform(0, 0.1) * span.days
        yield Step(min(max(day, paid), span.days), life, "cart_is_paid", {})
    for _ in range(dice.randint(span.fewest, span.most)):
        pause = dice.choice((0.01, 0.1, 1, 3, 10, 25)) * span.days / MONTHS.days
        day = min(day + pause * dice.random(), float(span.days))
        act = dice.choices(list(_ACTS), [weight for weight, _how in _ACTS.values()])[0]
        if dice.random() < 0.35:
            yield _mishap(dice, day, life)
        yield Step(day, life, act, _ACTS[act][1](dice))


def _mishap(dice: random.Random, day: float, life: int) -> Step:
    """What goes wrong with the next call of that kind: there, or with us."""
    api = dice.choice(APIS)
    if dice.random() < 0.25:
        return Step(day, life, "die", {"api": api, "moment": dice.choice(("before", "after"))})
    suffix = dice.choice(("", "-1", "-1", "-2"))
    return Step(day, life, "fault", {"api": api, "fault": dice.choice(FAULTS), "suffix": suffix})


def _company(dice: random.Random) -> dict[str, int]:
    """How many others share a run or a file, and from which one on."""
    return {"others": dice.choice((0, 1, 2, 5)), "begin": dice.randrange(1000)}


def _told_of(dice: random.Random) -> tuple[str, ...]:
    """What SMBC-GP notifies us of, of a payment past us: that it began, that it is paid, neither."""
    return dice.choice(((), ("opened",), ("paid",), ("paid",), ("opened", "paid")))


def _number(dice: random.Random) -> str:
    return dice.choice(("", "", "-1", "-1", "-2"))


#: words of actions with many orders
_RUNS = ("sgp_capture", "deliver", "send_changes", "extend", "cancel")
#: act -> weight, and how its details are drawn
_ACTS: dict[str, tuple[int, Callable[[random.Random], dict[str, Any]]]] = {
    "capture": (3, lambda _: {}),
    "edit": (4, lambda dice: {"total": dice.choice(_TOTALS)}),
    "send": (2, lambda dice: {"then_capture": dice.random() < 0.5}),
    "cancel": (2, lambda _: {}),
    "deliver": (4, lambda dice: {"parcel": dice.choice((0, 0, 1, 2))}),
    "take_back": (2, lambda dice: {"parcel": dice.choice((0, 1))}),
    "undo": (2, lambda _: {}),
    "waive": (1, lambda _: {}),
    "file": (
        4,
        lambda dice: {
            "changes": dict(
                dice.sample(
                    [
                        ("合計金額", str(dice.choice(_TOTALS))),
                        ("予約フラグ", dice.choice(("0", "1"))),
                        ("定期購入ID", dice.choice(("", "T-9"))),
                        ("決済方法", dice.choice(("SGP:カード決済", "銀行振込"))),
                        (
                            "決済方法ステータス",
                            dice.choice(
                                ("", "仮売上", "決済完了", "注文キャンセル", "決済待ち", "売上失敗")
                            ),
                        ),
                        ("注文状態", dice.choice(("0", "1", "99"))),
                        ("配送ステータス", dice.choice(("1", "3", "9"))),
                    ],
                    dice.randint(1, 2),
                )
            )
        },
    ),
    "slips": (
        3,
        lambda dice: {
            "terms": dice.choice(("capture", "keep", "none")),
            "status": dice.choice(("3", "3", "2", "9", "typed")),
            **_company(dice),
        },
    ),
    "again": (
        3,
        lambda dice: {
            "total": dice.choice((None, None, *_TOTALS[:3])),
            "card": dice.choice((None, GOOD, SECOND, SHORT)),
            "three_ds": dice.random() < 0.2,
        },
    ),
    "bulk": (3, lambda dice: {"action": dice.choice(_RUNS), **_company(dice)}),
    "look": (3, lambda dice: {"suffix": _number(dice)}),
    "notice": (
        2,
        lambda dice: {
            "suffix": _number(dice),
            "status": dice.choice(("AUTH", "SALES", "CAPTURE", "VOID")),
            "amount": dice.choice(_TOTALS),
        },
    ),
    "console": (
        2,
        lambda dice: {
            "suffix": _number(dice),
            "operation": dice.choice(("sales", "cancel", "change")),
            "amount": dice.choice(_TOTALS),
        },
    ),
    "buyer_card": (
        3,
        lambda dice: {"what": dice.choice(("delete first", "delete all", "add", "renew"))},
    ),
    "close_by_hand": (1, lambda _: {}),
    "refund_difference": (2, lambda _: {}),
    "refunded": (2, lambda dice: {"share": dice.choice((1, 1, 2))}),
    "undo_refund": (1, lambda _: {}),
    "take_again": (2, lambda _: {}),
    "acknowledge": (2, lambda _: {}),
    "cart_opens": (2, lambda dice: {"tells": _told_of(dice)}),
    "cart_is_paid": (2, lambda _: {}),
    "gives_up": (2, lambda _: {}),
    "answer_taken_back": (2, lambda _: {}),
    "come_back": (1, lambda dice: {"passes": dice.random() < 0.7}),
    "restart": (1, lambda _: {}),
}


#: What becomes of results -> how long after the 16th at 09:00: before SMBC-GP charges the lines (on the
#: 18th at midnight), or before we read them (at 06:00).
RESULTS = {
    "late": 1.5,
    "unread": 1.5,
    "uncharged": 1.5,
    "missing": 1.7,
    "other amount": 1.7,
}


def _troubles(dice: random.Random) -> Iterator[Step]:
    """What happens to the whole shop."""
    yield Step(0, -1, "driver", {"driver": dice.choice(("file", "api"))})
    for _ in range(dice.randint(0, 2)):
        day = dice.choice((8.9, 9.1, 12.0, 39.9, 40.1, 50.0)) + dice.random()
        yield Step(
            day, -1, "away", {"fault": dice.choice(("http:503", "drop_before", "drop_after"))}
        )
        yield Step(day + dice.choice((0.05, 0.7, 2)), -1, "back", {})
    if dice.random() < 0.3:
        day = dice.choice((8.0, 9.2, 20.0, 39.5))
        yield Step(day, -1, "away", {"fault": "error:E01030002"})  # the password was renewed
        yield Step(day + dice.choice((0.3, 1.5)), -1, "back", {})
    if dice.random() < 0.5:
        what = dice.choice(tuple(RESULTS))
        day = dice.choice((15, 46)) + RESULTS[what]
        yield Step(day, -1, "results", {"what": what})
    if dice.random() < 0.3:
        yield Step(dice.choice((5.0, 25.0)), -1, "driver", {"driver": dice.choice(("file", "api"))})


def _lost_files(dice: random.Random, steps: list[Step]) -> Iterator[Step]:
    """Monthly files our books do not know, half an hour before ours; then ours meets trouble."""
    for step in list(steps):
        if step.how.get("kind") != "subscription" or dice.random() < 0.7:
            continue
        day = dice.choice((8.86, 39.86))
        yield Step(day, step.life, "lost_file", {"further": dice.choice((1, 1, 2))})
        if dice.random() < 0.7:
            fault = {"fault": dice.choice(FAULTS), "suffix": dice.choice(("-1", "-1", "-2"))}
            api = dice.choice(("EntryTran", "ExecTran"))
            yield Step(day + 0.001, step.life, "fault", {"api": api, **fault})


# ---- playing ------------------------------------------------------------------------------------


@contextmanager
def stage(app: Flask) -> Iterator[Stage]:
    """An empty shop with its gateway on START, time standing still between steps."""
    world = World()
    gateway_access.init_app(app, world.gateway)
    with ExitStack() as held, app.app_context():
        clock = held.enter_context(time_machine.travel(START, tick=True))
        held.enter_context(own_worker.working_by(app, "at once"))
        open_shop()
        settings.save("test", extend_auth_enabled=True)
        connect(app, world)
        daily.run()  # where nothing was ever compared, the first night is only noted
        yield Stage(app, world, clock)
        db.session.remove()


def _is_worked(morning: datetime) -> bool:
    """Days around registrations and results, and every fourth: the others pass in a moment."""
    days = (morning - START).days
    return morning.day in (10, 11, 12, 18, 19, 20, 28) or days % 4 == 3


class Stage:
    """Plays steps, keeps the worker working, and notes what broke off."""

    def __init__(self, app: Flask, world: World, clock: time_machine.Coordinates) -> None:
        self.app, self.world, self._clock = app, world, clock
        self._lives: dict[int, Life] = {}
        self._numbers = itertools.count(1)
        self._now = 0.0
        self._kept: tuple[datetime, sqlite3.Connection] | None = None
        self.broken: dict[str, None] = {}
        self._is_restless = False
        self._steps: dict[str, Callable[..., None]] = {
            name.removeprefix("do_"): getattr(self, name)
            for name in dir(self)
            if name.startswith("do_")
        }

    def play(self, steps: list[Step], span: Span = MONTHS) -> list[str]:
        """All steps, then the rest of the time; what is wrong in the end."""
        for step in steps:
            self._travel(step.day)
            self._do(step)
            self.work()
        self._travel(float(span.days + 1))
        self.do_back()
        self._travel(float(span.end))
        self._compare()
        return [*self.broken, *books.complaints(self.world)]

    def _do(self, step: Step) -> None:
        db.session.rollback()
        try:
            if step.life < 0:
                self._steps[step.act](**step.how)
            else:
                life = self._lives.setdefault(
                    step.life, Life(f"P{step.life:018d}", member=f"buyer{step.life}")
                )
                self._steps[step.act](life, **step.how)
        except (ShopError, GatewayError):
            db.session.rollback()  # refused: always allowed, nothing happened
        except Killed:
            db.session.remove()
        except Exception as fault:
            db.session.rollback()
            self._broke(step.act, fault)

    def _broke(self, what: str, fault: Exception) -> None:
        self.broken.setdefault(f"{what} broke off: {type(fault).__name__}: {str(fault)[:160]}")

    # ---- time and the worker ------------------------------------------------------------------

    def _travel(self, day: float) -> None:
        """To that day; on the way the worker works at 06:06 of most mornings, and some nights compare."""
        morning = int(self._now - 21 / 24) + 1 if self._now else 0
        while (next_morning := morning + 21.1 / 24) < day:  # 06:06 of the next day
            if next_morning > self._now and _is_worked(START + timedelta(days=next_morning)):
                self._move(next_morning)
                self.work()
                if morning % 16 == 3:
                    self._compare()
            morning += 1
        self._move(max(day, self._now))

    def _move(self, day: float) -> None:
        self._now = day
        self._clock.move_to(START + timedelta(days=day))

    def _compare(self) -> None:
        """The nightly comparison, begun and worked off."""
        for _ in range(3):
            self._guarded("comparison", daily.run)
            self._clock.shift(timedelta(seconds=10))
            self.work()
        # In the morning a person says whose the payments are that nobody here entered (R141).
        if say_ours():
            self.work()

    def work(self) -> None:
        """What the worker does until nothing is due."""
        for _ in range(2 if self._is_restless else 40):
            db.session.rollback()
            self._guarded("match_late", lambda: notifications.match_late())
            is_billing = billing.is_due()
            if not due_work.any_due().work and not is_billing:
                return  # as the worker asks at rest
            self._guarded("ask_for_looks", lambda: notifications.ask_for_looks())
            due = due_work.due_work(200)
            if not due and not is_billing:
                return
            if is_billing:
                self._guarded("billing", billing.resume)
            for action, ids in (
                (journal.give_up_lost, due.lost),
                (attempt_lookup.look_up, due.uncertain),
                (runner.run_operation, due.captures),
                (working.resume, due.deliveries),
                (slips.process_batch, due.slips),
                (transaction_lookup.look_up, due.links),
            ):
                for one in ids:
                    self._guarded(action.__name__, lambda act=action, one=one: act(one))
        self._is_restless = True  # which is said once, and tried no more
        self.broken.setdefault(f"the worker never rests: {due}, billing {is_billing}")

    def _guarded(self, what: str, act: Callable[[], object]) -> None:
        try:
            act()
        except ShopError:
            db.session.rollback()
        except Killed:
            db.session.remove()
        except Exception as fault:
            db.session.rollback()
            self._broke(f"the worker's {what}", fault)

    # ---- what the shop front does ---------------------------------------------------------------

    def do_place(
        self, life: Life, kind: str, source: str, total: int, card: str, parcels: int, keep: bool
    ) -> None:
        if source in ("file", "late"):
            with self.world.elsewhere():
                self._authorized_elsewhere(life, kind, total, card, is_there=source == "file")
            return
        if source == "member":
            self._save_card(life, GOOD)
            paying = CardSource(member_id=life.member, card_seq=0)
        else:
            number = CHALLENGE if source == "three_ds" else card
            paying = CardSource(token=self.world.token(number))
        is_subscription = kind == "subscription"
        life.new = NewOrder(
            order_no=life.order_no,
            ordered_at=utc_now(),
            kind=OrderKind(kind),
            buyer=Buyer(name="佐藤 花子", prefecture="東京都", address="千代田区1-1"),
            items=(Item(name="煎茶", code="A-1", unit_price=total // 2, quantity=2, tax_rate=8),),
            total=total,
            payment=paying,
            deliveries=_HALVES if parcels > 1 else (),
            subscription_id=f"T-{life.order_no}" if is_subscription else None,
            subscription_round=1 if is_subscription else None,
            return_url=THANKS if source == "three_ds" else None,
            three_ds=source == "three_ds",
            on_decline=OnDecline.KEEP if keep else OnDecline.REFUSE,
        )
        life.redirect_url = intake.place(life.new, SHOP_FRONT).redirect_url

    def _authorized_elsewhere(
        self, life: Life, kind: str, total: int, card: str, *, is_there: bool
    ) -> None:
        """The cart took the order and authorized it, or is still to; we hear of it by file."""
        status = "仮売上"
        life.row = {
            "注文番号": life.order_no,
            "注文日時": f"{utc_now().astimezone(JST):%Y/%m/%d %H:%M}",
            "決済方法": "SGP:カード決済",
            "合計金額": str(total),
            "商品名": "煎茶",
            "単価": str(total),
            "数量": "1",
        }
        if not is_there:
            self._save_card(life, GOOD)
        elif kind == "normal":
            self.world.gateway.authorize(life.order_no, total, GOOD_CARD)
        else:
            self._save_card(life, SECOND if card == GOOD else GOOD)
            self.world.gateway.check_card(life.order_no, Card(member_id=life.member, card_seq=0))
        if kind == "preorder":
            life.row["予約フラグ"] = "1"
        if kind == "subscription":
            status = "決済待ち"
            life.row |= {"定期購入ID": f"T-{life.order_no}", "定期回数": "1"}
        life.row["決済方法ステータス"] = status
        self._take_in(life.row)

    def do_front(self, life: Life, what: str, total: int) -> None:
        """The shop front does with an order of a file what it was to do before, or pays it past us."""
        order = self._order(life)
        is_waiting = order is not None and order.payment_status is PaymentStatus.AWAITING_BILLING
        if order is None or not is_waiting or order.open_attempt is not None or life.is_filed:
            return
        with self.world.elsewhere():
            if what == "check":
                self.world.gateway.check_card(life.order_no, GOOD_CARD)
            else:
                life.is_paid = True
                job = Job.CAPTURE if what == "charge" else Job.AUTH
                self.world.gateway.authorize(life.order_no, total, GOOD_CARD, job=job)

    def do_cart_opens(self, life: Life, tells: tuple[str, ...] = ()) -> None:
        """The cart offers the buyer of what is not paid a page of its own, under the next number (R106).

        Of what has not failed, and is not to be charged only now, we have to be notified: nothing
        else could tell us of it.
        """
        order = self._order(life)
        if order is None or order.open_attempt is not None or life.is_filed or life.is_paid:
            return
        has_failed = order.payment_status is PaymentStatus.CAPTURE_FAILED
        is_held = order.payment_status in _TO_BE_CHARGED
        is_due = order.kind is not OrderKind.NORMAL and any(
            p.delivered_at for p in order.deliveries
        )
        if not has_failed and not (is_held and (is_due or "paid" in tells)):
            return
        used = [
            int(trade["order_id"].removeprefix(f"{life.order_no}-"))
            for trade in self.world.ledger()
            if trade["order_id"].startswith(f"{life.order_no}-")
        ]
        number = f"{life.order_no}-{max(used, default=0) + 1}"
        with self.world.elsewhere():
            access = self.world.gateway.enter(number, Job.CAPTURE, order.total)
        life.page = utc_now(), access, tells
        if "opened" in tells:
            self._notify(number)

    def do_cart_is_paid(self, life: Life) -> None:
        """The buyer pays at that page, of which our books know nothing."""
        if life.page is None:
            return
        opened, access, tells = life.page
        if utc_now() > opened + timedelta(days=25):
            return  # no cart keeps one for longer
        order = self._order(life)
        is_paid = (
            order is not None
            and order.transaction
            and order.transaction.gateway_state in LIVE_STATES
        )
        if is_paid and "paid" not in tells:
            return  # no charge of ours asks any more: nothing but a notification could tell us
        with self.world.elsewhere():
            self.world.gateway.execute(access, GOOD_CARD, job=Job.CAPTURE)
        life.page = None
        self.world.paid_past_us.add(access.order_id)
        if "paid" in tells:
            self._notify(access.order_id)

    def _notify(self, number: str) -> None:
        """SMBC-GP tells what it has under a number."""
        trade = self.world.trade(number)
        tell(number, Status=trade["status"], JobCd="CAPTURE", Amount=str(trade["amount"]))

    def do_gives_up(self, life: Life) -> None:
        """The buyer closes that page for good, and a person says so where we ask (R141)."""
        life.page = None
        if (order := self._order(life)) is not None and not life.is_filed:
            say_left(order.order_no)

    def do_answer_taken_back(self, life: Life) -> None:
        """A person said whose a payment is, and finds that this was wrong; next morning it is said anew."""
        if (order := self._order(life)) is None:
            return
        answered = sa.select(UnknownNumber.id).where(
            UnknownNumber.order_id == order.id, UnknownNumber.is_ours.is_not(None)
        )
        for question in db.session.scalars(answered).all():
            answers_taken_back.ask_again(order.order_no, question, TANAKA)

    def do_lost_file(self, life: Life, further: int) -> None:
        """What a registration takes was in a file of before already: a backup was put back since."""
        due, order = previous_month(month_of(utc_now())), self._order(life)
        if order is None or order.transaction is None:
            return
        card, numbers = order.transaction, sa.select(sa.func.max(CardTransaction.sequence))
        to_take = sa.exists().where(Order.id == order.id, to_register(due), IS_FREE)
        was_taken = sa.exists().where(Billing.order_id == order.id)
        if card.card_seq is None or not db.session.scalar(sa.select(sa.and_(to_take, ~was_taken))):
            return
        if any(
            trade["order_id"].startswith(life.order_no) and trade["status"] in LIVE_STATES
            for trade in self.world.ledger()
        ):
            return
        last = db.session.scalar(numbers.where(CardTransaction.order_id == order.id)) or 0
        line = MonthlyLine(
            order_id=f"{life.order_no}-{last + further}",
            member_id=card.member_id,
            card_seq=card.card_seq,
            amount=order.total,
            use_date=jst_day(utc_now()),
        )
        month = f"{utc_now().astimezone(JST):%Y%m}"
        content = monthly_file.render("tshop00000001", month, [line])
        with self.world.elsewhere():
            self.world.gateway.upload_monthly_file(month, content)
        life.is_filed = True

    def _take_in(self, row: dict[str, str]) -> None:
        stream = io.BytesIO(csv_file(row, encoding="utf-8"))
        run, found = importing.begin(importing.new_run_id(), "田中", [stream], Limits())
        if found is not None:
            importing.carry_out(run.id, [stream], Limits(), found)

    def do_again(self, life: Life, total: int | None, card: str | None, three_ds: bool) -> None:
        """The shop front hands the same order in again: as it was, or with another card or total."""
        if life.new is None:
            return
        new = life.new
        if total is not None:
            item = replace(new.items[0], unit_price=total // 2)
            new = replace(new, total=total, items=(item,))
        if card is not None:
            number = CHALLENGE if three_ds else card
            new = replace(
                new,
                payment=CardSource(token=self.world.token(number)),
                return_url=THANKS if three_ds else None,
                three_ds=three_ds,
            )
        life.redirect_url = intake.place(new, SHOP_FRONT).redirect_url or life.redirect_url

    def do_come_back(self, life: Life, passes: bool) -> None:
        """The buyer answers at the bank, and the browser comes back to us."""
        if not life.redirect_url:
            return
        http = self.world.simulator.test_client()
        path = re.sub(r"^https?://[^/]+", "", life.redirect_url)
        page = http.get(path)
        if 'name="answer"' in page.text:
            answer = {**hidden_of(page), "answer": "yes" if passes else "no"}
            page = http.post("/three-ds/", data=answer, follow_redirects=True)
        access_id = hidden_of(page).get("AccessID")
        order = self._order(life)
        if access_id and order is not None and order.transaction is not None:
            number = order.transaction.gateway_order_id
            mark = three_ds.return_address(number).rpartition("/")[2]
            intake.come_back(number, mark, access_id)

    def do_file(self, life: Life, changes: dict[str, str]) -> None:
        """An order file repeats the order, with other words in some columns."""
        row = life.row
        if not row and life.new is not None:
            new = life.new
            row = {
                "注文番号": life.order_no,
                "注文日時": f"{new.ordered_at.astimezone(JST):%Y/%m/%d %H:%M}",
                "決済方法": "SGP:カード決済",
                "合計金額": str(new.total),
                "商品名": "煎茶",
                "商品コード": "A-1",
                "単価": str(new.total // 2),
                "数量": "2",
                "予約フラグ": "1" if new.kind is OrderKind.PREORDER else "0",
                "定期購入ID": new.subscription_id or "",
                "定期回数": "1" if new.subscription_id else "",
            }
        if row:
            self._take_in(row | changes)

    # ---- what people of the shop do -------------------------------------------------------------

    def do_capture(self, life: Life) -> None:
        self._press(life, acts.CAPTURE)

    def do_send(self, life: Life, then_capture: bool) -> None:
        follow_up = FollowUp.CAPTURE if then_capture else None
        self._press(
            life, OperationRequest(Operation.CHANGE_AMOUNT, follow_up, is_sum_confirmed=True)
        )

    def do_cancel(self, life: Life) -> None:
        if self._order(life) is None:
            return
        wish = cancelling.operation_request(
            life.order_no, restock=False, return_points=False, refund_confirmed=True
        )
        self._press(life, wish)

    def do_edit(self, life: Life, total: int) -> None:
        if (order := self._order(life)) is not None:
            editing.correct_total(order.id, total, _seen(order), TANAKA)

    def do_deliver(self, life: Life, parcel: int) -> None:
        """All parcels (0), or the first or second one."""
        if (order := self._order(life)) is not None:
            numbers = [one.number for one in order.deliveries]
            chosen = numbers if parcel == 0 else numbers[parcel - 1 : parcel]
            parcels.deliver(order.id, _seen(order), TANAKA, chosen)

    def do_take_back(self, life: Life, parcel: int) -> None:
        if (order := self._order(life)) is not None:
            numbers = [one.number for one in order.deliveries]
            chosen = numbers if parcel == 0 else numbers[:1]
            said = parcels.ParcelReturn(chosen, jst_day(utc_now()), "受取拒否")
            parcels.take_back(order.id, _seen(order), TANAKA, said)

    def do_undo(self, life: Life) -> None:
        """ステータスの変更: nothing was delivered after all."""
        if (order := self._order(life)) is not None:
            wanted = {one.number: DeliveryStatus.UNPROCESSED for one in order.deliveries}
            parcels.change_statuses(order.id, _seen(order), TANAKA, wanted)

    def do_waive(self, life: Life) -> None:
        if (order := self._order(life)) is not None:
            parcels.waive_cancel(order.id, _seen(order), TANAKA, "代品を送る")

    def do_refund_difference(self, life: Life) -> None:
        self._press(
            life, OperationRequest(Operation.REFUND_DIFFERENCE, None, is_sum_confirmed=True)
        )

    def do_refunded(self, life: Life, share: int) -> None:
        """返金済み: all that is left of the sale, or a part of it."""
        if (order := self._order(life)) is not None:
            yen = max(1, money_movements.left_of(order) // share)
            day = jst_day(utc_now())
            parcels.settle_refund(order.id, _seen(order), TANAKA, day, yen, "銀行振込")

    def do_undo_refund(self, life: Life) -> None:
        if (order := self._order(life)) is not None:
            parcels.undo_refund(order.id, _seen(order), TANAKA)

    def do_take_again(self, life: Life) -> None:
        """もう一度登録する."""
        subscriptions.take_again([life.order_no], secrets.token_hex(8), TANAKA)

    def do_acknowledge(self, life: Life) -> None:
        if (order := self._order(life)) is not None:
            for alert in alerts.open_of(order.id):
                db.session.rollback()
                alerts.acknowledge(order.order_no, alert.id, TANAKA, "確認した")

    def do_slips(self, life: Life, terms: str, status: str, others: int, begin: int) -> None:
        orders = self._orders(life, others, begin)
        if not orders:
            return
        wanted = {"capture": CAPTURE, "keep": KEEP, "none": NO_CAPTURE}[terms]
        numbers = [(order.order_no, f"{next(self._numbers):08d}") for order in orders]
        given: slips.Uploaded | slips.Typed
        if status == "typed":  # into 発送
            given = slips.Typed([[order_no, "0", "002", number] for order_no, number in numbers])
        else:
            rows = [slip(*one, 配送ステータス=status) for one in numbers]
            given = slips.Uploaded(slip_file(*rows))
        person = tanaka()
        run_id = slips.prepare(given, wanted, person_id=person.id, actor=person.name)
        slips.start(run_id, person_id=person.id, sum_confirmed=True)

    def do_bulk(self, life: Life, action: str, others: int, begin: int) -> None:
        if orders := self._orders(life, others, begin):
            started(orders, tanaka(), action)

    def do_look(self, life: Life, suffix: str) -> None:
        """照合, of the current transaction or of one that is not current any more."""
        wanted = sa.select(CardTransaction.id).where(
            CardTransaction.gateway_order_id == life.order_no + suffix
        )
        if (transaction_id := db.session.scalar(wanted)) is not None:
            transaction_lookup.look_soon_at([transaction_id])

    def do_close_by_hand(self, life: Life) -> None:
        order = self._order(life)
        if order is not None and order.open_attempt is not None:
            attempt_lookup.close_by_hand(order.open_attempt.id, "管理画面で確認", TANAKA)

    def do_restart(self, _life: Life) -> None:
        journal.look_soon()

    def _press(self, life: Life, wish: OperationRequest) -> None:
        if (order := self._order(life)) is not None:
            seen = _seen(order)
            attempt_id = acts.open_attempt(order.id, wish, seen, TANAKA)
            run_act(attempt_id)
            assert acts.open_attempt(order.id, wish, seen, TANAKA) == attempt_id  # double click

    # ---- what happens at the gateway --------------------------------------------------------------

    def do_fault(self, life: Life, api: str, fault: str, suffix: str) -> None:
        self.world.fault(fault, api, order_id=life.order_no + suffix)

    def do_die(self, _life: Life, api: str, moment: str) -> None:
        """Our process is killed at the next call of that kind: before it leaves, or unanswered."""
        self.world.wire.die_at(api, moment)

    def do_notice(self, life: Life, suffix: str, status: str, amount: int) -> None:
        tell(life.order_no + suffix, Status=status, JobCd=status, Amount=str(amount))

    def do_console(self, life: Life, suffix: str, operation: str, amount: int) -> None:
        """Somebody works on a transaction in SMBC-GP's own console."""
        http = self.world.simulator.test_client()
        where = (
            f"/mulpayconsole/shop/tshop00000001/transactions/{life.order_no}{suffix}/{operation}"
        )
        page = http.get(where, query_string={"amount": amount})
        if page.status_code == 200:
            http.post(where, data={**hidden_of(page), "amount": str(amount)})

    def do_buyer_card(self, life: Life, what: str) -> None:
        """The buyer tidies up the cards kept at the cart."""
        try:
            with self.world.elsewhere():
                kept = self.world.gateway.search_cards(life.member)
            cards = [card for card in kept if not card.is_deleted]
        except GatewayError:
            return
        if what == "add":
            self._save_card(life, SECOND)
        elif what == "renew" and cards:
            self._save_card(life, GOOD, seq="0")
        elif what.startswith("delete"):
            for _ in cards if what == "delete all" else cards[:1]:
                self._site_call("DeleteCard", MemberID=life.member, SeqMode="0", CardSeq="0")

    def _save_card(self, life: Life, number: str, seq: str = "") -> None:
        self._site_call("SaveMember", MemberID=life.member)
        card = {"CardNo": number, "Expire": "4912"} | ({"CardSeq": seq} if seq else {})
        self._site_call("SaveCard", MemberID=life.member, SeqMode="0", **card)

    def _site_call(self, api: str, **params: str) -> None:
        site = {"SiteID": "tsite00000001", "SitePass": "sitepass01"}
        with suppress(ConnectionDropped):
            self.world.simulator.test_client().post(f"/payment/{api}.idPass", data=site | params)

    def do_answer(self) -> None:
        """A person says of whatever is asked that it is the order's: of what is alike together."""
        alike = [line.question_id for line in subscriptions.lost_lines()]
        subscriptions.take_for_theirs(alike, TANAKA)
        say_ours()

    def do_backup(self) -> None:
        """Our books as they are now, kept."""
        self._kept = utc_now(), sqlite3.connect(":memory:")
        with closing(db.engine.raw_connection()) as books_now:
            assert books_now.driver_connection is not None
            books_now.driver_connection.backup(self._kept[1])

    def do_put_back(self) -> None:
        """The books of the last backup are put back: whatever was done since is SMBC-GP's to tell (P36)."""
        if self._kept is None:
            return
        taken_at, kept = self._kept
        db.session.remove()
        with closing(db.engine.raw_connection()) as books_now:
            assert books_now.driver_connection is not None
            kept.backup(books_now.driver_connection)
        with writing() as session:
            session.merge(InstallationFact(name=backups.RESTORED, value=taken_at.isoformat()))
        backups.finish_restore()
        self.work()

    def do_driver(self, driver: str) -> None:
        settings.save("test", billing_driver=BillingDriver(driver))

    def do_away(self, fault: str) -> None:
        """Until `back` every call fails in that way."""
        for api in _EVERYTHING:
            self.world.fault(fault, api, times=1_000_000)

    def do_back(self) -> None:
        self.world.behave()
        self.world.wire.die_at("")
        self.world.set_result_day(18)

    def do_results(self, what: str) -> None:
        """The results of this month's files are not what they should be."""
        if what == "late":
            self.world.set_result_day(28)
        elif what == "unread":
            self.world.fault("garbage", "Batch", times=500, job_cd="result")
        else:
            self.world.spoil_results(what)

    # ---- how ------------------------------------------------------------------------------------

    def _order(self, life: Life) -> Order | None:
        db.session.rollback()
        return db.session.scalars(
            sa.select(Order)
            .where(Order.order_no == life.order_no)
            .execution_options(populate_existing=True)
        ).one_or_none()

    def _orders(self, life: Life, others: int, begin: int) -> list[Order]:
        """This one and so many others: what a person ticks, or a carrier's file names."""
        rest = [
            self._lives[number] for number in sorted(self._lives) if self._lives[number] != life
        ]
        begin %= len(rest) or 1
        chosen = [life, *(rest[begin:] + rest[:begin])[:others]]
        return [order for one in chosen if (order := self._order(one)) is not None]


def _seen(order: Order) -> Seen:
    return Seen(order.version, order.total, secrets.token_hex(8))


# ---- shrinking ----------------------------------------------------------------------------------


def shrink(
    steps: list[Step], fails: Callable[[list[Step]], bool], *, tries: int = 200
) -> list[Step]:
    """Fewer steps that still fail: whole lives first, then halves, then one by one."""
    left = itertools.count(tries, -1)

    def without(keep: Callable[[int, Step], bool]) -> bool:
        nonlocal steps
        fewer = [step for number, step in enumerate(steps) if keep(number, step)]
        if len(fewer) == len(steps) or next(left) <= 0 or not fails(fewer):
            return False
        steps = fewer
        return True

    size = max(1, len({step.life for step in steps}) // 2)
    while size:
        lives = sorted({step.life for step in steps} - {-1})
        for start in range(0, len(lives), size):
            gone = set(lives[start : start + size])
            without(lambda _n, step, gone=gone: step.life not in gone)
        size //= 2
    size = max(1, len(steps) // 2)
    while size:
        start = 0
        while start < len(steps):
            if not without(lambda n, _s, a=start, b=start + size: not a <= n < b):
                start += size
        size //= 2
    return steps
