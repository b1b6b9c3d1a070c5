"""日本郵便 ゆうプリクラウド (c04): 17 columns, read by a filter that the shop registers once."""

from __future__ import annotations

from sgpshop.domain.csv_writing import Encoding
from sgpshop.services.deliveries.labels.job import Cool, Label, LabelJob, Sender
from sgpshop.services.deliveries.labels.layouts.layout import LabelLayout, LabelRow
from sgpshop.services.deliveries.labels.layouts.yupri_r import TIMES
from sgpshop.services.settings import ShopSettings

_HEADINGS = (
    "送り状種別", "荷物商品名", "個口数", "お客さま管理番号（受注番号等）", "品名1", "サイズ",
    "お届け先郵便番号", "お届け先住所1", "お届け先氏名1", "お届け先電話番号", "ご依頼主郵便番号",
    "ご依頼主住所1", "ご依頼主氏名1", "ご依頼主電話番号", "発送予定日", "配達希望日", "配達希望時間帯",
)  # fmt: skip


def _fill(
    row: LabelRow, label: Label, number: str, sender: Sender, job: LabelJob, shop: ShopSettings
) -> None:
    if label.cash:
        row.problems.append("代引の注文は、このファイルでは送り状を作れません。")
    if job.cool is not Cool.NORMAL:
        row.problems.append("クール便は、このファイルでは指定できません。")
    row.cells |= {
        1: shop.label_yupri_cloud_form, 2: shop.label_yupri_cloud_product, 3: 1, 4: number,
        6: shop.label_yupri_size, 15: f"{job.ship_date:%Y%m%d}",
    }  # fmt: skip
    row.put_cut(5, label.contents, 25, "品名")
    row.put(7, label.postal_code, 8, "お届け先の郵便番号")
    row.put(8, "".join(label.address), 75, "お届け先の住所")
    row.put(9, label.name, 25, "お届け先の氏名")
    row.put(10, label.tel, 15, "お届け先の電話番号")
    row.put(11, sender.postal_code, 8, "ご依頼主の郵便番号")
    row.put(12, "".join(sender.address), 75, "ご依頼主の住所")
    row.put(13, sender.name, 25, "ご依頼主の名前")
    row.put(14, sender.tel, 15, "ご依頼主の電話番号")
    row.put_date(16, label, job, "%Y%m%d")
    row.put_time(17, label, TIMES)


LAYOUT = LabelLayout(
    word="yupri-cloud",
    label="日本郵便 ゆうプリクラウド",
    headings=_HEADINGS,
    encoding=Encoding.UTF_8,
    longest_number=16,
    needs=("label_yupri_cloud_product",),
    fill=_fill,
    remark="見出しの17項目を、取込フィルタに1回だけ登録してください。",
)
