"""Which order a carrier's file means: its field is short, and what stands there may be cut (R148).

The whole number counts, also with `-0n` for parcel n, as our labels have it; then an ending of at
least eight signs that no other order has, which is told.  `-n` may be the number of an order that is
not here: where it is read as a parcel, that is told.  A cut-off beginning is never guessed, and where
a value can be read in two ways only a slip number that is registered at one of the two decides.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import sqlalchemy as sa

from sgpshop.domain.spreadsheets import alike_but_for_zeros, shows_zeros
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order
from sgpshop.services.orders import endings
from sgpshop.services.orders.endings import Ended
from sgpshop.storage.among import among
from sgpshop.storage.database import ANEW, chunks

#: The zeros are those of our labels (services/deliveries/labels).
_PARCEL = re.compile(r"(.+)-(0{0,2})([1-9]\d?)")
#: so many orders tell whether the shop has numbers like `A-1`
_NEWEST = 20_000


@dataclass(frozen=True)
class Match:
    """The order that a value means; or a sentence why none is, "" when it is simply not here."""

    order_id: int | None = None
    order_no: str = ""
    #: None: the value says nothing of it
    delivery_number: int | None = None
    remark: str = ""
    problem: str = ""
    #: what it may mean as well, of which none is taken without more proof
    candidates: tuple[Match, ...] = ()


def exact(numbers: Iterable[str]) -> dict[str, Match]:
    """The orders with these very numbers; others are missing."""
    found: dict[str, Match] = {}
    for chunk in chunks(sorted(set(numbers))):
        rows = db.session.execute(
            sa.select(Order.order_no, Order.id).where(among(Order.order_no, chunk))
        )
        found.update((row.order_no, Match(row.id, row.order_no)) for row in rows)
    return found


def without_zeros(found: dict[str, Match]) -> dict[str, Match]:
    """The same for values that may have lost leading zeros: 7002 may be order 0007002 as well (R143)."""
    alike = {
        value: alike_but_for_zeros(value)
        for value, match in found.items()
        if match.order_id and not shows_zeros(value)
    }
    others = exact(number for numbers in alike.values() for number in numbers)
    result = dict(found)
    for value, numbers in alike.items():
        if here := [others[number] for number in numbers if number in others]:
            result[value] = Match(
                problem=_WITHOUT_ZEROS.format(value, here[0].order_no),
                candidates=(found[value], *here),
            )
    return result


def meant(values: Iterable[str]) -> dict[str, Match]:
    """For each value the order it means, or why it means none."""
    values = set(values)
    parcels = {v: (found[1], int(found[3])) for v in values if (found := _PARCEL.fullmatch(v))}
    whole = exact(values | {number for number, _ in parcels.values()})
    result = {value: whole[value] for value in values if value in whole}
    of_several = _with_several(
        whole[number].order_id for v, (number, _) in parcels.items() if {v, number} <= whole.keys()
    )
    for value, (number, parcel) in parcels.items():
        if number in whole:
            other = Match(whole[number].order_id, number, parcel)
            if value not in result:
                result[value] = other
            elif (other.order_id, parcel) in of_several:
                result[value] = Match(
                    problem=_TWO_WAYS.format(value, number, parcel),
                    candidates=(result[value], other),
                )
    left = values - result.keys()
    cut = {value: value for value in left} | {v: parcels[v][0] for v in left if v in parcels}
    by_ending = endings.orders({*cut.values(), *left})
    for value in left:
        for ending, parcel_no in ((value, None), (cut[value], parcels.get(value, ("", None))[1])):
            if value not in result and (orders := by_ending.get(ending)):
                result[value] = _by_ending(ending, orders, parcel_no)
    _weigh_parcels(result, parcels.keys() & result.keys())
    left -= result.keys()
    begun = _beginnings(left)
    for value in left:
        result[value] = Match(problem=_CUT.format(value)) if value in begun else Match()
    return result


def _weigh_parcels(result: dict[str, Match], values: Iterable[str]) -> None:
    """What a parcel's number proves: with our zeros it is one; `A-1` may be an order we do not know."""
    found = {value: result[value].candidates or (result[value],) for value in values}
    read = {v: those for v, those in found.items() if any(one.delivery_number for one in those)}
    of_several = _with_several(one.order_id for readings in read.values() for one in readings)
    several = {order_id for order_id, _ in of_several}
    is_usual = bool(several) and _has_numbers_like_parcels()
    for value, readings in read.items():
        _, zeros, number = _PARCEL.fullmatch(value).groups()  # type: ignore[union-attr]
        match = result[value]
        if zeros and number != "1":
            continue  # there were several when the label was made
        readings = tuple(
            one if one.order_id in several else replace(one, delivery_number=None)
            for one in readings
        )
        if match.candidates:
            result[value] = replace(match, candidates=readings)
        elif zeros:
            result[value] = readings[0]
        elif match.order_id not in several or is_usual:
            problem = _PERHAPS_ANOTHER.format(value, match.order_no)
            result[value] = Match(problem=problem, candidates=readings)
        else:
            told = _READ_AS_PARCEL.format(value, match.order_no, number)
            result[value] = replace(match, remark=match.remark + told)


def _has_numbers_like_parcels() -> bool:
    """Whether of the newest orders one is called as another with `-n` behind it."""
    newest = sa.select(Order.order_no).order_by(Order.id.desc()).limit(_NEWEST).subquery()
    number, length = newest.c.order_no, sa.func.length(newest.c.order_no)
    is_one = sa.exists().where(
        sa.func.substr(number, length - 1, 1) == "-",
        sa.func.substr(number, length, 1).in_(list("123456789")),
        Order.order_no == sa.func.substr(number, 1, length - 2),
    )
    return bool(db.session.scalar(sa.select(is_one)))


_PERHAPS_ANOTHER = (
    "「{0}」は、ここにない別の注文の番号とも、注文{1}のお届け先とも読めるため、決められません。"
    "注文{1}の荷物であれば、「注文番号」と「配送先番号」の列があるファイルか、注文の画面で登録してください。"
)
_READ_AS_PARCEL = (
    "「{0}」を注文{1}のお届け先{2}と読みました。別の注文の番号であれば、この行を除いてください。"
)
_WITHOUT_ZEROS = (
    "「{0}」は注文{0}とも、先頭の0がExcelなどで消えた注文{1}とも読めるため、決められません。"
    "先頭の0が消えていないファイルか、注文の画面で登録してください。"
)
_TWO_WAYS = (
    "「{0}」は注文{0}とも、注文{1}のお届け先{2}とも読めるため、決められません。"
    "「注文番号」と「配送先番号」の列があるファイルか、注文の画面で登録してください。"
)


def _with_several(order_ids: Iterable[int | None]) -> set[tuple[int, int]]:
    """Ids and numbers of the deliveries of those orders that have several."""
    found: dict[int, set[int]] = defaultdict(set)
    for chunk in chunks(sorted({order_id for order_id in order_ids if order_id is not None})):
        rows = db.session.execute(
            sa.select(Delivery.order_id, Delivery.number).where(among(Delivery.order_id, chunk))
        )
        for row in rows:
            found[row.order_id].add(row.number)
    return {(id_, number) for id_, all_ in found.items() if len(all_) > 1 for number in all_}


def _by_ending(ending: str, orders: list[Ended], parcel: int | None) -> Match:
    remark = f"注文番号の末尾「{ending}」が合うただ1件の注文です。"
    found = tuple(Match(order.order_id, order.order_no, parcel, remark) for order in orders)
    if len(orders) > 1:
        problem = (
            f"注文番号が不足：末尾が「{ending}」の注文が{len(orders)}件あり、どれか決められません。"
        )
        return Match(problem=problem, candidates=found)
    # One that went out is meant only by its own slip numbers: the shop may have another one that
    # ends so and is not here.
    return found[0] if orders[0].is_open else Match(candidates=found)


def registered(matches: Iterable[Match]) -> dict[int, set[str]]:
    """The slip numbers at the orders that a value may mean, by the orders' ids."""
    ids = {one.order_id for match in matches for one in match.candidates if one.order_id}
    found: dict[int, set[str]] = defaultdict(set)
    for chunk in chunks(sorted(ids)):
        for parcel in db.session.scalars(
            sa.select(Delivery).where(among(Delivery.order_id, chunk))
        ):
            found[parcel.order_id].update(f"{parcel.slip_no} {parcel.more_slips}".split())
    return found


def decided(match: Match, slips: Collection[str], known: Mapping[int, Collection[str]]) -> Match:
    """The one candidate that has one of these slip numbers already; else the match as it is."""
    having = [
        one
        for one in match.candidates
        if one.order_id and {*known.get(one.order_id, ())}.intersection(slips)
    ]
    return having[0] if len(having) == 1 else match


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
        start = sa.func.substr(Order.order_no, 1, length, type_=sa.String)
        for chunk in chunks(some):
            begin = sa.select(start).where(among(start, chunk)).distinct()
            # It goes through all orders; by hash, if the values are known.
            found.update(db.session.scalars(begin.prefix_with(ANEW)))
    return found
