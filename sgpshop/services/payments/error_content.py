"""エラー内容: how an attempt that did not succeed is told to a merchant (R15, R16)."""

from __future__ import annotations

from dataclasses import dataclass

from sgpshop.domain.order_rules import OrderFacts, is_unsent, taken_too_much
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.gateway import UNCHANGED, ErrorKind, explain, worst
from sgpshop.models import Attempt, AttemptState, ItemResult, Operation, split_codes
from sgpshop.services.payments.billing_marks import FILE_IN_DOUBT
from sgpshop.services.payments.filed_numbers import MAY_BE_FILED
from sgpshop.services.payments.outcomes import CALLED_OFF, CHALLENGED, NOT_THROUGH
from sgpshop.services.payments.unknown_numbers import UNKNOWN_NUMBER


@dataclass(frozen=True)
class ErrorContent:
    """What happened, what to do next, and the codes SMBC-GP gave, if any."""

    sentence: str
    next_step: str
    codes: tuple[str, ...] = ()


_UNREACHABLE = "通信エラー：SMBC-GPに接続できなかったため、何も送信していません。"
#: What a clear no means for the money, said by what was asked for.
_MEANS = {
    Operation.CAPTURE: "請求は行われていません。",
    Operation.BILL: "請求は行われていません。",
    Operation.CANCEL: "決済は取り消されていません。",
    Operation.CHANGE_AMOUNT: "SMBC-GP側の金額は変わっていません。",
    Operation.REFUND_DIFFERENCE: "返金は行われていません。",
    Operation.EXTEND: "オーソリ期限は変わっていません。",
}
_IN_DOUBT = (
    "SMBC-GPからの返事が途切れたため、処理されたかどうかはまだ分かりません。",
    "自動で確認しています(通常2分以内)。二重に請求されることはありません。",
)
_CAPTURED_ELSEWHERE = (
    "SMBCマルチペイメント管理画面などで、すでに売上になっていました。ここからは何も送信していません。",
    "売上の金額が確認画面と異なることがあります。注文の通知を確認してください。",
)
_UNEXPLAINED = (
    "SMBC-GPが処理を受け付けませんでした。",
    "SMBCマルチペイメント管理画面で取引の状態を確認してください。",
)
#: by `Attempt.reason`: what happened, and what to do next
_BY_REASON = {
    "seal_broken": (
        "保存してある取引の認証情報を読み出せないため、SMBC-GPには何も送信していません。",
        "暗号鍵(ENCRYPTION_KEY)の設定を管理者に確認し、注文ファイルをもう一度取り込んでください。",
    ),
    "not_carried_out": (
        "通信エラー(未実行を確認)：SMBC-GPで処理されていないことを確認しました。",
        "もう一度実行してください。二重に処理されることはありません。",
    ),
    "found_other": (
        "SMBC-GPの取引を確認したところ、確認画面に表示した状態または金額と異なっていたため、何も送信していません。",
        "表示を最新の状態に合わせました。内容を確認してから、もう一度操作してください。",
    ),
    "closed_by_person": (
        "結果確認中の処理が手動で判断され、その後の確認で請求されていないことを確認しました。",
        "操作は不要です。自動でもう一度登録します。",
    ),
    "numbers_used_up": (
        "この注文番号で使えるSMBC-GPの番号を使い切ったため、これ以上決済できません。何も決済されていません。",
        "新しい注文番号の注文として、もう一度手続きしてください。",
    ),
    "others_live": (
        "この注文の仮売上か売上の取引が、SMBC-GPでほかの番号に見つかったため、請求していません。",
        "表示をその取引に合わせました。SMBCマルチペイメント管理画面で経緯を確認してください。",
    ),
    NOT_THROUGH: (
        "登録の前に返送などで配送完了ではなくなったため、SMBC-GPには請求を送信していません。",
        "返送の扱い(返金しない・注文キャンセル)を決めるか、配送完了にすると、売上報告できるようになります。",
    ),
    CALLED_OFF: (
        "受け付けたあとに取り込んだ注文ファイルで注文キャンセルになったため、SMBC-GPには何も送信していません。",
        "注文の画面で通知を確認し、そのまま販売するなら、確認済みにしてから、もう一度実行してください。",
    ),
    UNKNOWN_NUMBER: (
        "この注文の決済か、別の注文の決済か分からない取引がSMBC-GPにあるため、何も送信していません。",
        "注文の画面の上に表示した取引を確認し、どの注文の決済かを選んでから、もう一度実行してください。",
    ),
    MAY_BE_FILED: (
        "この注文の番号が、このシステムの記録にない月次ファイルでSMBC-GPに登録されている可能性があるため、請求していません。",
        "ファイルの結果が届くまでお待ちください。二重に請求しないため、別の方法でも請求しないでください。翌月になっても届かない場合は、SMBC-GPに確認のうえ、管理者に連絡してください。",
    ),
    "other_transaction": (
        "SMBC-GPの取引を確認しましたが、このシステムでは判断できない取引でした。何も送信していません。",
        "SMBCマルチペイメント管理画面で取引を確認してください。",
    ),
    "broke_off": (
        "このシステムの不具合により、売上報告の準備が中断しました。SMBC-GPには請求を送信していません。",
        "自動でもう一度登録します。続く場合は管理者に連絡してください。",
    ),
    "look_failed": (
        "SMBC-GPで取引の状態を確認できなかったため、何も送信していません。",
        "時間をおいて、もう一度実行してください。",
    ),
    CHALLENGED: (
        "購入者の本人認証(3Dセキュア)が終わっていないため、決済は完了していません。",
        "購入者が認証を終えると自動で決済されます。戻ってこない場合は、購入者に確認してください。",
    ),
    "three_ds_lost": (
        "本人認証(3Dセキュア)の途中で中断し、認証画面のアドレスが分からなくなりました。何も決済されていません。",
        "購入者に、もう一度購入手続きをしてもらってください。",
    ),
    "amount_differs": (
        "購入者が本人認証(3Dセキュア)をした金額と、いまの合計金額が異なるため、決済していません。",
        "注文の合計金額を確認し、購入者に、もう一度購入手続きをしてもらってください。",
    ),
    "no_card": (
        "請求に使う登録カードが見つからないため、SMBC-GPには何も送信していません。",
        "SMBCマルチペイメント管理画面で購入者の登録カードを確認し、必要なら別の方法で請求してください。",
    ),
    "other_card": (
        "登録されているカードが、注文時に有効性を確認したカードと異なるため、請求していません。",
        "購入者に、どのカードで支払うかを確認し、別の方法で請求してください。",
    ),
    "card_gone": (
        "請求に使うカードの登録がSMBC-GPで削除されているため、請求していません。",
        "購入者に、どのカードで支払うかを確認し、別の方法で請求してください。",
    ),
    "file_refused": (
        "売上報告の月次ファイルがSMBC-GPに受け付けられなかったため、この注文は登録されていません(決済待ちのままです)。",
        "定期購入の画面で理由を確認してください。",
    ),
    FILE_IN_DOUBT: (
        "月次ファイルを送信しましたが、SMBC-GPに届いたかどうかを確認できませんでした。届いていれば、結果の日に請求されます。",
        "結果が届くまで、別の方法では請求しないでください。",
    ),
    "cancelled_there": (
        "この注文の売上は、SMBC-GPで取り消されていました。請求されていません。",
        "SMBCマルチペイメント管理画面で経緯を確認し、請求が必要なら別の方法で請求してください。",
    ),
    "in_file": (
        "この注文は月次ファイルでSMBC-GPに登録されていて、まもなく請求されるため、キャンセルできません。",
        "結果が届くと売上報告済になります。返金する場合は、返送処理をして「要返金」としてSMBC-GPにご相談ください。",
    ),
}
#: reasons that are told in the same words
_SAME = {
    "found_before_repeat": "found_other",
    "unknown_state": "other_transaction",
    "window_closed": "file_refused",
}


def error_content(attempt: Attempt | None) -> ErrorContent | None:
    """The words for an attempt that was refused or is in doubt; None for any other."""
    if attempt is None or attempt.state not in (AttemptState.REJECTED, AttemptState.UNKNOWN):
        return None
    codes = split_codes(attempt.error_codes)
    explanation = explain(worst(codes)) if codes else None
    if attempt.state is AttemptState.UNKNOWN and (
        # Codes of several kinds together prove nothing: none of them may speak for the answer.
        explanation is None or explanation.kind is not ErrorKind.OUTCOME_UNKNOWN
    ):
        return ErrorContent(*_IN_DOUBT, codes)
    return content_of(codes, attempt.reason, attempt.operation)


def line_content(attempt: Attempt | None, result: ItemResult) -> ErrorContent | None:
    """The words beside a line of a run or slip file that had `result`; None where all is said."""
    error = error_content(attempt)
    if error is None or result in (ItemResult.PENDING, ItemResult.SKIPPED):
        return None
    return ErrorContent(*_CAPTURED_ELSEWHERE) if result is ItemResult.SUCCEEDED else error


def content_of(
    codes: tuple[str, ...], reason: str, operation: Operation | None = None
) -> ErrorContent:
    """The words for what was refused with these codes, or without one for this reason."""
    means = _MEANS.get(operation, UNCHANGED) if operation else UNCHANGED
    if codes:
        explanation = explain(worst(codes))
        sentence = explanation.what + means if explanation.is_clear_no else explanation.sentence
        return ErrorContent(sentence, explanation.next_step, codes)
    if reason.startswith("unreachable"):
        return ErrorContent(_UNREACHABLE + means, "時間をおいて、もう一度実行してください。")
    return ErrorContent(*_BY_REASON.get(_SAME.get(reason, reason), _UNEXPLAINED))


def is_past(attempt: Attempt, order: OrderFacts) -> bool:
    """Whether the last failure says nothing any more about the order as it is now."""
    if attempt.operation is Operation.CAPTURE:
        return order.payment_status is not PaymentStatus.CAPTURE_FAILED
    if attempt.operation is Operation.CHANGE_AMOUNT:
        return not is_unsent(order) or attempt.amount != order.total
    if attempt.operation is Operation.REFUND_DIFFERENCE:
        return not taken_too_much(order)
    if attempt.operation is Operation.CANCEL:
        is_waiting = order.payment_status is PaymentStatus.AWAITING_BILLING
        is_over = attempt.reason == "in_file" and not is_waiting  # the file was charged, or not
        return order.payment_status is PaymentStatus.CANCELLED or is_over
    if attempt.operation is Operation.BILL:  # refused alone, or with its whole file (R105)
        return order.payment_status not in (
            PaymentStatus.CAPTURE_FAILED,
            PaymentStatus.AWAITING_BILLING,
        )
    return order.payment_status not in CAPTURABLE
