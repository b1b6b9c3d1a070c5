"""HTTP in, HTML out: blueprints that find, call a service, and show."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Hook all screens, filters, rights and error pages into `app`."""
    from sgpshop.web import (
        auth,
        bulk_runs,
        dashboard,
        errors,
        formatters,
        health,
        help_page,
        imports,
        notifications,
        order_detail,
        order_edit,
        order_search,
        parcels,
        reconciling,
        security,
        settings,
        uncertain,
    )

    security.init_app(app)
    errors.init_app(app)
    formatters.init_app(app)
    for module in (
        auth,
        dashboard,
        imports,  # before order_detail: /orders/imports is not an order number
        bulk_runs,  # nor is /orders/bulk
        reconciling,  # nor /orders/reconcile
        order_search,
        parcels,
        order_edit,
        uncertain,
        order_detail,
        settings,
        notifications,
        help_page,
        health,
    ):
        app.register_blueprint(module.bp)
