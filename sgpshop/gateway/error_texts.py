"""Japanese words for the codes of SMBC-GP: what happened, and the next step (rules.md §13).

Codes that staff really meet are written by hand in ``error_phrases.py``; the rest is composed
here from the parts a code itself names: ``E01`` + field + problem, the payment method of a
prefix, and so on.
"""

from sgpshop.gateway import error_phrases as phrases

UNCHANGED = "取引は変わっていません。"
IN_DOUBT = "処理されたかどうかはまだ分かりません。"

#: What the numbers after E01 name; Japanese as on our own screens.
_FIELDS = {
    "010": "ショップID",
    "020": "ショップパスワード",
    "030": "ショップ",
    "040": "注文番号",
    "050": "処理区分",
    "060": "金額",
    "070": "税・送料",
    "080": "3Dセキュアの使用",
    "090": "取引ID",
    "100": "取引パスワード",
    "110": "取引",
    "130": "カード会社名",
    "144": "確認用の値（CheckString）",
    "160": "ボーナス分割の回数",
    "170": "カード番号",
    "180": "カードの有効期限",
    "190": "サイトID",
    "200": "サイトパスワード",
    "210": "サイト",
    "220": "会員ID",
    "230": "カードの登録番号",
    "240": "登録カード",
    "250": "カードのパスワード",
    "260": "支払方法",
    "270": "支払回数",
    "290": "ブラウザの情報（Accept）",
    "300": "ブラウザの情報（User-Agent）",
    "310": "使用端末",
    "320": "自由項目1",
    "330": "自由項目2",
    "340": "自由項目3",
    "350": "3Dセキュアの認証番号（MD）",
    "360": "3Dセキュアの認証結果（PaRes）",
    "370": "3Dセキュアに表示する店名",
    "390": "会員",
    "400": "自由項目を返す指定",
    "430": "会員名",
    "440": "継続課金の指定",
    "450": "商品コード",
    "460": "セキュリティコード",
    "470": "カード登録番号の数え方",
    "480": "カードの名義",
    "490": "金額と税・送料の合計",
    "500": "ショップ情報",
    "510": "購買情報",
    "520": "利用端末の情報",
    "530": "決済後の戻り先URL",
    "540": "中止時の戻り先URL",
    "550": "日時の情報",
    "590": "商品コード",
    "600": "会員情報の確認文字列",
    "610": "再試行の回数",
    "620": "画面の有効時間",
    "660": "言語",
    "670": "出力の文字コード",
    "700": "ファイルの項目数",
    "710": "ファイルの取引区分",
    "730": "ファイルのボーナス金額",
    "740": "ファイルの端末処理通番",
    "750": "ファイルの利用日",
    "770": "区分",
    "780": "有効性チェックの指定",
    "790": "有効性チェックの実施日",
    "800": "暗証番号",
    "810": "磁気情報の区分",
    "820": "磁気情報",
    "850": "更新区分",
    "860": "カード番号の伏せ方",
    "870": "トークンの種類",
    "880": "登録済みの会員ID",
    "890": "登録済みのカードの登録番号",
    "999": "ファイルの形式番号",
}
#: The same of M01, as far as they concern card payments.
_MULTI_FIELDS = {
    "001": "バージョン",
    "002": "ショップID",
    "003": "ショップパスワード",
    "004": "注文番号",
    "005": "金額",
    "006": "税・送料",
    "007": "取引ID",
    "008": "取引パスワード",
    "051": "決済方法",
    "054": "処理区分",
    "055": "金額と税・送料の合計",
    "058": "取引",
}
#: What the last three digits of E01 and M01 say about that field.
_PROBLEMS = {
    "001": "がありませんでした。",
    "002": "が、SMBC-GPにないものでした。",
    "003": "の文字数が合いませんでした。",
    "005": "の長さが合いませんでした。",
    "006": "に、使えない文字（数字以外）がありました。",
    "007": "が、決められた値ではありませんでした。",
    "008": "の形式が合いませんでした。",
    "009": "が、上限を超えていました。",
    "010": "が、SMBC-GPの記録や決まりと合いませんでした。",
    "011": "が、使える範囲の外でした。",
    "012": "の長さ、または内容の組み合わせが合いませんでした。",
    "013": "に、使えない文字や値がありました。",
}
_SOME_PROBLEM = "が、SMBC-GPに受け付けられませんでした。"

#: Payment methods that are not cards, by the beginning of their codes.
_OTHER_METHODS = {
    "AMP": "キャリア決済（au）",
    "AU": "キャリア決済（au）",
    "B01": "楽天Edy",
    "BA": "銀行振込",
    "DC": "キャリア決済（ドコモ）",
    "FM1": "コンビニ決済（ファミリーマート）",
    "J01": "じぶん銀行",
    "JP1": "JCBプリカ",
    "LP": "LINE Pay",
    "LW1": "コンビニ決済（ローソン等）",
    "N0": "携帯電話のiD",
    "NC": "NET CASH",
    "P0": "PayPal",
    "PD1": "Paid",
    "RC": "リクルートかんたん支払い",
    "S01": "モバイルSuica",
    "SB1": "キャリア決済（ソフトバンク）",
    "SE1": "コンビニ決済（セブン-イレブン）",
    "UP1": "ネット銀聯",
    "W0": "Pay-easy等",
}

#: Browser-side token codes: 1xx card form, 5xx the shop's own set-up, 9xx SMBC-GP.
_TOKEN_FORM = {
    "10": "カード番号",
    "11": "カードの有効期限",
    "12": "セキュリティコード",
    "13": "カードの名義",
}

_NEXT_STEP_BY_KIND = {
    "retryable": phrases.LATER,
    "outcome_unknown": phrases.CHECKING,
    "buyer_card": phrases.OTHER_CARD,
    "merchant": phrases.CHECK_CONTENT,
    "configuration": phrases.SETTINGS,
    "three_ds": phrases.NEW_CHECKOUT,
    "token": phrases.NEW_CHECKOUT,
    "token_js": phrases.NEW_CHECKOUT,
    "other_method": phrases.CONSOLE,
    "recurring_file": phrases.CHECK_CONTENT,
    "notification_test": phrases.NOTHING,
}


def describe(code: str, kind: str) -> tuple[str, str]:
    """Return (what happened, next step) for a documented code of that kind."""
    if code in phrases.OWN_WORDS:
        return phrases.OWN_WORDS[code]
    return _what_happened(code, kind), _next_step(code, kind)


def describe_unlisted(code: str) -> tuple[str, str]:
    """Return (what happened, next step) for a code no list knows (rules.md §13)."""
    return (
        f"SMBC-GPから、一覧にないコード{code}が返りました。",
        f"コード{code}をSMBCマルチペイメント管理画面で確認してください。",
    )


def _next_step(code: str, kind: str) -> str:
    if code.startswith(("E00", "E31")):
        return phrases.ADMINISTRATOR  # how this program speaks HTTP: nothing a screen can set
    if kind == "buyer_card" and code.startswith("E01"):
        return phrases.NEW_CARD  # card data typed wrongly, the card itself may be fine
    return _NEXT_STEP_BY_KIND[kind]


def _what_happened(code: str, kind: str) -> str:
    field, problem = code[3:6], _PROBLEMS.get(code[6:], _SOME_PROBLEM)
    if kind == "token_js":
        return _token_problem(code)
    if code.startswith(("E00", "E31")):
        return "SMBC-GPへの送信の形式が正しくありませんでした。"
    if code.startswith("E01"):
        return f"送った「{_FIELDS[field]}」{problem}"
    if code.startswith("M01"):
        name = _MULTI_FIELDS.get(field, f"項目{field}")
        return f"送った「{name}」{problem}"
    if code.startswith("E1101001"):
        return phrases.OVER_180_DAYS
    if code.startswith("42C"):
        return "カード会社との通信でエラーが起きました。"
    if code.startswith("42G"):
        if kind == "merchant":
            return "カード会社が、送った内容（分割・ボーナス等）を受け付けませんでした。"
        return phrases.CARD_UNUSABLE
    if code.startswith("E21"):
        return phrases.THREE_DS_FAILED
    if code.startswith(("E91", "M91")):
        return phrases.SYSTEM
    return f"{_method(code)}のエラーです（カード決済では使われないコードです）。"


def _method(code: str) -> str:
    for prefix, name in _OTHER_METHODS.items():
        if code.startswith(prefix):
            return name
    return "カード以外の決済方法または機能"


def _token_problem(code: str) -> str:
    if code == "000":
        return "購入画面でのカード情報の受け付けは正常です。"
    if code.startswith("1"):
        return f"購入画面で入力された「{_TOKEN_FORM[code[:2]]}」を受け付けられませんでした。"
    return "購入画面からのカード情報の送信でエラーが起きました。"
