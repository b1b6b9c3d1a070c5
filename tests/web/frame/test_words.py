"""One word for one thing: what screens, files and mails once called otherwise does not come back."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]
#: what people read is written in these; old revisions of the database and the other side of the wire are not
PLACES = [
    path
    for folder in ("templates", "sgpshop")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".html", ".py") and not {"migrations", "simulator"} & set(path.parts)
]
#: old -> what is said now
RETIRED = {
    "出荷済み・未売上": "発送済み・売上処理待ち",
    "金額変更未送信": "修正額が未送信",
    "返送済・決済未取消": "返送済み・返金未対応",
    "照合の通知": "SMBC-GPとの食い違い",
    "取消不要": "返金しない",
    "決済の取り消しを不要": "この決済はこのまま(返金しない)でよいですか?",
    "あわせて記録すること": "履歴に残すメモ",
    "キャンセルを実行する": "注文をキャンセルする",
    "実売上処理に失敗しました": "断られました(実売上処理)",
    "だめなら別のカード": "承認されない場合は、別のカード",
    "ほかの人または処理が": "この注文は、開いている間に更新されました",
    "結果を受け取れませんでした": "SMBC-GPからの返事が途切れたため",
    "照会前": "未確認",
    "最終照会": "SMBC-GPに確認した日時",
    "実売上処理を実行する": "… を売上処理する",
    "実行しない": "やめる",
    "経過を見る": "進み具合を見る",
    "続けて選択する": "一覧に戻る",
    "失敗分を再選択": "失敗した…件を選ぶ",
    "期間の外にあるかも": "この期間にはありません",
    "行を貼り付ける": "Excelからコピーして貼り付け",
    "ひな形": "テンプレート",
    "見本ファイル": "テンプレート",
    "重複行": "…行目と重複しています",
    "取り込めず": "エラー",
    "読み取れない行": "読めなかった行",
    "照合CSV": "取引一覧と突き合わせ",
    "手入力した金額です": "手入力の金額",
    "トップへ": "ホームに戻る",
    "おこな": "行う",
}


def test_old_words_do_not_come_back() -> None:
    sources = {path.name: path.read_text("utf-8") for path in PLACES}
    assert len(sources) > 300
    again = {
        (name, old, f"now: {new}")
        for old, new in RETIRED.items()
        for name, text in sources.items()
        if old in text
    }
    assert again == set()
