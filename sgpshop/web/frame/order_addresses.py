"""Addresses of orders (`/orders/<order_no>…`) that no screen of ours can hide.

An order that was taken in under the name of a screen, before its number was refused, has its number
with a mark in its addresses (domain/order_number.py).
"""

from __future__ import annotations

from typing import Any

from flask import Flask, request

from sgpshop.domain.order_number import from_address, in_address

_NAME = "order_no"


def init_app(app: Flask) -> None:
    """Have every view of `app` given plain numbers, and every address made with the mark."""
    app.url_value_preprocessor(_read)
    app.url_defaults(_write)


def _read(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    if values and _NAME in values and request.path.startswith("/orders/"):
        values[_NAME] = from_address(values[_NAME])


def _write(_endpoint: str, values: dict[str, Any]) -> None:
    if _NAME in values:
        values[_NAME] = in_address(str(values[_NAME]))
