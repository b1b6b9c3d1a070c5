"""The monthly files in words: how far each is, and what a person has to know of (R105)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from sgpshop import logs
from sgpshop.domain.errors import NotFound
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.extensions import db
from sgpshop.gateway import explain, worst
from sgpshop.models import (
    Attempt,
    Billing,
    BillingFile,
    BillingState,
    FileState,
    MonthlyResults,
    Order,
    split_codes,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.orders.history import Actor
from sgpshop.services.subscriptions.billing.results import overdue_since
from sgpshop.storage.database import writing
from sgpshop.storage.questions import Question
from sgpshop.storage.rows import read as rows_of

_SHOWN = 12
_NOTICES = 40
_ORDERS_NAMED = 20
#: What became of a line that SMBC-GP took.
_TAKEN = (BillingState.REGISTERED, BillingState.PAID, BillingState.NOT_PAID)
#: All but its content, which may be a megabyte.
_COLUMNS = (
    BillingFile.id,
    BillingFile.window,
    BillingFile.lines,
    BillingFile.yen,
    BillingFile.state,
    BillingFile.is_doubtful,
    BillingFile.tries,
    BillingFile.due_at,
    BillingFile.created_at,
    BillingFile.sent_at,
    BillingFile.answered_at,
    BillingFile.receipt_no,
    BillingFile.error_codes,
    BillingFile.results_due_at,
    BillingFile.acknowledged_at,
    BillingFile.acknowledged_by,
    sa.exists().where(
        MonthlyResults.window == BillingFile.window, MonthlyResults.read_at.is_not(None)
    ),
)


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file; amounts in yen, times aware."""

    id: int
    #: first day of the month in whose window it is sent
    window: date
    lines: int
    yen: int
    state: FileState
    is_doubtful: bool
    tries: int
    due_at: datetime | None
    created_at: datetime
    sent_at: datetime | None
    answered_at: datetime | None
    receipt_no: str
    error_codes: str
    results_due_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str
    #: the results of its month were read, or a person said that none come
    has_results: bool
    #: when it was sent for the first time: so long a doubt lasts at most
    first_sent_at: datetime | None = None
    #: lines by what became of them
    taken: int = 0
    refused: int = 0
    paid: int = 0
    not_paid: int = 0
    postponed: int = 0
    results_at: datetime | None = None
    #: its results should have come long ago, and lines still wait for them
    is_overdue: bool = False
    #: until then at least an earlier try may turn out to have been taken in, and charge its orders
    waits_until: datetime | None = None

    @property
    def is_in_doubt(self) -> bool:
        """結果確認中: whether SMBC-GP has it is not known."""
        return self.state is FileState.IN_DOUBT or (
            self.state is FileState.PREPARED and self.is_doubtful
        )

    @property
    def is_refused(self) -> bool:
        """Whether it was refused as a whole, and its orders were not registered (R105)."""
        was_answered_no = self.state is FileState.REFUSED or (
            self.state is FileState.CLOSED and not self.receipt_no
        )
        return was_answered_no and self.taken < self.lines

    @property
    def words(self) -> str:
        """How far it is, in a word."""
        if self.is_in_doubt:
            return "結果確認中"
        if self.is_refused:
            return "受付不可"
        if self.state is FileState.PREPARED:
            return "再送待ち" if self.tries else "送信待ち"
        if self.state is FileState.RECEIVED:
            return "受付済(記録中)"
        if self.is_overdue:
            return "結果が届いていません"
        if self.results_due_at is not None:
            return "受付済・結果待ち"
        return "結果受領済" if self.results_at is not None else "受付済"

    @property
    def tone(self) -> str:
        """The class of the word: what it means for the merchant."""
        if self.is_in_doubt:
            return "is-uncertain"
        if self.is_refused or self.is_overdue:
            return "is-failed"
        return "is-succeeded" if self.receipt_no else "is-pending"

    @property
    def why(self) -> str:
        """Why it is not through, in words; "" when nothing is wrong."""
        if self.state is FileState.PREPARED and self.is_doubtful:
            return (
                "SMBC-GPの応答を受け取れませんでした。同じファイルをもう一度送って確認します"
                "(同じ内容なので、二重に請求されることはありません)。"
            )
        if self.state is FileState.PREPARED and self.tries:
            return "SMBC-GPに接続できないか、混み合っています。自動で送り直します。"
        if self.state is FileState.IN_DOUBT:
            return "先に送った分が受け付けられたかどうかを、1件ずつSMBC-GPに確認しています。"
        return self._refusal + self._wait if self.is_refused else ""

    @property
    def _wait(self) -> str:
        """Until when and why its orders wait, where an earlier try may have been taken in (P3)."""
        if self.waits_until is None:
            return ""
        until = jst_day(self.waits_until)
        return (
            "先に送った分が届いていれば、結果の日に請求されます。"
            f"そのため{until.month}月{until.day}日まで(結果が届かなければ、届くまで)は、"
            "これらの注文のキャンセルと、別の番号での請求はできません。"
            "届いていなければ、決済待ちのまま次の登録日にもう一度登録します。"
        )

    @property
    def may_be_there(self) -> bool:
        """Whether nobody knows if it was taken in: what is 決済待ち of it may be charged (P3)."""
        return self.waits_until is not None

    @property
    def headline(self) -> str:
        """What became of it, where it was not taken in for all we know."""
        if self.may_be_there:
            return "SMBC-GPに届いたかどうかを確認できませんでした"
        return "SMBC-GPに受け付けられませんでした"

    @property
    def _refusal(self) -> str:
        codes = self.codes
        return explain(worst(codes)).sentence if codes else f"{self.headline}。"

    @property
    def next_step(self) -> str:
        """What a person can do about a refused file."""
        if self.codes and (advice := explain(worst(self.codes)).next_step):
            return advice
        return "SMBCマルチペイメント管理画面と契約情報の設定を確認してください。"

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes SMBC-GP gave with its refusal."""
        if not (self.is_refused or self.state is FileState.IN_DOUBT):
            return ()
        return split_codes(self.error_codes)


@dataclass(frozen=True)
class FileNotice:
    """A refused file nobody has taken note of, with the orders that stay 決済待ち."""

    file: ListedFile
    #: at most a few of them
    order_nos: tuple[str, ...]


def files() -> list[ListedFile]:
    """The latest files, newest first; one query."""
    return _read(_newest(_ALL, _SHOWN))


_MAY_BE_REFUSED = sa.and_(
    sa.or_(
        BillingFile.state == FileState.REFUSED,
        sa.and_(BillingFile.state == FileState.CLOSED, BillingFile.receipt_no == ""),
    ),
    BillingFile.acknowledged_at.is_(None),
)
_MAY_BE_OVERDUE = BillingFile.results_due_at.is_not(None)
_MAY_BE_IN_TROUBLE = sa.or_(_MAY_BE_REFUSED, _MAY_BE_OVERDUE)
_IS_ANY_IN_TROUBLE = sa.select(sa.exists().where(_MAY_BE_IN_TROUBLE))
_ALL = sa.true()


def trouble() -> tuple[list[ListedFile], list[ListedFile]]:
    """Files refused as a whole that nobody has acknowledged, and those whose results are overdue (R105).

    Newest first; one query.
    """
    found = _read(_newest(_MAY_BE_IN_TROUBLE, _NOTICES))
    refused = [file for file in found if file.is_refused and file.acknowledged_at is None]
    return refused, [file for file in found if file.is_overdue]


def trouble_question() -> Question[bool]:
    """Whether there may be any."""
    return Question(_IS_ANY_IN_TROUBLE, lambda row: bool(row[0]))


def notices_of(refused: Sequence[ListedFile]) -> list[FileNotice]:
    """The same with their orders, as far as those were not put into another file since; one query."""
    by_file: dict[int, list[str]] = {file.id: [] for file in refused}
    if refused:
        number = sa.func.row_number().over(partition_by=Billing.file_id, order_by=Billing.id)
        numbered = (
            sa.select(Billing.file_id, Order.order_no, number.label("number"))
            .join(Order, Order.id == Billing.order_id)
            .where(Billing.file_id.in_(list(by_file)), Billing.state == BillingState.POSTPONED)
            .subquery()
        )
        for file_id, order_no in db.session.execute(
            sa.select(numbered.c.file_id, numbered.c.order_no)
            .where(numbered.c.number <= _ORDERS_NAMED)
            .order_by(numbered.c.file_id, numbered.c.number)
        ):
            by_file[file_id].append(order_no)
    return [FileNotice(file, tuple(by_file[file.id])) for file in refused]


def acknowledge(file_id: int, actor: Actor) -> None:
    """確認済みにする: the notice goes, the file stays in the list.  Raises NotFound.

    Once more changes nothing: who was first stays (P19).
    """
    if not any(file.is_refused for file in _read(_made(BillingFile.id == file_id, 1))):
        raise NotFound("このファイルの通知はありません。")
    with writing() as session:
        session.execute(
            sa.update(BillingFile)
            .where(BillingFile.id == file_id, BillingFile.acknowledged_at.is_(None))
            .values(acknowledged_at=utc_now(), acknowledged_by=actor.name[:80])
        )
    logs.event("billing_file_acknowledged", file=file_id, by=actor.name)


@lru_cache(maxsize=2)  # of the two conditions above: making it takes longer than asking it
def _newest(condition: sa.ColumnElement[bool], limit: int) -> sa.Select[*tuple[Any, ...]]:
    return _made(condition, limit)


def _made(condition: sa.ColumnElement[bool], limit: int) -> sa.Select[*tuple[Any, ...]]:
    newest = sa.select(*_COLUMNS).where(condition).order_by(BillingFile.id.desc()).limit(limit)
    found = newest.cte()
    lines = (
        sa.select(
            Billing.file_id,
            sa.func.min(Attempt.sent_at),
            sa.func.count().filter(Billing.state.in_(_TAKEN)),
            sa.func.count().filter(Billing.state == BillingState.REFUSED),
            sa.func.count().filter(Billing.state == BillingState.PAID),
            sa.func.count().filter(Billing.state == BillingState.NOT_PAID),
            sa.func.count().filter(Billing.state == BillingState.POSTPONED),
            sa.func.max(Billing.result_at),
        )
        .join(Attempt, Attempt.id == Billing.attempt_id)
        .where(Billing.file_id.in_(sa.select(found.c.id)))
        .group_by(Billing.file_id)
        .subquery()
    )
    return (
        sa.select(lines.c.file_id, found, *list(lines.c)[1:])
        .outerjoin_from(found, lines, lines.c.file_id == found.c.id)
        .order_by(found.c.id.desc())
    )


def _read(statement: sa.Select[*tuple[Any, ...]]) -> list[ListedFile]:
    rows = rows_of(statement)
    now, mode = utc_now(), settings.load().billing_mode
    listed = [ListedFile(*(row if has_lines else row[: len(_COLUMNS)])) for has_lines, *row in rows]
    return [
        replace(
            file,
            is_overdue=(
                file.results_due_at is not None
                and file.taken > file.paid + file.not_paid
                and now >= overdue_since(file.window, mode)
            ),
            waits_until=(
                overdue_since(file.window, mode)
                if file.is_doubtful
                and not (file.has_results and now >= overdue_since(file.window, mode))
                else None
            ),
        )
        for file in listed
    ]
