"""The sums over all orders are kept by whoever changes an order, and compared with the orders."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from sgpshop.cli import commands
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Order, OrderKind, OrderSum
from sgpshop.services.order_search import sums
from sgpshop.services.order_search.criteria import SearchCriteria
from sgpshop.services.order_search.totals import Total, Totals, totals_of, totals_of_kind
from sgpshop.storage.database import writing
from tests.factories import make_order
from tests.waiting import is_anybody_locked_out

pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("shop")]
S = PaymentStatus


@pytest.fixture
def shop(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield
        db.session.remove()


def kept() -> Totals:
    db.session.rollback()
    rows = db.session.execute(sums.by_status(0)).all()
    return {status: Total(int(count), int(yen)) for _, status, count, yen in rows}


def counted() -> Totals:
    db.session.rollback()
    rows = db.session.execute(
        sa.select(Order.payment_status, sa.func.count(), sa.func.sum(Order.total)).group_by(
            Order.payment_status
        )
    ).all()
    return {status: Total(count, int(yen)) for status, count, yen in rows}


def change(**values: object) -> None:
    with writing() as session:
        session.execute(sa.update(Order).values(**values))


def test_every_way_of_changing_orders_changes_them() -> None:
    assert kept() == {}
    for total in (1000, 2000, 3000):
        make_order(total=total)
    assert kept() == counted() != {}
    change(total=Order.total + 500)
    assert kept() == counted()
    change(payment_status=S.CAPTURED)
    assert kept() == counted() == {S.CAPTURED: Total(3, 7500)}
    change(method="代金引換", payment_status=None)
    assert kept() == counted() == {None: Total(3, 7500)}
    assert totals_of_kind(OrderKind.NORMAL) == counted()
    change(kind=OrderKind.PREORDER)
    assert kept() == counted()
    assert totals_of_kind(OrderKind.NORMAL) == {}
    assert totals_of_kind(OrderKind.PREORDER) == counted()
    make_order(total=700)
    change(note="nothing that counts")
    sums.fold()
    assert kept() == counted()
    assert totals_of(SearchCriteria()) == [counted()]


def break_off() -> None:
    with writing() as session:
        session.execute(sa.update(Order).values(total=9, payment_status=S.CANCELLED))
        raise KeyboardInterrupt


def test_what_is_taken_back_or_killed_leaves_them_true() -> None:
    order = make_order(total=1000)
    before = kept()
    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert kept() == counted() == before
    assert order.total == 1000


@pytest.mark.parametrize(("count", "yen"), [(1, 0), (0, -7), (-1, 100)])
def test_drift_is_found_logged_and_mended(
    count: int, yen: int, capsys: pytest.CaptureFixture[str]
) -> None:
    make_order(total=1000, status=S.AUTHORIZED)
    assert sums.compare() == 0
    with writing() as session:
        for status, sign in (("authorized", 1), ("captured", -1)):
            wrong = {"status": status, "count": sign * count, "yen": sign * yen}
            session.execute(sa.insert(OrderSum).values(wrong))
    assert kept() != counted()
    assert sums.compare() == 2
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "mended" in line]
    its = {"status": "authorized", "kind": "normal"}
    assert told[0]["sums"][0] == {**its, "count": -count, "yen": -yen}
    assert kept() == counted()
    assert sums.compare() == 0
    change(payment_status=S.CAPTURED)
    assert kept() == counted()


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_what_two_workers_find_lacking_is_added_once(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_order(total=1000)
    with writing() as session:
        session.execute(sa.insert(OrderSum).values(status="authorized", count=1, yen=7))

    def compare() -> None:
        with app.app_context():
            sums.compare()
            db.session.remove()

    other = threading.Thread(target=compare)

    @contextmanager
    def slowly() -> Iterator[Session]:
        monkeypatch.undo()  # the other one is as quick as ever
        with writing() as session:
            yield session
            other.start()
            while other.is_alive() and not is_anybody_locked_out():
                other.join(0.02)

    monkeypatch.setattr(sums, "writing", slowly)
    sums.compare()
    other.join()
    assert kept() == counted()


def test_two_who_write_at_once_do_not_wait_for_each_other(database_kind: str) -> None:
    if database_kind == "sqlite":
        pytest.skip("one writes at a time there")
    ids = [make_order(total=1000).id for _ in range(2)]
    one, other = db.engine.connect(), db.engine.connect()
    for connection, order_id in ((one, ids[0]), (other, ids[1])):
        connection.execute(sa.update(Order).where(Order.id == order_id).values(total=5000))
    with writing() as session:  # folding sees neither, and waits for none
        session.execute(
            sa.insert(OrderSum),
            [{"status": "", "count": sign, "yen": 0} for sign in (1, -1) * 40],
        )
    sums.fold()
    for connection in (other, one):
        connection.commit()
        connection.close()
    assert kept() == counted()
    assert sums.compare() == 0


def test_the_command_says_whether_they_were_right(app: Flask) -> None:
    def check() -> tuple[int, str]:
        result = app.test_cli_runner().invoke(commands, ["check-sums"])
        return result.exit_code, result.stdout

    make_order(total=1000)
    db.session.commit()
    assert check() == (
        0,
        "注文の件数と合計に誤りはありません。\n決済を待つ定期購入・予約に誤りはありません。\n"
        "オーソリ期限・未送信の修正額に誤りはありません。\n",
    )
    with writing() as session:
        session.execute(sa.update(OrderSum).values(yen=OrderSum.yen + 1))
    code, said = check()
    assert code == 1
    assert said.startswith("注文の件数と合計: 1つの")
    assert check()[0] == 0
