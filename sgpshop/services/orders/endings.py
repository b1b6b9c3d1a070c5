"""Orders by the ending of their number: carriers' programs have shorter fields than carts have numbers.

A beginning proves nothing, for numbers of one day begin alike; an ending of eight signs that only one
order of all has does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from sgpshop.domain.delivery_status import OPEN_STATUSES
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order
from sgpshop.storage.among import among
from sgpshop.storage.database import ANEW, chunks

#: Shorter endings are chance.
SHORTEST = 8


@dataclass(frozen=True)
class Ended:
    """An order whose number ends so."""

    order_id: int
    order_no: str
    #: it has a parcel that did not go out
    is_open: bool


def orders(endings: Iterable[str]) -> dict[str, list[Ended]]:
    """For each ending the orders that have it: all of them, for those of last month count as well."""
    by_length: dict[int, list[str]] = defaultdict(list)
    for ending in {ending for ending in endings if len(ending) >= SHORTEST}:
        by_length[len(ending)].append(ending)
    found: dict[str, list[Ended]] = defaultdict(list)
    is_open = sa.exists().where(Delivery.order_id == Order.id, Delivery.status.in_(OPEN_STATUSES))
    for length, some in by_length.items():
        at = sa.func.length(Order.order_no) - length + 1
        last = sa.func.substr(Order.order_no, at, type_=sa.String)
        for chunk in chunks(some):
            rows = db.session.execute(
                sa.select(Order.id, Order.order_no, last.label("ending"), is_open.label("is_open"))
                .where(sa.func.length(Order.order_no) >= length, among(last, chunk))
                .prefix_with(ANEW)  # goes through all orders; by hash, if the numbers are known
            )
            for row in rows:
                found[row.ending].append(Ended(row.id, row.order_no, row.is_open))
    return found
