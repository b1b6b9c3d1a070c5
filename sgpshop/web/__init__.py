"""HTTP in, HTML or JSON out: blueprints that find, call a service, and show."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.routing import IntegerConverter, Map, ValidationError

from sgpshop.domain.bounds import MOST


class _Number(IntegerConverter):
    """`<int:…>` in an address: what no id can be is not found."""

    def __init__(self, map: Map, *arguments: Any, **options: Any) -> None:
        super().__init__(map, *arguments, **{"max": MOST, **options})

    def to_python(self, value: str) -> int:
        if len(value) > len(str(MOST)):
            raise ValidationError
        number: int = super().to_python(value)
        return number


def register(app: Flask) -> None:
    """Hook all screens, filters, rights and error pages into `app`."""
    app.url_map.converters["int"] = _Number
    from sgpshop.web import (
        account,
        api_keys,
        auth,
        bulk_runs,
        dashboard,
        delivery_notes,
        errors,
        exports,
        formatters,
        health,
        help_page,
        imports,
        notifications,
        order_addresses,
        order_detail,
        order_edit,
        order_search,
        parcels,
        people,
        preorders,
        reconciling,
        right_database,
        security,
        settings,
        slips,
        subscriptions,
        three_ds,
        uncertain,
    )
    from sgpshop.web.api import document, orders

    right_database.init_app(app)
    security.init_app(app)
    errors.init_app(app)
    formatters.init_app(app)
    for module in (
        auth,
        dashboard,
        imports,  # before order_detail: /orders/imports is not an order number
        exports,  # nor is /orders/export
        delivery_notes,  # before bulk_runs: /orders/bulk/print is no run
        bulk_runs,  # nor is /orders/bulk
        reconciling,  # nor /orders/reconcile
        order_search,
        parcels,
        order_edit,
        uncertain,
        order_detail,
        slips,
        subscriptions,
        preorders,
        settings,
        people,
        account,
        notifications,
        three_ds,
        api_keys,
        orders,
        document,
        help_page,
        health,
    ):
        app.register_blueprint(module.bp)
    order_addresses.init_app(app)
