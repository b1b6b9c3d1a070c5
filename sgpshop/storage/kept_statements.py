"""Connections to PostgreSQL that keep the statements they have prepared (loaded only where there is one).

What is asked for the sixth time is prepared: the server takes it apart once, and plans it once for all
values where it expects nothing from planning it for each.  Planning was most of what a page cost there.

A worker keeps none between its transactions: what it asks again and again is whether a time has come for any of
many rows, and by a plan made for all times PostgreSQL looks through all of them.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

import psycopg
from psycopg.pq import ExecStatus, TransactionStatus

from sgpshop.storage.database import ANEW, ONCE


class Cursor(psycopg.Cursor[Any]):
    """psycopg's, but for statements with ANEW or ONCE in them."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Cursor:
        """As psycopg does; what says ANEW is not prepared, what says ONCE is and has one plan for all values."""
        if isinstance(query, str) and ANEW in query:
            options["prepare"] = False
        elif isinstance(query, str) and ONCE in query and Connection.kept_for:
            self.connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            super().execute(query, params, **options | {"prepare": True})
            # After an error nothing more can be said, and the setting goes with the transaction.
            self.connection.execute("SET LOCAL plan_cache_mode = auto")
            return self
        return super().execute(query, params, **options)


class Connection(psycopg.Connection[Any]):
    """psycopg's, but for what it forgets when a transaction is rolled back.

    It has the server forget all statements with each ROLLBACK: in the transaction a table may have been
    made or altered that one of them is about.  Every page ends with a ROLLBACK, so nothing was ever kept
    from one to the next.  Our tables are made and altered by migrations, in processes of their own.
    """

    #: Seconds for which it is otherwise; then all is planned anew, for tables have grown meanwhile.
    kept_for: ClassVar[float] = 0.0
    _forgotten_at = 0.0

    def rollback(self) -> None:
        """Undo what the transaction wrote.  After an error nothing is kept, as psycopg does it."""
        with self.lock:
            is_young = time.monotonic() - self._forgotten_at < self.kept_for
            if is_young and self.pgconn.transaction_status == TransactionStatus.INTRANS:
                said = self.pgconn.exec_(b"ROLLBACK")
                if said.status == ExecStatus.COMMAND_OK:
                    return
        self._forgotten_at = time.monotonic()
        super().rollback()  # and say what is wrong, if it is the connection
