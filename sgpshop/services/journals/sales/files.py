"""売上集計 as a file: a row a day and one of the month, in CSV or for Excel."""

from __future__ import annotations

import io
from collections.abc import Iterator

from sgpshop.domain.csv_writing import Value, csv_file
from sgpshop.services.journals.sales.month import MonthOfSales

TITLES = (
    "日付",
    "実売上件数",
    "実売上",
    "返金件数",
    "返金",
    "差引",
    "うち8%対象",
    "うち10%対象",
    "うち定期件数",
    "うち定期",
    "うち0%対象",
)


def rows(found: MonthOfSales) -> Iterator[list[Value]]:
    """One row a day, in the order of TITLES, then 合計."""
    for line in (*found.days, found.whole):
        yield [
            line.day or "合計",
            line.sales,
            line.sold,
            line.refunds,
            line.given_back,
            line.total,
            line.at_8,
            line.at_10,
            line.subscriptions,
            line.subscribed,
            line.at_0,
        ]


def as_csv(found: MonthOfSales) -> bytes:
    """UTF-8 with mark, days of Japan, yen as numbers."""
    return b"".join(csv_file(TITLES, [rows(found)]))


def as_excel(found: MonthOfSales) -> bytes:
    """The same as a workbook of one sheet."""
    import xlsxwriter  # type: ignore[import-untyped]  # for a book alone

    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet(f"{found.first:%Y-%m}")
    bold = book.add_format({"bold": True, "bottom": 1})
    day, yen = (book.add_format({"num_format": form}) for form in ("yyyy/mm/dd", "#,##0"))
    sheet.freeze_panes(1, 1)
    sheet.set_column(0, len(TITLES) - 1, 13)
    sheet.write_row(0, 0, TITLES, bold)
    for number, (first, *figures) in enumerate(rows(found), start=1):
        if isinstance(first, str):
            sheet.write_string(number, 0, first, bold)
        else:
            sheet.write_datetime(number, 0, first, day)
        sheet.write_row(number, 1, figures, yen)
    book.close()
    return out.getvalue()


def file_name(found: MonthOfSales, kind: str) -> str:
    """Under which it is saved."""
    return f"sales-{found.first:%Y%m}.{kind}"
