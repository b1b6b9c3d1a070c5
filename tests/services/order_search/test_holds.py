"""When holds end, and which are of another amount, is kept by whoever changes an order or its transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.cli import commands
from sgpshop.domain.order_rules import HOLDING_STATUSES
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Order, OrderKind
from sgpshop.services.order_search import holds
from sgpshop.storage.database import writing
from tests.factories import make_order

pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("shop")]
S = PaymentStatus
END = datetime.fromisoformat("2026-12-24T15:00:00+09:00")


@pytest.fixture
def shop(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield
        db.session.remove()


def kept() -> list[datetime]:
    db.session.rollback()
    there = CardTransaction.hold_ends_at
    return [end for end in db.session.scalars(sa.select(there).where(there.is_not(None))) if end]


def are_right() -> bool:
    """Whether each transaction holds what order and transaction say now, asked in plain words."""
    db.session.rollback()
    rows = db.session.execute(
        sa.select(CardTransaction, Order).join(Order, Order.id == CardTransaction.order_id)
    )
    return all(
        its.hold_ends_at
        == (
            its.auth_expires_at
            if its.is_current
            and order.kind is OrderKind.NORMAL
            and order.payment_status in CAPTURABLE
            else None
        )
        and its.differs
        == (
            its.is_current
            and order.payment_status in HOLDING_STATUSES
            and its.gateway_amount not in (None, order.total)
        )
        for its, order in rows
    )


def change(model: type[Order | CardTransaction], **values: object) -> None:
    with writing() as session:
        session.execute(sa.update(model).values(**values))
    assert are_right()


def held(end: datetime = END, status: PaymentStatus = S.AUTHORIZED) -> Order:
    order = make_order(status=status)
    with writing() as session:
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.order_id == order.id)
            .values(auth_expires_at=end)
        )
    return order


def test_every_way_of_changing_orders_and_transactions_changes_them() -> None:
    order = held()
    held(status=S.CAPTURED)
    assert kept() == [END]
    assert are_right()
    change(CardTransaction, auth_expires_at=END + timedelta(days=1))
    assert kept() == [END + timedelta(days=1)]
    change(Order, payment_status=S.CAPTURE_FAILED)  # both
    assert len(kept()) == 2
    change(Order, kind=OrderKind.PREORDER)
    assert kept() == []
    change(Order, kind=OrderKind.NORMAL)
    assert len(kept()) == 2
    change(CardTransaction, is_current=False)
    assert kept() == []
    with writing() as session:  # the next of its transactions, as a row alone
        session.execute(
            sa.insert(CardTransaction).values(
                order_id=order.id, sequence=1, gateway_order_id="x-1", auth_expires_at=END
            )
        )
    assert kept() == [END]
    change(CardTransaction, auth_expires_at=None)
    assert kept() == []


def other_amounts() -> list[int]:
    db.session.rollback()
    return sorted(db.session.scalars(holds.of_other_amounts))


def test_which_amounts_differ_follows_whoever_changes_orders_and_transactions() -> None:
    order, other = make_order(total=3_000), make_order(total=3_000, status=S.CAPTURED)
    change(CardTransaction, gateway_amount=3_000)
    assert other_amounts() == []
    change(Order, total=2_500)
    assert other_amounts() == [order.id]
    change(Order, payment_status=S.NEEDS_REVIEW)  # both
    assert other_amounts() == [order.id, other.id]
    change(CardTransaction, gateway_amount=2_500)
    assert other_amounts() == []
    change(CardTransaction, gateway_amount=2_501)
    change(Order, payment_status=S.CAPTURED)
    assert other_amounts() == []
    change(Order, payment_status=S.AUTHORIZED)
    change(CardTransaction, is_current=False)
    assert other_amounts() == []
    with writing() as session:  # the next of its transactions, as a row alone
        session.execute(
            sa.insert(CardTransaction).values(
                order_id=order.id, sequence=1, gateway_order_id="x-1", gateway_amount=2_400
            )
        )
    assert other_amounts() == [order.id]
    assert are_right()


def test_no_new_transaction_says_it_of_itself() -> None:
    order, captured = held(), make_order(status=S.CAPTURED)
    change(CardTransaction, is_current=False)
    says = {"sequence": 1, "hold_ends_at": END, "differs": True}
    with writing() as session:  # many, as order files bring them
        session.execute(
            sa.insert(CardTransaction),
            [
                says | {"order_id": its, "gateway_order_id": f"x-{its}"}
                for its in (order.id, captured.id)
            ],
        )
    assert (kept(), other_amounts()) == ([], [])


def break_off() -> None:
    with writing() as session:
        session.execute(sa.update(Order).values(payment_status=S.CANCELLED))
        assert db.session.scalar(sa.select(holds.ends_at)) is None
        raise KeyboardInterrupt


def test_what_is_taken_back_or_killed_leaves_them_true() -> None:
    held()
    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert kept() == [END]
    assert are_right()


def test_drift_is_found_logged_and_mended(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    held(), held(status=S.CAPTURED), held(END + timedelta(days=3))
    assert holds.compare() == 0
    with writing() as session:  # one is lacking, one is too many, one is another
        session.execute(
            sa.update(CardTransaction).values(
                hold_ends_at=sa.case(
                    (CardTransaction.auth_expires_at > END, END - timedelta(days=9)),
                    (holds.ends_at.is_(None), END),
                )
            )
        )
    assert not are_right()
    assert holds.compare() == 3
    [told] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "mended" in line]
    assert told["transactions"] == 3
    assert are_right()
    assert holds.compare() == 0
    order = make_order(total=3_000)
    with writing() as session:  # and one amount is said to differ
        session.execute(sa.update(CardTransaction).values(hold_ends_at=None, differs=False))
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.order_id == order.id)
            .values(differs=True)
        )
    for code, words in (
        (1, "オーソリ期限・未送信の修正額: 3件を直しました。"),
        (0, "オーソリ期限・未送信の修正額に誤りはありません。"),
    ):
        result = app.test_cli_runner().invoke(commands, ["check-sums"])
        assert (result.exit_code, result.stdout.splitlines()[-1]) == (code, words)
    assert are_right()
