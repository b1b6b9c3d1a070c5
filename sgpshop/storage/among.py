"""`column IN (list)`, said in the way that suits the database: what is asked by many numbers at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType


class among(FunctionElement[bool]):  # noqa: N801 - reads as a function of SQL
    """Whether a column is one of many values: a list, or the name under which one is given when it is asked.

    For PostgreSQL they are one array: the statement has the same words however many they are, so it is
    prepared once, and its plan goes by the index.  A plan made for a list of hundreds of parameters
    compared each row of a table with all of them; taking its words apart cost as much as the answer.
    SQLite, which has no arrays, gets the list.
    """

    type = sa.Boolean()
    inherit_cache = True

    def __init__(self, column: Any, values: str | Iterable[Any]) -> None:
        given: dict[str, Any] = (
            {"key": values, "required": True}
            if isinstance(values, str)
            else {"key": "among", "value": list(values), "unique": True}
        )
        # A length would cut what is longer, and then find it.
        kind = sa.String() if isinstance(column.type, sa.String) else column.type
        array = sa.bindparam(type_=sa.ARRAY(kind), **given)
        super().__init__(
            column.in_(sa.bindparam(expanding=True, **given)), column == sa.any_(array)
        )

    def self_group(self, against: OperatorType | None = None) -> among:
        """It is a comparison, which SQLite would else be asked to compare with 1 again, past the index."""
        return self


@compiles(among)
def _as_list(element: among, compiler: SQLCompiler, **how: Any) -> str:
    is_list, _is_any = element.clauses
    return compiler.process(is_list, **how)


@compiles(among, "postgresql")
def _as_array(element: among, compiler: SQLCompiler, **how: Any) -> str:
    _is_list, is_any = element.clauses
    return compiler.process(is_any, **how)
