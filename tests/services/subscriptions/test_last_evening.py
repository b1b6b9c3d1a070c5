"""配送完了 said on the last evening of a month belongs to that month, however late it is carried out (P29)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import time_machine
from flask import Flask

from sgpshop.domain.billing_calendar import month_of
from sgpshop.domain.row_files import Limits
from sgpshop.models import Order
from sgpshop.services.bulk import working
from sgpshop.services.deliveries import slips
from sgpshop.services.installation.health import due_work
from sgpshop.services.order_files import importing
from tests.factories import fresh
from tests.gateway_world import World
from tests.services.arriving import open_shop
from tests.services.order_csv import csv_file, row
from tests.services.payments.test_numbers_of_others import order_of
from tests.services.running import started
from tests.services.slip_files import NO_CAPTURE, slip, slip_file, tanaka
from tests.services.subscribing import Travel, jst, make_subscription


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0}


@pytest.fixture
def travel() -> Iterator[Travel]:
    with time_machine.travel(jst(2026, 11, 30, 23, 57), tick=True) as traveller:
        yield traveller.move_to


def by_run(order: Order) -> None:
    started([order], tanaka(), "deliver")


def by_slip_file(order: Order) -> None:
    person, content = tanaka(), slip_file(slip(order.order_no, "12345678", 配送ステータス="3"))
    given = slips.Uploaded(content, False)
    run = slips.prepare(given, NO_CAPTURE, person_id=person.id, actor=person.name)
    slips.start(run, person_id=person.id, sum_confirmed=True)


@pytest.mark.parametrize("say", [by_run, by_slip_file])
def test_the_worker_comes_after_midnight(
    app: Flask, shop: World, travel: Travel, say: Callable[[Order], None]
) -> None:
    order = make_subscription(ordered_at=jst(2026, 11, 12, 12))
    say(order)
    travel(jst(2026, 12, 1, 0, 10))
    due = due_work.due_work(10)
    for line in due.deliveries:
        working.resume(line)
    for line in due.slips:
        slips.process_batch(line)
    [parcel] = fresh(order).deliveries
    assert parcel.delivered_at is not None
    assert month_of(parcel.delivered_at) == month_of(jst(2026, 11, 30))


def test_an_order_file_goes_on_after_midnight(shop: World, travel: Travel) -> None:
    open_shop()
    given = row(注文番号="9001", 定期購入ID="T-1", 定期回数="1", 配送ステータス="配送完了")
    stream = io.BytesIO(csv_file(given, encoding="utf-8"))
    run, found = importing.begin(importing.new_run_id(), "田中", [stream], Limits())
    assert found is not None
    travel(jst(2026, 12, 1, 0, 10))
    importing.carry_out(run.id, [stream], Limits(), found)
    [parcel] = order_of("9001").deliveries
    assert parcel.delivered_at is not None
    assert month_of(parcel.delivered_at) == month_of(jst(2026, 11, 30))
