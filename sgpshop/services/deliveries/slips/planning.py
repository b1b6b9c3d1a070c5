"""What a file would do, written down row by row: the plan that the preview shows (R81, R82)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.errors import AmountDiffers, OrderChanged
from sgpshop.domain.shop_terms import OnCaptureFailure
from sgpshop.extensions import db
from sgpshop.models import Delivery, ItemResult, Order, SlipRow, SlipRun, utc_now
from sgpshop.services import settings
from sgpshop.services.deliveries.slips.decisions import OrderDecision, SlipInstruction, decide
from sgpshop.services.deliveries.slips.matching import Match
from sgpshop.services.deliveries.slips.rows import LONGEST_MORE, ReadRow
from sgpshop.services.orders.facts import Facts, keep, load_facts
from sgpshop.storage.among import among
from sgpshop.storage.database import chunks

_LONGEST_MESSAGE = 300
#: of `SlipRow.order_no`
_LONGEST_NUMBER = 28


@dataclass(frozen=True)
class SlipTerms:
    """What a run does about captures: 実売り同時処理 and 実売り失敗時の動作 (R79, R80)."""

    capture: bool
    on_failure: OnCaptureFailure


#: What a row is planned from; planning only adds to its remark.
PLANNED_FROM = (
    "id",
    "line",
    "delivery_number",
    "carrier_code",
    "slip_no",
    "more_slips",
    "status",
    "ship_date",
    "order_id",
    "remark",
)


def new_row(
    run_id: str, row: ReadRow, match: Match, *, is_ours: bool, today: date
) -> dict[str, Any]:
    """The stored form of a row that was read; `match`: the order that it means."""
    given, left_out = row.values, row.left_out
    problem = row.problem or match.problem
    if not (problem or left_out) and match.order_id is None:
        if is_ours:
            problem = NO_ORDER
        else:
            left_out = f"対象外:該当注文なし(「{row.order_no}」の注文はありません)。"
    is_bad = bool(problem or left_out)
    day = given.get("ship_date")
    if day is not None and day > today and not is_ours:
        day = None  # the day that was planned when the label was made
    number = match.order_no or row.order_no
    return {
        "run_id": run_id,
        "line": row.line,
        "cells": row.cells,
        "order_no": number if len(number) <= _LONGEST_NUMBER else "",
        "delivery_number": match.delivery_number or given.get("delivery_number", 0),
        "carrier_code": given.get("carrier_code", ""),
        "slip_no": given.get("slip_no", ""),
        "more_slips": given.get("more_slips", ""),
        "status": None if is_bad and not is_ours else given.get("status"),
        "ship_date": day,
        "order_id": None if is_bad else match.order_id,
        **_NOT_PLANNED,
        "result": (
            ItemResult.FAILED if problem else ItemResult.SKIPPED if left_out else ItemResult.PENDING
        ),
        "message": (problem or left_out)[:_LONGEST_MESSAGE],
        "remark": " ".join(filter(None, (match.remark, row.remark)))[:_LONGEST_MESSAGE],
    }


def join_parcels(rows: Sequence[dict[str, Any]]) -> None:
    """複数個口: further numbers of the same parcel go with its first row, the one that is reported.

    A row that says the same number again is one of several items.
    """
    firsts: dict[tuple[int, int], dict[str, Any]] = {}
    for row in rows:
        if row["order_id"] is None:
            continue
        of_parcel = firsts.setdefault((row["order_id"], row["delivery_number"]), row)
        if of_parcel is row:
            continue
        known = [of_parcel["slip_no"], *of_parcel["more_slips"].split()]
        new = [slip for slip in (row["slip_no"], *row["more_slips"].split()) if slip not in known]
        more = " ".join([*known[1:], *new])
        if len(more) > LONGEST_MORE:
            words = f"対象外:{of_parcel['line']}行目の荷物の伝票番号が多すぎるため、登録しません。"
        else:
            of_parcel["more_slips"] = more
            words = f"対象外:{of_parcel['line']}行目と同じ荷物です。" + (
                "複数個口の伝票番号として一緒に登録します。" if new else ""
            )
        row |= {"order_id": None, "result": ItemResult.SKIPPED, "message": words}


def remark_shared_numbers(rows: Sequence[dict[str, Any]]) -> None:
    """One number on several orders is most likely a slip of somebody's hand: told at each.

    Orders packed together have one number, so it is no failure.
    """
    orders: dict[str, dict[int, int]] = defaultdict(dict)
    for row in rows:
        if row["order_id"] is not None:
            orders[row["slip_no"]].setdefault(row["order_id"], row["line"])
    for row in rows:
        others = orders.get(row["slip_no"], {})
        if row["order_id"] is not None and len(others) > 1:
            line = next(line for order, line in others.items() if order != row["order_id"])
            _remark(row, f"同じ伝票番号が、別の注文の行({line}行目)にもあります。")
    for chunk in chunks([slip for slip in orders if slip]):
        known = db.session.execute(
            sa.select(Delivery.slip_no, Order.id, Order.order_no)
            .join(Order)
            .where(among(Delivery.slip_no, chunk))
            .order_by(Order.id)
        )
        elsewhere: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for slip_no, order_id, order_no in known:
            elsewhere[slip_no].append((order_id, order_no))
        for row in rows:
            found = elsewhere.get(row["slip_no"], ())
            another = next((no for id_, no in found if id_ != row["order_id"]), None)
            if row["order_id"] is not None and another:
                _remark(row, f"この伝票番号は、注文 {another} に登録されています。")


def _remark(row: dict[str, Any], words: str) -> None:
    if words not in row["remark"]:
        row["remark"] = " ".join(filter(None, (row["remark"], words)))[:_LONGEST_MESSAGE]


_REPLACES = "配送完了のお届け先の伝票番号「{}」を、この番号に置き換えます。"
_DROPS = "複数個口の伝票番号「{}」は、このお届け先から外れます。"
STALE = f"更新されています：{OrderChanged().message}"
AMOUNT_DIFFERS = f"金額の相違：{AmountDiffers().message}"
NO_ORDER = "該当注文なし：この注文番号の注文はありません。"
_NOT_PLANNED: dict[str, Any] = {"version": None, "amount": None, "refusal": ""}


def plan(rows: Iterable[dict[str, Any]], terms: SlipTerms, *, names_all: bool = False) -> None:
    """Decide about all rows whose order was found, as the orders stand now.

    `names_all`: each names all slip numbers of its parcel.
    """
    now = utc_now()
    shop = settings.load()
    orders: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["order_id"] is not None:
            orders[row["order_id"]].append(row)
    facts = load_facts(orders, with_parcels=True)
    for order_id, of_order in orders.items():
        order = facts.get(order_id)
        if order is None:  # taken back meanwhile: its payment was declined
            for row in of_order:
                without_order(row)
            continue
        instructions = [
            SlipInstruction.of(SimpleNamespace(**row), names_all=names_all) for row in of_order
        ]
        decision = decide(order, instructions, capture=terms.capture, terms=shop, now=now)
        planned = outcomes_of(decision, terms)
        for row, one in zip(of_order, decision.rows, strict=True):
            if one.problem or one.parcel is None:
                continue
            if one.instruction.replaces(one.parcel):
                _remark(row, _REPLACES.format(one.parcel.slip_no))
            if dropped := one.instruction.drops(one.parcel):
                _remark(row, _DROPS.format("、".join(dropped)))
        for row, (result, refusal, message) in zip(of_order, planned, strict=True):
            row |= _NOT_PLANNED | {
                "result": result,
                "refusal": refusal,
                "message": message,
                "version": order.version,
            }
        if decision.is_to_be_captured:
            pairs = zip(of_order, decision.rows, strict=True)
            next(row for row, one in pairs if one.waits)["amount"] = order.total


def write_down(session: Session, run: SlipRun, rows: Sequence[dict[str, Any]]) -> None:
    """Keep a new run with its planned rows, as far as their orders are still there."""
    there = keep(session, [row["order_id"] for row in rows if row["order_id"] is not None])
    for row in rows:
        if row["order_id"] not in there:
            without_order(row)
    session.add(run)
    session.flush()
    session.execute(sa.insert(SlipRow), rows)


def is_stale(run: SlipRun, row: SlipRow, order: Facts) -> bool:
    """Whether the order of a program's row is not as the program saw it any more: it stays as it is (P20).

    `order` is locked.  A file says nothing of what anybody saw.
    """
    return run.key_id is not None and row.version not in (None, order.version)


def without_order(row: dict[str, Any]) -> None:
    """Let the stored form of a row say that its order is not there (any more)."""
    if row["order_id"] is not None:
        row |= _NOT_PLANNED | {
            "order_id": None,
            "result": ItemResult.FAILED,
            "message": NO_ORDER,
        }


def outcomes_of(decision: OrderDecision, terms: SlipTerms) -> list[tuple[ItemResult, str, str]]:
    """Result, refusal and message of each row of one order, before anything is carried out."""
    found = []
    for row in decision.rows:
        if row.problem:
            found.append((ItemResult.FAILED, "", row.problem[:_LONGEST_MESSAGE]))
        elif decision.refusal is not None:
            is_kept = terms.on_failure is OnCaptureFailure.KEEP
            result = ItemResult.PENDING if is_kept else ItemResult.FAILED
            found.append((result, decision.refusal.value, ""))
        elif decision.wants_capture or row.changes:
            found.append((ItemResult.PENDING, "", ""))
        else:
            found.append((ItemResult.SKIPPED, "", "対象外:登録済み"))
    return found
