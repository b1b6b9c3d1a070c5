"""Yahoo!ショッピング: the orders and their items are two files, joined by OrderId."""

from sgpshop.services.files.layout import Layout, Purpose, add, first, join, when
from sgpshop.services.files.sources import LABEL, labelled

_EXPORT = (
    "注文管理 → 注文データのダウンロードで「注文データ」と「商品データ」の2つを出力してください。"
)

ORDERS = Layout(
    id="a14",
    program="Yahoo!ショッピング 注文データ",
    purpose=Purpose.ORDERS,
    signature=("OrderId", "TotalPrice"),
    columns={
        "order_no": "OrderId",
        "ordered_at": "OrderTime",
        "method": first("PayMethodName", "PayMethod"),
        "order_state": when("OrderStatus", "4", then="0"),
        "buyer_name": join("BillLastName", "BillFirstName", by=" "),
        "buyer_kana": join("BillLastNameKana", "BillFirstNameKana", by=" "),
        "buyer_postal_code": "BillZipCode",
        "buyer_prefecture": "BillPrefecture",
        "buyer_address": join("BillCity", "BillAddress1", "BillAddress2"),
        "buyer_tel": "BillPhoneNumber",
        "buyer_email": "BillMailAddress",
        "carriage": "ShipCharge",
        "commission": add("PayCharge", "GiftWrapCharge"),
        "discount": "Discount",
        "points_used": "UsePoint",
        "total": "TotalPrice",
        "note": "BuyerComments",
        "name": join("ShipLastName", "ShipFirstName", by=" "),
        "postal_code": "ShipZipCode",
        "prefecture": "ShipPrefecture",
        "address": join("ShipCity", "ShipAddress1", "ShipAddress2"),
        "tel": "ShipPhoneNumber",
        "wish_date": "ShipRequestDate",
        "wish_time": "ShipRequestTime",
        "carrier_code": "ShipCompanyCode",
        "slip_no": "ShipInvoiceNumber1",
    },
    export=_EXPORT,
    rows=labelled,
    fills=LABEL,
    partner="a15",
)
ITEMS = Layout(
    id="a15",
    program="Yahoo!ショッピング 商品データ",
    purpose=Purpose.ITEMS,
    signature=("OrderId", "LineId", "Title"),
    columns={
        "order_no": "OrderId",
        "item_name": "Title",
        "code": first("SubCode", "ItemId"),
        "option": first("SubCodeOption", "ItemOption"),
        "jan": "ProductId",
        "unit_price": "UnitPrice",
        "quantity": "Quantity",
        "tax_rate": "ItemTaxRatio",
    },
    export=_EXPORT,
    partner="a14",
)
