"""Every documented code has words a merchant understands (rules.md §13, protocol.md §4)."""

import re
from collections import Counter

import pytest

from sgpshop.gateway import ErrorKind, explain, worst
from sgpshop.gateway.error_kinds import is_clear_no, known_codes


def test_the_list_is_complete() -> None:
    assert len(known_codes()) == 290
    assert Counter(known_codes().values()) == {
        ErrorKind.MERCHANT: 129,
        ErrorKind.BUYER_CARD: 57,
        ErrorKind.OUTCOME_UNKNOWN: 36,
        ErrorKind.CONFIGURATION: 33,
        ErrorKind.THREE_DS: 15,
        ErrorKind.RECURRING_FILE: 13,
        ErrorKind.TOKEN: 4,
        ErrorKind.RETRYABLE: 2,
        ErrorKind.NOTIFICATION_TEST: 1,
    }


def test_every_code_is_explained_in_whole_sentences() -> None:
    for code, kind in known_codes().items():
        explanation = explain(code)
        assert (explanation.code, explanation.kind) == (code, kind)
        for text in (explanation.sentence, explanation.next_step):
            assert re.fullmatch(r"(?s).{6,}。", text), code
            assert "None" not in text


def test_what_it_says_about_the_money_agrees_with_what_we_do() -> None:
    for code in known_codes():
        sentence = explain(code).sentence
        if "取引は変わっていません。" in sentence:
            assert is_clear_no([code])
        if "まだ分かりません。" in sentence:
            assert not is_clear_no([code])


@pytest.mark.parametrize(
    ("codes", "what", "advice"),
    [
        ("E01060010 E01060021", "金額", "「変更内容をSMBC-GPに送信」"),
        ("E01420010 M01060010", "有効期間", "あらためてのご注文"),
        ("E11010001", "すでに決済が終わって", "二重売上は発生しません"),
        ("E11010003 E01050004", "いまの取引の状態", "「照合」"),
        ("E11010010", "180日", "SMBC-GPへお問い合わせ"),
        ("E01110002", "見つかりません", "「照合」"),
        ("E01110010", "まだ決済が終わっていません", "要確認"),
        ("E01030002", "ショップID", "「SGP:クレジットカードの設定」"),
        ("E01040010", "同じ番号", "「照合」"),
        (
            "E90010001 E91020001 E91019999 42C010000 42C780000",
            "まだ分かりません",
            "自動で照合します",
        ),
        ("E92000001 E92000002", "受け付けられませんでした", "時間をおいて"),
        ("42G020000 42G040000", "残高", "購入者に、別のカード"),
        ("42G030000 42G050000 42G550000", "限度額", "購入者に、別のカード"),
        ("42G120000 42G990000 42G960000", "使えませんでした", "別のカード"),
        ("42G830000", "有効期限", "カードの再登録"),
        ("42G920000", "カード会社の判断", "購入者に、別のカード"),
        ("M01057010", "取消できる期間", "SMBC-GPへお問い合わせ"),
    ],
)
def test_the_common_codes_give_the_advice_of_the_manual(codes: str, what: str, advice: str) -> None:
    for code in codes.split():
        explanation = explain(code)
        assert what in explanation.sentence
        assert advice in explanation.next_step


def test_systematic_codes_name_the_field_and_what_is_wrong_with_it() -> None:
    assert explain("E01170006").sentence.startswith("送った「カード番号」に、使えない文字")
    assert explain("E01060001").sentence.startswith("送った「金額」がありませんでした。")
    assert explain("M01005005").sentence.startswith("送った「金額」の長さ")


def test_an_unlisted_code_is_shown_and_sent_to_the_console() -> None:
    explanation = explain("E01999000")
    assert explanation.kind is ErrorKind.OUTCOME_UNKNOWN
    assert "E01999000" in explanation.sentence
    assert explanation.next_step == (
        "コードE01999000をSMBCマルチペイメント管理画面で確認してください。"
    )


@pytest.mark.parametrize(
    ("codes", "decisive"),
    [  # U > C > M > B > R
        (["E92000001", "42G020000"], "42G020000"),
        (["42G020000", "E01060010"], "E01060010"),
        (["E01060010", "E01030002"], "E01030002"),
        (["E01030002", "E91019999"], "E91019999"),
        (["E01030002", "unlisted"], "unlisted"),
        (["E01060001", "E01050001"], "E01060001"),
    ],
)
def test_the_worst_of_several_codes_decides(codes: list[str], decisive: str) -> None:
    assert worst(codes) == decisive
