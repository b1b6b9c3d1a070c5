"""Plain rows are read in the session's transaction, what it has not written yet included (storage/rows.py)."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Flask

from sgpshop.models import Setting
from sgpshop.storage import rows
from sgpshop.storage.database import writing

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
