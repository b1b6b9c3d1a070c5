"""Alembic's entry: runs the migrations on the app's own engine (see `python app.py migrate`)."""

from typing import Any, Literal

from alembic import context
from flask import current_app

from sgpshop.models.base import UtcDateTime


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our time type as the plain one it is in the database, so old migrations stay true."""
    return "sa.DateTime(timezone=True)" if isinstance(item, UtcDateTime) else False


engine = current_app.extensions["migrate"].db.engine
metadata = current_app.extensions["migrate"].db.metadata

# Of its indexes PostgreSQL is told what the models leave out (models/base.py: index_of).
for index in (index for table in metadata.tables.values() for index in table.indexes):
    if (rows := index.dialect_options["sqlite"]["where"]) is not None:
        index.dialect_options["postgresql"]["where"] = rows
    index.dialect_options["postgresql"].update(index.info)

is_sqlite = engine.dialect.name == "sqlite"

with engine.connect() as connection:
    if is_sqlite:
        # A table that is made anew must not take the rows that point to it along.  Said to the
        # driver, before a transaction begins: inside one it would have no effect.
        connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")
        connection.execution_options(sqlite_begin="IMMEDIATE")  # one migrates, others wait (P36)
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        compare_type=True,
        render_item=render_item,
        transactional_ddl=True,  # all of it or nothing, whenever it is killed (P36)
    )
    try:
        with context.begin_transaction():
            if not is_sqlite:  # one migrates, others wait and then find nothing to do (P36)
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7426001)")
            context.run_migrations()
            if is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").all():
                raise RuntimeError("the migration would leave rows that point to nothing")
    finally:
        if is_sqlite:
            connection.rollback()
            connection.connection.driver_connection.execute("PRAGMA foreign_keys=ON")
