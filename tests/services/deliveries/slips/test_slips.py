"""伝票番号一括ステータス変更: what each row does to its order, and when it captures (R82, R82a)."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    Delivery,
    HistoryEntry,
    ItemResult,
    Operation,
    Order,
    OrderKind,
    SlipRun,
    utc_now,
)
from sgpshop.services.bulk import runs as bulk_runs
from sgpshop.services.deliveries import slips
from sgpshop.services.orders import parcels as parcel_acts
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import acts
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.storage.database import writing
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, days_ago, fresh, make_order
from tests.gateway_world import World
from tests.services.acting import TANAKA, cancel, correct, effects, look, press, seen
from tests.services.slip_files import (
    CAPTURE,
    KEEP,
    NO_CAPTURE,
    carry_out,
    only_result,
    parcel,
    parcels,
    prepare,
    results,
    rows_kept,
    slip,
    slip_file,
    start,
    tanaka,
)

DONE, FAILED, SKIPPED = ItemResult.SUCCEEDED, ItemResult.FAILED, ItemResult.SKIPPED


BOTH = pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"])


@pytest.fixture
def database_kind() -> str:
    """The rules are the same on both; where the database itself decides, `BOTH` asks for both."""
    return "sqlite"


def with_parcels(order: Order, number: int) -> Order:
    """Divide the order into so many parcels, numbered from 1."""
    with writing() as session:
        session.query(Delivery).filter_by(order_id=order.id).delete()
        session.add_all(Delivery(order_id=order.id, number=n + 1) for n in range(number))
    return fresh(order)


def events(order: Order) -> list[str]:
    db.session.rollback()
    found = db.session.query(HistoryEntry).filter_by(order_id=order.id).order_by(HistoryEntry.id)
    return [entry.event for entry in found]


class TestOneRow:
    @pytest.mark.postgresql
    @BOTH
    def test_captures_and_then_registers(self, app: Flask, shop: World) -> None:  # R78, R82
        order = authorized_order(shop, total=3000, told=True)
        run = carry_out(app, slip_file(slip(order, "0123-456")))
        assert only_result(run) is DONE
        now = fresh(order)
        assert now.payment_status is PaymentStatus.CAPTURED
        assert now.processing_class is ProcessingClass.DELIVERED
        assert (parcel(order).slip_no, parcel(order).carrier_code) == ("0123-456", "002")
        assert effects(shop, order) == [("SALES", 3000)]
        assert events(order) == ["imported", "capture_done", "slips_registered"]  # P5
        assert now.version == 4  # taken, captured, registered
        assert list(Verification().problems()) == []

    def test_nothing_is_written_by_the_preview(self, app: Flask, shop: World) -> None:  # R81
        order = authorized_order(shop)
        run_id = prepare(slip_file(slip(order)))
        shown = slips.preview(slips.get(run_id))
        assert (shown.to_do, shown.captures, shown.capture_yen) == (1, 1, 3000)
        Worker(app).run(until_idle=True)
        assert (fresh(order).version, parcel(order).slip_no) == (1, "")
        assert db.session.query(Attempt).count() == 0

    def test_does_not_capture_when_it_is_not_set_to(self, app: Flask, shop: World) -> None:  # R79
        order = authorized_order(shop)
        assert only_result(carry_out(app, slip_file(slip(order)), NO_CAPTURE)) is DONE
        assert fresh(order).payment_status is PaymentStatus.AUTHORIZED
        assert parcel(order).status is DeliveryStatus.DELIVERED
        assert effects(shop, order) == []

    @pytest.mark.parametrize(
        ("code", "status"),
        [("1", DeliveryStatus.INSTRUCTED), ("2", DeliveryStatus.PREPARING)],
    )
    def test_only_delivered_captures(
        self, app: Flask, shop: World, code: str, status: DeliveryStatus
    ) -> None:  # R82
        order = authorized_order(shop)
        carry_out(app, slip_file(slip(order, 配送ステータス=code)))
        assert parcel(order).status is status
        assert fresh(order).payment_status is PaymentStatus.AUTHORIZED

    def test_a_return_says_when_and_moves_no_money(self, app: Flask, shop: World) -> None:  # R90
        order = press(authorized_order(shop), Operation.CAPTURE)
        carry_out(app, slip_file(slip(order, 配送ステータス="9")))
        assert parcel(order).status is DeliveryStatus.RETURNED
        assert parcel(order).returned_on == jst_day(utc_now())
        assert fresh(order).processing_class is ProcessingClass.RETURNED
        assert effects(shop, order) == [("SALES", 3000)]

    def test_the_ship_date_is_when_it_was_delivered(self, app: Flask, shop: World) -> None:  # R101
        order = authorized_order(shop, ordered_at=days_ago(5))
        day = jst_day(utc_now()) - timedelta(days=2)
        carry_out(app, slip_file(slip(order, 出荷日=f"{day:%Y/%m/%d}")))
        delivered = parcel(order).delivered_at
        assert delivered is not None
        assert jst_day(delivered) == day

    def test_a_failed_capture_is_captured_again(self, app: Flask, shop: World) -> None:  # R41
        shop.fault("error:42G020000")
        order = press(authorized_order(shop), Operation.CAPTURE)
        assert order.payment_status is PaymentStatus.CAPTURE_FAILED
        carry_out(app, slip_file(slip(order)))
        assert fresh(order).payment_status is PaymentStatus.CAPTURED

    def test_a_captured_order_is_registered_alone(self, app: Flask, shop: World) -> None:  # R82
        order = press(authorized_order(shop), Operation.CAPTURE)
        assert only_result(carry_out(app, slip_file(slip(order)))) is DONE
        assert parcel(order).slip_no == "1234-5678"
        assert effects(shop, order) == [("SALES", 3000)]

    def test_a_subscription_becomes_billable(self, app: Flask, shop: World) -> None:  # R82, R101
        order = make_order(
            kind=OrderKind.SUBSCRIPTION, status=PaymentStatus.AWAITING_BILLING, told=True
        )
        assert only_result(carry_out(app, slip_file(slip(order)))) is DONE
        assert fresh(order).payment_status is PaymentStatus.AWAITING_BILLING
        assert parcel(order).delivered_at is not None
        assert db.session.query(Attempt).count() == 0

    def test_an_order_paid_otherwise_is_registered(self, app: Flask, shop: World) -> None:
        order = make_order(method="銀行振込")
        assert only_result(carry_out(app, slip_file(slip(order)))) is DONE
        assert parcel(order).status is DeliveryStatus.DELIVERED

    def test_what_is_registered_already_is_left_out(self, app: Flask, shop: World) -> None:
        order = authorized_order(shop)
        carry_out(app, slip_file(slip(order)))
        other = authorized_order(shop)
        run = carry_out(app, slip_file(slip(order), slip(other)))  # another file
        assert [result for result, _ in results(run)] == [SKIPPED, DONE]
        assert effects(shop, order) == [("SALES", 3000)]

    def test_delivered_can_be_undone_until_it_was_billed(self, app: Flask, shop: World) -> None:
        waiting, billed = (  # R31
            make_order(kind=OrderKind.SUBSCRIPTION, status=status)
            for status in (PaymentStatus.AWAITING_BILLING, PaymentStatus.BILLING_REPORTED)
        )
        with writing() as session:
            for order in (waiting, billed):
                session.query(Delivery).filter_by(order_id=order.id).update(
                    {"status": DeliveryStatus.DELIVERED, "delivered_at": utc_now()}
                )
        rows = [slip(order, 配送ステータス="2") for order in (waiting, billed)]
        [(first, _), (second, why)] = results(carry_out(app, slip_file(*rows)))
        assert (first, second) == (DONE, FAILED)
        assert why
        assert parcel(waiting).delivered_at is None
        assert parcel(billed).status is DeliveryStatus.DELIVERED


class TestSeveralParcels:
    @pytest.fixture
    def order(self, shop: World) -> Order:
        return with_parcels(authorized_order(shop), 3)

    def test_the_last_one_captures(self, app: Flask, shop: World, order: Order) -> None:  # R82
        first = slip_file(slip(order, "1", 配送先番号="1"), slip(order, "2", 配送先番号="2"))
        assert only_result(carry_out(app, first)) is DONE
        assert fresh(order).payment_status is PaymentStatus.AUTHORIZED
        assert only_result(carry_out(app, slip_file(slip(order, "3", 配送先番号="3")))) is DONE
        assert fresh(order).payment_status is PaymentStatus.CAPTURED
        assert [one.slip_no for one in parcels(order)] == ["1", "2", "3"]
        assert effects(shop, order) == [("SALES", 3000)]

    @BOTH
    def test_all_in_one_file_capture_once(self, app: Flask, shop: World, order: Order) -> None:
        rows = [slip(order, str(n), 配送先番号=str(n)) for n in (1, 2, 3)]
        run = carry_out(app, slip_file(*rows))
        assert only_result(run) is DONE
        assert slips.progress(run).captured == 1
        assert effects(shop, order) == [("SALES", 3000)]

    def test_a_bad_row_leaves_its_parcel_open(self, app: Flask, shop: World, order: Order) -> None:
        rows = [slip(order, str(n), 配送先番号=str(n)) for n in (1, 2)]
        bad = slip(order, "日本", 配送先番号="3")
        found = [result for result, _ in results(carry_out(app, slip_file(*rows, bad)))]
        assert found == [DONE, DONE, FAILED]
        assert fresh(order).payment_status is PaymentStatus.AUTHORIZED

    def test_the_number_must_be_given(self, app: Flask, shop: World, order: Order) -> None:
        [(_, why)] = results(prepare(slip_file(slip(order))))
        assert why.startswith("配送先番号が不正：お届け先が3件")


class TestFailedCapture:
    def test_skip_writes_nothing(self, app: Flask, shop: World) -> None:  # R80
        shop.fault("error:42G020000")
        order = authorized_order(shop, told=True)
        [(result, why)] = results(carry_out(app, slip_file(slip(order))))
        assert result is FAILED
        assert "残高" in why
        assert fresh(order).payment_status is PaymentStatus.CAPTURE_FAILED
        assert (parcel(order).slip_no, parcel(order).status.value) == ("", "unprocessed")
        assert list(Verification().problems()) == []

    @BOTH
    def test_keep_registers_all_the_same(self, app: Flask, shop: World) -> None:  # R80
        shop.fault("error:42G020000")
        order = authorized_order(shop, told=True)
        assert only_result(carry_out(app, slip_file(slip(order)), KEEP)) is FAILED
        assert fresh(order).payment_status is PaymentStatus.CAPTURE_FAILED
        assert parcel(order).status is DeliveryStatus.DELIVERED
        assert events(order)[-1] == "slips_kept"
        assert list(Verification().problems()) == []

    @pytest.mark.parametrize("terms", [CAPTURE, KEEP], ids=["skip", "keep"])
    def test_an_unsent_amount_counts_as_one(
        self, app: Flask, shop: World, terms: slips.SlipTerms
    ) -> None:  # R72a, R82
        order = correct(authorized_order(shop), 2500)
        other = authorized_order(shop)
        run = carry_out(app, slip_file(slip(order), slip(other)), terms)
        [(result, why), _] = results(run)
        assert result is FAILED
        assert "修正額が未送信" in why
        assert effects(shop, order) == []
        assert bool(parcel(order).slip_no) is (terms is KEEP)

    @pytest.mark.parametrize("terms", [CAPTURE, KEEP], ids=["skip", "keep"])
    def test_so_does_an_order_that_is_busy(
        self, app: Flask, shop: World, terms: slips.SlipTerms
    ) -> None:
        order, other = authorized_order(shop), authorized_order(shop)
        run_id = prepare(slip_file(slip(order), slip(other)), terms)
        acts.open_capture(order.id, seen(order), TANAKA)
        start(run_id)
        Worker(app).run(until_idle=True)
        [(result, why), (fine, _)] = results(run_id)
        assert (result, fine) == (FAILED, DONE)
        assert "処理中" in why
        assert bool(parcel(order).slip_no) is (terms is KEEP)

    def test_an_order_being_cancelled_is_let_alone(self, app: Flask, shop: World) -> None:
        order = authorized_order(shop)
        acts.open_attempt(order.id, OperationRequest(Operation.CANCEL), seen(order), TANAKA)
        [(result, why)] = results(prepare(slip_file(slip(order)), KEEP))
        assert result is FAILED
        assert why.startswith("処理中：")

    def test_the_error_file_tries_again(self, app: Flask, shop: World) -> None:  # R81
        for terms in (CAPTURE, KEEP):
            shop.fault("error:42G020000", times=2)
            order = authorized_order(shop)
            first = carry_out(app, slip_file(slip(order, '="0123"')), terms)
            again = carry_out(app, slips.errors_csv(first), terms)
            assert again.id != first.id
            assert only_result(again) is FAILED
            third = carry_out(app, slips.errors_csv(again), terms)
            assert only_result(third) is DONE
            assert fresh(order).payment_status is PaymentStatus.CAPTURED
            assert parcel(order).slip_no == "0123"
            assert shop.sales(order.order_no) == 1


@BOTH
class TestInDoubt:
    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"QUIET_PERIOD": 0.0, "RESOLVE_SCHEDULE": (600.0, 600.0, 600.0)}

    @pytest.mark.parametrize("terms", [CAPTURE, KEEP], ids=["skip", "keep"])
    def test_nothing_is_registered_until_it_is_decided(
        self, app: Flask, shop: World, terms: slips.SlipTerms
    ) -> None:
        shop.fault("drop_after")
        order = authorized_order(shop, told=True)
        run = carry_out(app, slip_file(slip(order)), terms)
        assert only_result(run) is ItemResult.UNCERTAIN
        assert parcel(order).slip_no == ""
        look(order)
        Worker(app).run(until_idle=True)  # writes what is due now
        assert only_result(run) is DONE
        assert parcel(order).slip_no == "1234-5678"
        assert list(Verification().problems()) == []

    @pytest.mark.parametrize("terms", [CAPTURE, KEEP], ids=["skip", "keep"])
    def test_not_carried_out_is_a_failed_capture(
        self, app: Flask, shop: World, terms: slips.SlipTerms
    ) -> None:
        shop.fault("drop_before")
        order = authorized_order(shop)
        run = carry_out(app, slip_file(slip(order)), terms)
        look(order)
        assert only_result(run) is FAILED
        assert fresh(order).payment_status is PaymentStatus.CAPTURE_FAILED
        assert bool(parcel(order).slip_no) is (terms is KEEP)


class TestBadRows:
    def test_every_kind_is_told_and_the_good_ones_go_through(self, app: Flask, shop: World) -> None:
        good = [authorized_order(shop) for _ in range(2)]
        cancelled = cancel(authorized_order(shop))
        review = make_order(status=PaymentStatus.NEEDS_REVIEW)
        back = press(authorized_order(shop), Operation.CAPTURE)
        carry_out(app, slip_file(slip(back, 配送ステータス="9")))
        tomorrow = f"{jst_day(utc_now()) + timedelta(days=1):%Y-%m-%d}"
        rows = [
            slip(good[0]),
            slip(""),
            slip("P999"),
            slip("Ｐ１"),
            slip(good[1], 配送先番号="7"),
            slip(good[1], 配送会社コード="005"),
            slip(good[1], "伝票"),
            slip(good[1], ""),
            slip(good[1], 配送ステータス="4"),
            slip(good[1], 出荷日="2026/13/01"),
            slip(good[1], 出荷日=tomorrow),
            slip(good[1], 出荷日="2020/01/01"),
            slip(cancelled),
            slip(review),
            slip(back),
            slip(good[1]),
            slip(good[1], "another-1"),
            slip(good[1], "4111 1111 1111 1111"),
        ]
        run = carry_out(app, slip_file(*rows))
        labels = [why.partition("：")[0] for _, why in results(run)]
        assert labels == [
            "",
            "注文番号なし",
            "該当注文なし",
            "注文番号の形式",
            "配送先番号が不正",
            "配送会社コードが不正",
            "伝票番号の形式",
            "伝票番号の形式",
            "配送ステータスが不正",
            "出荷日が不正",
            "出荷日が不正",
            "出荷日が不正",
            "注文キャンセル済み",
            "要確認",
            "状態の逆行(返送→配送完了)",
            "",
            "17行目と重複しています。",
            "カード番号",
        ]
        for order in good:
            assert fresh(order).payment_status is PaymentStatus.CAPTURED
        assert parcel(review).slip_no == ""
        errors = slips.errors_csv(run).decode("utf-8-sig")
        assert "4111" not in errors  # S11
        assert len(errors.splitlines()) == 1 + 16
        again = prepare(errors.encode("utf-8-sig"))  # a valid file, its extra column passed over
        assert slips.preview(slips.get(again)).rows == 16

    def test_a_file_without_any_good_row_cannot_be_started(self, app: Flask, shop: World) -> None:
        run_id = prepare(slip_file(slip("P999")))
        with pytest.raises(ShopError, match="処理できる行がありません"):
            start(run_id)


@BOTH
class TestOnce:
    def test_the_same_file_again_shows_the_first_run(self, app: Flask, shop: World) -> None:
        order = authorized_order(shop)  # R82a
        content = slip_file(slip(order))
        first = carry_out(app, content)
        assert prepare(content) == first.id
        assert shop.sales(order.order_no) == 1
        assert len(shop.requests(order.order_no)) == 1

    @pytest.mark.postgresql
    def test_two_previews_of_one_file_start_once(self, app: Flask, shop: World) -> None:  # P19
        order = authorized_order(shop)
        one, two = (prepare(slip_file(slip(order))) for _ in range(2))
        assert one != two
        assert start(one) == start(one) == start(two) == one
        Worker(app).run(until_idle=True)
        assert len(shop.requests(order.order_no)) == 1
        assert db.session.query(SlipRun).filter(SlipRun.started_at.is_not(None)).count() == 1

    def test_other_terms_are_another_run_that_captures_once(self, app: Flask, shop: World) -> None:
        order = authorized_order(shop)
        content = slip_file(slip(order))
        plain = carry_out(app, content, NO_CAPTURE)
        captured = carry_out(app, content, CAPTURE)
        assert plain.id != captured.id
        assert fresh(order).payment_status is PaymentStatus.CAPTURED
        assert only_result(prepare(content, KEEP)) is SKIPPED  # nothing is left to be done
        assert shop.sales(order.order_no) == 1

    def test_the_terms_can_be_changed_while_it_is_only_shown(self, app: Flask, shop: World) -> None:
        order = authorized_order(shop)
        run_id = prepare(slip_file(slip(order)), NO_CAPTURE)
        assert slips.preview(slips.get(run_id)).captures == 0
        assert slips.change_terms(run_id, CAPTURE, person_id=tanaka().id) == run_id
        assert slips.preview(slips.get(run_id)).captures == 1
        start(run_id)
        Worker(app).run(until_idle=True)
        assert fresh(order).payment_status is PaymentStatus.CAPTURED

    def test_what_was_not_seen_is_not_captured(self, app: Flask, shop: World) -> None:  # P20
        order = authorized_order(shop)
        run_id = prepare(slip_file(slip(order)))
        parcel_acts.deliver(order.id, seen(order), TANAKA, [0])
        start(run_id)
        Worker(app).run(until_idle=True)
        [(result, why)] = results(run_id)
        assert result is FAILED
        assert "確認後に更新された" in why
        assert effects(shop, order) == []

    @pytest.mark.postgresql
    def test_captured_by_somebody_else_meanwhile_is_registered(
        self, app: Flask, shop: World
    ) -> None:
        order = authorized_order(shop)
        run_id = prepare(slip_file(slip(order)))
        press(order, Operation.CAPTURE)
        start(run_id)
        Worker(app).run(until_idle=True)
        assert only_result(run_id) is DONE
        assert effects(shop, order) == [("SALES", 3000)]

    def test_many_or_much_is_asked_twice(self, shop: World) -> None:  # S21
        order = authorized_order(shop, total=1_000_001)
        run_id = prepare(slip_file(slip(order)))
        assert slips.preview(slips.get(run_id)).needs_second_confirmation
        with pytest.raises(ShopError, match="確認欄"):
            slips.start(run_id, person_id=slips.get(run_id).person_id)
        assert slips.start(run_id, person_id=slips.get(run_id).person_id, sum_confirmed=True)

    def test_nobody_starts_what_another_prepared(self, shop: World) -> None:
        run_id = prepare(slip_file(slip(authorized_order(shop))))
        with pytest.raises(NotFound):
            slips.start(run_id, person_id=999)

    def test_what_nobody_confirmed_is_forgotten(self, shop: World) -> None:
        run_id = prepare(slip_file(slip(authorized_order(shop))))
        with writing() as session:
            session.get_one(SlipRun, run_id).created_at = days_ago(2)
        bulk_runs.tidy()
        assert rows_kept() == 0


def test_only_the_newest_files_that_a_person_looks_at_are_kept(app: Flask, shop: World) -> None:
    started = carry_out(app, slip_file(slip(authorized_order(shop)))).id
    looked_at = [prepare(slip_file(slip(f"P{n}"))) for n in range(6)]
    with pytest.raises(NotFound, match="新しい5件"):
        slips.own(looked_at[0], tanaka().id)
    assert [slips.own(run_id, tanaka().id).id for run_id in looked_at[1:]] == looked_at[1:]
    assert slips.get(started).started_at is not None


@pytest.mark.postgresql  # one writes at a time on SQLite
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_one_that_is_just_being_started_is_kept(app: Flask, shop: World) -> None:
    looked_at = [prepare(slip_file(slip(f"P{n}"))) for n in range(5)]
    with db.engine.begin() as other:  # the start is under way, and has not ended
        begun = sa.update(SlipRun).where(SlipRun.id == looked_at[0]).values(started_at=utc_now())
        other.execute(begun)
        looked_at.append(prepare(slip_file(slip("P9"))))
    assert slips.get(looked_at[0]).started_at is not None
    assert slips.own(looked_at[-1], tanaka().id).id == looked_at[-1]


def test_the_oldest_order_is_captured_first(app: Flask, shop: World) -> None:  # R48
    new, old = (authorized_order(shop, ordered_at=days_ago(days)) for days in (1, 9))
    start(prepare(slip_file(slip(new), slip(old))))
    queued = db.session.query(Attempt).order_by(Attempt.id)
    assert [attempt.order_id for attempt in queued] == [old.id, new.id]


def test_a_ship_date_of_today_counts_from_now(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    today: date = jst_day(utc_now())
    before = utc_now()
    carry_out(app, slip_file(slip(order, 出荷日=f"{today:%Y/%m/%d}")))
    delivered = parcel(order).delivered_at
    assert delivered is not None
    assert delivered >= before
