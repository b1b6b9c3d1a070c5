"""Shopify orders_export: the columns of the order stand on its first row only."""

from sgpshop.services.files.layout import Layout, Purpose, Row, RowsRefused, join, when
from sgpshop.services.files.sources import iso_prefecture, japanese_number


def _only_yen(rows: list[Row]) -> list[Row]:
    other = next((c for row in rows if (c := row.texts.get("currency", "")) not in ("", "JPY")), "")
    if other:
        raise RowsRefused(f"通貨が{other[:10]}の注文です。円(JPY)の注文だけを取り込めます。")
    return rows


LAYOUT = Layout(
    id="a09",
    program="Shopify 注文のエクスポート",
    purpose=Purpose.ORDERS,
    signature=("Name", "Lineitem name", "Financial Status"),
    columns={
        "order_no": "Name",
        "ordered_at": "Created at",
        "method": "Payment Method",
        "order_state": when("Cancelled at", then="0"),
        "currency": "Currency",
        "buyer_name": "Billing Name",
        "buyer_company": "Billing Company",
        "buyer_postal_code": "Billing Zip",
        "buyer_prefecture": iso_prefecture("Billing Province"),
        "buyer_address": join("Billing City", "Billing Address1", "Billing Address2"),
        "buyer_tel": japanese_number("Billing Phone"),
        "buyer_email": "Email",
        "carriage": "Shipping",
        "discount": "Discount Amount",
        "total": "Total",
        "note": "Notes",
        "name": "Shipping Name",
        "postal_code": "Shipping Zip",
        "prefecture": iso_prefecture("Shipping Province"),
        "address": join("Shipping City", "Shipping Address1", "Shipping Address2"),
        "tel": japanese_number("Shipping Phone"),
        "item_name": "Lineitem name",
        "code": "Lineitem sku",
        "unit_price": "Lineitem price",
        "quantity": "Lineitem quantity",
    },
    export="注文管理 → エクスポート → CSVファイル(Excelなどの表計算ソフト用)。",
    rows=_only_yen,
)
