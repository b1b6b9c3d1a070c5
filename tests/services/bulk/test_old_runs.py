"""Runs of before the database stopped to list the actions: kept with their lines, and shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.models import BulkItem, BulkRun, utc_now
from sgpshop.services.bulk import report
from sgpshop.storage import schema
from sgpshop.storage.database import writing
from tests.conftest import make_app
from tests.old_database import insert, upgrade_to

pytestmark = pytest.mark.long

RUN = "0" * 32


def test_they_are_kept_and_a_new_action_needs_no_migration(
    tmp_path: Path, database_kind: str, request: pytest.FixtureRequest
) -> None:
    url = ""
    if database_kind == "postgresql":
        url = request.getfixturevalue("postgresql").new_database()
    app = make_app(tmp_path / "old", DATABASE_URL=url)
    with app.app_context():
        upgrade_to("0016")
        insert("people", {"id": 1, "name": "田中", "role": "operator"})
        insert(
            "orders",
            {
                "id": 1,
                "order_no": "P1",
                "payment_status": "authorized",
                "total": 2160,
                "tax_rounding": "down",
            },
        )
        insert("bulk_runs", {"id": RUN, "action": "deliver", "person_id": 1, "actor": "田中"})
        insert(
            "bulk_items",
            {"id": 1, "run_id": RUN, "order_id": 1, "amount": 2160, "result": "succeeded"},
        )
        before = indexes()
        schema.migrate()
        assert set(before) <= set(indexes())
        with writing() as session:
            session.execute(sa.update(BulkRun).values(started_at=utc_now()))
        assert report.progress(RUN).heading == "1件中 1件が配送完了"
        with writing() as session:
            session.execute(sa.update(BulkRun).values(action="of_a_later_version"))
        with pytest.raises(sa.exc.IntegrityError), writing() as session:
            session.execute(sa.text("UPDATE bulk_items SET result = 'perhaps'"))
        with writing() as session:
            session.execute(sa.delete(BulkRun))  # its lines go with it
        assert db.session.query(BulkItem).count() == 0
        db.session.remove()
        db.engine.dispose()


def indexes() -> list[str]:
    found = sa.inspect(db.engine).get_indexes("bulk_runs")
    return sorted(str(index["name"]) for index in found)
