"""The history of an order as sentences a merchant understands (P5, R53 (8))."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sgpshop.domain.words import Labelled


class EventKind(Labelled):
    """What programs are told of an entry, by what matters most in it (interfaces.md §5)."""

    RECEIVED = "received", "受付"
    PAYMENT_STATUS = "payment_status", "決済"
    AMOUNT = "amount", "金額"
    DELIVERY = "delivery", "配送"
    ALERT = "alert", "食い違い"
    OTHER = "other", "その他"


_RECEIVED = frozenset({"received", "imported"})
_OF_PARCELS = frozenset(
    {
        "delivered",
        "delivered_after_capture",
        "returned",
        "parcel_slips",
        "slips_registered",
        "slips_kept",
        "status_changed",
    }
)
_OF_AMOUNTS = ("change_amount_", "refund_", "total_")


def kind_of(event: str, *, status_changes: bool, total_changes: bool) -> EventKind:
    """The kind of an entry of the history."""
    if event in _RECEIVED:
        return EventKind.RECEIVED
    if status_changes:
        return EventKind.PAYMENT_STATUS
    if total_changes or event.startswith(_OF_AMOUNTS):
        return EventKind.AMOUNT
    return EventKind.DELIVERY if event in _OF_PARCELS else EventKind.OTHER


def _told(operation: str, words: str, *, done: bool = True) -> dict[str, str]:
    """The sentences every operation needs."""
    lines = {
        "done": f"{{who}}の{words}が完了しました",
        "rejected": f"{{who}}の{words}は受け付けられませんでした",
        "unreachable": f"{{who}}の{words}は、SMBC-GPに接続できず行われませんでした(送信していません)",
        "unknown": f"{{who}}の{words}の結果が受け取れませんでした。SMBC-GPへの照会を始めました",
        "found_done": f"照会により、{{who}}の{words}がSMBC-GPで完了していたことを確認しました",
        "found_not_done": f"照会により、{{who}}の{words}がSMBC-GPで行われていないことを確認しました",
    }
    return {f"{operation}_{end}": line for end, line in lines.items() if done or end != "done"}


#: event -> sentence; fields come from the entry's detail, `who` is the actor as people say it.
SENTENCES = {
    "chain_begins": "ここから、あとで書き換えられれば分かる形で履歴を記録しています",
    "amounts_begin": "ここから、売上と返金の金額も、あとで書き換えられれば分かる形で記録しています",
    "imported": "注文ファイルから取り込みました({line}行目)",
    "import_updated": "注文ファイルの内容で更新しました({line}行目)",
    "import_failed": "注文ファイルでは売上失敗です({line}行目)",
    "import_paid": "注文ファイルでは決済済みか、別の取引で決済されています({line}行目)",
    "became_card_order": "{who}が、「{method}」として取り込まれていた注文をSGPカード決済の注文に直しました",
    "linked": "SMBC-GPの取引を照会し、{found}を確認しました",
    "look_up_differs": "SMBC-GPの取引を照会し、{found}だったため表示を合わせました",
    "look_up_unfinished": "SMBC-GPの取引を照会しましたが、支払いは完了していません({found})",
    "other_transaction": "SMBC-GPの取引({found})を照会し、登録されている取引IDと一致しないことを確認しました",
    "earlier_is_live": "いまの決済ではない取引を照会し、{found}が残っていることを確認しました",
    "unknown_number": "このシステムから送信していない取引({found})がSMBC-GPにあることを確認しました",
    "number_is_ours": "{who}が、SMBC-GPの取引({found})をこの注文の決済としました",
    "number_was_left": "{who}が、SMBC-GPの取引({found})を、購入者が支払わなかったものとしました",
    "number_is_others": "{who}が、SMBC-GPの取引({found})を別の注文の決済としました",
    "number_asked_again": "{who}が、SMBC-GPの取引({found})を別の注文の決済とした答えを取り消しました",
    "number_not_ours": "{who}が、SMBC-GPの取引({found})をこの注文の決済とした答えを取り消しました",
    "kind_mended": "ファイルの取込で変わっていた注文の種類を、決済を始めたときの「{kind}」に戻しました",
    "total_corrected": "{who}が合計金額を修正しました",
    "total_calculated": "{who}が合計金額を自動計算に戻しました",
    "content_edited": "{who}が注文内容を修正しました",
    "alert_acknowledged": "{who}が「{alert}」を確認済みにしました",
    "alert_acknowledged_why": "{who}が「{alert}」を確認済みにしました(メモ:{reason})",
    "capture_done": "{who}の実売上処理が完了しました",
    "capture_rejected": "{who}の実売上処理は失敗しました",
    "called_off": "あとで取り込んだファイルで注文キャンセルになったため、{operation}を送信しませんでした",
    "capture_unreachable": "{who}の実売上処理は、SMBC-GPに接続できず失敗しました(送信していません)",
    "capture_unknown": "{who}の実売上処理の結果が受け取れませんでした。SMBC-GPへの照会を始めました",
    "capture_found_done": "照会により、{who}の実売上処理がSMBC-GPで完了していたことを確認しました",
    "capture_found_already": "照会により、SMBC-GPですでに実売上になっていることを確認しました。二重の売上はありません",
    "capture_found_not_done": "照会により、{who}の実売上処理がSMBC-GPで行われていないことを確認しました",
    # told so by the first version; now "resent"
    "capture_resent": "照会により実売上処理が未実行と確認できたため、受け付けた処理を続けます",
    "resent": "照会により{operation}が未実行と確認できたため、受け付けた処理を続けます",
    "cancel_done": "{who}が注文をキャンセルし、SMBC-GPの{money}",
    "cancel_found_already": "SMBC-GPで取引がすでに取り消されていることを確認し、{who}が注文をキャンセルしました",
    "closed_by_person": "{who}が結果確認中の処理を手動で終了しました(理由:{why})。照会した状態に表示を合わせます",
    "late_answer": "{operation}の応答が後から届きました({said})。記録だけを残し、表示は照会の結果に従います",
    "cancel_nothing_there": "{who}が注文をキャンセルしました。SMBC-GPに取り消す金額はありません({found})",
    "cancelled_unbilled": "{who}が注文をキャンセルしました。売上報告の対象から外れます",
    "change_amount_found_already": "SMBC-GP側の金額がすでに変更後の金額であることを確認しました",
    "follow_up_stopped": "{who}の続く実売上処理は行いませんでした。{why}",
    "delivery_stopped": "{who}の続く配送完了は行いませんでした。{why}",
    "approval_asked": "{who}が{what}({yen})の承認を依頼しました。承認されるまで、SMBC-GPには送信しません",
    "approval_given": "{who}が、{asker}の依頼した{what}({yen})を承認しました",
    "approval_refused": "{who}が、{asker}の依頼した{what}({yen})を却下しました(理由:{why})",
    "approval_withdrawn": "{who}が、{what}({yen})の承認の依頼を取り下げました",
    "approval_void": "{asker}の依頼した{what}({yen})は、承認されないまま無効になりました({why})",
    "delivered_after_capture": "実売上処理に続けて、{who}の操作で配送完了にしました",
    "delivered": "{who}が配送完了にしました{parcels}",
    "returned": (
        "{who}が返送処理をしました{parcels}(返送日 {day}、理由:{reason}、{stock})。"
        "SMBC-GPの決済は取り消していません"
    ),
    "personal_data_erased": (
        "{who}が、購入者の情報を消去しました(本人の求めなど)。金額・決済・これまでの記録は残っています"
    ),
    "personal_data_ended": (
        "購入者の情報を残す期間({term})が過ぎたため、消去しました。金額・決済・これまでの記録は残っています"
    ),
    "notes_changed": "{who}が記録しました({changes})",
    "parcel_slips": "{who}が伝票番号を登録しました({changes})",
    "slips_registered": "{who}が伝票番号一括ステータス変更で登録しました({changes})",
    "slips_kept": "実売上処理はできませんでしたが、{who}の設定により伝票番号を登録しました({changes})",
    "status_changed": "{who}がステータスを変更しました({changes})",
    "cancel_waived": "{who}が、返送した注文の決済をこのまま(返金しない)にしました(理由:{reason})",
    "difference_waived": "{who}が、合計金額より多い売上をこのまま(返金しない)にしました(理由:{reason})",
    "cancel_waiver_undone": "{who}が、「返金しない」を解除しました",
    "received": "{who}から注文を受け付けました",
    "checkout_challenged": "購入者は本人認証(3Dセキュア)に進みました。認証が終わるまで決済は完了していません",
    "bill_postponed": "売上報告は行われませんでした({why})。決済待ちのままです",
    "bill_put_off": "売上報告を登録できませんでした({why})。決済待ちのまま、自動でもう一度登録します",
    "bill_again": "{who}が、売上報告をもう一度登録することにしました",
    "card_not_kept": "登録用にカードを保存できませんでした({why})。請求の前に、もう一度保存します",
    "refund_settled": "{who}が、返金済み(返金日 {day}、返金額 {yen})と記録しました(内容:{reason})",
    "refund_undone": "{who}が、返金済みの記録({yen})を取り消しました",
    "bill_given_up": "月次ファイルの結果を待たないことにして照会し、請求されていないと確認しました({found})",
    "bill_not_paid": "SMBC-GPから、売上報告の結果がNGと通知されました({result})。別の方法での請求が必要です",
    "bill_result_heard": "月次ファイルの結果では、{number} の売上はNGでした({result})。この注文の状態は変わりません",
    "bill_paid": "SMBC-GPから、売上報告の結果がOKと通知されました",
    **_told("authorize", "購入手続き(仮売上)"),
    **_told("sale", "購入手続き(即時売上)"),
    **_told("check_card", "購入手続き(カードの有効性チェック)"),
    **_told("register_card", "購入手続き(定期購入のカード登録)"),
    **_told("repay", "再決済"),
    **_told("bill", "売上報告"),
    **_told("change_amount", "変更内容の送信"),
    **_told("extend", "オーソリ期間延長"),
    **_told("refund_difference", "差額の返金"),
    "refund_difference_found_already": "SMBC-GPの売上がすでに合計金額と同じことを確認しました。二重の返金はありません",
    **_told("cancel", "注文キャンセル", done=False),
}


def sentence(event: str, who: str, detail: Mapping[str, Any]) -> str:
    """One plain sentence for a history entry; unknown fields show as 「-」, never as an error."""
    template = SENTENCES.get(event, event)
    return template.format_map(_Fields(detail, who=who))


class _Fields(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "-"
