"""Files to the rows of one order after the other, still as text: which columns they have, and what belongs together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import BinaryIO

from sgpshop.domain.card_data import mask_card_numbers
from sgpshop.domain.row_files import FileRefused, Limits, heading_key
from sgpshop.services.files.layout import Layout, Purpose, Row, Table, layouts, recognise
from sgpshop.services.files.layouts import general
from sgpshop.services.files.reading import read_rows
from sgpshop.services.order_files.reading import rows as of_rows
from sgpshop.services.order_files.reading.cells import clean
from sgpshop.services.order_files.reading.columns import COLUMNS, ORDER_NO, REQUIRED, Part

_VALUES_SHOWN, _LONGEST_SHOWN = 3, 60


@dataclass
class Group:
    """The rows of one order, and why single ones cannot be used."""

    order_no: str
    rows: list[Row]
    problems: dict[int, str]


class UnknownLayout(FileRefused):
    """A file of no program we know, without the headings we need: a person may say what is what."""

    def __init__(self, message: str, columns: list[tuple[str, list[str]]]) -> None:
        super().__init__(message)
        #: headings with their first values
        self.columns = columns


#: A file of no program we know: by the words it has, ours and those that others use.
GENERAL = Layout(
    id="",
    program="そのほかの注文ファイル",
    purpose=Purpose.ORDERS,
    signature=(),
    columns=general.COLUMNS,
)


def mapped(mapping: Mapping[str, str]) -> Layout:
    """The layout of a file of which a person said which heading a field has."""
    return replace(GENERAL, program="登録した対応", columns=mapping)


def read_groups(
    files: Sequence[BinaryIO], limits: Limits, otherwise: Layout, *, numbers_only: bool = False
) -> tuple[Table, Iterator[Group]]:
    """The table of the orders, and their rows in groups; two files that belong together are one.

    `numbers_only`: nothing but the order numbers is looked at, which is much faster.
    """
    known = layouts(Purpose.ORDERS, Purpose.ITEMS)
    read = _numbers if numbers_only else partial(_rows, max_cell=limits.max_cell)
    tables = []
    for file in files:
        file.seek(0)
        tables.append(
            recognise(read_rows(file, limits), known, otherwise, telling=("total", "unit_price"))
        )
        _require_unambiguous(tables[-1])
    orders = [table for table in tables if table.layout.purpose is Purpose.ORDERS]
    items = {table.layout.id: table for table in tables if table.layout.purpose is Purpose.ITEMS}
    if len(orders) != 1 or len(items) != len(tables) - 1 or set(items) - {orders[0].layout.partner}:
        raise FileRefused(_which_files(tables))
    table = orders[0]
    if table.layout.partner:
        if table.layout.partner not in items:
            raise FileRefused(_which_files(tables))
        return _joined(table, items[table.layout.partner], read)
    _require_fields(table)
    return table, _groups(table, read(table))


def _which_files(tables: Sequence[Table]) -> str:
    layout = tables[0].layout
    if layout.partner and len(tables) == 1:
        return (
            f"「{layout.program}」のファイルだけでは取り込めません。もう1つのファイルも一緒に選んでください。"
            + layout.export
        )
    names = "と".join(f"「{table.layout.program}」" for table in tables)
    return f"{names}のファイルは、一緒に取り込めません。ファイルは1つずつ選んでください。"


def _require_fields(table: Table) -> None:
    if missing := of_rows.missing(table):
        layout = table.layout
        which = f"「{layout.program}」のファイルのようですが、" if layout.signature else "1行目に"
        message = f"{which}必要な項目名がありません: {'、'.join(missing)}。" + (
            layout.export or "1行目には項目名(注文番号、注文日時など)を入れてください。"
        )
        if layout.signature:
            raise FileRefused(message)
        columns = _columns(table)
        if len(columns) < len(REQUIRED):  # whatever a person said of them
            raise FileRefused(
                f"{message}伝票番号のファイルは、「伝票番号一括ステータス変更機能」の「ファイル・貼り付け」で選んでください。"
            )
        raise UnknownLayout(message, columns)


def _columns(table: Table) -> list[tuple[str, list[str]]]:
    """Every heading with the first values under it, card numbers masked (S11); each heading once."""
    rows = list(islice(table.rows, _VALUES_SHOWN))
    found: dict[str, list[str]] = {}
    for n, heading in enumerate(table.headings):
        values = [row.cells[n].strip() for row in rows if n < len(row.cells)]
        name = mask_card_numbers(heading.strip())[:_LONGEST_SHOWN]
        if name:
            found.setdefault(name, [mask_card_numbers(v)[:_LONGEST_SHOWN] for v in values if v])
    return list(found.items())


def _require_unambiguous(table: Table) -> None:
    """Of other headings that stand twice the first counts: those of a delivery come behind (§1)."""
    needed = {place for column in COLUMNS if column.required for place in table.places(column.key)}
    keys = [heading_key(name) for name in table.headings]
    if twice := [table.headings[n].strip() for n in sorted(needed) if keys.count(keys[n]) > 1]:
        raise FileRefused(
            f"1行目に同じ項目名が2回あります: {'、'.join(twice)}。どちらを使うか決められません。"
        )


#: Rows, and why single ones cannot be used.
_Rows = Iterator[tuple[Row, str]]


def _rows(table: Table, max_cell: int | None) -> _Rows:
    for record in table.rows:
        row = Row(record.line, table.texts(record, clean))
        yield row, of_rows.wrong_shape(table, record, max_cell)


def _numbers(table: Table) -> _Rows:
    numbers = table.only(ORDER_NO.key)
    return ((Row(record.line, numbers.texts(record, clean)), "") for record in table.rows)


def _joined(
    orders: Table, items: Table, read: Callable[[Table], _Rows]
) -> tuple[Table, Iterator[Group]]:
    """Every item with what is said of its order in the other file."""
    known: dict[str, tuple[Row, str]] = {}
    for row, problem in read(orders):
        first, before = known.setdefault(row.texts.get("order_no", ""), (row, ""))
        if first.texts != row.texts:
            problem = problem or f"同じ注文の{first.line}行目と{row.line}行目の内容が違います。"
        known[row.texts.get("order_no", "")] = (first, before or problem)
    table = Table(
        orders.layout,
        [*items.headings, *orders.headings],
        iter(()),
        _places=orders.moved(len(items.headings)) | items.moved(0),
    )
    _require_fields(table)

    def rows() -> _Rows:
        last = ""
        for item, problem in read(items):
            order_no = item.texts["order_no"] = item.texts.get("order_no") or last
            order, theirs = known.get(order_no, (None, ""))
            if order is None:
                problem = problem or "もう1つのファイルに、この注文番号の注文がありません。"
            yield Row(item.line, (order.texts if order else {}) | item.texts), problem or theirs
            last = order_no
            used.add(order_no)
        for order_no, (order, problem) in known.items():
            if order_no not in used:
                yield order, problem or "もう1つのファイルに、この注文の商品がありません。"

    used: set[str] = set()
    return table, _groups(table, rows())


def _groups(table: Table, rows: _Rows) -> Iterator[Group]:
    """Adjacent rows with one number; a row without number is one more of the order above."""
    group: Group | None = None
    for row, problem in rows:
        order_no = row.texts.get("order_no", "")
        if group is None or order_no not in ("", group.order_no):
            if group is not None:
                yield group
            group = Group(order_no, [], {})
        if not order_no and not problem and (not group.order_no or _speaks_of_order(row)):
            problem = f"「{of_rows.title(table, ORDER_NO)}」が空です。"
        group.rows.append(row)
        if problem:
            group.problems[row.line] = problem
    if group is not None:
        yield group


def _speaks_of_order(row: Row) -> bool:
    """Whether a row without number is more than one more item of the order above."""
    return any(row.texts.get(column.key) for column in COLUMNS if column.part is Part.ORDER)
