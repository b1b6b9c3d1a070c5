"""Once a payment began, no entrance changes what it rests on; other amounts only where the screen allows.

What the tests do happened: each ended in money that was held or taken and not in our books.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import IntegrityError

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.errors import NotPossible
from sgpshop.domain.order_acts import is_return_open
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation, Job, TradeAccess
from sgpshop.models import (
    ActorKind,
    Alert,
    Attempt,
    AttemptState,
    CardTransaction,
    Operation,
    Order,
    OrderKind,
    utc_now,
)
from sgpshop.services import intake
from sgpshop.services.intake.new_order import CardSource, NewOrder, OnDecline
from sgpshop.services.order_files import mending
from sgpshop.services.orders import acting, alerts, parcels
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import acts, transaction_lookup
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.subscriptions.billing.selecting import IS_BILLABLE
from sgpshop.storage.database import writing
from tests import own_worker
from tests.factories import fresh
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import TANAKA, cancel, correct, look, press, seen
from tests.services.arriving import (
    SHOP_FRONT,
    SHORT_OF_MONEY,
    new_order,
    open_shop,
    orders,
    subscription,
)
from tests.services.importing import counts, messages, take_in
from tests.services.order_csv import row
from tests.services.payments.test_three_ds import OURS, at_bank, back, begun

pytestmark = pytest.mark.long

S, K, PC = PaymentStatus, OrderKind, ProcessingClass


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "PUBLIC_URL": OURS}


@pytest.fixture(autouse=True)
def _open(app: Flask, shop: World) -> Iterator[None]:
    open_shop()
    yield
    own_worker.finish(app)


def placed(new: NewOrder) -> Order:
    """The order after the shop front handed it in."""
    intake.place(new, SHOP_FRONT)
    [order] = [order for order in orders() if order.order_no == new.order_no]
    return order


def said(order: Order, **cells: str) -> dict[str, str]:
    """A row of a file about that order, with another name for the buyer."""
    return row(注文番号=order.order_no, 注文者="鈴木 一郎", **cells)


def trades(shop: World, order: Order) -> dict[str, tuple[str, int]]:
    """Everything SMBC-GP has of the order: number -> status and yen."""
    listed = shop.simulator.test_client().get("/_control/ledger").get_json()
    return {
        trade["order_id"]: (trade["status"], trade["amount"])
        for trade in listed
        if trade["order_id"].startswith(order.order_no)
    }


def change(model: type[Any], **values: Any) -> None:
    """Write into the database directly."""
    with writing() as session:
        session.execute(sa.update(model).values(values))


class TestWhatWasSold:
    """予約, 定期購入 and normal: fixed; the row says so, and the rest of it goes in."""

    @pytest.mark.postgresql
    def test_an_authorized_order_does_not_become_a_preorder(self, shop: World) -> None:
        shop.gateway.save_member("M1")
        shop.gateway.authorize("X1", 100, GOOD_CARD)
        card = shop.gateway.store_traded_card("X1", "M1")
        order = placed(new_order(shop, payment=CardSource(member_id="M1", card_seq=card.seq)))
        run = take_in(said(order, 予約フラグ="1", 合計金額="9500", 送料="7500"))
        assert counts(run) == {"updated": 1}
        assert any("区別" in words and "変更できません" in words for words in messages(run))
        order = fresh(order)
        assert (order.kind, order.buyer_name, order.total) == (K.NORMAL, "鈴木 一郎", 9500)
        assert not order.lines[0].is_preorder
        press(order, Operation.CHANGE_AMOUNT)
        assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED
        assert trades(shop, order) == {order.order_no: ("SALES", 9500)}

    def test_nor_one_that_is_cancelled_while_its_hold_stays(self, shop: World) -> None:
        order = placed(new_order(shop))
        take_in(said(order, 予約フラグ="1"))
        assert cancel(order).payment_status is S.CANCELLED
        assert trades(shop, order) == {order.order_no: ("VOID", 2500)}

    def test_nor_a_subscription_that_nobody_can_capture(self, shop: World) -> None:
        order = placed(new_order(shop))
        run = take_in(said(order, 定期購入ID="T-9", 定期回数="3"))
        assert any("「定期購入ID」" in words for words in messages(run))
        order = fresh(order)
        assert (order.kind, order.subscription_id, order.buyer_name) == (
            K.NORMAL,
            None,
            "鈴木 一郎",
        )
        assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED

    @pytest.mark.parametrize(
        "cells", [{"予約フラグ": "0"}, {"予約フラグ": "1"}, {"定期購入ID": ""}]
    )
    def test_what_waits_for_its_month_stays_a_subscription(
        self, shop: World, cells: dict[str, str]
    ) -> None:
        order = placed(subscription(shop, subscription_id="T-1"))
        assert order.payment_status is S.AWAITING_BILLING
        take_in(said(order, 配送ステータス="配送完了", **cells))
        order = fresh(order)
        assert (order.kind, order.subscription_id) == (K.SUBSCRIPTION, "T-1")
        assert db.session.scalar(sa.select(Order.id).where(IS_BILLABLE)) == order.id

    def test_also_one_that_came_by_file(self, shop: World) -> None:
        take_in(row(決済方法ステータス="決済待ち"))
        run = take_in(row(決済方法ステータス="仮売上", 定期購入ID="", 予約フラグ="0", 備考="のし"))
        assert any("区別" in words for words in messages(run))
        [order] = orders()
        assert (order.kind, order.payment_status) == (K.SUBSCRIPTION, S.AWAITING_BILLING)
        assert order.note == "のし"

    def test_a_preorder_stays_one(self, shop: World) -> None:
        order = placed(new_order(shop, kind=K.PREORDER))
        take_in(said(order, 予約フラグ="0"))
        order = fresh(order)
        assert (order.kind, order.lines[0].is_preorder) == (K.PREORDER, True)
        assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED
        assert trades(shop, order)[f"{order.order_no}-1"] == ("CAPTURE", 2500)

    def test_no_file_says_that_our_own_subscription_was_billed(self, shop: World) -> None:
        order = placed(subscription(shop))
        take_in(said(order, 決済方法ステータス="売上報告済"))
        assert fresh(order).payment_status is S.AWAITING_BILLING

    def test_a_mere_card_check_may_still_be_told_what_it_was_for(self, shop: World) -> None:
        shop.gateway.check_card(row()["注文番号"], GOOD_CARD)
        take_in(row())
        [order] = orders()
        assert order.transaction is not None
        transaction_lookup.look_up(order.transaction.id)
        assert fresh(order).payment_status is S.NEEDS_REVIEW  # a check of a normal order
        take_in(row(予約フラグ="1"))
        transaction_lookup.look_up(order.transaction.id)
        order = fresh(order)
        assert (order.kind, order.payment_status) == (K.PREORDER, S.AUTHORIZED)


class TestAmounts:
    """A file changes an amount where 注文内容修正 could; there is one table (domain/order_acts.py)."""

    def test_not_while_the_buyer_is_at_the_bank(self, app: Flask, shop: World) -> None:
        open_shop(sales_mode="immediate")
        order, url = begun(shop)
        run = take_in(said(order, 合計金額="9500", 送料="7500"))
        assert counts(run) == {"left_out": 1}
        assert "要確認の注文は" in messages(run)[-1]
        back(app, order, at_bank(shop, url))
        order = fresh(order)
        assert order.transaction is not None
        assert (order.payment_status, order.total) == (S.CAPTURED, 2500)
        assert order.transaction.captured_amount == 2500

    def test_not_after_a_decline_that_was_kept(self, shop: World) -> None:
        new = new_order(shop, card=SHORT_OF_MONEY, on_decline=OnDecline.KEEP)
        order = placed(new)
        assert counts(take_in(said(order, 合計金額="95000", 送料="93000"))) == {"left_out": 1}
        placed(replace(new, payment=CardSource(token=shop.token())))
        assert trades(shop, order)[f"{order.order_no}-1"] == ("AUTH", 2500)

    def test_a_repeated_request_pays_only_its_own_amount(self, shop: World) -> None:
        new = new_order(shop, card=SHORT_OF_MONEY, on_decline=OnDecline.KEEP)
        order = placed(new)
        change(Order, total=95000)  # however that came about
        with pytest.raises(intake.ChangedSince):
            placed(replace(new, payment=CardSource(token=shop.token())))
        assert trades(shop, order) == {order.order_no: ("UNPROCESSED", 2500)}

    def test_what_was_paid_is_answered_again_though_corrected_since(self, shop: World) -> None:
        new = new_order(shop)
        correct(placed(new), 2300)
        assert intake.place(new, SHOP_FRONT).is_new is False  # P27

    def test_not_once_a_subscription_was_delivered(self, shop: World) -> None:
        order = placed(subscription(shop))
        take_in(said(order, 配送ステータス="配送完了"))
        run = take_in(said(order, 合計金額="95000", 送料="93000"))
        assert counts(run) == {"left_out": 1}
        assert "配送完了の注文は" in messages(run)[-1]
        assert fresh(order).total == 2500

    @pytest.mark.parametrize("make", [new_order, subscription])
    def test_never_to_nothing(self, shop: World, make: Any) -> None:
        order = placed(make(shop))
        run = take_in(said(order, 注文状態="0", 合計金額="0"))
        assert counts(run) == {"left_out": 1}
        assert "0円" in messages(run)[-1]
        assert fresh(order).total == 2500

    def test_where_the_screen_allows_it_the_change_is_unsent(self, shop: World) -> None:
        order = placed(new_order(shop))
        assert counts(take_in(said(order, 合計金額="2400", 送料="400"))) == {"updated": 1}
        assert press(order, Operation.CHANGE_AMOUNT).payment_status is S.AUTHORIZED
        assert trades(shop, order) == {order.order_no: ("AUTH", 2400)}

    def test_and_a_correction_made_there_stays(self, shop: World) -> None:
        order = placed(new_order(shop))
        correct(order, 2300)
        assert counts(take_in(said(order))) == {"left_out": 1}


def second(order: Order, state: str | None) -> CardTransaction:
    """Another transaction of the order, which counts now: left so by an earlier version."""
    with writing() as session:
        session.execute(sa.update(CardTransaction).values(is_current=False))
        session.add(
            CardTransaction(
                order_id=order.id,
                sequence=1,
                is_charge=True,
                gateway_order_id=f"{order.order_no}-1",
                gateway_state=state,
            )
        )
    return fresh(order).transaction  # type: ignore[return-value]


class TestTheTransactionDecides:
    """Capture and cancel do what fits the transaction, whatever the order is said to be."""

    @pytest.mark.parametrize("kind", [K.PREORDER, K.SUBSCRIPTION])
    def test_what_is_reserved_is_captured_there(self, shop: World, kind: OrderKind) -> None:
        order = placed(new_order(shop))
        change(Order, kind=kind)  # as an earlier version let a file do
        assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED
        assert trades(shop, order) == {order.order_no: ("SALES", 2500)}

    @pytest.mark.parametrize("kind", [K.PREORDER, K.SUBSCRIPTION])
    def test_and_released_there(self, shop: World, kind: OrderKind) -> None:
        order = placed(new_order(shop))
        change(Order, kind=kind)
        assert cancel(order).payment_status is S.CANCELLED
        assert trades(shop, order) == {order.order_no: ("VOID", 2500)}

    def test_an_amount_is_sent_for_it_too(self, shop: World) -> None:
        order = placed(new_order(shop))
        change(Order, kind=K.PREORDER)
        correct(order, 2300)
        with pytest.raises(NotPossible, match="金額の変更"):
            press(order, Operation.CAPTURE)
        press(order, Operation.CHANGE_AMOUNT)
        press(order, Operation.CAPTURE)
        assert trades(shop, order) == {order.order_no: ("SALES", 2300)}

    def test_what_was_only_checked_is_charged_though_it_is_said_to_be_normal(
        self, shop: World
    ) -> None:
        order = placed(new_order(shop, kind=K.PREORDER))
        change(Order, kind=K.NORMAL)
        assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED
        assert trades(shop, order)[f"{order.order_no}-1"] == ("CAPTURE", 2500)

    def test_before_the_first_look_up_a_preorder_is_not_charged(self, shop: World) -> None:
        access = shop.authorize(row()["注文番号"], 2500)
        linked = {"取引ID": access.access_id, "取引パスワード": access.access_pass}
        take_in(row(決済方法ステータス="仮売上", 予約フラグ="1", **linked))
        [order] = orders()
        with pytest.raises(NotPossible, match="取引情報をまだ受け取っていません"):
            press(order, Operation.CAPTURE)
        assert order.transaction is not None
        transaction_lookup.look_up(order.transaction.id)
        assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED
        assert trades(shop, order) == {order.order_no: ("SALES", 2500)}

    def test_what_waits_for_its_month_but_holds_money_is_released(self, shop: World) -> None:
        order = placed(new_order(shop))
        change(Order, kind=K.SUBSCRIPTION, payment_status=S.AWAITING_BILLING)
        assert cancel(order).payment_status is S.CANCELLED
        assert trades(shop, order) == {order.order_no: ("VOID", 2500)}


class TestOneLiveTransaction:
    """Nobody pays an order twice: refused in words, and by the database."""

    def test_beside_one_that_is_reserved_nothing_is_charged(self, shop: World) -> None:
        order = placed(new_order(shop))
        second(order, None)
        with pytest.raises(NotPossible, match="ほかの番号に残っています"):
            press(order, Operation.CAPTURE)
        assert trades(shop, order) == {order.order_no: ("AUTH", 2500)}

    @pytest.mark.parametrize("status", [S.AWAITING_BILLING, S.CAPTURE_FAILED])
    def test_neither_billed_nor_paid_again(self, shop: World, status: PaymentStatus) -> None:
        order = placed(new_order(shop))
        change(Order, kind=K.SUBSCRIPTION, payment_status=status)
        operation = Operation.BILL if status is S.AWAITING_BILLING else Operation.REPAY
        with pytest.raises(NotPossible, match="ほかの番号に残っています"), writing() as session:
            acts.open(
                session,
                [acting.lock_order(session, order.id)],
                OperationRequest(operation),
                SHOP_FRONT,
            )

    @pytest.mark.parametrize(
        ("state", "operation"),
        [
            ("AUTH", Operation.CAPTURE),
            ("SALES", Operation.CAPTURE),
            ("AUTH", Operation.BILL),
            ("CAPTURE", Operation.REPAY),
            ("SAUTH", Operation.AUTHORIZE),
        ],
    )
    def test_the_database_refuses_it_whoever_writes(
        self, shop: World, state: str, operation: Operation
    ) -> None:
        order = placed(new_order(shop))
        change(CardTransaction, gateway_state=state)
        other = second(order, None)
        with pytest.raises(IntegrityError), writing() as session:
            session.add(
                Attempt(
                    order_id=order.id,
                    transaction_id=other.id,
                    operation=operation,
                    state=AttemptState.QUEUED,
                    amount=2500,
                    gateway_order_id=other.gateway_order_id,
                    actor_kind=ActorKind.PERSON,
                    actor="田中",
                )
            )

    def test_what_is_found_at_the_gateway_can_be_written_down(self, shop: World) -> None:
        order = placed(new_order(shop))
        assert second(order, "AUTH").others_live


class TestWhatIsBooked:
    """What we book is what SMBC-GP says; that it is not our total is told."""

    def test_another_amount_is_told(self, shop: World) -> None:
        order = placed(new_order(shop))
        shop.fault("drop_after", order_id=order.order_no)
        press(order, Operation.CAPTURE)
        change(Order, total=9500)  # however that came about
        order = look(order)
        assert order.transaction is not None
        assert (order.payment_status, order.transaction.captured_amount) == (S.CAPTURED, 2500)
        [alert] = db.session.scalars(sa.select(Alert))
        assert alert.kind is AlertKind.AMOUNT_DIFFERS
        assert "9,500円" in alert.facts
        assert "2,500円" in alert.facts


class TestMending:
    """What earlier versions let files change is put right when the worker starts."""

    @pytest.mark.parametrize(
        ("sold", "status"), [(K.PREORDER, S.AUTHORIZED), (K.SUBSCRIPTION, S.AWAITING_BILLING)]
    )
    def test_an_order_becomes_again_what_was_paid_for(
        self, shop: World, sold: OrderKind, status: PaymentStatus
    ) -> None:
        make = subscription if sold is K.SUBSCRIPTION else new_order
        order = placed(make(shop) if sold is K.SUBSCRIPTION else make(shop, kind=sold))
        change(Order, kind=K.NORMAL)
        looked_up(order)
        assert mending.mend() == 1
        looked_up(order)
        order = fresh(order)
        assert (order.kind, order.payment_status) == (sold, status)
        assert [problem.what for problem in Verification([order.id]).problems()] == []
        assert mending.mend() == 0

    def test_one_from_a_file_that_waited_for_its_month_waits_again(self, shop: World) -> None:
        shop.gateway.check_card(row()["注文番号"], GOOD_CARD)
        take_in(row(決済方法ステータス="決済待ち"))
        [order] = orders()
        change(Order, kind=K.NORMAL)
        looked_up(order)
        assert mending.mend() == 1
        looked_up(order)
        order = fresh(order)
        assert (order.kind, order.payment_status) == (K.SUBSCRIPTION, S.AWAITING_BILLING)


def looked_up(order: Order) -> None:
    """照合 of the order, carried out at once."""
    transaction_lookup.look_soon(order.id)
    transaction = fresh(order).transaction
    assert transaction is not None
    transaction_lookup.look_up(transaction.id)


def open_alerts(order: Order) -> list[AlertKind]:
    """What a person has to acknowledge of the order."""
    return list(
        db.session.scalars(
            sa.select(Alert.kind).where(Alert.order_id == order.id, Alert.acknowledged_at.is_(None))
        )
    )


class TestCancelledInTheShopFront:
    """A file brings a parcel nowhere where no person could, and cancels no payment in silence."""

    def test_what_was_shipped_stays_shipped_and_is_billed(self, shop: World) -> None:
        order = placed(subscription(shop, subscription_id="T-1"))
        parcels.deliver(order.id, seen(order), TANAKA, [0])
        run = take_in(said(order, 注文状態="0"))
        order = fresh(order)
        assert (order.processing_class, order.buyer_name) == (PC.DELIVERED, "鈴木 一郎")
        assert db.session.scalar(sa.select(Order.id).where(IS_BILLABLE)) == order.id
        assert open_alerts(order) == [AlertKind.CANCELLED_IN_FILE]
        assert counts(run) == {"updated": 1}

    def test_a_sale_that_was_shipped_cannot_be_cancelled_after_it_either(self, shop: World) -> None:
        order = placed(new_order(shop))
        press(order, Operation.CAPTURE)
        parcels.deliver(order.id, seen(order), TANAKA, [0])
        take_in(said(order, 配送ステータス="注文キャンセル"))
        assert fresh(order).processing_class is PC.DELIVERED
        with pytest.raises(NotPossible):
            cancel(order)
        assert open_alerts(order) == [AlertKind.CANCELLED_IN_FILE]

    def test_goods_that_came_back_keep_their_reminder(self, shop: World) -> None:
        order = placed(new_order(shop))
        press(order, Operation.CAPTURE)
        parcels.deliver(order.id, seen(order), TANAKA, [0])
        back_today = parcels.ParcelReturn((0,), jst_day(utc_now()), "受取拒否")
        parcels.take_back(order.id, seen(order), TANAKA, back_today)
        assert is_return_open(fresh(order))
        take_in(said(order, 注文状態="0"))
        assert is_return_open(fresh(order))

    def test_an_open_order_is_told_once_and_cancelled_by_a_person(self, shop: World) -> None:
        order = placed(new_order(shop))
        run = take_in(said(order, 注文状態="0"))
        assert any("決済が残っています" in words for words in messages(run))
        assert (fresh(order).payment_status, fresh(order).processing_class) == (
            S.AUTHORIZED,
            PC.UNPROCESSED,
        )
        take_in(said(order, 注文状態="0"))
        assert open_alerts(order) == [AlertKind.CANCELLED_IN_FILE]
        assert cancel(order).payment_status is S.CANCELLED
        assert open_alerts(order) == []
        assert trades(shop, order) == {order.order_no: ("VOID", 2500)}
        assert messages(take_in(said(order, 注文状態="0"))) == []

    def test_who_keeps_the_order_is_not_told_again_the_next_day(self, shop: World) -> None:
        order = placed(new_order(shop))
        take_in(said(order, 注文状態="0"))
        [alert] = alerts.open_of(order.id)
        alerts.acknowledge(order.order_no, alert.id, TANAKA, "購入者と相談済み")
        take_in(said(order, 注文状態="0"))
        assert open_alerts(order) == []

    def test_what_is_uncertain_is_not_sent_by_file(self, shop: World) -> None:
        order = placed(
            new_order(
                shop,
                payment=CardSource(token=shop.token(SHORT_OF_MONEY)),
                on_decline=OnDecline.KEEP,
            )
        )
        assert order.payment_status is S.NEEDS_REVIEW
        run = take_in(said(order, 配送ステータス="配送完了"))
        assert fresh(order).processing_class is PC.UNPROCESSED
        assert any("要確認の注文は" in words for words in messages(run))

    def test_what_is_paid_otherwise_goes_as_the_file_says(self, shop: World) -> None:
        take_in(row(決済方法="銀行振込", 注文状態="1"))
        take_in(row(決済方法="銀行振込", 注文状態="0"))
        [order] = orders()
        assert order.processing_class is PC.CANCELLED


class TestAnotherParcel:
    """What left as a whole is not open again because a file puts one of its lines into a new parcel."""

    @pytest.mark.parametrize("word", ["", "配送完了", "注文キャンセル"])
    def test_of_what_was_delivered_is_left_out(self, shop: World, word: str) -> None:
        paid(shop, Job.CAPTURE)
        cells = {"決済方法ステータス": "決済完了", "配送ステータス": "配送完了", "配送先番号": "1"}
        first, second = row(**cells), row(商品名="おまけ", 単価="0", **cells)
        take_in(first, second)
        [order] = orders()
        looked_up(order)
        run = take_in(first, second | {"配送先番号": "2", "配送ステータス": word})
        order = fresh(order)
        assert order.processing_class is PC.DELIVERED
        assert [parcel.number for parcel in order.deliveries] == [1]
        assert counts(run) == {"left_out": 1}
        assert any("お届け先を増やすことはできません" in words for words in messages(run))
        with pytest.raises(NotPossible):
            cancel(order)

    def test_of_what_was_cancelled_is_not_sent(self, shop: World) -> None:
        order = cancel(placed(new_order(shop)))
        take_in(said(order, 配送先番号="1", 注文状態="1"))
        order = fresh(order)
        assert {parcel.status for parcel in order.deliveries} == {DeliveryStatus.CANCELLED}
        assert (order.processing_class, order.buyer_name) == (PC.CANCELLED, "鈴木 一郎")

    def test_of_what_is_open_goes_in(self, shop: World) -> None:
        order = placed(new_order(shop))
        first = said(order, 配送先番号="1")
        run = take_in(first, first | {"配送先番号": "2", "商品名": "おまけ", "単価": "0"})
        assert [parcel.number for parcel in fresh(order).deliveries] == [1, 2]
        assert counts(run) == {"updated": 1}


class TestOneParcelOfTwoCalledOff:
    """The shop front takes one parcel of two out: the order goes on with the other."""

    @pytest.mark.parametrize("kind", [K.NORMAL, K.SUBSCRIPTION])
    def test_is_through_when_the_other_left(self, shop: World, kind: OrderKind) -> None:
        order, files = of_two_parcels(shop, kind)
        run = take_in(*files("配送完了", "注文キャンセル"))
        assert (fresh(order).processing_class, messages(run)) == (PC.DELIVERED, [])
        is_billable = db.session.scalar(sa.select(Order.id).where(IS_BILLABLE)) == order.id
        assert is_billable is (kind is K.SUBSCRIPTION)

    def test_the_last_one_is_for_a_person(self, shop: World) -> None:
        order, files = of_two_parcels(shop, K.SUBSCRIPTION)
        take_in(*files("", "注文キャンセル"))
        run = take_in(*files("注文キャンセル", "注文キャンセル"))
        assert fresh(order).processing_class is PC.UNPROCESSED
        assert any("決済が残っています" in words for words in messages(run))
        assert open_alerts(order) == [AlertKind.CANCELLED_IN_FILE]

    def test_nor_does_the_other_one_vanish_from_the_file_in_silence(self, shop: World) -> None:
        order, files = of_two_parcels(shop, K.NORMAL)
        take_in(*files("", "注文キャンセル"))
        take_in(*(one | {"配送先番号": "2"} for one in files("", "")))
        assert open_alerts(order) == [AlertKind.CANCELLED_IN_FILE]

    def test_what_was_charged_stays_whole(self, shop: World) -> None:
        order, files = of_two_parcels(shop, K.NORMAL)
        press(order, Operation.CAPTURE)
        run = take_in(*files("", "注文キャンセル"))
        assert {parcel.status for parcel in fresh(order).deliveries} == {DeliveryStatus.UNPROCESSED}
        assert any("注文キャンセルにしませんでした" in words for words in messages(run))


def of_two_parcels(shop: World, kind: OrderKind) -> tuple[Order, Any]:
    """An order of two parcels, looked up, and the rows that say where they are."""
    cells = {"決済方法ステータス": "仮売上"}
    if kind is K.SUBSCRIPTION:
        shop.gateway.check_card(row()["注文番号"], GOOD_CARD)
        cells = {"決済方法ステータス": "決済待ち", "定期購入ID": "T-8", "定期回数": "1"}
    else:
        paid(shop, Job.AUTH)

    def files(first: str, second: str) -> list[dict[str, str]]:
        one = row(配送先番号="1", 配送ステータス=first, **cells)
        two = {"配送先番号": "2", "配送ステータス": second, "商品名": "おまけ", "単価": "0"}
        return [one, one | two]

    take_in(*files("", ""))
    [order] = orders()
    looked_up(order)
    return order, files


class TestCancelledBeforeTheFirstLookUp:
    """Nobody knew of the payment when a file cancelled the order: it is told once it is found."""

    @pytest.mark.parametrize(
        "said",
        [
            {"注文状態": "0"},
            {"決済方法ステータス": "注文キャンセル"},
            {"決済方法ステータス": "仮売上", "配送ステータス": "注文キャンセル"},
        ],
        ids=["注文状態", "決済方法ステータス", "配送ステータス"],
    )
    @pytest.mark.parametrize("job", [Job.AUTH, Job.CAPTURE])
    def test_what_is_held_or_charged_is_told_once(
        self, shop: World, job: Job, said: dict[str, str]
    ) -> None:
        paid(shop, job)
        take_in(row(**said))
        [order] = orders()
        looked_up(order)
        assert fresh(order).payment_status is {Job.AUTH: S.AUTHORIZED, Job.CAPTURE: S.CAPTURED}[job]
        assert open_alerts(order) == [AlertKind.CANCELLED_IN_FILE]
        [alert] = alerts.open_of(order.id)
        alerts.acknowledge(order.order_no, alert.id, TANAKA, "そのまま販売")
        take_in(row(**said))
        looked_up(order)
        assert open_alerts(order) == []

    def test_a_second_file_cancels_what_the_first_one_brought(self, shop: World) -> None:
        paid(shop, Job.AUTH)
        take_in(row())
        take_in(row(注文状態="0"))
        [order] = orders()
        looked_up(order)
        assert open_alerts(order) == [AlertKind.CANCELLED_IN_FILE]
        assert cancel(order).payment_status is S.CANCELLED
        assert open_alerts(order) == []

    def test_a_later_file_takes_it_back(self, shop: World) -> None:
        paid(shop, Job.AUTH)
        take_in(row(決済方法ステータス="注文キャンセル"))
        take_in(row(決済方法ステータス="仮売上"))
        [order] = orders()
        looked_up(order)
        assert open_alerts(order) == []

    def test_what_is_cancelled_there_too_needs_nobody(self, shop: World) -> None:
        access = paid(shop, Job.AUTH)
        shop.gateway.cancel(access, Cancellation.VOID)
        take_in(row(注文状態="0"))
        [order] = orders()
        looked_up(order)
        assert (fresh(order).payment_status, open_alerts(order)) == (S.CANCELLED, [])


def paid(shop: World, job: Job) -> TradeAccess:
    """The payment at SMBC-GP of the order that `row()` brings."""
    access = shop.gateway.enter(row()["注文番号"], job, 2500)
    shop.gateway.execute(access, GOOD_CARD, job=job)
    return access
