"""Bringing orders in: new, again, changed, protected; nothing twice, nothing half (§14.2, R143)."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.errors import NotFound, NotPossible
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    ActorKind,
    Attempt,
    AttemptState,
    CardTransaction,
    Delivery,
    HistoryEntry,
    ImportFile,
    ImportIssue,
    ImportRun,
    IssueLevel,
    Job,
    JobKind,
    Operation,
    Order,
    OrderKind,
    OrderLine,
    Queue,
    Setback,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.order_files import card_order, importing
from sgpshop.services.order_files.importing import batches, runs
from sgpshop.services.order_files.importing.runs import RunState, state_of
from sgpshop.services.orders import parcels
from sgpshop.services.orders.history import Actor
from sgpshop.services.orders.money_movements import MOVED
from sgpshop.services.orders.parcels import ParcelSlips
from sgpshop.services.payments import transaction_lookup
from sgpshop.services.reconciliation import console_file
from sgpshop.storage import jobs, setbacks
from sgpshop.storage.database import writing
from sgpshop.storage.vault import open_access_pass
from tests import own_worker
from tests.faults.judging import work_off
from tests.gateway_world import World
from tests.services.acting import TANAKA, cancel, press, seen
from tests.services.arriving import open_shop
from tests.services.importing import NO_LIMITS, counts, messages, take_in, take_in_file
from tests.services.order_csv import ROW, csv_file, number, row

NUMBER = ROW["注文番号"]
LINKED = {
    "決済方法ステータス": "仮売上",
    "取引ID": "a" * 32,
    "取引パスワード": "secretpass" + "b" * 22,
    "承認日時": "2026/11/23 10:16",
    "オーソリ金額": "2500",
}


@pytest.fixture(autouse=True)
def _context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def the_order(order_no: str = NUMBER) -> Order:
    return db.session.scalars(
        sa.select(Order).where(Order.order_no == order_no).execution_options(populate_existing=True)
    ).one()


def the_transaction() -> CardTransaction:
    return db.session.scalars(
        sa.select(CardTransaction).execution_options(populate_existing=True)
    ).one()


def events() -> list[str]:
    return list(db.session.scalars(sa.select(HistoryEntry.event).order_by(HistoryEntry.id)))


def change(model: type[Any], **values: Any) -> None:
    with writing() as session:
        session.execute(sa.update(model).values(values))


def looked_up(status: PaymentStatus, state: str) -> None:
    """As the database stands after a look-up decided."""
    change(Order, payment_status=status)
    change(
        CardTransaction,
        gateway_state=state,
        gateway_amount=2500,
        access_id="a" * 32,
        access_pass_sealed="v1.sealed",
        looks=1,
        next_look_at=None,
    )


class TestNewOrders:
    @pytest.mark.postgresql
    def test_everything_of_an_order_is_stored(self) -> None:
        run = take_in(
            row(
                注文者="佐藤 花子",
                **{"注文者(振り仮名)": "サトウ ハナコ"},
                電話番号="03-0000-1234",
                合計金額="3540",
                配送先番号="1",
                お届け先氏名="佐藤 太郎",
                配送ステータス="配送完了",
            ),
            row(
                注文者="佐藤 花子",
                **{"注文者(振り仮名)": "サトウ ハナコ"},
                電話番号="03-0000-1234",
                合計金額="3540",
                配送先番号="2",
                お届け先氏名="鈴木 次郎",
                配送ステータス="未処理",
                商品名="羊羹",
                単価="1040",
                数量="1",
                税率="8",
            ),
        )
        assert counts(run) == {"added": 1}
        order = the_order()
        assert order.ordered_at == datetime(2026, 11, 23, 1, 15, tzinfo=UTC)
        assert order.total == 3540
        assert order.processing_class is ProcessingClass.UNPROCESSED  # R29: one is still open
        assert [d.status for d in order.deliveries] == [
            DeliveryStatus.DELIVERED,
            DeliveryStatus.UNPROCESSED,
        ]
        assert [(x.position, x.delivery_number, x.tax_rate) for x in order.lines] == [
            (1, 1, 10),
            (2, 2, 8),
        ]
        assert "さとうはなこ" in order.buyer_search
        assert order.tel_search == "0300001234"
        assert order.deliveries[0].name_search == "佐藤太郎"
        assert order.lines[1].item_search == "羊羹"

    def test_the_history_begins_with_the_import(self) -> None:  # P5
        take_in(row())
        entry = db.session.scalars(sa.select(HistoryEntry)).one()
        assert (entry.event, entry.actor_kind, entry.actor) == (
            "imported",
            ActorKind.IMPORT,
            "田中",
        )
        assert entry.detail == {"line": 2}
        assert (entry.status_after, entry.amount_after) == (PaymentStatus.NEEDS_REVIEW, 2500)

    def test_an_order_without_access_data_is_to_be_looked_up(self) -> None:
        take_in(row(決済方法ステータス="仮売上"))
        assert the_order().payment_status is PaymentStatus.AUTHORIZED
        transaction = the_transaction()
        assert transaction.gateway_order_id == NUMBER  # R141
        assert transaction.next_look_at is not None
        assert not transaction.is_linked

    @pytest.mark.parametrize("word", ["決済完了", "売上失敗", "注文キャンセル", "要確認", ""])
    def test_claims_need_review_until_the_look_up(self, word: str) -> None:  # R143, P3
        take_in(row(決済方法ステータス=word))
        assert the_order().payment_status is PaymentStatus.NEEDS_REVIEW
        assert the_transaction().next_look_at is not None

    def test_whole_access_data_are_a_claim_until_the_look_up(self) -> None:  # P3
        take_in(row(**LINKED))
        transaction = the_transaction()
        assert not transaction.is_linked
        assert transaction.next_look_at is not None
        assert transaction.gateway_amount == 2500
        assert transaction.authorized_at == datetime(2026, 11, 23, 1, 16, tzinfo=UTC)
        assert transaction.auth_expires_at == transaction.authorized_at + timedelta(days=60)
        assert transaction.access_pass_sealed
        assert open_access_pass(transaction.access_pass_sealed, NUMBER) == LINKED["取引パスワード"]

    def test_the_password_is_sealed(self) -> None:  # S10
        take_in(row(**LINKED))
        assert "secretpass" not in (the_transaction().access_pass_sealed or "")

    def test_a_preorder_reserves_nothing(self) -> None:  # R111
        take_in(row(予約フラグ="1", **LINKED))
        assert the_order().kind is OrderKind.PREORDER
        assert the_order().payment_status is PaymentStatus.AUTHORIZED
        assert the_transaction().gateway_amount is None
        assert the_transaction().auth_expires_at is None

    def test_one_preorder_item_makes_a_preorder_and_a_subscription_wins(self) -> None:  # R114
        mixed = {"予約フラグ": "", "定期購入ID": ""}
        take_in(
            row(**mixed),
            row(商品名="新刊", **mixed | {"予約フラグ": "1"}),
            row(
                注文番号=number(2), 予約フラグ="1", 定期購入ID="T-1", 決済方法ステータス="決済待ち"
            ),
        )
        assert the_order().kind is OrderKind.PREORDER
        assert the_order(number(2)).kind is OrderKind.SUBSCRIPTION

    def test_a_subscription_is_looked_up_and_a_reported_one_believed(self) -> None:
        take_in(
            row(決済方法ステータス="決済待ち"),
            row(注文番号=number(2), 決済方法ステータス="売上報告済"),
        )
        assert the_order().kind is OrderKind.SUBSCRIPTION
        assert the_order().payment_status is PaymentStatus.AWAITING_BILLING
        assert the_order(number(2)).payment_status is PaymentStatus.BILLING_REPORTED
        wanted = sa.select(CardTransaction.next_look_at.is_not(None)).order_by(CardTransaction.id)
        assert db.session.scalars(wanted).all() == [True, True]

    def test_a_preorder_with_access_data_is_looked_up_for_its_card(self) -> None:
        take_in(row(予約フラグ="1", **LINKED))
        assert the_transaction().next_look_at is not None

    def test_other_methods_have_neither_status_nor_transaction(self) -> None:
        take_in(row(決済方法="代金引換"))
        assert the_order().payment_status is None
        assert not db.session.scalars(sa.select(CardTransaction)).all()


class TestTheSameFileAgain:
    @pytest.mark.parametrize("cells", [{}, LINKED, {"決済方法": "銀行振込"}])
    def test_writes_nothing(self, cells: dict[str, str]) -> None:  # R143
        rows = [row(備考="急ぎ", **cells), row(商品名="湯呑", 備考="急ぎ", **cells)]
        take_in(*rows)
        before = (the_order().version, the_order().updated_at, events())
        assert counts(take_in(*rows)) == {"unchanged": 1}
        assert (the_order().version, the_order().updated_at, events()) == before

    @pytest.mark.postgresql
    def test_a_run_that_broke_off_is_mended_by_it(self) -> None:  # P33
        rows = [row(注文番号=number(n)) for n in range(450)]
        content = csv_file(*rows)
        stream = io.BytesIO(content)
        run, found = importing.begin(importing.new_run_id(), "田中", [stream], NO_LIMITS)
        assert found is not None

        def pull_the_plug(_run: ImportRun) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            importing.carry_out(run.id, [stream], NO_LIMITS, found, pull_the_plug)
        broken = importing.find(run.id)
        assert broken.finished_at is None
        assert 0 < broken.added < 450
        again = take_in_file(content)
        assert again.added + again.unchanged == 450
        assert again.unchanged == broken.added

    @pytest.mark.postgresql
    def test_the_same_form_sent_twice_is_one_run(self) -> None:  # P19
        token = importing.new_run_id()
        first, found = importing.begin(token, "田中", [io.BytesIO(csv_file(ROW))], NO_LIMITS)
        assert found is not None
        again, nothing = importing.begin(token, "田中", [io.BytesIO(csv_file(ROW))], NO_LIMITS)
        assert again.id == first.id
        assert nothing is None


@pytest.mark.postgresql
def test_an_order_whose_lines_come_to_what_no_books_hold_stays_out(shop: World) -> None:
    """Its total was taken, and nothing could be written down of that (R146)."""
    open_shop()
    held = {"決済方法ステータス": "仮売上", "合計金額": "2500", "税率": "8"}
    run = take_in(row(**held, 単価="500000", 数量="2000"))
    assert counts(run) == {"left_out": 1}
    assert "合計999,999,999円以下" in messages(run)[0]
    shop.authorize(NUMBER, 2500)
    take_in(row(**held, 単価="9999999", 数量="100"))
    with writing() as session:  # as one that was taken in before that was refused
        session.execute(sa.update(OrderLine).values(quantity=9_999))
    work_off(the_order().id)
    press(the_order(), Operation.CAPTURE)
    assert the_order().payment_status is PaymentStatus.CAPTURED
    assert db.session.scalar(sa.select(MOVED)) == 2500


def slips_of(order: Order) -> list[str]:
    """All numbers of each parcel."""
    return [f"{one.slip_no} {one.more_slips}".strip() for one in order.deliveries]


class TestUpdates:
    def test_buyer_lines_deliveries_and_amounts(self) -> None:
        take_in(row(注文者="佐藤", 伝票番号=""), row(注文者="佐藤", 商品名="湯呑", 伝票番号=""))
        run = take_in(row(注文者="鈴木", 合計金額="1500", 数量="1", 伝票番号="123"))
        assert counts(run) == {"updated": 1}
        order = the_order()
        assert (order.buyer_name, order.buyer_search, order.total) == ("鈴木", "鈴木", 1500)
        assert [(line.name, line.quantity) for line in order.lines] == [("煎茶", 1)]
        assert order.deliveries[0].slip_no == "123"
        assert order.version == 2
        assert events() == ["imported", "import_updated"]
        assert db.session.scalar(sa.select(sa.func.count()).select_from(OrderLine)) == 1

    def test_columns_that_are_missing_keep_what_is_stored(self) -> None:
        take_in(row(備考="急ぎ", JAN="4901234567894", お届け先氏名="甲", 税率="8", 予約フラグ="1"))
        take_in(row(送料="400"))
        order = the_order()
        assert order.carriage == 400
        assert order.note == "急ぎ"
        assert (order.lines[0].jan, order.lines[0].tax_rate) == ("4901234567894", 8)
        assert order.deliveries[0].name == "甲"
        assert order.kind is OrderKind.PREORDER

    def test_the_further_numbers_of_a_parcel_in_several_pieces_stay(self) -> None:
        """複数個口: a file has one of them, or none; and what stays of the first may be 123."""
        take_in(row(伝票番号=""))
        order = the_order()
        given = ParcelSlips(0, "002", ["0123", "456", "789"])
        parcels.register_slips(order.id, seen(order), TANAKA, given, delivers=False)
        for said in (
            {"備考": "急ぎ"},
            {"伝票番号": "0123"},
            {"伝票番号": "789"},
            {"伝票番号": "123"},
        ):
            take_in(row(**said))
            assert slips_of(the_order()) == ["0123 456 789"]
        assert counts(take_in(row(伝票番号="456"))) == {"unchanged": 1}
        take_in(row(伝票番号="999"))  # another label
        assert slips_of(the_order()) == ["999"]
        last = sa.select(HistoryEntry.detail).order_by(HistoryEntry.id.desc()).limit(1)
        assert db.session.scalars(last).one()["corrections"] == [  # as the preview says
            ["伝票番号", "0123", "999"],
            ["複数個口の伝票番号", "456 789", ""],
        ]

    def test_a_missing_password_column_keeps_the_stored_one(self) -> None:  # §14.2
        take_in(row(**LINKED))
        sealed = the_transaction().access_pass_sealed
        take_in(row(備考="x", **{k: v for k, v in LINKED.items() if k != "取引パスワード"}))
        assert the_transaction().access_pass_sealed == sealed

    def test_access_data_may_come_later(self) -> None:
        take_in(row())
        assert counts(take_in(row(**LINKED))) == {"updated": 1}
        assert the_transaction().access_id == LINKED["取引ID"]
        assert the_transaction().gateway_amount == 2500
        assert the_order().payment_status is PaymentStatus.AUTHORIZED

    def test_a_new_total_becomes_unsent(self) -> None:  # R72a
        take_in(row(**LINKED))
        take_in(row(**LINKED | {"合計金額": "2000", "送料": "0"}))
        assert the_order().total == 2000
        assert the_transaction().gateway_amount == 2500


class TestParcels:
    """What happened to a parcel stays with it, whatever a later file says (R31, R90a, R101)."""

    DELIVERED, RETURNED = {"配送ステータス": "配送完了"}, {"配送ステータス": "返送"}

    def test_a_delivery_told_by_a_file_counts_from_then(self) -> None:  # R101
        for cells in ({"注文番号": number(1)} | self.DELIVERED, {"注文番号": number(2)}):
            take_in(row(**cells))
        take_in(row(**{"注文番号": number(2)} | self.DELIVERED))
        for order_no in (number(1), number(2)):
            [parcel] = the_order(order_no).deliveries
            assert parcel.status is DeliveryStatus.DELIVERED
            assert parcel.delivered_at is not None
            assert utc_now() - parcel.delivered_at < timedelta(minutes=1)

    def test_a_return_told_by_a_file_has_a_day(self) -> None:
        take_in(row(**self.RETURNED))
        [parcel] = the_order().deliveries
        assert parcel.returned_on == jst_day(utc_now())
        assert the_order().processing_class is ProcessingClass.RETURNED

    @pytest.mark.parametrize("later", [{}, {"配送ステータス": "未処理"}, DELIVERED])
    def test_a_later_file_takes_nothing_of_it_back(self, later: dict[str, str]) -> None:
        take_in(row(**self.DELIVERED))
        left = the_order().deliveries[0].delivered_at
        returned = {"status": DeliveryStatus.RETURNED, "returned_on": date(2026, 11, 24)}
        change(Delivery, return_reason="受取拒否", **returned)
        assert counts(take_in(row(備考="急ぎ", **later))) == {"updated": 1}
        [parcel] = the_order().deliveries
        assert (parcel.status, parcel.returned_on) == tuple(returned.values())
        assert (parcel.delivered_at, parcel.return_reason) == (left, "受取拒否")

    @pytest.mark.parametrize("cells", [{"配送ステータス": "未処理"}, DELIVERED])
    def test_a_file_does_not_revive_what_was_cancelled(self, cells: dict[str, str]) -> None:
        take_in(row(**cells))
        looked_up(PaymentStatus.CANCELLED, "VOID")
        change(Delivery, status=DeliveryStatus.CANCELLED)
        change(Order, processing_class=ProcessingClass.CANCELLED)
        take_in(row(備考="急ぎ", **cells))
        assert the_order().processing_class is ProcessingClass.CANCELLED  # R92
        assert the_order().deliveries[0].status is DeliveryStatus.CANCELLED

    def test_the_same_file_again_changes_no_time(self) -> None:
        take_in(row(**self.DELIVERED))
        assert counts(take_in(row(**self.DELIVERED))) == {"unchanged": 1}

    def test_a_file_that_leaves_a_sent_parcel_out_is_not_taken(self) -> None:
        take_in(row(配送先番号="1", **self.DELIVERED), row(配送先番号="2", 商品名="湯呑"))
        run = take_in(row(備考="急ぎ"))
        assert counts(run) == {"left_out": 1}
        assert "お届け先がファイルにない" in messages(run)[0]
        assert [parcel.number for parcel in the_order().deliveries] == [1, 2]


class TestWhatTheGatewaySaidStays:
    """A file never overwrites a status from our own call or look-up (R143)."""

    @pytest.mark.parametrize("word", ["仮売上", "売上失敗", "要確認", ""])
    def test_an_out_of_date_word_changes_nothing(self, word: str) -> None:
        take_in(row())
        looked_up(PaymentStatus.CAPTURED, "SALES")
        assert counts(take_in(row(決済方法ステータス=word))) == {"unchanged": 1}
        assert the_order().payment_status is PaymentStatus.CAPTURED
        # Of 売上失敗 the buyer was told, and may have paid again past us.
        assert (the_transaction().next_look_at is None) is (word != "売上失敗")

    @pytest.mark.parametrize("word", ["決済完了", "注文キャンセル"])
    def test_a_claim_of_an_end_makes_us_ask(self, word: str) -> None:
        take_in(row(**LINKED))
        assert counts(take_in(row(決済方法ステータス=word))) == {"unchanged": 1}
        assert the_order().payment_status is PaymentStatus.AUTHORIZED
        assert the_transaction().next_look_at is not None

    @pytest.mark.parametrize("word", ["決済待ち", "売上報告済"])
    def test_cancelled_before_anybody_was_asked(self, shop: World, word: str) -> None:  # R103
        of_subscription = {"定期購入ID": "T-7", "定期回数": "1"}
        take_in(row(**of_subscription, 決済方法ステータス="決済待ち"))
        assert cancel(the_order()).payment_status is PaymentStatus.CANCELLED
        take_in(row(**of_subscription, 決済方法ステータス=word))
        assert the_order().payment_status is PaymentStatus.CANCELLED

    def test_not_found_is_an_answer_too(self) -> None:
        take_in(row(決済方法ステータス="仮売上"))
        change(Order, payment_status=PaymentStatus.NEEDS_REVIEW)
        change(CardTransaction, looks=1, look_problem="not_found", next_look_at=None)
        take_in(row(決済方法ステータス="仮売上"))
        assert the_order().payment_status is PaymentStatus.NEEDS_REVIEW
        assert the_transaction().next_look_at is not None

    def test_content_is_taken_all_the_same(self) -> None:
        take_in(row())
        looked_up(PaymentStatus.CAPTURED, "SALES")
        assert counts(take_in(row(備考="のし"))) == {"updated": 1}
        assert the_order().note == "のし"
        assert the_order().payment_status is PaymentStatus.CAPTURED

    @pytest.mark.parametrize(
        ("status", "state"), [(PaymentStatus.CAPTURED, "SALES"), (PaymentStatus.CANCELLED, "VOID")]
    )
    def test_settled_orders_keep_their_amounts(self, status: PaymentStatus, state: str) -> None:
        take_in(row())
        looked_up(status, state)
        run = take_in(row(合計金額="9999", 備考="x"))  # P21
        assert counts(run) == {"left_out": 1}
        assert messages(run)[-1].startswith("金額は変更できません。")
        assert status.label in messages(run)[-1]
        assert (the_order().total, the_order().note) == (2500, "")

    def test_the_method_does_not_change_under_a_transaction(self) -> None:
        take_in(row())
        run = take_in(row(決済方法="銀行振込"))
        assert counts(run) == {"left_out": 1}
        assert the_order().method == "SGP"

    def test_billing_of_a_subscription_is_believed_forwards_only(self) -> None:
        take_in(
            row(
                決済方法ステータス="決済待ち",
                **{k: LINKED[k] for k in ("取引ID", "取引パスワード")},
            )
        )
        take_in(row(決済方法ステータス="売上報告済"))
        assert the_order().payment_status is PaymentStatus.BILLING_REPORTED
        take_in(row(決済方法ステータス="決済待ち"))
        assert the_order().payment_status is PaymentStatus.BILLING_REPORTED


class TestBusyOrders:
    def open_attempt(self) -> None:
        with writing() as session:
            session.add(
                Attempt(
                    order_id=the_order().id,
                    transaction_id=the_transaction().id,
                    operation=Operation.CAPTURE,
                    state=AttemptState.SENDING,
                    amount=2500,
                    gateway_order_id=NUMBER,
                    actor_kind=ActorKind.PERSON,
                    actor="田中",
                )
            )

    def test_an_open_operation_keeps_its_order_as_it_is(self) -> None:  # P7
        take_in(row(**LINKED))
        self.open_attempt()
        run = take_in(row(備考="のし", **LINKED))
        assert counts(run) == {"left_out": 1}
        assert messages(run)[0].startswith("処理中のため更新しませんでした")
        assert the_order().note == ""

    def test_but_the_same_content_is_no_problem(self) -> None:
        take_in(row(**LINKED))
        self.open_attempt()
        assert counts(take_in(row(**LINKED))) == {"unchanged": 1}


class TestEditedOrders:
    """What a person corrected on 注文内容修正 is not overwritten by a file that knows nothing of it."""

    def correct(self) -> None:
        take_in(row(**LINKED))
        change(Order, total=2300, original_total=2500, is_total_set=True, edited_at=utc_now())

    def test_its_amounts_stay_and_the_file_is_told_why(self) -> None:
        self.correct()
        run = take_in(row(備考="のし", **LINKED))
        assert counts(run) == {"left_out": 1}
        assert "「注文内容修正」で修正した注文のため" in messages(run)[0]
        assert (the_order().total, the_order().note) == (2300, "")

    def test_a_file_with_the_corrected_amounts_may_change_the_rest(self) -> None:
        self.correct()
        take_in(row(備考="のし", **LINKED | {"合計金額": "2300"}))
        assert (the_order().total, the_order().note) == (2300, "のし")

    def test_before_any_correction_a_file_may_change_amounts(self) -> None:
        take_in(row(**LINKED))
        run = take_in(row(値引き="100", **LINKED | {"合計金額": "2400"}))
        assert counts(run) == {"updated": 1}
        assert (the_order().total, the_order().discount) == (2400, 100)


@pytest.mark.postgresql
def test_two_imports_of_one_file_at_once_add_each_order_once(app: Flask) -> None:
    content = csv_file(*(row(注文番号=number(n)) for n in range(600)))
    start = threading.Barrier(2)

    def import_it() -> tuple[int, int]:
        with app.app_context():
            start.wait(30)
            run = take_in_file(content)
            return run.added, run.unchanged

    with ThreadPoolExecutor(2) as pool:
        results = [work.result(60) for work in [pool.submit(import_it) for _ in range(2)]]
    assert sum(added for added, _ in results) == 600
    assert sum(unchanged for _, unchanged in results) == 600
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Order)) == 600


class TestRuns:
    def test_problems_are_kept_by_line(self) -> None:
        run = take_in(row(数量="0"), row(注文番号=number(2)), row(注文番号=number(3), 合計金額="1"))
        assert counts(run) == {"added": 2, "left_out": 1}
        assert (run.rows, run.orders) == (3, 3)
        found = importing.issues(run.id)
        assert [(i.line, i.order_no, i.level) for i in found] == [
            (2, NUMBER, IssueLevel.ERROR),
            (4, number(3), IssueLevel.WARNING),
        ]

    def test_a_wrong_total_is_a_warning(self) -> None:
        run = take_in(row(合計金額="2400"))
        [issue] = importing.issues(run.id)
        assert issue.level is IssueLevel.WARNING
        assert "2,400円が明細の計算2,500円" in issue.message
        assert the_order().total == 2400

    def test_discounts_count(self) -> None:
        reduced = {"まとめ買い割引": "100", "クーポン": "200", "使用ポイント": "100"}
        assert messages(take_in(row(合計金額="2100", **reduced))) == []
        assert messages(take_in(row(注文番号=number(2), 合計金額="2350", 値引き="150"))) == []

    def test_what_a_later_file_does_not_speak_of_counts_too(self) -> None:
        take_in(row())
        short = {name: cell for name, cell in row(備考="のし").items() if name != "送料"}
        run = take_in(short)
        assert (counts(run), messages(run)) == ({"updated": 1}, [])

    def test_an_order_that_is_left_out_has_no_warnings(self) -> None:
        take_in(row())
        looked_up(PaymentStatus.CAPTURED, "SALES")
        run = take_in(row(合計金額="9999"))
        assert [issue.level for issue in importing.issues(run.id)] == [IssueLevel.ERROR]

    def test_a_refused_file_writes_no_order(self) -> None:
        good = [row(注文番号=number(n)) for n in range(250)]
        run = take_in_file(csv_file(*good) + b'"unclosed\r\n')
        assert "252行目" in run.refused
        assert state_of(run) is RunState.REFUSED
        assert not db.session.scalars(sa.select(Order)).all()

    def test_silence_means_interrupted(self) -> None:
        run, _found = importing.begin(
            importing.new_run_id(), "田中", [io.BytesIO(csv_file(ROW))], NO_LIMITS
        )
        assert state_of(run) is RunState.RUNNING
        change(ImportRun, progress_at=utc_now() - timedelta(seconds=31))
        assert importing.progress(run.id).state is RunState.INTERRUPTED

    @pytest.mark.postgresql
    def test_progress_is_told_batch_by_batch(self) -> None:
        rows = [row(注文番号=number(n)) for n in range(450)]
        stream = io.BytesIO(csv_file(*rows))
        run, found = importing.begin(importing.new_run_id(), "田中", [stream], NO_LIMITS)
        assert found is not None
        seen: list[int] = []
        importing.carry_out(run.id, [stream], NO_LIMITS, found, lambda r: seen.append(r.added))
        assert seen == sorted(set(seen))
        assert len(seen) > 1
        assert importing.progress(run.id).done == 450


def test_a_batch_that_breaks_off_each_time_ends_the_import_with_words(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came before it is in, and the person is told of the line where it ends."""
    monkeypatch.setattr(batches, "SIZE", 2)
    take_in_batch, tries = batches.take_in, list[Any]()

    def broken(run_id: str, actor: str, batch: Any, *more: Any) -> None:
        if any(one.order_no == number(3) for one in batch):
            tries.append(batch)
            raise ZeroDivisionError
        take_in_batch(run_id, actor, batch, *more)

    monkeypatch.setattr(batches, "take_in", broken)
    content = csv_file(*(row(注文番号=number(n)) for n in range(1, 6)))
    run_id = importing.new_run_id()
    importing.prepare(run_id, "田中", [content], NO_LIMITS)
    with own_worker.working_by(app, "off"):
        assert importing.start(run_id, "田中", importing.fingerprint(importing.find(run_id)))
    [job_id] = db.session.scalars(sa.select(Job.id))
    work = partial(jobs.work, job_id, {JobKind.IMPORT: importing.work})
    for _ in range(8):
        setbacks.carefully(Queue.JOB, [job_id], work)
        with writing() as session:  # long after
            session.execute(sa.update(Setback).values(next_try_at=utc_now()))
            session.execute(sa.update(Job).values(due_at=utc_now()))
    assert len(tries) == 4
    run = importing.find(run_id)
    assert (run.added, importing.progress(run_id).goes_on) == (2, False)
    [issue] = importing.issues(run_id)
    assert "この行からの注文を取り込めませんでした" in issue.message
    assert issue.line == 4
    assert setbacks.count_set_aside() == 0


@pytest.mark.parametrize("meanwhile", ["begun", "forgotten"])
def test_a_preview_that_is_made_too_late_writes_nothing(
    app: Flask, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """Begun in another tab, or the oldest of six files that were chosen at once."""
    content = csv_file(row(注文番号=number(1)), row(注文番号=number(2), 数量="?"))
    run_id, look_at = importing.new_run_id(), batches.look_at
    importing.prepare(run_id, "田中", [content], NO_LIMITS)
    seen_as = importing.fingerprint(importing.find(run_id))

    def overtaken(batch: Any) -> Any:
        decided = look_at(batch)
        db.session.rollback()
        if meanwhile == "begun":
            with own_worker.working_by(app, "off"):
                importing.start(run_id, "田中", seen_as)
            return decided
        with writing() as session:
            for table in (ImportIssue, ImportFile, ImportRun):
                session.execute(sa.delete(table))
        return decided

    monkeypatch.setattr(batches, "look_at", overtaken)
    runs.look_again(run_id)
    assert importing.issues(run_id) == []


def test_columns_go_in_as_they_are_shown_whoever_chose_others_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # P20
    cells = (NUMBER, "2026/11/23", "カード", "2500", "9500", "煎茶", "2500", "1")
    names = ("番", "日", "払", "計1", "計2", "品", "値", "個")
    content = csv_file(dict(zip(names, cells, strict=True)))
    run_id, look_at = importing.new_run_id(), batches.look_at
    importing.prepare(run_id, "田中", [content], NO_LIMITS)
    fields = ("order_no", "ordered_at", "method", "item_name", "unit_price", "quantity")
    wanted = dict(zip((0, 1, 2, 5, 6, 7), fields, strict=True))

    def choose(total: int) -> None:
        chosen = wanted | {total: "total"}
        importing.map_columns(run_id, chosen, "田中", is_to_be_remembered=False)

    def overtaken(batch: Any) -> Any:
        monkeypatch.setattr(batches, "look_at", look_at)
        db.session.rollback()
        choose(4)
        return look_at(batch)

    settings.save("田中", other_methods="カード")
    monkeypatch.setattr(batches, "look_at", overtaken)
    choose(3)
    run = importing.find(run_id)
    assert run.preview is not None
    assert run.mapping is not None
    assert (run.preview["new"][0]["total"], run.mapping["total"]) == (2500, "計1")


def test_columns_of_a_file_that_newer_ones_pushed_out_are_not_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = importing.new_run_id()
    importing.prepare(run_id, "田中", [csv_file(dict.fromkeys("いろはにほへと", "1"))], NO_LIMITS)
    fields = ("order_no", "ordered_at", "method", "total", "item_name", "unit_price", "quantity")
    monkeypatch.setattr(runs.kept, "files", lambda _run_id: [])
    with pytest.raises(NotFound):
        importing.map_columns(run_id, dict(enumerate(fields)), "田中", is_to_be_remembered=False)


@pytest.mark.long
def test_three_thousand_rows(app: Flask) -> None:
    # A query per row would take minutes.
    content = csv_file(
        *(row(注文番号=number(n), 商品名=name) for n in range(1_500) for name in ("煎茶", "湯呑"))
    )
    statements = 0

    @sa.event.listens_for(db.engine, "before_cursor_execute")
    def _count(*_: Any) -> None:
        nonlocal statements
        statements += 1

    run = take_in_file(content)
    assert run.added == 1_500
    assert statements < 300


class TestNoCardOrderIsLost:
    def test_an_unknown_method_keeps_its_order_out_until_the_shop_has_said(self) -> None:
        run = take_in(row(決済方法="クレジットカード"))
        assert counts(run) == {"left_out": 1}
        assert "「クレジットカード」がSGPカード決済かどうか分からない" in messages(run)[0]
        settings.save("田中", sgp_methods="クレジットカード")
        assert counts(take_in(row(決済方法="クレジットカード"))) == {"added": 1}
        assert the_order().payment_status is PaymentStatus.NEEDS_REVIEW

    def test_a_transaction_makes_it_a_card_order_whatever_it_is_called(self) -> None:
        take_in(row(決済方法="その他") | LINKED)
        assert the_order().is_sgp

    def test_an_order_taken_for_another_method_is_mended_by_the_next_file(
        self, shop: World
    ) -> None:
        take_in(row(決済方法="代金引換"))
        assert the_order().payment_status is None
        shop.authorize(NUMBER, 2500)
        run = take_in(row())
        assert counts(run) == {"updated": 1}
        assert "SGPカード決済の注文に直しました" in messages(run)[0]
        assert the_order().payment_status is PaymentStatus.NEEDS_REVIEW
        transaction_lookup.look_up(the_transaction().id)
        assert the_order().payment_status is PaymentStatus.AUTHORIZED
        assert events() == ["imported", "import_updated", "linked"]

    def test_an_order_is_made_a_card_order_where_smbc_gp_knows_its_number(
        self, shop: World
    ) -> None:
        take_in(row(決済方法="代金引換"))
        with pytest.raises(NotPossible, match="取引がない"):
            card_order.make(NUMBER, Actor.person("田中"))
        assert the_order().method == "代金引換"
        shop.authorize(NUMBER, 2500)
        card_order.make(NUMBER, Actor.person("田中"))
        assert the_order().payment_status is PaymentStatus.AUTHORIZED
        with pytest.raises(NotPossible, match="すでに"):
            card_order.make(NUMBER, Actor.person("田中"))
        assert events() == ["imported", "became_card_order", "linked"]

    def test_the_consoles_list_names_it(self, shop: World) -> None:
        take_in(row(決済方法="代金引換"), row(注文番号="#7", 決済方法="代金引換"))
        listed = f"オーダーID,状態,金額\r\n{NUMBER},仮売上,2500\r\n7,仮売上,2500\r\n8,仮売上,1\r\n"
        found = console_file.compare(io.BytesIO(listed.encode("cp932")), NO_LIMITS)
        assert [order_no for _, order_no in found.taken_otherwise] == [NUMBER, "#7"]
        assert [listed.order_id for listed in found.gateway_only] == ["8"]

    def test_a_card_order_stays_one(self) -> None:
        take_in(row())
        run = take_in(row(決済方法="代金引換"))
        assert counts(run) == {"left_out": 1}
        assert the_order().is_sgp


class TestWhatAFileDoesNotSay:
    def test_an_empty_cell_never_overwrites(self) -> None:
        take_in(row(注文者="佐藤", 備考="急ぎ", 配送希望日="2026/12/05", 送料="500"))
        run = take_in(row(注文者="", 備考="", 配送希望日="", 送料=""))
        assert counts(run) == {"unchanged": 1}

    def test_the_history_shows_before_and_after(self) -> None:
        take_in(row(注文者="佐藤", お届け先氏名="佐藤"))
        take_in(row(注文者="鈴木", お届け先氏名="佐藤", 送料="600", 合計金額="2600"))
        detail = db.session.scalars(
            sa.select(HistoryEntry.detail).where(HistoryEntry.event == "import_updated")
        ).one()
        assert detail["corrections"] == [
            ["注文者", "佐藤", "鈴木"],
            ["送料", "500", "600"],
            ["合計金額", "2,500", "2,600"],
        ]


class TestNumbersOfOtherPrograms:
    @pytest.mark.parametrize(
        ("order_no", "there"),
        [("#1001", "1001"), ("123456-20261128-0000000001", "123456-20261128-0000000001")],
    )
    def test_are_kept_for_people_and_sent_as_smbc_gp_takes_them(
        self, order_no: str, there: str
    ) -> None:
        take_in(row(注文番号=order_no) | LINKED)
        assert the_order(order_no).order_no == order_no
        transaction = the_transaction()
        assert transaction.gateway_order_id == there
        assert open_access_pass(transaction.access_pass_sealed, there) == LINKED["取引パスワード"]

    @pytest.mark.postgresql
    def test_no_two_orders_have_one_number_there(self) -> None:
        run = take_in(row(注文番号="#1001"), row(注文番号="1001"))
        assert counts(run) == {"added": 1, "left_out": 1}
        assert "注文 #1001 がSMBC-GPで同じオーダーID「1001」" in messages(run)[0]
        run = take_in(row(注文番号="1001"))
        assert counts(run) == {"left_out": 1}
