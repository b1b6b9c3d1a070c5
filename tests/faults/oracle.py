"""What must hold after any crash, race or lost answer (P1-P4): one judge for all such tests.

It looks only at what the simulator recorded and at what our database says, never at how we got
there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sgpshop.domain.payment_status import PaymentStatus

_AGREE = {
    PaymentStatus.AUTHORIZED: {"AUTH"},
    PaymentStatus.CAPTURE_FAILED: {"AUTH"},
    PaymentStatus.CAPTURED: {"SALES", "CAPTURE"},
    PaymentStatus.CANCELLED: {"VOID", "RETURN", "RETURNX"},
}


def violations(
    ledger: Iterable[Mapping[str, Any]],
    requests: Iterable[Mapping[str, Any]],
    statuses: Mapping[str, PaymentStatus | None],
) -> list[str]:
    """Every broken promise, in words; empty when all is well.

    `ledger` and `requests` are what the simulator's controls answer, `statuses` ours by order
    number, when nothing is open any more.
    """
    found = [*_sent_blindly(requests)]
    by_order = {entry["order_id"]: entry for entry in ledger}
    for order_no, status in statuses.items():
        entry = by_order[order_no]
        sales = sum(step["job"] == "SALES" and not step["error"] for step in entry["history"])
        if sales > 1:
            found.append(f"{order_no}: captured {sales} times")  # P1
        if status is None or entry["status"] not in _AGREE.get(status, set()):
            found.append(f"{order_no}: {status} here, {entry['status']} there")  # P4
    return found


def _sent_blindly(requests: Iterable[Mapping[str, Any]]) -> list[str]:
    """A capture sent again without a look-up since the last one (P10), unless refused as E92."""
    found = []
    in_doubt: dict[str, bool] = {}
    for request in requests:
        order_no = request["order_id"]
        if request["api"] == "SearchTrade":
            in_doubt[order_no] = False
        elif request["api"] == "AlterTran":
            if in_doubt.get(order_no):
                found.append(f"{order_no}: sent again without looking")
            in_doubt[order_no] = True
    return found
