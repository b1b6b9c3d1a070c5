"""HTTP in, HTML or JSON out: blueprints that find, call a service, and show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.routing import IntegerConverter, Map, Rule, ValidationError

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


class _Rule(Rule):
    """An address; the function that `url_for` builds it by is compiled when it is first asked for.

    There are two for each, which cost a twentieth of a start, and most processes build few of them.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        name = "_build_unknown" if append_unknown else "_build"

        def build_first(rule: _Rule, **values: Any) -> tuple[str, str]:
            build = Rule._compile_builder(rule, append_unknown).__get__(rule)
            setattr(rule, name, build)
            built: tuple[str, str] = build(**values)
            return built

        return build_first


def register(app: Flask) -> None:
    """Hook all screens, filters, rights and error pages into `app`."""
    app.url_rule_class = _Rule
    app.url_map.converters["int"] = _Number
    from sgpshop.web import (
        approvals,
        auth,
        dashboard,
        first_set_up,
        health,
        journals,
        notify,
        order_detail,
        preorders,
        sales,
        slips,
        three_ds,
    )
    from sgpshop.web import order_files as imports
    from sgpshop.web import reconciliation as reconciling
    from sgpshop.web.api import addresses as api
    from sgpshop.web.frame import (
        errors,
        formatters,
        menus,
        order_addresses,
        order_row,
        pieces,
        right_database,
        security,
    )
    from sgpshop.web.help import views as help_page
    from sgpshop.web.order_edit import views as order_edit
    from sgpshop.web.order_search import bulk_runs, delivery_notes, exports, finding, labels
    from sgpshop.web.order_search import views as order_search
    from sgpshop.web.settings import (
        account,
        activities,
        api_keys,
        file_settings,
        networks,
        notifications,
        people,
        personal_data,
        second_factor,
        second_look,
        webhooks,
    )
    from sgpshop.web.settings import views as settings
    from sgpshop.web.subscriptions import views as subscriptions

    right_database.init_app(app)
    security.init_app(app)
    errors.init_app(app)
    formatters.init_app(app)
    pieces.init_app(app)
    menus.init_app(app)
    order_row.init_app(app)
    for module in (
        auth,
        first_set_up,
        dashboard,
        approvals,
        imports,  # before order_detail: /orders/imports is not an order number
        exports,  # nor is /orders/export
        labels,  # nor is /orders/bulk/labels a run
        delivery_notes,  # before bulk_runs: /orders/bulk/print is no run
        bulk_runs,  # nor is /orders/bulk
        reconciling,  # nor /orders/reconcile
        journals,
        sales,
        order_search,
        finding,
        order_edit,
        order_detail,
        slips,
        subscriptions,
        preorders,
        settings,
        file_settings,
        people,
        networks,
        second_look,
        personal_data,
        activities,
        account,
        second_factor,
        notifications,
        notify,
        three_ds,
        api_keys,
        webhooks,
        help_page,
        health,
    ):
        app.register_blueprint(module.bp)
    for blueprint in api.blueprints():
        app.register_blueprint(blueprint)
    order_addresses.init_app(app)
