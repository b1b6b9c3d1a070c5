"""The schema: migrations and models agree, and nobody starts on a newer database (P36)."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask

from sgpshop.extensions import db
from sgpshop.models import Base
from sgpshop.services import installation
from sgpshop.storage import schema
from sgpshop.storage.database import writing
from sgpshop.storage.schema import NewerSchema
from tests.factories import make_order


def test_the_migrations_make_what_the_models_say(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        ours = {"include_name": lambda name, *_: not str(name).startswith("order_grams")}
        context = MigrationContext.configure(connection, opts=ours)  # those are no models' (0033)
        differences = compare_metadata(context, Base.metadata)
    assert differences == []


def test_migrating_again_changes_nothing(app: Flask) -> None:
    with app.app_context():
        make_order()
        installation.migrate()
        assert schema.is_current()
        assert db.session.execute(sa.text("SELECT count(*) FROM orders")).scalar() == 1


def test_a_newer_database_is_refused(app: Flask) -> None:
    with app.app_context():
        with writing() as session:
            session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        assert not schema.is_current()
        with pytest.raises(NewerSchema):
            installation.migrate()


def test_the_database_refuses_what_makes_no_sense(app: Flask) -> None:
    with app.app_context():
        make_order(order_no="P1")
        for broken in (
            "UPDATE orders SET payment_status = 'paid'",
            "UPDATE orders SET payment_status = NULL",
            "UPDATE orders SET total = -1",
            "UPDATE order_lines SET tax_rate = 5",
            "UPDATE deliveries SET status = 'lost'",
        ):
            with pytest.raises(sa.exc.IntegrityError), writing() as session:
                session.execute(sa.text(broken))


def test_sqlite_is_durable_and_checks_keys(app: Flask, database_kind: str) -> None:
    if database_kind != "sqlite":
        return
    with app.app_context(), db.engine.connect() as connection:

        def pragma(name: str) -> object:
            return connection.execute(sa.text(f"PRAGMA {name}")).scalar()

        assert (pragma("journal_mode"), pragma("synchronous")) == ("wal", 2)  # P31
        assert (pragma("foreign_keys"), pragma("busy_timeout")) == (1, 6000)


def test_migrations_and_models_agree_whose_ids_are_given_once(
    app: Flask, database_kind: str
) -> None:
    """What SQLite keeps of that is in the text of a table alone."""
    if database_kind != "sqlite":
        return
    with app.app_context(), db.engine.connect() as connection:
        asked = (
            "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '% AUTOINCREMENT%'"
        )
        found = set(connection.scalars(sa.text(asked)))
    wanted = {
        table.name
        for table in Base.metadata.sorted_tables
        if table.dialect_options["sqlite"]["autoincrement"]
    }
    assert found == wanted
    assert "orders" in wanted


@pytest.mark.postgresql
@pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"])
def test_migrations_and_models_agree_which_indexes_hold_some_rows_alone(
    app: Flask, database_kind: str
) -> None:
    """Nobody compares that, and of PostgreSQL the models say nothing (models/base.py: index_of)."""
    asked = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'",
        "postgresql": "SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL"
        " AND indrelid >= 16384",
    }
    with app.app_context(), db.engine.connect() as connection:
        found = set(connection.scalars(sa.text(asked[database_kind])))
    wanted = {
        index.name
        for table in Base.metadata.sorted_tables
        for index in table.indexes
        if index.dialect_options["sqlite"]["where"] is not None
    }
    assert found == wanted
    assert "uq_attempts_open" in wanted
