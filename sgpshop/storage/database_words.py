"""Why the database cannot be had, in one line for whoever runs the program (P32)."""

from __future__ import annotations

import sqlite3
from typing import Any

from flask import current_app
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection

from sgpshop.environment import PREFIX

#: SQLite's primary result codes for «cannot work just now»: busy, locked, read-only, I/O, full,
#: cannot open
_SQLITE_UNAVAILABLE = {
    5: "ほかの処理が使用中です",
    6: "ほかの処理が使用中です",
    8: "書き込みが許されていません",
    10: "読み書きに失敗しました",
    13: "ディスクに空きがありません",
    14: "開けません",
}
_PASSING = (5, 6, 10, 13)
_NOT_A_DATABASE = 26
#: What PostgreSQL says of an address that waiting does not mend -> what to do.
_WRONG_ADDRESS = (
    ("password authentication failed", "ユーザー名とパスワードを確認してください"),
    ("no password supplied", "パスワードを指定してください"),
    ("does not exist", "データベース名とユーザー名を確認してください"),
    ("no pg_hba.conf entry", "データベースの接続許可(pg_hba.conf)を確認してください"),
)
_ADDRESS = "データベースが起動しているか、ホスト名とポートが正しいかを確認してください"


def hide_row(error: Any, told: SQLAlchemyError | None = None) -> None:
    """Leave of what PostgreSQL says in `error`, and of `told` that quotes it, its own sentence alone.

    Its DETAIL and CONTEXT hold the row that was refused: a buyer's name and phone would stand in the
    log, although our own side of the statement is kept out of it (S12).
    """
    said = getattr(getattr(error, "diag", None), "message_primary", None)
    if not said:
        return
    if told is not None:
        told.args = tuple(str(part).replace(str(error), said) for part in told.args)
    error.args = (said,)


def is_unavailable(error: SQLAlchemyError) -> bool:
    """Whether the database cannot work just now, rather than our statement being wrong (P32)."""
    if isinstance(error, NoConnection):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_code(error.orig) in _SQLITE_UNAVAILABLE
    # psycopg: connection lost, no resources, lock not got, read-only transaction
    state = getattr(error.orig, "sqlstate", None) or ""
    return isinstance(error, OperationalError | InterfaceError) or state == "25006"


def is_deadlock(error: SQLAlchemyError) -> bool:
    """Whether PostgreSQL broke this transaction off for one that it waited for in a circle."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) == "40P01"


def is_wrong_address(error: SQLAlchemyError) -> bool:
    """Whether no waiting helps, because DATABASE_URL or INSTANCE_PATH leads nowhere."""
    orig = getattr(error, "orig", None)
    if isinstance(orig, sqlite3.Error):
        return _sqlite_code(orig) in (14, _NOT_A_DATABASE)
    return any(words in str(orig) for words, _ in _WRONG_ADDRESS)


def what_is_wrong(error: SQLAlchemyError) -> str:
    """The setting, what is wrong, and what to do; no password is in it."""
    url = make_url(current_app.config["DATABASE_URL"])
    orig = getattr(error, "orig", None)
    if isinstance(orig, sqlite3.Error):
        return _of_file(orig, str(url.database))
    text = " ".join(str(orig or error).split("\n")[0].split())
    if getattr(orig, "sqlstate", None):  # it was reached, and something else was wrong
        return f"データベースを使えません({text})。時間をおいて、もう一度お試しください。"
    advice = next((advice for words, advice in _WRONG_ADDRESS if words in text), _ADDRESS)
    where = f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"
    return f"設定エラー: {PREFIX}DATABASE_URL: {where} に接続できません({text})。{advice}。"


def _of_file(orig: sqlite3.Error, file: str) -> str:
    code = _sqlite_code(orig)
    if code == _NOT_A_DATABASE:
        why, advice = "SQLiteのデータベースではありません", "ファイルを確認してください"
    else:
        why = _SQLITE_UNAVAILABLE.get(code, str(orig))
        advice = "フォルダーとファイルの所有者・権限を確認してください"
    if code in _PASSING:
        return f"データベース {file} を使えません({why})。時間をおいて、もう一度お試しください。"
    is_in_folder = file.startswith(str(current_app.config["INSTANCE_PATH"]))
    name = "INSTANCE_PATH" if is_in_folder else "DATABASE_URL"
    return f"設定エラー: {PREFIX}{name}: データベース {file} を使えません({why})。{advice}。"


def _sqlite_code(orig: sqlite3.Error) -> int:
    return (getattr(orig, "sqlite_errorcode", None) or 0) & 0xFF
