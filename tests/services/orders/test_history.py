"""The history proves itself: nobody changes it unnoticed, and it explains the present (P5)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.payment_calendar import JST, jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.row_files import Limits
from sgpshop.extensions import db
from sgpshop.gateway import Job
from sgpshop.models import (
    CardTransaction,
    FollowUp,
    HistoryEntry,
    Operation,
    Order,
    OrderKind,
    utc_now,
)
from sgpshop.services import installation, settings
from sgpshop.services.order_files import importing
from sgpshop.services.orders import history, history_check, parcels
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import acts, runner, transaction_lookup
from sgpshop.storage.database import writing
from tests.conftest import make_app
from tests.factories import authorized_order, fresh, make_order, order_number
from tests.gateway_world import World
from tests.old_database import insert, upgrade_to
from tests.services.acting import TANAKA, cancel, correct, look, press, seen
from tests.services.order_csv import csv_file, number, row

#: What it asks of the database, both answer differently or in another order.
pytestmark = pytest.mark.postgresql

S = PaymentStatus


def found() -> list[tuple[str, str]]:
    """What verify-history finds: order number and problem."""
    db.session.rollback()
    return [(problem.order_no, problem.what) for problem in Verification().problems()]


def found_of(order: Order) -> str:
    """What it finds about this order."""
    return "\n".join(what for order_no, what in found() if order_no == order.order_no)


def sql(*statements: str, **values: Any) -> None:
    """Somebody with a connection of their own to the database."""
    with writing() as session:
        for statement in statements:
            session.execute(sa.text(statement), values)


@pytest.fixture
def order(shop: World) -> Order:
    """Taken in, corrected to 2,000 yen, sent, captured, the last at a second try: five entries."""
    order = authorized_order(shop, told=True)
    correct(order, 2000)
    press(order, Operation.CHANGE_AMOUNT)
    shop.fault("error:42G550000")
    press(order, Operation.CAPTURE)
    return press(order, Operation.CAPTURE)


@pytest.fixture
def entry_ids(order: Order) -> list[int]:
    """The ids of its entries, oldest first."""
    ids = [entry.id for entry in reversed(history.entries(order.id))]
    assert len(ids) == 5
    return ids


class TestTheDatabaseRefuses:
    def test_changing_or_deleting_an_entry(self, order: Order) -> None:
        for statement in (
            "UPDATE history SET actor = '別人'",
            "UPDATE history SET mark = mark",
            "DELETE FROM history",
            "DELETE FROM history WHERE event = 'capture_done'",
        ):
            with pytest.raises(DBAPIError, match="append-only"):
                sql(statement)
        assert found() == []

    def test_emptying_the_table(self, order: Order, database_kind: str) -> None:
        if database_kind == "sqlite":
            return  # has no TRUNCATE
        with pytest.raises(DBAPIError, match="append-only"):
            sql("TRUNCATE history CASCADE")


@pytest.fixture
def unguarded(order: Order, database_kind: str) -> None:
    """Somebody who may do everything in the database first takes the guards away."""
    if database_kind == "sqlite":
        for table in ("history", "money_movements"):
            sql(f"DROP TRIGGER {table}_no_update", f"DROP TRIGGER {table}_no_delete")
    else:
        sql(
            "ALTER TABLE history DISABLE TRIGGER USER",
            "ALTER TABLE money_movements DISABLE TRIGGER USER",
        )


def _alter(*statements: str, **values: Any) -> None:
    """As somebody would who alters histories: the feed, which holds each entry, lets go of it first."""
    db.session.rollback()
    for statement in ("UPDATE order_events SET history_id = NULL", *statements):
        db.session.execute(sa.text(statement), values)


def found_after(order: Order, *statements: str, **values: Any) -> str:
    """What is found about the order after these statements, which are not kept."""
    _alter(*statements, **values)
    problems = list(Verification().problems())  # ends by rolling back
    return "\n".join(problem.what for problem in problems if problem.order_no == order.order_no)


def found_by_all(*statements: str) -> str:
    """All that is found after these statements, which are not kept: number and problem."""
    _alter(*statements)
    problems = list(Verification().problems())
    return "\n".join(f"{problem.order_no}: {problem.what}" for problem in problems)


def _remove(order: Order) -> list[str]:
    """Everything there is of one order, as somebody who may do everything would delete it."""
    parts = (
        "money_movements", "history", "attempts", "card_transactions", "order_lines", "deliveries",
        "alerts",
    )  # fmt: skip
    return [
        *(f"DELETE FROM {table} WHERE order_id = {order.id}" for table in parts),
        f"DELETE FROM orders WHERE id = {order.id}",
    ]


def _begun(row_id: int, order: Order, what: str) -> str:
    """A beginning written by somebody without the key."""
    return (
        "INSERT INTO beginnings (id, order_id, order_no, what, at, mark)"
        f" VALUES ({row_id}, {order.id}, '{order.order_no}', '{what}', '2026-01-01 00:00:00', 'x')"
    )


@pytest.mark.usefixtures("unguarded")
class TestAlterationIsFound:
    def test_missing_guards(self) -> None:
        assert found() == [
            ("", f"{what}の変更・削除を拒む仕組み(トリガー)がデータベースから外されています")
            for what in ("履歴", "売上・返金の記録")
        ]

    def test_a_changed_entry(self, order: Order, entry_ids: list[int]) -> None:
        for change in (
            "actor = '別人'",
            "actor_kind = 'worker'",
            "at = '2026-01-01 00:00:00'",
            "event = 'linked'",
            "detail = '{\"codes\": []}'",
            "attempt_id = NULL",
            "order_version = 99",
            "request_token = 'stolen'",
            "gateway_amount = 1",
            "processing_class = 'returned'",
            "amount_before = 1",
            "status_after = 'cancelled'",
        ):
            altered = f"UPDATE history SET {change} WHERE id = :id"
            assert "4件目の記録" in found_after(order, altered, id=entry_ids[3]), change

    def test_wherever_it_is(self, order: Order, entry_ids: list[int]) -> None:
        for place, entry_id in enumerate(entry_ids, start=1):
            altered = "UPDATE history SET actor = '別人' WHERE id = :id"
            assert f"{place}件目の記録" in found_after(order, altered, id=entry_id)

    @pytest.mark.alike
    def test_two_entries_in_each_others_place(self, order: Order, entry_ids: list[int]) -> None:
        second, third = entry_ids[1:3]
        move = "UPDATE history SET id = {} WHERE id = {}"
        swap = [move.format(-1, second), move.format(second, third), move.format(third, -1)]
        assert "2件目の記録" in found_after(order, *swap)

    def test_an_entry_taken_out(self, order: Order, entry_ids: list[int]) -> None:
        for place, entry_id in enumerate(entry_ids[:-1], start=1):
            taken = "DELETE FROM history WHERE id = :id"
            assert f"{place}件目の記録" in found_after(order, taken, id=entry_id)

    @pytest.mark.alike
    def test_the_last_entry_taken_out(self, order: Order, entry_ids: list[int]) -> None:
        problems = found_after(order, "DELETE FROM history WHERE id = :id", id=entry_ids[-1])
        assert "最後の記録が削除されています" in problems
        assert "決済ステータスは「決済完了」ですが、最後の記録では「売上失敗」です" in problems
        assert "実売上処理の結果が履歴にありません" in problems

    @pytest.mark.alike
    def test_even_with_everything_it_told_undone(self, order: Order, entry_ids: list[int]) -> None:
        problems = found_after(
            order,
            "DELETE FROM history WHERE id = :id",
            "DELETE FROM attempts WHERE id = (SELECT max(id) FROM attempts)",
            "UPDATE orders SET payment_status = 'capture_failed'",
            "UPDATE card_transactions SET captured_amount = NULL",
            id=entry_ids[-1],
        )
        assert problems == "最後の記録が削除されています"

    @pytest.mark.alike
    def test_the_last_entries_taken_out_and_the_chain_forged(
        self, order: Order, entry_ids: list[int]
    ) -> None:
        for state in ("''", "(SELECT mark FROM history WHERE id = :id)"):
            problems = found_after(
                order,
                "DELETE FROM history WHERE id > :id",
                f"UPDATE orders SET history_state = {state}, payment_status = 'authorized'",
                id=entry_ids[2],
            )
            assert "最後の記録が削除されています" in problems

    def test_the_whole_history_taken_out(self, order: Order) -> None:
        for state in ("history_state", "''"):
            forged = f"UPDATE orders SET history_state = {state}"
            assert "履歴がありません" in found_after(order, "DELETE FROM history", forged)

    @pytest.mark.alike
    def test_the_whole_history_taken_out_behind_a_made_up_open_payment(self, order: Order) -> None:
        made_up = (
            "UPDATE attempts SET operation = 'authorize', state = 'queued'"
            " WHERE id = (SELECT max(id) FROM attempts)"
        )
        removed = ("DELETE FROM history", "UPDATE orders SET history_state = ''", made_up)
        assert "履歴がありません" in found_after(order, *removed)
        paying = "UPDATE beginnings SET what = 'paying'"
        assert "受付の記録が、1件目から" in found_by_all(*removed, paying)

    @pytest.mark.alike
    def test_an_order_taken_out_altogether(self, shop: World, order: Order) -> None:
        for _ in range(2):  # not the last one
            authorized_order(shop, told=True)
        number = order.order_no
        problems = found_by_all(*_remove(order))
        assert f"{number}: 注文がデータベースから削除されています" in problems
        known = f"DELETE FROM beginnings WHERE order_no = '{number}'"
        assert "受付の記録が、1件目から" in found_by_all(*_remove(order), known)

    def test_the_newest_order_taken_out_altogether(self, shop: World, order: Order) -> None:
        newest = authorized_order(shop, told=True)
        known = f"DELETE FROM beginnings WHERE order_no = '{newest.order_no}'"
        for end in ("", "UPDATE beginnings_end SET last = last - 1", "DELETE FROM beginnings_end"):
            removed = [*_remove(newest), known, end] if end else [*_remove(newest), known]
            assert "注文の受付の記録が削除されています" in found_by_all(*removed), end

    def test_a_beginning_put_behind_the_chains_end_hides_nothing(
        self, shop: World, order: Order
    ) -> None:
        """Whoever removes an order, or its history, adds what would explain it."""
        authorized_order(shop, told=True)
        number, said = order.order_no, "注文の受付の記録に、あとから加えられたものがあります"
        removed = _remove(order)
        for row_id in (1_000_000_000, 0, -1):
            problems = found_by_all(*removed, _begun(row_id, order, "taken_back"))
            assert f"{number}: 注文がデータベースから削除されています" in problems, row_id
            assert said in problems, row_id
        made_up = (
            "UPDATE attempts SET operation = 'authorize', state = 'queued'"
            " WHERE id = (SELECT max(id) FROM attempts)"
        )
        unwritten = ("DELETE FROM history", "UPDATE orders SET history_state = ''", made_up)
        problems = found_by_all(*unwritten, _begun(1_000_000_000, order, "paying"))
        assert f"{number}: 履歴がありません" in problems
        assert said in problems

    def test_a_beginning_that_was_added_removed_or_changed(self, shop: World, order: Order) -> None:
        for _ in range(2):
            authorized_order(shop, told=True)
        for change in (
            _begun(4, order, "kept"),
            "DELETE FROM beginnings WHERE id = 1",
            "DELETE FROM beginnings WHERE id = 2",
            "DELETE FROM beginnings WHERE id = 3",
            "DELETE FROM beginnings",
            "UPDATE beginnings SET id = 9 WHERE id = 2",
            "UPDATE beginnings SET order_no = 'P7' WHERE id = 2",
            "UPDATE beginnings SET order_id = 7 WHERE id = 2",
            "UPDATE beginnings SET what = 'taken_back' WHERE id = 2",
            "UPDATE beginnings SET at = '2026-01-01 00:00:00' WHERE id = 2",
            "UPDATE beginnings SET mark = 'x' WHERE id = 2",
        ):
            assert "注文の受付の記録" in found_by_all(change), change
            for end in ("last = 4", "last = 2", "last = 0", "last = 0, state = ''"):
                altered = found_by_all(change, f"UPDATE beginnings_end SET {end}")
                assert "注文の受付の記録" in altered or "受け付けた記録" in altered, (change, end)

    def test_an_order_put_in_or_renumbered(self, order: Order) -> None:
        renumbered = "UPDATE orders SET order_no = 'P7'"
        assert "注文を受け付けた記録がありません" in found_by_all(renumbered)

    @pytest.mark.alike
    def test_the_captured_amount_alone_changed(self, order: Order) -> None:
        for amount, told in (("1", "1円"), ("NULL", "なし")):
            changed = f"UPDATE card_transactions SET captured_amount = {amount}"
            problem = f"売上金額は{told}ですが、最後の記録では2,000円です"
            assert found_after(order, changed) == problem

    @pytest.mark.alike
    def test_a_refund_hidden_or_made_up(self, shop: World, order: Order) -> None:
        made_up = "UPDATE card_transactions SET gateway_state = 'RETURN'"
        assert "返金額は2,000円ですが、最後の記録ではなし" in found_after(order, made_up)
        cancel(order)
        hidden = "UPDATE card_transactions SET gateway_state = 'SALES'"
        assert "返金額はなしですが、最後の記録では2,000円です" in found_after(order, hidden)

    @pytest.mark.alike
    def test_an_entry_put_in(self, order: Order) -> None:
        columns = (
            "order_id, at, actor_kind, actor, event, status_before, status_after, amount_before,"
            " amount_after, order_version, detail, gateway_amount, processing_class, mark"
        )
        put_in = (
            f"INSERT INTO history ({columns}) SELECT {columns} FROM history"
            " WHERE id = (SELECT max(id) FROM history)"
        )
        assert "6件目の記録" in found_after(order, put_in)

    @pytest.mark.alike
    def test_the_history_of_another_order(self, shop: World, order: Order) -> None:
        other = authorized_order(shop, told=True)
        press(other, Operation.CAPTURE)
        problems = found_after(
            order,
            "DELETE FROM history WHERE order_id = :id",
            "UPDATE orders SET history_state = (SELECT history_state FROM orders WHERE id = :other)"
            " WHERE id = :id",
            "UPDATE history SET order_id = :id WHERE order_id = :other",
            id=order.id,
            other=other.id,
        )
        assert "1件目の記録" in problems

    def test_values_that_cannot_be(
        self, shop: World, order: Order, entry_ids: list[int], database_kind: str
    ) -> None:
        if database_kind != "sqlite":
            return  # PostgreSQL's types refuse them
        other = authorized_order(shop, told=True)
        found = found_by_all("UPDATE beginnings SET at = 'x' WHERE id = 2")
        assert "注文の受付の記録に、ありえない値が入っています" in found
        sql("UPDATE history SET detail = '{', at = 'x' WHERE id = :id", id=entry_ids[0])
        assert found_of(order) == "注文か履歴に、ありえない値が入っています"
        assert found_of(other) == ""


class TestThePresentIsExplained:
    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (
                "UPDATE orders SET payment_status = 'authorized'",
                "決済ステータスは「仮売上」ですが、最後の記録では「決済完了」です",
            ),
            (
                "UPDATE orders SET total = 1",
                "合計金額は1円ですが、最後の記録では2,000円です",
            ),
            (
                "UPDATE card_transactions SET gateway_amount = 1",
                "SMBC-GP側の金額は1円ですが、最後の記録では2,000円です",
            ),
            (
                "UPDATE orders SET processing_class = 'returned'",
                "処理区分は「返送」ですが、最後の記録では「未処理」です",
            ),
        ],
    )
    def test_an_order_changed_by_hand(self, order: Order, change: str, problem: str) -> None:
        sql(change)
        assert found() == [(order.order_no, problem)]

    @pytest.mark.alike
    def test_a_change_that_no_entry_tells(self, order: Order) -> None:
        with writing():
            history.record(
                order.id, "linked", TANAKA, before=S.NEEDS_REVIEW, after=S.CAPTURED,
                total=2000, total_before=1500, version=order.version,
            )  # fmt: skip
        problems = found_of(order)
        assert "「要確認」から始まりますが、その前の記録は「決済完了」で終わっています" in problems
        assert "合計1,500円から始まりますが、その前の記録は2,000円で終わっています" in problems

    @pytest.mark.alike
    def test_an_operation_that_no_entry_tells(self, order: Order) -> None:
        sql("INSERT INTO attempts (order_id, transaction_id, operation, state, amount,"
            " gateway_order_id, actor_kind, actor, created_at, tries, lease, looks,"
            " error_codes, reason, tran_id, decided_by)"
            " SELECT order_id, transaction_id, operation, 'done', amount, gateway_order_id,"
            " actor_kind, actor, created_at, 1, 1, 0, '', '', '', 'answer' FROM attempts"
            " WHERE id = (SELECT max(id) FROM attempts)")  # fmt: skip
        assert "実売上処理の結果が履歴にありません" in found_of(order)

    def test_an_order_without_history(self, app: Flask) -> None:
        with app.app_context():
            order = make_order()
            assert found() == [(order.order_no, "履歴がありません(削除されています)")]

    @pytest.mark.alike
    def test_another_key_explains_nothing(self, app: Flask, order: Order) -> None:
        app.config["ENCRYPTION_KEY"] = "another key" * 4
        assert "1件目の記録" in found_of(order)


def take_in(*rows: dict[str, str]) -> None:
    stream = io.BytesIO(csv_file(*rows))
    run, survey = importing.begin(importing.new_run_id(), "田中", [stream], Limits())
    assert survey is not None
    importing.carry_out(run.id, [stream], Limits(), survey)
    assert importing.find(run.id).left_out == 0


def imported(shop: World, count: int) -> list[Order]:
    """Orders from a file, their transactions linked by look-ups."""
    today = f"{utc_now().astimezone(JST):%Y/%m/%d %H:%M}"
    rows = [row(注文番号=number(n), 注文日時=today) for n in range(count)]
    for one in rows:
        shop.authorize(one["注文番号"], 2500)
    take_in(*rows)
    for transaction_id in db.session.scalars(sa.select(CardTransaction.id)).all():
        transaction_lookup.look_up(transaction_id)
    return [
        db.session.scalars(sa.select(Order).where(Order.order_no == one["注文番号"])).one()
        for one in rows
    ]


class TestAHealthyShop:
    def test_verifies_after_all_that_can_happen_to_an_order(
        self, shop: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(history_check, "_BATCH", 3)
        captured, edited, cancelled, returned, doubtful, in_console, again = imported(shop, 7)
        press(captured, Operation.CAPTURE, FollowUp.DELIVER)
        correct(edited, 2000)
        press(edited, Operation.CHANGE_AMOUNT, FollowUp.CAPTURE)
        settings.save("test", extend_auth_enabled=True)
        press(cancelled, Operation.EXTEND)
        cancel(cancelled)
        press(returned, Operation.CAPTURE)
        parcels.take_back(
            returned.id, seen(returned), TANAKA, parcels.ParcelReturn([0], jst_day(utc_now()))
        )
        parcels.waive_cancel(returned.id, seen(returned), TANAKA, "返金済み")
        parcels.change_statuses(
            returned.id, seen(returned), TANAKA, {0: DeliveryStatus.UNPROCESSED}
        )
        shop.fault("drop_after")
        press(doubtful, Operation.CAPTURE)
        look(doubtful)
        access = shop.gateway.search_trade(in_console.order_no)
        assert access is not None
        shop.gateway.change_amount(
            access.access, 1800, job=Job.AUTH
        )  # somebody at SMBC-GP's own screen
        transaction = fresh(in_console).transaction
        assert transaction is not None
        transaction_lookup.look_soon(transaction.order_id)
        transaction_lookup.look_up(transaction.id)
        assert fresh(in_console).transaction.gateway_amount == 1800  # type: ignore[union-attr]
        take_in(row(注文番号=again.order_no, 送料="700", 合計金額="2700"))
        take_in(row(注文番号=number(99), 決済方法="銀行振込"))

        verification = Verification()
        assert list(verification.problems()) == []
        assert verification.orders == 8
        assert verification.entries == db.session.scalar(
            sa.select(sa.func.count()).select_from(HistoryEntry)
        )

    @pytest.mark.alike
    def test_an_amount_found_where_the_status_has_no_say(self, shop: World) -> None:
        """A 決済待ち order whose number turns out to hold money at SMBC-GP (P5)."""
        order = make_order(
            status=S.AWAITING_BILLING,
            kind=OrderKind.SUBSCRIPTION,
            order_no=(order_no := order_number()),
            told=True,
        )
        shop.authorize(order_no, 3000)
        sql("UPDATE card_transactions SET next_look_at = :now", now=utc_now())
        transaction_lookup.look_up(db.session.scalars(sa.select(CardTransaction.id)).one())
        assert fresh(order).transaction.gateway_amount == 3000  # type: ignore[union-attr]
        assert found() == []

    def test_verifies_after_many_threads_wrote_at_once(self, app: Flask, shop: World) -> None:
        orders = [authorized_order(shop, told=True) for _ in range(16)]
        attempts = [acts.open_capture(order.id, seen(order), TANAKA) for order in orders]

        def run(attempt_id: int) -> None:
            with app.app_context():
                runner.run_operation(attempt_id)
                db.session.remove()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(run, attempts))
        assert {fresh(order).payment_status for order in orders} == {S.CAPTURED}
        assert found() == []

    def test_two_writers_on_one_order_keep_its_chain(self, app: Flask, shop: World) -> None:
        order = authorized_order(shop, told=True)

        def note(version: int) -> None:
            with app.app_context():
                with writing():
                    history.record(
                        order.id, "linked", TANAKA, before=order.payment_status,
                        after=order.payment_status, total=3000, version=version,
                    )  # fmt: skip
                db.session.remove()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(note, range(24)))
        assert found() == []


@pytest.mark.long
class TestADatabaseFromBefore:
    @pytest.fixture
    def old(
        self, request: pytest.FixtureRequest, tmp_path: Path, database_kind: str
    ) -> Iterator[Flask]:
        """A database as version 0002 left it: orders with and without entries."""
        url: dict[str, str] = {}
        if database_kind == "postgresql":
            url["DATABASE_URL"] = request.getfixturevalue("postgresql").new_database()
        app = make_app(tmp_path, **url)
        with app.app_context():
            upgrade_to("0002")
            insert(
                "orders",
                {"id": 1, "order_no": "P1", "payment_status": "captured", "total": 2000},
                {"id": 2, "order_no": "P2", "payment_status": "authorized", "total": 3000},
                {"id": 3, "order_no": "P3", "payment_status": None, "method": "銀行振込"},
            )
            insert(
                "card_transactions",
                {
                    "order_id": 1,
                    "gateway_order_id": "P1",
                    "gateway_amount": 2000,
                    "captured_amount": 2000,
                    "gateway_state": "SALES",
                },
                {"order_id": 2, "gateway_order_id": "P2", "gateway_amount": None},
            )
            insert(
                "history",
                {"order_id": 1, "event": "imported", "status_after": "needs_review"},
                # as far as it could be told then: nothing connects
                {"order_id": 1, "event": "capture_done", "status_before": "authorized",
                 "status_after": "captured", "amount_after": 1500, "request_token": "t"},
            )  # fmt: skip
            yield app
            db.session.remove()
            db.engine.dispose()

    def test_is_chained_and_explained_from_then_on(self, old: Flask, database_kind: str) -> None:
        installation.migrate()
        assert found() == []
        entries = history.entries(1)
        assert [entry.event for entry in entries] == [
            "amounts_begin",
            "chain_begins",
            "capture_done",
            "imported",
        ]
        order = db.session.get_one(Order, 2)
        parcels_of(order)
        correct(order, 2500)
        assert found() == []
        with pytest.raises(DBAPIError, match="append-only"):
            sql("DELETE FROM history")

    @pytest.mark.alike
    def test_its_orders_and_amounts_are_in_the_chains_too(self, old: Flask) -> None:
        installation.migrate()
        changed = "UPDATE card_transactions SET captured_amount = 1 WHERE order_id = 1"
        assert "P1: 売上金額は1円ですが、最後の記録では2,000円です" in found_by_all(changed)
        gone = "DELETE FROM orders WHERE order_no = 'P3'"
        history_of = "DELETE FROM history WHERE order_id = 3"
        unguard = (
            "DROP TRIGGER history_no_delete"
            if db.engine.dialect.name == "sqlite"
            else "ALTER TABLE history DISABLE TRIGGER USER"
        )
        assert "P3: 注文がデータベースから削除されています" in found_by_all(
            unguard, history_of, gone
        )

    def test_its_entries_are_guarded_too(self, old: Flask, database_kind: str) -> None:
        installation.migrate()
        if database_kind == "sqlite":
            sql("DROP TRIGGER history_no_update")
        else:
            sql("ALTER TABLE history DISABLE TRIGGER USER")
        order = db.session.get_one(Order, 1)
        for place, entry in enumerate(reversed(history.entries(1)), start=1):
            altered = "UPDATE history SET amount_after = 5 WHERE id = :id"
            assert f"{place}件目の記録" in found_after(order, altered, id=entry.id)


def parcels_of(order: Order) -> None:
    """What 注文内容修正 needs besides the order itself."""
    insert("deliveries", {"order_id": order.id, "number": 0})
    insert(
        "order_lines",
        {"order_id": order.id, "position": 1, "unit_price": 3000, "quantity": 1, "tax_rate": 8},
    )


def test_an_order_with_a_number_of_another_program_begins_like_any(app: Flask) -> None:
    with app.app_context():
        make_order(order_no="x" * 27, told=True)
        assert found() == []
