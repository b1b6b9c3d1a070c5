"""Chosen orders as a CSV file that the importer takes in again (R51, §14.2, S18).

One row an item; the columns are those of an order file except 取引パスワード.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload

from sgpshop.domain.csv_text import csv_guarded
from sgpshop.domain.payment_calendar import JST
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, OrderLine
from sgpshop.services.order_file.columns import COLUMNS, Column, Part

_CHUNK = 500
#: secret, or said by another column already
_LEFT_OUT = frozenset({"access_pass", "ordered_time", "order_state"})
_OF_TRANSACTION = frozenset({"access_id", "authorized_at", "gateway_amount"})
_WRITTEN = tuple(column for column in COLUMNS if column.field not in _LEFT_OUT)


def as_csv(order_ids: Sequence[int]) -> str:
    """The orders with these ids, newest first, with a header and CRLF; a query for each 500."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(column.title for column in _WRITTEN)
    for start in range(0, len(order_ids), _CHUNK):
        for order in _load(order_ids[start : start + _CHUNK]):
            parcels = {delivery.number: delivery for delivery in order.deliveries}
            for line in order.lines:
                parcel = parcels.get(line.delivery_number)
                writer.writerow(_text(_value(c, order, parcel, line)) for c in _WRITTEN)
    return out.getvalue()


def _load(order_ids: Sequence[int]) -> Sequence[Order]:
    return db.session.scalars(
        sa.select(Order)
        .where(Order.id.in_(order_ids))
        .order_by(Order.ordered_at.desc(), Order.id.desc())
        .options(
            joinedload(Order.transaction),
            selectinload(Order.lines),
            selectinload(Order.deliveries),
        )
    ).all()


def _value(column: Column, order: Order, parcel: Delivery | None, line: OrderLine) -> Any:
    if column.part is Part.ITEM:
        return line.tax_rate == 8 if column.field == "is_reduced" else getattr(line, column.field)
    if column.part is Part.DELIVERY:
        return getattr(parcel, column.field, None)
    if column.field in _OF_TRANSACTION:
        return getattr(order.transaction, column.field, None)
    return getattr(order, "processing_class" if column.field == "processing" else column.field)


def _text(value: Any) -> str | int:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(JST):%Y/%m/%d %H:%M:%S}"
    if isinstance(value, date):
        return f"{value:%Y/%m/%d}"
    if isinstance(value, int):
        return value
    return csv_guarded(getattr(value, "label", str(value)))
