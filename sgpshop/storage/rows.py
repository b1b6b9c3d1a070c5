"""Plain rows, read past the ORM: for a short statement what it does for objects takes longer than asking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVarTuple

import sqlalchemy as sa

from sgpshop.extensions import db

_Columns = TypeVarTuple("_Columns")


def read(
    statement: sa.Select[*_Columns] | sa.CompoundSelect[*_Columns],
    values: Mapping[str, Any] | None = None,
) -> sa.CursorResult[*_Columns]:
    """What a statement of columns gives, in the transaction of the session.

    What the session has not written yet is written first, as where it is asked itself.
    """
    session = db.session()
    if session.autoflush:
        session.flush()
    return session.connection().execute(statement, values)
