"""Steps of the house that break off are known until they go through, whatever else goes on (P22)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.extensions import db
from sgpshop.models import Setback, utc_now
from sgpshop.services.installation.health import due_work
from sgpshop.services.installation.health.due_work import DueWork
from sgpshop.services.payments import transaction_lookup
from sgpshop.storage import setbacks
from sgpshop.worker.house import House
from tests.factories import authorized_order
from tests.gateway_world import World
from tests.worker.test_look_ups import Threads

#: One that is called only while something waits for it, or while it is known to have broken off.
STEP = 1_001


def broken() -> None:
    raise RuntimeError("unexpected")


def test_what_breaks_off_while_work_is_looked_for_is_not_forgotten(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it was never called again, and stood on ホーム for ever: sending to a receiver that is deleted, say."""
    order = authorized_order(shop)
    assert order.transaction is not None
    transaction_lookup.look_soon_at([order.transaction.id])
    house = House(app, "test", 6, Threads())
    found = due_work.due_work

    def while_it_breaks_off(*args: Any, **more: Any) -> DueWork:
        due = found(*args, **more)
        house._carefully(STEP, broken)  # as in a thread of its own
        return due

    with monkeypatch.context() as patched:
        patched.setattr(due_work, "due_work", while_it_breaks_off)
        house.loop()
    assert STEP in house._broken_off()
    db.session.execute(sa.update(Setback).values(next_try_at=utc_now() - timedelta(hours=1)))
    db.session.commit()
    house._carefully(STEP, lambda: None)
    assert STEP not in house._broken_off()
    assert setbacks.all_known() == frozenset()
