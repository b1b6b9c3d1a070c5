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


def rows(orders: Iterable[ExportedOrder]) -> Iterator[list[Value]]:
    """One row an item, in the order of TITLES; order and delivery columns repeat."""
    return Rows().of(orders)


class Rows:
    """Makes the rows of one file.

    `written` says what stands in it for a value, `together` what for some cells of a row, which are
    the last ones or not: what repeats is made once.
    """

    def __init__(
        self,
        written: Callable[[Value], Any] = lambda value: value,
        together: Callable[[list[Any], bool], Any] = lambda cells, _is_last: cells,
    ) -> None:
        self._written, self._together = written, together
        moments = _Kept(_in_turn(_reader(UtcDateTime()), written))  # the same one in many columns
        self._orders = _Cells(_OF_ORDER, written, moments)
        self._parcels = _Cells(_OF_PARCEL, written, moments)
        self._items = _Cells(_OF_ITEM, written, moments)
        self._later = _Cells(_OF_SINCE, written, moments)
        self._no_parcel = together([written(None)] * len(_DELIVERY), False)

    def of(self, orders: Iterable[ExportedOrder]) -> Iterator[Any]:
        """As `rows`."""
        together, no_parcel, item = self._together, self._no_parcel, self._items.of
        for exported in orders:
            of_order = together(self._orders.of(exported.order), False)
            since = together(self._since(exported), True)
            parcels = {
                number: together(self._parcels.of(parcel), False)
                for number, parcel in exported.parcels.items()
            }
            for line in exported.lines:
                of_parcel = parcels.get(line[-2], no_parcel)  # delivery_number (reading.py)
                yield of_order + of_parcel + together(item(line), False) + since

    def _since(self, exported: ExportedOrder) -> list[Any]:
        error = exported.error
        words = ("|".join(error.codes), error.sentence) if error else ("", "")
        of_order = self._later.of([told(exported.order) for told in _SINCE])
        return of_order + [self._written(word) for word in words]


class _Cells:
    """What a file says for the columns of one part."""

    def __init__(
        self, attributes: dict[str, Any], form: Callable[[Value], Any], moments: _Kept
    ) -> None:
        self._width = len(attributes)
        self._plain = _Kept(form, {True: form(1), False: form(0)})
        #: Times and words have each their own: what is stored for one may be a text of people elsewhere.
        self._special: list[tuple[int, _Kept]] = []
        for at, (field, attribute) in enumerate(attributes.items()):
            if isinstance(attribute.type, UtcDateTime):
                self._special.append((at, moments))
            elif field in _WORDS:
                self._special.append((at, _Kept(_in_turn(_WORDS[field], form))))
            elif isinstance(attribute.type, sa.Enum | sa.Date):
                self._special.append((at, _Kept(_in_turn(_reader(attribute.type), form))))

    def of(self, row: Sequence[Any]) -> list[Any]:
        """The cells of one row of the database."""
        cells = list(map(self._plain.__getitem__, row[: self._width]))
        for at, kept in self._special:
            cells[at] = kept[row[at]]
        return cells


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
