"""Makes orders.csv, the sample: `python -m sgpshop.services.demo.make_sample`.

300 invented orders over three months, of all statuses and kinds, with the names and values that
trip programs up.  Always the same, so a change of the sample can be read in a diff.  Nobody's data:
names from lists, telephone 03-0000-xxxx, mail at example.jp.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

Row = dict[str, str]

_LAST_MOMENT = datetime(2026, 11, 22, 21, 40)  # noqa: DTZ001 - as it stands in the file, JST
_EPOCH_AROUND = 1_760_000_000  # order numbers begin like the cart's, with a moment in seconds

COLUMNS = (  # noqa: SIM905 - a list of fifty quoted names reads worse
    "注文番号 注文日時 注文状態 処理状況 決済方法 決済方法ステータス 会員ID 注文者 注文者(振り仮名) "
    "会社名 部署名 郵便番号 都道府県 住所 電話番号 メールアドレス 配送先番号 お届け先氏名 "
    "お届け先郵便番号 お届け先都道府県 お届け先住所 お届け先電話 配送希望日 配送時間帯 配送会社 "
    "伝票番号 配送ステータス 商品コード 商品名 選択肢 JAN 単価 数量 税率 軽減税率対象 予約フラグ "
    "定期購入ID 定期回数 送料 手数料 まとめ買い割引 クーポン 使用ポイント 消費税8% 消費税10% "
    "合計金額 備考 取引ID 取引パスワード 承認日時 オーソリ金額"
).split()

#: (決済方法ステータス, kind, how many, from and to days before the last one)
_PLAN = (
    ("仮売上", "normal", 98, 0, 13),
    ("仮売上", "normal", 15, 15, 55),
    ("仮売上", "normal", 7, 57, 62),
    ("決済完了", "normal", 60, 1, 80),
    ("売上失敗", "normal", 7, 1, 12),
    ("売上失敗", "normal", 1, 95, 95),  # its authorization cannot be captured any more (R130)
    ("注文キャンセル", "normal", 14, 2, 60),
    ("要確認", "normal", 7, 0, 6),
    ("決済待ち", "subscription", 14, 0, 20),
    ("売上報告済", "subscription", 12, 25, 85),
    ("仮売上", "preorder", 15, 0, 40),
    ("", "other", 50, 0, 88),
)

_PEOPLE = (
    ("佐藤", "サトウ"),
    ("鈴木", "スズキ"),
    ("髙橋", "タカハシ"),
    ("山﨑", "ヤマザキ"),
    ("渡邉", "ワタナベ"),
    ("齋藤", "サイトウ"),
    ("伊東", "イトウ"),
    ("中村", "ナカムラ"),
    ("小林", "コバヤシ"),
    ("加藤", "カトウ"),
    ("吉田", "ヨシダ"),
    ("濵田", "ハマダ"),
)
_GIVEN = (
    ("花子", "ハナコ"),
    ("太郎", "タロウ"),
    ("美咲", "ミサキ"),
    ("健", "ケン"),
    ("さくら", "サクラ"),
    ("隆", "タカシ"),
    ("由美子", "ユミコ"),
    ("翔", "ショウ"),
)
#: Names of buyers that programs stumble over, with their kana.
_AWKWARD = (
    ("=1+2 企画", "イチタスニキカク"),
    ("<b>太字</b> 商店", "フトジショウテン"),
    ("O'Neill & Sons", "オニールアンドサンズ"),
    ("ｶﾌﾞｼｷｶﾞｲｼｬ ﾐﾎﾝ", "カブシキガイシャミホン"),
    ("長宗我部 権左衛門之介信孝", "チョウソカベ ゴンザエモンノスケノブタカ"),
    ("見本～テスト（仮）", "ミホンテスト"),
    ("@home 見本店", "アットホームミホンテン"),
    ("林", "リン"),
)
_COMPANIES = (
    "株式会社見本商事",
    "有限会社サンプル堂",
    "一般社団法人全国見本データ作成及び長い名称の取扱いに関する調査研究推進協議会東日本支部",
    "㈱ﾃｽﾄ①",
)
_PLACES = (
    ("1000001", "東京(23区内)", "千代田区1-1"),
    ("1900012", "東京(23区外)", "立川市1-1"),
    ("0600001", "北海道", "札幌市中央区1-1"),
    ("5300001", "大阪府", "大阪市北区1-1 見本ビル3階"),
    ("8120011", "福岡県", "福岡市博多区1-1"),
    ("9000001", "沖縄県", "那覇市1-1"),
    ("4500002", "愛知県", "名古屋市中村区1-1"),
    ("9800011", "宮城県", "仙台市青葉区1-1"),
)
#: code, name, option, price in yen, tax rate
_GOODS = (
    ("TEA-01", "煎茶 100g", "", 1080, 8),
    ("TEA-02", "玉露 50g 缶入", "缶の色:朱", 2160, 8),
    ("SWT-07", "栗羊羹 3本入", "", 1944, 8),
    ("SWT-11", "季節の上生菓子〈6個〉", "のし:あり", 2484, 8),
    ("CUP-03", "湯呑 <青>", "サイズ:M", 3300, 10),
    ("POT-01", "急須 「常滑焼」", "", 6600, 10),
    ("TWL-05", "てぬぐい 麻の葉", "色:藍", 1430, 10),
    ("BOX-02", "ギフト箱", "", 330, 10),
    ("SET-09", "はじめてのお茶セット(煎茶・急須・湯呑)", "熨斗:内のし/名入れ:髙橋", 11000, 10),
)
_NOTES = (
    "",
    "",
    "",
    "",
    "のし: 御礼\n名入れ: 髙橋・山﨑",
    "不在の場合は宅配ボックスへ。\n電話は 10:00～17:00 にお願いします",
    '"至急"でお願いします,17日必着',
)
_OTHER_METHODS = ("代金引換", "銀行振込", "コンビニ", "Amazon Pay", "後払い.com")
_FEES = {"代金引換": 330, "コンビニ": 220}
_TIMES = ("", "", "午前中", "14時～16時", "18時～20時")
_CARRIERS = ("002", "003", "001", "030")


def orders() -> Iterator[list[Row]]:
    """The rows of each order, newest first."""
    dice = random.Random(20261122)  # noqa: S311 - invented data, meant to be repeatable
    made = [
        _order(dice, serial, status, kind, *days)
        for serial, (status, kind, *days) in enumerate(
            (status, kind, earliest, latest)
            for status, kind, count, earliest, latest in _PLAN
            for _ in range(count)
        )
    ]
    yield from sorted(made, key=lambda rows: rows[0]["注文日時"], reverse=True)


def _order(
    dice: random.Random, serial: int, status: str, kind: str, nearest: int, farthest: int
) -> list[Row]:
    day = _LAST_MOMENT - timedelta(days=nearest + dice.randrange(farthest - nearest + 1))
    moment = day.replace(hour=dice.randrange(6, 21), minute=dice.randrange(60))
    is_delivered = status in ("決済完了", "売上報告済") or (kind == "other" and serial % 3 > 0)
    is_delivered = is_delivered or (status == "仮売上" and serial % 16 == 5)  # shipped, not paid
    order = {
        "注文番号": f"P{_EPOCH_AROUND + serial * 9_973}{dice.randrange(10**8):08d}",
        "注文日時": f"{moment:%Y/%m/%d %H:%M}",
        "注文状態": {"注文キャンセル": "0", "要確認": "99"}.get(status, "1"),
        "決済方法": dice.choice(_OTHER_METHODS) if kind == "other" else "SGP:カード決済",
        "決済方法ステータス": status,
        "備考": dice.choice(_NOTES),
        **_buyer(dice, serial),
    }
    order["処理状況"] = (
        "注文キャンセル" if status == "注文キャンセル" else "配送" if is_delivered else "未処理"
    )
    if kind == "subscription":
        order |= {"定期購入ID": f"T{3000 + serial}", "定期回数": str(dice.randrange(1, 13))}
    rows = _items(dice, serial, moment, is_delivered, is_preorder=kind == "preorder")
    order |= _money(dice, rows, order["決済方法"])
    if status == "仮売上" and kind == "normal" and serial % 4:
        # The cart kept the authorization; its transaction id is what only the gateway knows.
        held = int(order["合計金額"]) + (500 if serial % 50 == 7 else 0)
        order |= {"承認日時": f"{moment:%Y%m%d%H%M}{serial % 60:02d}", "オーソリ金額": str(held)}
    return [order | row for row in rows]


def _buyer(dice: random.Random, serial: int) -> Row:
    (family, family_kana), (given, given_kana) = dice.choice(_PEOPLE), dice.choice(_GIVEN)
    name, kana = f"{family} {given}", f"{family_kana} {given_kana}"
    if serial % 23 == 3:
        name, kana = _AWKWARD[serial // 23 % len(_AWKWARD)]
    is_member, is_company = serial % 3 > 0, serial % 11 == 0
    postal_code, prefecture, address = dice.choice(_PLACES)
    return {
        "会員ID": f"m{serial * 37 % 120:04d}" if is_member else "",
        "注文者": name,
        "注文者(振り仮名)": kana,
        "会社名": dice.choice(_COMPANIES) if is_company else "",
        "部署名": "総務部" if is_company else "",
        "郵便番号": postal_code,
        "都道府県": prefecture,
        "住所": address,
        "電話番号": f"03-0000-{serial * 31 % 10_000:04d}",
        "メールアドレス": f"buyer{serial:03d}@example.jp",
    }


def _items(
    dice: random.Random, serial: int, moment: datetime, is_delivered: bool, *, is_preorder: bool
) -> list[Row]:
    parcels = 3 if serial % 61 == 4 else 2 if serial % 17 == 4 else 1
    deliveries = [
        _delivery(dice, number if parcels > 1 else 0, moment, is_delivered)
        for number in range(1, parcels + 1)
    ]
    rows = []
    for position in range(max(parcels, dice.choice((1, 1, 1, 2, 2, 3)))):
        code, name, option, price, rate = dice.choice(_GOODS)
        rows.append(
            deliveries[position % parcels]
            | {
                "商品コード": code,
                "商品名": name,
                "選択肢": option,
                "JAN": _jan(490000000000 + sum(map(ord, code)) * 1_009),
                "単価": str(price),
                "数量": str(dice.choice((1, 1, 1, 2, 3))),
                "税率": str(rate),
                "軽減税率対象": "1" if rate == 8 else "0",
                "予約フラグ": "1" if is_preorder and position == 0 else "0",
            }
        )
    return rows


def _delivery(dice: random.Random, number: int, moment: datetime, is_delivered: bool) -> Row:
    postal_code, prefecture, address = dice.choice(_PLACES)
    (family, _), (given, _) = dice.choice(_PEOPLE), dice.choice(_GIVEN)
    wish = dice.choice((0, 0, 3, 5, 8))
    return {
        "配送先番号": str(number),
        "お届け先氏名": f"{family} {given}",
        "お届け先郵便番号": postal_code,
        "お届け先都道府県": prefecture,
        "お届け先住所": address,
        "お届け先電話": f"03-0000-{dice.randrange(10_000):04d}",
        "配送希望日": f"{moment + timedelta(days=wish):%Y/%m/%d}" if wish else "",
        "配送時間帯": dice.choice(_TIMES),
        "配送会社": dice.choice(_CARRIERS) if is_delivered else "",
        "伝票番号": f"{dice.randrange(10**11, 10**12)}" if is_delivered else "",
        "配送ステータス": "配送完了" if is_delivered else "",
    }


def _money(dice: random.Random, rows: list[Row], method: str) -> Row:
    sums = {8: 0, 10: 0}
    for row in rows:
        sums[int(row["税率"])] += int(row["単価"]) * int(row["数量"])
    carriage = 0 if sum(sums.values()) >= 8_000 else 660
    commission = _FEES.get(method, 0)
    coupon, points = dice.choice((0, 0, 0, 0, 300)), dice.choice((0, 0, 0, 0, 0, 125))
    fees = carriage + commission - coupon - points
    total = sum(sums.values()) + fees
    return {
        "送料": str(carriage),
        "手数料": str(commission),
        "まとめ買い割引": "0",
        "クーポン": str(coupon),
        "使用ポイント": str(points),
        "消費税8%": str(sums[8] * 8 // 108),
        "消費税10%": str(max(sums[10] + fees, 0) * 10 // 110),
        "合計金額": str(total),
    }


def _jan(digits: int) -> str:
    """The JAN code with its check digit."""
    weighted = sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(str(digits)))
    return f"{digits}{-weighted % 10}"


def write(path: Path) -> None:
    """Write the sample to `path`, as the cart exports it: CP932, CRLF."""
    with path.open("w", encoding="cp932", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for rows in orders():
            writer.writerows(rows)


if __name__ == "__main__":
    write(Path(__file__).with_name("orders.csv"))
