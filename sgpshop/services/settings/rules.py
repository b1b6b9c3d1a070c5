"""What each setting is called and may be (rules.md §10): one rule a name, whoever sets it.

`read(name, value)` takes what a form, a command or a program gives and returns what is to be kept,
or raises SettingRefused with a sentence that says what is wanted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from sgpshop.domain import networks
from sgpshop.domain.amounts import TaxRounding
from sgpshop.domain.errors import ShopError
from sgpshop.domain.label_text import postal_code
from sgpshop.domain.shop_terms import (
    B2Kind,
    BillingDriver,
    BillingMode,
    OnCaptureFailure,
    PaperAmounts,
    PersonalDataFor,
    SalesMode,
    SecondFactorFor,
)
from sgpshop.domain.text import INVISIBLE, has_control_characters, nfkc
from sgpshop.domain.words import Labelled
from sgpshop.services.settings import guide_html

Value = str | int | bool

#: R6: an id of the contract
CONTRACT_ID = re.compile(r"[A-Za-z0-9]{1,13}")
SECRETS = frozenset({"site_pass", "shop_pass"})
#: Of these 変更履歴 says only that they changed: secrets, and what follows from one; which picture it is.
UNTOLD = SECRETS | {"notify_salt", "paper_logo"}
#: of 案内文 and 決済名称, in half-width characters
LONGEST_GUIDE = 12_000
LONGEST_TITLE = 30
LONGEST_BOOK_NAME = 24
LONGEST_MESSAGE = 300

_PASSWORD = re.compile(r"[!-~]{1,64}")
# The check digit that is published is that of corporate numbers; numbers of other shops (a person,
# say) are not said to follow it, so only the form is looked at.
_INVOICE_NUMBER = re.compile(r"T[0-9]{13}")
_TEL = re.compile(r"\+?[0-9()\- ]+")
_POSTAL_CODE = re.compile(r"[0-9]{3}-[0-9]{4}")
_MOST_NAMES, _LONGEST_NAME = 200, 60
_SALT = re.compile(r"[0-9a-f]{1,64}")


class SettingRefused(ShopError):
    """A setting cannot have this value, or there is no such setting; nothing was saved."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class SettingRule(NamedTuple):
    """The Japanese name of a setting, and what makes a value of what was given."""

    label: str
    #: raises ValueError with a sentence
    read: Callable[[Value], Value]
    #: what people choose from: the word of each value
    words: Mapping[str, str] = MappingProxyType({})


def read(name: str, value: Value) -> Value:
    """The value of setting `name` to be kept for `value` as given.  Raises SettingRefused."""
    if name not in RULES:
        raise SettingRefused(name, f"設定項目「{name}」はありません。")
    try:
        return RULES[name].read(value)
    except ValueError as problem:
        raise SettingRefused(name, str(problem)) from None


def label(name: str) -> str:
    """The Japanese name of a setting, also of one there is no more."""
    return RULES[name].label if name in RULES else name


def shown(name: str, value: Value) -> str:
    """A value in the words of the screen."""
    words = RULES[name].words if name in RULES else {}
    return words.get(str(value), str(value))


def half_width_length(text: str) -> int:
    """Length of `text` where a full-width character counts twice."""
    return sum(2 if unicodedata.east_asian_width(c) in "FWA" else 1 for c in text)


def _pattern(pattern: re.Pattern[str], wanted: str) -> Callable[[Value], str]:
    def read(value: Value) -> str:
        text = str(value)
        if text and not pattern.fullmatch(text):
            raise ValueError(wanted)
        return text

    return read


def _whole(least: int, most: int) -> Callable[[Value], int]:
    def read(value: Value) -> int:
        text = nfkc(str(value)).strip().replace(",", "")
        if text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most:
            return int(text)
        raise ValueError(f"{least}から{most:,}までの整数で入力してください。")

    return read


def _names(value: Value) -> str:
    """One a line, as people and programs write them; folded they are told apart where they are used."""
    names = list(dict.fromkeys(name.strip() for name in str(value).splitlines() if name.strip()))
    if len(names) > _MOST_NAMES or any(len(name) > _LONGEST_NAME for name in names):
        raise ValueError(
            f"1行に1つ、{_LONGEST_NAME}文字以内で{_MOST_NAMES}個まで入力してください。"
        )
    return "\n".join(names)


def _switch(value: Value) -> bool:
    if str(value) not in ("True", "False"):
        raise ValueError("選択肢から選んでください。")
    return str(value) == "True"


def _switch_of(label: str, yes: str = "利用する", no: str = "利用しない") -> SettingRule:
    return SettingRule(label, _switch, {"True": yes, "False": no})


def _choice_of(label: str, words: type[Labelled]) -> SettingRule:
    def read(value: Value) -> str:
        if str(value) not in list(words):
            raise ValueError("選択肢から選んでください。")
        return str(value)

    return SettingRule(label, read, {word.value: word.label for word in words})


def _line(text: str) -> str:
    text = text.strip()
    if has_control_characters(text) or INVISIBLE.search(text):
        raise ValueError("改行や見えない文字を含めずに入力してください。")
    return text


def _short_line(most: int) -> Callable[[Value], str]:
    def read(value: Value) -> str:
        text = _line(str(value))
        if len(text) > most:
            raise ValueError(f"{most}文字以内で入力してください。")
        return text

    return read


def _message(value: Value) -> str:
    text = str(value).replace("\r\n", "\n").replace("\r", "\n").strip()
    if has_control_characters(text, lines=True) or INVISIBLE.search(text):
        raise ValueError("使用できない文字が含まれています。取り除いて入力してください。")
    if len(text) > LONGEST_MESSAGE:
        raise ValueError(f"{LONGEST_MESSAGE}文字以内で入力してください。")
    return text


def _by_upload(value: Value) -> str:
    if value:
        raise ValueError("ロゴは、納品書の設定で画像を選んで登録してください。")
    return ""


def _digits(most: int, *, least: int = 0) -> Callable[[Value], str]:
    """Nothing, or digits: exactly `most`, or from `least` of them on."""

    def read(value: Value) -> str:
        text = nfkc(str(value)).strip().replace("-", "")
        is_code = text.isascii() and text.isdigit() and (least or most) <= len(text) <= most
        if text and not is_code:
            raise ValueError(f"数字{most}桁{'以内' if least else ''}で入力してください。")
        return text

    return read


def _postal_code(value: Value) -> str:
    text = postal_code(str(value))
    if text and not _POSTAL_CODE.fullmatch(text):
        raise ValueError("郵便番号は 150-0002 のように7桁の数字で入力してください。")
    return text


def _book_name(value: Value) -> str:
    """A name of the accounting program; 弥生会計 has 24 half-width characters for it."""
    text = _line(str(value))
    if not text or half_width_length(text) > LONGEST_BOOK_NAME:
        raise ValueError("全角12文字(半角24文字)以内で入力してください。空欄にはできません。")
    return text


def _title(value: Value) -> str:
    text = _line(str(value))
    if half_width_length(text) > LONGEST_TITLE:
        raise ValueError("全角15文字(半角30文字)以内で入力してください。")
    return text


def _guide(value: Value) -> str:
    text = str(value).replace("\r\n", "\n").replace("\r", "\n").strip()
    if has_control_characters(text, lines=True):
        raise ValueError("使用できない文字が含まれています。取り除いて入力してください。")
    # Too long a text is not even cleaned: what is nested in it costs the square of its length.
    kept = guide_html.clean(text) if half_width_length(text) <= LONGEST_GUIDE else text
    if half_width_length(kept) > LONGEST_GUIDE:
        raise ValueError(
            f"半角{LONGEST_GUIDE:,}文字(全角{LONGEST_GUIDE // 2:,}文字)以内で入力してください。"
        )
    return kept


def _tel(value: Value) -> str:
    text = _line(nfkc(str(value)))
    digits = sum(c.isdigit() for c in text)
    if text and not (_TEL.fullmatch(text) and 10 <= digits <= 15):
        raise ValueError("電話番号は 03-1234-5678 のように、市外局番から入力してください。")
    return text


def _invoice_number(value: Value) -> str:
    text = nfkc(str(value)).strip().upper()
    if text and not _INVOICE_NUMBER.fullmatch(text):
        raise ValueError("登録番号は「T」と13桁の数字(例:T1234567890123)で入力してください。")
    return text


def _networks(value: Value) -> str:
    return networks.written(networks.read(nfkc(str(value))))


_contract_id = _pattern(CONTRACT_ID, "半角英数字13文字以内で入力してください。")
_password = _pattern(_PASSWORD, "半角の英数字と記号、64文字以内で入力してください。")

RULES = {
    "enabled": _switch_of("利用"),
    "title": SettingRule("決済名称", _title),
    "guide": SettingRule("案内文", _guide),
    "site_id": SettingRule("サイトID", _contract_id),
    "site_pass": SettingRule("サイトパスワード", _password),
    "shop_id": SettingRule("ショップID", _contract_id),
    "shop_pass": SettingRule("ショップパスワード", _password),
    "sales_mode": _choice_of("売上処理種類", SalesMode),
    "capture_on_slip": _switch_of("実売り同時処理"),
    "on_capture_failure": _choice_of("実売り失敗時の動作", OnCaptureFailure),
    "extend_auth_enabled": _switch_of("オーソリ期間延長"),
    "auth_valid_days": SettingRule("オーソリ有効日数", _whole(1, 90)),
    "needs_review_alert_hours": SettingRule("要確認アラート時間", _whole(1, 720)),
    "bulk_max": SettingRule("一括処理の上限件数", _whole(1, 5000)),
    "cancel_lock_minutes": SettingRule("キャンセルできない時間(分)", _whole(0, 1440)),
    "shop_name": SettingRule("ショップ名", _short_line(60)),
    "shop_address": SettingRule("住所", _short_line(150)),
    "shop_tel": SettingRule("電話番号", _tel),
    "invoice_number": SettingRule("適格請求書発行事業者登録番号", _invoice_number),
    "tax_rounding": _choice_of("消費税の端数", TaxRounding),
    "tax_included": _switch_of("価格の税区分", "税込", "税別"),
    "three_ds_optional": _switch_of("3Dセキュアの省略(API)", "省略できる", "省略できない"),
    "subscription_enabled": _switch_of("定期購入"),
    "billing_mode": _choice_of("運用方法", BillingMode),
    "billing_driver": _choice_of("SMBC-GPへの登録方法", BillingDriver),
    "billing_day": SettingRule("定期の登録日", _whole(1, 10)),
    "journal_receivable": SettingRule("借方の勘定科目", _book_name),
    "journal_sales": SettingRule("売上の勘定科目", _book_name),
    "journal_partner": SettingRule("取引先(freee会計)", _book_name),
    "journal_out_of_scope": SettingRule("対象外の税区分", _book_name),
    "journal_freee_tax_8": SettingRule("freee会計の税区分(8%)", _book_name),
    "journal_freee_tax_10": SettingRule("freee会計の税区分(10%)", _book_name),
    "journal_freee_tax_0": SettingRule("freee会計の税区分(0%)", _book_name),
    "journal_mf_tax_8": SettingRule("マネーフォワードの税区分(8%)", _book_name),
    "journal_mf_tax_10": SettingRule("マネーフォワードの税区分(10%)", _book_name),
    "journal_mf_tax_0": SettingRule("マネーフォワードの税区分(0%)", _book_name),
    "journal_yayoi_tax_8": SettingRule("弥生会計の税区分(8%)", _book_name),
    "journal_yayoi_tax_10": SettingRule("弥生会計の税区分(10%)", _book_name),
    "journal_yayoi_tax_0": SettingRule("弥生会計の税区分(0%)", _book_name),
    "paper_amounts": _choice_of("納品書の金額", PaperAmounts),
    "paper_message": SettingRule("納品書のメッセージ", _message),
    "paper_logo": SettingRule("納品書のロゴ", _by_upload),
    "label_sender_name": SettingRule("ご依頼主の名前", _short_line(16)),
    "label_sender_postal_code": SettingRule("ご依頼主の郵便番号", _postal_code),
    "label_sender_address": SettingRule("ご依頼主の住所", _short_line(48)),
    "label_sender_tel": SettingRule("ご依頼主の電話番号", _tel),
    "label_contents": SettingRule("品名", _short_line(15)),
    "label_b2_customer_code": SettingRule("ヤマト運輸の請求先顧客コード", _digits(12)),
    "label_b2_class_code": SettingRule("ヤマト運輸の請求先分類コード", _digits(3)),
    "label_b2_freight_code": SettingRule("ヤマト運輸の運賃管理番号", _digits(2)),
    "label_b2_kind": _choice_of("ヤマト運輸の送り状種類", B2Kind),
    "label_sagawa_customer_code": SettingRule("佐川急便のお客様コード", _digits(12, least=1)),
    "label_sagawa_sender_code": SettingRule(
        "佐川急便のご依頼主コード",
        _pattern(re.compile(r"[A-Za-z0-9]{1,12}"), "半角英数字12文字以内で入力してください。"),
    ),
    "label_yupri_form": SettingRule("ゆうパックプリントRの送り状種別", _digits(7)),
    "label_yupri_size": SettingRule("ゆうパックのサイズ", _digits(3)),
    "label_yupri_cloud_form": SettingRule("ゆうプリクラウドの送り状種別", _digits(7, least=1)),
    "label_yupri_cloud_product": SettingRule("ゆうプリクラウドの荷物商品名", _digits(3)),
    "sgp_methods": SettingRule("SGPカード決済の呼び名", _names),
    "other_methods": SettingRule("SGPカード決済ではない決済方法", _names),
    "second_factor_for": _choice_of("2段階認証を必須にする人", SecondFactorFor),
    "personal_data_for": _choice_of("購入者の情報を残す期間", PersonalDataFor),
    "approve_refunds_from": SettingRule("承認が必要な返金(円以上)", _whole(0, 99_999_999)),
    "approve_captures_from": SettingRule("承認が必要な実売上処理(円以上)", _whole(0, 99_999_999)),
    "screen_networks": SettingRule("画面を使えるネットワーク", _networks),
    "api_networks": SettingRule("APIを使えるネットワーク", _networks),
    "notify_salt": SettingRule(
        "結果通知の通知先アドレス", _pattern(_SALT, "通知先アドレスを作れません。")
    ),
}
