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
_CANCELS = {"VOID", "RETURN", "RETURNX"}
_MONEY = {"AlterTran", "ChangeTran"}
#: Answers after which nobody knows (P9): they may not be followed by another call without a look.
_DOUBTFUL = ("E90", "E91", "E82", "42C", "E11010999")


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
        done = [step["job"] for step in entry["history"] if not step["error"]]
        if done.count("SALES") > 1:
            found.append(f"{order_no}: captured {done.count('SALES')} times")  # P1
        if sum(job in _CANCELS for job in done) > 1:
            found.append(f"{order_no}: cancelled more than once: {done}")  # P1
        if status is None or entry["status"] not in _AGREE.get(status, set()):
            found.append(f"{order_no}: {status} here, {entry['status']} there")  # P4
    return found


def _sent_blindly(requests: Iterable[Mapping[str, Any]]) -> list[str]:
    """A money call sent although nobody knew how the one before it ended, or once too often (P10).

    A change is never sent without a look right before it: the gateway would do it again (§9).
    """
    found = []
    #: by order: what a next call would repeat blindly; None after a look or a clear no
    unseen: dict[str, tuple[str, ...] | None] = {}
    has_looked: dict[str, bool] = {}
    for request in requests:
        order_no = request["order_id"]
        if request["api"] == "SearchTrade":
            unseen[order_no] = None
            has_looked[order_no] = True
        elif request["api"] in _MONEY:
            call = _call(request)
            if unseen.get(order_no) in (_IN_DOUBT, call):
                found.append(f"{order_no}: sent again without looking")
            if request["api"] == "ChangeTran" and not has_looked.get(order_no):
                found.append(f"{order_no}: a change sent without looking")
            unseen[order_no] = _left_open(request, call)
            has_looked[order_no] = False
    return found


_IN_DOUBT = ("in doubt",)


def _call(request: Mapping[str, Any]) -> tuple[str, ...]:
    params = request["params"]
    return (request["api"], params.get("JobCd", ""), params.get("Amount", ""))


def _left_open(request: Mapping[str, Any], call: tuple[str, ...]) -> tuple[str, ...] | None:
    """Nothing after a clear no; after a clear yes the same call; else any call at all."""
    is_cut = request["fault"] is not None and not request["fault"].startswith("error")
    codes = (request["answer"] or "").partition("ErrInfo=")[2].split("|")
    if is_cut or any(code.startswith(_DOUBTFUL) for code in codes):
        return _IN_DOUBT
    return None if codes[0] else call
