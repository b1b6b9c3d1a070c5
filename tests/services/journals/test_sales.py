"""売上集計: a month by day, to the yen what SMBC-GP says itself, whatever happened where (R149)."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from sgpshop.domain.billing_calendar import next_month
from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.payment_calendar import JST
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation
from sgpshop.models import MoneyDay, MoneyMovement, Operation, Order, OrderLine, utc_now
from sgpshop.services import journals
from sgpshop.services.dashboard.pictures import captured
from sgpshop.services.journals import sales
from sgpshop.services.order_search import search
from sgpshop.services.order_search.criteria import DateField, SearchCriteria
from sgpshop.services.order_search.search import PageRequest, SortKey
from sgpshop.services.orders import money_days
from sgpshop.storage.database import writing
from sgpshop.storage.questions import answer
from tests.factories import authorized_order, fresh
from tests.gateway_world import World
from tests.seeds import seed_of
from tests.services.acting import cancel, correct, press
from tests.services.journals.test_journals import book_and_pot, look, on, tea_and_pot
from tests.services.payments.test_refund_difference import access, refund, sold_elsewhere

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0}


@pytest.fixture
def clock(shop: World) -> Any:
    """31 October, 17:00 in Japan, here and at SMBC-GP."""
    with time_machine.travel(datetime(2026, 10, 31, 17, tzinfo=JST), tick=False) as traveller:
        shop.set_clock(datetime(2026, 10, 31, 17, tzinfo=JST))
        yield traveller


def delivered(order: Order) -> Order:
    """It goes out now, as 「未売上のまま配送完了にする」 leaves it."""
    with writing() as session:
        stored = session.get_one(Order, order.id)
        stored.processing_class = ProcessingClass.DELIVERED
        for parcel in stored.deliveries:
            parcel.status, parcel.delivered_at = DeliveryStatus.DELIVERED, utc_now()
    return fresh(order)


def month(first: date) -> sales.MonthOfSales:
    db.session.rollback()
    return sales.read(first, utc_now())


def numbers(**wanted: Any) -> list[str]:
    page = search.search(SearchCriteria(**wanted), PageRequest())
    return sorted(order.order_no for order in page.rows)


def test_what_bears_no_tax_is_told_apart(shop: World, clock: Any) -> None:
    press(book_and_pot(shop), Operation.CAPTURE)
    press(tea_and_pot(shop), Operation.CAPTURE)
    whole = month(OCTOBER).whole
    assert (whole.total, whole.at_8, whole.at_10, whole.at_0) == (10040, 2160, 5720, 2160)
    assert [*sales.files.rows(month(OCTOBER))][-1][-1] == 2160


@pytest.mark.postgresql
def test_the_accountants_two_months(shop: World, clock: Any) -> None:
    """Taken on 31 October, given back on 2 November; each day and rate, and the orders behind them."""
    kept, back = (press(tea_and_pot(shop), Operation.CAPTURE) for _ in range(2))
    on(clock, shop, datetime(2026, 11, 2, 10, tzinfo=JST))
    cancel(back)
    october, november = month(OCTOBER), month(NOVEMBER)
    last = october.days[-1]
    assert (len(october.days), last.day) == (31, date(2026, 10, 31))
    assert (last.sales, last.sold, last.total, last.at_8, last.at_10) == (
        2,
        10040,
        10040,
        4320,
        5720,
    )
    assert not any(line.sales or line.refunds for line in october.days[:-1])
    second = november.days[1]
    assert (second.sales, second.refunds, second.given_back) == (0, 1, -5020)
    assert (november.whole.total, november.whole.at_8, november.whole.at_10) == (
        -5020,
        -2160,
        -2860,
    )
    of_last_day = {"day_from": last.day, "day_to": last.day}
    assert numbers(date_field=DateField.CAPTURED_AT, **of_last_day) == sorted(
        [kept.order_no, back.order_no]
    )
    of_second = {"day_from": second.day, "day_to": second.day}
    for field in (DateField.REFUNDED_ON, DateField.CANCELLED_AT):
        assert numbers(date_field=field, **of_second) == [back.order_no]
        assert numbers(date_field=field, **of_last_day) == []


@pytest.mark.postgresql
def test_a_hold_that_was_released_has_a_day_of_cancel_and_no_refund(
    shop: World, clock: Any
) -> None:
    order = authorized_order(shop, told=True)
    cancel(order)
    today = {"day_from": date(2026, 10, 31), "day_to": date(2026, 10, 31)}
    assert numbers(date_field=DateField.CANCELLED_AT, **today) == [order.order_no]
    assert numbers(date_field=DateField.REFUNDED_ON, **today) == []
    assert month(OCTOBER).whole.refunds == 0


@pytest.mark.postgresql
@pytest.mark.parametrize("key", [SortKey.CAPTURED_AT, SortKey.CANCELLED_AT])
@pytest.mark.parametrize("descending", [True, False])
def test_the_list_in_the_order_of_sales_and_cancels(
    shop: World, clock: Any, key: SortKey, descending: bool
) -> None:
    """Those without such a moment come last, whichever way; each once over the pages."""
    never = authorized_order(shop, told=True)
    moved = []
    for day in (1, 2, 3):
        on(clock, shop, datetime(2026, 11, day, 10, tzinfo=JST))
        order = press(tea_and_pot(shop), Operation.CAPTURE)
        moved.append(cancel(order) if key is SortKey.CANCELLED_AT else order)
    db.session.rollback()
    wanted = [order.order_no for order in (reversed(moved) if descending else moved)]
    found, cursor = [], ""
    for _ in range(4):
        page = search.search(SearchCriteria(), PageRequest(key, descending, size=1, cursor=cursor))
        found += [order.order_no for order in page.rows]
        cursor = page.next_cursor
    assert (found, cursor) == ([*wanted, never.order_no], "")


class TestUncollected:
    @pytest.mark.postgresql
    def test_what_went_out_and_was_paid_later_or_not_yet(self, shop: World, clock: Any) -> None:
        waits, late = (delivered(tea_and_pot(shop)) for _ in range(2))
        in_time = press(tea_and_pot(shop), Operation.CAPTURE)
        delivered(in_time)
        at_home = authorized_order(shop, told=True)
        on(clock, shop, datetime(2026, 11, 4, 10, tzinfo=JST))
        press(late, Operation.CAPTURE)
        delivered(at_home)
        october, november = month(OCTOBER), month(NOVEMBER)
        assert (october.uncollected_on, november.uncollected_on) == (
            date(2026, 10, 31),
            date(2026, 11, 4),
        )
        assert numbers(uncollected_on=date(2026, 10, 31)) == sorted([waits.order_no, late.order_no])
        assert (october.uncollected.count, october.uncollected.yen) == (2, 10040)
        assert numbers(uncollected_on=date(2026, 11, 4)) == sorted(
            [waits.order_no, at_home.order_no]
        )
        assert (november.uncollected.count, november.uncollected.yen) == (2, 8020)

    def test_it_was_not_owed_the_day_before_it_went_out(self, shop: World, clock: Any) -> None:
        order = tea_and_pot(shop)
        on(clock, shop, datetime(2026, 11, 4, 10, tzinfo=JST))
        delivered(order)
        assert month(OCTOBER).uncollected.count == 0


def test_what_is_learned_late_stands_on_its_day_and_beside_the_file(
    shop: World, clock: Any
) -> None:
    """Sold in the console on 31 October, known here on 5 November: the file of November has it."""
    order = authorized_order(shop, told=True)
    shop.gateway.capture(access(shop, order), 3000)
    on(clock, shop, datetime(2026, 11, 5, 10, tzinfo=JST))
    look(order)
    october, november = month(OCTOBER), month(NOVEMBER)
    assert (october.whole.total, october.in_later_files, october.in_journal) == (3000, 3000, 0)
    assert (november.whole.total, november.of_before, november.in_journal) == (0, 3000, 3000)


def test_the_rates_of_a_sale_stay_whatever_becomes_of_the_order(shop: World, clock: Any) -> None:
    """A line mended later changes no sum of before, and what goes back is the rest of what was booked."""
    order = press(tea_and_pot(shop), Operation.CAPTURE)
    before = month(OCTOBER).whole
    with writing() as session:
        for line in session.scalars(sa.select(OrderLine).where(OrderLine.order_id == order.id)):
            line.tax_rate = 10
    assert month(OCTOBER).whole == before
    cancel(order)
    after = month(OCTOBER).whole
    assert (after.total, after.at_8, after.at_10) == (0, 0, 0)
    taxes = db.session.execute(
        sa.select(sa.func.sum(MoneyMovement.tax_8), sa.func.sum(MoneyMovement.tax_10))
    ).one()
    assert tuple(taxes) == (0, 0)


@pytest.mark.long
@pytest.mark.postgresql
def test_drawn_months_are_what_smbc_gp_says_by_day(shop: World, clock: Any) -> None:
    """Captures, partial refunds, cancels of another month, sales and cancels in the console."""
    dice = random.Random(seed_of("SALES_SEED", 18))
    captured: list[Order] = []
    for day in sorted(dice.sample(range(80), 28)):
        moment = datetime(2026, 9, 1, dice.randrange(23), tzinfo=JST) + timedelta(day)
        on(clock, shop, moment)
        what = dice.choice(["capture", "capture", "cancel", "console", "voided", "correct", "held"])
        if what == "cancel" and captured:
            cancel(captured.pop(dice.randrange(len(captured))))
        elif what == "voided" and captured:
            order = captured.pop(dice.randrange(len(captured)))
            trade = access(shop, order)
            is_same_month = order.transaction.captured_at.astimezone(JST).month == moment.month
            kind = Cancellation.RETURN if is_same_month else Cancellation.RETURNX
            shop.gateway.cancel(trade, kind)
            on(clock, shop, moment + timedelta(days=dice.randrange(4)))
            look(order)
        elif what == "console":
            captured.append(sold_elsewhere(shop, dice.randrange(1, 3000)))
            on(clock, shop, moment + timedelta(hours=dice.randrange(1, 40)))
            captured[-1] = refund(captured[-1])
        elif what == "correct":
            order = correct(tea_and_pot(shop), dice.randrange(1, 9000))
            press(order, Operation.CHANGE_AMOUNT)
            captured.append(press(order, Operation.CAPTURE))
        elif what == "held":
            cancel(tea_and_pot(shop))
        else:
            cart = book_and_pot if len(captured) % 3 == 2 else tea_and_pot
            captured.append(press(cart(shop), Operation.CAPTURE))
        if dice.random() < 0.3:
            money_days.fold()
    assert marks() > 0
    assert money_days.compare()
    there = by_day(shop)
    assert len({day.month for day in there}) >= 3
    first = min(there).replace(day=1)
    while first <= max(there):
        found = month(first)
        ours = {
            line.day: (line.sales, line.sold, line.refunds, line.given_back)
            for line in found.days
            if line.sales or line.refunds
        }
        assert ours == {
            day: tuple(of_day) for day, of_day in there.items() if found.first <= day <= found.last
        }
        whole = found.whole
        assert whole.at_8 + whole.at_10 + whole.at_0 == whole.total
        sums = journals.sums_of(found.first, found.last)
        assert sums.total == found.in_journal
        for line in found.days:
            period = {"day_from": line.day, "day_to": line.day}
            assert len(numbers(date_field=DateField.CAPTURED_AT, **period)) == line.sales
            assert len(numbers(date_field=DateField.REFUNDED_ON, **period)) == line.refunds
        first = next_month(first)


def by_day(shop: World) -> dict[date, list[int]]:
    """By SMBC-GP's own ledger: sales, yen of them, refunds, yen of them, of each Japanese day."""
    days: dict[date, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for trade in shop.ledger():
        before = 0
        for line in trade["history"]:
            if line["error"]:
                continue
            taken = line["amount"] if line["status"] in ("SALES", "CAPTURE") else 0
            if change := taken - before:
                place = 0 if change > 0 else 2
                of_day = days[datetime.fromisoformat(line["time"]).astimezone(JST).date()]
                of_day[place] += 1
                of_day[place + 1] += change
            before = taken
    return days


def sold_in_october() -> int:
    """Yen of the sales, as the picture of ホーム adds them up."""
    db.session.rollback()
    return answer(captured(datetime(2026, 10, 31, 23, tzinfo=JST))).this_month


class TestKeptSums:
    """Days added up ahead say what adding up anew does, whenever the mark moved."""

    @pytest.mark.postgresql
    def test_what_is_kept_and_what_came_after_are_one(self, shop: World, clock: Any) -> None:
        first = press(tea_and_pot(shop), Operation.CAPTURE)
        press(tea_and_pot(shop), Operation.CAPTURE)
        before = month(OCTOBER)
        money_days.fold()
        assert marks() == 0  # just learned: one before it may not be committed yet
        on(clock, shop, datetime(2026, 10, 31, 18, tzinfo=JST))
        money_days.fold()
        assert marks() > 0
        assert month(OCTOBER) == before
        cancel(first)
        press(tea_and_pot(shop), Operation.CAPTURE)
        on(clock, shop, datetime(2026, 11, 1, 9, tzinfo=JST))
        after = month(OCTOBER)
        assert after.whole.sales == before.whole.sales + 1
        assert after.whole.refunds == 1
        assert sold_in_october() == 3 * 5020
        for _ in range(2):  # the second time there is nothing new
            money_days.fold()
            assert month(OCTOBER) == after
            assert sold_in_october() == 3 * 5020
        assert money_days.compare()

    @pytest.mark.postgresql
    def test_in_pieces(self, shop: World, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(money_days, "_AT_ONCE", 2)
        for _ in range(5):
            press(tea_and_pot(shop), Operation.CAPTURE)
        before = month(OCTOBER)
        on(clock, shop, datetime(2026, 10, 31, 18, tzinfo=JST))
        money_days.fold()
        assert marks() == db.session.scalar(sa.select(sa.func.max(MoneyMovement.id)))
        assert month(OCTOBER) == before

    @pytest.mark.postgresql
    def test_a_sum_that_is_wrong_is_found_said_and_made_anew(
        self, shop: World, clock: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        press(tea_and_pot(shop), Operation.CAPTURE)
        before = month(OCTOBER)
        on(clock, shop, datetime(2026, 10, 31, 18, tzinfo=JST))
        money_days.fold()
        with writing() as session:
            session.execute(sa.update(MoneyDay).values(yen=MoneyDay.yen + 1))
        assert month(OCTOBER) != before
        assert not money_days.compare()
        assert "money_days_differ" in capsys.readouterr().out
        assert month(OCTOBER) == before
        assert money_days.compare()


def marks() -> int:
    """Up to which movement the days are added up."""
    return db.session.scalar(sa.select(sa.func.max(MoneyDay.up_to))) or 0
