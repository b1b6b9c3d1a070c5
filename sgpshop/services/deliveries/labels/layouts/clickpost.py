"""日本郵便 クリックポスト, まとめ申込 (c05): 8 columns; no order number goes in or comes back."""

from __future__ import annotations

from sgpshop.services.deliveries.labels.job import Cool, Label, LabelJob, Sender
from sgpshop.services.deliveries.labels.layouts.layout import LabelLayout, LabelRow
from sgpshop.services.settings import ShopSettings

_HEADINGS = (
    "お届け先郵便番号", "お届け先氏名", "お届け先敬称", "お届け先住所1行目", "お届け先住所2行目",
    "お届け先住所3行目", "お届け先住所4行目", "内容品",
)  # fmt: skip


def _fill(
    row: LabelRow, label: Label, number: str, sender: Sender, job: LabelJob, shop: ShopSettings
) -> None:
    if label.cash:
        row.problems.append("代引の注文は、クリックポストで送れません。")
    if job.cool is not Cool.NORMAL:
        row.problems.append("クール便は、クリックポストにありません。")
    row.put(1, label.postal_code, 8, "お届け先の郵便番号")
    row.put(2, label.name, 20, "お届け先の氏名")
    row.cells[3] = "様"
    row.put_over((4, 5, 6, 7), label.address, (20, 20, 20, 20), "お届け先の住所")
    row.put_cut(8, label.contents, 15, "内容品")
    if label.wish_date is not None or label.wish_time:
        row.warnings.append("クリックポストでは、配送希望の日と時間帯を指定できません。")


LAYOUT = LabelLayout(
    word="clickpost",
    label="日本郵便 クリックポスト",
    headings=_HEADINGS,
    longest_number=None,
    has_sender=False,
    fill=_fill,
    remark="注文番号を入れる欄がないため、クリックポストから戻るファイルでは伝票番号を登録できません。40件ずつ申し込みます。",
)
