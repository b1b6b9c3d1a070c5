"""Rows to orders: one row per item, order columns repeated, bad orders left out whole (§14.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from sgpshop.domain.csv_reading import Limits
from sgpshop.models import IssueLevel
from sgpshop.services.order_files.reading.building import build_order
from sgpshop.services.order_files.reading.columns import COLUMNS, Part
from sgpshop.services.order_files.reading.parsed import ParsedOrder, Survey
from sgpshop.services.order_files.reading.rows import FileRow, number_in, parse_row, read_records

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


def survey(stream: BinaryIO, limits: Limits) -> Survey:
    """Look through a whole file and rewind it.

    Raises FileRefused when the file cannot be read to its end as CSV with the required heading.
    """
    heading, records = read_records(stream, limits)
    rows = orders = 0
    seen: set[str] = set()
    scattered: set[str] = set()
    last = None
    for record in records:
        rows += 1
        order_no = number_in(heading, record) or last or ""
        if order_no != last:
            orders += 1
            if order_no in seen:
                scattered.add(order_no)
            seen.add(order_no)
        last = order_no
    stream.seek(0)
    return Survey(rows, orders, frozenset(scattered))


def read_orders(stream: BinaryIO, limits: Limits, found: Survey) -> Iterator[FileOrder]:
    """The orders of a file that `survey` looked through, one after the other, good and bad."""
    for order_no, rows in _groups(stream, limits):
        yield _order(order_no, rows, is_scattered=order_no in found.scattered)


def _groups(stream: BinaryIO, limits: Limits) -> Iterator[tuple[str, list[FileRow]]]:
    """Adjacent rows with one number; a row without number counts as bad row of the order above."""
    heading, records = read_records(stream, limits)
    order_no, rows = "", list[FileRow]()
    for record in records:
        row = parse_row(heading, record, limits.max_cell)
        if rows and row.order_no not in ("", order_no):
            yield order_no, rows
            rows = []
        order_no = row.order_no or order_no
        rows.append(row)
    if rows:
        yield order_no, rows


def _order(order_no: str, rows: list[FileRow], *, is_scattered: bool) -> FileOrder:
    problems = [Issue(row.line, problem) for row in rows for problem in row.problems]
    is_valid = any(row.has_valid_number for row in rows)
    result = FileOrder(order_no if is_valid else "", rows[0].line, issues=problems)
    if is_valid and is_scattered:
        problems += [
            Issue(
                row.line,
                "同じ「注文番号」の行が離れた場所にもあります。1つの注文の行は続けて並べてください。",
            )
            for row in rows
        ]
    if problems:
        return result
    problems += _conflicts(rows, Part.ORDER) + _conflicts(rows, Part.DELIVERY) + _counts(rows)
    if problems:
        return result
    order, errors, warnings = build_order(rows)
    if errors:
        problems += [Issue(rows[0].line, message) for message in errors]
    else:
        result.order = order
        problems += [Issue(rows[0].line, message, IssueLevel.WARNING) for message in warnings]
    return result


def _conflicts(rows: list[FileRow], part: Part) -> list[Issue]:
    """Columns that should repeat but do not: per order, or per delivery of an order."""
    issues = []
    first: dict[Any, FileRow] = {}
    for row in rows:
        key = row.delivery.get("number", 0) if part is Part.DELIVERY else None
        other = first.setdefault(key, row)
        mine, theirs = row.values(part), other.values(part)
        if mine != theirs:
            issues += [
                Issue(
                    row.line,
                    f"「{column.title}」が同じ注文の{other.line}行目と違います。"
                    "同じ値を繰り返してください。",
                )
                for column in COLUMNS
                if column.part is part and mine.get(column.field) != theirs.get(column.field)
            ]
    return issues


def _counts(rows: list[FileRow]) -> list[Issue]:
    numbers = {row.delivery.get("number", 0) for row in rows}
    kinds = {(row.item.get("code"), row.item["name"], row.item.get("option")) for row in rows}
    issues = []
    if len(kinds) > _MAX_KINDS:
        issues.append(f"「商品名」は1つの注文に{_MAX_KINDS}種類までです。")
    if len(numbers) > _MAX_DELIVERIES:
        issues.append(f"「配送先番号」は1つの注文に{_MAX_DELIVERIES}件までです。")
    if 0 in numbers and len(numbers) > 1:
        issues.append("「配送先番号」は、お届け先が複数のときは1から付けてください。")
    return [Issue(rows[0].line, message) for message in issues]
