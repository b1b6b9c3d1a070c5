"""Buyers' data ends: erased on request or when its time is over; money and history stay provable (S12a)."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from sqlalchemy.exc import DBAPIError

from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.handling import Handling
from sgpshop.domain.payment_calendar import JST, jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.personal_data import ERASED
from sgpshop.extensions import db
from sgpshop.models import (
    Base,
    DailyJob,
    HistoryEntry,
    ItemResult,
    Operation,
    Order,
    SlipRow,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.access import activities
from sgpshop.services.order_detail import editing
from sgpshop.services.order_detail.editing import ContentEdit
from sgpshop.services.order_search import search, sums, texts
from sgpshop.services.order_search.criteria import SearchCriteria
from sgpshop.services.order_search.search import PageRequest
from sgpshop.services.orders import feed, history, money_days, notes, parcels
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import clocks
from sgpshop.services.personal_data import erasing, requests
from sgpshop.services.reconciliation import daily
from sgpshop.storage.chain import Chain
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import World
from tests.services.acting import TANAKA, cancel, correct, effects, press, seen
from tests.services.importing import counts, messages, take_in
from tests.services.order_csv import row
from tests.services.payments.test_clocks import set_clock
from tests.services.slip_files import TITLES, prepare, slip, slip_file

pytestmark = pytest.mark.postgresql

#: Everything by which somebody could be known, as it is typed below.
PERSON = (
    "高梨",
    "タカナシ",
    "梨木商店",
    "総務七課",
    "9876543",
    "987-6543",
    "和歌山",
    "港町九の八",
    "09098765432",
    "090-9876-5432",
    "takanashi@",
    "玄関先に",
    "電話で確認",
)


@pytest.fixture
def order(shop: World) -> Order:
    """Captured and delivered, corrected, noted and told of in many places."""
    order = authorized_order(
        shop,
        told=True,
        buyer="高梨 葵",
        buyer_kana="タカナシ アオイ",
        buyer_company="梨木商店",
        buyer_department="総務七課",
        buyer_postal_code="987-6543",
        buyer_prefecture="和歌山県",
        buyer_address="港町九の八",
        buyer_tel="090-9876-5432",
        tel_search="09098765432",
        buyer_email="takanashi@example.jp",
        member_id="M77",
        note="玄関先に置いてください",
    )
    [parcel] = order.deliveries
    edit = ContentEdit(
        values={"buyer_address": "港町九の八 二階", "carriage": 0},
        deliveries={
            parcel.id: {"name": "高梨 楓", "address": "港町九の八", "tel": "090-9876-5432"}
        },
    )
    editing.change_content(order.id, edit, seen(order), TANAKA)
    notes.save(order.id, seen(order), TANAKA, Handling.ON_HOLD, "電話で確認済み")
    correct(order, 2000)
    press(order, Operation.CHANGE_AMOUNT)
    order = press(order, Operation.CAPTURE)
    assert order.payment_status is PaymentStatus.CAPTURED
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    renew()
    return fresh(order)


def renew() -> None:
    while texts.renew():
        pass


def known() -> list[str]:
    """Every row of the database in which something of the person stands."""
    db.session.rollback()
    rows = []
    for table in Base.metadata.sorted_tables:
        for one in db.session.execute(sa.select(table)):
            said = "|".join(str(value) for value in one)
            rows += [f"{table.name}: {said}" for part in PERSON if part in said][:1]
    return rows


def found(word: str) -> int:
    return len(search.search(SearchCriteria(word=word), PageRequest()).rows)


def erase(*orders: Order) -> erasing.Erased:
    done = erasing.erase([one.id for one in orders], TANAKA, "personal_data_erased")
    renew()
    return done


def problems() -> list[str]:
    db.session.rollback()
    return [problem.what for problem in Verification().problems()]


def test_nothing_of_the_person_is_left_anywhere_and_everything_of_the_money(order: Order) -> None:
    assert len(known()) >= 4  # order, parcel, text, history
    assert found("高梨") == found("09098765432") == 1
    before = fresh(order)
    was = (before.version + 1, before.total, before.payment_status, "M77")
    assert erase(order).done == [order.order_no]
    assert known() == []
    words = ("高梨", "タカナシ", "09098765432", "takanashi@example.jp")
    assert {found(word) for word in words} == {0}
    after = fresh(order)
    assert (after.buyer_name, after.deliveries[0].name) == (ERASED, ERASED)
    assert (after.version, after.total, after.payment_status, after.member_id) == was
    assert problems() == []  # the chain fits, every amount is explained
    told = {entry.event: entry.detail for entry in history.entries(order.id)}
    assert ["住所", ERASED, ERASED] in told["content_edited"]["corrections"]
    assert told["notes_changed"]["changes"].endswith(f"社内メモ {ERASED}")
    assert told["personal_data_erased"]["replaced"] == 2
    assert len(told["personal_data_erased"]["before_mark"]) == 32


def test_who_erased_them_is_kept_with_each_or_it_is_not_erased(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:  # P5a
    other = make_order(
        status=PaymentStatus.CANCELLED,
        processing_class=ProcessingClass.CANCELLED,
        told=True,
        buyer="高梨 葵",
    )
    with monkeypatch.context() as broken:
        broken.setattr(Chain, "add", Mock(side_effect=RuntimeError("killed")))
        assert [number for number, _ in erase(order, other).stayed] == [
            order.order_no,
            other.order_no,
        ]
    assert fresh(order).buyer_name == "高梨 葵"
    assert erase(order, other).stayed == []
    told = activities.newest(ActivityEvent.PERSONAL_DATA_ERASED.kind, 2)
    assert [(entry.event, entry.actor, entry.about) for entry in told] == [
        ("personal_data_erased", "田中", number) for number in (other.order_no, order.order_no)
    ]


def test_sums_money_and_feed_are_as_they_were(order: Order, shop: World) -> None:
    money_days.fold()
    feed.changed("", 100)
    _, cursor, _ = feed.changed("", 100)
    days = db.session.execute(sa.text("SELECT * FROM money_days")).all()
    movements = db.session.execute(sa.text("SELECT * FROM money_movements")).all()
    at_gateway = effects(shop, order)
    db.session.commit()
    erase(order)
    sums.compare()
    money_days.fold()
    assert db.session.execute(sa.text("SELECT * FROM money_days")).all() == days
    assert db.session.execute(sa.text("SELECT * FROM money_movements")).all() == movements
    assert effects(shop, order) == at_gateway
    assert feed.changed(cursor, 100)[0] == [order.id]  # programs learn that it changed


@pytest.mark.alike
def test_refunding_still_works_afterwards(order: Order) -> None:
    erase(order)
    parcels.take_back(
        order.id,
        seen(order),
        TANAKA,
        parcels.ParcelReturn([0], jst_day(utc_now()), "破損", False),
    )
    assert cancel(order).payment_status is PaymentStatus.CANCELLED
    assert problems() == []


def test_an_altered_history_is_not_made_ours(order: Order) -> None:
    entry_id = history.entries(order.id)[-1].id
    off, on = (
        ("ALTER TABLE history DISABLE TRIGGER USER", "ALTER TABLE history ENABLE TRIGGER USER")
        if db.engine.dialect.name == "postgresql"
        else ("", "")
    )
    if not off:
        guard = db.session.scalar(
            sa.text("SELECT sql FROM sqlite_master WHERE name = 'history_no_update'")
        )
        off, on = "DROP TRIGGER history_no_update", str(guard)
    with writing() as session:
        session.execute(sa.text(off))
        changed = sa.update(HistoryEntry).where(HistoryEntry.id == entry_id)
        session.execute(changed.values(amount_after=1))
        session.connection().exec_driver_sql(on)
    done = erase(order)
    assert done.done == []
    assert "履歴が書かれたときのままではない" in done.stayed[0][1]
    assert fresh(order).buyer_name == "高梨 葵"


@pytest.mark.parametrize(
    "change",
    ["amount_after = 1", "actor = '別人'", "event = 'x'", "order_id = order_id + 1"],
)
def test_even_while_erasing_the_guard_lets_only_details_go(order: Order, change: str) -> None:
    def sql(*statements: str) -> None:
        with writing() as session:
            for statement in statements:
                session.execute(sa.text(statement))

    with pytest.raises(DBAPIError, match="append-only"):
        sql("UPDATE orders SET history_state = 'erasing'", f"UPDATE history SET {change}")
    with pytest.raises(DBAPIError, match="append-only"):
        sql("UPDATE history SET detail = '{}'")
    assert problems() == []


@pytest.mark.alike
@pytest.mark.parametrize(
    ("status", "why"),
    [
        (PaymentStatus.AUTHORIZED, "決済が「仮売上」です"),
        (PaymentStatus.NEEDS_REVIEW, "決済が「要確認」です"),
        (PaymentStatus.AWAITING_BILLING, "決済が「決済待ち」です"),
        (PaymentStatus.CAPTURED, "発送がまだです"),
    ],
)
def test_what_is_not_closed_stays_and_says_why(
    shop: World, status: PaymentStatus, why: str
) -> None:
    order = make_order(status=status, told=True, buyer="高梨 葵")
    done = erase(order)
    assert done.done == []
    assert why in done.stayed[0][1]
    assert fresh(order).buyer_name == "高梨 葵"


@pytest.mark.alike
def test_returned_goods_whose_money_is_not_back_stay(order: Order) -> None:
    back = parcels.ParcelReturn([0], jst_day(utc_now()), "破損", False)
    parcels.take_back(order.id, seen(order), TANAKA, back)
    assert "返金が済んでいません" in erase(order).stayed[0][1]


@pytest.mark.alike
def test_no_file_brings_it_back(shop: World) -> None:
    method = {"決済方法": "銀行振込", "注文者": "高梨 葵", "配送ステータス": "配送完了"}
    assert counts(take_in(row(**method))) == {"added": 1}
    order = db.session.scalars(sa.select(Order)).one()
    assert erase(order).done == [order.order_no]
    run = take_in(row(**method))
    assert counts(run) == {"left_out": 1}
    assert "購入者の情報を消去した注文" in messages(run)[0]
    assert fresh(order).buyer_name == ERASED


def test_rows_of_slip_files_forget_it_too(order: Order) -> None:
    rows = slip(order) | {"メモ": "高梨 楓"}
    prepare(slip_file(rows, titles=[*TITLES, "メモ"]))
    assert any(one.startswith("slip_rows") for one in known())
    with writing() as session:  # it was carried out, or left out
        session.execute(sa.update(SlipRow).values(result=ItemResult.SKIPPED))
    erase(order)
    assert known() == []


def test_it_finds_what_files_said_of_the_order_by_indexes(order: Order) -> None:
    """Everybody who writes waits meanwhile, and these tables grow for ever."""
    is_postgresql = db.engine.dialect.name == "postgresql"
    ask = "EXPLAIN " if is_postgresql else "EXPLAIN QUERY PLAN "
    plans: list[str] = []

    def listen(
        connection: sa.Connection, _: Any, statement: str, parameters: Any, *__: Any
    ) -> None:
        if statement.startswith(("UPDATE slip_rows", "UPDATE import_issues")):
            if is_postgresql:  # it would scan so few rows
                connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            plans.append(str(connection.exec_driver_sql(ask + statement, parameters).all()))

    sa.event.listen(db.engine, "before_cursor_execute", listen)
    try:
        erase(order)
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", listen)
    slip_rows, import_issues = plans
    assert "ix_slip_rows_order_id" in slip_rows
    assert "ix_import_issues_order_no" in import_issues


class TestAtNight:
    """`personal_data_for`: months after the last that happened to a closed order."""

    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {"NIGHTLY_COMPARE_HOUR": 3}

    def nights(self, days: int) -> None:
        with time_machine.travel(utc_now() + timedelta(days=days), tick=False):
            with writing() as session:
                session.execute(sa.delete(DailyJob))
                day = daily._latest_day(utc_now(), 3)
                session.add(DailyJob(name=daily.ERASE, day=day, started_at=utc_now()))
            for _ in range(5):
                daily._step(3, daily.ERASE, utc_now(), lambda job: daily._erase(job, utc_now()))
        renew()

    @pytest.mark.alike
    def test_it_stays_for_ever_unless_somebody_says_otherwise(self, order: Order) -> None:
        self.nights(10_000)
        assert fresh(order).buyer_name == "高梨 葵"

    def test_when_its_time_is_over_it_goes(self, order: Order, shop: World) -> None:
        open_order = authorized_order(shop, told=True, buyer="高梨 司")
        settings.save("店長", personal_data_for="12")
        self.nights(360)
        assert fresh(order).buyer_name == "高梨 葵"
        self.nights(367)
        assert fresh(order).buyer_name == ERASED
        assert fresh(open_order).buyer_name == "高梨 司"
        entry = history.entries(order.id)[0]
        assert (entry.event, entry.detail["term"]) == ("personal_data_ended", "1年")
        count = len(history.entries(order.id))
        self.nights(380)  # it is done once
        assert len(history.entries(order.id)) == count
        assert problems() == []

    @pytest.mark.alike
    def test_under_a_wrong_clock_it_stays(
        self, app: Flask, order: Order, shop: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A machine that wakes up in another year would erase what nobody could bring back (P30)."""
        settings.save("店長", personal_data_for="6")
        shop.wire.tells_time = True
        app.extensions.pop(clocks._ASKED)  # it is asked anew, as by a worker that just began
        with monkeypatch.context() as patch:
            set_clock(patch, timedelta(days=400))
            self.nights(200)
        assert fresh(order).buyer_name == "高梨 葵"
        self.nights(200)
        assert fresh(order).buyer_name == ERASED

    @pytest.mark.alike
    def test_it_goes_where_the_comparison_with_smbc_gp_is_off(
        self, app: Flask, order: Order
    ) -> None:
        """「次の夜に消えます」 the screen says, whatever is compared."""
        app.config["NIGHTLY_COMPARE_HOUR"] = None
        settings.save("店長", personal_data_for="6")
        night = datetime(utc_now().year + 1, 11, 27, 3, 0, 5, tzinfo=JST)
        with time_machine.travel(night, tick=False):
            while daily.run():
                pass
        assert fresh(order).buyer_name == ERASED

    def test_an_order_that_cannot_be_erased_holds_up_no_other(
        self, order: Order, shop: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = press(authorized_order(shop, told=True, buyer="高梨 司"), Operation.CAPTURE)
        parcels.deliver(other.id, seen(other), TANAKA, [0])
        settings.save("店長", personal_data_for="6")
        erase_one = erasing._erase_in_history

        def breaks_off(session: Any, one: Order) -> dict[str, Any]:
            if one.id == order.id:
                raise TypeError("what nobody thought of")
            return erase_one(session, one)

        with monkeypatch.context() as patch:
            patch.setattr(erasing, "_erase_in_history", breaks_off)
            self.nights(190)
            [(number, why)] = erase(order).stayed
        assert (number, "問題が起きたため" in why) == (order.order_no, True)
        assert fresh(order).buyer_name == "高梨 葵"
        assert fresh(other).buyer_name == ERASED
        self.nights(191)  # it is tried anew each night
        assert fresh(order).buyer_name == ERASED
        assert problems() == []

    def test_what_is_noted_afterwards_has_its_own_time(self, order: Order) -> None:
        settings.save("店長", personal_data_for="6")
        self.nights(190)
        with time_machine.travel(utc_now() + timedelta(days=200), tick=False):
            notes.save(order.id, seen(order), TANAKA, Handling.ON_HOLD, "電話で確認した高梨さん")
        self.nights(300)
        assert fresh(order).memo
        self.nights(400)
        assert fresh(order).memo == ""


class TestOnePersonsRequest:
    def test_finds_the_buyers_other_orders(self, order: Order, shop: World) -> None:
        same_member = make_order(told=True, member_id="M77", buyer="高梨 葵")
        same_mail = make_order(told=True, buyer_email="Takanashi@example.jp", buyer="別の名")
        same_tel = make_order(told=True, buyer="高梨 葵", tel_search="09098765432")
        make_order(told=True, buyer="高梨 葵")  # a name alone is no proof
        make_order(told=True, buyer="鈴木", tel_search="09098765432")  # of the same house
        found = {one.order.order_no: one.same for one in requests.orders_of_buyer(order.order_no)}
        assert found == {
            order.order_no: "",
            same_member.order_no: "会員ID",
            same_mail.order_no: "メールアドレス",
            same_tel.order_no: "電話番号",
        }

    @pytest.mark.alike
    def test_everything_is_written_out(self, order: Order) -> None:
        content = requests.written_out([fresh(order)]).decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(content)))
        said = {(title, text) for _, title, text in rows[1:]}
        assert rows[0] == ["注文番号", "項目", "内容"]
        assert {
            ("注文者", "高梨 葵"),
            ("住所", "港町九の八 二階"),
            ("メールアドレス", "takanashi@example.jp"),
            ("お届け先氏名", "高梨 楓"),
            ("備考", "玄関先に置いてください"),
            ("社内メモ", "電話で確認済み"),
            ("合計金額", "2000"),
            ("商品1 商品名", "煎茶"),
            ("決済方法ステータス", "決済完了"),
        } <= said
