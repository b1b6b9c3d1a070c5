"""What a person decides about subscription sales: take failed ones again, returns, refunds."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.errors import NotPossible
from sgpshop.domain.order_acts import Act, button, is_refund_open, is_return_open, may_waive_cancel
from sgpshop.domain.order_rules import is_unsent
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.models import (
    Billing,
    BillingFile,
    BillingState,
    CardTransaction,
    Delivery,
    FiledNumber,
    Order,
    utc_now,
)
from sgpshop.services import journals, settings, subscriptions
from sgpshop.services.journals import sales
from sgpshop.services.order_search.criteria import SearchCriteria
from sgpshop.services.order_search.totals import total
from sgpshop.services.orders import alerts, money_movements, parcels
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.orders.parcels import InputRefused, ParcelReturn
from sgpshop.services.subscriptions import SubscriptionCriteria, SubscriptionTab, billing
from sgpshop.services.subscriptions.billing.selecting import to_register
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import World
from tests.services.acting import TANAKA, cancel, correct, seen
from tests.services.subscribing import jst, make_subscription
from tests.services.subscriptions.test_billing_faults import (  # noqa: F401 - fixtures
    THE_10TH,
    Travel,
    _open,
    delivered,
    go_on,
    not_delivered,
    overrides,
    the_billing,
    travel,
)

S, B = PaymentStatus, BillingState
NOVEMBER = date(2026, 11, 1)


def listed(tab: SubscriptionTab) -> list[str]:
    db.session.rollback()
    return [row.order.order_no for row in subscriptions.search(SubscriptionCriteria(tab=tab)).rows]


class TestTakenAgain:
    @pytest.fixture
    def failed(self, shop: World, travel: Travel) -> Order:  # noqa: F811
        settings.save("test", billing_driver="api")
        order = delivered(shop)
        shop.fault("error:42G550000", "ExecTran")
        travel(THE_10TH)
        go_on(order)
        assert fresh(order).payment_status is S.CAPTURE_FAILED
        return fresh(order)

    @pytest.mark.postgresql
    def test_one_act_registers_the_failed_ones_of_a_month_again(self, failed: Order) -> None:
        [month] = subscriptions.failed_months()
        assert (month.month, month.total.count) == (NOVEMBER, 1)
        [row] = subscriptions.failed_of(NOVEMBER)
        assert subscriptions.take_again([row.order.order_no], "a" * 32, TANAKA) == 1
        assert fresh(failed).payment_status is S.AWAITING_BILLING
        go_on(failed)
        assert fresh(failed).payment_status is S.BILLING_REPORTED
        assert the_billing(failed).state is B.PAID
        assert [problem.what for problem in Verification().problems()] == []

    @pytest.mark.postgresql
    def test_the_same_form_again_changes_nothing(self, failed: Order, shop: World) -> None:  # P19
        shop.fault("error:42G550000", "ExecTran")
        assert subscriptions.take_again([failed.order_no], "a" * 32, TANAKA) == 1
        go_on(failed)
        assert fresh(failed).payment_status is S.CAPTURE_FAILED
        assert subscriptions.take_again([failed.order_no], "a" * 32, TANAKA) == 0
        assert fresh(failed).payment_status is S.CAPTURE_FAILED

    def test_a_failed_order_that_came_back_is_left_alone(self, failed: Order) -> None:
        back = ParcelReturn([0], jst_day(utc_now()), "受取拒否")
        parcels.take_back(failed.id, seen(failed), TANAKA, back)
        assert subscriptions.failed_months() == []
        assert subscriptions.take_again([failed.order_no], "a" * 32, TANAKA) == 0

    def test_one_that_is_to_be_paid_all_the_same_can_be_taken_again(
        self, failed: Order, shop: World
    ) -> None:
        """R90a: a part came back, and the shop keeps its claim."""
        back = ParcelReturn([0], jst_day(utc_now()), "受取拒否")
        parcels.take_back(failed.id, seen(failed), TANAKA, back)
        parcels.waive_cancel(failed.id, seen(failed), TANAKA, "返品は一部だけ")
        assert subscriptions.take_again([failed.order_no], "a" * 32, TANAKA) == 1
        go_on(failed)
        assert fresh(failed).payment_status is S.BILLING_REPORTED


class TestReturned:
    def test_a_failed_subscription_that_came_back_has_nothing_to_cancel(self, app: Flask) -> None:
        order = make_subscription(
            status=S.CAPTURE_FAILED, processing_class=ProcessingClass.RETURNED
        )
        assert not is_return_open(order)
        other = make_order(status=S.CAPTURE_FAILED, processing_class=ProcessingClass.RETURNED)
        assert is_return_open(other)
        assert total(SearchCriteria(returned_open=True)).count == 1

    def test_one_of_two_parcels_back_waits_for_a_decision_and_is_then_billed(
        self, app: Flask
    ) -> None:
        order = make_subscription(delivered_at=jst(2026, 11, 12))
        with writing() as session:
            parcel = fresh(order).deliveries[0]
            session.merge(parcel).number = 1
            more = {"order_id": order.id, "number": 2, "status": DeliveryStatus.DELIVERED}
            session.execute(sa.insert(type(parcel)).values(**more, delivered_at=jst(2026, 11, 13)))
        back = ParcelReturn([2], jst_day(utc_now()), "破損")
        parcels.take_back(order.id, seen(order), TANAKA, back)
        wanted = sa.select(Order.id).where(to_register(NOVEMBER))
        assert db.session.scalars(wanted).all() == []
        assert is_return_open(fresh(order))
        assert total(SearchCriteria(returned_open=True)).count == 1
        correct(order, 1500)
        parcels.waive_cancel(order.id, seen(order), TANAKA, "届いた分だけ請求する")
        assert db.session.scalars(wanted).all() == [order.id]
        assert listed(SubscriptionTab.DELIVERED) == [order.order_no]
        assert fresh(order).total == 1500


class TestRefund:
    @pytest.fixture
    def order(self, app: Flask) -> Order:
        back: Any = {"status": S.BILLING_REPORTED, "processing_class": ProcessingClass.RETURNED}
        order = make_subscription(**back)
        with writing() as session:
            session.merge(fresh(order).deliveries[0]).status = DeliveryStatus.RETURNED
            sold = {"gateway_state": "CAPTURE", "captured_amount": order.total}
            session.execute(sa.update(CardTransaction).values(**sold))
        return fresh(order)

    @pytest.mark.postgresql
    def test_it_ends_when_a_person_says_when_and_how(self, order: Order) -> None:
        assert is_refund_open(order)
        assert listed(SubscriptionTab.ATTENTION) == [order.order_no]
        day = jst_day(utc_now())
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 2000, "銀行振込")
        now = fresh(order)
        assert (now.refunded_on, now.refund_reason) == (day, "銀行振込")
        assert now.payment_status is S.BILLING_REPORTED
        assert listed(SubscriptionTab.ATTENTION) == []
        with pytest.raises(NotPossible):
            parcels.settle_refund(order.id, seen(order), TANAKA, day, 2000, "もう一度")

    def test_it_needs_a_day_that_was_and_a_way(self, order: Order) -> None:
        day = jst_day(utc_now())
        with pytest.raises(InputRefused):
            parcels.settle_refund(order.id, seen(order), TANAKA, day, 2000, "")
        for yen in (0, 3001):
            with pytest.raises(InputRefused, match="1円から3,000円"):
                parcels.settle_refund(order.id, seen(order), TANAKA, day, yen, "振込")
        with pytest.raises(InputRefused):
            parcels.settle_refund(order.id, seen(order), TANAKA, date(9999, 1, 1), 2000, "振込")

    def test_a_part_is_booked_as_that_and_a_further_return_is_open_again(
        self, order: Order
    ) -> None:
        """1,000 of 3,000 for the first parcel; then the second one comes back."""
        with writing() as session:
            more = {"order_id": order.id, "number": 2, "status": DeliveryStatus.DELIVERED}
            session.execute(sa.insert(Delivery).values(**more, delivered_at=utc_now()))
        day = jst_day(utc_now())
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 1000, "銀行振込")
        assert [one.amount for one in journals.movements(day, day)] == [-1000]
        assert not is_refund_open(fresh(order))
        parcels.take_back(order.id, seen(order), TANAKA, ParcelReturn([2], day, "破損"))
        assert is_refund_open(fresh(order))
        assert listed(SubscriptionTab.ATTENTION) == [order.order_no]
        with pytest.raises(InputRefused, match="1円から2,000円"):
            parcels.settle_refund(order.id, seen(order), TANAKA, day, 2001, "銀行振込")
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 2000, "銀行振込")
        assert [one.amount for one in journals.movements(day, day)] == [-1000, -2000]
        # Taken back by mistake, and back once more: nothing is left, which a person confirms.
        parcels.change_statuses(order.id, seen(order), TANAKA, {2: DeliveryStatus.DELIVERED})
        parcels.take_back(order.id, seen(order), TANAKA, ParcelReturn([2], day, "破損"))
        assert is_refund_open(fresh(order))
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 0, "返金済みのため")
        assert not is_refund_open(fresh(order))
        assert sum(one.amount for one in journals.movements(day, day)) == -3000

    @pytest.mark.postgresql
    def test_a_file_that_took_too_much_is_to_be_refunded_by_another_way(self, app: Flask) -> None:
        """2,500 of 2,000 by the monthly file: SMBC-GP takes no call on that sale (protocol.md §13.9)."""
        order = make_subscription(
            status=S.BILLING_REPORTED, processing_class=ProcessingClass.DELIVERED, total=2000
        )
        with writing() as session:
            sold = {"gateway_state": "CAPTURE", "captured_amount": 2500, "gateway_amount": 2500}
            session.execute(sa.update(CardTransaction).values(**sold))
        now = button(Act.REFUND_DIFFERENCE, fresh(order), settings.load(), utc_now())
        assert now.is_shown
        assert not is_refund_open(fresh(order))
        assert listed(SubscriptionTab.ATTENTION) == []
        with writing() as session:
            month = {"window": NOVEMBER, "content": "", "lines": 1, "yen": 2500}
            session.add(file := BillingFile(**month))
            session.flush()
            session.add(FiledNumber(gateway_order_id=order.order_no, file_id=file.id))
            alerts.raise_kind(
                session,
                order.id,
                AlertKind.AMOUNT_DIFFERS,
                before=order.payment_status,
                found="売上 2,500円",
                total=2000,
            )
        now = button(Act.REFUND_DIFFERENCE, fresh(order), settings.load(), utc_now())
        assert not now.is_shown
        assert is_refund_open(fresh(order))
        assert listed(SubscriptionTab.ATTENTION) == [order.order_no]
        assert len(alerts.open_of(order.id)) == 1
        day = jst_day(utc_now())
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 500, "銀行振込")
        assert alerts.open_of(order.id) == []
        assert listed(SubscriptionTab.ATTENTION) == []
        assert [one.amount for one in journals.movements(day, day)] == [-500]
        # Recorded wrongly: it is not what the buyer wanted, and stays.
        parcels.undo_refund(order.id, seen(order), TANAKA)
        of_month = sales.read(day.replace(day=1), utc_now()).whole
        assert (of_month.refunds, of_month.given_back) == (0, 0)
        assert journals.sums_of(day, day).refunds == 0
        assert listed(SubscriptionTab.ATTENTION) == [order.order_no]
        parcels.waive_cancel(order.id, seen(order), TANAKA, "次回の注文に充てる")
        assert listed(SubscriptionTab.ATTENTION) == []
        assert not is_refund_open(fresh(order))
        assert not may_waive_cancel(fresh(order))
        parcels.undo_waiver(order.id, seen(order), TANAKA)
        assert listed(SubscriptionTab.ATTENTION) == [order.order_no]
        assert is_refund_open(fresh(order))

    def test_what_stayed_before_the_sale_says_nothing_of_what_a_file_took_too_much(
        self, order: Order
    ) -> None:
        parcels.waive_cancel(order.id, seen(order), TANAKA, "代品を送る")
        assert listed(SubscriptionTab.ATTENTION) == []
        with writing() as session:
            month = {"window": NOVEMBER, "content": "", "lines": 1, "yen": 3500}
            session.add(file := BillingFile(**month))
            session.flush()
            session.add(FiledNumber(gateway_order_id=order.order_no, file_id=file.id))
            sold = {"captured_at": utc_now() + timedelta(hours=1), "gateway_amount": 3500}
            session.execute(sa.update(CardTransaction).values(**sold))
            alerts.raise_kind(
                session,
                order.id,
                AlertKind.AMOUNT_DIFFERS,
                before=order.payment_status,
                found="売上 3,500円",
                total=3000,
            )
        assert is_refund_open(fresh(order))
        assert listed(SubscriptionTab.ATTENTION) == [order.order_no]

    def test_what_went_back_by_hand_is_not_given_back_by_smbc_gp_again(self, app: Flask) -> None:
        """2,500 of 2,000 by a call of ours; the goods come back, and all of it goes back by transfer."""
        order = make_subscription(
            status=S.BILLING_REPORTED, processing_class=ProcessingClass.DELIVERED, total=2000
        )
        with writing() as session:
            sold = {"gateway_state": "CAPTURE", "captured_amount": 2500, "gateway_amount": 2500}
            session.execute(sa.update(CardTransaction).values(**sold))
            session.execute(sa.update(Delivery).values(status=DeliveryStatus.DELIVERED))
        assert button(Act.REFUND_DIFFERENCE, fresh(order), settings.load(), utc_now()).is_enabled
        day = jst_day(utc_now())
        parcels.take_back(order.id, seen(order), TANAKA, ParcelReturn([0], day, "破損"))
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 2500, "銀行振込")
        assert not button(Act.REFUND_DIFFERENCE, fresh(order), settings.load(), utc_now()).is_shown

    def test_a_wrong_record_is_taken_back(self, order: Order) -> None:
        day = jst_day(utc_now())
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 1000, "銀行振込")
        parcels.undo_refund(order.id, seen(order), TANAKA)
        assert is_refund_open(fresh(order))
        assert [one.amount for one in journals.movements(day, day)] == [-1000, 1000]
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 3000, "銀行振込")
        assert sum(one.amount for one in journals.movements(day, day)) == -3000

    def test_a_wrong_record_is_taken_back_also_after_a_further_return(self, order: Order) -> None:
        """All of it typed where the first of two parcels came back; then the second one does."""
        with writing() as session:
            more = {"order_id": order.id, "number": 2, "status": DeliveryStatus.DELIVERED}
            session.execute(sa.insert(Delivery).values(**more, delivered_at=utc_now()))
        day = jst_day(utc_now())
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 3000, "銀行振込")
        parcels.take_back(order.id, seen(order), TANAKA, ParcelReturn([2], day, "破損"))
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 0, "返金済みのため")
        for _ in range(2):  # the one of nothing, then the wrong one
            parcels.undo_refund(order.id, seen(order), TANAKA)
            assert is_refund_open(fresh(order))
        with pytest.raises(NotPossible):
            parcels.undo_refund(order.id, seen(order), TANAKA)
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 1000, "銀行振込")
        assert sum(one.amount for one in journals.movements(day, day)) == -1000

    def test_only_the_last_record_is_taken_back(self, order: Order) -> None:
        day = jst_day(utc_now())
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 1000, "銀行振込")
        with writing() as session:  # a further parcel came back
            session.get_one(Order, order.id).refunded_on = None
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 1500, "銀行振込")
        parcels.undo_refund(order.id, seen(order), TANAKA)
        assert sum(one.amount for one in journals.movements(day, day)) == -1000
        there = fresh(order).transaction
        assert there is not None
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 2000, "銀行振込")
        with writing():
            there = fresh(order).transaction
            assert there is not None
            there.gateway_state = "RETURN"
        with pytest.raises(NotPossible, match="SMBC-GPでも返金"):
            parcels.undo_refund(order.id, seen(order), TANAKA)

    def test_what_smbc_gp_carries_out_later_is_not_booked_a_second_time(self, order: Order) -> None:
        """返金済み, as R104 advises; days later the return shows at SMBC-GP."""
        day = jst_day(utc_now())
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 3000, "SMBC-GPに返品を依頼")
        there = fresh(order).transaction
        assert there is not None
        with writing():
            money_movements.book(order.id, there.id, 3000, 0, utc_now())
        assert [one.amount for one in journals.movements(day, day)] == [-3000]

    def test_what_a_person_waived_is_not_asked_for_again(self, order: Order) -> None:
        """返金しない of this return, said before the registration or after it (R90a)."""
        parcels.waive_cancel(order.id, seen(order), TANAKA, "代品を送る")
        assert not is_refund_open(fresh(order))
        assert listed(SubscriptionTab.ATTENTION) == []
        assert subscriptions.outlook(10).to_refund.count == 0
        with pytest.raises(NotPossible):
            parcels.settle_refund(order.id, seen(order), TANAKA, jst_day(utc_now()), 2000, "振込")
        parcels.undo_waiver(order.id, seen(order), TANAKA)
        assert is_refund_open(fresh(order))
        assert listed(SubscriptionTab.ATTENTION) == [order.order_no]

    def test_a_cancelled_order_that_was_billed_is_to_be_refunded_too(self, app: Flask) -> None:
        gone: Any = {"status": S.BILLING_REPORTED, "processing_class": ProcessingClass.CANCELLED}
        order = make_subscription(**gone)
        assert is_refund_open(order)
        assert listed(SubscriptionTab.ATTENTION) == [order.order_no]


def test_edited_unsent_and_then_cancelled_nothing_is_to_be_sent(shop: World) -> None:
    order = correct(authorized_order(shop), 2000)
    assert is_unsent(order)
    assert total(SearchCriteria(unsent=True)).count == 1
    order = cancel(order)
    assert order.payment_status is S.CANCELLED
    assert not is_unsent(order)
    assert total(SearchCriteria(unsent=True)).count == 0


def test_a_card_that_nothing_shows_is_listed_before_the_registration(app: Flask) -> None:
    order = make_subscription()
    assert listed(SubscriptionTab.ATTENTION) == []  # it was not looked up yet
    with writing() as session:
        session.execute(sa.update(CardTransaction).values(looks=1))
    assert listed(SubscriptionTab.ATTENTION) == [order.order_no]
    assert subscriptions.outlook(10).lacks_card.count == 1


@pytest.mark.postgresql
def test_what_could_not_be_registered_is_told_at_once(
    shop: World,
    travel: Travel,  # noqa: F811
) -> None:
    order = delivered(shop)
    shop.fault("error:E01030002", "Batch")
    travel(THE_10TH)
    go_on(order)
    assert listed(SubscriptionTab.ATTENTION) == [order.order_no]
    [row] = subscriptions.search(SubscriptionCriteria(tab=SubscriptionTab.ATTENTION)).rows
    assert "受け付けられなかった" in row.why
    assert subscriptions.outlook(10).put_off.count == 1


def test_results_that_do_not_come_are_told(
    shop: World,
    travel: Travel,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = delivered(shop)
    travel(THE_10TH)
    billing.resume()
    monkeypatch.setattr(shop.gateway, "fetch_monthly_result", lambda _month: None)
    travel(jst(2026, 12, 19, 7))
    billing.resume()
    assert subscriptions.trouble()[1] == []
    travel(jst(2026, 12, 20, 7))
    billing.resume()
    [file] = subscriptions.trouble()[1]
    assert file.words == "結果が届いていません"
    with writing() as session:
        session.execute(sa.update(Billing).values(state=B.PAID))
    db.session.rollback()
    assert subscriptions.trouble()[1] == []
    assert fresh(order).payment_status is S.BILLING_REPORTED


def test_put_off_and_delivered_anew_it_waits_for_the_next_registration(
    shop: World,
    travel: Travel,  # noqa: F811
) -> None:
    """配送完了 taken back and given again in December: nothing of November is tried every ten minutes."""
    settings.save("test", billing_driver="api")
    order = delivered(shop)
    shop.wire.cut_off("EntryTran")
    travel(THE_10TH)
    go_on(order)
    shop.wire.cut_off()
    order = not_delivered(fresh(order))
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    travel(jst(2026, 12, 10, 9))
    go_on(order)
    assert the_billing(order).retry_at is None
    travel(jst(2027, 1, 10, 7))
    go_on(order)
    assert fresh(order).payment_status is S.BILLING_REPORTED
