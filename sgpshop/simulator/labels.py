"""What the console calls things (protocol.md §3.1), and why it refuses."""

STATUS_LABELS = {
    "UNPROCESSED": "未決済",
    "AUTHENTICATED": "未決済(3D登録済)",
    "CHECK": "有効性チェック",
    "AUTH": "仮売上",
    "SAUTH": "簡易オーソリ",
    "CAPTURE": "即時売上",
    "SALES": "実売上",
    "VOID": "取消",
    "RETURN": "返品",
    "RETURNX": "月跨返品",
}
_JOB_LABELS = {**STATUS_LABELS, "CANCEL": "取消・返品"}

#: The column Result of a monthly file; blank before the result day.
RESULT_LABELS = {
    "": "結果待ち",
    "0": "課金済",
    "1": "カード会社が拒否",
    "2": "確認できず",
    "3": "入力エラー",
}
#: What the buyer's browser brought of 3-D Secure.
THREE_DS_LABELS = {
    "": "認証待ち(ブラウザーの手続きが終わっていません)",
    "Y": "認証済(Y)",
    "A": "認証を試行(A)",
    "N": "本人と認められず(N)",
    "U": "認証できず(U)",
    "R": "カード会社が拒否(R)",
    "X": "購入者が中断",
}

_REASONS = {
    "E01060001": "金額を入力してください。",
    "E01060005": "金額は7桁までで入力してください。",
    "E01060006": "金額は半角数字で入力してください。",
    "E01060010": "仮売上の金額と違うため、実売上にできません。",
    "E01410010": "月次ファイルの課金のため、ここでは操作できません。",
    "E01420010": "仮売上の有効期間を過ぎているため、実売上にできません。",
    "E01040010": "このオーダーIDは、すでに使われています。",
    "E01240002": "登録カードがありません。",
    "E01390002": "会員がいません。",
    "E11010001": "この取引の決済は、すでに実行されています。",
    "E11010002": "まだ決済が実行されていない取引です。",
    "E11010003": "いまの状態では、この処理はできません。",
    "E11010010": "前回の処理から180日を過ぎているため、変更も取消もできません。",
    "E90010001": "同じ取引の処理が進行中です。しばらく待ってから状態を確認してください。",
    "42C010000": "カード会社との通信で異常がありました。取引の状態を確認してください。",
    "42G020000": "カードの残高が足りないため、承認されませんでした。",
    "42G120000": "このカードは利用できないため、承認されませんでした。",
    "42G550000": "カードの限度額を超えるため、承認されませんでした。",
    "42G680000": "0円では承認されません。金額を確認してください。",
    "42G830000": "カードの有効期限が切れているため、承認されませんでした。",
}


def list_word(status: str, *, was_sold: bool, has_failed: bool) -> str:
    """The word in the transaction list, which tells more apart than the pages do (取引詳細 FAQ)."""
    if status == "UNPROCESSED":
        return "決済失敗" if has_failed else "未決済"
    if status == "AUTHENTICATED":
        return "要求成功"
    if status in ("VOID", "RETURN", "RETURNX"):
        return "キャンセル" if was_sold else "仮売上取消"
    return STATUS_LABELS[status]


def label(word: str) -> str:
    """The Japanese word for a status or a JobCd, the word itself if there is none."""
    return _JOB_LABELS.get(word, word)


def explain(code: str) -> str:
    """Why something was refused, in a sentence."""
    return _REASONS.get(code, "処理できませんでした。")
