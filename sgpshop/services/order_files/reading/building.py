"""Rows of one order, each fine by itself, to one order: what must fit together (§14.2, R143)."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from sgpshop.domain.amounts import MOST_IN_LINES
from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass, processing_class
from sgpshop.domain.payment_methods import KnownMethods, plain_name
from sgpshop.domain.payment_status import PAID, PaymentStatus
from sgpshop.models import SGP_METHOD
from sgpshop.services.order_files.reading.cells import at
from sgpshop.services.order_files.reading.parsed import ParsedOrder, PaymentClaim
from sgpshop.services.order_files.reading.rows import FileRow

_CANCELLED, _PROVISIONAL = 0, 99  # 注文状態 (R143)

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


def build_order(
    rows: list[FileRow], methods: KnownMethods
) -> tuple[ParsedOrder, list[str], list[str]]:
    """The order that `rows` describe, its errors (it is to be left out) and its warnings."""
    given: dict[str, Any] = {}
    for row in rows:
        given = row.order | given
    errors: list[str] = []
    warnings: list[str] = []
    values = {name: value for name, value in given.items() if name not in _ONLY_IN_FILE}
    values["ordered_at"] = _moment(given["ordered_at"], given.get("ordered_time"))
    is_sgp = True if _has_payment(given) else methods.is_sgp(given["method"])
    values["method"] = SGP_METHOD if is_sgp else plain_name(given["method"])
    lines = [_line(row, errors) for row in rows]
    if sum(line["unit_price"] * line["quantity"] for line in lines) > MOST_IN_LINES:
        errors.append(f"「単価」×「数量」は、注文ごとに合計{MOST_IN_LINES:,}円以下にしてください。")
    deliveries = _deliveries(rows, given, warnings)
    claim = _claim(given, deliveries, is_failed=is_failed(rows)) if is_sgp else None
    if claim is not None:
        _check_charge(values["total"], claim, errors, warnings)
    elif given.get("payment_status") is not None:
        warnings.append("SGPカード決済ではない注文のため、「決済方法ステータス」は取り込みません。")
    return (
        ParsedOrder(
            order_no=given["order_no"],
            line=rows[0].line,
            values=values,
            deliveries=deliveries,
            lines=lines,
            is_sgp=is_sgp,
            claim=claim,
        ),
        errors,
        warnings,
    )


def is_cancelled(rows: list[FileRow]) -> bool | None:
    """Whether the file calls the order 注文キャンセル as a whole, asked of any rows, bad ones too.

    None: no cell that can be read speaks of it.
    """
    given: dict[str, Any] = {}
    for row in rows:
        given = row.order | given
    states = {row.order.get("order_state") for row in rows}
    said = {row.order.get("payment_status") for row in rows}
    is_said = "processing" in given or any("status" in row.delivery for row in rows)
    parcels = {one.get("status") for one in _deliveries(rows, given, [])} if is_said else {None}
    if _CANCELLED in states or PaymentStatus.CANCELLED in said:
        return True
    if parcels == {DeliveryStatus.CANCELLED}:
        return True
    return False if (states | said | parcels) - {None} else None


def is_failed(rows: list[FileRow]) -> bool:
    """Whether the file calls the order 売上失敗, asked of any rows, bad ones too."""
    return any(row.order.get("payment_status") is PaymentStatus.CAPTURE_FAILED for row in rows)


def is_paid(rows: list[FileRow]) -> bool:
    """Whether the file calls the order paid, asked in the same way."""
    return any(row.order.get("payment_status") in PAID for row in rows)


def named_access(rows: list[FileRow]) -> str:
    """The 取引ID that the file names with its password; "" for none."""
    return next(
        (
            str(row.order["access_id"])
            for row in rows
            if row.order.get("access_id") and row.order.get("access_pass")
        ),
        "",
    )


def _moment(value: datetime | date, clock: time | None) -> datetime:
    return value if isinstance(value, datetime) else at(value, clock or time())


def _has_payment(given: dict[str, Any]) -> bool:
    """Whether the row brings a transaction of the gateway: then it is a card order, whatever it is called."""
    return bool(given.get("access_id") or given.get("authorized_at") or given.get("gateway_amount"))


def _claim(
    given: dict[str, Any], deliveries: list[dict[str, Any]], *, is_failed: bool
) -> PaymentClaim:
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
        is_failed=is_failed,
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
        line["tax_rate"] = rate if rate is not None else 8 if is_reduced else 10
    return line | {"delivery_number": row.delivery.get("number", 0)}


def _deliveries(
    rows: list[FileRow], given: dict[str, Any], warnings: list[str]
) -> list[dict[str, Any]]:
    """One per 配送先番号; their status from 配送ステータス, else 処理状況, else 注文状態."""
    by_number: dict[int, dict[str, Any]] = {}
    for row in rows:
        number = row.delivery.get("number", 0)
        by_number[number] = row.delivery | by_number.get(number, {})
    deliveries = [by_number[number] | {"number": number} for number in sorted(by_number)]
    fallback = _PROCESSED_AS.get(given.get("processing"))
    if fallback is None and given.get("order_state") == _CANCELLED:
        fallback = DeliveryStatus.CANCELLED
    if fallback is not None or any("status" in delivery for delivery in deliveries):
        for delivery in deliveries:
            delivery["status"] = delivery.get("status") or fallback or DeliveryStatus.UNPROCESSED
        derived = processing_class(delivery["status"] for delivery in deliveries)
        if given.get("processing") not in (None, derived):
            warnings.append(
                f"「処理状況」が「配送ステータス」と合わないため、処理区分は{derived.label}にします。"
            )
    return deliveries
