"""Asking by many numbers at once (storage/among.py), on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.extensions import db
from sgpshop.models import Order
from sgpshop.storage.among import among
from sgpshop.storage.database import planned_anew, writing
from tests.factories import make_order

ON_BOTH = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgresql", id="postgresql", marks=pytest.mark.postgresql),
]
NAMED = sa.select(Order.order_no).where(among(Order.order_no, "numbers")).order_by(Order.order_no)


@pytest.fixture(autouse=True)
def _within(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def numbers(statement: sa.Select[str], *given: str) -> list[str]:
    return list(db.session.scalars(statement, {"numbers": given} if given else {}))


@pytest.mark.parametrize("database_kind", ON_BOTH)
def test_orders_are_found_by_many_numbers() -> None:
    for number in ("A-1", "A-2", "A-3"):
        make_order(order_no=number)
    assert numbers(NAMED, "A-3", "A-1", "B-9") == ["A-1", "A-3"]
    assert numbers(NAMED, "A-1" * 20, "A-2") == ["A-2"], "what is too long is not cut"
    of = sa.select(Order.order_no).order_by(Order.order_no)
    assert numbers(of.where(among(Order.order_no, ["A-2"]))) == ["A-2"]
    assert numbers(of.where(~among(Order.order_no, ["A-2"]))) == ["A-1", "A-3"]
    assert numbers(of.where(among(Order.order_no, []))) == []


def words(*given: str) -> str:
    statement = sa.select(Order.id).where(among(Order.order_no, given))
    return str(statement.compile(db.engine, compile_kwargs={"render_postcompile": True}))


@pytest.mark.postgresql
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_the_words_are_the_same_for_any_number_of_values() -> None:
    assert words("A-1") == words("A-1", "A-2", "A-3"), "so they are prepared once"


def test_the_list_is_looked_up_in_the_index() -> None:
    plan = db.session.connection().exec_driver_sql(
        f"EXPLAIN QUERY PLAN {words('A-1', 'A-2')}", ("A-1", "A-2")
    )
    assert "SEARCH orders USING COVERING INDEX" in str(plan.all())


@pytest.mark.postgresql
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_plan_of_an_empty_table_is_not_kept_for_a_file() -> None:
    """Asked for the tenth time, it is still planned for how big the table is by now."""
    plans = sa.text(
        "SELECT sum(generic_plans), sum(custom_plans) FROM pg_prepared_statements"
        " WHERE statement LIKE '%order_no = ANY%'"
    )
    with writing() as session:
        for _ in range(12):
            session.execute(NAMED, {"numbers": ["A-1"]})
        generic, _custom = session.execute(plans).one()
        assert generic > 0, "else this would show nothing"
        with planned_anew(session):
            for _ in range(12):
                session.execute(NAMED, {"numbers": ["A-1"]})
            assert session.execute(plans).one()[0] == generic
        assert session.scalar(sa.text("SHOW plan_cache_mode")) == "auto"
