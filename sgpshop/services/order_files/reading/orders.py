"""Rows to orders: order columns on every row or the first, bad orders left out whole (§14.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, BinaryIO

from sgpshop.domain.card_data import contains_card_number, mask_card_numbers
from sgpshop.domain.payment_methods import KnownMethods
from sgpshop.domain.row_files import FileRefused, Limits, heading_key
from sgpshop.models import IssueLevel
from sgpshop.services.files.layout import (
    Layout,
    Purpose,
    Row,
    RowsRefused,
    Table,
    layouts,
    recognise,
)
from sgpshop.services.files.layouts import general
from sgpshop.services.files.reading import read_rows
from sgpshop.services.order_files.reading import rows as of_rows
from sgpshop.services.order_files.reading.building import build_order, is_cancelled
from sgpshop.services.order_files.reading.cells import clean
from sgpshop.services.order_files.reading.columns import BY_KEY, COLUMNS, ORDER_NO, Part
from sgpshop.services.order_files.reading.parsed import ParsedOrder, Survey
from sgpshop.services.order_files.reading.rows import FileRow

_VALUES_SHOWN, _LONGEST_SHOWN = 3, 60
_MAX_KINDS = _MAX_DELIVERIES = 50


@dataclass(frozen=True)
class Issue:
    """Something about one line; an ERROR keeps its order out."""

    line: int
    message: str
    level: IssueLevel = IssueLevel.ERROR


@dataclass
class FileOrder:
    """One order as found in the file: `order` is None when it is left out for its `issues`."""

    order_no: str
    line: int
    order: ParsedOrder | None = None
    issues: list[Issue] = field(default_factory=list)
    #: the name of a way of payment of which nobody said yet whether it is ours
    unknown_method: str = ""
    #: whether it is 注文キャンセル there, left out or not; None: the file does not say
    is_cancelled: bool | None = None


@dataclass
class _Group:
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


def survey(
    files: Sequence[BinaryIO],
    limits: Limits,
    mapping: Mapping[str, str] | None = None,
    on_order: Callable[[], None] | None = None,
) -> Survey:
    """Look through whole files; `mapping` says of one that nobody knows which heading a field has.

    `on_order` is called for each order on the way.  Raises FileRefused when they cannot be read to their
    end as orders with the required headings.
    """
    otherwise = _mapped(mapping) if mapping else _GENERAL
    table, groups = _read(files, limits, otherwise, numbers_only=True)
    rows = orders = 0
    seen: set[str] = set()
    scattered: set[str] = set()
    for group in groups:
        rows += len(group.rows)
        orders += 1
        if group.order_no in seen:
            scattered.add(group.order_no)
        seen.add(group.order_no)
        if on_order is not None:
            on_order()
    return Survey(rows, orders, frozenset(scattered), table.layout, tuple(table.unread))


def read_orders(
    files: Sequence[BinaryIO], limits: Limits, found: Survey, methods: KnownMethods
) -> Iterator[FileOrder]:
    """The orders of files that `survey` looked through, one after the other, good and bad."""
    otherwise = _GENERAL if found.layout.signature else found.layout
    table, groups = _read(files, limits, otherwise)
    for group in groups:
        is_scattered = group.order_no in found.scattered
        yield _order(group, table, methods, is_scattered=is_scattered)


def _read(
    files: Sequence[BinaryIO], limits: Limits, otherwise: Layout, *, numbers_only: bool = False
) -> tuple[Table, Iterator[_Group]]:
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
    return "一緒に取り込めないファイルです。ファイルは1つずつ選んでください。"


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
        if len(columns) < len(_REQUIRED):  # whatever a person said of them
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
) -> tuple[Table, Iterator[_Group]]:
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


def _groups(table: Table, rows: _Rows) -> Iterator[_Group]:
    """Adjacent rows with one number; a row without number is one more of the order above."""
    group: _Group | None = None
    for row, problem in rows:
        order_no = row.texts.get("order_no", "")
        if group is None or order_no not in ("", group.order_no):
            if group is not None:
                yield group
            group = _Group(order_no, [], {})
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


def _order(group: _Group, table: Table, methods: KnownMethods, *, is_scattered: bool) -> FileOrder:
    problems = [Issue(line, problem) for line, problem in group.problems.items()]
    try:
        ORDER_NO.parse(group.order_no)
        is_valid = not (
            problems and contains_card_number(group.order_no)
        )  # every row was looked at
    except ValueError:
        is_valid = False
    result = FileOrder(group.order_no if is_valid else "", group.rows[0].line, issues=problems)
    rows = _parsed(group, table, result)
    result.is_cancelled = is_cancelled(rows)
    if is_valid and is_scattered:
        problems += [
            Issue(
                row.line,
                "同じ「注文番号」の行が離れた場所にもあります。1つの注文の行は続けて並べてください。",
            )
            for row in group.rows
        ]
    if _has_error(problems):
        return result
    problems += _empty(rows, table) + _conflicts(rows, table) + _counts(rows)
    if _has_error(problems):
        return result
    order, errors, warnings = build_order(rows, methods)
    if errors:
        problems += [Issue(rows[0].line, message) for message in errors]
    elif order.is_sgp is None:
        result.unknown_method = order.values["method"]
        problems.append(Issue(rows[0].line, ASKED.format(order.values["method"])))
    else:
        result.order = order
        problems += [Issue(rows[0].line, message, IssueLevel.WARNING) for message in warnings]
    return result


ASKED = (
    "決済方法「{}」がSGPカード決済かどうか分からないため、取り込みません。"
    "取込の確認画面か、設定の「注文ファイルの決済方法」で答えてから取り込んでください。"
)


def _has_error(issues: list[Issue]) -> bool:
    return any(issue.level is IssueLevel.ERROR for issue in issues)


def _parsed(group: _Group, table: Table, result: FileOrder) -> list[FileRow]:
    """The rows that are meant, with their values; what is wrong with them is told in `result`."""
    good = [row for row in group.rows if row.line not in group.problems]
    _number_deliveries(good)
    try:
        if good and table.layout.rows is not None:
            good = table.layout.rows(good)
    except RowsRefused as refusal:
        result.issues.append(Issue(group.rows[0].line, refusal.message))
        return []
    parsed = []
    for row in good:
        of_rows.plain(row.texts)
        found = of_rows.parse(row, table)
        result.issues += [Issue(row.line, problem) for problem in found.problems]
        result.issues += [
            Issue(row.line, warning, IssueLevel.WARNING) for warning in found.warnings
        ]
        parsed.append(found)
    return parsed


def _number_deliveries(rows: Sequence[Row]) -> None:
    """Ids that the other program gives its deliveries, as our numbers: 1, 2… where there are several."""
    numbers: dict[str, int] = {}
    for row in rows:
        if key := row.texts.get("delivery_key"):
            numbers.setdefault(key, len(numbers) + 1)
    if len(numbers) > 1:
        for row in rows:
            row.texts["number"] = str(numbers.get(row.texts.get("delivery_key") or "", 1))


def _empty(rows: list[FileRow], table: Table) -> list[Issue]:
    """Required fields that no row of the order says, or an item does not."""
    issues: list[Issue] = []
    if all(_REQUIRED_OF[part] <= row.values(part).keys() for row in rows for part in _REQUIRED_OF):
        return issues
    for column in _REQUIRED:
        silent = [row for row in rows if column.field not in row.values(column.part)]
        if column.part is not Part.ITEM and len(silent) < len(rows):
            continue
        told = silent if column.part is Part.ITEM else silent[:1]
        sentence = f"「{of_rows.title(table, column)}」が空です。" if told else ""
        issues += [Issue(row.line, sentence) for row in told]
    return issues


_REQUIRED = [column for column in COLUMNS if column.required]
_REQUIRED_OF = {
    part: {column.field for column in _REQUIRED if column.part is part}
    for part in (Part.ORDER, Part.ITEM)
}


def _conflicts(rows: list[FileRow], table: Table) -> list[Issue]:
    """Values of an order, or of one of its deliveries, that its rows say differently."""
    if len(rows) == 1:
        return []
    issues = []
    first: dict[Any, tuple[Any, int]] = {}
    for row in rows:
        number = row.delivery.get("number", 0)
        said = [(None, name, value) for name, value in row.order.items()]
        said += [(number, name, value) for name, value in row.delivery.items()]
        for of_delivery, name, value in said:
            other, line = first.setdefault((of_delivery, name), (value, row.line))
            if other != value:
                issues.append(
                    Issue(
                        row.line,
                        f"「{of_rows.title(table, BY_KEY[name])}」が同じ注文の{line}行目と違います。"
                        "同じ値を繰り返してください。",
                    )
                )
    return issues


def _counts(rows: list[FileRow]) -> list[Issue]:
    numbers = {row.delivery.get("number", 0) for row in rows}
    kinds = {(row.item.get("code"), row.item.get("name"), row.item.get("option")) for row in rows}
    issues = []
    if len(kinds) > _MAX_KINDS:
        issues.append(f"「商品名」は1つの注文に{_MAX_KINDS}種類までです。")
    if len(numbers) > _MAX_DELIVERIES:
        issues.append(f"「配送先番号」は1つの注文に{_MAX_DELIVERIES}件までです。")
    if 0 in numbers and len(numbers) > 1:
        issues.append("「配送先番号」は、お届け先が複数のときは1から付けてください。")
    return [Issue(rows[0].line, message) for message in issues]


#: A file of no program we know: by the words it has, ours and those that others use.
_GENERAL = Layout(
    id="",
    program="そのほかの注文ファイル",
    purpose=Purpose.ORDERS,
    signature=(),
    columns=general.COLUMNS,
)


def _mapped(mapping: Mapping[str, str]) -> Layout:
    return replace(_GENERAL, program="登録した対応", columns=mapping)
