"""An order file of 10,000 rows, against just parsing the same file with the csv module."""

from __future__ import annotations

import csv
import io
import tempfile
import time
from pathlib import Path

from benchmarks.table import show
from sgpshop.domain.csv_reading import Limits
from sgpshop.extensions import db
from sgpshop.services import installation
from sgpshop.services.order_files import importing
from tests.conftest import make_app

ROWS = 10_000
WANTED_SECONDS = 20


def run() -> None:
    """Print how long new orders and the same file again take."""
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(Path(folder))
        content = _file()
        started = time.perf_counter()
        list(csv.reader(io.StringIO(content.decode("cp932"))))
        parsing = time.perf_counter() - started
        with app.app_context():
            installation.migrate()
            taken = [(what, _take_in(content)) for what in ("new", "the same again")]
            db.session.remove()
            db.engine.dispose()
    show(
        f"注文ファイル取込: {ROWS:,} rows",
        ("file", "s", "wanted s", "ratio to csv.reader alone"),
        [
            (what, f"{took:.1f}", f"<= {WANTED_SECONDS}", f"{took / parsing:.0f}")
            for what, took in taken
        ],
    )


def _take_in(content: bytes) -> float:
    started = time.perf_counter()
    stream = io.BytesIO(content)
    run, survey = importing.begin(importing.new_run_id(), "bench", [stream], Limits())
    assert survey is not None
    importing.carry_out(run.id, [stream], Limits(), survey)
    done = importing.find(run.id)
    assert done is not None
    assert done.left_out == 0
    return time.perf_counter() - started


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
