"""日本郵便 EMS."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, always

LAYOUT = Layout(
    id="b23",
    program="日本郵便 EMS",
    purpose=Purpose.SLIPS,
    signature=("EMS item number", "Invoice number"),
    columns={
        "order_no": "Invoice number",
        "slip_no": "EMS item number",
        "carrier": always("008"),
    },
    export="Invoice numberとEMS item numberの列がある、出荷データのファイルを選んでください。",
)
