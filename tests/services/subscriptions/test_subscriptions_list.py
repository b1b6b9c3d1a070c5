"""定期購入: each order on the tab of its stage, the prediction, the search, and the monthly files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import chain
from typing import Any

import pytest
import time_machine

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.errors import CursorInvalid, NotFound
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import TradeAccess
from sgpshop.models import BillingState, Delivery, Order, utc_now
from sgpshop.services import intake, subscriptions
from sgpshop.services.intake.new_order import CardSource
from sgpshop.services.order_detail.answers import one
from sgpshop.services.order_detail.detail import OrderProblem, get_detail
from sgpshop.services.orders import parcels
from sgpshop.services.subscriptions import (
    ListedFile,
    SubscriptionCriteria,
    SubscriptionDate,
    SubscriptionTab,
    billing,
    csv_file,
)
from sgpshop.services.subscriptions.billing import planning
from sgpshop.storage.database import writing
from sgpshop.storage.questions import answer
from tests.factories import fresh, make_order
from tests.gateway_world import World
from tests.services.acting import TANAKA, seen
from tests.services.arriving import SHOP_FRONT, open_shop, orders, subscription
from tests.services.subscribing import Travel, jst, make_subscription

#: What it asks of the database, both answer differently or in another order.
pytestmark = pytest.mark.postgresql

S, B = PaymentStatus, BillingState
#: where the buyer paid again after an NG
PAID_ANEW = TradeAccess("P900000000000000001", "a" * 32, "b" * 32)
NOV_1 = date(2026, 11, 1)


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0}


@pytest.fixture
def travel() -> Iterator[Travel]:
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.fixture(autouse=True)
def _open(shop: World, travel: Travel) -> None:
    open_shop()


def numbers(**criteria: Any) -> list[str]:
    """The numbers found on the tab すべて, or the named one."""
    found = subscriptions.search(SubscriptionCriteria(**({"tab": SubscriptionTab.ALL} | criteria)))
    return [row.order.order_no for row in found.rows]


def the_row(order: Order) -> Any:
    [row] = subscriptions.search(
        SubscriptionCriteria(tab=SubscriptionTab.ALL, order_no=order.order_no)
    ).rows
    return row


class TestTabs:
    def test_each_stage_has_its_tab_with_count_and_yen(self) -> None:  # R108
        make_order(total=9)  # no subscription
        waiting = make_subscription(total=100)
        back = make_subscription(total=1)
        with_month = make_subscription(total=20, delivered_at=jst(2026, 11, 3))
        late = make_subscription(total=4, delivered_at=jst(2026, 9, 3))
        reported = make_subscription(
            total=3000, status=S.BILLING_REPORTED, delivered_at=jst(2026, 10, 3), state=B.PAID
        )
        failed = make_subscription(total=500, status=S.CAPTURE_FAILED, state=B.REFUSED)
        gone = make_subscription(total=7, status=S.CANCELLED)
        stages = {
            SubscriptionTab.AWAITING: [waiting, back],
            SubscriptionTab.DELIVERED: [with_month, late],
            SubscriptionTab.REPORTED: [reported],
            SubscriptionTab.FAILED: [failed],
            SubscriptionTab.ALL: [waiting, back, with_month, late, reported, failed, gone],
        }
        totals = subscriptions.tab_totals(SubscriptionCriteria(), subscriptions.outlook(10))
        for tab, expected in stages.items():
            assert sorted(numbers(tab=tab)) == sorted(order.order_no for order in expected)
            assert (totals[tab].count, totals[tab].yen) == (
                len(expected),
                sum(order.total for order in expected),
            )

    @pytest.mark.alike
    def test_the_columns(self) -> None:
        order = make_subscription(
            status=S.BILLING_REPORTED,
            delivered_at=jst(2026, 10, 3),
            state=B.PAID,
            subscription_id="T-77",
            subscription_round=3,
        )
        row = the_row(order)
        assert (row.subscription_id, row.round, row.result) == ("T-77", 3, "OK")
        assert row.delivered_at == jst(2026, 10, 3)
        assert row.registered_at == jst(2026, 10, 23)
        assert row.registers_at is None  # nothing is to be registered any more

    @pytest.mark.alike
    def test_when_each_will_be_registered(self, travel: Travel) -> None:  # R101, R102
        november = make_subscription(delivered_at=jst(2026, 11, 30, 23, 59))
        september = make_subscription(delivered_at=jst(2026, 9, 30))
        assert the_row(november).registers_at == jst(2026, 12, 10, 6)
        late = the_row(september)
        assert (late.registers_at, late.is_late) == (jst(2026, 12, 10, 6), True)
        assert the_row(make_subscription()).registers_at is None
        travel(jst(2026, 12, 5))
        december = make_subscription(delivered_at=jst(2026, 12, 4))
        assert the_row(december).registers_at == jst(2027, 1, 10, 6)

    @pytest.mark.alike
    def test_a_bad_result_says_why_until_the_buyer_has_paid_again(self) -> None:  # R105, R106
        order = make_subscription(
            status=S.CAPTURE_FAILED, state=B.NOT_PAID, codes="42G830000", result="1"
        )
        row = the_row(order)
        assert (row.result, row.is_bad, row.codes) == ("NG", True, ("42G830000",))
        assert "有効性NG" in row.why
        assert "請求は行われていません" in row.why  # as the order's own page says it
        repaid = make_subscription(
            status=S.BILLING_REPORTED,
            state=B.NOT_PAID,
            codes="42G830000",
            result="1",
            access=PAID_ANEW,
            gateway_state="CAPTURE",
        )
        row = the_row(repaid)
        assert (row.result, row.is_bad, row.why) == ("再決済OK", False, "")

    def test_pages_by_key_show_each_once_forward_and_back(self) -> None:
        made = [make_subscription(ordered_at=jst(2026, 11, 1)).order_no for _ in range(90)]
        pages, cursor = [], ""
        while True:
            page = subscriptions.search(SubscriptionCriteria(), cursor)
            pages.append([row.order.order_no for row in page.rows])
            if not page.next_cursor:
                break
            cursor = page.next_cursor
        assert [len(page) for page in pages] == [40, 40, 10]
        assert sorted(chain(*pages)) == sorted(made)
        back = subscriptions.search(SubscriptionCriteria(), page.previous_cursor)
        assert [row.order.order_no for row in back.rows] == pages[1]
        for broken in ("x", "W10", "ü", "WyIyMDI2LTExLTAxIiwxLGZhbHNlXQ"):
            with pytest.raises(CursorInvalid):
                subscriptions.search(SubscriptionCriteria(), broken)


class TestOutlook:
    def test_what_is_predicted_is_what_is_registered(self, travel: Travel) -> None:  # R102
        for day, total in ((jst(2026, 9, 2), 1), (jst(2026, 10, 31, 23, 59), 20)):
            make_subscription(delivered_at=day, total=total)
        make_subscription(delivered_at=jst(2026, 11, 12, 9), total=300)
        make_subscription(total=4000)
        now = subscriptions.outlook(10)
        assert now.next_at == jst(2026, 12, 10, 6)
        assert (now.days_until_next, now.next_month) == (28, NOV_1)
        assert (now.next.count, now.next.yen) == (3, 321)
        assert (now.earlier.count, now.earlier.yen) == (2, 21)  # their own day is over
        assert (now.undelivered.count, now.undelivered.yen) == (1, 4000)
        assert (now.last_day, now.days_until_last) == (date(2026, 11, 30), 18)
        travel(jst(2026, 12, 5))
        make_subscription(delivered_at=jst(2026, 12, 4), total=50_000)
        december = subscriptions.outlook(10)
        assert (december.next.count, december.next_month) == (3, NOV_1)
        assert (december.later.yen, december.later_at) == (50_000, jst(2027, 1, 10, 6))
        travel(jst(2026, 12, 10, 6, 0))
        assert planning.plan(NOV_1) == december.next.count
        assert subscriptions.outlook(10).under_way.count == 3

    @pytest.mark.alike
    def test_the_reminder_of_the_months_end(self) -> None:  # R108
        forgotten = make_subscription(slip_no="1234-5678", total=700)
        make_subscription(slip_no="1234-5679", delivered_at=jst(2026, 11, 3))
        make_subscription()
        assert subscriptions.outlook(10).reminder.yen == 700
        assert numbers(tab=SubscriptionTab.AWAITING, reminder=True) == [forgotten.order_no]

    @pytest.mark.alike
    @pytest.mark.parametrize("done", [DeliveryStatus.DELIVERED, DeliveryStatus.RETURNED])
    def test_the_other_parcel_of_two_is_not_forgotten(self, done: DeliveryStatus) -> None:
        """Without its 配送完了 nothing is ever billed, and nothing else would say so."""
        order = make_subscription(total=700)
        with writing() as session:
            session.add(Delivery(order_id=order.id, number=1, status=done))
        assert subscriptions.outlook(10).reminder.yen == 700
        assert numbers(tab=SubscriptionTab.AWAITING, reminder=True) == [order.order_no]

    @pytest.mark.alike
    def test_returned_after_the_report_is_to_be_refunded(self) -> None:  # R104
        order = make_subscription(status=S.BILLING_REPORTED, total=900)
        order.processing_class = ProcessingClass.RETURNED
        db.session.commit()
        make_subscription(total=60)
        outlook, shown = subscriptions.outlook(10), answer(subscriptions.urgent_question(utc_now()))
        assert outlook.to_refund.yen == 900
        # What the first page shows is the same, asked with less.
        assert (shown.attention, shown.undelivered, shown.days_until_last) == (
            outlook.attention,
            outlook.undelivered,
            outlook.days_until_last,
        )
        assert (shown.attention.yen, shown.undelivered.yen) == (900, 60)
        assert the_row(order).needs_refund


class TestSearch:  # R109
    def test_each_condition(self) -> None:
        one_ = make_subscription(
            subscription_id="T-5",
            buyer_email="Hanako@example.jp",
            ordered_at=jst(2026, 10, 1, 9),
            delivered_at=jst(2026, 10, 31, 23, 59),
            status=S.BILLING_REPORTED,
            state=B.PAID,
        )
        other = make_subscription(status=S.CAPTURE_FAILED, state=B.NOT_PAID, codes="42G830000")
        make_subscription(subscription_id="T-6")
        repaid = make_subscription(
            status=S.BILLING_REPORTED,
            state=B.REFUSED,
            codes="42G830000",
            access=PAID_ANEW,
            gateway_state="CAPTURE",
        )
        only = [one_.order_no]
        assert numbers(subscription_id="T-5") == only
        assert numbers(subscription_id="T-") == []
        assert numbers(email="hanako@") == only
        assert numbers(email="%") == []  # S20
        assert numbers(order_no=one_.order_no) == only
        october = {"day_from": date(2026, 10, 1), "day_to": date(2026, 10, 31)}
        assert numbers(**october) == only
        assert numbers(date_field=SubscriptionDate.DELIVERED, **october) == only
        assert numbers(date_field=SubscriptionDate.DELIVERED, day_to=date(2026, 10, 30)) == []
        november = {"day_from": date(2026, 11, 20), "day_to": date(2026, 11, 20)}
        assert numbers(date_field=SubscriptionDate.REGISTERED, **november) == only
        assert set(numbers(is_ok=True)) == {one_.order_no, repaid.order_no}
        assert numbers(is_ok=False) == [other.order_no]
        totals = subscriptions.tab_totals(
            SubscriptionCriteria(is_ok=False), subscriptions.outlook(10)
        )
        assert (totals[SubscriptionTab.FAILED].count, totals[SubscriptionTab.ALL].count) == (1, 1)

    def test_going_on_is_what_the_newest_order_of_the_subscription_says(self) -> None:
        first = make_subscription(
            subscription_id="A", status=S.BILLING_REPORTED, ordered_at=jst(2026, 9, 1)
        )
        last = make_subscription(
            subscription_id="A", status=S.CANCELLED, ordered_at=jst(2026, 10, 1)
        )
        skipped = make_subscription(
            subscription_id="B", status=S.CANCELLED, ordered_at=jst(2026, 9, 1)
        )
        goes_on = make_subscription(subscription_id="B", ordered_at=jst(2026, 10, 1))
        nameless = make_subscription(subscription_id="")
        assert set(numbers(is_going_on=False)) == {first.order_no, last.order_no}
        assert set(numbers(is_going_on=True)) == {
            skipped.order_no,
            goes_on.order_no,
            nameless.order_no,
        }

    def test_the_csv_has_the_present_search_and_runs_nothing(self) -> None:  # S18
        order = make_subscription(
            buyer="=1+2 企画", subscription_id="-T9", delivered_at=jst(2026, 11, 3), total=1234
        )
        make_subscription()
        file = b"".join(subscriptions.as_csv(SubscriptionCriteria(tab=SubscriptionTab.DELIVERED)))
        assert file.startswith("\ufeff".encode())
        [row] = csv.DictReader(io.StringIO(file.decode("utf-8-sig"), newline=""))
        assert row["注文番号"] == order.order_no
        assert (row["注文者"], row["定期購入ID"], row["金額"]) == ("'=1+2 企画", "'-T9", "1234")
        assert (row["配送完了日"], row["登録予定日"]) == ("2026/11/03", "2026/12/10")

    def test_more_rows_than_one_reading(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(csv_file, "_CHUNK", 2)
        made = {make_subscription().order_no for _ in range(3)}
        _titles, *lines = (
            b"".join(subscriptions.as_csv(SubscriptionCriteria())).decode().splitlines()
        )
        assert {line.split(",")[0] for line in lines} == made


def placed(shop: World, **more: Any) -> Order:
    """An order that was handed in and set to 配送完了 today."""
    number = intake.place(subscription(shop, **more), SHOP_FRONT).order_no
    [order] = [order for order in orders() if order.order_no == number]
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    return fresh(order)


def newest_file() -> ListedFile:
    return subscriptions.files()[0]


def problem(order: Order) -> OrderProblem:
    found = get_detail(order.order_no).problem
    assert found is not None
    assert one(order.order_no).problem == found  # other programs are told the same
    return found


class TestFiles:
    @pytest.fixture(autouse=True)
    def _begun(self, _open: None) -> None:
        billing.resume()  # the first registration of a new installation is nobody's

    def test_from_sending_to_the_results(self, shop: World, travel: Travel) -> None:
        good, bad = placed(shop), placed(shop, payment=CardSource(token=shop.token(expire="2611")))
        travel(jst(2026, 12, 10, 6, 1))
        billing.resume()
        file = newest_file()
        assert (file.words, file.lines, file.yen, file.taken) == ("受付済・結果待ち", 2, 5000, 2)
        assert file.receipt_no
        assert file.results_due_at == jst(2026, 12, 18, 6)
        travel(jst(2026, 12, 18, 6, 1))
        billing.resume()
        file = newest_file()
        assert (file.words, file.paid, file.not_paid) == ("結果受領済", 1, 1)
        assert subscriptions.trouble()[0] == []
        assert get_detail(good.order_no).problem is None
        told = problem(bad)  # R105
        assert told.headline == "売上報告の結果がNGでした"
        assert "保証される場合があります" in told.sentence
        assert "別の方法で請求が必要" in told.next_step
        assert told.codes == ("42G830000",)
        facts = get_detail(bad.order_no).billing
        assert facts is not None
        assert (facts.month, facts.gateway_order_id) == (NOV_1, f"{bad.order_no}-1")
        open_shop(billing_mode="refresh_bulk_auth")
        assert "保証されません" in problem(bad).sentence

    @pytest.mark.alike
    def test_a_doubt_says_since_when_and_what_is_next(self, shop: World, travel: Travel) -> None:
        placed(shop)
        shop.fault("drop_after", "Batch", times=5)
        travel(jst(2026, 12, 10, 6, 1))
        billing.resume()
        travel(jst(2026, 12, 10, 6, 30))
        billing.resume()
        file = newest_file()
        assert (file.words, file.tries, file.is_refused) == ("結果確認中", 2, False)
        assert file.first_sent_at is not None
        assert abs(file.first_sent_at - jst(2026, 12, 10, 6, 1)) < timedelta(minutes=1)
        assert file.due_at is not None
        assert "二重に請求されることはありません" in file.why

    def test_a_refused_file_is_told_until_somebody_takes_note(
        self, shop: World, travel: Travel
    ) -> None:  # R105
        order = placed(shop)
        travel(jst(2026, 12, 11, 9))  # the window has closed
        billing.resume()
        [notice] = subscriptions.notices_of(subscriptions.trouble()[0])
        assert notice.order_nos == (order.order_no,)
        assert (notice.file.words, notice.file.postponed) == ("受付不可", 1)
        assert "受け付ける期間" in notice.file.why
        assert fresh(order).payment_status is S.AWAITING_BILLING
        assert "受け付けられなかった" in problem(order).sentence
        row = the_row(order)
        assert (row.result, row.is_late, row.registers_at) == ("未登録", True, jst(2027, 1, 10, 6))

        subscriptions.acknowledge(notice.file.id, TANAKA)
        subscriptions.acknowledge(notice.file.id, SHOP_FRONT)  # P19: the first stays
        assert subscriptions.trouble()[0] == []
        assert newest_file().acknowledged_by == "田中"

        travel(jst(2027, 1, 10, 6, 1))
        billing.resume()
        assert get_detail(order.order_no).problem is None
        assert [file.words for file in subscriptions.files()] == ["受付済・結果待ち", "受付不可"]

    @pytest.mark.alike
    def test_only_a_refused_file_can_be_acknowledged(self, shop: World, travel: Travel) -> None:
        placed(shop)
        travel(jst(2026, 12, 10, 6, 1))
        billing.resume()
        for file_id in (newest_file().id, 999):
            with pytest.raises(NotFound):
                subscriptions.acknowledge(file_id, TANAKA)

    @pytest.mark.alike
    def test_taken_in_though_the_answer_was_lost_is_no_refusal(
        self, shop: World, travel: Travel
    ) -> None:  # P14
        placed(shop)
        shop.fault("drop_after", "Batch")
        travel(jst(2026, 12, 10, 23, 59, 30))
        billing.resume()
        travel(jst(2026, 12, 11, 1))
        billing.resume()
        assert subscriptions.trouble()[0] == []
        assert newest_file().taken == 1
        travel(jst(2026, 12, 18, 6, 1))  # its results are fetched all the same
        billing.resume()
        assert (newest_file().words, newest_file().paid) == ("結果受領済", 1)

    @pytest.mark.alike
    def test_a_refused_line_needs_another_way(self, shop: World, travel: Travel) -> None:  # T19
        open_shop(billing_driver="api")
        order = placed(shop)
        shop.fault("error:42G550000", "ExecTran")
        travel(jst(2026, 12, 10, 6, 1))
        before = jst(2026, 12, 10, 6, 1)
        done = billing.report(NOV_1)
        assert (done.refused, done.registered) == (1, 0)
        told = problem(order)
        assert told.headline == "カード会社に断られました(売上報告)"
        assert "別の方法で請求が必要" in told.next_step
        [(number, why)] = subscriptions.refused_since(before)
        assert number == order.order_no
        assert why.startswith("42G550000 ")
