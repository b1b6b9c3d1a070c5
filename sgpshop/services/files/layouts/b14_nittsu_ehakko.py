"""日本通運 e発行: 49 columns below two lines of headings; the company has no code of ours."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, always

LAYOUT = Layout(
    id="b14",
    program="日本通運 e発行",
    purpose=Purpose.SLIPS,
    signature=("お問い合わせ番号", "お客様番号", "発行種別"),
    columns={
        "order_no": "お客様番号",
        "slip_no": "お問い合わせ番号",
        "ship_date": "受託日",
        "carrier": always("日本通運"),
    },
    export="e発行から出荷データをCSV出力してください。",
)
