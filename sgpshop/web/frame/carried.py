"""A form that came after the session was over: kept for the same person, never carried out by itself.

The login page carries what was sent, sealed for the person whose session ended; once that person is
signed in, a page says what was pressed and offers to go on.  Acts on money are not sent from there:
their confirmation is opened anew.  Nothing is stored on the server.
"""

from __future__ import annotations

import json
import time
import zlib
from base64 import b85decode, b85encode
from dataclasses import asdict, dataclass, replace
from typing import Any

from flask import request, session, url_for
from werkzeug.exceptions import RequestEntityTooLarge

from sgpshop.storage import vault

#: In the session's cookie, also after the server ended the session: whose it was.
PERSON = "person_id"
#: The hidden field of the login page.
FIELD = "carried"
#: Bytes of a form that is kept; the login takes that much, sealed, from whoever was signed in here.
MOST = 262_144
_GOOD_FOR = 3600
_CONTEXT = "carried form"

#: What each form does, in the words of its button.
ACTS = {
    "account.change_password": "パスワードの変更",
    "account.choose_mails": "メールのお知らせの設定",
    "account.choose_shortcuts": "画面とキー操作の設定",
    "account.end_sessions": "ほかの端末のログアウト",
    "activities.download": "操作の記録の書き出し",
    "api_keys.create": "APIキーの作成",
    "api_keys.revoke": "APIキーの失効",
    "bulk_runs.prepare": "一括処理の確認画面を開く",
    "bulk_runs.reconcile": "選択した注文をSMBC-GPに確認",
    "bulk_runs.select": "注文の選択",
    "approvals.refuse": "承認の依頼の却下",
    "approvals.withdraw": "承認の依頼の取り下げ",
    "dashboard.try_again": "止まっている処理をもう一度試す",
    "delivery_notes.print_chosen": "納品書の印刷",
    "exports.export_chosen": "選択した注文の書き出し",
    "exports.export_found": "検索結果の書き出し",
    "delivery_notes.print_picking": "ピッキングリストの印刷",
    "file_settings.save": "ファイルの設定の保存",
    "file_settings.save_logo": "ロゴの保存",
    "imports.mapping": "列の割り当て",
    "imports.method": "決済方法の指定",
    "imports.start": "注文ファイルの取り込み",
    "imports.upload": "注文ファイルの読み込み",
    "journals.download": "会計ソフト用ファイルの作成",
    "sales.download": "売上集計の書き出し",
    "labels.download": "送り状ファイルの作成",
    "labels.prepare": "送り状ファイルの作成",
    "personal_data.save": "購入者の情報を残す期間の保存",
    "networks.save": "接続元の設定の保存",
    "notifications.renew_address": "通知先アドレスの更新",
    "order_detail.acknowledge": "確認済みにする",
    "order_detail.card-order": "SGPカード決済の注文に直す",
    "order_detail.close-uncertain": "自動確認をやめて手動で判断する",
    "order_detail.deliver": "配送完了",
    "order_detail.notes": "社内メモ・対応状況の記録",
    "order_detail.number_asked_again": "どの注文の決済かの答えの取り消し",
    "order_detail.number_is_others": "この注文の支払いではないと記録",
    "order_detail.number_is_ours": "この注文の支払いだと記録",
    "order_detail.number_was_left": "購入者が支払わなかったと記録",
    "order_detail.erase": "購入者の情報の消去",
    "order_detail.write_out": "購入者の情報の書き出し",
    "order_detail.reconcile": "SMBC-GPに確認",
    "order_detail.refunded": "返金済みにする",
    "order_detail.refunded/undo": "返金済みの記録を取り消す",
    "order_detail.return": "返送処理",
    "order_detail.slips": "伝票番号の登録",
    "order_detail.statuses": "ステータスの変更",
    "order_detail.waive-cancel": "返金しない",
    "order_detail.waive-cancel/undo": "「返金しない」を解除",
    "order_edit.change_content": "注文内容の変更の保存",
    "order_edit.correct_total": "合計金額の修正",
    "order_edit.preview": "注文内容修正の続き(まだ保存しません)",
    "order_edit.return_to_calculation": "自動計算に戻す",
    "order_search.choose_fields": "検索条件項目の保存",
    "order_search.delete_view": "保存した条件の削除",
    "order_search.save_view": "この条件を保存",
    "people.change": "担当者の変更",
    "people.create": "担当者の追加",
    "people.require_second_factor": "2段階認証の必須設定",
    "reconciling.compare": "取引一覧と突き合わせ",
    "second_factor.add_passkey": "パスキーの追加",
    "second_factor.choose_alone": "パスキーだけのログインの設定",
    "second_factor.remove_passkey": "パスキーを外す",
    "second_factor.renew_codes": "予備コードの作成",
    "second_factor.set_up": "2段階認証の設定",
    "second_factor.turn_off": "2段階認証の解除",
    "second_look.save": "承認の設定の保存",
    "settings.check_connection": "接続の確認",
    "settings.save_sgp": "SGP:クレジットカードの設定の保存",
    "slips.fill": "伝票番号の入力",
    "slips.check": "伝票番号の内容の確認",
    "slips.change_terms": "伝票番号の登録方法の変更",
    "slips.retry": "失敗した行のやり直し",
    "slips.upload": "伝票番号の読み込み",
    "webhooks.choose": "Webhookで知らせるできごとの変更",
    "webhooks.create": "Webhookの送信先の登録",
    "webhooks.delete": "Webhookの送信先の削除",
    "webhooks.send_again": "Webhookをもう一度送る",
    "webhooks.send_test": "Webhookのテスト送信",
    "webhooks.switch": "Webhookの停止・再開",
    "subscriptions.acknowledge": "確認済みにする",
    "subscriptions.export": "月次ファイルの作成",
    "subscriptions.take_for_theirs": "この注文の支払いだと記録",
}
#: What may move money: its words, and the screen on which it is asked for again.
MONEY = {
    "approvals.approve": ("承認", "approvals.show"),
    "bulk_runs.start": ("一括処理", "bulk_runs.show"),
    "order_detail.cancel": ("注文キャンセル", "order_detail.ask-cancel"),
    "order_detail.capture": ("SGPカード実売上処理", "order_detail.ask-capture"),
    "order_detail.extend": ("オーソリ期間延長", "order_detail.ask-extend"),
    "order_detail.refund-difference": ("差額を返金", "order_detail.ask-refund-difference"),
    "order_detail.send-and-capture": ("送信して実売上処理", "order_detail.ask-send-and-capture"),
    "order_detail.send-changes": ("変更内容をSMBC-GPに送信", "order_detail.show"),
    "order_edit.send": ("変更内容をSMBC-GPに送信", "order_edit.show"),
    "slips.start": ("伝票番号の登録", "slips.show"),
    "subscriptions.take_again": ("もう一度登録する", "subscriptions.show"),
}


@dataclass(frozen=True)
class CarriedForm:
    """What was pressed, and where to; `fields` as they are to be sent again."""

    person_id: int
    at: float
    #: what the button does, in words
    act: str
    order_no: str
    #: where it is to be sent; "" for what is asked for anew on `page`
    path: str
    page: str
    fields: list[tuple[str, str]]
    #: a file, or too much, was sent: only the page can be opened again
    is_cut: bool = False


def words_of(endpoint: str) -> str:
    """What the form of this view does; "" where it has none."""
    return ACTS.get(endpoint) or MONEY.get(endpoint, ("",))[0]


def take(page: str) -> str:
    """The form of this request, sealed for the person whose session ended; "" when nobody's did.

    `page`: where it was pressed.  Raises nothing: what cannot be kept is said by the page.
    """
    person, endpoint = session.get(PERSON), request.endpoint or ""
    if not isinstance(person, int) or not (endpoint in ACTS or endpoint in MONEY):
        return ""
    arguments = request.view_args or {}
    made = CarriedForm(
        person, time.time(), "", str(arguments.get("order_no", "")), request.full_path.rstrip("?"),
        page, [],
    )  # fmt: skip
    if endpoint in MONEY:
        act, screen = MONEY[endpoint]
        return _seal(replace(made, act=act, path="", page=url_for(screen, **arguments)))
    fields, is_cut = _fields()
    return _seal(replace(made, act=ACTS[endpoint], fields=fields, is_cut=is_cut))


def open_for(person_id: int) -> CarriedForm | None:
    """What the login page carried, if it was this person's; None for everybody else."""
    try:
        raw = zlib.decompress(b85decode(vault.unseal(request.form.get(FIELD, ""), _CONTEXT)))
        form = CarriedForm(**json.loads(raw))
    except (vault.SealBroken, ValueError, TypeError):  # TypeError: of a version with other fields
        return None
    is_theirs = form.person_id == person_id and 0 <= time.time() - form.at < _GOOD_FOR
    return form if is_theirs else None


def _fields() -> tuple[list[tuple[str, str]], bool]:
    """What was typed, and whether something could not be kept; no secrets, no files."""
    try:
        has_file = any(file.filename for file in request.files.values())
        fields = [
            (name, text) for name, text in request.form.items(multi=True) if not is_secret(name)
        ]
    except RequestEntityTooLarge:
        return [], True
    return ([], True) if has_file else (fields, False)


def is_secret(name: str) -> bool:
    """Whether a field of that name is never written down, not even sealed; nor is a confirmation."""
    return name in ("csrf_token", FIELD, "confirmed") or "pass" in name or "secret" in name


def _seal(form: CarriedForm) -> str:
    said: dict[str, Any] = asdict(form)
    return vault.seal(b85encode(zlib.compress(json.dumps(said).encode())).decode(), _CONTEXT)
