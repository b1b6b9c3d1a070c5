"""What the columns of an exported file say about an order, its parcels and its items (§14.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from sgpshop.domain.csv_writing import Value
from sgpshop.domain.payment_status import CAPTURABLE
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Delivery, Order, OrderKind, OrderLine
from sgpshop.models.base import UtcDateTime
from sgpshop.services.order_files.reading import cells
from sgpshop.services.order_files.reading.columns import COLUMNS, FileColumn, Part

if TYPE_CHECKING:
    from sgpshop.services.order_files.exporting.reading import ExportedOrder

#: secret, or said by another column already
_LEFT_OUT = frozenset({"access_pass", "ordered_time", "order_state"})
_OF_TRANSACTION = frozenset({"access_id", "authorized_at", "gateway_amount"})
#: field of an order file -> column of our table, where the names differ
_OTHER_NAMES = {"processing": "processing_class", "is_reduced": "tax_rate"}
#: of an item: whether its rate is the reduced one
_IS_REDUCED = "is_reduced"
#: values that a file has words of its own for
_WORDS: dict[str, Callable[[Any], Value]] = {
    "prices_include_tax": {True: "税込", False: "税別", None: None}.__getitem__,
    _IS_REDUCED: lambda rate: int(rate == 8),
}
#: So many different values are kept with what a file says for them.
_MOST_KEPT = 20_000


_ORDER, _DELIVERY, _ITEM = (
    tuple(c for c in COLUMNS if c.part is part and c.field not in _LEFT_OUT)
    for part in (Part.ORDER, Part.DELIVERY, Part.ITEM)
)

#: What happened since the order came in, and the column it stands in; the importer passes over these.
_OF_SINCE: dict[str, Any] = {
    "修正額": Order.total,
    "SMBC-GP側金額": CardTransaction.gateway_amount,
    "金額送信日時": CardTransaction.amount_sent_at,
    "売上日時": CardTransaction.captured_at,
    "取消日時": CardTransaction.cancelled_at,
    "オーソリ期限": CardTransaction.auth_expires_at,
}
_ERROR_TITLES = ("エラーコード", "エラー内容")

TITLES: tuple[str, ...] = (
    *(column.title for column in (*_ORDER, *_DELIVERY, *_ITEM)),
    *_OF_SINCE,
    *_ERROR_TITLES,
)
#: columns in yen
MONEY = {column.title for column in COLUMNS if column.parse in (cells.yen, cells.reduction)} | {
    "修正額",
    "SMBC-GP側金額",
}


def _attributes(columns: Iterable[FileColumn], model: Any) -> dict[str, Any]:
    """Our column for each of `columns`, by its field, in their order."""
    return {
        column.field: getattr(
            CardTransaction if column.field in _OF_TRANSACTION else model,
            _OTHER_NAMES.get(column.field, column.field),
        )
        for column in columns
    }


def _as_stored(attributes: dict[str, Any]) -> list[sa.Label[Any]]:
    """Read as the database has it: `_Cells` makes times and words of it, once for many alike."""
    return [
        sa.type_coerce(attribute, sa.types.NULLTYPE).label(field)
        for field, attribute in attributes.items()
    ]


_OF_ORDER, _OF_PARCEL, _OF_ITEM = (
    _attributes(columns, model)
    for columns, model in ((_ORDER, Order), (_DELIVERY, Delivery), (_ITEM, OrderLine))
)
#: What is read of each part: its columns as they stand in a file, and what else is asked of it.
ORDER_FIELDS = _as_stored(
    _OF_ORDER | {one.key: one for one in (Order.kind, Order.original_total, *_OF_SINCE.values())}
)
_AT = {field.name: at for at, field in enumerate(ORDER_FIELDS)}
DELIVERY_FIELDS = _as_stored(_OF_PARCEL)
ITEM_FIELDS = _as_stored(_OF_ITEM)


def rows(orders: Sequence[ExportedOrder]) -> Iterator[list[Value]]:
    """One row an item, in the order of TITLES; order and delivery columns repeat."""
    return Rows().of(orders)


def _as_it_is(value: Any) -> Any:
    return value


class Rows:
    """Makes the rows of one file, some hundred orders at once, column by column: what repeats is made once.

    `written` says what stands in it for a value, and `all_written` for each of a list of texts; `together`
    what for the cells of each of some rows, which are the last ones or not.
    """

    def __init__(
        self,
        written: Callable[[Value], Any] = _as_it_is,
        all_written: Callable[[Sequence[str | None]], Sequence[Any]] = _as_it_is,
        together: Callable[[Iterable[Sequence[Any]], bool], list[Any]] = (
            lambda rows, _is_last: [*map(list, rows)]
        ),
    ) -> None:
        self._written, self._together = written, together
        moments = _Kept(_in_turn(_reader(UtcDateTime()), written))  # the same one in many columns
        self._orders, self._parcels, self._items, self._later = (
            _Cells(columns, written, all_written, moments)
            for columns in (_OF_ORDER, _OF_PARCEL, _OF_ITEM, _OF_SINCE)
        )
        [self._no_parcel] = together([[written(None)] * len(_DELIVERY)], False)

    def of(self, orders: Sequence[ExportedOrder]) -> Iterator[Any]:
        """As `rows`."""
        of_orders = self._together(self._orders.of([one.order for one in orders]), False)
        of_parcels = iter(
            self._together(
                self._parcels.of([row for one in orders for row in one.parcels.values()]), False
            )
        )
        of_items = iter(
            self._together(self._items.of([line for one in orders for line in one.lines]), False)
        )
        no_parcel = self._no_parcel
        for exported, of_order, since in zip(orders, of_orders, self._since(orders), strict=True):
            of_number = {number: next(of_parcels) for number in exported.parcels}
            for line in exported.lines:
                of_parcel = of_number.get(line[-2], no_parcel)  # delivery_number (reading.py)
                yield of_order + of_parcel + next(of_items) + since

    def _since(self, orders: Sequence[ExportedOrder]) -> list[Any]:
        told = [[*map(tell, (one.order for one in orders))] for tell in _SINCE]
        cells = [*self._later.columns(told), *self._errors(orders)]
        return self._together(zip(*cells, strict=True), True)

    def _errors(self, orders: Sequence[ExportedOrder]) -> Iterator[Sequence[Any]]:
        words = [
            ("|".join(one.error.codes), one.error.sentence) if one.error else ("", "")
            for one in orders
        ]
        for column in zip(*words, strict=True):
            yield [*map(self._written, column)]


class _Cells:
    """What a file says for the columns of one part."""

    def __init__(
        self,
        attributes: dict[str, Any],
        form: Callable[[Value], Any],
        all_texts: Callable[[Sequence[str | None]], Sequence[Any]],
        moments: _Kept,
    ) -> None:
        self._all_texts = all_texts
        #: Of each column, for what is stored for a time or word may be a text of people elsewhere.
        self._kept: list[_Kept] = []
        #: Places of columns that are mostly other texts in each row.
        self._varied: set[int] = set()
        self._may_vary: set[int] = set()
        for at, (field, attribute) in enumerate(attributes.items()):
            if isinstance(attribute.type, UtcDateTime):
                kept = moments
            elif field in _WORDS:
                kept = _Kept(_in_turn(_WORDS[field], form))
            elif isinstance(attribute.type, sa.Enum | sa.Date):
                kept = _Kept(_in_turn(_reader(attribute.type), form))
            else:
                kept = _Kept(form, {True: form(1), False: form(0)})
                if isinstance(attribute.type, sa.String):
                    self._may_vary.add(at)
            self._kept.append(kept)

    def of(self, rows: Sequence[Sequence[Any]]) -> Iterable[Sequence[Any]]:
        """The cells of rows of the database."""
        return zip(*self.columns(zip(*rows, strict=True)), strict=True)

    def columns(self, columns: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """The cells of each column."""
        for at, (kept, values) in enumerate(zip(self._kept, columns, strict=False)):
            if at in self._varied:
                yield self._all_texts(values)
                continue
            before = len(kept)
            yield [*map(kept.__getitem__, values)]
            if at in self._may_vary and len(kept) - before > len(values) / 2:
                self._varied.add(at)
                kept.clear()


def _reader(kind: sa.types.TypeEngine[Any]) -> Callable[[Any], Value]:
    """What makes a value of what is stored; words are as the screen says them."""
    dialect = db.engine.dialect
    read = kind.dialect_impl(dialect).result_processor(dialect, None)
    return _label if read is None else lambda stored: _label(read(stored))


def _in_turn(words: Callable[[Any], Value], form: Callable[[Value], Any]) -> Callable[[Any], Any]:
    return lambda value: form(words(value))


class _Kept(dict[Any, Any]):
    """Values and what is made of them, as long as there are not too many."""

    def __init__(self, made: Callable[[Any], Any], always: dict[Any, Any] | None = None) -> None:
        super().__init__(always or {})
        self._made, self._always = made, always or {}

    def __missing__(self, value: Any) -> Any:
        if len(self) >= _MOST_KEPT:
            self.clear()
            self.update(self._always)
        made = self[value] = self._made(value)
        return made


def _label(word: Any) -> Value:
    """As the screen says it; a word of another version of this program is itself."""
    label: str | None = getattr(word, "label", word)
    return label


_first_total, _total, _kind, _status, _held_until = (
    itemgetter(_AT[name])
    for name in ("original_total", "total", "kind", "payment_status", "auth_expires_at")
)


def _correction(order: Sequence[Any]) -> int | None:
    """The corrected total, where there was a correction (R64)."""
    first, total = _first_total(order), _total(order)
    return total if first is not None and first != total else None


def _deadline(order: Sequence[Any]) -> Any:
    """The end of the hold, where one is waited for (R111, R130)."""
    is_waited_for = _status(order) in CAPTURABLE and _kind(order) == OrderKind.NORMAL
    return _held_until(order) if is_waited_for else None


#: What is told of an order for each of `_OF_SINCE`.
_SINCE: list[Callable[[Sequence[Any]], Any]] = [
    {"修正額": _correction, "オーソリ期限": _deadline}.get(title) or itemgetter(_AT[column.key])
    for title, column in _OF_SINCE.items()
]
