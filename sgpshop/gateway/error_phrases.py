"""Sentences written by hand for the codes that staff really meet (rules.md §13).

Each says what happened; `error_codes.py` adds what that means for the transaction.  Screen
names are written as on the screens (rules.md §17).
"""

# What to do next.
RESEND = "「変更内容をSMBC-GPに送信」のあと、もう一度実行してください。"
REPAY = "再決済するか、別の決済方法を購入者にご案内ください。"
COMPARE = "「照合」でSMBC-GPの状態を確認してください。"
COMPARE_SOLD = "「照合」で状態を確認してください（二重売上は発生しません）。"
COMPARE_NUMBER = "「照合」で、同じ番号の取引を確認してください。"
COMPARE_SETTINGS = "「SGP:クレジットカードの設定」を確認し、「照合」を行ってください。"
SETTINGS = "「SGP:クレジットカードの設定」を確認してください。"
ADMINISTRATOR = "システム管理者にこのコードをお伝えください。"
CONTRACT = "ご契約内容をSMBC-GPへお問い合わせください。"
ASK_SMBC_GP = "SMBC-GPへお問い合わせください。"
CHECKING = "結果確認中です（自動で照合します）。"
ATTENTION = "要確認として、SMBCマルチペイメント管理画面で状態を確認してください。"
LATER = "時間をおいて、もう一度実行してください。"
CONTACT_BUYER = "購入者へ連絡してください。"
OTHER_CARD = "別のカードまたは別の決済方法を購入者にご案内ください。"
NEW_CARD = "購入者にカードの再登録をご案内ください。"
CHECK_CONTENT = "注文の内容を確認し、直してからもう一度実行してください。"
NEW_CHECKOUT = "購入者に、決済をはじめからやり直すようご案内ください。"
CONSOLE = "SMBCマルチペイメント管理画面で確認してください。"
NOTHING = "対応は必要ありません。"

# What happened, where several codes say the same.
CARD_UNUSABLE = "このカードは、カード会社の回答により使えませんでした。"
OVER_LIMIT = "カードの利用限度額を超えるため、承認されませんでした。"
NO_BALANCE = "カードの残高が足りず、承認されませんでした。"
WRONG_CARD_NUMBER = "カード番号が正しくないと回答がありました。"
SYSTEM = "SMBC-GPのシステムでエラーが起きました。"
THREE_DS_FAILED = "3Dセキュアの本人認証ができませんでした。"
NO_THREE_DS = "このカードは3Dセキュアに対応していません。"
EXPIRED_AUTHORIZATION = "仮売上の有効期間が過ぎています。"
NO_TRANSACTION = "この番号の取引は、SMBC-GPに見つかりませんでした。"
NUMBER_USED = "同じ番号の取引が、すでにSMBC-GPにあります。"
WRONG_STATE = "いまの取引の状態では、この操作はできません。"
AMOUNT_DIFFERS = "送った金額が、SMBC-GPにある取引の金額と違います。"
OVER_180_DAYS = "前回の処理から180日を過ぎた取引のため、操作できません。"
WRONG_SHOP = "ショップIDまたはショップパスワードが違います。"
CONGESTED = "SMBC-GPが混み合っていて、受け付けられませんでした。"

#: Code -> (what happened, next step).
OWN_WORDS = {
    "42G020000": (NO_BALANCE, CONTACT_BUYER),
    "42G030000": (OVER_LIMIT, CONTACT_BUYER),
    "42G040000": (NO_BALANCE, CONTACT_BUYER),
    "42G050000": (OVER_LIMIT, CONTACT_BUYER),
    "42G060000": ("デビットカードの口座残高が足りず、承認されませんでした。", CONTACT_BUYER),
    "42G070000": (OVER_LIMIT, CONTACT_BUYER),
    "42G420000": ("カードの暗証番号が違うと回答がありました。", NEW_CARD),
    "42G440000": ("カードのセキュリティコードが違うと回答がありました。", NEW_CARD),
    "42G450000": ("カードのセキュリティコードがなく、承認されませんでした。", NEW_CARD),
    "42G550000": (OVER_LIMIT, CONTACT_BUYER),
    "42G650000": (WRONG_CARD_NUMBER, NEW_CARD),
    "42G670000": ("カード会社が商品コードを受け付けませんでした。", ADMINISTRATOR),
    "42G680000": ("カード会社が金額を受け付けませんでした。", CHECK_CONTENT),
    "42G690000": ("カード会社が税・送料を受け付けませんでした。", CHECK_CONTENT),
    "42G740000": ("カード会社が分割回数を受け付けませんでした。", OTHER_CARD),
    "42G780000": ("カード会社が支払区分を受け付けませんでした。", OTHER_CARD),
    "42G830000": ("カードの有効期限が違うか、過ぎています。", NEW_CARD),
    "42G920000": ("カード会社の判断により、承認されませんでした。", CONTACT_BUYER),
    "42G950000": (
        CARD_UNUSABLE,
        "時間をおいて一度だけ再実行し、だめなら別のカードまたは別の決済方法をご案内ください。",
    ),
    "E00000000": ("結果通知の接続テストで、エラーではありません。", NOTHING),
    "E01010010": ("この取引は、設定中のショップIDのものではありません。", SETTINGS),
    "E01030002": (WRONG_SHOP, SETTINGS),
    "E01030061": ("このショップでは強制返品を使えません。", CONTRACT),
    "E01040010": (NUMBER_USED, COMPARE_NUMBER),
    "E01050002": ("操作の種類（処理区分）がSMBC-GPに認められませんでした。", ADMINISTRATOR),
    "E01050004": (WRONG_STATE, COMPARE),
    "E01060010": (AMOUNT_DIFFERS, RESEND),
    "E01060021": (AMOUNT_DIFFERS, RESEND),
    "E01080010": ("3Dセキュアの指定が、管理画面の設定と合いません。", CONTRACT),
    "E01080101": ("3Dセキュアが必須のショップですが、使わない指定でした。", CONTRACT),
    "E01110002": (NO_TRANSACTION, COMPARE_SETTINGS),
    "E01110010": ("この取引は、まだ決済が終わっていません。", ATTENTION),
    "E01144010": ("応答の確認用の値（CheckString）が合いません。", COMPARE),
    "E01210002": ("サイトIDまたはサイトパスワードが違います。", SETTINGS),
    "E01230009": ("会員に登録できるカードの枚数を超えます。", CHECK_CONTENT),
    "E01240002": ("登録されたカードが見つかりませんでした。", NEW_CARD),
    "E01240012": ("継続課金のファイルに、同じ会員が2回あります。", CHECK_CONTENT),
    "E01250010": ("カードのパスワードが合いません。", NEW_CARD),
    "E01260010": ("このカードでは、選ばれた支払方法を使えません。", OTHER_CARD),
    "E01270010": ("選ばれた支払回数は使えません。", OTHER_CARD),
    "E01390002": ("会員がSMBC-GPに登録されていません。", COMPARE),
    "E01390010": ("同じ会員IDが、すでに登録されています。", COMPARE),
    "E01410010": ("この取引は、SMBC-GPで操作が止められています。", ASK_SMBC_GP),
    "E01420010": (EXPIRED_AUTHORIZATION, REPAY),
    "E01630010": ("取引の会員IDと、カードを登録する会員IDが違います。", COMPARE),
    "E01640010": ("取引のサイトIDと、カードを登録するサイトIDが違います。", SETTINGS),
    "E01650012": ("ショップが、設定中のサイトに属していません。", SETTINGS),
    "E01840010": ("送った項目の組み合わせが、SMBC-GPに認められませんでした。", ADMINISTRATOR),
    "E11010001": ("この取引は、すでに決済が終わっています。", COMPARE_SOLD),
    "E11010002": ("決済が行われていない取引のため、操作できません。", COMPARE),
    "E11010003": (WRONG_STATE, COMPARE),
    "E11010010": (OVER_180_DAYS, ASK_SMBC_GP),
    "E11010099": ("このカードは使えません。", OTHER_CARD),
    "E11010100": ("このカードは使えません。", OTHER_CARD),
    "E11010999": ("SMBC-GPから、説明のないエラーが返りました。", CHECKING),
    "E21010201": (NO_THREE_DS, OTHER_CARD),
    "E21010202": (NO_THREE_DS, OTHER_CARD),
    "E21020002": ("購入者が3Dセキュアの本人認証を取りやめました。", NEW_CHECKOUT),
    "E21030007": ("3Dセキュアの本人認証が行われませんでした。", NEW_CHECKOUT),
    "E21030201": (NO_THREE_DS, OTHER_CARD),
    "E21030202": ("3Dセキュアで、本人と確認されませんでした。", CONTACT_BUYER),
    "E21040001": ("3Dセキュアの処理中に、SMBC-GP側でエラーが起きました。", NEW_CHECKOUT),
    "E21040002": ("3Dセキュアの処理中に、SMBC-GP側でエラーが起きました。", NEW_CHECKOUT),
    "E41170002": ("このカードのブランド・会社は取り扱いがありません。", OTHER_CARD),
    "E41170099": (WRONG_CARD_NUMBER, NEW_CARD),
    "E61010001": ("ご契約または加盟店設定により、処理できませんでした。", CONTRACT),
    "E61010002": ("契約外のカードか、カード番号の誤りです。", OTHER_CARD),
    "E61010003": ("ご契約または加盟店設定により、処理できませんでした。", CONTRACT),
    "E61020001": ("クレジットカード決済が利用停止になっています。", CONTRACT),
    "E61030001": ("この操作は、いまのご契約に含まれていません。", CONTRACT),
    "E61040001": ("カード番号を直接送る決済は、ご契約で認められていません。", CONTRACT),
    "E82010001": ("SMBC-GPが同じ取引をほかの処理で使用中でした。", CHECKING),
    "E90010001": ("SMBC-GPが、この取引の前の処理をまだ続けています。", CHECKING),
    "E91019999": (SYSTEM, CHECKING),
    "E91020001": ("SMBC-GPとカード会社との通信が時間切れになりました。", CHECKING),
    "E91099997": ("呼び出し先のAPIがSMBC-GPにありません。", ADMINISTRATOR),
    "E92000001": (CONGESTED, LATER),
    "E92000002": ("同時に送れる件数を超えたため、受け付けられませんでした。", LATER),
    "EX1000301": ("カード情報のトークンが見つかりませんでした。", NEW_CHECKOUT),
    "EX1000302": ("カード情報のトークンは、すでに使われています。", NEW_CHECKOUT),
    "EX1000303": ("カード情報のトークンの有効期限が切れています。", NEW_CHECKOUT),
    "EX1000304": ("カード情報のトークンが正しくありません。", NEW_CHECKOUT),
    "FILE_WINDOW_CLOSED": (
        "継続課金のファイルを受け付ける期間（毎月1日から10日まで）の外でした。",
        "次の受付期間に登録してください。",
    ),
    "M01002002": (WRONG_SHOP, SETTINGS),
    "M01002010": ("この取引は、設定中のショップIDのものではありません。", SETTINGS),
    "M01004002": (NO_TRANSACTION, COMPARE_SETTINGS),
    "M01004010": (NUMBER_USED, COMPARE_NUMBER),
    "M01004014": ("この番号の取引は、すでに決済を依頼しています。", COMPARE_SOLD),
    "M01054004": (WRONG_STATE, COMPARE),
    "M01055010": (AMOUNT_DIFFERS, RESEND),
    "M01055011": ("送った金額が、SMBC-GPにある取引の金額より大きくなっています。", RESEND),
    "M01057010": ("取消できる期間が過ぎています。", ASK_SMBC_GP),
    "M01058002": (NO_TRANSACTION, COMPARE_SETTINGS),
    "M01058004": ("この取引は、SMBC-GPで無効になっています。", COMPARE),
    "M01058010": ("この取引は、設定中のショップIDのものではありません。", SETTINGS),
    "M01058011": ("前の決済から時間がたつまで、取消と増額はできません。", LATER),
    "M01060010": (EXPIRED_AUTHORIZATION, REPAY),
    "M11010099": ("この取引は、まだ決済が終わっていません。", ATTENTION),
    "M11010999": ("SMBC-GPから、説明のないエラーが返りました。", CHECKING),
}
