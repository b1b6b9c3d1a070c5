"""Order files for tests: a row with everything that is required, and what a test wants different."""

from __future__ import annotations

import csv
import io
from typing import Any

#: One item of one order, as the cart exports it.
ROW = {
    "注文番号": "P261123101500000001",
    "注文日時": "2026/11/23 10:15",
    "決済方法": "SGP:カード決済",
    "合計金額": "2500",
    "商品名": "煎茶",
    "単価": "1000",
    "数量": "2",
    "送料": "500",
}


def row(**cells: str) -> dict[str, str]:
    """A row that can be taken in, with `cells` on top."""
    return ROW | cells


def number(n: int) -> str:
    """The n-th order number."""
    return f"P2611231015{n:08d}"


def csv_file(*rows: dict[str, str], encoding: str = "cp932", **options: Any) -> bytes:
    """The bytes of a file with `rows`; the heading has every name that one of them has."""
    names = list(dict.fromkeys(name for one in rows for name in one))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", **options)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)
