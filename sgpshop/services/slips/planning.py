"""What a file would do, written down row by row: the plan that the preview shows (R81, R82)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sgpshop.domain.shop_terms import OnCaptureFailure
from sgpshop.models import ItemResult, utc_now
from sgpshop.services import settings
from sgpshop.services.orders.facts import load_facts
from sgpshop.services.slips.decisions import OrderDecision, SlipInstruction, decide
from sgpshop.services.slips.reading import ReadRow

_LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class SlipTerms:
    """What a run does about captures: 実売り同時処理 and 実売り失敗時の動作 (R79, R80)."""

    capture: bool
    on_failure: OnCaptureFailure


#: What a row is planned from, and nothing that planning changes.
PLANNED_FROM = (
    "id",
    "line",
    "delivery_number",
    "carrier_code",
    "slip_no",
    "status",
    "ship_date",
    "order_id",
)


def new_row(run_id: str, row: ReadRow, numbers: dict[str, int]) -> dict[str, Any]:
    """The stored form of a row that was read; `numbers`: ids of orders by their number."""
    problem = row.problem
    order_id = None if problem else numbers.get(row.order_no)
    if not problem and order_id is None:
        problem = NO_ORDER
    given = row.values
    return {
        "run_id": run_id,
        "line": row.line,
        "cells": row.cells,
        "order_no": row.order_no,
        "delivery_number": given.get("delivery_number", 0),
        "carrier_code": given.get("carrier_code", ""),
        "slip_no": given.get("slip_no", ""),
        "status": given.get("status"),
        "ship_date": given.get("ship_date"),
        "order_id": order_id,
        **_NOT_PLANNED,
        "result": ItemResult.FAILED if problem else ItemResult.PENDING,
        "message": problem[:_LONGEST_MESSAGE],
    }


NO_ORDER = "該当注文なし：この注文番号の注文はありません。"
_NOT_PLANNED: dict[str, Any] = {"version": None, "amount": None, "refusal": ""}


def plan(rows: Iterable[dict[str, Any]], terms: SlipTerms) -> None:
    """Decide about all rows whose order was found, as the orders stand now."""
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
        instructions = [SlipInstruction.of(SimpleNamespace(**row)) for row in of_order]
        decision = decide(order, instructions, capture=terms.capture, terms=shop, now=now)
        planned = outcomes_of(decision, terms)
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
