"""取引一覧と突き合わせ: the transaction list of SMBC-GP's console beside our orders (R122).

A file is a claim like a notification (P24): it never sets a status.  What differs is looked up, and
the look-up decides.  Nothing of the file is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO

import sqlalchemy as sa

from sgpshop.domain.amounts import yen_in
from sgpshop.domain.card_data import mask_card_numbers
from sgpshop.domain.errors import ShopError
from sgpshop.domain.order_number import as_later, at_gateway
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import agrees
from sgpshop.domain.row_files import FileRefused, Limits, Record
from sgpshop.domain.text import nfkc
from sgpshop.extensions import db
from sgpshop.gateway import TradeState
from sgpshop.models import SGP_METHOD, Attempt, CardTransaction, Order, OrderKind
from sgpshop.services.files.layout import Purpose, Table, layouts, recognise
from sgpshop.services.files.layouts import e01_console
from sgpshop.services.files.reading import read_rows
from sgpshop.services.payments import transaction_lookup, unknown_numbers
from sgpshop.services.payments.transactions import event_of
from sgpshop.storage.among import among

_CHUNK = 400
_ORDER_ID = re.compile(r"[A-Za-z0-9-]{1,27}")
_MOST_YEN = 99_999_999

_REQUIRED = {"order_id": "オーダーID", "state": "状態", "amount": "金額"}

#: The console's words for a state (R120, protocol.md §3.1) besides TradeState's own.
_WORDS = {
    "要求成功": TradeState.AUTHENTICATED,
    "決済失敗": TradeState.UNPROCESSED,
    "期限切れ": TradeState.AUTH,  # a hold past its term stays 仮売上 (R121)
    "仮売上取消": TradeState.VOID,
    "売上取消": TradeState.VOID,
    "取消": TradeState.VOID,
    "キャンセル": TradeState.CANCEL,
}
_STATES: dict[str, TradeState] = {
    state.label: state for state in TradeState if state is not TradeState.UNKNOWN
}
_STATES |= {state.value: state for state in TradeState if state is not TradeState.UNKNOWN}
_STATES |= _WORDS


@dataclass(frozen=True)
class ConsoleRow:
    """One row of the file: a transaction as the console lists it, amount in yen with tax."""

    line: int
    order_id: str
    word: str
    state: TradeState
    amount: int


@dataclass(frozen=True)
class Difference:
    """One order for which the file says something else than we do."""

    listed: ConsoleRow
    order_no: str
    payment_status: PaymentStatus
    #: yen we think SMBC-GP holds, and the order's own total
    gateway_amount: int | None
    total: int
    why: str


@dataclass
class FileComparison:
    """What a file came to."""

    rows: int = 0
    agreeing: int = 0
    #: an operation is under way or in doubt: its own look-ups decide
    open: list[Difference] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    #: an order of ours, but a transaction of it that we do not know (R106)
    unknown_transactions: list[tuple[ConsoleRow, str]] = field(default_factory=list)
    #: an order of ours that came in as another way of payment: it can be made a card order
    taken_otherwise: list[tuple[ConsoleRow, str]] = field(default_factory=list)
    gateway_only: list[ConsoleRow] = field(default_factory=list)
    #: line and sentence
    mistakes: list[tuple[int, str]] = field(default_factory=list)
    #: how many look-ups were planned
    planned: int = 0


def compare(stream: BinaryIO, limits: Limits) -> FileComparison:
    """Compare every row with our orders, and plan a look-up for every transaction that differs.

    Raises FileRefused, with nothing planned, when the file as a whole cannot be read (S17).
    """
    result = FileComparison()
    listed = list(_rows(stream, limits, result))
    result.rows = len(listed) + len(result.mistakes)
    to_look_up: list[int] = []
    for start in range(0, len(listed), _CHUNK):
        chunk = listed[start : start + _CHUNK]
        numbers = [row.order_id for row in chunk]
        known, shortened = _known(numbers), _shortened(numbers)
        for row in chunk:
            _sort_in(row, known, shortened, result, to_look_up)
    _find_taken_otherwise(result)
    for row, _ in result.unknown_transactions:
        with suppress(ShopError):  # all its numbers are used up: the list names it all the same
            to_look_up += unknown_numbers.keep_named(row.order_id)
    if to_look_up:
        result.planned = transaction_lookup.look_soon_at(sorted(set(to_look_up)))
    return result


def _find_taken_otherwise(result: FileComparison) -> None:
    """Of the transactions without an order of SGP card, those whose number an order has all the same."""
    ours: dict[str, str] = {}
    numbers = [row.order_id for row in result.gateway_only]
    for start in range(0, len(numbers), _CHUNK):
        wanted = [text for one in numbers[start : start + _CHUNK] for text in (one, f"#{one}")]
        query = sa.select(Order.order_no).where(
            among(Order.order_no, wanted), Order.method != SGP_METHOD
        )
        ours |= {at_gateway(order_no): order_no for order_no in db.session.scalars(query)}
    result.taken_otherwise = [
        (row, ours[row.order_id]) for row in result.gateway_only if row.order_id in ours
    ]
    result.gateway_only = [row for row in result.gateway_only if row.order_id not in ours]


@dataclass(frozen=True)
class _BookedOrder:
    transaction_id: int
    order_no: str
    kind: OrderKind
    payment_status: PaymentStatus
    is_current: bool
    is_charge: bool
    gateway_amount: int | None
    total: int
    is_busy: bool


def _sort_in(
    row: ConsoleRow,
    known: Mapping[str, _BookedOrder],
    shortened: Mapping[str, str],
    result: FileComparison,
    to_look_up: list[int],
) -> None:
    ours = known.get(row.order_id)
    if ours is None:
        belongs = as_later(row.order_id)
        parent = known.get(belongs[0]) if belongs else None
        order_no = parent.order_no if parent else shortened.get(belongs[0] if belongs else "")
        if order_no is None:
            result.gateway_only.append(row)
        else:
            result.unknown_transactions.append((row, order_no))
        return
    why = _why(row, ours)
    if not why:
        result.agreeing += 1
        if row.state.is_live and ours.gateway_amount is None and not ours.is_busy:
            to_look_up.append(
                ours.transaction_id
            )  # nobody asked yet: no difference, but to be known
        return
    found = Difference(
        row, ours.order_no, ours.payment_status, ours.gateway_amount, ours.total, why
    )
    if ours.is_busy:
        result.open.append(found)
    else:
        result.differences.append(found)
        to_look_up.append(ours.transaction_id)


def _why(row: ConsoleRow, ours: _BookedOrder) -> str:
    if (
        not ours.is_current
    ):  # an earlier try: what counts came after it, so nothing may be left here
        return "いまの決済とは別の取引が残っています" if row.state.is_live else ""
    if not agrees(ours.payment_status, event_of(row.state, ours)):
        return "状態が異なります"
    has_amount = row.state.is_authorized or row.state.is_captured
    is_other = ours.gateway_amount not in (None, row.amount)
    return "金額が異なります" if has_amount and is_other else ""


def _known(order_ids: Sequence[str]) -> dict[str, _BookedOrder]:
    """Our transactions by their order id at the gateway, those without a suffix included."""
    wanted = set(order_ids)
    wanted |= {found[0] for text in order_ids if (found := as_later(text))}
    rows = db.session.execute(
        sa.select(
            CardTransaction.gateway_order_id,
            CardTransaction.id,
            Order.order_no,
            Order.kind,
            Order.payment_status,
            CardTransaction.is_current,
            CardTransaction.is_charge,
            CardTransaction.gateway_amount,
            Order.total,
            Attempt.id.is_not(None),
        )
        .join(Order, Order.id == CardTransaction.order_id)
        .outerjoin(Order.open_attempt)
        .where(CardTransaction.gateway_order_id.in_(sorted(wanted)), Order.method == SGP_METHOD)
    )
    return {row[0]: _made(*row[1:]) for row in rows}


def _shortened(order_ids: Sequence[str]) -> dict[str, str]:
    """Our card orders whose number is too long for a suffix, by what their later numbers begin with."""
    stems = {found[0] for text in order_ids if (found := as_later(text))}
    rows = db.session.execute(
        sa.select(Order.later_stem, Order.order_no).where(
            Order.later_stem.in_(sorted(stems)), Order.method == SGP_METHOD
        )
    )
    return {str(stem): order_no for stem, order_no in rows}


#: The statement gives the fields by position; a checker cannot follow that.
_made: Callable[..., _BookedOrder] = _BookedOrder


def _rows(stream: BinaryIO, limits: Limits, result: FileComparison) -> Iterator[ConsoleRow]:
    table = recognise(
        read_rows(stream, limits),
        layouts(Purpose.CONSOLE),
        e01_console.LAYOUT,
        telling=("state", "amount"),
    )
    missing = [title for name, title in _REQUIRED.items() if not table.places(name)]
    if missing:
        raise FileRefused(
            f"1行目に必要な項目名がありません: {'、'.join(missing)}。{table.layout.export}"
        )
    seen: dict[str, int] = {}
    for record in table.rows:
        row = _row(record, table, limits)
        if isinstance(row, str):
            result.mistakes.append((record.line, row))
        elif row.order_id in seen:
            result.mistakes.append(
                (record.line, f"オーダーID {row.order_id} は{seen[row.order_id]}行目にもあります。")
            )
        else:
            seen[row.order_id] = row.line
            yield row


def _row(record: Record, table: Table, limits: Limits) -> ConsoleRow | str:
    """The row, or the sentence that says why it cannot be used; of its other cells nothing is kept."""
    width, cells = len(table.headings), record.cells
    if len(cells) < width or any(cells[width:]):
        return f"項目の数が項目名の行と異なります({len(cells)}個、項目名は{width}個)。"
    if limits.max_cell is not None and any(len(cell) > limits.max_cell for cell in cells):
        return f"{limits.max_cell:,}文字を超える項目があります。"
    cell = table.texts(record, _plain)
    if not _ORDER_ID.fullmatch(cell["order_id"]):
        return "オーダーIDは半角英数字とハイフン、27文字以内です。"
    if mask_card_numbers(cell["order_id"]) != cell["order_id"]:
        return "オーダーIDにカード番号と思われる値があります。"  # S11
    state = _STATES.get(cell["state"])
    if state is None:
        word = mask_card_numbers(cell["state"])[:20]
        return f"状態「{word}」は知らない言葉です。この行は照合していません。"
    amounts = [yen_in(cell.get(name) or "0") for name in ("amount", "tax")]
    if any(yen is None or not 0 <= yen <= _MOST_YEN for yen in amounts):
        return "金額は0以上の整数で入力してください。"
    return ConsoleRow(
        record.line, cell["order_id"], cell["state"], state, sum(filter(None, amounts))
    )


def _plain(text: str) -> str:
    """Without the differences of width and the guard a spreadsheet needs ("'", S18)."""
    return nfkc(text).strip().removeprefix("'")
