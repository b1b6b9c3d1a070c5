"""日本郵便 ゆうパックプリントR (c03): 117 columns by position, no headings, lengths in bytes."""

from __future__ import annotations

from sgpshop.domain.label_text import in_bytes
from sgpshop.services.deliveries.labels.job import Cool, Label, LabelJob, Sender
from sgpshop.services.deliveries.labels.layouts.layout import LabelLayout, LabelRow, blank_headings
from sgpshop.services.settings import ShopSettings

_COOL = {Cool.NORMAL: "0", Cool.CHILLED: "1", Cool.FROZEN: "2"}
TIMES = {
    (0, 0): "00", (8, 12): "51", (12, 14): "52", (14, 16): "53", (16, 18): "54", (18, 20): "55",
    (19, 21): "57",
}  # fmt: skip
_THRICE = (50, 50, 50)


def _fill(
    row: LabelRow, label: Label, number: str, sender: Sender, job: LabelJob, shop: ShopSettings
) -> None:
    there, here = label.address, sender.address
    row.cells |= {
        1: number, 2: f"{job.ship_date:%Y%m%d}", 6: "0", 7: _COOL[job.cool],
        8: "2" if label.cash else "0", 9: "0", 10: "0", 11: shop.label_yupri_form, 19: "0",
        54: label.reference, 60: shop.label_yupri_size, 66: "00", 72: 1, 104: 1,
    }  # fmt: skip
    row.put(13, label.postal_code, 8, "お届け先の郵便番号")
    parts = (there.prefecture + there.city, there.street, there.building)
    row.put_over((14, 15, 16), parts, _THRICE, "お届け先の住所")
    row.put_over((17, 18), (label.name, ""), _THRICE[:2], "お届け先の氏名")
    row.put(20, label.tel, 15, "お届け先の電話番号")
    row.put(30, sender.postal_code, 8, "ご依頼主の郵便番号")
    parts = (here.prefecture + here.city, here.street, here.building)
    row.put_over((31, 32, 33), parts, _THRICE, "ご依頼主の住所")
    row.put_over((34, 35), (sender.name, ""), _THRICE[:2], "ご依頼主の名前")
    row.put(37, sender.tel, 15, "ご依頼主の電話番号")
    row.put_date(65, label, job, "%Y%m%d")
    row.put_time(66, label, TIMES)
    if label.cash:
        row.cells |= {99: label.cash, 100: label.cash_tax}
    row.put_cut(103, label.contents, 50, "品名")


LAYOUT = LabelLayout(
    word="yupri-r",
    label="日本郵便 ゆうパックプリントR",
    headings=blank_headings(117),
    has_headings=False,
    is_quoted=False,
    measure=in_bytes,
    longest_number=15,
    needs=("label_yupri_form",),
    fill=_fill,
    remark="「外部データ取込」で、標準の117項目(見出しなし)のフィルタで取り込みます。フィルタの登録は最初の1回だけです。",
)
