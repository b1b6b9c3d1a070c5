"""100,000 made-up orders as CSV and as Excel, against csv.writer and XlsxWriter with the same rows in memory (P23)."""

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
import xlsxwriter  # type: ignore[import-untyped]
from flask import Flask

from benchmarks import shop
from benchmarks.table import show
from sgpshop.extensions import db
from sgpshop.services.order_files import exporting
from sgpshop.services.order_search.criteria import SearchCriteria
from tests.conftest import make_app

ORDERS = min(shop.ORDERS, 100_000)
WANTED_MB = 100
#: times what the library alone takes
WANTED = {"csv": 3, "xlsx": 2}


def run() -> None:
    """Print seconds, memory on top of an idle process, and the ratio to the library alone."""
    with shop.kept(ORDERS) as app:
        _measure("SQLite", app)


def run_on_postgresql() -> None:
    """The same; what its server takes does not count."""
    with shop.on_postgresql(ORDERS) as app:
        _measure("PostgreSQL", app)


def _measure(database: str, app: Flask) -> None:
    with app.app_context():
        alone = _alone()
        db.session.remove()
    rows = []
    for form in ("csv", "xlsx"):
        seconds, more, size = _in_a_process_of_its_own(app, form)
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
        f"書き出し from {database}: {ORDERS:,} orders",
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


def _in_a_process_of_its_own(app: Flask, form: str) -> tuple[float, float, int]:
    folder, url = app.config["INSTANCE_PATH"], app.config["DATABASE_URL"]
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.exports", str(folder), url, form],
        capture_output=True,
        check=True,
        text=True,
    )
    seconds, more, size = answer.stdout.split()[-3:]
    return float(seconds), float(more), int(size)


def _export(app: Flask, form: str) -> None:
    """Write one file, and print seconds, MB on top of before, and bytes."""
    process = psutil.Process()
    with app.app_context(), tempfile.TemporaryFile() as out:
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
        size = out.seek(0, os.SEEK_END)
    print(took, (most - before) / 1e6, size)


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


if __name__ == "__main__":
    _export(make_app(Path(sys.argv[1]), DATABASE_URL=sys.argv[2]), sys.argv[3])
