"""Transactions and their history as rows of the ledger."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from .cards import Behaviour, Card
from .rules import Job, Status


@dataclass(frozen=True, slots=True)
class Trade:
    """One transaction.  Amounts are yen, times whole seconds since 1970.

    Amount, tax, job, status and `processed_at` are those of the last successful processing.
    """

    order_id: str
    access_id: str
    access_pass: str
    entry_job: Job
    item_code: str
    status: Status
    job: Job
    amount: int
    tax: int
    processed_at: int
    authorized_at: int | None = None
    method: str = ""
    pay_times: str = ""
    forward: str = ""
    tran_id: str = ""
    approve: str = ""
    card: Card | None = None
    site_id: str = ""
    member_id: str = ""
    client_field1: str = ""
    client_field2: str = ""
    client_field3: str = ""
    display_date: str = ""

    @property
    def total(self) -> int:
        """What the buyer is charged: Amount + Tax."""
        return self.amount + self.tax


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One processing of a transaction, successful or not (`error` holds the ErrInfo)."""

    order_id: str
    at: int
    api: str
    job: str
    status: str
    amount: int
    tax: int
    tran_id: str
    error: str
    by: str


_PLAIN = [field.name for field in fields(Trade) if field.name != "card"]
_CARD = ["card_last4", "card_expire", "card_behaviour", "card_holder"]
_COLUMNS = _PLAIN + _CARD
_PLACES = ", ".join("?" * len(_COLUMNS))
_INSERT = f"INSERT INTO trades ({', '.join(_COLUMNS)}) VALUES ({_PLACES})"  # noqa: S608 - names of our own columns and conditions, values bound
_UPDATE = f"UPDATE trades SET {', '.join(f'{c} = ?' for c in _COLUMNS)} WHERE order_id = ?"  # noqa: S608 - names of our own columns and conditions, values bound
_HISTORY = [field.name for field in fields(HistoryLine)]
_ADD_HISTORY = (
    f"INSERT INTO history ({', '.join(_HISTORY)})"  # noqa: S608 - field names of the class
    f" VALUES ({', '.join('?' * len(_HISTORY))})"
)


def card_values(card: Card | None) -> list[str | None]:
    """A card as the four columns that hold one."""
    if card is None:
        return [None] * 4
    return [card.last4, card.expire, card.behaviour.value, card.holder_name]


def card_of(row: sqlite3.Row) -> Card:
    """The card in a row with the four card columns."""
    return Card(
        row["card_last4"], row["card_expire"], Behaviour(row["card_behaviour"]), row["card_holder"]
    )


def _values(trade: Trade) -> list[Any]:
    return [getattr(trade, name) for name in _PLAIN] + card_values(trade.card)


def _trade(row: sqlite3.Row | None) -> Trade | None:
    if row is None:
        return None
    values = {name: row[name] for name in _PLAIN}
    for name, kind in (("entry_job", Job), ("job", Job), ("status", Status)):
        values[name] = kind(values[name])
    return Trade(**values, card=card_of(row) if row["card_last4"] is not None else None)


def add(db: sqlite3.Connection, trade: Trade) -> None:
    """Enter a new transaction."""
    db.execute(_INSERT, _values(trade))


def save(db: sqlite3.Connection, trade: Trade) -> None:
    """Store the transaction as it is now."""
    db.execute(_UPDATE, [*_values(trade), trade.order_id])


def by_order(db: sqlite3.Connection, order_id: str) -> Trade | None:
    """The transaction of an order number."""
    return _trade(db.execute("SELECT * FROM trades WHERE order_id = ?", (order_id,)).fetchone())


def by_access(db: sqlite3.Connection, access_id: str, access_pass: str) -> Trade | None:
    """The transaction of an AccessID, if the AccessPass is its own."""
    row = db.execute(
        "SELECT * FROM trades WHERE access_id = ? AND access_pass = ?", (access_id, access_pass)
    ).fetchone()
    return _trade(row)


def pair_of(db: sqlite3.Connection, access_id: str) -> tuple[str, str] | None:
    """The order number and the AccessPass of an AccessID."""
    row = db.execute(
        "SELECT order_id, access_pass FROM trades WHERE access_id = ?", (access_id,)
    ).fetchone()
    return None if row is None else (row["order_id"], row["access_pass"])


def add_history(db: sqlite3.Connection, line: HistoryLine) -> None:
    """Write one line of a transaction's history."""
    db.execute(_ADD_HISTORY, [getattr(line, name) for name in _HISTORY])


def history_of(db: sqlite3.Connection, order_id: str) -> list[HistoryLine]:
    """The history of one transaction, oldest first."""
    rows = db.execute("SELECT * FROM history WHERE order_id = ? ORDER BY id", (order_id,))
    return [HistoryLine(*(row[name] for name in _HISTORY)) for row in rows]


def page(
    db: sqlite3.Connection, *, order_id: str, status: str, before: int | None, size: int
) -> tuple[list[Trade], int | None]:
    """Transactions, newest first, of an order number's beginning and a status ("" = any).

    Returns up to `size` of them and where the next page begins, None after the last.
    """
    conditions, values = _filter(order_id, status)
    if before is not None:
        conditions.append("id < ?")
        values.append(before)
    rows = db.execute(
        f"SELECT * FROM trades WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?",  # noqa: S608 - names of our own columns and conditions, values bound
        [*values, size + 1],
    ).fetchall()
    trades = [trade for row in rows[:size] if (trade := _trade(row))]
    return trades, rows[size - 1]["id"] if len(rows) > size else None


def _filter(order_id: str, status: str) -> tuple[list[str], list[Any]]:
    conditions, values = ["1"], list[Any]()
    if order_id:
        conditions.append("order_id >= ? AND order_id < ?")
        values += [order_id, order_id + "\U0010ffff"]
    if status:
        conditions.append("status = ?")
        values.append(status)
    return conditions, values


@dataclass(frozen=True, slots=True)
class ListedTrade:
    """A transaction and what of its past its word in a list depends on."""

    trade: Trade
    was_sold: bool
    has_failed: bool


def listed(
    db: sqlite3.Connection, *, order_id: str, status: str, most: int
) -> Iterator[ListedTrade]:
    """The same transactions as `page`, newest first, all of them up to `most`."""
    conditions, values = _filter(order_id, status)
    rows = db.execute(
        "SELECT *,"  # noqa: S608 - fixed conditions
        " EXISTS (SELECT 1 FROM history h WHERE h.order_id = trades.order_id"
        " AND h.status IN ('SALES', 'CAPTURE')) AS was_sold,"
        " EXISTS (SELECT 1 FROM history h WHERE h.order_id = trades.order_id"
        " AND h.api = 'ExecTran' AND h.error <> '') AS has_failed"
        f" FROM trades WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?",
        [*values, most],
    )
    for row in rows:
        if trade := _trade(row):
            yield ListedTrade(trade, bool(row["was_sold"]), bool(row["has_failed"]))


def snapshot(
    db: sqlite3.Connection, order_id: str | None
) -> tuple[list[sqlite3.Row], list[sqlite3.Row]]:
    """The rows of all transactions (or one order's) and of their history, in order of entry."""
    where, values = ("", ()) if order_id is None else (" WHERE order_id = ?", (order_id,))
    return (
        db.execute(f"SELECT * FROM trades{where} ORDER BY id", values).fetchall(),  # noqa: S608 - names of our own columns and conditions, values bound
        db.execute(f"SELECT * FROM history{where} ORDER BY id", values).fetchall(),  # noqa: S608 - names of our own columns and conditions, values bound
    )
