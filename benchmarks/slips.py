"""A slip file of 10,000 rows looked at, and a run of 1,000 captures against the gateway's ideal."""

from __future__ import annotations

import csv
import io
import tempfile
import time
from pathlib import Path

import psutil
import sqlalchemy as sa

from benchmarks.table import show
from sgpshop.domain.row_files import Limits
from sgpshop.domain.shop_terms import OnCaptureFailure
from sgpshop.extensions import db
from sgpshop.gateway import TradeAccess
from sgpshop.models import SlipRow, WorkerBeat, utc_now
from sgpshop.services import installation, settings
from sgpshop.services.deliveries import slips
from sgpshop.services.deliveries.slips import SlipTerms, Uploaded
from sgpshop.services.order_files import importing
from tests.conftest import make_app
from tests.factories import make_order, order_number
from tests.processes import Processes
from tests.signing_in import make_person
from tests.waiting import wait_until

ROWS = 10_000
CAPTURES, LATENCY_MS, CONNECTIONS = 1000, 300, 16
TERMS = SlipTerms(True, OnCaptureFailure.SKIP)


def run() -> None:
    """Print both tables."""
    preview()
    captures()


def preview() -> None:
    """Seconds and memory of step ① for a full file, and of the start of what it says."""
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(Path(folder))
        with app.app_context():
            installation.migrate()
            numbers = _other_orders()
            content = _file(numbers)
            person = make_person("bench")
            began = time.perf_counter()
            list(csv.reader(io.StringIO(content.decode("cp932"))))
            parsing = time.perf_counter() - began
            process = psutil.Process()
            before = process.memory_info().rss
            began = time.perf_counter()
            run_id = slips.prepare(Uploaded(content), TERMS, person_id=person.id, actor=person.name)
            found = slips.preview(slips.get(run_id))
            slips.lines(run_id)
            took = time.perf_counter() - began
            more = (process.memory_info().rss - before) / 2**20
            assert found.to_do == ROWS, found
            began = time.perf_counter()
            slips.start(run_id, person_id=person.id, sum_confirmed=True)
            started = time.perf_counter() - began
            began = time.perf_counter()
            while due := slips.due(1):
                slips.process_batch(due[0])
            worked = time.perf_counter() - began
            db.session.remove()
            db.engine.dispose()
    show(
        f"伝票番号ファイル: {ROWS:,} rows",
        (
            "preview s",
            "wanted s",
            "ratio to csv.reader alone",
            "more memory MB",
            "wanted MB",
            "start s",
            "registering all s",
        ),
        [
            (
                f"{took:.1f}",
                "<= 3",
                f"{took / parsing:.0f}",
                f"{more:.0f}",
                "< 100",
                f"{started:.1f}",
                f"{worked:.1f}",
            )
        ],
    )


def captures() -> None:
    """Wall time of a run that captures, against the gateway's ideal (P34)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        app = make_app(path)
        with app.app_context(), Processes(path, GATEWAY_CONCURRENCY=CONNECTIONS) as processes:
            installation.migrate()
            processes.start_simulator(LATENCY_MS)
            app.config["GATEWAY_URL"] = processes.simulator_url
            content = _file(_held_orders(processes))
            began = utc_now()
            person = make_person("bench")
            worker = processes.start("worker")
            wait_until(
                lambda: db.session.scalar(sa.select(sa.exists().where(WorkerBeat.at > began)))
            )
            run_id = slips.prepare(Uploaded(content), TERMS, person_id=person.id, actor=person.name)
            pressed = utc_now()
            slips.start(run_id, person_id=person.id, sum_confirmed=True)
            accepted = utc_now()
            while slips.progress(slips.get(run_id)).is_running:
                db.session.rollback()
                time.sleep(0.2)
            last = db.session.query(sa.func.max(SlipRow.finished_at)).scalar()
            done = slips.progress(slips.get(run_id))
            assert done.captured == done.succeeded == CAPTURES, done
            memory = psutil.Process(worker.pid).memory_info().rss / 2**20
            db.session.remove()
            db.engine.dispose()
    ideal = CAPTURES * LATENCY_MS / 1000 / CONNECTIONS
    wall = (last - accepted).total_seconds()
    show(
        f"伝票番号一括ステータス変更: {CAPTURES:,} captures, gateway {LATENCY_MS} ms",
        ("connections", "ideal s", "accepted in s", "wall s", "ideal/wall", "wanted", "worker MB"),
        [
            (
                CONNECTIONS,
                f"{ideal:.1f}",
                f"{(accepted - pressed).total_seconds():.2f}",
                f"{wall:.1f}",
                f"{ideal / wall:.2f}",
                ">= 0.9",
                f"{memory:.0f}",
            )
        ],
    )


def _file(numbers: list[str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(("注文番号", "配送会社コード", "伝票番号", "配送ステータス"))
    for n, number in enumerate(numbers):
        writer.writerow((number, "002", f"4567-89{n:05d}", "3"))
    return text.getvalue().encode("cp932")


def _other_orders() -> list[str]:
    """10,000 orders that are only to be registered, brought in as a file."""
    numbers = [order_number() for _ in range(ROWS)]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("注文番号", "注文日時", "決済方法", "商品名", "単価", "数量", "合計金額"))
    writer.writerows(
        (number, "2026/11/20 10:00", "銀行振込", "煎茶", 1000, 1, 1000) for number in numbers
    )
    stream = io.BytesIO(text.getvalue().encode())
    taken, survey = importing.begin(importing.new_run_id(), "bench", [stream], Limits())
    assert survey is not None
    importing.carry_out(taken.id, [stream], Limits(), survey)
    return numbers


def _held_orders(processes: Processes) -> list[str]:
    settings.save("bench", site_id="tsite00000001", shop_id="tshop00000001", shop_pass="shoppass01")
    wishes = [
        {"order_id": order_number(), "amount": 1000 + n, "job_cd": "AUTH"} for n in range(CAPTURES)
    ]
    made = processes.post_control("transactions", wishes)
    return [
        make_order(
            total=1000 + n,
            access=TradeAccess(row["order_id"], row["access_id"], row["access_pass"]),
        ).order_no
        for n, row in enumerate(made)
    ]
