"""Made-up requests and answers for the OpenAPI document; the tests hold them against its schemas."""

from __future__ import annotations

from typing import Any

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.services.order_detail.unfinished import Unfinished
from sgpshop.web.frame.problem_codes import heading, title
from sgpshop.web.frame.problems import TYPE

NEW_ORDER: dict[str, Any] = {
    "order_no": "P261123101500000001",
    "ordered_at": "2026-11-23T10:15:00+09:00",
    "kind": "normal",
    "buyer": {
        "name": "佐藤 花子",
        "kana": "サトウ ハナコ",
        "email": "h@example.jp",
        "tel": "0312345678",
        "postal_code": "1000001",
        "prefecture": "東京都",
        "address": "千代田区1-1",
        "member_id": None,
    },
    "items": [{"code": "A-1", "name": "煎茶", "unit_price": 1000, "quantity": 2, "tax_rate": 8}],
    "deliveries": [],
    "shipping_fee": 500,
    "handling_fee": 0,
    "discount": 0,
    "coupon": 0,
    "points_used": 0,
    "total": 2500,
    "memo": "",
    "payment": {"token": "tok_test_good"},
    "return_url": None,
    "three_ds": "none",
}
_ENTRY: dict[str, Any] = {
    "type": "payment_status",
    "at": "2026-11-23T01:15:03+00:00",
    "action": "authorize_done",
    "by": "api_key",
    "version": 2,
    "payment_status_before": "needs_review",
    "payment_status": "authorized",
    "total_before": 2500,
    "total": 2500,
    "gateway_amount": 2500,
    "captured_amount": None,
    "refunded_amount": None,
    "processing_class": "unprocessed",
    "alert": None,
}
ORDER: dict[str, Any] = {
    "order_no": "P261123101500000001",
    "payment_status": "authorized",
    "buyer_text": PaymentStatus.AUTHORIZED.buyer_text,
    "unfinished_payment": None,
    "redirect_url": None,
    "return_key": None,
    "kind": "normal",
    "total": 2500,
    "gateway_amount": 2500,
    "captured_amount": None,
    "open_operation": None,
    "version": 2,
    "last_error": None,
    "other_transactions": [],
    "ordered_at": "2026-11-23T01:15:00+00:00",
    "created_at": "2026-11-23T01:15:02+00:00",
    "changed_at": "2026-11-23T01:15:03+00:00",
    "processing_class": "unprocessed",
    "authorized_amount": 2500,
    "refunded_amount": 0,
    "hold_expires_at": "2027-01-22T01:15:03+00:00",
    "buyer": NEW_ORDER["buyer"] | {"company": "", "department": ""},
    "items": [NEW_ORDER["items"][0] | {"delivery_number": 0, "option": "", "jan": ""}],
    "deliveries": [
        {
            "number": 0,
            "name": "佐藤 花子",
            "postal_code": "1000001",
            "prefecture": "東京都",
            "address": "千代田区1-1",
            "tel": "0312345678",
            "wish_date": None,
            "wish_time": "",
            "carrier_code": "",
            "carrier": "",
            "slip_numbers": [],
            "status": "unprocessed",
            "delivered_at": None,
            "returned_on": None,
            "return_reason": "",
        }
    ],
    "shipping_fee": 500,
    "handling_fee": 0,
    "discount": 0,
    "bulk_discount": 0,
    "coupon": 0,
    "points_used": 0,
    "prices_include_tax": True,
    "memo": "",
    "subscription": None,
    "stored_card": None,
    "payment_events": [_ENTRY],
}
TO_BUYER = ORDER | {
    "payment_status": "needs_review",
    "buyer_text": Unfinished.AT_BANK.buyer_text,
    "unfinished_payment": "at_bank",
    "gateway_amount": None,
    "authorized_amount": None,
    "hold_expires_at": None,
    "return_key": "2f1d7f0c3a0e5c1b9d8e7f6a5b4c3d2e1f0a9b8c",
    "redirect_url": "https://pt01.smbc-gp.co.jp/payment/tds2/Start.idPass?transId=1&t=2",
}
GOING_ON = ORDER | {
    "open_operation": {
        "operation": "capture",
        "state": "sending",
        "since": "2026-11-24T03:00:00+00:00",
        "is_worker_there": True,
    },
    "version": 3,
}
ORDERS: dict[str, Any] = {
    "orders": [ORDER | {"payment_events": None}],
    "next_cursor": None,
    "changed_cursor": None,
}
EVENTS: dict[str, Any] = {
    "events": [_ENTRY | {"id": "5f1c0a9e-1042", "order_no": "P261123101500000001"}],
    "next_after": "5f1c0a9e-1042",
    "has_more": False,
}
WEBHOOK: dict[str, Any] = {
    "type": f"order.{_ENTRY['type']}",
    "timestamp": _ENTRY["at"],
    "data": EVENTS["events"][0],
}
FULFILMENT: dict[str, Any] = {
    "orders": [
        {
            "order_no": "P261123101500000001",
            "parcels": [
                {
                    "number": 0,
                    "status": "delivered",
                    "carrier_code": "002",
                    "slip_numbers": ["1234-5678-9012"],
                    "day": None,
                }
            ],
            "amount": 2500,
        }
    ],
    "capture": True,
}
FULFILLED: dict[str, Any] = {
    "id": "9f86d081884c7d659a2feaa0c55ad015",
    "is_finished": True,
    "failed": 0,
    "is_worker_there": True,
    "orders": [
        {
            "order_no": "P261123101500000001",
            "parcels": [
                {
                    "number": 0,
                    "result": "done",
                    "is_registered": True,
                    "code": None,
                    "detail": None,
                    "error_codes": [],
                }
            ],
            "processing_class": "delivered",
            "payment_status": "captured",
            "version": 5,
        }
    ],
}
FULFILLING: dict[str, Any] = {
    "id": FULFILLED["id"],
    "is_finished": False,
    "failed": 0,
    "is_worker_there": True,
    "orders": [
        {
            "order_no": "P261123101500000001",
            "parcels": [
                FULFILLED["orders"][0]["parcels"][0] | {"result": "waiting", "is_registered": False}
            ],
            "processing_class": "unprocessed",
            "payment_status": "authorized",
            "version": 3,
        }
    ],
}
SEEN: dict[str, Any] = {"version": 2, "amount": 2500}
AMOUNT = SEEN | {"new_amount": 2000, "confirm_increase": False}
SEEN_FOR_CANCEL = SEEN | {"refund": False}


def problem(status: int, code: str) -> dict[str, Any]:
    """A problem document with that status and code."""
    return {
        "type": TYPE + code,
        "title": title(code),
        "status": status,
        "code": code,
        "detail": heading(code) + "。",
        "request_id": "0f3f1f0a6f218a4f",
    }
