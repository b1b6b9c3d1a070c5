"""Monthly subscription files: taken in, charged on the result day, answered (rules 35 and 36).

A file is taken in, and later charged, in one ledger transaction each: a killed gateway has done
all of it or nothing.  Charging happens when the clock has passed the result day, at the first
request after that, as of the beginning of that day.

Where the rules are silent: a card the company refuses is Result 1 with its code, the «unusable»
test card Result 2, a member or card that is gone since the upload Result 3; on the card that
loses answers the company is asked again until it answers (Result 0).  A line refused at upload
is not in the result file.  The shop is not notified of file charges: the result file tells it.
"""

import csv
import hashlib
import io
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from . import card_records, monthly_records, trade_records
from . import fields as f
from .cards import NETWORK_FAILED
from .clock import JST
from .context import Context
from .fields import Params, amount_problems, check
from .members import CARD_MISSING, MEMBER_MISSING, stored_card
from .monthly_records import MonthlyFile, MonthlyLine
from .processing import BY_FILE, ProcessingRequest, process, record_refusal
from .refusal import Refused
from .rules import Job, Status, TransitionKind
from .trade_records import Trade
from .trades import DEFAULT_ITEM_CODE, ORDER_EXISTS, enter
from .wire import CHARSET

RESULT_DAY = "batch_result_day"
DEFAULT_RESULT_DAY = 18
#: After the window and in every month.
RESULT_DAYS = range(11, 29)

WINDOW_CLOSED = "FILE_WINDOW_CLOSED"
MALFORMED = "E00000010"
NO_FORMAT_NUMBER = "E01999998"
WRONG_SHOP = "E01010010"
WRONG_MONTH = "E01840010"
WRONG_COUNT = "E01700001"

CHARGED, CARD_REFUSED, CANNOT_BE_CHECKED, INPUT_ERROR = "0", "1", "2", "3"
_UNUSABLE = "42G120000"

_FORMAT = "001"
_COLUMNS = ("ShopID", "MemberID", "CardSeq", "OrderID", "Amount", "Tax", "UseDate")
_MONTH = re.compile("20[0-9]{2}(0[1-9]|1[0-2])")


class MonthlyFileRefused(Exception):
    """The file is refused whole; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class FileReceipt:
    """A file that was taken in, with all its lines."""

    file: MonthlyFile
    lines: list[MonthlyLine]


def is_month(text: str) -> bool:
    """Whether `text` is a month as addresses have it, yyyyMM."""
    return _MONTH.fullmatch(text) is not None


def receive(context: Context, month: str, content: bytes) -> FileReceipt:
    """Take a file in; raises MonthlyFileRefused.

    The same content again gives the same receipt, even when the window has closed meanwhile:
    who sends it again does not know that it arrived.
    """
    content_hash = hashlib.sha256(content).hexdigest()
    with context.ledger.transaction() as db:
        known = monthly_records.same_file(db, month, content_hash)
        if known:
            return FileReceipt(known, monthly_records.lines(db, known))
        now = context.clock.now()
        if now.strftime("%Y%m") != month or now.day > context.contract.file_window_days:
            raise MonthlyFileRefused(WINDOW_CLOSED)
        rows = _rows(context, month, content)
        receipt_no = f"R{month}{context.ids.hex32(db)[:12]}"
        file = monthly_records.add_file(db, receipt_no, month, content_hash, int(now.timestamp()))
        lines = [_take_in(context, db, file, number, row) for number, row in enumerate(rows, 1)]
    return FileReceipt(file, lines)


def settle_due(context: Context) -> None:
    """Charge every file whose result day has come."""
    with context.ledger.reading() as db:
        waiting = bool(monthly_records.unsettled(db))
    if not waiting:
        return
    result_day = int(context.ledger.setting(RESULT_DAY, DEFAULT_RESULT_DAY))
    with context.ledger.transaction() as db:
        for file in monthly_records.unsettled(db):
            due = _due(file.month, result_day)
            if due <= context.clock.timestamp():
                for line in monthly_records.lines(db, file):
                    if not line.refused:
                        monthly_records.put_line(db, _charged(context, db, line, due))
                monthly_records.mark_settled(db, file)


def result(context: Context, month: str) -> bytes | None:
    """The result of a month's files, None while there is none."""
    settle_due(context)
    with context.ledger.reading() as db:
        files = monthly_records.settled(db, month)
        lines = [line for file in files for line in monthly_records.lines(db, file)]
    if not files:
        return None
    return _rendered(context.contract.shop_id, month, [line for line in lines if not line.refused])


def _due(month: str, result_day: int) -> int:
    """When a month's results are there, in ledger time."""
    return int(datetime(int(month[:4]), int(month[4:]), result_day, tzinfo=JST).timestamp())


def _rows(context: Context, month: str, content: bytes) -> list[list[str]]:
    """The lines after the head; raises MonthlyFileRefused if it is not a file of this shop and month."""
    try:
        text = content.decode(CHARSET)
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise MonthlyFileRefused(MALFORMED) from None
    if not rows or len(rows[0]) != 4 or rows[0][0] != _FORMAT:
        raise MonthlyFileRefused(NO_FORMAT_NUMBER)
    _, shop_id, file_month, count = rows[0]
    if shop_id != context.contract.shop_id:
        raise MonthlyFileRefused(WRONG_SHOP)
    if file_month != month:
        raise MonthlyFileRefused(WRONG_MONTH)
    if count != str(len(rows) - 1) or not text.endswith("\r\n"):
        raise MonthlyFileRefused(WRONG_COUNT)
    return rows[1:]


def _take_in(
    context: Context, db: sqlite3.Connection, file: MonthlyFile, number: int, row: list[str]
) -> MonthlyLine:
    """Enter one line, and its transaction unless there is something against it."""
    padded = [*row, *[""] * len(_COLUMNS)][: len(_COLUMNS)]
    params = dict(zip(_COLUMNS, padded, strict=True))
    line = MonthlyLine(file.id, number, params["OrderID"], *padded[1:3], *padded[4:])
    line = replace(line, refused=_problem(context, db, params, len(row)))
    if not line.refused:
        enter(db, _trade(context, db, file, line))
    monthly_records.put_line(db, line)
    return line


def _problem(context: Context, db: sqlite3.Connection, params: Params, columns: int) -> str:
    """The first code a line earns, "" for a good one."""
    if columns != len(_COLUMNS):
        return WRONG_COUNT
    problems = check(params, (f.SHOP_ID, f.MEMBER_ID, f.CARD_SEQ, f.ORDER_ID))
    problems += amount_problems(params)
    problems += check(params, (f.USE_DATE,))
    if problems:
        return problems[0]
    if params["ShopID"] != context.contract.shop_id:
        return WRONG_SHOP
    if trade_records.by_order(db, params["OrderID"]):
        return ORDER_EXISTS
    if card_records.member(db, params["MemberID"]) is None:
        return MEMBER_MISSING
    held = card_records.cards(db, params["MemberID"], physical=False)
    return "" if int(params["CardSeq"]) in held else CARD_MISSING


def _trade(context: Context, db: sqlite3.Connection, file: MonthlyFile, line: MonthlyLine) -> Trade:
    return Trade(
        order_id=line.order_id,
        access_id=context.ids.hex32(db),
        access_pass=context.ids.hex32(db),
        entry_job=Job.CAPTURE,
        item_code=DEFAULT_ITEM_CODE,
        status=Status.UNPROCESSED,
        job=Job.CAPTURE,
        amount=int(line.amount),
        tax=int(line.tax or 0),
        processed_at=file.received_at,
        site_id=context.contract.site_id,
        member_id=line.member_id,
    )


def _charged(context: Context, db: sqlite3.Connection, line: MonthlyLine, due: int) -> MonthlyLine:
    """Charge one line; the line with its result."""
    trade = trade_records.by_order(db, line.order_id)
    assert trade is not None, "a line was taken in without its transaction"
    try:
        card = stored_card(db, {"MemberID": line.member_id, "CardSeq": line.card_seq}).card
    except Refused as gone:
        record_refusal(db, trade, BY_FILE, Job.CAPTURE, due, gone.codes)
        return replace(line, result=INPUT_ERROR, error=gone.codes[0])
    work = ProcessingRequest(
        BY_FILE,
        TransitionKind.EXECUTE,
        Job.CAPTURE,
        trade.amount,
        trade.tax,
        card,
        method="1",
        is_told=False,
        moment=due,
    )
    try:
        process(context, db, trade, work)
    except Refused as refusal:
        [code] = refusal.codes
        if code != NETWORK_FAILED:
            unchecked = code == _UNUSABLE
            return replace(
                line, result=CANNOT_BE_CHECKED if unchecked else CARD_REFUSED, error=code
            )
    return replace(line, result=CHARGED)


def _rendered(shop_id: str, month: str, lines: Iterable[MonthlyLine]) -> bytes:
    rows = [
        (
            *(shop_id, line.member_id, line.card_seq, line.order_id),
            *(line.amount, line.tax or "0", line.use_date, line.result, line.error),
        )
        for line in lines
    ]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow((_FORMAT, shop_id, month, len(rows)))
    writer.writerows(rows)
    return out.getvalue().encode(CHARSET)
