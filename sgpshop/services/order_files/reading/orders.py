"""Rows to orders: order columns on every row or the first, bad orders left out whole (§14.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from sgpshop.domain.card_data import contains_card_number
from sgpshop.domain.payment_methods import KnownMethods
from sgpshop.domain.row_files import Limits
from sgpshop.domain.spreadsheets import alike_but_for_zeros, shows_zeros
from sgpshop.models import IssueLevel
from sgpshop.services.files.layout import Row, RowsRefused, Table
from sgpshop.services.order_files.reading import rows as of_rows
from sgpshop.services.order_files.reading.building import (
    build_order,
    is_cancelled,
    is_failed,
    is_paid,
    named_access,
)
from sgpshop.services.order_files.reading.columns import BY_KEY, ORDER_NO, REQUIRED, Part
from sgpshop.services.order_files.reading.groups import GENERAL, Group, mapped, read_groups
from sgpshop.services.order_files.reading.parsed import ParsedOrder, Survey
from sgpshop.services.order_files.reading.rows import FileRow

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
    #: whether it is 売上失敗 there, left out or not
    is_failed: bool = False
    #: whether it is paid there, or what transaction it names, left out or not
    is_paid: bool = False
    access_id: str = ""


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
    otherwise = mapped(mapping) if mapping else GENERAL
    table, groups = read_groups(files, limits, otherwise, numbers_only=True)
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
    with_zeros = {number for number in seen if shows_zeros(number)}
    twins = {
        one
        for number in with_zeros
        for other in alike_but_for_zeros(number)
        if other in seen
        for one in (number, other)
    }
    return Survey(
        rows,
        orders,
        frozenset(scattered),
        table.layout,
        tuple(table.unread),
        keeps_zeros=bool(with_zeros),
        twins=frozenset(twins),
    )


def read_orders(
    files: Sequence[BinaryIO], limits: Limits, found: Survey, methods: KnownMethods
) -> Iterator[FileOrder]:
    """The orders of files that `survey` looked through, one after the other, good and bad."""
    otherwise = GENERAL if found.layout.signature else found.layout
    table, groups = read_groups(files, limits, otherwise)
    for group in groups:
        is_scattered = group.order_no in found.scattered
        one = _order(group, table, methods, is_scattered=is_scattered)
        if one.order is not None and found.keeps_zeros:
            has_twin = one.order_no in found.twins
            one.order = replace(one.order, keeps_zeros=True, has_twin=has_twin)
        yield one


def _order(group: Group, table: Table, methods: KnownMethods, *, is_scattered: bool) -> FileOrder:
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
    result.is_failed, result.is_paid = is_failed(rows), is_paid(rows)
    result.access_id = named_access(rows)
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
        result.order = replace(order, fills=table.layout.fills) if table.layout.fills else order
        problems += [Issue(rows[0].line, message, IssueLevel.WARNING) for message in warnings]
    return result


ASKED = (
    "決済方法「{}」がSGPカード決済かどうか分からないため、取り込みません。"
    "取込の確認画面か、設定の「注文ファイルの決済方法」で答えてから取り込んでください。"
)


def _has_error(issues: list[Issue]) -> bool:
    return any(issue.level is IssueLevel.ERROR for issue in issues)


def _parsed(group: Group, table: Table, result: FileOrder) -> list[FileRow]:
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
    if all(row.order.keys() >= _OF_ORDER and row.item.keys() >= _OF_ITEM for row in rows):
        return issues
    for column in REQUIRED:
        silent = [row for row in rows if column.field not in row.values(column.part)]
        if column.part is not Part.ITEM and len(silent) < len(rows):
            continue
        told = silent if column.part is Part.ITEM else silent[:1]
        sentence = f"「{of_rows.title(table, column)}」が空です。" if told else ""
        issues += [Issue(row.line, sentence) for row in told]
    return issues


_OF_ORDER, _OF_ITEM = (
    {column.field for column in REQUIRED if column.part is part} for part in (Part.ORDER, Part.ITEM)
)


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
