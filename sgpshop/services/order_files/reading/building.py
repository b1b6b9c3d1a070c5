"""Rows of one order, each fine by itself, to one order: what must fit together (§14.2, R143)."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from sgpshop.domain.amounts import TAX_RULE
from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass, processing_class
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import SGP_METHOD
from sgpshop.services.order_files.reading.cells import at
from sgpshop.services.order_files.reading.parsed import ParsedOrder, PaymentClaim
from sgpshop.services.order_files.reading.rows import FileRow

_CANCELLED, _PROVISIONAL = 0, 99  # 注文状態 (R143)

_SGP_NAMES = {SGP_METHOD, "SGP:カード決済", "SGP：カード決済", "SGPカード決済"}
#: Payment type letters of the cart's API (R144).
_METHOD_LETTERS = {
    "R": "代金引換",
    "B": "銀行振込",
    "P": "ゆうちょ",
    "Z": "コンビニ",
    "N": "NP後払い",
    "A": "後払い.com",
    "M": "Paid",
    "B1": "GMO後払い",
    "M1": "銀行振込",
    "D1": "Amazon Pay",
}

_PROCESSED_AS: dict[ProcessingClass | None, DeliveryStatus] = {
    ProcessingClass.UNPROCESSED: DeliveryStatus.UNPROCESSED,
    ProcessingClass.DELIVERED: DeliveryStatus.DELIVERED,
    ProcessingClass.CANCELLED: DeliveryStatus.CANCELLED,
    ProcessingClass.RETURNED: DeliveryStatus.RETURNED,
}

#: Columns of the file that are not columns of our order.
_ONLY_IN_FILE = (
    "order_no",
    "ordered_time",
    "order_state",
    "processing",
    "payment_status",
    "access_id",
    "access_pass",
    "authorized_at",
    "gateway_amount",
)


def build_order(rows: list[FileRow]) -> tuple[ParsedOrder, list[str], list[str]]:
    """The order that `rows` describe, its errors (it is to be left out) and its warnings."""
    given = rows[0].order
    errors: list[str] = []
    warnings: list[str] = []
    values = {name: value for name, value in given.items() if name not in _ONLY_IN_FILE}
    for name in TAX_RULE:
        if values.get(name) is None:
            values.pop(name, None)  # an empty cell says as little as no column
    values["ordered_at"] = _moment(given["ordered_at"], given.get("ordered_time"))
    values["method"] = _method(given["method"])
    lines = [_line(row, errors) for row in rows]
    deliveries = _deliveries(rows, given, warnings)
    claim = _claim(given, deliveries) if values["method"] == SGP_METHOD else None
    if claim is not None:
        _check_charge(values["total"], claim, errors, warnings)
    elif given.get("payment_status") is not None:
        warnings.append("SGPカード決済ではない注文のため、「決済方法ステータス」は取り込みません。")
    return (
        ParsedOrder(
            order_no=rows[0].order_no,
            line=rows[0].line,
            values=values,
            deliveries=deliveries,
            lines=lines,
            claim=claim,
        ),
        errors,
        warnings,
    )


def _moment(value: datetime | date, clock: time | None) -> datetime:
    return value if isinstance(value, datetime) else at(value, clock or time())


def _method(word: str) -> str:
    return SGP_METHOD if word in _SGP_NAMES else _METHOD_LETTERS.get(word, word)


def _claim(given: dict[str, Any], deliveries: list[dict[str, Any]]) -> PaymentClaim:
    said = given.get("payment_status")
    if said is None and all(one.get("status") is DeliveryStatus.CANCELLED for one in deliveries):
        said = PaymentStatus.CANCELLED  # called off as a whole, though no column says so
    status = {
        _CANCELLED: PaymentStatus.CANCELLED,
        _PROVISIONAL: PaymentStatus.NEEDS_REVIEW,
    }.get(given.get("order_state", 1), said)
    approved = given.get("authorized_at")
    return PaymentClaim(
        status=status,
        access_id=given.get("access_id", ""),
        access_pass=given.get("access_pass", ""),
        gateway_amount=given.get("gateway_amount"),
        authorized_at=approved and _moment(approved, None),
    )


def _check_charge(total: int, claim: PaymentClaim, errors: list[str], warnings: list[str]) -> None:
    if total < 1 and claim.status is not PaymentStatus.CANCELLED:
        errors.append("SGPカード決済の注文の「合計金額」は1円以上で入力してください。")
    if claim.gateway_amount is not None and claim.gateway_amount not in (0, total):
        warnings.append(
            f"「オーソリ金額」{claim.gateway_amount:,}円が「合計金額」{total:,}円と違います。"
            "一致するまで実売上処理はできません。"
        )


def _line(row: FileRow, errors: list[str]) -> dict[str, Any]:
    line = dict(row.item)
    rate, is_reduced = line.pop("tax_rate", None), line.pop("is_reduced", None)
    if rate is not None and is_reduced is not None and (rate == 8) != is_reduced:
        errors.append(f"「税率」と「軽減税率対象」が合いません({row.line}行目)。")
    if "tax_rate" in row.item or "is_reduced" in row.item:
        line["tax_rate"] = rate or (8 if is_reduced else 10)
    return line | {"delivery_number": row.delivery.get("number", 0)}


def _deliveries(
    rows: list[FileRow], given: dict[str, Any], warnings: list[str]
) -> list[dict[str, Any]]:
    """One per 配送先番号; their status from 配送ステータス, else 処理状況, else 注文状態."""
    by_number = {row.delivery.get("number", 0): row.delivery for row in reversed(rows)}
    deliveries = [by_number[number] | {"number": number} for number in sorted(by_number)]
    fallback = _PROCESSED_AS.get(given.get("processing"))
    if fallback is None and given.get("order_state") == _CANCELLED:
        fallback = DeliveryStatus.CANCELLED
    if fallback is not None or "processing" in given or "status" in deliveries[0]:
        for delivery in deliveries:
            delivery["status"] = delivery.get("status") or fallback or DeliveryStatus.UNPROCESSED
        derived = processing_class(delivery["status"] for delivery in deliveries)
        if given.get("processing") not in (None, derived):
            warnings.append(
                f"「処理状況」が「配送ステータス」と合わないため、処理区分は{derived.label}にします。"
            )
    return deliveries
