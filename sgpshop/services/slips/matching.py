"""Which order a carrier's file means: its field is short, and what stands there may be cut (R148).

The whole number counts, also with `-n` for parcel n; then an ending of at least eight signs that only
one open order has, which is told.  A cut-off beginning is never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.models import Order
from sgpshop.services.orders import endings
from sgpshop.storage.database import chunks

_PARCEL = re.compile(r"(.+)-([1-9]\d?)")


@dataclass(frozen=True)
class Match:
    """The order that a value means; or a sentence why none is, "" when it is simply not here."""

    order_id: int | None = None
    order_no: str = ""
    #: None: the value says nothing of it
    delivery_number: int | None = None
    remark: str = ""
    problem: str = ""


def exact(numbers: Iterable[str]) -> dict[str, Match]:
    """The orders with these very numbers; others are missing."""
    found: dict[str, Match] = {}
    for chunk in chunks(sorted(set(numbers))):
        rows = db.session.execute(
            sa.select(Order.order_no, Order.id).where(Order.order_no.in_(chunk))
        )
        found.update((row.order_no, Match(row.id, row.order_no)) for row in rows)
    return found


def meant(values: Iterable[str]) -> dict[str, Match]:
    """For each value the order it means, or why it means none."""
    values = set(values)
    parcels = {v: (found[1], int(found[2])) for v in values if (found := _PARCEL.fullmatch(v))}
    whole = exact(values | {number for number, _ in parcels.values()})
    result = {value: whole[value] for value in values if value in whole}
    for value, (number, parcel) in parcels.items():
        if value not in result and number in whole:
            result[value] = Match(whole[number].order_id, number, parcel)
    left = values - result.keys()
    cut = {value: value for value in left} | {v: parcels[v][0] for v in left if v in parcels}
    by_ending = endings.open_orders({*cut.values(), *left})
    for value in left:
        for ending, parcel_no in ((value, None), (cut[value], parcels.get(value, ("", None))[1])):
            if value not in result and (orders := by_ending.get(ending)):
                result[value] = _by_ending(ending, orders, parcel_no)
    left -= result.keys()
    begun = _beginnings(left)
    for value in left:
        result[value] = Match(problem=_CUT.format(value)) if value in begun else Match()
    return result


def _by_ending(ending: str, orders: list[tuple[int, str]], parcel: int | None) -> Match:
    if len(orders) > 1:
        return Match(
            problem=f"注文番号が不足：末尾が「{ending}」の注文が{len(orders)}件あり、どれか決められません。"
        )
    [(order_id, number)] = orders
    remark = f"注文番号の末尾「{ending}」が合うただ1件の注文です。"
    return Match(order_id, number, parcel, remark)


_CUT = (
    "注文番号が途中で切れています：「{}」で始まる注文を1件に決められません。"
    "注文番号の列に全体を入れて、もう一度選んでください。"
)


def _beginnings(values: set[str]) -> set[str]:
    """Those of `values` with which numbers of orders begin."""
    found: set[str] = set()
    by_length: dict[int, list[str]] = {}
    for value in values:
        if len(value) >= endings.SHORTEST:
            by_length.setdefault(len(value), []).append(value)
    for length, some in by_length.items():
        start = sa.func.substr(Order.order_no, 1, length)
        for chunk in chunks(some):
            found.update(db.session.scalars(sa.select(start).where(start.in_(chunk)).distinct()))
    return found
