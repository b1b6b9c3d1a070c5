"""100,000 orders as CSV and as Excel, against csv.writer and XlsxWriter with the same rows in memory (P23)."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import sqlalchemy as sa
import xlsxwriter  # type: ignore[import-untyped]
from flask import Flask

from benchmarks.table import show
from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Delivery, Order, OrderLine, utc_now
from sgpshop.services import installation
from sgpshop.services.order_files import exporting
from sgpshop.services.order_search.criteria import SearchCriteria
from sgpshop.storage.database import writing
from tests.conftest import make_app

ORDERS = 100_000
_CHUNK = 5_000
WANTED_MB = 100
#: times what the library alone takes
WANTED = {"csv": 3, "xlsx": 2}


def run() -> None:
    """Print seconds, memory on top of an idle process, and the ratio to the library alone."""
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(Path(folder))
        with app.app_context():
            installation.migrate()
            fill()
            alone = _alone()
            db.session.remove()
            db.engine.dispose()
        rows = []
        for form in ("csv", "xlsx"):
            seconds, more, size = _in_a_process_of_its_own(Path(folder), form)
            rows.append(
                (
                    form,
                    f"{seconds:.1f}",
                    f"{more:.0f}",
                    f"< {WANTED_MB}",
                    f"{size / 1e6:.0f}",
                    f"{seconds / alone[form]:.2f}",
                    f"<= {WANTED[form]}",
                )
            )
    show(
        f"書き出し: {ORDERS:,} orders",
        (
            "form",
            "s",
            "more MB",
            "wanted MB",
            "file MB",
            "ratio to csv.writer, XlsxWriter alone",
            "wanted",
        ),
        rows,
    )


def _in_a_process_of_its_own(folder: Path, form: str) -> tuple[float, float, int]:
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.exports", str(folder), form],
        capture_output=True,
        check=True,
        text=True,
    )
    seconds, more, size = answer.stdout.split()[-3:]
    return float(seconds), float(more), int(size)


def _export(app: Flask, folder: Path, form: str) -> None:
    """Write one file, and print seconds, MB on top of before, and bytes."""
    process = psutil.Process()
    path = folder / f"orders.{form}"
    with app.app_context(), path.open("w+b") as out:
        source = exporting.found(SearchCriteria())
        next(iter(source()))  # what is loaded once does not count
        before, most = process.memory_info().rss, 0

        def watched() -> object:
            nonlocal most
            for orders in source():
                most = max(most, process.memory_info().rss)
                yield orders

        started = time.process_time()
        if form == "csv":
            for chunk in exporting.as_csv(watched):  # type: ignore[arg-type]
                out.write(chunk)
        else:
            exporting.write_excel(watched, out)  # type: ignore[arg-type]
        took = time.process_time() - started
        most = max(most, process.memory_info().rss)
    print(took, (most - before) / 1e6, os.path.getsize(path))


def _alone() -> dict[str, float]:
    """Seconds that the library takes for the same rows, by form."""
    found = exporting.found(SearchCriteria())()
    rows = [list(row) for orders in found for row in exporting.columns.rows(orders)]
    return {
        "csv": _timed(lambda: _csv_alone(rows)),
        "xlsx": _timed(lambda: _excel_alone(rows)),
    }


def _csv_alone(rows: Sequence[Sequence[object]]) -> None:
    csv.writer(io.StringIO(), lineterminator="\r\n").writerows(rows)


def _excel_alone(rows: Sequence[Sequence[object]]) -> None:
    book = xlsxwriter.Workbook(io.BytesIO(), {"constant_memory": True, "remove_timezone": True})
    sheet = book.add_worksheet()
    for number, row in enumerate(rows):
        sheet.write_row(number, 0, row)
    book.close()


def _timed(work: Callable[[], object]) -> float:
    """Seconds of the processor: of whatever else goes on it says nothing."""
    started = time.process_time()
    work()
    return time.process_time() - started


def fill() -> None:
    """Bring ORDERS small orders into the database."""
    now = utc_now()
    for first in range(0, ORDERS, _CHUNK):
        numbers = range(first + 1, first + _CHUNK + 1)
        with writing() as session:
            session.execute(
                sa.insert(Order),
                [
                    {
                        "id": n,
                        "order_no": f"P{n:018d}",
                        "ordered_at": now,
                        "method": "SGP",
                        "payment_status": "authorized",
                        "buyer_name": "佐藤 花子",
                        "buyer_address": "千代田区丸の内1-1-1",
                        "buyer_email": f"hanako{n}@example.jp",
                        "total": 3240,
                    }
                    for n in numbers
                ],
            )
            session.execute(
                sa.insert(OrderLine),
                [
                    {
                        "order_id": n,
                        "position": 1,
                        "name": "煎茶 100g",
                        "unit_price": 1620,
                        "quantity": 2,
                        "tax_rate": 8,
                    }
                    for n in numbers
                ],
            )
            session.execute(
                sa.insert(Delivery),
                [
                    {"order_id": n, "name": "佐藤 花子", "status": DeliveryStatus.UNPROCESSED}
                    for n in numbers
                ],
            )
            session.execute(
                sa.insert(CardTransaction),
                [
                    {"order_id": n, "gateway_order_id": f"P{n:018d}", "gateway_amount": 3240}
                    for n in numbers
                ],
            )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    _export(make_app(folder), folder, sys.argv[2])
