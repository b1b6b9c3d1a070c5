"""From any version that ever landed, with whatever was under way, on both databases (P36)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.order_number import at_gateway
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    AttemptState,
    InstallationFact,
    MoneyMovement,
    Operation,
    Order,
    utc_now,
)
from sgpshop.services import installation
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import acts, gateway_access, runner
from sgpshop.storage import schema
from sgpshop.storage.database import writing
from sgpshop.web.frame import right_database, security
from sgpshop.worker.engine import Worker
from tests.conftest import make_app
from tests.factories import authorized_order
from tests.gateway_world import World
from tests.old_database import insert, upgrade_to
from tests.seeds import some
from tests.services.acting import TANAKA, last_attempt, seen

pytestmark = pytest.mark.long

#: Written by migrations and by the program alone, chained or sealed: a row of ours would spoil them.
#: What triggers and CHECKs want of the rest.
_SENSIBLE = {"quantity": 1, "tax_rate": 8, "content": b"x"}
_KEYS: dict[type, Any] = {int: 1, bool: False, date: utc_now().date(), datetime: utc_now()}
_OF_FTS5 = "order_grams"
_NOT_OURS = {
    *("alembic_version", "installation", "history"),
    *("beginnings", "beginnings_end", "activities", "activities_end"),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bare(request: pytest.FixtureRequest, tmp_path: Path, database_kind: str) -> Iterator[Flask]:
    """An app, inside its context, whose database has no table yet."""
    url: dict[str, str] = {}
    if database_kind == "postgresql":
        url["DATABASE_URL"] = request.getfixturevalue("postgresql").new_database()
    app = make_app(tmp_path, **url)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def told_order() -> None:
    """An order of the first version, with what its history says."""
    insert("orders", {"id": 1, "order_no": "P1", "payment_status": "captured", "total": 2000})
    trade = {"gateway_order_id": "P1", "gateway_amount": 2000, "captured_amount": 2000}
    insert("card_transactions", {"id": 1, "order_id": 1, "gateway_state": "SALES"} | trade)
    happened = {"event": "imported", "status_after": "captured", "amount_after": 2000}
    insert("history", {"order_id": 1} | happened)


def fill() -> set[str]:
    """A row in every table that has none, whatever it is: attempts, runs, slips, files, imports."""
    meta = sa.MetaData()
    meta.reflect(db.engine)
    inspector = sa.inspect(db.engine)
    filled = set()
    for table in meta.sorted_tables:
        if (
            table.name in _NOT_OURS
            or table.name.startswith("order_grams")
            or db.session.scalar(sa.select(sa.func.count()).select_from(table))
        ):
            continue
        db.session.rollback()
        sensible = {name: value for name, value in _SENSIBLE.items() if name in table.columns}
        insert(table, keys_of(table) | words_of(inspector, table.name) | sensible)
        filled.add(table.name)
    db.session.rollback()
    return filled


def words_of(inspector: sa.Inspector, table: str) -> dict[str, Any]:
    """For each column that takes certain words alone one of them."""
    found = {}
    for check in inspector.get_check_constraints(table):
        text = check["sqltext"]
        if words := re.findall(r"'(\w+)'", text):
            # What was captured is not captured again, say triggers; it can be cancelled.
            found[re.findall(r"\w+", text)[0]] = "cancel" if "cancel" in words else words[0]
    return found


def keys_of(table: sa.Table) -> dict[str, Any]:
    """Its own key, and that of the first row of each table that it points to."""
    values: dict[str, Any] = {}
    for column in table.columns:
        if column.foreign_keys:
            [points_to] = [key.column for key in column.foreign_keys]
            values[column.name] = db.session.scalar(sa.select(sa.func.min(points_to)))
        elif column.primary_key:
            values[column.name] = _KEYS.get(column.type.python_type, "one")
    db.session.rollback()
    return values


def counts() -> dict[str, int]:
    """How many rows each table has."""
    found = {
        name: db.session.scalar(sa.select(sa.func.count()).select_from(sa.table(name))) or 0
        for name in sa.inspect(db.engine).get_table_names()
        if not name.startswith(_OF_FTS5)
    }
    db.session.rollback()
    return found


@pytest.mark.postgresql
@pytest.mark.parametrize("version", some(schema.known()[:-1], every=16, newest=2))
def test_an_upgrade_keeps_every_row(bare: Flask, version: str) -> None:
    upgrade_to(version, told_order)
    assert {"attempts", "bulk_items", "import_runs"} <= fill()
    before = counts()
    with writing() as session:  # whoever sent that was killed long ago
        session.execute(sa.text("UPDATE attempts SET due_at = NULL"))
        session.execute(sa.text("DELETE FROM worker_beats"))
        before.pop("worker_beats")
    told = before.pop("setting_changes", 0)  # they become entries of 操作の記録
    # By the worker; on PostgreSQL an order that changed twice is due twice until then.
    for made_anew in ("order_texts", "order_grams", "order_texts_due"):
        before.pop(made_anew, None)
    assert installation.migrate() == (version, schema.wanted())
    after = counts()
    assert after["activities"] >= told
    assert {name: after[name] for name in before if after[name] < before[name]} == {}
    assert [problem.what for problem in Verification().problems()] == []


@pytest.mark.postgresql
def test_killed_in_the_middle_nothing_was_changed_and_it_can_be_repeated(bare: Flask) -> None:
    upgrade_to("0005", told_order)
    before = counts()

    def die(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "claimed_status" in statement:
            raise KeyboardInterrupt

    sa.event.listen(db.engine, "before_cursor_execute", die)
    with pytest.raises(KeyboardInterrupt):
        installation.migrate()
    sa.event.remove(db.engine, "before_cursor_execute", die)
    assert counts() == before
    assert installation.migrate() == ("0005", schema.wanted())


class TestSomebodyIsAtWork:
    @pytest.fixture(autouse=True)
    def _old(self, bare: Flask) -> None:
        upgrade_to("0005")

    @pytest.mark.postgresql
    def test_a_worker_that_goes_on_giving_signs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        insert("worker_beats", {"worker": "shop-1"})

        def beats(_seconds: float) -> None:
            with writing() as session:
                now = {"now": utc_now().replace(tzinfo=None)}
                session.execute(sa.text("UPDATE worker_beats SET at = :now"), now)

        monkeypatch.setattr("time.sleep", beats)
        with pytest.raises(installation.AtWork, match="shop-1"):
            installation.migrate()
        assert schema.is_behind()

    @pytest.mark.postgresql
    def test_a_worker_that_was_killed_a_moment_ago_is_nobody(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        insert("worker_beats", {"worker": "shop-1"})
        waited: list[float] = []
        monkeypatch.setattr("time.sleep", waited.append)
        installation.migrate()
        assert sum(waited) > 30  # longer than two signs

    @pytest.mark.postgresql
    def test_a_call_that_is_being_made(self) -> None:
        insert("orders", {"id": 1, "order_no": "P1", "payment_status": "authorized"})
        insert("card_transactions", {"id": 1, "order_id": 1, "gateway_order_id": "P1"})
        due = utc_now() + timedelta(seconds=60)
        insert(
            "attempts",
            {"order_id": 1, "transaction_id": 1, "operation": "capture", "state": "sending"}
            | {"due_at": due, "choices": {}},
        )
        with pytest.raises(installation.AtWork, match="決済の処理中"):
            installation.migrate()


def age_of_answers(app: Flask) -> None:
    """What was found out about the version is a while ago."""
    app.extensions[schema._ASKED_AT] -= 60


class TestMigratedUnderARunningProcess:
    """An old program must not go on with the database of a new one."""

    @pytest.fixture
    def newer(self, app: Flask, world: World) -> Iterator[None]:
        gateway_access.init_app(app, world.gateway)
        with app.app_context():
            yield
            db.session.remove()

    @pytest.fixture
    def world(self) -> World:
        return World()

    def renew(self) -> None:
        with writing() as session:
            session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    @pytest.mark.postgresql
    @pytest.mark.usefixtures("newer")
    def test_no_money_moves_any_more(self, app: Flask, world: World) -> None:
        order = authorized_order(world)
        attempt_id = acts.open_attempt(order.id, acts.CAPTURE, seen(order), TANAKA)
        self.renew()
        with pytest.raises(schema.NewerSchema):
            runner.run_operation(attempt_id)
        with writing() as session:
            session.execute(sa.update(Attempt).values(due_at=utc_now()))
        with pytest.raises(schema.NewerSchema):
            Worker(app).run()
        assert last_attempt(order).state is AttemptState.QUEUED
        assert last_attempt(order).operation is Operation.CAPTURE
        assert world.sales(order.order_no) == 0

    @pytest.mark.postgresql
    @pytest.mark.usefixtures("newer")
    def test_every_page_and_readyz_say_so(self, app: Flask) -> None:
        client = app.test_client()
        assert client.get("/login").status_code == 200
        self.renew()
        age_of_answers(app)
        for path in ("/login", "/readyz", "/api/v1/orders"):
            assert client.get(path).status_code == 503
        assert "システムを更新しています" in client.get("/login").text
        assert client.get("/healthz").status_code == 200

    @pytest.mark.postgresql
    @pytest.mark.usefixtures("newer")
    def test_within_the_second_pages_are_shown_and_nothing_is_written(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(right_database, "_READERS_ASK_EVERY", 3600.0)
        client = app.test_client()
        app.add_url_rule("/writes", "writes", security.public(self.write))
        assert client.get("/login").status_code == 200
        self.renew()
        assert client.get("/login").status_code == 200
        assert client.get("/writes").status_code == 503
        assert db.session.get(InstallationFact, "written") is None
        assert client.get("/readyz").status_code == 503
        assert client.post("/login", data={"name": "x"}).status_code == 503

    @pytest.mark.postgresql
    @pytest.mark.usefixtures("newer")
    def test_a_page_that_meets_altered_tables_within_the_second_says_so(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(right_database, "_READERS_ASK_EVERY", 3600.0)
        app.add_url_rule("/reads", "reads", security.public(self.read))
        client = app.test_client()
        assert client.get("/reads").text == "old"
        with writing() as session:
            session.execute(sa.text("ALTER TABLE installation RENAME COLUMN value TO said"))
        self.renew()
        answer = client.get("/reads")
        assert answer.status_code == 503
        assert "システムを更新しています" in answer.text

    @staticmethod
    def read() -> str:
        return "old" if db.session.scalars(sa.select(InstallationFact.value)).all() else "none"

    @staticmethod
    def write() -> str:
        with writing() as session:
            session.add(InstallationFact(name="written", value="1"))
        return ""


@pytest.mark.postgresql
def test_what_the_books_had_is_kept_as_it_was(bare: Flask) -> None:
    """Sold and sold again under another number; a sale given back; one paid back by a person (R146)."""
    upgrade_to("0038")
    at, later = utc_now().replace(month=1, day=5, hour=3), utc_now().replace(month=1, day=9, hour=3)
    told = {"processed_at": later.isoformat()}
    for order, by_hand in ((1, None), (2, None), (3, date(2026, 1, 7))):
        name = {"id": order, "order_no": f"P{order}", "refunded_on": by_hand, "total": 2000}
        name |= {"tax_rounding": "up", "prices_include_tax": True}
        name["kind"] = "subscription" if order == 3 else "normal"
        name["processing_class"] = "delivered" if order == 1 else "unprocessed"
        insert("orders", name | {"payment_status": "captured"})
        gone = datetime(at.year - 1, 12, 31, 3, tzinfo=UTC)
        insert("deliveries", {"order_id": order, "status": "delivered", "delivered_at": gone})
        if order == 1:
            tea = {"order_id": 1, "position": 1, "unit_price": 540, "quantity": 2, "tax_rate": 8}
            insert("order_lines", tea)
        sale = {"order_id": order, "captured_at": at, "captured_amount": 2000}
        state = "RETURN" if order == 2 else "SALES"
        insert(
            "card_transactions", sale | {"gateway_order_id": f"P{order}", "gateway_state": state}
        )
        said = {"order_id": order, "event": "capture_done", "captured_amount": 2000}
        insert("history", said | {"at": at})
    insert("history", said | {"order_id": 2, "at": at, "detail": told, "refunded_amount": 2000})
    other = {"gateway_order_id": "P1-1", "sequence": 1, "is_current": False, "order_id": 1}
    insert("card_transactions", sale | other | {"gateway_state": "CAPTURE"})
    upgrade_to(schema.wanted())
    moved = db.session.scalars(sa.select(MoneyMovement)).all()
    assert sorted(
        (one.order_id, one.day.day, one.kept_after - one.kept_before, one.is_by_hand)
        for one in moved
    ) == [
        (1, 5, 2000, False),
        (1, 5, 2000, False),
        (2, 5, 2000, False),
        (2, 9, -2000, False),
        (3, 5, 2000, False),
        (3, 7, -2000, True),
    ]
    assert all(one.booked_on == one.day for one in moved)
    # Tea for 1,080 at 8 % and the rest at 10 %; tax rounded up.
    assert {
        (one.order_id, one.is_refund, one.is_subscription, one.at_8, one.tax_8, one.tax_10)
        for one in moved
    } == {
        (1, False, False, 1080, 80, 84),
        (2, False, False, 0, 0, 182),
        (2, True, False, 0, 0, -182),
        (3, False, True, 0, 0, 182),
        (3, True, True, 0, 0, -182),
    }
    assert {(one.order_id, one.owed_since) for one in moved} == {
        (1, date(at.year - 1, 12, 31)),
        (2, None),
        (3, None),
    }
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), writing() as session:
        session.execute(sa.text("UPDATE money_movements SET at_8 = 0"))


def test_long_orders_of_before_are_known_by_their_shortened_number(bare: Flask) -> None:  # R141
    numbers = [
        "2026-1128-0000-0000-0000-12",
        "#ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "#1001",
        "P" + "1" * 23,
    ]
    upgrade_to("0064")
    of_other_ways = {"tax_rounding": "down", "method": "銀行振込"}
    insert("orders", *({"order_no": number} | of_other_ways for number in numbers))
    upgrade_to(schema.wanted())
    rows = db.session.execute(sa.select(Order.order_no, Order.later_stem)).all()
    stems = {row.order_no: row.later_stem for row in rows}
    assert {number: f"{stem}-3" for number, stem in stems.items() if stem} == {
        number: at_gateway(number, 3) for number in numbers[:2]
    }
    assert stems.keys() == set(numbers)
