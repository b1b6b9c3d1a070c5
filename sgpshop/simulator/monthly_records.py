"""Monthly files and their lines as rows of the ledger."""

import sqlite3
from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True, slots=True)
class MonthlyFile:
    """A file handed in for the upload month `month` (yyyyMM); `received_at` in ledger time."""

    id: int
    receipt_no: str
    month: str
    content_hash: str
    received_at: int
    is_settled: bool


@dataclass(frozen=True, slots=True)
class MonthlyLine:
    """One line as it came, `number` from 1; a line `refused` with a code charges nothing.

    `result` and `error` are blank until the file is settled.
    """

    file_id: int
    number: int
    order_id: str
    member_id: str
    card_seq: str
    amount: str
    tax: str
    use_date: str
    refused: str = ""
    result: str = ""
    error: str = ""


_LINE = [field.name for field in fields(MonthlyLine)]
_PLACES = ", ".join("?" * len(_LINE))
_PUT_LINE = f"INSERT OR REPLACE INTO monthly_lines VALUES ({_PLACES})"  # noqa: S608 - question marks and conditions of our own


def add_file(
    db: sqlite3.Connection, receipt_no: str, month: str, content_hash: str, now: int
) -> MonthlyFile:
    """Enter a file."""
    cursor = db.execute(
        "INSERT INTO monthly_files VALUES (NULL, ?, ?, ?, ?, 0)",
        (receipt_no, month, content_hash, now),
    )
    return MonthlyFile(int(cursor.lastrowid or 0), receipt_no, month, content_hash, now, False)


def _file(row: sqlite3.Row) -> MonthlyFile:
    return MonthlyFile(
        id=row["id"],
        receipt_no=row["receipt_no"],
        month=row["month"],
        content_hash=row["content_hash"],
        received_at=row["received_at"],
        is_settled=bool(row["is_settled"]),
    )


def _files(db: sqlite3.Connection, where: str, *values: object) -> list[MonthlyFile]:
    rows = db.execute(f"SELECT * FROM monthly_files WHERE {where} ORDER BY id", values)  # noqa: S608 - question marks and conditions of our own
    return [_file(row) for row in rows]


def same_file(db: sqlite3.Connection, month: str, content_hash: str) -> MonthlyFile | None:
    """The file of that month with that content."""
    found = _files(db, "month = ? AND content_hash = ?", month, content_hash)
    return found[0] if found else None


def by_receipt(db: sqlite3.Connection, receipt_no: str) -> MonthlyFile | None:
    """The file of a receipt number."""
    found = _files(db, "receipt_no = ?", receipt_no)
    return found[0] if found else None


def files(db: sqlite3.Connection) -> list[MonthlyFile]:
    """All files, the newest first."""
    return _files(db, "1")[::-1]


def unsettled(db: sqlite3.Connection) -> list[MonthlyFile]:
    """The files whose charges are still to come."""
    return _files(db, "is_settled = 0")


def settled(db: sqlite3.Connection, month: str) -> list[MonthlyFile]:
    """The files of a month that have their results."""
    return _files(db, "is_settled = 1 AND month = ?", month)


def mark_settled(db: sqlite3.Connection, file: MonthlyFile) -> None:
    """Note that the file's lines have their results."""
    db.execute("UPDATE monthly_files SET is_settled = 1 WHERE id = ?", (file.id,))


def put_line(db: sqlite3.Connection, line: MonthlyLine) -> None:
    """Store a line as it is now."""
    db.execute(_PUT_LINE, astuple(line))


def lines(db: sqlite3.Connection, file: MonthlyFile) -> list[MonthlyLine]:
    """The lines of a file in its order."""
    rows = db.execute("SELECT * FROM monthly_lines WHERE file_id = ? ORDER BY number", (file.id,))
    return [MonthlyLine(*(row[name] for name in _LINE)) for row in rows]


def is_file_charge(db: sqlite3.Connection, order_id: str) -> bool:
    """Whether an order number was taken in by a file."""
    return file_of(db, order_id) is not None


def file_of(db: sqlite3.Connection, order_id: str) -> MonthlyFile | None:
    """The file that took an order number in."""
    found = _files(
        db,
        "id = (SELECT file_id FROM monthly_lines WHERE order_id = ? AND refused = '')",
        order_id,
    )
    return found[0] if found else None
