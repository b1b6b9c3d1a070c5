"""A merchant's sentence per ErrInfo code: what happened, what it means, what to do (rules.md §13).

Codes that staff really meet have words of their own; the rest is composed from the parts that a
code itself names, ``E01`` + field + problem.  Screen names are written as on the screens.
"""

import functools
from dataclasses import dataclass

from sgpshop.gateway.error_kinds import ErrorKind, is_clear_no, kind_of, known_codes

UNCHANGED = "取引は変わっていません。"
_IN_DOUBT = "処理されたかどうかはまだ分かりません。"

# What to do next.
_RESEND = "「変更内容をSMBC-GPに送信」のあと、もう一度実行してください。"
_NEW_ORDER = "購入者に、あらためてのご注文か、別のお支払い方法をお願いしてください。"
_COMPARE = "「照合」でSMBC-GPの状態を確認してください。"
_COMPARE_SOLD = "「照合」で状態を確認してください（二重売上は発生しません）。"
_COMPARE_NUMBER = "「照合」で、同じ番号の取引を確認してください。"
_COMPARE_SETTINGS = "「SGP:クレジットカードの設定」を確認し、「照合」を行ってください。"
_SETTINGS = "「SGP:クレジットカードの設定」を確認してください。"
_ADMINISTRATOR = "システム管理者にこのコードをお伝えください。"
_CONTRACT = "ご契約内容をSMBC-GPへお問い合わせください。"
_ASK_SMBC_GP = "SMBC-GPへお問い合わせください。"
_CHECKING = "結果確認中です（自動で照合します）。"
_ATTENTION = "要確認として、SMBCマルチペイメント管理画面で状態を確認してください。"
_LATER = "時間をおいて、もう一度実行してください。"
_CONTACT_BUYER = "購入者に、別のカードまたは別のお支払い方法をお願いしてください。"
_OTHER_CARD = "別のカードまたは別の決済方法を購入者にご案内ください。"
_NEW_CARD = "購入者にカードの再登録をご案内ください。"
_CHECK_CONTENT = "注文の内容を確認し、直してからもう一度実行してください。"
_NEW_CHECKOUT = "購入者に、決済をはじめからやり直すようご案内ください。"
_NOTHING = "対応は必要ありません。"

# What happened, where several codes say the same.
_CARD_UNUSABLE = "このカードは、カード会社の回答により使えませんでした。"
_OVER_LIMIT = "カードの利用限度額を超えるため、承認されませんでした。"
_NO_BALANCE = "カードの残高が足りず、承認されませんでした。"
_WRONG_CARD_NUMBER = "カード番号が正しくないと回答がありました。"
_SYSTEM = "SMBC-GPのシステムでエラーが起きました。"
_THREE_DS_FAILED = "3Dセキュアの本人認証ができませんでした。"
_NO_THREE_DS = "このカードは3Dセキュアに対応していません。"
_EXPIRED_AUTHORIZATION = "仮売上の有効期間が過ぎています。"
_NO_TRANSACTION = "この番号の取引は、SMBC-GPに見つかりませんでした。"
_NUMBER_USED = "同じ番号の取引が、すでにSMBC-GPにあります。"
_WRONG_STATE = "いまの取引の状態では、この操作はできません。"
_AMOUNT_DIFFERS = "送った金額が、SMBC-GPにある取引の金額と違います。"
_OVER_180_DAYS = "前回の処理から180日を過ぎた取引のため、操作できません。"
_WRONG_SHOP = "ショップIDまたはショップパスワードが違います。"
_CONGESTED = "SMBC-GPが混み合っていて、受け付けられませんでした。"

#: Code -> (what happened, next step).
_OWN_WORDS = {
    "42G020000": (_NO_BALANCE, _CONTACT_BUYER),
    "42G030000": (_OVER_LIMIT, _CONTACT_BUYER),
    "42G040000": (_NO_BALANCE, _CONTACT_BUYER),
    "42G050000": (_OVER_LIMIT, _CONTACT_BUYER),
    "42G060000": ("デビットカードの口座残高が足りず、承認されませんでした。", _CONTACT_BUYER),
    "42G070000": (_OVER_LIMIT, _CONTACT_BUYER),
    "42G420000": ("カードの暗証番号が違うと回答がありました。", _NEW_CARD),
    "42G440000": ("カードのセキュリティコードが違うと回答がありました。", _NEW_CARD),
    "42G450000": ("カードのセキュリティコードがなく、承認されませんでした。", _NEW_CARD),
    "42G550000": (_OVER_LIMIT, _CONTACT_BUYER),
    "42G650000": (_WRONG_CARD_NUMBER, _NEW_CARD),
    "42G670000": ("カード会社が商品コードを受け付けませんでした。", _ADMINISTRATOR),
    "42G680000": ("カード会社が金額を受け付けませんでした。", _CHECK_CONTENT),
    "42G690000": ("カード会社が税・送料を受け付けませんでした。", _CHECK_CONTENT),
    "42G740000": ("カード会社が分割回数を受け付けませんでした。", _OTHER_CARD),
    "42G780000": ("カード会社が支払区分を受け付けませんでした。", _OTHER_CARD),
    "42G830000": ("カードの有効期限が切れているか、登録が誤っています。", _NEW_CARD),
    "42G920000": ("カード会社の判断により、承認されませんでした。", _CONTACT_BUYER),
    "42G950000": (
        _CARD_UNUSABLE,
        "時間をおいて一度だけ再実行し、承認されない場合は、別のカードまたは別の決済方法をご案内ください。",
    ),
    "E00000000": ("結果通知の接続テストで、エラーではありません。", _NOTHING),
    "E01010010": ("この取引は、設定中のショップIDのものではありません。", _SETTINGS),
    "E01030002": (_WRONG_SHOP, _SETTINGS),
    "E01030061": ("このショップでは強制返品を使えません。", _CONTRACT),
    "E01040010": (_NUMBER_USED, _COMPARE_NUMBER),
    "E01050002": ("操作の種類（処理区分）がSMBC-GPに認められませんでした。", _ADMINISTRATOR),
    "E01050004": (_WRONG_STATE, _COMPARE),
    "E01060010": (_AMOUNT_DIFFERS, _RESEND),
    "E01060021": (_AMOUNT_DIFFERS, _RESEND),
    "E01080010": ("3Dセキュアの指定が、管理画面の設定と合いません。", _CONTRACT),
    "E01080101": ("3Dセキュアが必須のショップですが、使わない指定でした。", _CONTRACT),
    "E01110002": (_NO_TRANSACTION, _COMPARE_SETTINGS),
    "E01110010": ("この取引は、まだ決済が終わっていません。", _ATTENTION),
    "E01144010": ("応答の確認用の値（CheckString）が合いません。", _COMPARE),
    "E01210002": ("サイトIDまたはサイトパスワードが違います。", _SETTINGS),
    "E01230009": ("会員に登録できるカードの枚数を超えます。", _CHECK_CONTENT),
    "E01240002": ("登録されたカードが見つかりませんでした。", _NEW_CARD),
    "E01240012": ("継続課金のファイルに、同じ会員が2回あります。", _CHECK_CONTENT),
    "E01250010": ("カードのパスワードが合いません。", _NEW_CARD),
    "E01260010": ("このカードでは、選ばれた支払方法を使えません。", _OTHER_CARD),
    "E01270010": ("選ばれた支払回数は使えません。", _OTHER_CARD),
    "E01390002": ("会員がSMBC-GPに登録されていません。", _COMPARE),
    "E01390010": ("同じ会員IDが、すでに登録されています。", _COMPARE),
    "E01410010": ("この取引は、SMBC-GPで操作が止められています。", _ASK_SMBC_GP),
    "E01420010": (_EXPIRED_AUTHORIZATION, _NEW_ORDER),
    "E01630010": ("取引の会員IDと、カードを登録する会員IDが違います。", _COMPARE),
    "E01640010": ("取引のサイトIDと、カードを登録するサイトIDが違います。", _SETTINGS),
    "E01650012": ("ショップが、設定中のサイトに属していません。", _SETTINGS),
    "E01840010": ("送った項目の組み合わせが、SMBC-GPに認められませんでした。", _ADMINISTRATOR),
    "E11010001": ("この取引は、すでに決済が終わっています。", _COMPARE_SOLD),
    "E11010002": ("決済が行われていない取引のため、操作できません。", _COMPARE),
    "E11010003": (_WRONG_STATE, _COMPARE),
    "E11010010": (_OVER_180_DAYS, _ASK_SMBC_GP),
    "E11010099": ("このカードは使えません。", _OTHER_CARD),
    "E11010100": ("このカードは使えません。", _OTHER_CARD),
    "E11010999": ("SMBC-GPから、説明のないエラーが返りました。", _CHECKING),
    "E21010201": (_NO_THREE_DS, _OTHER_CARD),
    "E21010202": (_NO_THREE_DS, _OTHER_CARD),
    "E21020002": ("購入者が3Dセキュアの本人認証を取りやめました。", _NEW_CHECKOUT),
    "E21030007": ("3Dセキュアの本人認証が行われませんでした。", _NEW_CHECKOUT),
    "E21030201": (_NO_THREE_DS, _OTHER_CARD),
    "E21030202": ("3Dセキュアで、本人と確認されませんでした。", _CONTACT_BUYER),
    "E21040001": ("3Dセキュアの処理中に、SMBC-GP側でエラーが起きました。", _NEW_CHECKOUT),
    "E21040002": ("3Dセキュアの処理中に、SMBC-GP側でエラーが起きました。", _NEW_CHECKOUT),
    "E41170002": ("このカードのブランド・会社は取り扱いがありません。", _OTHER_CARD),
    "E41170099": (_WRONG_CARD_NUMBER, _NEW_CARD),
    "E61010001": ("ご契約または加盟店設定により、処理できませんでした。", _CONTRACT),
    "E61010002": ("契約外のカードか、カード番号の誤りです。", _OTHER_CARD),
    "E61010003": ("ご契約または加盟店設定により、処理できませんでした。", _CONTRACT),
    "E61020001": ("クレジットカード決済が利用停止になっています。", _CONTRACT),
    "E61030001": ("この操作は、いまのご契約に含まれていません。", _CONTRACT),
    "E61040001": ("カード番号を直接送る決済は、ご契約で認められていません。", _CONTRACT),
    "E82010001": ("SMBC-GPが同じ取引をほかの処理で使用中でした。", _CHECKING),
    "E90010001": ("SMBC-GPが、この取引の前の処理をまだ続けています。", _CHECKING),
    "E91019999": (_SYSTEM, _CHECKING),
    "E91020001": ("SMBC-GPとカード会社との通信が時間切れになりました。", _CHECKING),
    "E91099997": ("呼び出し先のAPIがSMBC-GPにありません。", _ADMINISTRATOR),
    "E92000001": (_CONGESTED, _LATER),
    "E92000002": ("同時に送れる件数を超えたため、受け付けられませんでした。", _LATER),
    "EX1000301": ("カード情報のトークンが見つかりませんでした。", _NEW_CHECKOUT),
    "EX1000302": ("カード情報のトークンは、すでに使われています。", _NEW_CHECKOUT),
    "EX1000303": ("カード情報のトークンの有効期限が切れています。", _NEW_CHECKOUT),
    "EX1000304": ("カード情報のトークンが正しくありません。", _NEW_CHECKOUT),
    "FILE_WINDOW_CLOSED": (
        "継続課金のファイルを受け付ける期間（毎月1日から10日まで）の外でした。",
        "次の受付期間に登録してください。",
    ),
    "M01002002": (_WRONG_SHOP, _SETTINGS),
    "M01002010": ("この取引は、設定中のショップIDのものではありません。", _SETTINGS),
    "M01004002": (_NO_TRANSACTION, _COMPARE_SETTINGS),
    "M01004010": (_NUMBER_USED, _COMPARE_NUMBER),
    "M01004014": ("この番号の取引は、すでに決済を依頼しています。", _COMPARE_SOLD),
    "M01054004": (_WRONG_STATE, _COMPARE),
    "M01055010": (_AMOUNT_DIFFERS, _RESEND),
    "M01055011": ("送った金額が、SMBC-GPにある取引の金額より大きくなっています。", _RESEND),
    "M01057010": ("取消できる期間が過ぎています。", _ASK_SMBC_GP),
    "M01058002": (_NO_TRANSACTION, _COMPARE_SETTINGS),
    "M01058004": ("この取引は、SMBC-GPで無効になっています。", _COMPARE),
    "M01058010": ("この取引は、設定中のショップIDのものではありません。", _SETTINGS),
    "M01058011": ("前の決済から時間がたつまで、取消と増額はできません。", _LATER),
    "M01060010": (_EXPIRED_AUTHORIZATION, _NEW_ORDER),
    "M11010099": ("この取引は、まだ決済が終わっていません。", _ATTENTION),
    "M11010999": ("SMBC-GPから、説明のないエラーが返りました。", _CHECKING),
}

#: Where only the buyer can help: why, as one may write it to them, by what staff are told to do next.
_FOR_BUYERS = {
    _CONTACT_BUYER: "カード会社の承認を得られなかった",
    _OTHER_CARD: "ご指定のカードをご利用いただけなかった",
    _NEW_CARD: "カードのご登録内容(番号・有効期限など)を確認できなかった",
    _NEW_ORDER: "お支払いのお手続きの有効期限が過ぎた",
    _OWN_WORDS["42G950000"][1]: "カード会社の承認を得られなかった",
}

#: The commonest in few words, for pictures and lists; any other is named by its kind.
_SHORT = {
    _OVER_LIMIT: "限度額超過",
    _NO_BALANCE: "残高不足",
    _CARD_UNUSABLE: "使えないカード",
    _WRONG_CARD_NUMBER: "カード番号の誤り",
    _EXPIRED_AUTHORIZATION: "オーソリ期限切れ",
    _OWN_WORDS["42G830000"][0]: "カードの有効期限切れ",
    _OWN_WORDS["42G920000"][0]: "カード会社の判断",
    _OWN_WORDS["E01390002"][0]: "会員カードなし",
    _AMOUNT_DIFFERS: "金額の違い",
    _WRONG_SHOP: "ショップIDの誤り",
    _CONGESTED: "SMBC-GPの混雑",
}
_SHORT_BY_KIND = {
    ErrorKind.RETRYABLE: "SMBC-GPの混雑",
    ErrorKind.OUTCOME_UNKNOWN: "結果不明",
    ErrorKind.BUYER_CARD: "カードの問題",
    ErrorKind.MERCHANT: "注文内容の誤り",
    ErrorKind.CONFIGURATION: "契約・設定",
    ErrorKind.THREE_DS: "本人認証",
    ErrorKind.TOKEN: "カード情報の期限切れ",
    ErrorKind.RECURRING_FILE: "月次ファイルの誤り",
    ErrorKind.NOTIFICATION_TEST: "通知の接続テスト",
}

#: What the numbers after E01 name; Japanese as on our own screens.
_FIELDS = {
    "010": "ショップID",
    "020": "ショップパスワード",
    "040": "注文番号",
    "050": "処理区分",
    "060": "金額",
    "070": "税・送料",
    "080": "3Dセキュアの使用",
    "090": "取引ID",
    "100": "取引パスワード",
    "130": "カード会社名",
    "144": "確認用の値（CheckString）",
    "160": "ボーナス分割の回数",
    "170": "カード番号",
    "180": "カードの有効期限",
    "190": "サイトID",
    "200": "サイトパスワード",
    "220": "会員ID",
    "230": "カードの登録番号",
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
    "400": "自由項目を返す指定",
    "430": "会員名",
    "440": "継続課金の指定",
    "450": "商品コード",
    "460": "セキュリティコード",
    "470": "カード登録番号の数え方",
    "480": "カードの名義",
    "490": "金額と税・送料の合計",
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
    "003": "ショップパスワード",
    "004": "注文番号",
    "005": "金額",
    "006": "税・送料",
    "007": "取引ID",
    "051": "決済方法",
    "054": "処理区分",
    "055": "金額と税・送料の合計",
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

_NEXT_STEP_BY_KIND = {
    ErrorKind.RETRYABLE: _LATER,
    ErrorKind.OUTCOME_UNKNOWN: _CHECKING,
    ErrorKind.BUYER_CARD: _OTHER_CARD,
    ErrorKind.MERCHANT: _CHECK_CONTENT,
    ErrorKind.CONFIGURATION: _SETTINGS,
    ErrorKind.THREE_DS: _NEW_CHECKOUT,
    ErrorKind.TOKEN: _NEW_CHECKOUT,
    ErrorKind.RECURRING_FILE: _CHECK_CONTENT,
    ErrorKind.NOTIFICATION_TEST: _NOTHING,
}


@dataclass(frozen=True)
class Explanation:
    """One code in words for staff: what happened and what it means, then what to do."""

    code: str
    kind: ErrorKind
    what: str
    #: what became of the transaction; empty where the code is no answer to an operation
    means: str
    next_step: str
    #: nothing was done: a caller that knows the operation can say what it means for the money
    is_clear_no: bool

    @property
    def sentence(self) -> str:
        """What happened, and what became of the transaction."""
        return self.what + self.means


@functools.cache
def _explain_known(code: str) -> Explanation:
    kind = kind_of(code)
    words = _OWN_WORDS.get(code) or (_what_happened(code, kind), _next_step(code, kind))
    return _explained(code, *words)


def explain(code: str) -> Explanation:
    """Return the words for any code, documented or not (rules.md §13)."""
    if code in known_codes():
        return _explain_known(code)
    return _explained(
        code,
        f"SMBC-GPから、一覧にないコード{code}が返りました。",
        f"コード{code}をSMBCマルチペイメント管理画面で確認してください。",
    )


def for_buyer(code: str) -> str:
    """Why the buyer's card was of no use, in words for them; "" where it is not theirs to mend."""
    return _FOR_BUYERS.get(explain(code).next_step, "")


def without_answer(reason: str) -> str:
    """Why there is no answer to go by, in words: `reason` of a GatewayError that has no codes."""
    if reason.startswith("http_status:"):
        return f"SMBC-GPが混み合っているか、停止しています(HTTP {reason.partition(':')[2]})"
    if reason in ("read_timeout", "answer_too_late"):
        return "時間内に返事がありませんでした"
    if reason.startswith("connect"):
        return "SMBC-GPに接続できませんでした"
    return f"返事を読み取れませんでした({reason})"


def in_short(code: str) -> str:
    """The reason behind any code in a few words."""
    explained = explain(code)
    return _SHORT.get(explained.what) or _SHORT_BY_KIND[explained.kind]


def _explained(code: str, what: str, next_step: str) -> Explanation:
    kind = kind_of(code)
    is_clear = is_clear_no([code])
    means = UNCHANGED if is_clear else _IN_DOUBT
    if kind is ErrorKind.NOTIFICATION_TEST:
        means = ""  # not the answer to an operation of ours
    return Explanation(code, kind, what, means, next_step, is_clear)


def _next_step(code: str, kind: ErrorKind) -> str:
    if code.startswith(("E00", "E31")):
        return _ADMINISTRATOR  # how this program speaks HTTP: nothing a screen can set
    if kind is ErrorKind.BUYER_CARD and code.startswith("E01"):
        return _NEW_CARD  # card data typed wrongly, the card itself may be fine
    return _NEXT_STEP_BY_KIND[kind]


def _what_happened(code: str, kind: ErrorKind) -> str:
    field, problem = code[3:6], _PROBLEMS.get(code[6:], _SOME_PROBLEM)
    if code.startswith(("E00", "E31")):
        return "SMBC-GPへの送信の形式が正しくありませんでした。"
    if code.startswith("E01"):
        return f"送った「{_FIELDS[field]}」{problem}"
    if code.startswith("M01"):
        return f"送った「{_MULTI_FIELDS[field]}」{problem}"
    if code.startswith("E1101001"):
        return _OVER_180_DAYS
    if code.startswith("42C"):
        return "カード会社との通信でエラーが起きました。"
    if code.startswith("42G"):
        if kind is ErrorKind.MERCHANT:
            return "カード会社が、送った内容（分割・ボーナス等）を受け付けませんでした。"
        return _CARD_UNUSABLE
    if code.startswith("E21"):
        return _THREE_DS_FAILED
    return _SYSTEM
