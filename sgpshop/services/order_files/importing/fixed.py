"""What no file changes any more once a payment began: what was sold, what is billed with it, and
what no person could do with its parcels.

A payment rests on it: whether the card is charged at once, later or monthly (R21, R110, R112).  The
rest of the row goes in; the row says in words what stayed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sgpshop.domain.delivery_status import OPEN_STATUSES, DeliveryStatus, ProcessingClass
from sgpshop.domain.errors import NotPossible
from sgpshop.domain.order_acts import Act, ActTerms, require
from sgpshop.domain.order_rules import OrderFacts
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import OrderKind
from sgpshop.services.order_files.importing.content import DELIVERY_DEFAULTS, Content, Values
from sgpshop.services.order_files.importing.stored import StoredOrder

_WORDS = {"subscription_id": "定期購入ID", "subscription_round": "定期回数"}


def keep_fixed(content: Content, stored: StoredOrder) -> tuple[Content, list[str]]:
    """`content` with what is fixed as it is stored, and a sentence for everything that stayed."""
    if not stored.payment_began or _may_correct_kind(content, stored):
        return content, []
    before = stored.content
    warnings = []
    if content.kind is not before.kind:
        warnings.append(_stays("通常・予約・定期購入の区別(「予約フラグ」「定期購入ID」など)"))
    fixed: Values = {}
    for name, title in _WORDS.items():
        value = before.values[name]
        is_new = value is None and before.kind is OrderKind.SUBSCRIPTION  # only told later
        if content.values[name] != value and not is_new:
            fixed[name] = value
            warnings.append(_stays(f"「{title}」"))
    lines = _flagged_as_before(content.lines, before)
    return replace(content, kind=before.kind, values=content.values | fixed, lines=lines), warnings


def _may_correct_kind(content: Content, stored: StoredOrder) -> bool:
    """Whether SMBC-GP holds a mere card check for what we took for a normal order from a file.

    Nothing can come of such an order as it is; a file that says what was sold makes it right.
    """
    transaction = stored.facts.transaction
    return (
        not stored.was_attempted
        and stored.facts.kind is OrderKind.NORMAL
        and content.kind is not OrderKind.NORMAL
        and transaction is not None
        and transaction.gateway_state == "CHECK"
    )


def _flagged_as_before(lines: list[Values], before: Content) -> list[Values]:
    """The lines with 予約フラグ as stored; a new line is what the order is (R114)."""
    is_preorder = before.kind is OrderKind.PREORDER
    known = {
        (position, line["name"]): line["is_preorder"] for position, line in enumerate(before.lines)
    }
    return [
        line | {"is_preorder": known.get((position, line["name"]), is_preorder)}
        for position, line in enumerate(lines)
    ]


def _stays(what: str) -> str:
    return (
        f"{what}は、決済が始まった注文では変更できません。"
        "登録済みのままにし、ほかの項目を取り込みました。"
    )


#: the act of the screen that a parcel's status in a file stands for; one of several that is called
#: off corrects the order, and the rest of it goes on
_ACTS = {
    DeliveryStatus.DELIVERED: Act.DELIVER,
    DeliveryStatus.RETURNED: Act.RETURN,
    DeliveryStatus.CANCELLED: Act.EDIT,
}
#: what follows from a parcel's status and stays with it
_OF_STATUS = ("status", "delivered_at", "returned_on", "return_reason")


def keep_parcels(
    content: Content, stored: StoredOrder, terms: ActTerms, now: datetime
) -> tuple[Content, list[str]]:
    """`content` with every parcel that no person could bring there as it is stored, and why.

    A parcel goes by the table of acts whoever brings the word (§4.3): nothing is cancelled while its
    payment stands, nor by leaving it out; 要確認 is not sent.
    """
    if not stored.payment_began:
        return content, []
    before = {parcel["number"]: parcel for parcel in stored.content.deliveries}
    is_part = content.processing_class is not ProcessingClass.CANCELLED
    parcels, reasons = [], []
    for parcel in content.deliveries:
        known = before.get(parcel["number"], DELIVERY_DEFAULTS)
        if stored.status is PaymentStatus.CANCELLED and parcel["number"] not in before:
            known = known | {"status": DeliveryStatus.CANCELLED}  # nothing of it is sent any more
            parcel = parcel | {name: known[name] for name in _OF_STATUS}
        after = parcel["status"]
        is_said = after is not known["status"]
        reason = _why_not(after, stored.facts, terms, now, is_part=is_part) if is_said else ""
        if reason:
            parcel = parcel | {name: known[name] for name in _OF_STATUS}
            if is_part or after is not DeliveryStatus.CANCELLED:  # the whole order: see `cancelled`
                reasons.append(f"「配送ステータス」は{after.label}にしませんでした。{reason}")
        parcels.append(parcel)
    content, reasons = replace(content, deliveries=parcels), list(dict.fromkeys(reasons))
    missing = _missing(stored.content, content)
    called_off = DeliveryStatus.CANCELLED
    reason = _why_not(called_off, stored.facts, terms, now, is_part=is_part) if missing else ""
    if not reason:
        return content, reasons
    # What stays has its goods only if they stay with it, whatever parcel the file put them into.
    kept = [parcel for parcel in content.deliveries if parcel["number"] in before]
    kept = sorted([*kept, *missing], key=lambda parcel: parcel["number"])
    content = replace(content, deliveries=kept, lines=stored.content.lines)
    numbers = "・".join(str(parcel["number"]) for parcel in missing)
    return content, [*reasons, _LEFT_OUT.format(numbers=numbers, reason=reason)]


_LEFT_OUT = (
    "ファイルにないお届け先{numbers}は、なくしませんでした。{reason}"
    "お届け先と商品は登録済みのままにしました。"
)


def _missing(before: Content, after: Content) -> list[Values]:
    """Open parcels that the file leaves out, unless as many new ones take their place."""
    known = {parcel["number"] for parcel in before.deliveries}
    there = {parcel["number"] for parcel in after.deliveries}
    missing = [
        parcel
        for parcel in before.deliveries
        if parcel["number"] not in there and parcel["status"] in OPEN_STATUSES
    ]
    return missing if len(missing) > len(there - known) else []


def _why_not(
    status: DeliveryStatus, order: OrderFacts, terms: ActTerms, now: datetime, *, is_part: bool
) -> str:
    if status is DeliveryStatus.CANCELLED:
        if order.payment_status is PaymentStatus.CANCELLED:
            return ""
        if not is_part:
            return "決済が残っています。取り消す場合は注文キャンセルをしてください。"
    try:
        if act := _ACTS.get(status):
            require(act, order, terms, now)
    except NotPossible as refusal:
        return refusal.message
    return ""
