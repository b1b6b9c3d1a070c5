"""What the shop front calls off by file is heeded, whatever keeps the row out (R143, P3).

Each case happened: the cancelled order was captured or billed, and nobody had heard of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from flask import Flask

from sgpshop.domain.delivery_rules import DeliveryRefusal
from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.errors import NotPossible, ShopError
from sgpshop.domain.order_acts import status_choices
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.gateway import Job
from sgpshop.models import CardTransaction, FollowUp, Operation, Order, OrderKind, utc_now
from sgpshop.services import settings
from sgpshop.services.bulk import runs
from sgpshop.services.deliveries import labels, notes, picking, slips, waiting
from sgpshop.services.deliveries.labels import LAYOUTS, LabelJob
from sgpshop.services.deliveries.slips import SlipTerms
from sgpshop.services.deliveries.slips.decisions import code_of
from sgpshop.services.deliveries.waiting import WaitingFilter
from sgpshop.services.orders import alerts, history, parcels
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import acts
from sgpshop.services.payments.acts import CAPTURE
from sgpshop.services.payments.error_content import error_content
from sgpshop.services.subscriptions import billing
from sgpshop.services.subscriptions.billing import files
from sgpshop.worker.engine import Worker
from tests import own_worker
from tests.factories import fresh
from tests.faults.judging import work_off
from tests.gateway_world import GOOD_CARD, World
from tests.services import slip_files
from tests.services.acting import TANAKA, cancel, correct, last_attempt, press, seen
from tests.services.arriving import new_order, open_shop, orders, subscription
from tests.services.importing import counts, messages, take_in
from tests.services.order_csv import row
from tests.services.payments.test_begun_payments import (
    change,
    looked_up,
    of_two_parcels,
    open_alerts,
    paid,
    placed,
    said,
)
from tests.services.payments.test_three_ds import OURS
from tests.services.running import items, prepare, started
from tests.services.slip_files import KEEP, NO_CAPTURE, slip, slip_file, tanaka
from tests.services.subscribing import jst
from tests.services.subscriptions.test_billing_faults import delivered as waiting_for_billing
from tests.services.subscriptions.test_billing_faults import go_on

pytestmark = pytest.mark.long

S, PC, D = PaymentStatus, ProcessingClass, DeliveryStatus
TOLD = [AlertKind.CANCELLED_IN_FILE]


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "PUBLIC_URL": OURS}


@pytest.fixture(autouse=True)
def _open(app: Flask, shop: World) -> Iterator[None]:
    open_shop()
    yield
    own_worker.finish(app)


def delivered(order: Order) -> Order:
    """配送完了, all of it."""
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    return fresh(order)


def acknowledge(order: Order) -> None:
    """A person looked, and keeps the order."""
    [alert] = alerts.open_of(order.id)
    alerts.acknowledge(order.order_no, alert.id, TANAKA, "購入者と相談済み")


NOTHING = {"合計金額": "0", "送料": "0", "単価": "0"}


class TestARowThatStaysOut:
    """注文キャンセル of a row is told though nothing else of it goes in."""

    @pytest.mark.parametrize("make", [new_order, subscription])
    def test_with_a_total_of_nothing(self, shop: World, make: Any) -> None:
        order = placed(make(shop))
        run = take_in(said(order, 注文状態="0", **NOTHING))
        assert counts(run) == {"left_out": 1}
        assert any("ファイルでは注文キャンセル" in words for words in messages(run))
        assert open_alerts(order) == TOLD

    def test_of_what_is_to_be_billed(self, shop: World) -> None:
        order = delivered(placed(subscription(shop)))
        take_in(said(order, 注文状態="0", **NOTHING))
        assert open_alerts(order) == TOLD

    def test_of_what_was_corrected_here(self, shop: World) -> None:
        order = placed(new_order(shop))
        correct(order, 2400)
        run = take_in(said(order, 注文状態="0", 合計金額="2000", 送料="0"))
        assert counts(run) == {"left_out": 1}
        assert open_alerts(order) == TOLD

    def test_while_a_capture_waits(self, shop: World) -> None:
        order = placed(new_order(shop))
        acts.open_attempt(order.id, CAPTURE, seen(order), TANAKA)
        assert counts(take_in(said(order, 注文状態="0"))) == {"left_out": 1}
        assert open_alerts(order) == TOLD

    def test_but_not_while_it_is_being_cancelled_here(self, shop: World) -> None:
        order = placed(new_order(shop))
        acts.open_attempt(order.id, acts.OperationRequest(Operation.CANCEL), seen(order), TANAKA)
        take_in(said(order, 注文状態="0"))
        assert open_alerts(order) == []

    def test_without_the_parcel_that_left(self, shop: World) -> None:
        order, files = of_two_parcels(shop, OrderKind.NORMAL)
        take_in(*files("配送完了", ""))
        [_, second] = files("", "")
        assert counts(take_in(second | {"注文状態": "0"})) == {"left_out": 1}
        assert open_alerts(order) == TOLD

    @pytest.mark.parametrize(
        "wrong",
        [{"合計金額": "二千円"}, {"税率": "8", "軽減税率対象": "0"}, {"決済方法": "銀行振込"}],
        ids=["a cell", "cells that do not fit", "paid otherwise"],
    )
    def test_that_cannot_be_read(self, shop: World, wrong: dict[str, str]) -> None:
        order = placed(new_order(shop))
        assert counts(take_in(said(order, 注文状態="0", **wrong))) == {"left_out": 1}
        assert open_alerts(order) == TOLD

    def test_nobody_hears_of_what_is_paid_otherwise_or_cancelled_here(self, shop: World) -> None:
        take_in(row(決済方法="銀行振込"))
        take_in(row(決済方法="銀行振込", 注文状態="0", 合計金額="二千円"))
        [other] = orders()
        order = cancel(placed(new_order(shop)))
        run = take_in(said(order, 注文状態="0", **NOTHING))
        assert not any("決済が残っています" in words for words in messages(run))
        assert open_alerts(other) == open_alerts(order) == []

    @pytest.mark.postgresql
    @pytest.mark.parametrize("first", ["", "仮売上"])
    def test_before_the_first_look_up_it_is_kept(self, shop: World, first: str) -> None:
        paid(shop, Job.AUTH)
        take_in(row(決済方法ステータス=first))
        assert counts(take_in(row(注文状態="0", **NOTHING))) == {"left_out": 1}
        [order] = orders()
        assert open_alerts(order) == []  # nobody knows yet that it was paid
        looked_up(order)
        assert (fresh(order).payment_status, open_alerts(order)) == (S.AUTHORIZED, TOLD)
        acknowledge(order)
        looked_up(order)
        assert open_alerts(order) == []


class TestOnceMore:
    """A file that says otherwise ends the matter: the next 注文キャンセル is news."""

    @pytest.mark.postgresql
    @pytest.mark.parametrize("make", [new_order, subscription])
    @pytest.mark.parametrize(
        "otherwise",
        [{"注文状態": "1"}, {"決済方法ステータス": "仮売上"}, {"配送ステータス": "未処理"}],
    )
    def test_is_told_again(self, shop: World, make: Any, otherwise: dict[str, str]) -> None:
        order = delivered(placed(make(shop)))
        take_in(said(order, 注文状態="0"))
        acknowledge(order)
        take_in(said(order, **otherwise))
        assert open_alerts(order) == []
        take_in(said(order, 注文状態="0"))
        assert open_alerts(order) == TOLD

    def test_a_file_that_does_not_speak_of_it_ends_nothing(self, shop: World) -> None:
        order = placed(new_order(shop))
        take_in(said(order, 注文状態="0"))
        acknowledge(order)
        take_in(said(order, 備考="のし"))
        take_in(said(order, 注文状態="0"))
        assert open_alerts(order) == []

    def test_what_nobody_looked_at_yet_stays_and_says_it(self, shop: World) -> None:
        order = placed(new_order(shop))
        take_in(said(order, 注文状態="0"))
        for _ in range(2):
            take_in(said(order, 注文状態="1"))
            [alert] = alerts.open_of(order.id)
            assert (
                alert.facts.count("その後に取り込んだファイルでは、注文キャンセルではありません")
                == 1
            )
        take_in(said(order, 注文状態="0"))
        [alert] = alerts.open_of(order.id)
        assert "その後" not in alert.facts


class TestFoundStandingLater:
    """The parcels were cancelled by the first file, and the buyer finished only after a look-up."""

    @pytest.mark.parametrize("status", ["", "仮売上", "要確認", "売上失敗", "決済完了"])
    def test_is_told_whatever_the_file_said_of_the_payment(self, shop: World, status: str) -> None:
        access = shop.gateway.enter(row()["注文番号"], Job.AUTH, 2500)
        take_in(row(決済方法ステータス=status, 配送ステータス="注文キャンセル"))
        [order] = orders()
        looked_up(order)
        assert fresh(order).payment_status is S.NEEDS_REVIEW
        shop.gateway.execute(access, GOOD_CARD, job=Job.AUTH)
        change(CardTransaction, next_look_at=utc_now())
        looked_up(order)
        assert fresh(order).payment_status is S.AUTHORIZED
        assert AlertKind.CANCELLED_IN_FILE in open_alerts(order)


def priced(files: Any, *states: str, **cells: str) -> list[dict[str, str]]:
    """The rows of `of_two_parcels` whose second parcel costs 1,000 yen of the 2,500."""
    one, two = files(*states)
    return [one | {"数量": "1"} | cells, two | {"数量": "1", "単価": "1000"} | cells]


class TestOneParcelOfTwo:
    """Called off, left out of the file, and taken back."""

    def test_its_price_is_still_in_the_total(self, shop: World) -> None:
        order, files = of_two_parcels(shop, OrderKind.NORMAL)
        take_in(*priced(files, "", ""))
        run = take_in(*priced(files, "", "注文キャンセル"))
        [words] = messages(run)
        assert "お届け先2を注文キャンセルにしますが" in words
        assert "2,500円" in words
        assert messages(take_in(*priced(files, "", "注文キャンセル"))) == []  # once
        assert fresh(order).total == 2500

    def test_a_total_without_it_needs_no_word_of_that(self, shop: World) -> None:
        _, files = of_two_parcels(shop, OrderKind.NORMAL)
        run = take_in(*priced(files, "", "注文キャンセル", 合計金額="1500"))
        assert not any("その代金" in words for words in messages(run))

    def test_a_new_order_says_it_too(self, shop: World) -> None:
        paid(shop, Job.AUTH)
        one = row(配送先番号="1", 数量="1")
        run = take_in(one, one | {"配送先番号": "2", "配送ステータス": "注文キャンセル"})
        assert any("その代金" in words for words in messages(run))

    def test_a_person_may_take_it_back(self, shop: World) -> None:
        order, files = of_two_parcels(shop, OrderKind.NORMAL)
        take_in(*files("", "注文キャンセル"))
        run = take_in(*files("", "未処理"))
        assert any("お届け先2は注文キャンセルのままです" in words for words in messages(run))
        order = fresh(order)
        assert order.deliveries[1].status is D.CANCELLED
        parcels.change_statuses(order.id, seen(order), TANAKA, {2: D.UNPROCESSED})
        assert fresh(order).deliveries[1].status is D.UNPROCESSED
        assert messages(take_in(*files("", "未処理"))) == []

    def test_not_once_the_order_cannot_be_corrected(self, shop: World) -> None:
        order, files = of_two_parcels(shop, OrderKind.NORMAL)
        take_in(*files("配送完了", "注文キャンセル"))
        order = fresh(order)
        assert status_choices(order, order.deliveries[1]) == ()
        with pytest.raises(parcels.InputRefused):
            parcels.change_statuses(order.id, seen(order), TANAKA, {2: D.UNPROCESSED})

    def test_left_out_of_the_file_after_the_sale_it_stays(self, shop: World) -> None:
        order, files = of_two_parcels(shop, OrderKind.NORMAL)
        press(order, Operation.CAPTURE)
        parcels.deliver(order.id, seen(fresh(order)), TANAKA, [1])
        run = take_in(*(one | {"配送先番号": "1", "備考": "のし"} for one in files("", "")))
        order = fresh(order)
        assert counts(run) == {"updated": 1}
        assert any("ファイルにないお届け先2は" in words for words in messages(run))
        assert [(one.number, one.status) for one in order.deliveries] == [
            (1, D.DELIVERED),
            (2, D.UNPROCESSED),
        ]
        assert [line.delivery_number for line in order.lines] == [1, 2]
        assert (order.note, order.processing_class) == ("のし", PC.UNPROCESSED)

    def test_left_out_before_it_the_order_goes_on_without_it(self, shop: World) -> None:
        order, files = of_two_parcels(shop, OrderKind.NORMAL)
        take_in(*(one | {"配送先番号": "1"} for one in files("", "")))
        assert [one.number for one in fresh(order).deliveries] == [1]

    def test_another_number_for_it_is_no_loss(self, shop: World) -> None:
        order = placed(new_order(shop))
        press(order, Operation.CAPTURE)
        run = take_in(said(fresh(order), 配送先番号="1"))
        assert ([one.number for one in fresh(order).deliveries], messages(run)) == ([1], [])

    def test_nothing_of_a_standing_payment_is_left_out_as_a_whole(self, shop: World) -> None:
        order, files = of_two_parcels(shop, OrderKind.NORMAL)
        take_in(*files("", "注文キャンセル"))
        take_in(*(one | {"配送先番号": "2"} for one in files("", "")))
        assert [one.number for one in fresh(order).deliveries] == [1, 2]
        assert fresh(order).processing_class is PC.UNPROCESSED
        assert open_alerts(order) == TOLD


class TestAmongMany:
    """What is printed and made for many orders: nobody reads the notice of each of them."""

    @pytest.fixture
    def pair(self, shop: World) -> tuple[Order, Order]:
        """One that a file called off, and another."""
        order, other = placed(new_order(shop)), placed(new_order(shop))
        take_in(said(order, 注文状態="0"))
        return fresh(order), fresh(other)

    def test_it_is_not_on_the_picking_list(self, pair: tuple[Order, Order]) -> None:
        order, other = pair
        found = picking.of_orders([order.id, other.id])
        assert (found.orders, found.left_out) == ([other.order_no], 0)
        assert found.called_off == [order.order_no]
        with pytest.raises(ShopError, match="注文ファイルで注文キャンセル"):
            picking.of_orders([order.id])

    def test_it_has_no_sheet(self, pair: tuple[Order, Order]) -> None:
        order, other = pair
        found = notes.of_orders([order.id, other.id])
        assert (found.order_numbers, found.called_off) == ([other.order_no], [order.order_no])
        with pytest.raises(ShopError, match="注文ファイルで注文キャンセル"):
            notes.of_orders([order.id])
        alone = notes.of_order(order.order_no)
        assert alone.order_numbers == alone.called_off == [order.order_no]

    def test_it_has_no_label(self, pair: tuple[Order, Order]) -> None:
        order, other = pair
        sender = {"name": "店", "postal_code": "100-0001", "tel": "03-1111-2222"}
        sender |= {"address": "東京都千代田区1-1"}
        settings.save("t", **{f"label_sender_{name}": value for name, value in sender.items()})
        job = LabelJob(jst_day(utc_now()))
        found = labels.made(LAYOUTS["clickpost"], [order.id, other.id], job)
        [said_of] = [one.words for one in found.problems if one.order_no == order.order_no]
        assert said_of == DeliveryRefusal.CALLED_OFF.sentence

    def test_the_grid_says_why_it_stays(self, pair: tuple[Order, Order]) -> None:
        order, _ = pair
        rows = waiting.page(WaitingFilter()).rows
        assert [one.order.order_no for one in rows if one.reason] == [order.order_no]
        acknowledge(order)
        assert not any(one.reason for one in waiting.page(WaitingFilter()).rows)


class TestWhatWaitsInTheQueue:
    """Asked for before the file came: who asked has not seen what it says."""

    @pytest.mark.postgresql
    @pytest.mark.parametrize("what", ["it", "run"])
    def test_a_capture_is_held_back(self, shop: World, what: str) -> None:
        order = placed(new_order(shop))
        if what == "it":
            acts.open_attempt(order.id, CAPTURE, seen(order), TANAKA)
        else:
            started([order], tanaka(), "sgp_capture")
        take_in(said(order, 注文状態="0"))
        work_off(order.id)
        assert fresh(order).payment_status is S.AUTHORIZED
        assert last_attempt(order).reason == "called_off"
        content = error_content(last_attempt(order))
        assert content is not None
        assert "何も送信していません" in content.sentence
        assert shop.trade(order.order_no)["status"] == "AUTH"
        assert list(Verification().problems()) == []
        acknowledge(order)
        assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED

    @pytest.mark.postgresql
    @pytest.mark.parametrize("more", [{}, NOTHING], ids=["taken in", "left out"])
    def test_so_is_a_delivery_of_a_run(self, app: Flask, shop: World, more: dict[str, str]) -> None:
        order, other = placed(new_order(shop)), placed(new_order(shop))
        run_id = started([order, other], tanaka(), "deliver")
        take_in(said(order, 注文状態="0", **more))
        Worker(app).run(until_idle=True)
        assert fresh(order).processing_class is PC.UNPROCESSED
        assert fresh(other).processing_class is PC.DELIVERED
        assert [line.reason for line in items(run_id)] == ["called_off", ""]
        acknowledge(order)
        started([fresh(order)], tanaka(), "deliver")
        Worker(app).run(until_idle=True)
        assert fresh(order).processing_class is PC.DELIVERED

    @pytest.mark.postgresql
    @pytest.mark.parametrize("terms", [NO_CAPTURE, KEEP], ids=["alone", "with its capture"])
    def test_so_is_a_row_of_a_slip_file(self, app: Flask, shop: World, terms: SlipTerms) -> None:
        order, other = placed(new_order(shop)), placed(new_order(shop))
        take_in(said(order, 注文状態="0"))
        rows = [slip(one, 配送ステータス="配送完了") for one in (order, other)]
        run_id = slip_files.prepare(slip_file(*rows), terms)
        [problem, none] = [line.problem for line in slips.lines(run_id, limit=2)]
        assert (code_of(problem), none) == ("called_off", "")
        slip_files.start(run_id)
        Worker(app).run(until_idle=True)
        assert fresh(order).processing_class is PC.UNPROCESSED
        assert fresh(order).payment_status is S.AUTHORIZED
        assert fresh(other).processing_class is PC.DELIVERED
        assert cancel(fresh(order)).payment_status is S.CANCELLED

    def test_another_amount_is_held_back(self, shop: World) -> None:
        order = placed(new_order(shop))
        correct(order, 2400)
        how = acts.OperationRequest(Operation.CHANGE_AMOUNT)
        acts.open_attempt(order.id, how, seen(order), TANAKA)
        take_in(said(order, 注文状態="0"))
        work_off(order.id)
        assert last_attempt(order).reason == "called_off"

    def test_answered_meanwhile_it_goes_on(self, shop: World) -> None:
        order = placed(new_order(shop))
        acts.open_attempt(order.id, CAPTURE, seen(order), TANAKA)
        take_in(said(order, 注文状態="0"))
        acknowledge(order)
        work_off(order.id)
        assert fresh(order).payment_status is S.CAPTURED


def call_off(order: Order) -> None:
    """The next file says 注文キャンセル of it; its payment stands, and so does the order."""
    take_in(said(order, 注文状態="0", **NOTHING))
    assert open_alerts(order) == TOLD


@pytest.mark.postgresql
class TestWhatBeginsAfterwards:
    """Nobody captures it before somebody took note, by whatever way."""

    @pytest.fixture
    def order(self, shop: World) -> Order:
        return placed(new_order(shop))

    def stands(self, shop: World, order: Order) -> bool:
        is_held = shop.trade(order.order_no)["status"] == "AUTH"
        return is_held and fresh(order).payment_status is S.AUTHORIZED

    def test_from_a_page_of_before(self, shop: World, order: Order) -> None:
        before = seen(order)
        call_off(order)
        with pytest.raises(NotPossible, match="注文ファイルで注文キャンセル"):
            acts.open_attempt(order.id, CAPTURE, before, TANAKA)
        acknowledge(order)
        assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED

    def test_by_a_run_that_was_confirmed_before(
        self, app: Flask, shop: World, order: Order
    ) -> None:
        run_id = prepare([order], tanaka())
        call_off(order)
        with suppress(ShopError):
            runs.start(run_id, person_id=tanaka().id, sum_confirmed=True)
        Worker(app).run(until_idle=True)
        assert self.stands(shop, order)

    @pytest.mark.parametrize("is_prepared", [True, False])
    def test_by_a_slip_file(self, app: Flask, shop: World, order: Order, is_prepared: bool) -> None:
        content = slip_file(slip(order, 配送ステータス="配送完了"))
        run_id = slip_files.prepare(content) if is_prepared else ""
        call_off(order)
        run_id = run_id or slip_files.prepare(content)
        with suppress(ShopError):
            slip_files.start(run_id)
        Worker(app).run(until_idle=True)
        assert self.stands(shop, order)
        assert fresh(order).processing_class is PC.UNPROCESSED

    def test_by_the_second_step_of_sending_and_capturing(
        self, shop: World, order: Order, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        correct(order, 2400)
        order = fresh(order)
        send = shop.gateway.change_amount

        def sent(*args: Any, **more: Any) -> Any:
            call_off(order)
            return send(*args, **more)

        monkeypatch.setattr(shop.gateway, "change_amount", sent)
        press(order, Operation.CHANGE_AMOUNT, FollowUp.CAPTURE)
        work_off(order.id)
        assert self.stands(shop, order)
        assert shop.trade(order.order_no)["amount"] == 2400

    def test_nor_is_it_delivered_by_the_second_step_of_its_capture(
        self, shop: World, order: Order, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send = shop.gateway.capture

        def sent(*args: Any, **more: Any) -> Any:
            call_off(order)
            return send(*args, **more)

        monkeypatch.setattr(shop.gateway, "capture", sent)
        after = press(order, Operation.CAPTURE, FollowUp.DELIVER)
        assert (after.payment_status, after.processing_class) == (S.CAPTURED, PC.UNPROCESSED)
        [last] = history.entries(order.id, limit=1)
        assert last.event == "delivery_stopped"
        acknowledge(order)
        assert delivered(fresh(order)).processing_class is PC.DELIVERED


@pytest.mark.parametrize("is_made", [False, True])
def test_a_line_of_the_monthly_file_stays_out_until_that_is_sent(
    shop: World, time_machine: Any, monkeypatch: pytest.MonkeyPatch, is_made: bool
) -> None:
    open_shop(billing_driver=BillingDriver.FILE.value)
    time_machine.move_to(jst(2026, 11, 12, 12))
    order, other = waiting_for_billing(shop), waiting_for_billing(shop)
    time_machine.move_to(jst(2026, 12, 10, 6, 1))
    with monkeypatch.context() as later:
        if is_made:
            shop.wire.cut_off("_batch")
        else:
            later.setattr(files, "make", lambda: 0)  # others are still being asked about
        billing.resume()
    shop.wire.cut_off()
    call_off(order)
    for minute in (30, 40):
        time_machine.move_to(jst(2026, 12, 10, 6, minute))
        billing.resume()
        go_on(order)
    assert fresh(other).payment_status is S.BILLING_REPORTED
    assert fresh(order).payment_status is S.AWAITING_BILLING
    assert last_attempt(order).reason == "called_off"


def test_called_off_while_its_other_numbers_are_asked_about(
    shop: World, time_machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_shop(billing_driver=BillingDriver.API.value)
    time_machine.move_to(jst(2026, 11, 12, 12))
    order = waiting_for_billing(shop)
    time_machine.move_to(jst(2026, 12, 10, 6, 1))
    look = shop.gateway.search_trade

    def looked(number: str) -> Any:
        if not open_alerts(order):
            call_off(order)
        return look(number)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(shop.gateway, "search_trade", looked)
        billing.resume()
        go_on(order)
    assert fresh(order).payment_status is S.AWAITING_BILLING
    assert last_attempt(order).reason == "called_off"
    assert [one for one in shop.ledger() if one["status"] == "CAPTURE"] == []
