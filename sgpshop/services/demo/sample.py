"""The shipped sample file, its dates moved so that it ends now."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sgpshop.domain.payment_calendar import JST

SAMPLE = Path(__file__).with_name("orders.csv")

Row = dict[str, str]

#: column -> form of its date or moment; 承認日時 is set by what the gateway answers
_DATES = {"注文日時": "%Y/%m/%d %H:%M", "配送希望日": "%Y/%m/%d"}


@dataclass(frozen=True)
class SampleOrder:
    """The rows of one order of the sample."""

    rows: list[Row]

    def __getitem__(self, column: str) -> str:
        return self.rows[0][column]

    @property
    def order_no(self) -> str:
        """注文番号."""
        return self["注文番号"]

    @property
    def ordered_at(self) -> datetime:
        """注文日時, aware."""
        return datetime.strptime(self["注文日時"], _DATES["注文日時"]).replace(tzinfo=JST)

    def set(self, **cells: str) -> None:
        """Write `cells` into every row."""
        for row in self.rows:
            row.update(cells)


def sample_orders(now: datetime) -> list[SampleOrder]:
    """The orders of the sample, newest first, moved by whole days: the newest are of today."""
    with SAMPLE.open(encoding="cp932", newline="") as file:
        rows = list(csv.DictReader(file))
    orders: dict[str, SampleOrder] = {}
    for row in rows:
        orders.setdefault(row["注文番号"], SampleOrder([])).rows.append(row)
    found = list(orders.values())
    days = now.astimezone(JST).date() - max(order.ordered_at for order in found).date()
    for order in found:
        order.set(価格の税区分="税込")  # as its prices are, whatever the shop's own are
        # What would still be to come today is put to yesterday.
        is_to_come = order.ordered_at + days > now
        _move(order, days - timedelta(days=1) if is_to_come else days)
    return found


def as_file(orders: list[SampleOrder]) -> io.BytesIO:
    """`orders`, at least one, as an order file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(orders[0].rows[0]))
    writer.writeheader()
    for order in orders:
        writer.writerows(order.rows)
    return io.BytesIO(text.getvalue().encode("cp932"))


def _move(order: SampleOrder, by: timedelta) -> None:
    for row in order.rows:
        for column, form in _DATES.items():
            if row[column]:
                row[column] = _moved(row[column], form, by)


def _moved(text: str, form: str, by: timedelta) -> str:
    return (datetime.strptime(text, form).replace(tzinfo=JST) + by).strftime(form)
