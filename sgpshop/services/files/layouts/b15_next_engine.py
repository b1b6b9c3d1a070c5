"""ネクストエンジン, 出荷確定: 伝票番号 is its own number, 発送伝票番号 the carrier's."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, first

LAYOUT = Layout(
    id="b15",
    program="ネクストエンジン 出荷確定",
    purpose=Purpose.SLIPS,
    signature=("発送伝票番号",),
    columns={
        "order_no": first("受注番号", "店舗伝票番号"),
        "slip_no": "発送伝票番号",
        "ship_date": "出荷確定日",
        "carrier": "発送方法",
    },
    export="ネクストエンジンの出荷確定データに「受注番号」の列を入れて、CSVダウンロードしてください。",
)
