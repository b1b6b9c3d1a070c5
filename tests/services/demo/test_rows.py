"""Made-up orders without a gateway: what stands in the books of a shop stands in theirs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.cli import commands
from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    CardTransaction,
    MoneyMovement,
    Order,
    OrderChange,
    OrderKind,
    OrderLine,
    OrderTextDue,
    Role,
)
from sgpshop.services import installation
from sgpshop.services.demo import rows
from sgpshop.services.demo.rows import seed_rows
from sgpshop.services.order_search import holds, sums, texts, waits
from sgpshop.services.orders import beginnings
from sgpshop.services.orders.history_check import Verification
from tests.signing_in import signed_in

pytestmark = pytest.mark.long

COUNT = 600


def count(model: type) -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(model)) or 0


def triggers() -> set[tuple[str, str]]:
    if db.engine.dialect.name != "sqlite":
        return set()
    found = db.session.execute(
        sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    )
    return {(name, statement) for name, statement in found}


def assert_fts5_merges_by_itself() -> None:
    if db.engine.dialect.name == "sqlite":
        said = sa.text("SELECT v FROM order_grams_config WHERE k = 'automerge'")
        assert db.session.scalar(said) == 4


def assert_books_are_true(orders: int) -> None:
    check = Verification()
    assert list(check.problems()) == []
    assert check.orders == orders
    assert texts.compare_from(1)[0] == 0
    assert (sums.compare(), holds.compare(), waits.compare()) == (0, 0, 0)
    assert count(OrderTextDue) == 0
    assert count(OrderChange) == orders


@pytest.mark.postgresql
def test_they_are_of_all_kinds_and_states_and_the_books_are_true(app: Flask) -> None:
    with app.app_context():
        assert seed_rows(COUNT) == COUNT
        assert installation.is_demo()
        assert_books_are_true(COUNT)
        kinds = set(db.session.scalars(sa.select(Order.kind).distinct()))
        assert kinds == set(OrderKind)
        statuses = set(db.session.scalars(sa.select(Order.payment_status).distinct()))
        assert statuses >= {
            None,
            PaymentStatus.AUTHORIZED,
            PaymentStatus.CAPTURED,
            PaymentStatus.CANCELLED,
            PaymentStatus.AWAITING_BILLING,
            PaymentStatus.BILLING_REPORTED,
        }
        assert count(OrderLine) > COUNT
        assert count(Attempt) > COUNT / 2
        # What the shop has of each transaction is what moved.
        moved = sa.func.sum(MoneyMovement.kept_after - MoneyMovement.kept_before)
        has = sa.func.sum(CardTransaction.captured_amount)
        is_kept = CardTransaction.gateway_state.in_(("SALES", "CAPTURE"))
        assert db.session.scalar(sa.select(moved)) == db.session.scalar(
            sa.select(has).where(is_kept)
        )
        shown = db.session.scalars(
            sa.select(Order).where(Order.payment_status == PaymentStatus.CAPTURED).limit(1)
        ).one()
        number, name = shown.order_no, shown.buyer_name
        db.session.rollback()
    client = signed_in(app, Role.OPERATOR)
    assert name in client.get(f"/orders/{number}").text
    assert number in client.get(f"/orders?order_no={number}").text
    assert client.get("/").status_code == 200
    assert "合計金額" in client.get("/orders?date_field=ordered_at&from=&to=").text


@pytest.mark.postgresql
def test_again_only_what_is_missing_comes(app: Flask) -> None:
    with app.app_context():
        assert seed_rows(40) == 40
        assert seed_rows(40) == 0
        assert seed_rows(50) == 10
        assert_books_are_true(50)


def test_whoever_is_killed_in_a_batch_leaves_whole_orders(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        monkeypatch.setattr(rows, "_BATCH", 20)
        before = triggers()
        with monkeypatch.context() as broken:

            def note(connection: sa.Connection, *more: object) -> None:
                if count(Order) > 20:
                    raise KeyboardInterrupt
                kept(connection, *more)  # type: ignore[arg-type]

            kept = beginnings.note
            broken.setattr(beginnings, "note", note)
            with pytest.raises(KeyboardInterrupt):
                seed_rows(60)
        assert triggers() == before
        assert_fts5_merges_by_itself()
        assert_books_are_true(20)
        assert seed_rows(60) == 40
        assert_fts5_merges_by_itself()
        assert_books_are_true(60)


@pytest.mark.postgresql
def test_many_are_made_by_processes_of_their_own(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_MANY", 1)
    monkeypatch.setattr(rows, "_BATCH", 20)
    monkeypatch.setattr(rows, "_MOST_MAKERS", 1)
    with app.app_context():
        assert seed_rows(50) == 50
        assert_books_are_true(50)


@pytest.mark.postgresql
def test_what_was_made_ahead_is_made_anew_if_somebody_wrote_meanwhile(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_BATCH", 20)
    fold = rows.sums.fold
    with app.app_context():

        def the_same_command_again() -> None:
            monkeypatch.setattr(rows.sums, "fold", fold)
            monkeypatch.setattr(rows, "_MANY", 1_000)
            assert seed_rows(45) == 25

        monkeypatch.setattr(rows, "_MANY", 1)
        monkeypatch.setattr(rows, "_makers", lambda: ThreadPoolExecutor(1))
        monkeypatch.setattr(rows.sums, "fold", the_same_command_again)
        assert seed_rows(80) == 20 + 35
        assert_books_are_true(80)


def test_a_shop_at_work_gets_none(app: Flask) -> None:
    app.config["TEST_MODE"] = False
    with app.app_context(), pytest.raises(ShopError, match="練習モード"):
        seed_rows(1)


def test_the_command_says_how_many_came(app: Flask) -> None:
    run = app.test_cli_runner()
    answer = run.invoke(commands, ["seed-demo", "--orders", "7", "--without-gateway"])
    assert (answer.exit_code, answer.output) == (0, "新規 7件\n")
    refused = run.invoke(commands, ["seed-demo", "--without-gateway"])
    assert refused.exit_code == 2
    assert "--orders" in refused.output
