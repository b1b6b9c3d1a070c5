"""The monthly file of subscription sales: written, handed in, and its result read (protocol.md §13.9).

Not the idPass wire: a CSV file in cp932 goes to ``/_batch/<ShopID>/<yyyyMM>`` with the shop's
password as HTTP Basic, and around the 18th the same lines come back with their results.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sgpshop.gateway.error_kinds import is_clear_no
from sgpshop.gateway.exceptions import GatewayOutcomeUnknown, GatewayRejected
from sgpshop.gateway.records import ShopCredentials
from sgpshop.gateway.wire import ENCODING

if TYPE_CHECKING:
    from sgpshop.gateway.transport import Transport

#: The window for files is the 1st to the 10th of a month, by the gateway's clock.
WINDOW_CLOSED = "FILE_WINDOW_CLOSED"

#: Receipt and result name every line.
MAX_ANSWER_BYTES = 8 * 1024 * 1024
_HEADER = "001"
_COLUMNS = 7  # ShopID, MemberID, CardSeq, OrderID, Amount, Tax, UseDate
#: Statuses with which the gateway says no in words; without its words they prove nothing.
_REFUSALS = frozenset({400, 401, 403, 409, 413, 422})
_CODE = re.compile("[0-9A-Za-z_]{1,20}")
_DIGITS = re.compile("[0-9]{1,9}")


class FileResult(StrEnum):
    """The column Result."""

    CHARGED = "0"
    CARD_REFUSED = "1"
    CANNOT_BE_CHECKED = "2"
    INPUT_ERROR = "3"


@dataclass(frozen=True)
class MonthlyLine:
    """One charge to a stored card; amounts in yen, ``use_date`` the day of use in Japan."""

    order_id: str
    member_id: str
    card_seq: int
    amount: int
    use_date: date
    tax: int = 0


@dataclass(frozen=True)
class FileReceipt:
    """What SMBC-GP took in: ``refused`` holds (order_id, code) of each line it did not take."""

    receipt_no: str
    refused: list[tuple[str, str]]


@dataclass(frozen=True)
class ResultLine:
    """How one charge ended; ``codes`` are its ErrInfo codes, empty if it was charged."""

    line: MonthlyLine
    result: FileResult
    codes: tuple[str, ...] = ()

    @property
    def order_id(self) -> str:
        """The OrderID of the line."""
        return self.line.order_id

    @property
    def is_charged(self) -> bool:
        """The money was taken."""
        return self.result is FileResult.CHARGED


class _Malformed(ValueError):
    """The answer is not what the protocol says.  str() is a short ASCII reason."""


def render(shop_id: str, yyyymm: str, lines: Iterable[MonthlyLine]) -> bytes:
    """Return the file for these charges: cp932, CRLF, sorted by OrderID.

    The same charges give the same bytes, in whatever order they come: that is what makes a file
    safe to send again.  Raises ValueError for text that no column may hold.
    """
    ordered = sorted(lines, key=lambda line: line.order_id)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow((_HEADER, shop_id, yyyymm, len(ordered)))
    for line in ordered:
        writer.writerow(
            (
                shop_id,
                line.member_id,
                line.card_seq,
                line.order_id,
                line.amount,
                line.tax,
                f"{line.use_date:%Y%m%d}",
            )
        )
    return out.getvalue().encode(ENCODING)


def upload(
    transport: Transport, credentials: ShopCredentials, yyyymm: str, content: bytes
) -> FileReceipt:
    """Send one file; see SmbcGpGateway.upload_monthly_file."""
    status, received = transport.send(
        "POST",
        f"/_batch/{credentials.shop_id}/{yyyymm}",
        content,
        {"Content-Type": "text/csv; charset=Windows-31J", **_basic(credentials)},
        statuses=_REFUSALS | {200},
        max_answer_bytes=MAX_ANSWER_BYTES,
    )
    try:
        if status != 200:
            raise _refusal(status, received)
        return _read_receipt(received, content)
    except _Malformed as flaw:
        raise GatewayOutcomeUnknown(f"answer:{flaw}") from None


def fetch_result(
    transport: Transport, credentials: ShopCredentials, yyyymm: str
) -> list[ResultLine] | None:
    """Ask for the result; see SmbcGpGateway.fetch_monthly_result."""
    status, received = transport.send(
        "GET",
        f"/_batch/{credentials.shop_id}/{yyyymm}/result",
        None,
        _basic(credentials),
        statuses=_REFUSALS | {200, 404},
        max_answer_bytes=MAX_ANSWER_BYTES,
    )
    if status == 404:
        return None
    try:
        if status != 200:
            raise _refusal(status, received)
        return _read_result(received, credentials.shop_id, yyyymm)
    except _Malformed as flaw:
        raise GatewayOutcomeUnknown(f"answer:{flaw}") from None


def _basic(credentials: ShopCredentials) -> dict[str, str]:
    pair = f"{credentials.shop_id}:{credentials.shop_pass}".encode()
    return {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}


def _refusal(status: int, received: bytes) -> GatewayRejected | GatewayOutcomeUnknown:
    """A refusal counts only in the gateway's own words and with a code that is a clear no."""
    code = _object(received).get("code")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        return GatewayOutcomeUnknown(f"http_status:{status}")
    if is_clear_no([code]):
        return GatewayRejected.by_codes((code,))
    return GatewayOutcomeUnknown.by_codes((code,))


def _object(received: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(received)
    except (ValueError, RecursionError):
        raise _Malformed("not_json") from None
    if not isinstance(found, dict):
        raise _Malformed("not_an_object")
    return found


def _read_receipt(received: bytes, content: bytes) -> FileReceipt:
    """Believe a receipt only if it accounts for every line of the file that was sent."""
    answer = _object(received)
    receipt_no, accepted = answer.get("receipt_no"), answer.get("accepted")
    if not isinstance(receipt_no, str) or not _CODE.fullmatch(receipt_no):
        raise _Malformed("missing:receipt_no")
    if type(accepted) is not int or not isinstance(answer.get("refused"), list):
        raise _Malformed("missing:accepted_or_refused")
    refused = [_refused_line(found) for found in answer["refused"]]
    sent = [row[3] if len(row) > 3 else "" for row in _rows(content)[1:]]
    if accepted + len(refused) != len(sent) or not {order for order, _ in refused} <= set(sent):
        raise _Malformed("not_ours:lines")
    return FileReceipt(receipt_no, refused)


def _refused_line(found: Any) -> tuple[str, str]:
    order_id = found.get("order_id") if isinstance(found, dict) else None
    code = found.get("code") if isinstance(found, dict) else None
    if not isinstance(order_id, str) or not isinstance(code, str) or not _CODE.fullmatch(code):
        raise _Malformed("malformed:refused")
    return order_id, code


def _read_result(received: bytes, shop_id: str, yyyymm: str) -> list[ResultLine]:
    """Read all lines or none: the head says how many there are, so a cut file is found."""
    rows = _rows(received)
    if not rows or rows[0][:3] != [_HEADER, shop_id, yyyymm] or len(rows[0]) != 4:
        raise _Malformed("malformed:head")
    if not received.endswith(b"\r\n") or rows[0][3] != str(len(rows) - 1):
        raise _Malformed("cut")
    lines = [_result_line(row, shop_id) for row in rows[1:]]
    if len({line.order_id for line in lines}) != len(lines):
        raise _Malformed("order_twice")
    return lines


def _rows(content: bytes) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(content.decode(ENCODING), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise _Malformed("not_csv") from None


def _result_line(row: list[str], shop_id: str) -> ResultLine:
    if len(row) != _COLUMNS + 2 or row[0] != shop_id:
        raise _Malformed("malformed:line")
    _, member_id, seq, order_id, amount, tax, used, result, info = row
    codes = tuple(info.split("|")) if info else ()
    is_number = all(_DIGITS.fullmatch(text) for text in (seq, amount, tax))
    if not is_number or not order_id or not all(map(_CODE.fullmatch, codes)):
        raise _Malformed("malformed:line")
    if result not in set(FileResult) or (result == FileResult.CHARGED) == bool(codes):
        raise _Malformed("malformed:result")  # a charge has no code, everything else has one
    try:
        use_date = datetime.strptime(used, "%Y%m%d").date()  # noqa: DTZ007 - a day, no moment
    except ValueError:
        raise _Malformed("malformed:use_date") from None
    line = MonthlyLine(order_id, member_id, int(seq), int(amount), use_date, int(tax))
    return ResultLine(line, FileResult(result), codes)
