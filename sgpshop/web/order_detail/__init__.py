"""詳細注文情報 (`/orders/<order_no>`) and the acts on it."""

from flask import Blueprint

#: Endpoints are the acts as they stand in addresses, so that a template finds each by its name.
bp = Blueprint("order_detail", __name__, url_prefix="/orders")

from sgpshop.web.order_detail import alerts, notes, parcels, personal_data, slips, uncertain, views  # noqa: E402, F401 - add theirs
