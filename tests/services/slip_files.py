"""Building slip files, handing them in and letting the worker do them (rules.md §9)."""

from __future__ import annotations

import csv
import io
from typing import Any

from flask import Flask

from sgpshop.domain.shop_terms import OnCaptureFailure
from sgpshop.extensions import db
from sgpshop.models import Delivery, ItemResult, Order, Person, SlipRow, SlipRun
from sgpshop.services.deliveries import slips
from sgpshop.services.deliveries.slips import SlipTerms, Uploaded
from sgpshop.worker.engine import Worker
from tests.factories import fresh
from tests.signing_in import make_person

TITLES = ("注文番号", "配送先番号", "配送会社コード", "伝票番号", "配送ステータス", "出荷日")
CAPTURE = SlipTerms(True, OnCaptureFailure.SKIP)
KEEP = SlipTerms(True, OnCaptureFailure.KEEP)
NO_CAPTURE = SlipTerms(False, OnCaptureFailure.SKIP)


def slip(order: Order | str, slip_no: str = "1234-5678", **more: Any) -> dict[str, Any]:
    """A row for that order, by Yamato; `more` by heading."""
    number = order if isinstance(order, str) else order.order_no
    return {"注文番号": number, "配送会社コード": "002", "伝票番号": slip_no} | more


def slip_file(*rows: dict[str, Any], encoding: str = "cp932", titles: Any = TITLES) -> bytes:
    """A file with these rows."""
    text = io.StringIO()
    writer = csv.DictWriter(text, titles, lineterminator="\r\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def tanaka() -> Person:
    """The person who hands files in."""
    return db.session.query(Person).filter_by(name="田中").one_or_none() or make_person("田中")


def prepare(content: bytes, terms: SlipTerms = CAPTURE, *, is_pasted: bool = False) -> str:
    """Step ①: hand a file in; the id of the run."""
    person = tanaka()
    return slips.prepare(
        Uploaded(content, is_pasted), terms, person_id=person.id, actor=person.name
    )


def start(run_id: str) -> str:
    """Step ②: press 処理を実行; the id of the run that is shown."""
    return slips.start(run_id, person_id=tanaka().id, sum_confirmed=True)


def carry_out(app: Flask, content: bytes, terms: SlipTerms = CAPTURE) -> SlipRun:
    """Both steps, and the worker's."""
    run_id = start(prepare(content, terms))
    Worker(app).run(until_idle=True)
    db.session.rollback()
    return slips.get(run_id)


def results(run: SlipRun | str) -> list[tuple[ItemResult, str]]:
    """Each row's result and what is said about it, by line."""
    run_id = run if isinstance(run, str) else run.id
    db.session.rollback()
    lines = sorted(slips.lines(run_id, limit=100_000), key=lambda line: line.row.line)
    return [(line.row.result, line.problem) for line in lines]


def only_result(run: SlipRun | str) -> ItemResult:
    """The result that all rows have."""
    [result] = {result for result, _ in results(run)}
    return result


def parcels(order: Order) -> list[Delivery]:
    """The parcels of the order as the database has them now, by number."""
    return list(fresh(order).deliveries)


def parcel(order: Order) -> Delivery:
    """The only parcel."""
    [found] = parcels(order)
    return found


def rows_kept() -> int:
    """How many rows of slip files are in the database."""
    db.session.rollback()
    return db.session.query(SlipRow).count()
