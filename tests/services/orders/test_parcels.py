"""The parcel acts: 配送完了, 返送処理, ステータスの変更, 返金しない — never a word to SMBC-GP (R28-R31, R88-R90a)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.errors import FormUsed, NotPossible, OrderChanged, ShopError
from sgpshop.domain.history import sentence
from sgpshop.domain.order_acts import Act, button, is_refund_open, is_return_open, status_change
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Attempt, Delivery, HistoryEntry, Operation, Order, OrderKind, utc_now
from sgpshop.models.attempt import AttemptState
from sgpshop.services import settings
from sgpshop.services.order_search.criteria import SearchCriteria, conditions
from sgpshop.services.order_search.totals import total
from sgpshop.services.orders import history, parcels
from sgpshop.services.orders.acting import Seen, lock_order
from sgpshop.services.orders.history import Actor
from sgpshop.services.orders.parcels import InputRefused, ParcelReturn
from sgpshop.storage.database import writing
from tests.factories import authorized_order, days_ago, fresh, make_order
from tests.gateway_world import World

S = PaymentStatus
D = DeliveryStatus
P = ProcessingClass
TANAKA = Actor.person("田中")
TODAY = jst_day(utc_now())
OPEN_RETURNS = SearchCriteria(returned_open=True)


@pytest.fixture(autouse=True)
def world_of_test(shop: World) -> Iterator[World]:
    """Whatever a test does with parcels, the gateway hears nothing of it (R30, R90)."""
    yield shop
    for order in db.session.scalars(sa.select(Order)):
        assert shop.requests(order.order_no, "AlterTran") == []
        assert shop.requests(order.order_no, "ChangeTran") == []
        assert shop.requests(order.order_no, "SearchTrade") == []


def seen(order: Order) -> Seen:
    """What a form opened just now carries."""
    now = fresh(order)
    return Seen(now.version, now.total, secrets.token_hex(16))


def deliver(order: Order, *numbers: int) -> None:
    parcels.deliver(order.id, seen(order), TANAKA, numbers or (0,))


def take_back(order: Order, *numbers: int, **said: Any) -> None:
    said = {"day": TODAY, "reason": "受取拒否"} | said
    parcels.take_back(order.id, seen(order), TANAKA, ParcelReturn(numbers or (0,), **said))


def change(order: Order, **statuses: D) -> None:
    """`change(order, n1=…)`: a status by 配送先番号."""
    wanted = {int(name[1:]): status for name, status in statuses.items()}
    parcels.change_statuses(order.id, seen(order), TANAKA, wanted)


def in_parcels(order: Order, *statuses: D) -> Order:
    """The order with one delivery per status, numbered from 1."""
    with writing() as session:
        session.execute(sa.delete(Delivery).where(Delivery.order_id == order.id))
        session.add_all(
            Delivery(order_id=order.id, number=number, status=status, name="宛名")
            for number, status in enumerate(statuses, start=1)
        )
    return order


def told(order: Order) -> list[str]:
    """The history in sentences, newest first."""
    return [sentence(e.event, e.who, e.detail) for e in history.entries(order.id)]


def can(order: Order, act: Act) -> bool:
    return button(act, fresh(order), settings.load(), utc_now()).is_enabled


class TestDeliver:
    @pytest.mark.postgresql
    def test_the_parcel_left_and_the_payment_stays(self, shop: World) -> None:
        order = authorized_order(shop)
        deliver(order)
        now = fresh(order)
        [parcel] = now.deliveries
        assert parcel.status is D.DELIVERED
        assert parcel.delivered_at is not None  # R101: its month is the billable one
        assert utc_now() - parcel.delivered_at < timedelta(minutes=1)
        assert now.processing_class is P.DELIVERED  # R29
        assert now.payment_status is S.AUTHORIZED  # R30: no capture by itself
        assert now.version == 2
        assert told(order) == ["田中さんが配送完了にしました"]
        assert shop.trade(order.order_no)["status"] == "AUTH"

    def test_a_subscription_becomes_billable_and_stays_awaiting(self) -> None:
        order = make_order(status=S.AWAITING_BILLING, kind=OrderKind.SUBSCRIPTION)
        deliver(order)
        now = fresh(order)
        assert now.payment_status is S.AWAITING_BILLING  # T17, R22
        assert now.deliveries[0].delivered_at is not None

    def test_other_payment_methods_are_delivered_too(self) -> None:
        order = make_order(method="代金引換")
        deliver(order)
        assert fresh(order).processing_class is P.DELIVERED

    def test_parcel_by_parcel(self) -> None:
        order = in_parcels(make_order(), D.UNPROCESSED, D.PREPARING, D.INSTRUCTED)
        deliver(order, 2)
        assert fresh(order).processing_class is P.UNPROCESSED  # R29: not all yet
        deliver(order, 1, 3)
        assert fresh(order).processing_class is P.DELIVERED
        assert told(order) == [
            "田中さんが配送完了にしました【お届け先1・3】",
            "田中さんが配送完了にしました【お届け先2】",
        ]

    @pytest.mark.parametrize("numbers", [(), (9,), (1, 2), (2,)])
    def test_parcels_that_are_not_there_or_not_open(self, numbers: tuple[int, ...]) -> None:
        order = in_parcels(make_order(), D.UNPROCESSED, D.DELIVERED)
        with pytest.raises(InputRefused) as refusal:
            parcels.deliver(order.id, seen(order), TANAKA, numbers)
        assert refusal.value.field == "delivery_number"
        assert fresh(order).version == 1
        assert told(order) == []

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (S.NEEDS_REVIEW, OrderKind.NORMAL),
            (S.CANCELLED, OrderKind.NORMAL),
            (S.BILLING_REPORTED, OrderKind.SUBSCRIPTION),
            (S.CAPTURE_FAILED, OrderKind.SUBSCRIPTION),
        ],
    )
    def test_not_where_the_table_has_no_button(self, status: S, kind: OrderKind) -> None:
        order = make_order(status=status, kind=kind)
        with pytest.raises(NotPossible):  # §4.3
            deliver(order)
        assert fresh(order).deliveries[0].status is D.UNPROCESSED

    def test_twice_is_refused_in_words(self) -> None:
        order = make_order()
        deliver(order)
        with pytest.raises(NotPossible, match="残っていません"):
            deliver(order)

    def test_not_while_the_order_is_being_cancelled(self) -> None:
        order = make_order()
        with writing() as session:
            session.add(
                Attempt(
                    order_id=order.id,
                    transaction_id=1,
                    operation=Operation.CANCEL,
                    state=AttemptState.SENDING,
                    amount=3000,
                    gateway_order_id=order.order_no,
                    actor_kind=TANAKA.kind,
                    actor=TANAKA.name,
                )
            )
        for act in (deliver, take_back):
            with pytest.raises(NotPossible, match="注文キャンセルの処理中"):  # R94
                act(order)
        assert "注文キャンセルの処理中" in status_change(fresh(order)).reason

    def test_all_at_once_within_the_end_of_a_capture(self) -> None:
        """What 「実売上処理して配送完了」 does once the capture succeeded (R30)."""
        order = in_parcels(make_order(), D.UNPROCESSED, D.RETURNED, D.PREPARING)
        now = utc_now()
        with writing() as session:
            locked = lock_order(session, order.id)
            changed = parcels.deliver_all(session, locked, now)
            assert [parcel.number for parcel in changed] == [1, 3]
        after = fresh(order)
        assert [p.status for p in after.deliveries] == [D.DELIVERED, D.RETURNED, D.DELIVERED]
        assert after.deliveries[0].delivered_at == now
        assert after.processing_class is P.RETURNED
        assert (after.version, told(order)) == (1, [])  # the caller's


class TestReturn:
    @pytest.mark.parametrize(
        "status", [S.AUTHORIZED, S.CAPTURE_FAILED, S.CAPTURED, S.AWAITING_BILLING]
    )
    def test_the_goods_are_back_and_the_payment_stays(self, status: S) -> None:
        order = make_order(status=status)
        if can(order, Act.DELIVER):
            deliver(order)
        take_back(order, restock=True)
        now = fresh(order)
        [parcel] = now.deliveries
        assert (parcel.status, parcel.returned_on) == (D.RETURNED, TODAY)
        assert parcel.return_reason == "受取拒否"
        assert now.processing_class is P.RETURNED
        assert now.payment_status is status  # R90
        assert is_return_open(now)  # R90a
        assert can(order, Act.CANCEL)  # R95
        assert told(order)[0] == (
            f"田中さんが返送処理をしました(返送日 {TODAY:%Y/%m/%d}、理由:受取拒否、在庫に戻す)。"
            "SMBC-GPの決済は取り消していません"
        )

    def test_some_parcels_first_and_the_others_later(self) -> None:
        order = in_parcels(make_order(status=S.CAPTURED), D.DELIVERED, D.DELIVERED, D.DELIVERED)
        take_back(order, 2)
        assert fresh(order).processing_class is P.RETURNED  # R29
        assert can(order, Act.RETURN)  # no dead end
        with pytest.raises(InputRefused):
            take_back(order, 2, 3)
        take_back(order, 1, 3)
        assert not can(order, Act.RETURN)
        with pytest.raises(NotPossible, match="すべて返送処理済み"):
            take_back(order, 1)

    def test_while_another_parcel_is_still_to_be_sent(self) -> None:
        order = in_parcels(make_order(), D.DELIVERED, D.UNPROCESSED)
        take_back(order, 1)
        now = fresh(order)
        assert now.processing_class is P.UNPROCESSED
        assert not is_return_open(now)  # R90a is about the whole order
        deliver(order, 2)
        assert is_return_open(fresh(order))

    @pytest.mark.parametrize(
        ("days", "words"),
        [(1, "未来の日付"), (-6, "注文日以降")],
    )
    def test_the_day_lies_between_the_order_and_today(self, days: int, words: str) -> None:
        day = jst_day(utc_now()) + timedelta(days=days)  # not when the tests were collected
        order = make_order(ordered_at=days_ago(5))
        with pytest.raises(InputRefused, match=words) as refusal:
            take_back(order, day=day)
        assert refusal.value.field == "returned_on"
        take_back(order, day=jst_day(order.ordered_at))
        assert fresh(order).deliveries[0].returned_on == jst_day(order.ordered_at)

    @pytest.mark.parametrize("status", [S.CANCELLED, S.NEEDS_REVIEW])
    def test_not_for_cancelled_orders_nor_in_review(self, status: S) -> None:
        order = make_order(status=status)
        with pytest.raises(NotPossible):  # R89
            take_back(order)

    def test_a_further_return_asks_about_the_payment_again(self) -> None:
        order = in_parcels(make_order(status=S.CAPTURED), D.DELIVERED, D.DELIVERED)
        take_back(order, 1)
        parcels.waive_cancel(order.id, seen(order), TANAKA, "代品を送る")
        take_back(order, 2)
        assert is_return_open(fresh(order))


class TestChangeStatuses:
    def test_undoing_a_delivery_opens_the_cancel_again(self) -> None:
        order = make_order(status=S.CAPTURED)
        deliver(order)
        assert not can(order, Act.CANCEL)  # R94
        change(order, n0=D.UNPROCESSED)
        now = fresh(order)
        assert now.processing_class is P.UNPROCESSED  # R31
        assert now.deliveries[0].delivered_at is None
        assert now.payment_status is S.CAPTURED
        assert can(order, Act.CANCEL)
        assert told(order)[0] == "田中さんがステータスを変更しました(配送完了 → 未処理)"

    def test_an_undone_delivery_is_not_billable(self) -> None:
        order = make_order(status=S.AWAITING_BILLING, kind=OrderKind.SUBSCRIPTION)
        deliver(order)
        change(order, n0=D.PREPARING)
        assert fresh(order).deliveries[0].delivered_at is None

    def test_an_undone_return_leaves_nothing_behind(self) -> None:
        order = make_order(status=S.CAPTURED)
        take_back(order)
        parcels.waive_cancel(order.id, seen(order), TANAKA, "代品を送る")
        change(order, n0=D.INSTRUCTED)
        now = fresh(order)
        [parcel] = now.deliveries
        assert (parcel.returned_on, parcel.return_reason) == (None, "")
        assert (now.cancel_waived_at, now.cancel_waived_reason) == (None, "")
        assert not is_return_open(now)

    def test_an_undone_return_keeps_the_month_of_the_delivery(self) -> None:
        order = make_order(status=S.AWAITING_BILLING, kind=OrderKind.SUBSCRIPTION)
        deliver(order)
        delivered_at = fresh(order).deliveries[0].delivered_at
        take_back(order)
        change(order, n0=D.DELIVERED)
        assert fresh(order).deliveries[0].delivered_at == delivered_at  # R101

    def test_how_far_the_work_is_per_parcel(self) -> None:
        order = in_parcels(make_order(), D.UNPROCESSED, D.UNPROCESSED, D.PREPARING)
        change(order, n1=D.INSTRUCTED, n2=D.UNPROCESSED, n3=D.UNPROCESSED)
        assert [p.status for p in fresh(order).deliveries] == [
            D.INSTRUCTED,
            D.UNPROCESSED,
            D.UNPROCESSED,
        ]
        assert told(order) == [
            "田中さんがステータスを変更しました(【お届け先1】未処理 → 配送指示済、"
            "【お届け先3】配送準備中 → 未処理)"
        ]

    @pytest.mark.parametrize(
        "wanted", [D.DELIVERED, D.RETURNED, D.CANCELLED, D.UNPROCESSED], ids=lambda s: s.value
    )
    def test_deliveries_and_returns_have_acts_of_their_own(self, wanted: D) -> None:
        order = make_order()
        with pytest.raises(InputRefused):
            change(order, n0=wanted)  # or nothing changes at all
        with pytest.raises(InputRefused):
            change(order, n7=wanted)
        assert fresh(order).version == 1

    def test_whatever_the_payment_review_brings_the_parcel_is_where_it_is(self) -> None:
        order = make_order(status=S.NEEDS_REVIEW)
        change(order, n0=D.PREPARING)
        assert fresh(order).deliveries[0].status is D.PREPARING

    def test_not_for_cancelled_orders(self) -> None:
        order = in_parcels(make_order(status=S.CANCELLED), D.DELIVERED)
        with pytest.raises(NotPossible, match="注文キャンセル済み"):
            change(order, n1=D.UNPROCESSED)

    @pytest.mark.parametrize("status", [S.BILLING_REPORTED, S.CAPTURE_FAILED])
    def test_not_once_the_batch_took_it(self, status: S) -> None:
        order = make_order(status=status, kind=OrderKind.SUBSCRIPTION)
        in_parcels(order, D.DELIVERED)
        with pytest.raises(NotPossible, match="売上報告が済んでいる"):  # R31
            change(order, n1=D.UNPROCESSED)
        take_back(order, 1)  # but a return by mistake can be put right
        with pytest.raises(InputRefused):
            change(order, n1=D.UNPROCESSED)
        change(order, n1=D.DELIVERED)
        assert fresh(order).processing_class is P.DELIVERED


class TestWaive:
    def test_a_reason_takes_the_badge_away_and_it_can_come_back(self) -> None:
        order = make_order(status=S.CAPTURED, total=4200)
        take_back(order)
        assert total(OPEN_RETURNS).yen == 4200
        parcels.waive_cancel(order.id, seen(order), TANAKA, "代品を送る")
        now = fresh(order)
        assert now.cancel_waived_at is not None
        assert now.cancel_waived_reason == "代品を送る"
        assert not is_return_open(now)  # R90a
        assert total(OPEN_RETURNS).count == 0
        assert now.payment_status is S.CAPTURED
        parcels.undo_waiver(order.id, seen(order), TANAKA)
        assert is_return_open(fresh(order))
        assert told(order)[:2] == [
            "田中さんが、「返金しない」を解除しました",
            "田中さんが、返送した注文の決済をこのまま(返金しない)にしました(理由:代品を送る)",
        ]

    def test_only_with_a_reason(self) -> None:
        order = make_order(status=S.CAPTURED)
        take_back(order)
        with pytest.raises(InputRefused) as refusal:
            parcels.waive_cancel(order.id, seen(order), TANAKA, "")
        assert refusal.value.field == "reason"

    def test_answers_a_refund_that_is_open_too(self) -> None:  # R104
        order = make_order(status=S.BILLING_REPORTED)
        take_back(order)
        assert is_refund_open(fresh(order))
        parcels.waive_cancel(order.id, seen(order), TANAKA, "代品を送る")
        assert not is_refund_open(fresh(order))
        parcels.undo_waiver(order.id, seen(order), TANAKA)
        assert is_refund_open(fresh(order))

    @pytest.mark.parametrize("status", [S.CAPTURED, S.BILLING_REPORTED])
    @pytest.mark.parametrize("is_answered", [False, True])
    def test_only_where_something_waits_to_be_cancelled(self, status: S, is_answered: bool) -> None:
        order = make_order(status=status)
        if is_answered:  # what came back was cancelled, or given back
            take_back(order)
            with writing() as session:
                now = session.get_one(Order, order.id)
                if status is S.CAPTURED:
                    now.payment_status = S.CANCELLED
                else:
                    now.refunded_on = TODAY
        with pytest.raises(NotPossible):
            parcels.waive_cancel(order.id, seen(order), TANAKA, "理由")
        with pytest.raises(NotPossible):
            parcels.undo_waiver(order.id, seen(order), TANAKA)


ACTS: dict[str, Callable[[Order, Seen], None]] = {
    "deliver": lambda o, s: parcels.deliver(o.id, s, TANAKA, [0]),
    "return": lambda o, s: parcels.take_back(o.id, s, TANAKA, ParcelReturn([0], TODAY)),
    "statuses": lambda o, s: parcels.change_statuses(o.id, s, TANAKA, {0: D.PREPARING}),
}


class TestOneOfSeveralIsCalledOff:
    """The shop front called it off after 決済完了: the order is closed, the money stays as it is."""

    def test_the_order_is_through_and_it_can_be_taken_back(self) -> None:
        order = in_parcels(make_order(status=S.CAPTURED), D.DELIVERED, D.PREPARING)
        change(order, n2=D.CANCELLED)
        now = fresh(order)
        assert (now.processing_class, now.payment_status) == (P.DELIVERED, S.CAPTURED)
        assert "注文キャンセル" in told(order)[0]
        change(order, n2=D.UNPROCESSED)
        assert fresh(order).processing_class is P.UNPROCESSED

    def test_but_never_all_of_them(self) -> None:
        order = in_parcels(make_order(status=S.CAPTURED), D.UNPROCESSED, D.UNPROCESSED)
        with pytest.raises(InputRefused, match="注文キャンセルをしてください"):
            change(order, n1=D.CANCELLED, n2=D.CANCELLED)
        change(order, n1=D.CANCELLED)
        with pytest.raises(InputRefused, match="注文キャンセルをしてください"):
            change(order, n2=D.CANCELLED)
        assert fresh(order).processing_class is P.UNPROCESSED

    @pytest.mark.parametrize("status", [S.AUTHORIZED, S.NEEDS_REVIEW, S.CAPTURE_FAILED])
    def test_nor_where_the_order_can_be_edited_or_cancelled(self, status: S) -> None:
        order = in_parcels(make_order(status=status), D.DELIVERED, D.UNPROCESSED)
        with pytest.raises(InputRefused):
            change(order, n2=D.CANCELLED)


@pytest.mark.parametrize("name", ACTS)
class TestForms:
    @pytest.mark.postgresql
    def test_the_same_form_again_changes_nothing_more(self, name: str) -> None:  # P19
        order = make_order()
        form = seen(order)
        for _ in range(2):
            ACTS[name](order, form)
        assert fresh(order).version == 2
        assert len(told(order)) == 1

    def test_a_stale_form_changes_nothing(self, name: str) -> None:  # R61, P20
        order = make_order()
        form = seen(order)
        with writing() as session:
            session.execute(sa.update(Order).values(version=2))
        with pytest.raises(OrderChanged):
            ACTS[name](order, form)
        assert fresh(order).deliveries[0].status is D.UNPROCESSED

    def test_nor_does_one_that_saw_another_amount(self, name: str) -> None:
        order = make_order()
        with pytest.raises(OrderChanged):
            ACTS[name](order, Seen(1, 2999, secrets.token_hex(16)))
        assert told(order) == []

    def test_nor_the_form_of_another_order(self, name: str) -> None:
        first, second = make_order(), make_order()
        form = seen(first)
        ACTS[name](first, form)
        with pytest.raises(FormUsed):
            ACTS[name](second, form)
        assert told(second) == []

    @pytest.mark.postgresql
    def test_a_double_click_is_one_act(self, name: str, app: Flask) -> None:  # P19
        order = make_order()
        form = seen(order)

        def click(_number: int) -> str:
            with app.app_context():
                try:
                    ACTS[name](order, form)
                except ShopError as problem:
                    return problem.message
                finally:
                    db.session.remove()
                return ""

        fresh(order)
        db.session.expunge_all()  # the threads share what it says, not its session
        db.session.rollback()
        with ThreadPoolExecutor(4) as clicks:
            assert list(clicks.map(click, range(4))) == [""] * 4
        assert fresh(order).version == 2
        assert db.session.scalar(sa.select(sa.func.count(HistoryEntry.id))) == 1


@pytest.mark.postgresql
def test_open_returns_are_found_by_their_own_index(database_kind: str) -> None:
    """The first page asks for them every time (R155)."""
    if database_kind != "sqlite":
        pytest.skip("PostgreSQL chooses by statistics")
    query = sa.select(Order.payment_status, sa.func.count(), sa.func.sum(Order.total))
    query = query.where(*conditions(OPEN_RETURNS, utc_now())).group_by(Order.payment_status)
    plan: list[str] = []

    def listen(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not plan and statement.startswith("SELECT"):
            plan.append("")
            rows = _c.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)
            plan[0] = " ".join(str(row[3]) for row in rows)

    sa.event.listen(db.engine, "before_cursor_execute", listen)
    db.session.execute(query)
    sa.event.remove(db.engine, "before_cursor_execute", listen)
    assert "SCAN orders USING INDEX ix_orders_returned" in plan[0]
    assert "SEARCH orders USING INTEGER PRIMARY KEY" in plan[0]  # and nothing but these


def test_a_parcel_cancelled_with_an_order_whose_payment_stands_may_yet_leave() -> None:
    """Cancelled here, then a look-up found the authorization standing (R120)."""
    order = make_order()
    with writing() as session:
        row = lock_order(session, order.id)
        row.processing_class = P.CANCELLED
        row.deliveries[0].status = D.CANCELLED
    parcels.change_statuses(order.id, seen(order), TANAKA, {0: D.UNPROCESSED})
    deliver(order)
    assert fresh(order).processing_class is P.DELIVERED
