"""What 一括処理選択 offers: the runs, and what is done at once with the chosen orders (R39, R51)."""

from __future__ import annotations

from dataclasses import dataclass

from flask_login import current_user

from sgpshop.models import Role
from sgpshop.services import settings
from sgpshop.services.bulk import actions
from sgpshop.services.bulk.action import Action


@dataclass(frozen=True)
class Choice:
    """One button of the chooser, and where 処理を実行 leads then."""

    word: str
    label: str
    hint: str
    role: Role
    #: the run that is to be confirmed; None: it is done at once, with every chosen order
    run: Action | None = None
    endpoint: str = "bulk_runs.prepare"
    #: what the answer is: "dialog", the "bar" again, a page in a new "tab" or a "file"
    answer: str = "dialog"
    #: template of what else is chosen with it
    more: str = ""


_AT_ONCE = (
    Choice(
        "labels",
        "送り状ファイル",
        "選んだ注文の送り状を、B2クラウド・e飛伝Ⅲ・ゆうパックプリントRなどで発行するためのファイルを作ります。",
        Role.SHIPPER,
        endpoint="labels.prepare",
        answer="file",
        more="labels/_layouts.html",
    ),
    Choice(
        "print",
        "納品書印刷",
        "選んだ注文の納品明細書を、印刷用の新しいタブにまとめて表示します(200件まで)。",
        Role.SHIPPER,
        endpoint="delivery_notes.print_chosen",
        answer="tab",
    ),
    Choice(
        "picking",
        "ピッキングリスト",
        "選んだ注文のこれから発送する商品を、商品ごとに数えた一覧を印刷用の新しいタブに表示します。",
        Role.SHIPPER,
        endpoint="delivery_notes.print_picking",
        answer="tab",
    ),
    Choice(
        "csv_download",
        "CSVダウンロード",
        "選んだ注文をCSVまたはExcelのファイルに書き出します。注文は変わりません。",
        Role.ACCOUNTANT,
        endpoint="exports.export_chosen",
        answer="file",
        more="exports/_format.html",
    ),
    Choice(
        "reconcile",
        "照合",
        "選んだ注文の取引をSMBC-GPに確認し、状態と金額を比べます。お金は動きません。",
        Role.OPERATOR,
        endpoint="bulk_runs.reconcile",
        answer="bar",
    ),
)


def offered() -> list[Choice]:
    """All buttons of the chooser, in their order, as settings and rights offer them."""
    shop, may_act_as = settings.load(), current_user.may_act_as
    found = [
        Choice(action.word, action.label, action.hint, action.role, run=action)
        for action in actions.ALL
        if action.is_offered(shop)
    ]
    return [choice for choice in (*found, *_AT_ONCE) if may_act_as(choice.role)]


def find(word: str) -> Choice | None:
    """The offered choice of this word."""
    return next((choice for choice in offered() if choice.word == word), None)
