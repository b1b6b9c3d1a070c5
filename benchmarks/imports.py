"""An order file of 10,000 rows, shown and taken in, against just parsing it with the csv module."""

from __future__ import annotations

import csv
import gc
import io
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import xlsxwriter

from benchmarks.table import show
from sgpshop.domain.row_files import Limits
from sgpshop.extensions import db
from sgpshop.services import installation
from sgpshop.services.files.layout import Purpose, layouts, recognise
from sgpshop.services.files.reading import read_rows
from sgpshop.services.order_files import importing
from tests.conftest import make_app
from tests.postgresql import PostgresqlServer

ROWS = 10_000
#: seconds, by what is measured
WANTED = {
    "recognise": 0.05,
    "preview": 4,
    "new": 10,
    "the same again": 10,
    "preview of xlsx": 5,
    "preview of known orders": 4,
}
WANTED_MIB = 60


def run() -> None:
    """Print how long recognising, the preview, new orders, the same again and a book take."""
    _measure("SQLite", "")


def run_on_postgresql() -> None:
    """The same; its server takes of the same cores."""
    with PostgresqlServer() as server:
        _measure("PostgreSQL", server.new_database())


def _measure(database: str, url: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(Path(folder), DATABASE_URL=url)
        content = _file()
        started = time.perf_counter()
        list(csv.reader(io.StringIO(content.decode("cp932"))))
        parsing = time.perf_counter() - started
        with app.app_context():
            installation.migrate()
            gc.collect()
            gc.freeze()  # as a process of the shop does (cli/run.py)
            before = _peak()
            taken = {"recognise": _timed(_recognise, content)}
            taken["preview"] = _timed(_preview, content)
            memory = _peak() - before
            taken["preview of xlsx"] = _timed(_preview, _book(content))
            taken["new"] = _timed(_take_in, content)
            taken["the same again"] = _timed(_take_in, content)
            taken["preview of known orders"] = _timed(_preview, content)
            db.session.remove()
            db.engine.dispose()
    show(
        f"注文ファイル取込 on {database}: {ROWS:,} rows",
        ("file", "s", "wanted s", "ratio to csv.reader alone"),
        [
            (what, f"{took:.2f}", f"<= {WANTED[what]}", f"{took / parsing:.0f}")
            for what, took in taken.items()
        ]
        + [("preview, MiB more", f"{memory:.0f}", f"<= {WANTED_MIB}", "")],
    )


def _timed(do: Callable[[bytes], object], content: bytes) -> float:
    started = time.perf_counter()
    do(content)
    return time.perf_counter() - started


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _recognise(content: bytes) -> None:
    table = recognise(read_rows(io.BytesIO(content), Limits()), layouts(Purpose.ORDERS))
    assert table.layout.id == "a00"


def _preview(content: bytes) -> None:
    run = importing.prepare(importing.new_run_id(), "bench", [content], Limits())
    assert run.preview is not None
    assert sum(run.preview["counts"].values()) == ROWS


def _take_in(content: bytes) -> None:
    files = [io.BytesIO(content)]
    run, survey = importing.begin(importing.new_run_id(), "bench", files, Limits())
    assert survey is not None
    importing.carry_out(run.id, files, Limits(), survey)
    assert importing.find(run.id).left_out == 0


def _book(content: bytes) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for n, row in enumerate(csv.reader(io.StringIO(content.decode("cp932")))):
            sheet.write_row(n, 0, row)
    return out.getvalue()


def _file() -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(
        [
            "注文番号",
            "注文日時",
            "決済方法",
            "決済方法ステータス",
            "注文者",
            "商品名",
            "単価",
            "数量",
            "税率",
            "合計金額",
        ]
    )
    for n in range(ROWS):
        writer.writerow(
            [
                f"P{n:018d}",
                "2026/11/20 10:00:00",
                "SGP",
                "仮売上",
                "佐藤 花子",
                "煎茶",
                1000,
                2,
                8,
                2000,
            ]
        )
    return text.getvalue().encode("cp932")
