"""The gateway's own books: one SQLite file that survives being killed at any moment.

WAL with synchronous=NORMAL loses nothing that was committed when the process dies.  There is
one connection and one lock: transactions are short and nothing sleeps inside one.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .refusal import Refused

_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trades (
    id INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL UNIQUE,
    access_id TEXT NOT NULL UNIQUE,
    access_pass TEXT NOT NULL,
    entry_job TEXT NOT NULL,
    item_code TEXT NOT NULL,
    status TEXT NOT NULL,
    job TEXT NOT NULL,
    amount INTEGER NOT NULL,
    tax INTEGER NOT NULL,
    processed_at INTEGER NOT NULL,
    authorized_at INTEGER,
    method TEXT NOT NULL,
    pay_times TEXT NOT NULL,
    forward TEXT NOT NULL,
    tran_id TEXT NOT NULL,
    approve TEXT NOT NULL,
    card_last4 TEXT,
    card_expire TEXT,
    card_behaviour TEXT,
    card_holder TEXT,
    site_id TEXT NOT NULL,
    member_id TEXT NOT NULL,
    client_field1 TEXT NOT NULL,
    client_field2 TEXT NOT NULL,
    client_field3 TEXT NOT NULL,
    display_date TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS trades_by_status ON trades (status, id);
CREATE TABLE IF NOT EXISTS history (
    id INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES trades (order_id),
    at INTEGER NOT NULL,
    api TEXT NOT NULL,
    job TEXT NOT NULL,
    status TEXT NOT NULL,
    amount INTEGER NOT NULL,
    tax INTEGER NOT NULL,
    tran_id TEXT NOT NULL,
    error TEXT NOT NULL,
    by TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS history_by_order ON history (order_id, id);
CREATE TABLE IF NOT EXISTS three_ds (
    order_id TEXT PRIMARY KEY REFERENCES trades (order_id),
    if_unsupported TEXT NOT NULL,
    tenant_name TEXT NOT NULL,
    trans_id TEXT UNIQUE,
    secret TEXT NOT NULL,
    return_url TEXT NOT NULL,
    callback_type TEXT NOT NULL,
    result TEXT NOT NULL,
    is_used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS monthly_files (
    id INTEGER PRIMARY KEY,
    receipt_no TEXT NOT NULL UNIQUE,
    month TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    is_settled INTEGER NOT NULL,
    UNIQUE (month, content_hash)
);
CREATE TABLE IF NOT EXISTS monthly_lines (
    file_id INTEGER NOT NULL REFERENCES monthly_files (id),
    number INTEGER NOT NULL,
    order_id TEXT NOT NULL,
    member_id TEXT NOT NULL,
    card_seq TEXT NOT NULL,
    amount TEXT NOT NULL,
    tax TEXT NOT NULL,
    use_date TEXT NOT NULL,
    refused TEXT NOT NULL,
    result TEXT NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (file_id, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS monthly_lines_by_order
    ON monthly_lines (order_id) WHERE refused = '';
CREATE TABLE IF NOT EXISTS members (
    member_id TEXT PRIMARY KEY,
    name TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cards (
    member_id TEXT NOT NULL REFERENCES members (member_id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    card_last4 TEXT NOT NULL,
    card_expire TEXT NOT NULL,
    card_behaviour TEXT NOT NULL,
    card_holder TEXT NOT NULL,
    name TEXT NOT NULL,
    is_default INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL,
    PRIMARY KEY (member_id, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (
    token TEXT PRIMARY KEY,
    card_last4 TEXT NOT NULL,
    card_expire TEXT NOT NULL,
    card_behaviour TEXT NOT NULL,
    card_holder TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    is_used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recurring (
    recurring_id TEXT PRIMARY KEY,
    amount INTEGER NOT NULL,
    tax INTEGER NOT NULL,
    charge_day TEXT NOT NULL,
    charge_month TEXT NOT NULL,
    start TEXT NOT NULL,
    stop TEXT NOT NULL,
    card_no TEXT NOT NULL,
    expire TEXT NOT NULL,
    site_id TEXT NOT NULL,
    member_id TEXT NOT NULL,
    is_over INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notifications (
    id INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL,
    body TEXT NOT NULL,
    due_at REAL NOT NULL,
    tries INTEGER NOT NULL,
    state TEXT NOT NULL,
    answer TEXT
);
CREATE INDEX IF NOT EXISTS notifications_due ON notifications (due_at) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS notification_settings (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    body TEXT NOT NULL
);
"""
_CONTENTS = (
    "notifications",
    "recurring",
    "three_ds",
    "monthly_lines",
    "monthly_files",
    "history",
    "trades",
    "cards",
    "members",
    "tokens",
    "settings",
    "counters",
)


class Ledger:
    """The ledger file at `path`, made if there is none."""

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.Lock()
        if str(path) != ":memory:":
            with suppress(OSError):  # there already; if it cannot be made, connecting says so
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
            with suppress(OSError):  # made by an earlier version, for everybody to read
                os.chmod(path, 0o600)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        for pragma in (
            "busy_timeout = 15000",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "foreign_keys = ON",
        ):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time; commits at the end and on Refused, which is an answer too."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except Refused:
                self._db.execute("COMMIT")
                raise
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The committed state, for a look-up."""
        with self._lock:
            yield self._db

    def clear(self) -> None:
        """Forget everything: transactions, members, tokens, counters and settings."""
        with self.transaction() as db:
            for table in _CONTENTS:
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the tuple above

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def setting(self, name: str, default: float) -> float:
        """A remembered number, `default` if it was never set."""
        with self.reading() as db:
            row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return default if row is None else float(row["value"])

    def remember(self, name: str, value: float) -> None:
        """Keep a number across restarts."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))


def advance(db: sqlite3.Connection, counter: str, by: int = 1) -> int:
    """Move a counter of the ledger on and return its new value."""
    row = db.execute(
        "INSERT INTO counters VALUES (?1, ?2)"
        " ON CONFLICT (name) DO UPDATE SET value = value + ?2 RETURNING value",
        (counter, by),
    ).fetchone()
    return int(row["value"])
