"""仕訳ファイル: captures and refunds by their day, by tax rate, to the yen (freee, マネーフォワード, 弥生)."""

from __future__ import annotations

import csv
import io
import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from sgpshop.domain.billing_calendar import month_of, next_month
from sgpshop.domain.payment_calendar import JST
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation, Job
from sgpshop.models import CardTransaction, Operation, Order, OrderLine, utc_now
from sgpshop.services import journals, settings
from sgpshop.services.journals import LAYOUTS
from sgpshop.services.orders import money_movements
from sgpshop.services.payments import transaction_lookup
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh
from tests.gateway_world import GOOD_CARD, World
from tests.seeds import seed_of
from tests.services.acting import cancel, correct, press
from tests.services.payments.test_refund_difference import access, refund, sold_elsewhere

NOVEMBER = (date(2026, 11, 1), date(2026, 11, 30))
DECEMBER = (date(2026, 12, 1), date(2026, 12, 31))


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0}


@pytest.fixture
def clock(shop: World) -> Any:
    """28 November, 17:00 in Japan, here and at SMBC-GP."""
    with time_machine.travel(datetime(2026, 11, 28, 17, tzinfo=JST), tick=False) as traveller:
        shop.set_clock(datetime(2026, 11, 28, 17, tzinfo=JST))
        yield traveller


def tea_and_pot(shop: World) -> Order:
    """2,160 yen of tea at 8 %, a pot for 2,200 and 660 of carriage at 10 %."""
    order = authorized_order(shop, total=5020, told=True, carriage=660)
    with writing() as session:
        stored = session.get_one(Order, order.id)
        stored.lines[0].unit_price = 2160
        stored.lines.append(
            OrderLine(position=2, name="急須", unit_price=2200, quantity=1, tax_rate=10)
        )
    return fresh(order)


def on(clock: Any, shop: World, moment: datetime) -> None:
    clock.move_to(moment)
    shop.set_clock(moment)


def look(order: Order) -> None:
    """照合: every number of the order."""
    transaction_lookup.look_soon(order.id)
    numbers = sa.select(CardTransaction.id).where(CardTransaction.order_id == order.id)
    for number in db.session.scalars(numbers).all():
        transaction_lookup.look_up(number)
    db.session.rollback()


def taken(found: Iterable[journals.Movement]) -> list[tuple[int, int]]:
    return sorted((one.day.day, one.amount) for one in found)


def rows(word: str, period: tuple[date, date]) -> list[list[str]]:
    layout = LAYOUTS[word]
    content = layout.written(journals.movements(*period), settings.load())
    text = content.decode({"utf-8": "utf-8-sig", "cp932": "cp932"}[layout.encoding.value])
    return list(csv.reader(io.StringIO(text)))


def cells(row: list[str]) -> dict[int, str]:
    return {place: cell for place, cell in enumerate(row, start=1) if cell}


class TestLayouts:
    """Orders of 2,160 at 8 % and 2,860 at 10 %, in the cells of the samples."""

    @pytest.fixture(autouse=True)
    def _captured(self, shop: World, clock: Any) -> None:
        self.number = press(tea_and_pot(shop), Operation.CAPTURE).order_no

    def test_freee_d01(self) -> None:
        heading, first, second = rows("freee", NOVEMBER)
        assert len(heading) == 21
        assert heading[14] == "メモタグ（複数指定可、カンマ区切り）"
        both = {3: "2026/11/28", 7: "売上高", 10: "内税", 12: f"注文 {self.number}"}
        assert cells(first) == both | {
            1: "収入", 2: self.number, 6: "カード売上", 8: "課税売上8%（軽）", 9: "2160", 11: "160"
        }  # fmt: skip
        assert cells(second) == both | {8: "課税売上10%", 9: "2860", 11: "260"}

    def test_money_forward_d02(self) -> None:
        heading, first, second = rows("mf", NOVEMBER)
        assert len(heading) == 27
        both = {1: "1", 2: "2026/11/28", 11: "売上高", 19: f"注文 {self.number}"}
        assert cells(first) == both | {
            3: "売掛金", 7: "対象外", 9: "5020", 15: "課税売上 (軽)8%", 17: "2160", 18: "160"
        }  # fmt: skip
        assert cells(second) == both | {15: "課税売上 10%", 17: "2860", 18: "260"}

    def test_yayoi_d03(self) -> None:
        first, second = rows("yayoi", NOVEMBER)
        both = {
            1: "2000", 4: "2026/11/28", 5: "売掛金", 8: "対象外", 11: "売上高",
            17: f"注文 {self.number}", 20: "0", 23: "0", 24: "0", 25: "no",
        }  # fmt: skip
        assert len(first) == 25
        assert cells(first) == both | {9: "2160", 14: "課税売上込軽減8%", 15: "2160", 16: "160"}
        assert cells(second) == both | {9: "2860", 14: "課税売上込10%", 15: "2860", 16: "260"}

    def test_the_words_of_the_shops_own_books(self) -> None:
        settings.save("山田", journal_sales="商品売上", journal_yayoi_tax_8="課税売上込軽減8%二種")
        [tea, _] = rows("yayoi", NOVEMBER)
        assert (tea[10], tea[13]) == ("商品売上", "課税売上込軽減8%二種")

    @pytest.mark.parametrize("word", LAYOUTS)
    def test_a_month_without_any(self, word: str) -> None:
        assert len(rows(word, DECEMBER)) == (LAYOUTS[word].headings is not None)


def book_and_pot(shop: World) -> Order:
    """The tea is no tea but a book of 2,160 yen that bears no tax."""
    order = tea_and_pot(shop)
    with writing() as session:
        session.get_one(Order, order.id).lines[0].tax_rate = 0
    return fresh(order)


class TestWhatBearsNoTax:
    def test_has_a_line_and_a_word_of_its_own(self, shop: World, clock: Any) -> None:
        press(book_and_pot(shop), Operation.CAPTURE)
        sums = journals.sums_of(*NOVEMBER)
        assert (sums.total, sums.at_8, sums.at_10, sums.at_0) == (5020, 0, 2860, 2160)
        found = [(row[7], row[8], row[10]) for row in rows("freee", NOVEMBER)[1:]]
        assert found == [("課税売上10%", "2860", "260"), ("非課売上", "2160", "0")]
        assert [row[13] for row in rows("yayoi", NOVEMBER)] == ["課税売上込10%", "非課税売上"]
        assert [row[14] for row in rows("mf", NOVEMBER)[1:]] == ["課税売上 10%", "非課税売上"]

    def test_goes_back_in_its_part(self, shop: World, clock: Any) -> None:
        order = press(book_and_pot(shop), Operation.CAPTURE)
        with writing():
            money_movements.book_by_hand(fresh(order), 1000, date(2026, 11, 28))
        sums = journals.sums_of(*NOVEMBER)
        assert (sums.total, sums.at_0, sums.at_10) == (4020, 2160 * 4020 // 5020, 2291)
        cancel(fresh(order))
        sums = journals.sums_of(*NOVEMBER)
        assert (sums.total, sums.at_8, sums.at_10, sums.at_0) == (0, 0, 0, 0)


class TestRefunds:
    def test_a_cancel_of_another_month(self, shop: World, clock: Any) -> None:
        """Captured in November, cancelled in December: turned round there, November stays."""
        order = press(tea_and_pot(shop), Operation.CAPTURE)
        november = rows("yayoi", NOVEMBER)
        on(clock, shop, datetime(2026, 12, 3, 10, tzinfo=JST))
        cancel(order)
        assert rows("yayoi", NOVEMBER) == november
        back = [(row[4], row[8], row[10], row[13], row[16]) for row in rows("yayoi", DECEMBER)]
        words = f"注文 {order.order_no} 返金"
        assert back == [
            ("売上高", "2160", "売掛金", "対象外", words),
            ("売上高", "2860", "売掛金", "対象外", words),
        ]
        assert [row[8] for row in rows("freee", DECEMBER)[1:]] == ["-2160", "-2860"]
        [first, second] = rows("mf", DECEMBER)[1:]
        assert (first[2], first[8], second[2], second[8]) == ("売上高", "2160", "売上高", "2860")
        assert (first[10], first[16], second[10]) == ("売掛金", "5020", "")

    def test_a_difference_that_goes_back(self, shop: World, clock: Any) -> None:
        """3,000 were taken in the console instead of 2,000: the 1,000 go back at 10 % (R77c)."""
        order = sold_elsewhere(shop)
        on(clock, shop, datetime(2026, 11, 29, 12, tzinfo=JST))
        refund(order)
        found = list(journals.movements(*NOVEMBER))
        assert [(one.day.day, one.amount) for one in found] == [(28, 3000), (29, -1000)]
        sums = journals.sums_of(*NOVEMBER)
        assert (sums.sold, sums.given_back, sums.total) == (3000, -1000, 2000)
        assert (sums.at_8, sums.at_10) == (3000, -1000)

    def test_part_of_it_given_back_by_hand_is_of_both_rates(self, shop: World, clock: Any) -> None:
        """1,000 of 5,020 (43 % at 8 %) by transfer, then 510; at last SMBC-GP carries out all of it."""
        order = press(tea_and_pot(shop), Operation.CAPTURE)
        for yen, left in ((1000, 4020), (510, 3510)):
            with writing():
                money_movements.book_by_hand(fresh(order), yen, date(2026, 11, 28))
            sums = journals.sums_of(*NOVEMBER)
            assert (sums.total, sums.at_8) == (left, 2160 * left // 5020)
        cancel(fresh(order))
        sums = journals.sums_of(*NOVEMBER)
        assert (sums.total, sums.at_8, sums.at_10) == (0, 0, 0)

    def test_food_alone_given_back_by_hand_has_nothing_at_10(self, shop: World, clock: Any) -> None:
        order = authorized_order(shop, total=2160, told=True)
        with writing() as session:
            session.get_one(Order, order.id).lines[0].unit_price = 2160
        order = press(order, Operation.CAPTURE)
        for yen in (1080, -1080):  # a wrong record, which is taken back
            with writing():
                money_movements.book_by_hand(fresh(order), yen, date(2026, 11, 28))
        with writing():
            money_movements.book_by_hand(fresh(order), 1080, date(2026, 11, 28))
        shares = [share for one in journals.movements(*NOVEMBER) for share in one.shares]
        assert {(share.rate, share.amount, share.tax) for share in shares} == {
            (8, 2160, 160), (8, -1080, -80), (8, 1080, 80)
        }  # fmt: skip

    @pytest.mark.parametrize("rates", [(8, 0), (0, 8)])
    def test_what_rounding_leaves_is_of_a_rate_that_was_sold(
        self, shop: World, clock: Any, rates: tuple[int, int]
    ) -> None:
        """Tea and a book of 500 yen each, 333 of 1,000 left: no yen of it at 10 %."""
        order = authorized_order(shop, total=1000, told=True)
        with writing() as session:
            stored = session.get_one(Order, order.id)
            stored.lines[0].unit_price, stored.lines[0].tax_rate = 500, rates[0]
            stored.lines.append(
                OrderLine(position=2, name="本", unit_price=500, quantity=1, tax_rate=rates[1])
            )
        press(fresh(order), Operation.CAPTURE)
        with writing():
            money_movements.book_by_hand(fresh(order), 667, date(2026, 11, 28))
        sums = journals.sums_of(*NOVEMBER)
        assert (sums.total, sums.at_8, sums.at_10, sums.at_0) == (333, 167, 0, 166)

    def test_no_rate_keeps_more_than_was_sold_at_it(self, shop: World, clock: Any) -> None:
        """A label of 1 yen at 10 %, tea and a book of 1,000 each: rounding leaves 2 yen."""
        order = authorized_order(shop, total=2001, told=True)
        with writing() as session:
            stored = session.get_one(Order, order.id)
            stored.lines[0].unit_price, stored.lines[0].tax_rate = 1, 10
            for position, rate in ((2, 8), (3, 0)):
                stored.lines.append(
                    OrderLine(
                        position=position, name="品", unit_price=1000, quantity=1, tax_rate=rate
                    )
                )
        press(fresh(order), Operation.CAPTURE)
        with writing():
            money_movements.book_by_hand(fresh(order), 1, date(2026, 11, 28))
        sums = journals.sums_of(*NOVEMBER)
        assert (sums.total, sums.at_8, sums.at_10, sums.at_0) == (2000, 1000, 1, 999)

    def test_a_difference_given_back_by_hand_leaves_the_total_as_it_is(
        self, shop: World, clock: Any
    ) -> None:
        """3,000 of tea, asked for less 1,000, taken whole: they are no tea that came back (R77c)."""
        order = sold_elsewhere(shop)
        with writing():
            money_movements.book_by_hand(fresh(order), 1000, date(2026, 11, 28))
        sums = journals.sums_of(*NOVEMBER)
        assert (sums.sold, sums.at_8, sums.at_10) == (3000, 3000, -1000)

    def test_an_order_that_was_only_held_is_in_no_books(self, shop: World, clock: Any) -> None:
        cancel(tea_and_pot(shop))
        assert list(journals.movements(*NOVEMBER)) == []


class TestDays:
    def test_a_capture_counts_on_the_japanese_day_of_smbc_gp(self, shop: World, clock: Any) -> None:
        """Processed on 30 November at 23:59:59 in Japan, though our books heard of it later."""
        order = tea_and_pot(shop)
        late = datetime(2026, 11, 30, 23, 59, 59, tzinfo=JST)
        clock.move_to(late + timedelta(seconds=2))
        shop.set_clock(late)
        press(order, Operation.CAPTURE)
        assert [one.day for one in journals.movements(*NOVEMBER)] == [date(2026, 11, 30)]
        assert list(journals.movements(*DECEMBER)) == []

    def test_what_a_look_up_found_counts_on_the_day_it_was_done(
        self, shop: World, clock: Any
    ) -> None:
        """Sold and given back in the console, found out days later: each on its own day."""
        order = sold_elsewhere(shop, 3000 - 1)
        on(clock, shop, datetime(2026, 12, 2, 10, tzinfo=JST))
        refund(order)
        assert [one.day.month for one in journals.movements(NOVEMBER[0], DECEMBER[1])] == [11, 12]

    def test_the_day_once_told_stays_whatever_look_ups_show_later(
        self, shop: World, clock: Any
    ) -> None:
        """The day of reading, where SMBC-GP named none; what it names later changes no file."""
        order = press(tea_and_pot(shop), Operation.CAPTURE)
        on(clock, shop, datetime(2026, 12, 10, 10, tzinfo=JST))
        with writing() as session:
            there = session.get_one(CardTransaction, order.transaction.id)
            there.captured_at = datetime(2026, 12, 1, tzinfo=JST)
        assert [one.day for one in journals.movements(*NOVEMBER)] == [date(2026, 11, 28)]
        assert list(journals.movements(*DECEMBER)) == []

    def test_orders_of_last_year_do_not_come_into_this_month_s_file(
        self, shop: World, clock: Any
    ) -> None:
        """A shop that begins here brings its old orders; they are in its books already."""
        order = authorized_order(shop, told=True)
        shop.gateway.capture(access(shop, order), 3000)
        on(clock, shop, datetime(2027, 11, 5, 10, tzinfo=JST))
        with writing() as session:
            session.get_one(Order, order.id).created_at = utc_now()  # its file comes in now
        look(order)
        [old] = journals.movements(*NOVEMBER)
        assert (old.day, old.is_late) == (date(2026, 11, 28), False)
        assert list(journals.movements(date(2027, 11, 1), date(2027, 11, 30))) == []

    def test_what_is_learned_late_is_named_in_the_next_file(self, shop: World, clock: Any) -> None:
        """Sold in the console on 28 November, known here on 5 December."""
        order = authorized_order(shop, told=True)
        shop.gateway.capture(access(shop, order), 3000)
        on(clock, shop, datetime(2026, 12, 5, 10, tzinfo=JST))
        look(order)
        assert list(journals.movements(*NOVEMBER)) == []
        [late] = journals.movements(*DECEMBER)
        assert (late.day, late.amount, late.is_late) == (date(2026, 11, 28), 3000, True)
        sums = journals.sums_of(*DECEMBER)
        assert (sums.late, sums.of_before, sums.total) == (1, 3000, 3000)
        words = f"注文 {order.order_no} 前回の期間にさかのぼる分"
        assert {row[16] for row in rows("yayoi", DECEMBER)} == {words}
        # In one of successive files, however long they are.
        [same] = journals.movements(NOVEMBER[0], DECEMBER[1])
        assert not same.is_late

    def test_a_double_charge_that_is_given_back_is_two_movements(
        self, shop: World, clock: Any
    ) -> None:
        order = press(tea_and_pot(shop), Operation.CAPTURE)
        other = f"{order.order_no}-2"
        trade = shop.gateway.enter(other, Job.CAPTURE, 3000)
        with writing() as session:  # entered by an act of ours
            entered = {"access_id": trade.access_id, "entered_at": utc_now()}
            session.add(
                CardTransaction(
                    order_id=order.id,
                    sequence=2,
                    is_current=False,
                    gateway_order_id=other,
                    **entered,
                )
            )
        shop.gateway.execute(trade, GOOD_CARD, job=Job.CAPTURE)
        look(order)
        assert taken(journals.movements(*NOVEMBER)) == [(28, 3000), (28, 5020)]
        on(clock, shop, datetime(2026, 11, 30, 12, tzinfo=JST))
        shop.gateway.cancel(trade, Cancellation.RETURN)
        look(order)
        assert taken(journals.movements(*NOVEMBER)) == [(28, 3000), (28, 5020), (30, -3000)]

    @pytest.mark.postgresql
    def test_the_database_refuses_to_change_what_was_told(self, shop: World, clock: Any) -> None:
        press(tea_and_pot(shop), Operation.CAPTURE)
        for act in ("UPDATE money_movements SET day = booked_on", "DELETE FROM money_movements"):
            with pytest.raises(sa.exc.DBAPIError, match="append-only"), writing() as session:
                session.execute(sa.text(act))


@pytest.mark.long
@pytest.mark.postgresql
def test_drawn_months_add_up_to_the_ledger_of_smbc_gp(shop: World, clock: Any) -> None:
    """Captures, refunds of another month and of a part, corrections: each month, each file, to the yen."""
    dice = random.Random(seed_of("JOURNAL_SEED", 16))
    captured: list[Order] = []
    for day in sorted(dice.sample(range(90), 30)):
        on(clock, shop, datetime(2026, 10, 1, dice.randrange(24), tzinfo=JST) + timedelta(day))
        what = dice.choice(["capture", "capture", "cancel", "console", "correct"])
        if what == "cancel" and captured:
            cancel(captured.pop(dice.randrange(len(captured))))
        elif what == "console":
            captured.append(sold_elsewhere(shop, dice.randrange(1, 3000)))
            if dice.random() < 0.7:
                on(clock, shop, datetime.now(JST) + timedelta(hours=dice.randrange(1, 40)))
                captured[-1] = refund(captured[-1])
        elif what == "correct":
            order = correct(tea_and_pot(shop), total := dice.randrange(1, 9000))
            press(order, Operation.CHANGE_AMOUNT)
            captured.append(press(order, Operation.CAPTURE))
            assert fresh(order).total == total
        else:
            captured.append(press(tea_and_pot(shop), Operation.CAPTURE))
    taken = taken_by_month(shop)
    assert len(taken) >= 3
    assert min(map(len, (captured, taken))) > 0
    for month in sorted(taken):
        period = (month, next_month(month) - timedelta(days=1))
        found = list(journals.movements(*period))
        sums = journals.sums_of(*period)
        back = [one.amount for one in found if one.is_refund or one.is_by_hand]
        late = [one.amount for one in found if one.is_late]
        assert (sums.sales + sums.refunds, sums.refunds) == (len(found), len(back))
        assert (sums.given_back, sums.late, sums.of_before) == (sum(back), len(late), sum(late))
        assert sums.at_8 == sum(s.amount for one in found for s in one.shares if s.rate == 8)
        assert sums.total == sums.at_8 + sums.at_10 == taken[month]
        assert sum(int(row[8]) for row in rows("freee", period)[1:]) == taken[month]
        for word, receivable, (debit, credit) in (
            ("mf", (2, 10), (8, 16)),
            ("yayoi", (4, 10), (8, 14)),
        ):
            lines = rows(word, period)[word == "mf" :]
            sides = [(line[receivable[0]], line[debit], 1) for line in lines]
            sides += [(line[receivable[1]], line[credit], -1) for line in lines]
            for account, wanted in (("売掛金", taken[month]), ("売上高", -taken[month])):
                assert sum(sign * int(yen) for of, yen, sign in sides if of == account) == wanted


def taken_by_month(shop: World) -> dict[date, int]:
    """By SMBC-GP's own ledger: yen taken in each Japanese month, less what went back."""
    months: dict[date, int] = defaultdict(int)
    for trade in shop.ledger():
        before = 0
        for line in trade["history"]:
            if not line["error"]:
                taken = line["amount"] if line["status"] in ("SALES", "CAPTURE") else 0
                months[month_of(datetime.fromisoformat(line["time"]))] += taken - before
                before = taken
    return months


@pytest.mark.postgresql
def test_only_the_wanted_days(app: Flask, shop: World, clock: Any) -> None:
    for day in (27, 28, 29):
        on(clock, shop, datetime(2026, 11, day, 12, tzinfo=JST))
        press(tea_and_pot(shop), Operation.CAPTURE)
    db.session.rollback()
    found = list(journals.movements(date(2026, 11, 28), date(2026, 11, 28)))
    assert [one.day.day for one in found] == [28]
    assert Path(LAYOUTS["mf"].file_name(*NOVEMBER)).suffix == ".csv"
