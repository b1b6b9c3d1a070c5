"""佐川急便 e飛伝Ⅲ, 標準 (c02): 74 columns."""

from __future__ import annotations

from sgpshop.services.deliveries.labels.job import Cool, Label, LabelJob, Sender
from sgpshop.services.deliveries.labels.layouts.layout import LabelLayout, LabelRow, named
from sgpshop.services.settings import ShopSettings

_HEADINGS = named(
    "お届け先コード取得区分 お届け先コード お届け先電話番号 お届け先郵便番号 お届け先住所１ "
    "お届け先住所２ お届け先住所３ お届け先名称１ お届け先名称２ お客様管理番号 お客様コード "
    "部署ご担当者コード取得区分 部署ご担当者コード 部署ご担当者名称 荷送人電話番号 ご依頼主コード取得区分 "
    "ご依頼主コード ご依頼主電話番号 ご依頼主郵便番号 ご依頼主住所１ ご依頼主住所２ ご依頼主名称１ "
    "ご依頼主名称２ 荷姿 品名１ 品名２ 品名３ 品名４ 品名５ 荷札荷姿 荷札品名１ 荷札品名２ "
    "荷札品名３ 荷札品名４ 荷札品名５ 荷札品名６ 荷札品名７ 荷札品名８ 荷札品名９ 荷札品名１０ "
    "荷札品名１１ 出荷個数 スピード指定 クール便指定 配達日 配達指定時間帯 配達指定時間（時分） "
    "代引金額 消費税 決済種別 保険金額 指定シール１ 指定シール２ 指定シール３ 営業所受取 SRC区分 "
    "営業所受取営業所コード 元着区分 メールアドレス ご不在時連絡先 出荷日 お問い合せ送り状No. "
    "出荷場印字区分 集約解除指定 編集０１ 編集０２ 編集０３ 編集０４ 編集０５ 編集０６ 編集０７ "
    "編集０８ 編集０９ 編集１０ "
)
_COOL = {Cool.NORMAL: "001", Cool.CHILLED: "002", Cool.FROZEN: "003"}
_COOL_SEAL = {Cool.CHILLED: "001", Cool.FROZEN: "002"}
_DAY_SEAL = "005"
_TIMES = {
    (8, 12): "01", (12, 14): "12", (14, 16): "14", (16, 18): "16", (18, 20): "18", (19, 21): "19",
    (18, 21): "04",
}  # fmt: skip
_WIDTH = 16


def _fill(
    row: LabelRow, label: Label, number: str, sender: Sender, job: LabelJob, shop: ShopSettings
) -> None:
    there, thrice = label.address, (_WIDTH,) * 3
    row.put(3, label.tel, 15, "お届け先の電話番号")
    row.put(4, label.postal_code, 8, "お届け先の郵便番号")
    parts = (there.prefecture + there.city, there.street, there.building)
    row.put_over((5, 6, 7), parts, thrice, "お届け先の住所")
    row.put_over((8, 9), (label.name, ""), thrice[:2], "お届け先の氏名")
    row.cells |= {10: number, 11: shop.label_sagawa_customer_code}
    if shop.label_sagawa_sender_code:
        row.cells[17] = shop.label_sagawa_sender_code
    else:
        here = sender.address
        row.put(18, sender.tel, 15, "ご依頼主の電話番号")
        row.put(19, sender.postal_code, 8, "ご依頼主の郵便番号")
        parts2 = (here.prefecture + here.city, here.street + here.building)
        row.put_over((20, 21), parts2, thrice[:2], "ご依頼主の住所")
        row.put_over((22, 23), (sender.name, ""), thrice[:2], "ご依頼主の名前")
    row.put_cut(25, label.contents, _WIDTH, "品名")
    row.cells |= {24: "001", 42: 1, 43: "000", 44: _COOL[job.cool], 50: "0", 58: "1"}
    has_day = row.put_date(45, label, job, "%Y%m%d")
    row.put_time(46, label, _TIMES)
    seals = [seal for seal in (_DAY_SEAL if has_day else "", _COOL_SEAL.get(job.cool)) if seal]
    row.cells |= dict(zip((52, 53), seals, strict=False))
    if label.cash:
        row.cells |= {48: label.cash, 49: label.cash_tax, 50: "1"}
    row.cells[61] = f"{job.ship_date:%Y/%m/%d}"


LAYOUT = LabelLayout(
    word="ehiden3",
    label="佐川急便 e飛伝Ⅲ",
    headings=_HEADINGS,
    longest_number=20,
    fill=_fill,
    remark="「送り状データ取込」で、標準テンプレートとして取り込みます。",
)
