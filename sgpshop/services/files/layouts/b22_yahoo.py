"""Yahoo!ショッピング, 出荷: two numbers, companies by codes of Yahoo."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, join, say

LAYOUT = Layout(
    id="b22",
    program="Yahoo!ショッピング",
    purpose=Purpose.SLIPS,
    signature=("OrderId", "ShipInvoiceNumber1"),
    columns={
        "order_no": "OrderId",
        "slip_no": join("ShipInvoiceNumber1", "ShipInvoiceNumber2", by=","),
        "ship_date": "ShipDate",
        "carrier": say("ShipCompanyCode", {"100": "001", "103": "002", "104": "003"}),
    },
    export="Yahoo!ショッピングの注文データに、OrderIdとShipInvoiceNumber1を入れて出力してください。",
)
