"""Plain rows are read in the session's transaction, what it has not written yet included (storage/rows.py)."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError, IntegrityError

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, Setting, table_of
from sgpshop.storage import rows
from sgpshop.storage.database import writing

BOTH = pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"])
NAMES = sa.select(Setting.name).where(Setting.name == sa.bindparam("name"))


def test_what_the_session_was_given_is_there_and_gone_with_its_transaction(app: Flask) -> None:
    with app.app_context():
        try:
            with writing() as session:
                session.add(Setting(name="one", value="1", updated_by="test"))
                assert rows.read(NAMES, {"name": "one"}).all() == [("one",)]
                raise LookupError
        except LookupError:
            pass
        assert rows.read(NAMES, {"name": "one"}).all() == []


@BOTH
@pytest.mark.postgresql
def test_many_rows_are_as_objects_would_have_been_written(app: Flask) -> None:
    at = datetime(2026, 4, 1, 9, 30, 0, 5, UTC)
    with app.app_context():
        with writing() as session:
            connection = session.connection()
            ids = rows.free_ids(connection, table_of(Order), 250)
            given = [
                (
                    i,
                    f"P{i:018d}",
                    None,
                    at + timedelta(seconds=i),
                    "代金引換",
                    f"O'Neill\t{i}",
                    i,
                    at,
                )
                for i in ids
            ]
            names = ("id", "order_no", "later_stem", "ordered_at", "method", "buyer_name", "total")
            rows.put(connection, table_of(Order), (*names, "created_at"), given)
            parcels = [(i, DeliveryStatus.DELIVERED, at.date()) for i in ids]
            rows.put(connection, table_of(Delivery), ("order_id", "status", "returned_on"), parcels)
            rows.put(connection, table_of(Delivery), ("order_id",), [])
            order = Order(order_no="P1", ordered_at=at, method="代金引換", total=1)
            session.add(order)
        assert order.id > max(ids)
        fields = [c.name for c in table_of(Order).c if c.name not in ("id", "updated_at")]
        many = db.session.scalars(sa.select(Order).where(Order.id.in_(ids)).order_by(Order.id))
        for i, one in zip(ids, many, strict=True):
            its_own = {
                "order_no": f"P{i:018d}",
                "ordered_at": at + timedelta(seconds=i),
                "buyer_name": f"O'Neill\t{i}",
                "total": i,
                "created_at": at,
            }
            assert {name: getattr(one, name) for name in fields} == {
                name: getattr(order, name) for name in fields
            } | its_own
            assert one.updated_at is not None
            (parcel,) = one.deliveries
            assert (parcel.status, parcel.returned_on) == (DeliveryStatus.DELIVERED, at.date())


@BOTH
@pytest.mark.parametrize("number", [1, 20])  # said by itself, or copied
@pytest.mark.postgresql
def test_what_the_database_refuses_of_many_is_refused(app: Flask, number: int) -> None:
    parcels = [(404 + one, "佐藤") for one in range(number)]
    with app.app_context(), pytest.raises(IntegrityError), writing() as session:
        rows.put(session.connection(), table_of(Delivery), ("order_id", "name"), parcels)
    with app.app_context(), writing() as session:  # the connection is as good as any
        assert session.scalar(sa.select(sa.func.count(Delivery.id))) == 0


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("number", [1, 20])
@pytest.mark.parametrize(
    ("order", "slip", "why"), [(None, "4400", "null value"), (404, "4400" * 99, "too long")]
)
@pytest.mark.postgresql
def test_a_refusal_does_not_say_the_row_that_is_refused(
    app: Flask, number: int, order: int | None, slip: str, why: str
) -> None:
    parcels = [(order, "佐藤", slip) for _ in range(number)]
    columns = ("order_id", "name", "slip_no")
    with app.app_context(), pytest.raises(DBAPIError) as refused, writing() as session:
        rows.put(session.connection(), table_of(Delivery), columns, parcels)
    trace = "".join(traceback.format_exception(refused.value))
    assert why in trace
    assert not any(said in trace for said in ("佐藤", "4400"))


@BOTH
@pytest.mark.postgresql
def test_what_is_gone_takes_its_id_along(app: Flask) -> None:
    """Whoever waits for an order that was taken back does not find the next one in its place."""
    at = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
    given = []
    with app.app_context():
        for number in range(3):
            with writing() as session:
                order = Order(order_no=f"P{number}", ordered_at=at, method="代金引換", total=1)
                session.add(order)
                session.flush()
                given.append(order.id)
                session.delete(order)
        with writing() as session:
            given += rows.free_ids(session.connection(), table_of(Order), 2)
    assert given == sorted(set(given))
