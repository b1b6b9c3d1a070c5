"""A backup of an hour ago: nothing is captured twice, and all ends as SMBC-GP has it (P36)."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from sgpshop.domain.errors import EnvironmentUnusable, ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import SalesMode
from sgpshop.extensions import db
from sgpshop.gateway import Job
from sgpshop.models import (
    Alert,
    Billing,
    LoginSession,
    Operation,
    Order,
    OrderKind,
    Role,
    utc_now,
)
from sgpshop.services import installation, intake, journals
from sgpshop.services.installation import backups
from sgpshop.services.intake.new_order import CardSource, OnDecline
from sgpshop.services.orders import parcels
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.orders.parcels import ParcelReturn
from sgpshop.services.payments import acts, cancelling, gateway_access, transaction_lookup
from sgpshop.services.reconciliation import daily, ledgers
from sgpshop.services.subscriptions import billing
from sgpshop.services.subscriptions.billing import planning, preparing
from sgpshop.storage import backup, schema
from sgpshop.storage.backup import NotABackup, NotEmpty
from sgpshop.storage.database import fold_back, writing
from sgpshop.worker.engine import Worker
from tests import own_worker
from tests.conftest import KEYS, make_app
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import TANAKA, cancel, correct, press, run_act, seen
from tests.services.arriving import SHOP_FRONT, new_order, open_shop, subscription
from tests.services.importing import take_in
from tests.services.order_csv import row
from tests.services.payments.test_refund_difference import access
from tests.services.subscribing import jst
from tests.services.subscriptions.test_lines_of_lost_books import file_of_lost_books
from tests.signing_in import signed_in
from tests.waiting import wait_until, watched_background, working

pytestmark = pytest.mark.long

S = PaymentStatus
RIGHT = "ein langer Satz, den niemand errät"


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0, "BACKUP_PASSPHRASE": RIGHT}


@pytest.fixture
def taken(app: Flask, shop: World, tmp_path: Path) -> Iterator[Path]:
    """Where the backup is to be written; the shop is open."""
    open_shop()
    with watched_background(app):
        yield tmp_path / "shop.backup"


@pytest.fixture
def elsewhere(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database_kind: str,
    overrides: dict[str, Any],
    world: World,
) -> Iterator[Flask]:
    """An empty instance with the same keys, at the same SMBC-GP."""
    url: dict[str, str] = {}
    if database_kind == "postgresql":
        url["DATABASE_URL"] = request.getfixturevalue("postgresql").new_database()
    app = make_app(tmp_path / "elsewhere", **url, **overrides)
    gateway_access.init_app(app, world.gateway)
    yield app
    own_worker.of(app).close()
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def restore(path: Path) -> int | None:
    return backups.restore(path, backup.read_about(path))


def work(app: Flask) -> None:
    """Let a worker do all that is due."""
    Worker(app).run(until_idle=True)
    db.session.rollback()


def differences() -> list[str]:
    return [
        found.as_line()
        for found in ledgers.compare()
        if found.verdict is not ledgers.Verdict.AGREES
    ]


def problems() -> list[str]:
    return [problem.what for problem in Verification().problems()]


def by_number(order_no: str) -> Order:
    db.session.rollback()
    return db.session.scalars(sa.select(Order).filter_by(order_no=order_no)).one()


class TestAnHourLater:
    @pytest.fixture
    def numbers(self, shop: World, taken: Path) -> dict[str, str]:
        """Orders at the time of the backup, by what became of each since."""
        names = ("captured", "cancelled", "changed", "refunded", "asked for", "left alone")
        orders = {name: authorized_order(shop, told=True) for name in names}
        attempt_id = acts.open_attempt(
            orders["asked for"].id, acts.CAPTURE, seen(orders["asked for"]), TANAKA
        )
        backups.take(taken)
        run_act(attempt_id)
        press(orders["captured"], Operation.CAPTURE)
        cancel(orders["cancelled"])
        correct(orders["changed"], 3500)
        press(orders["changed"], Operation.CHANGE_AMOUNT)
        press(orders["refunded"], Operation.CAPTURE)
        cancel(orders["refunded"])
        return {name: order.order_no for name, order in orders.items()}

    @pytest.mark.postgresql
    def test_all_ends_as_smbc_gp_has_it(
        self, shop: World, taken: Path, numbers: dict[str, str], elsewhere: Flask
    ) -> None:
        with elsewhere.app_context():
            assert restore(taken) == len(numbers)
            assert {row.payment_status for row in db.session.scalars(sa.select(Order))} == {
                S.AUTHORIZED
            }
            work(elsewhere)
            assert {name: by_number(number).payment_status for name, number in numbers.items()} == {
                "captured": S.CAPTURED,
                "cancelled": S.CANCELLED,
                "changed": S.AUTHORIZED,
                "refunded": S.CANCELLED,
                "asked for": S.CAPTURED,
                "left alone": S.AUTHORIZED,
            }  # fmt: skip
            assert differences() == []
            assert problems() == []
        assert [shop.sales(number) for number in numbers.values()] == [1, 0, 0, 1, 1, 0]

    @pytest.mark.parametrize("name", ["captured", "cancelled", "changed", "left alone"])
    def test_who_presses_before_the_look_up_sends_nothing_unseen(
        self, shop: World, taken: Path, numbers: dict[str, str], elsewhere: Flask, name: str
    ) -> None:
        number = numbers[name]
        before = len(shop.requests(number))
        with elsewhere.app_context():
            restore(taken)
            looks = len(shop.requests(number, "SearchTrade"))
            press(by_number(number), Operation.CAPTURE)
            assert len(shop.requests(number, "SearchTrade")) == looks + 1
            is_free = name == "left alone"
            assert len(shop.requests(number)) - before == is_free
            work(elsewhere)
            assert differences() == []

    def test_once_it_was_seen_a_capture_needs_no_further_look(
        self, shop: World, taken: Path, numbers: dict[str, str], elsewhere: Flask
    ) -> None:
        number = numbers["left alone"]
        with elsewhere.app_context():
            restore(taken)
            work(elsewhere)
            looks = len(shop.requests(number, "SearchTrade"))
            assert press(by_number(number), Operation.CAPTURE).payment_status is S.CAPTURED
            assert len(shop.requests(number, "SearchTrade")) == looks

    def test_a_restore_killed_before_its_end_is_finished_by_the_next_start(
        self,
        taken: Path,
        numbers: dict[str, str],
        elsewhere: Flask,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with elsewhere.app_context():
            finish = backups.finish_restore
            monkeypatch.setattr(backups, "finish_restore", _die)
            with pytest.raises(KeyboardInterrupt):
                restore(taken)
            monkeypatch.setattr(backups, "finish_restore", finish)
            installation.require_ours()
            work(elsewhere)
            assert differences() == []


def _die() -> None:
    raise KeyboardInterrupt


class TestTakenInSince:
    """The order is not in the backup, its hold is at SMBC-GP, and somebody hands it in again."""

    @pytest.mark.parametrize("on_decline", list(OnDecline))
    @pytest.mark.parametrize("mode", list(SalesMode))
    def test_by_the_api_it_is_taken_over_with_its_money(
        self, shop: World, taken: Path, elsewhere: Flask, mode: SalesMode, on_decline: OnDecline
    ) -> None:
        open_shop(sales_mode=mode.value)
        backups.take(taken)
        new = new_order(shop, on_decline=on_decline)
        intake.place(new, SHOP_FRONT)
        first = by_number(new.order_no).payment_status
        with elsewhere.app_context(), watched_background(elsewhere):
            restore(taken)
            assert intake.place(new, SHOP_FRONT).is_new
            assert by_number(new.order_no).payment_status is first
            assert differences() == []
            assert problems() == []
        assert [trade["order_id"] for trade in shop.ledger()] == [new.order_no]

    def test_of_a_preorder_the_buyer_gives_the_card_again(
        self, shop: World, taken: Path, elsewhere: Flask
    ) -> None:
        """A card check holds nothing, and which card it was nobody can say any more."""
        backups.take(taken)
        new = new_order(shop, kind=OrderKind.PREORDER, on_decline=OnDecline.REFUSE)
        intake.place(new, SHOP_FRONT)
        with elsewhere.app_context(), watched_background(elsewhere):
            restore(taken)
            elsewhere.config["CHECKOUT_WAIT"] = 0.1
            intake.place(new, SHOP_FRONT)
            work(elsewhere)
            assert by_number(new.order_no).payment_status is S.NEEDS_REVIEW
            elsewhere.config["CHECKOUT_WAIT"] = 10.0
            intake.place(replace(new, payment=CardSource(token=shop.token())), SHOP_FRONT)
            assert by_number(new.order_no).payment_status is S.AUTHORIZED
            assert differences() == []

    def test_by_a_file_it_is_looked_up_and_linked(
        self, shop: World, taken: Path, elsewhere: Flask
    ) -> None:
        backups.take(taken)
        new = new_order(shop)
        intake.place(new, SHOP_FRONT)
        with elsewhere.app_context():
            restore(taken)
            take_in(row(注文番号=new.order_no))
            work(elsewhere)
            assert by_number(new.order_no).payment_status is S.AUTHORIZED
            assert press(by_number(new.order_no), Operation.CAPTURE).payment_status is S.CAPTURED
            assert differences() == []


def delivered(shop: World) -> str:
    """The number of a 定期 that is to be billed with the next registration."""
    billing.resume()
    order = by_number(intake.place(subscription(shop), SHOP_FRONT).order_no)
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    return order.order_no


class TestWhileTheMonthIsRegistered:
    @pytest.mark.parametrize("is_sent", [False, True])
    def test_what_goes_by_file_is_charged_by_no_call(
        self, shop: World, taken: Path, elsewhere: Flask, is_sent: bool
    ) -> None:  # P29
        with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as clock:
            number = delivered(shop)
            clock.move_to(jst(2026, 12, 10, 6, 5))
            planning.plan(date(2026, 11, 1))
            if is_sent:
                shop.fault("drop_before", "Batch")
                billing.resume()
            backups.take(taken)
            with elsewhere.app_context(), watched_background(elsewhere):
                restore(taken)
                # Later also a file of which nobody knows whether it arrived.
                for minute in (6, 8, 20, 22):
                    clock.move_to(jst(2026, 12, 10, 6, minute))
                    work(elsewhere)
                    assert by_number(number).payment_status is not S.NEEDS_REVIEW
                assert by_number(number).payment_status is S.BILLING_REPORTED
                assert shop.trade(f"{number}-1")["status"] == "UNPROCESSED"  # until the 18th
                assert db.session.scalars(sa.select(Billing.file_id)).one() is not None
                assert not db.session.scalars(sa.select(Alert)).all()

    def test_a_cancel_done_again_before_the_worker_starts_comes_before_the_charge(
        self, shop: World, taken: Path, elsewhere: Flask
    ) -> None:  # P36: it left no trace at SMBC-GP
        with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as clock:
            number = delivered(shop)
            backups.take(taken)
            clock.move_to(jst(2026, 12, 10, 6, 5))
            with elsewhere.app_context(), watched_background(elsewhere):
                restore(taken)
                order = by_number(number)
                back = ParcelReturn([0], date(2026, 12, 9), reason="のし違い")
                parcels.take_back(order.id, seen(order), TANAKA, back)
                order = by_number(number)
                wanted = cancelling.operation_request(
                    number, restock=False, return_points=False, refund_confirmed=False
                )
                acts.open_attempt(order.id, wanted, seen(order), TANAKA)
                work(elsewhere)
                clock.move_to(jst(2026, 12, 10, 6, 20))
                work(elsewhere)
                assert fresh(order).payment_status is S.CANCELLED
                assert f"{number}-1" not in {trade["order_id"] for trade in shop.ledger()}

    def test_a_later_file_that_was_lost_does_not_show_that_the_one_in_doubt_got_there(
        self, shop: World, taken: Path, elsewhere: Flask
    ) -> None:  # P1
        with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as clock:
            billing.resume()
            paid, other = (
                by_number(intake.place(subscription(shop), SHOP_FRONT).order_no) for _ in range(2)
            )
            for order in (paid, other):
                parcels.deliver(order.id, seen(order), TANAKA, [0])
            numbers = [order.order_no for order in (paid, other)]
            clock.move_to(jst(2026, 12, 10, 6, 5))
            shop.fault("drop_before", "Batch")
            billing.resume()
            backups.take(taken)
            with shop.elsewhere():  # told of it, the lost books made the next file without it
                shop.gateway.authorize(f"{numbers[0]}-2", 2500, GOOD_CARD, job=Job.CAPTURE)
                file_of_lost_books(shop, other)
            with elsewhere.app_context(), watched_background(elsewhere):
                restore(taken)
                for minute in (8, 20):
                    clock.move_to(jst(2026, 12, 10, 6, minute))
                    work(elsewhere)
                assert f"{numbers[0]}-1" not in {trade["order_id"] for trade in shop.ledger()}
                states = [by_number(number).payment_status for number in numbers]
                assert states == [S.AWAITING_BILLING, S.BILLING_REPORTED]
                [told] = db.session.scalars(sa.select(Alert.kind))
                assert told is AlertKind.UNKNOWN_NUMBER

    def test_what_was_asked_before_says_nothing_of_what_was_lost(
        self, shop: World, taken: Path, elsewhere: Flask
    ) -> None:  # P1
        with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as clock:
            number = delivered(shop)
            clock.move_to(jst(2026, 12, 10, 6, 5))
            planning.plan(date(2026, 11, 1))
            assert preparing.prepare(shop.gateway)
            backups.take(taken)
            with shop.elsewhere():  # and we were notified of it
                shop.gateway.authorize(f"{number}-2", 2500, GOOD_CARD, job=Job.CAPTURE)
            with elsewhere.app_context(), watched_background(elsewhere):
                restore(taken)
                work(elsewhere)
                assert [trade["order_id"] for trade in shop.ledger()] == [number, f"{number}-2"]
                [told] = db.session.scalars(sa.select(Alert.kind))
                assert told is AlertKind.UNKNOWN_NUMBER


class TestBooksOfDaysThatWereLost:
    """The week of the lost days is in the shop's accounting program already: no file tells it again."""

    LOST = (date(2026, 11, 16), date(2026, 11, 22))
    NEXT = (date(2026, 11, 23), date(2026, 11, 29))

    def test_what_moved_then_is_in_the_file_of_its_own_day(
        self, shop: World, taken: Path, elsewhere: Flask
    ) -> None:
        def go_to(day: int) -> None:
            moment = jst(2026, 11, day, 12)
            clock.move_to(moment)
            shop.set_clock(moment)

        with time_machine.travel(jst(2026, 11, 19, 12), tick=False) as clock:
            go_to(19)
            sold, looked_up = (authorized_order(shop, told=True).order_no for _ in range(2))
            backups.take(taken)
            go_to(20)
            new = new_order(shop)
            intake.place(new, SHOP_FRONT)
            press(by_number(sold), Operation.CAPTURE)
            press(by_number(new.order_no), Operation.CAPTURE)
            go_to(24)
            told = told_of(self.LOST)
            assert len(told) == 2
            with elsewhere.app_context(), watched_background(elsewhere):
                restore(taken)
                work(elsewhere)
                take_in(row(注文番号=new.order_no))  # which came since, and is handed in again
                work(elsewhere)
                assert told_of(self.LOST) == told
                # What is done from now on, and found out late, is told as ever.
                go_to(25)
                shop.gateway.capture(access(shop, by_number(looked_up)), 3000)
                go_to(28)
                transaction_lookup.look_soon(by_number(looked_up).id)
                work(elsewhere)
                assert told_of(self.NEXT) == [(looked_up, date(2026, 11, 25), 3000, False)]
                assert told_of((date(2026, 11, 27), date(2026, 11, 29)))[0][0] == looked_up
                assert differences() == []


def told_of(period: tuple[date, date]) -> list[tuple[str, date, int, bool]]:
    """What a file of that period tells."""
    found = journals.movements(*period)
    return sorted((one.order_no, one.day, one.amount, one.is_late) for one in found)


class TestTheFile:
    @pytest.mark.postgresql
    def test_nobody_is_signed_in_any_more(self, app: Flask, taken: Path, elsewhere: Flask) -> None:
        signed_in(app, Role.OWNER)
        backups.take(taken)
        assert db.session.scalars(sa.select(LoginSession)).all()
        with elsewhere.app_context():
            restore(taken)
            assert not db.session.scalars(sa.select(LoginSession)).all()

    @pytest.mark.postgresql
    def test_what_is_there_is_never_written_over(self, taken: Path) -> None:
        make_order()
        backups.take(taken)
        make_order()
        with pytest.raises(NotEmpty):
            restore(taken)
        assert db.session.scalar(sa.select(sa.func.count(Order.id))) == 2

    def test_it_is_taken_while_others_write(
        self, app: Flask, taken: Path, elsewhere: Flask
    ) -> None:
        make_order()
        with writing() as session:
            session.execute(sa.update(Order).values(note="not committed"))
            with app.app_context():
                backup.write(taken, about(), {}, "")
        with elsewhere.app_context():
            restore(taken)
            assert db.session.scalars(sa.select(Order.note)).all() == [""]

    def test_its_owner_alone_reads_it_and_it_holds_no_key_in_the_clear(
        self, app: Flask, taken: Path
    ) -> None:
        backups.take(taken)
        assert taken.stat().st_mode & 0o777 == 0o600
        with zipfile.ZipFile(taken) as archive:
            everything = b"".join(archive.read(name) for name in archive.namelist())
        for key in KEYS.values():
            assert key.encode() not in everything
        assert backup.read_keys(taken, RIGHT) == KEYS
        with pytest.raises(EnvironmentUnusable, match="BACKUP_PASSPHRASE"):
            backup.read_keys(taken, RIGHT[:-1])
        app.config["BACKUP_PASSPHRASE"] = ""
        assert not backups.take(taken).has_keys

    def test_a_damaged_one_leaves_the_instance_empty(self, taken: Path, elsewhere: Flask) -> None:
        backups.take(taken)
        content = bytearray(taken.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 64] = bytes(64)
        taken.write_bytes(content)
        with elsewhere.app_context():
            with pytest.raises(NotABackup):
                restore(taken)
            assert sa.inspect(db.engine).get_table_names() == []
        taken.write_text("something else")
        with pytest.raises(NotABackup):
            backup.read_about(taken)

    @pytest.mark.parametrize("what", ["packing", "kind of packing", "lock"])
    def test_however_it_is_damaged_that_is_said(
        self, taken: Path, elsewhere: Flask, what: str
    ) -> None:
        """Each breaks the library off in another way: not with a trace of it."""
        backups.take(taken)
        with zipfile.ZipFile(taken) as archive:
            about = archive.getinfo("database")
        content = bytearray(taken.read_bytes())
        listed = content.rindex(b"PK\x01\x02")  # the last of the list at the end
        name = len("database")
        match what:
            case "packing":
                content[about.header_offset + 30 + name] = 0xFF
            case "kind of packing":
                content[listed + 10] = 99
            case "lock":
                content[listed + 8] |= 1
        taken.write_bytes(content)
        with elsewhere.app_context():
            with pytest.raises(NotABackup):
                restore(taken)
            assert sa.inspect(db.engine).get_table_names() == []

    def test_a_disk_without_room_leaves_the_last_one_as_it_is(
        self, taken: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backups.take(taken)
        before = taken.read_bytes()

        def full(_number: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(backup.os, "fsync", full)
        with pytest.raises(ShopError, match="No space left"):
            backups.take(taken)
        assert taken.read_bytes() == before
        assert [file.name for file in taken.parent.glob(".*")] == []

    @pytest.mark.postgresql
    def test_cut_off_before_its_end_it_says_what_to_do(
        self, app: Flask, taken: Path, elsewhere: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """PostgreSQL's restore is two transactions; nothing starts between them."""
        if db.engine.dialect.name != "postgresql":
            return
        backups.take(taken)
        with elsewhere.app_context():
            insert = sa.insert
            monkeypatch.setattr(backup.sa, "insert", lambda _table: _die())
            with pytest.raises(KeyboardInterrupt):
                restore(taken)
            monkeypatch.setattr(backup.sa, "insert", insert)
            for start in (schema.require_current, installation.migrate):
                with pytest.raises(schema.HalfRestored):
                    start()


def about() -> backup.About:
    return backup.About(
        version=schema.wanted(),
        database=db.engine.dialect.name,
        taken_at=utc_now(),
        key_fingerprint="",
        has_keys=False,
    )


class TestEveryDay:
    @pytest.fixture
    def folder(self, app: Flask, tmp_path: Path) -> Path:
        folder = tmp_path / "daily"
        folder.mkdir()
        app.config.update(BACKUP_FOLDER=str(folder), BACKUP_HOUR=2, BACKUP_KEEP=3)
        return folder

    @pytest.mark.postgresql
    def test_one_is_taken_by_one_worker_and_the_oldest_go(
        self, app: Flask, shop: World, folder: Path
    ) -> None:
        (folder / "somebody else's").touch()
        for day in range(1, 6):
            for hour in (2, 3, 20):
                with time_machine.travel(jst(2026, 12, day, hour, 5), tick=False):
                    assert daily.is_backup_due() is (hour == 2)
                    daily.back_up()
                    daily.back_up()
        assert sorted(file.name for file in folder.iterdir()) == [
            "sgpshop-20261203-020500.backup",
            "sgpshop-20261204-020500.backup",
            "sgpshop-20261205-020500.backup",
            "somebody else's",
        ]

    def test_the_newest_stays_whatever_a_wrong_clock_called_others(
        self, app: Flask, shop: World, folder: Path
    ) -> None:
        app.config["BACKUP_KEEP"] = 1
        for year in (2099, 2026):
            with time_machine.travel(jst(year, 12, 1, 2, 5), tick=False):
                daily.back_up()
        assert (folder / "sgpshop-20261201-020500.backup").exists()

    def test_one_that_broke_off_is_tried_again_after_an_hour(
        self, shop: World, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder.rmdir()
        with time_machine.travel(jst(2026, 12, 1, 2, 5), tick=False) as clock:
            daily.back_up()
            assert "backup_failed" in capsys.readouterr().out
            assert not daily.is_backup_due()
            folder.mkdir()
            clock.shift(3600)
            daily.back_up()
        assert len(list(folder.iterdir())) == 1
        found = backups.last()
        assert found is not None
        assert found[0] == jst(2026, 12, 1, 3, 5)

    def test_the_worker_takes_it(self, app: Flask, shop: World, folder: Path) -> None:
        with time_machine.travel(jst(2026, 12, 1, 2, 5), tick=True), working(app):
            wait_until(lambda: list(folder.glob("sgpshop-*.backup")))

    def test_without_a_folder_there_is_none(self, shop: World) -> None:
        assert not daily.is_backup_due()


def test_a_copy_of_the_file_alone_is_whole_after_the_log_was_folded_back(
    app: Flask, shop: World, tmp_path: Path
) -> None:
    if db.engine.dialect.name != "sqlite":
        return
    make_order()
    fold_back()
    shutil.copy(tmp_path / "sgpshop.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM orders").fetchone() == (1,)
