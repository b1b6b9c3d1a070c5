"""Bulk runs in tests: choose, confirm, and look at the lines."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.models import BulkItem, Order, Person
from sgpshop.services.bulk import runs


def prepare(orders: Sequence[Order], person: Person, action: str = "sgp_capture") -> str:
    """Press 処理を実行; the run that waits for confirmation."""
    chosen = [order.id for order in orders]
    return runs.prepare(chosen, action, person_id=person.id, actor=person.name)


def started(orders: Sequence[Order], person: Person, action: str = "sgp_capture") -> str:
    """Choose and confirm, also what is asked about twice; the run, which the worker has to do."""
    run_id = prepare(orders, person, action)
    runs.start(run_id, person_id=person.id, sum_confirmed=True)
    return run_id


def items(run_id: str) -> list[BulkItem]:
    """The lines of a run, in the order of work."""
    lines = sa.select(BulkItem).where(BulkItem.run_id == run_id).order_by(BulkItem.position)
    return list(db.session.scalars(lines))
