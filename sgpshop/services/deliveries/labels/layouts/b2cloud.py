"""ヤマト運輸 B2クラウド, 外部データから発行 (c01): 95 columns in the template's order."""

from __future__ import annotations

from sgpshop.services.deliveries.labels.job import Cool, Label, LabelJob, Sender
from sgpshop.services.deliveries.labels.layouts.layout import LabelLayout, LabelRow, named
from sgpshop.services.settings import ShopSettings

_HEADINGS = named(
    "お客様管理番号 送り状種類 クール区分 伝票番号 出荷予定日 お届け予定日 配達時間帯 お届け先コード "
    "お届け先電話番号 お届け先電話番号枝番 お届け先郵便番号 お届け先住所 お届け先アパートマンション名 "
    "お届け先会社・部門１ お届け先会社・部門２ お届け先名 お届け先名(ｶﾅ) 敬称 ご依頼主コード "
    "ご依頼主電話番号 ご依頼主電話番号枝番 ご依頼主郵便番号 ご依頼主住所 ご依頼主アパートマンション "
    "ご依頼主名 ご依頼主名(ｶﾅ) 品名コード１ 品名１ 品名コード２ 品名２ 荷扱い１ 荷扱い２ 記事 "
    "ｺﾚｸﾄ代金引換額（税込) 内消費税額等 止置き 営業所コード 発行枚数 個数口表示フラグ "
    "請求先顧客コード 請求先分類コード 運賃管理番号 クロネコwebコレクトデータ登録 "
    "クロネコwebコレクト加盟店番号 クロネコwebコレクト申込受付番号１ "
    "クロネコwebコレクト申込受付番号２ クロネコwebコレクト申込受付番号３ お届け予定ｅメール利用区分 "
    "お届け予定ｅメールe-mailアドレス 入力機種 お届け予定ｅメールメッセージ "
    "お届け完了ｅメール利用区分 お届け完了ｅメールe-mailアドレス お届け完了ｅメールメッセージ "
    "クロネコ収納代行利用区分 予備 収納代行請求金額(税込) 収納代行内消費税額等 収納代行請求先郵便番号 "
    "収納代行請求先住所 収納代行請求先住所（アパートマンション名） 収納代行請求先会社・部門名１ "
    "収納代行請求先会社・部門名２ 収納代行請求先名(漢字) 収納代行請求先名(カナ) "
    "収納代行問合せ先名(漢字) 収納代行問合せ先郵便番号 収納代行問合せ先住所 "
    "収納代行問合せ先住所（アパートマンション名） 収納代行問合せ先電話番号 収納代行管理番号 収納代行品名 "
    "収納代行備考 複数口くくりキー 検索キータイトル1 検索キー1 検索キータイトル2 検索キー2 "
    "検索キータイトル3 検索キー3 検索キータイトル4 検索キー4 検索キータイトル5 検索キー5 予備 "
    "予備 投函予定メール利用区分 投函予定メールe-mailアドレス 投函予定メールメッセージ "
    "投函完了メール（お届け先宛）利用区分 投函完了メール（お届け先宛）e-mailアドレス "
    "投函完了メール（お届け先宛）メールメッセージ 投函完了メール（ご依頼主宛）利用区分 "
    "投函完了メール（ご依頼主宛）e-mailアドレス 投函完了メール（ご依頼主宛）メールメッセージ "
)
_COOL = {Cool.NORMAL: "0", Cool.FROZEN: "1", Cool.CHILLED: "2"}
_COLLECT = "2"
#: 送り状種類 that take クール: 発払い, コレクト, 着払い
_COOLABLE = {"0", _COLLECT, "5"}
_MOST_CASH = 300_000
#: 12–14 is no time of B2クラウド
_TIMES = {(8, 12): "0812", (14, 16): "1416", (16, 18): "1618", (18, 20): "1820", (19, 21): "1921"}


def _fill(
    row: LabelRow, label: Label, number: str, sender: Sender, job: LabelJob, shop: ShopSettings
) -> None:
    kind = _COLLECT if label.cash else shop.label_b2_kind
    if job.cool is not Cool.NORMAL and kind not in _COOLABLE:
        row.problems.append("この送り状種類ではクール便を指定できません。")
    row.cells |= {1: number, 2: kind, 3: _COOL[job.cool], 5: f"{job.ship_date:%Y/%m/%d}", 18: "様"}
    row.put_date(6, label, job, "%Y/%m/%d")
    row.put_time(7, label, _TIMES)
    row.put(9, label.tel, 15, "お届け先の電話番号")
    row.put(11, label.postal_code, 8, "お届け先の郵便番号")
    there = label.address
    whole = there.prefecture + there.city + there.street
    row.put_over((12, 13), (whole, there.building), (32, 16), "お届け先の住所")
    row.put(16, label.name, 16, "お届け先の氏名")
    row.put(20, sender.tel, 15, "ご依頼主の電話番号")
    row.put(22, sender.postal_code, 8, "ご依頼主の郵便番号")
    here = sender.address
    row.put_over(
        (23, 24),
        (here.prefecture + here.city + here.street, here.building),
        (32, 16),
        "ご依頼主の住所",
    )
    row.put(25, sender.name, 16, "ご依頼主の名前")
    row.put_cut(28, label.contents, 25, "品名")
    if label.cash:
        if label.cash > _MOST_CASH:
            row.problems.append(f"コレクト(代引)の金額は{_MOST_CASH:,}円までです。")
        row.cells |= {34: label.cash, 35: label.cash_tax}
    row.cells |= {
        40: shop.label_b2_customer_code,
        41: shop.label_b2_class_code,
        42: shop.label_b2_freight_code,
    }


LAYOUT = LabelLayout(
    word="b2cloud",
    label="ヤマト運輸 B2クラウド",
    headings=_HEADINGS,
    longest_number=50,
    needs=("label_b2_customer_code", "label_b2_freight_code"),
    fill=_fill,
    remark="「外部データから発行」で、基本レイアウト(ヘッダー行あり)として取り込みます。",
)
