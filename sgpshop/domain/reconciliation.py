"""照合: what a look-up that shows something else than we do means, cell by cell (R120, R121).

The payment status after it is a matter of payment_status.TRANSITIONS, where the look-up always wins
(P18).  This module adds what a person has to be told and has to acknowledge, and says which pairs
agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sgpshop.domain import words
from sgpshop.domain.payment_status import Event, PaymentStatus, is_possible, next_status


class AlertKind(StrEnum):
    """What a person has to acknowledge; the values are stored."""

    HOLD_MISSING = "hold_missing"
    UNCOLLECTED = "uncollected"
    NOT_CANCELLED = "not_cancelled"
    NOT_REFUNDED = "not_refunded"
    AMOUNT_DIFFERS = "amount_differs"
    UNEXPECTED_CHARGE = "unexpected_charge"
    CAPTURED_ELSEWHERE = "captured_elsewhere"
    CANCELLED_ELSEWHERE = "cancelled_elsewhere"
    DUPLICATE_ROUND = "duplicate_round"
    RESULT_MISSING = "result_missing"
    EARLIER_IS_LIVE = "earlier_is_live"
    CANCELLED_UNBILLED = "cancelled_unbilled"
    OTHER_TRANSACTION = "other_transaction"
    CANCELLED_IN_FILE = "cancelled_in_file"
    CLAIM_UNPROVED = "claim_unproved"
    UNKNOWN_NUMBER = "unknown_number"
    CHARGED_AFTER_ALL = "charged_after_all"
    CARD_UNFIT = "card_unfit"
    OTHER_METHOD = "other_method"

    @property
    def label(self) -> str:
        """The headline."""
        return _words_of(self)[0]

    @property
    def sentence(self) -> str:
        """What happened, with {before}, {found} and {total} to be filled in."""
        return _words_of(self)[1]

    @property
    def next_step(self) -> str:
        """What to do about it."""
        return _words_of(self)[2]

    @property
    def explanation(self) -> str:
        """When it is raised, for the help page."""
        return _words_of(self)[3]

    @property
    def is_notice(self) -> bool:
        """Somebody did at the gateway what could have been done here: to be known, no more."""
        return self in _NOTICES

    @property
    def is_question(self) -> bool:
        """It ends by an answer, not by being seen."""
        return self is AlertKind.UNKNOWN_NUMBER


def _words_of(kind: AlertKind) -> tuple[str, str, str, str]:
    otherwise = (words.unknown(kind), *_ANOTHER_VERSION)
    return _WORDS.get(kind, otherwise)


_ANOTHER_VERSION = (
    "「{before}」と表示していましたが、SMBC-GPでは「{found}」でした。",
    "ほかの版のプログラムが知らせたものです。SMBCマルチペイメント管理画面で経緯を確認してください。",
    "",
)

_NOTICES = frozenset({AlertKind.CAPTURED_ELSEWHERE, AlertKind.CANCELLED_ELSEWHERE})

#: What says that money is missing, so that a person may collect it in another way: it is over once
#: the money is there.
MISSING = frozenset({AlertKind.HOLD_MISSING, AlertKind.UNCOLLECTED, AlertKind.RESULT_MISSING})

#: What says before a subscription's charge that it will fail, or may not be wanted: over with it.
BEFORE_CHARGE = frozenset({AlertKind.CARD_UNFIT, AlertKind.CANCELLED_UNBILLED})

_WORDS = {
    AlertKind.HOLD_MISSING: (
        "仮売上がありません",
        "「{before}」と表示していましたが、SMBC-GPでは「{found}」でした。カードの枠は確保されていません。",
        "発送を止めて、SMBCマルチペイメント管理画面で取引を確認してください。必要なら別の方法で決済します。",
        "仮売上・売上失敗の注文が、SMBC-GPでは未決済か、取引がありませんでした。注文は要確認になります。",
    ),
    AlertKind.UNCOLLECTED: (
        "未回収",
        "「{before}」と表示していましたが、SMBC-GPでは「{found}」でした。代金を受け取れていません。",
        "SMBCマルチペイメント管理画面で経緯を確認し、仮売上なら実売上処理を、取引がなければ別の方法で請求してください。",
        "決済完了・売上報告済の注文が、SMBC-GPでは売上になっていませんでした。決済完了の注文は仮売上か要確認になります。",
    ),
    AlertKind.NOT_CANCELLED: (
        "取消されていません",
        "「{before}」と表示していましたが、SMBC-GPでは「{found}」でした。カードの枠が確保されたままです。",
        "取り消すなら、もう一度注文キャンセルをしてください。",
        "注文キャンセルの注文が、SMBC-GPでは仮売上のままでした。注文は仮売上になります。",
    ),
    AlertKind.NOT_REFUNDED: (
        "返金されていません",
        "「{before}」と表示していましたが、SMBC-GPでは「{found}」でした。購入者に請求されたままです。",
        "返金するなら、もう一度注文キャンセルをしてください。売上報告済になった定期購入の注文は、要返金としてSMBC-GPにご相談ください。",
        "注文キャンセルの注文が、SMBC-GPでは売上のままでした。注文は決済完了(定期購入の売上報告は売上報告済)になります。",
    ),
    AlertKind.AMOUNT_DIFFERS: (
        "売上の金額が異なります",
        "合計金額は{total}ですが、SMBC-GPでは「{found}」でした。",
        "SMBCマルチペイメント管理画面で経緯を確認し、どちらの金額が正しいか確かめてください。多く売上になっていれば「差額を返金」で合計金額に合わせられます。月次ファイルの売上は「要返金」になるため、別の方法で差額を返金し、「返金済みにする」で金額を記録してください。不足分は別の方法で請求してください。",
        "売上になった金額が、注文の合計金額と異なります。",
    ),
    AlertKind.UNEXPECTED_CHARGE: (
        "請求前の注文に取引があります",
        "「{before}」の定期購入の注文ですが、SMBC-GPでは「{found}」でした。このままでは二重に請求されるおそれがあります。",
        "SMBCマルチペイメント管理画面で経緯を確認してください。",
        "決済待ちの定期購入の注文に、SMBC-GPで仮売上か売上の取引がありました。",
    ),
    AlertKind.CAPTURED_ELSEWHERE: (
        "管理画面で売上済",
        "「{before}」の注文が、このシステム以外(SMBCマルチペイメント管理画面など)で実売上処理され、SMBC-GPでは「{found}」でした。",
        "発送の状況を確認してください。ここで実売上処理をする必要はありません。",
        "仮売上・売上失敗の注文が、このシステムの外で実売上処理されていました。注文は決済完了(定期購入は売上報告済)になります。",
    ),
    AlertKind.CANCELLED_ELSEWHERE: (
        "管理画面で取消",
        "「{before}」の注文が、このシステム以外(SMBCマルチペイメント管理画面など)で取り消され、SMBC-GPでは「{found}」でした。",
        "発送前なら発送を止め、在庫と購入者への連絡を確認してください。",
        "注文が、このシステムの外で取り消されていました。注文は注文キャンセルになります(売上報告済を除く)。",
    ),
    AlertKind.RESULT_MISSING: (
        "売上報告の結果がありません",
        "「{before}」({total})ですが、SMBC-GPの結果にこの注文の行がなく、照会でも「{found}」でした。請求されていません。",
        "SMBCマルチペイメント管理画面とSMBC-GPに確認してください。請求されないままなら、別の方法で請求します。",
        "届いた売上報告の結果に、登録したはずの注文の行がありませんでした。注文は売上報告済のままです。",
    ),
    AlertKind.DUPLICATE_ROUND: (
        "同じ回の注文が重複",
        "定期購入の同じ回が、注文 {found} でも登録されています。",
        "二重に請求しないため、確認済みにするまで売上報告しません。不要な方の注文をキャンセルし、請求する方の注文で「確認済みにする」を押してください。",
        "定期購入IDと回数が同じ注文が、2件以上あります。いまは、同じ回の注文は受け付けません。",
    ),
    AlertKind.EARLIER_IS_LIVE: (
        "ほかの取引が残っています",
        "この注文のいまの決済とは別の取引が、SMBC-GPでは「{found}」のまま残っています。二重に請求されるおそれがあります。",
        "SMBCマルチペイメント管理画面でこのオーダーIDの取引を確認し、不要なら管理画面で取り消してください。ほかの注文の取引なら、取り消さず、確認済みにしてください。",
        "カードを変えて決済し直した注文や予約の注文で、前の番号の取引に仮売上か売上が残っていました。注文の状態は変わりません。",
    ),
    AlertKind.CANCELLED_UNBILLED: (
        "請求前の取引が取り消されています",
        "「{before}」の定期購入の注文ですが、SMBC-GPでは「{found}」でした。このままでは、配送完了にした翌月に請求されます。",
        "請求しないなら、注文キャンセルをしてください。請求するなら、確認済みにしてください。",
        "決済待ちの定期購入の注文の取引が、このシステムの外で取り消されていました。注文の状態は変わりません。",
    ),
    AlertKind.OTHER_TRANSACTION: (
        "取引IDが一致しません",
        "「{before}」の注文ですが、登録されている取引IDは、SMBC-GPにあるこのオーダーIDの取引({found})のものではありません。ほかの注文の取引を動かさないよう、実売上処理・注文キャンセル・変更内容の送信を止めています。",
        "SMBCマルチペイメント管理画面で両方の取引を確認し、正しい取引IDの注文ファイルを取り込んで、照合をしてください。決済完了の注文なら、どの取引が売上になったか確かめ、発送を止めてください。",
        "注文ファイルの取引IDが、SMBC-GPにある同じオーダーIDの取引のものではありませんでした。一致するまで、この注文の決済は操作できません。",
    ),
    AlertKind.CANCELLED_IN_FILE: (
        "ファイルでは注文キャンセル、決済は残っています",
        "「{before}」の注文ですが、取り込んだ注文ファイルでは「{found}」でした。決済は変わっていません。",
        "取り消すなら発送を止めて、注文キャンセルをしてください。そのまま販売するなら、確認済みにしてください。",
        "取り込んだ注文ファイルで注文キャンセルになった注文の決済が、残っています。ファイルで決済が取り消されることはありません。",
    ),
    AlertKind.CLAIM_UNPROVED: (
        "ファイルの決済の状態を確認できません",
        "注文ファイルでは「{before}」ですが、SMBC-GPには「{found}」の取引しかありません。請求済みかどうか分からないため、このシステムからは請求しません。",
        "カートとSMBCマルチペイメント管理画面で、請求済みか確認してください。これから請求する注文は「決済方法ステータス」を「仮売上」(定期購入は「決済待ち」)に、請求済みの定期購入は「売上報告済」にした注文ファイルを取り込んでください。",
        "カードの有効性チェックしかしていない予約・定期購入の注文が、注文ファイルでは決済完了か、配送完了なのに注文キャンセルでした。注文は要確認になります。",
    ),
    AlertKind.UNKNOWN_NUMBER: (
        "どの注文の決済か分からない取引があります",
        "SMBC-GPに「{found}」の取引がありますが、このシステムからは送信していません。二重に請求しないため、未請求の注文には、どの注文の決済か決まるまで請求せず、「決済なし」としての注文キャンセルもできません。すでに請求した注文の決済なら、二重の請求です。",
        "SMBCマルチペイメント管理画面でこのオーダーIDの取引を確認し、どの注文の決済かを下のボタンで選んでください。オーダーIDと同じ注文番号の注文があれば、その注文ファイルを取り込むだけで解決します。",
        "このシステムから送信していない、注文番号に -1、-2 などの付いた取引が、SMBC-GPにありました。",
    ),
    AlertKind.CHARGED_AFTER_ALL: (
        "後から請求されました",
        "請求されていないとお知らせしていた「{before}」の注文が、その後SMBC-GPで「{found}」になりました。",
        "別の方法で代金を受け取っていれば、二重の支払いです。一方を返金してください(定期購入はSMBC-GPにご相談ください)。受け取っていなければ、確認済みにしてください。",
        "定期購入の売上失敗や、確認済みにした未回収・仮売上なし・売上報告の結果なしの注文が、その後SMBC-GPで請求されていました。",
    ),
    AlertKind.CARD_UNFIT: (
        "定期購入のカードが使えません",
        "次の登録日に請求する注文({total})ですが、{found}。このままでは請求できません。",
        "登録日の前に、購入者へ連絡してください。使えないまま登録日になると「売上失敗」になるので、それから別の方法で請求します(先に代金を受け取ると、カードが使えるようになった場合に二重の支払いになります)。",
        "登録日の5日前から毎日、登録する定期購入のカードをSMBC-GPに確認します。登録がないか、別のカードか、登録日までに有効期限が切れると知らせ、使えるようになれば自動で消えます。",
    ),
    AlertKind.OTHER_METHOD: (
        "別の決済方法の注文にカード決済の通知",
        "「{found}」の注文ですが、この注文番号のカード決済の通知がSMBC-GPから届きました。カードでも支払われたおそれがあります。",
        "SMBCマルチペイメント管理画面でこのオーダーIDの取引を確認してください。カードで支払われた注文なら「SGPカード決済の注文に直す」で直し、二重に支払われていれば一方を返金してください。",
        "SGPカード決済でない注文の注文番号について、SMBC-GPからカード決済の通知が届きました。通知の内容だけで注文が変わることはありません。",
    ),
}

_S, _E, _A = PaymentStatus, Event, AlertKind

#: (status here, what the gateway shows) -> what a person has to acknowledge.  A pair that is not
#: here needs nobody: it agrees, or the status simply follows (R120).
ALERTS: dict[tuple[PaymentStatus, Event], AlertKind] = {
    (_S.AUTHORIZED, _E.FOUND_UNFINISHED): _A.HOLD_MISSING,
    (_S.CAPTURE_FAILED, _E.FOUND_UNFINISHED): _A.HOLD_MISSING,
    (_S.CAPTURED, _E.FOUND_UNFINISHED): _A.UNCOLLECTED,
    (_S.CAPTURED, _E.FOUND_AUTHORIZED): _A.UNCOLLECTED,
    (_S.CAPTURED, _E.FOUND_PREORDER_CHECK): _A.UNCOLLECTED,
    (_S.CAPTURED, _E.FOUND_SUBSCRIPTION_CHECK): _A.UNCOLLECTED,
    (_S.CANCELLED, _E.FOUND_AUTHORIZED): _A.NOT_CANCELLED,
    (_S.CANCELLED, _E.FOUND_CAPTURED): _A.NOT_REFUNDED,
    (_S.AWAITING_BILLING, _E.FOUND_AUTHORIZED): _A.UNEXPECTED_CHARGE,
    (_S.AWAITING_BILLING, _E.FOUND_CAPTURED): _A.UNEXPECTED_CHARGE,
    (_S.AUTHORIZED, _E.FOUND_CAPTURED): _A.CAPTURED_ELSEWHERE,
    (_S.CAPTURE_FAILED, _E.FOUND_CAPTURED): _A.CAPTURED_ELSEWHERE,
    (_S.AUTHORIZED, _E.FOUND_CANCELLED): _A.CANCELLED_ELSEWHERE,
    (_S.CAPTURE_FAILED, _E.FOUND_CANCELLED): _A.CANCELLED_ELSEWHERE,
    (_S.CAPTURED, _E.FOUND_CANCELLED): _A.CANCELLED_ELSEWHERE,
    (_S.BILLING_REPORTED, _E.FOUND_CANCELLED): _A.CANCELLED_ELSEWHERE,
    (_S.AWAITING_BILLING, _E.FOUND_CANCELLED): _A.CANCELLED_UNBILLED,
    (_S.BILLING_REPORTED, _E.FOUND_AUTHORIZED): _A.UNCOLLECTED,
    (_S.BILLING_REPORTED, _E.FOUND_PREORDER_CHECK): _A.UNCOLLECTED,
    (_S.AUTHORIZED, _E.FOUND_BILLED): _A.CAPTURED_ELSEWHERE,
    (_S.CAPTURE_FAILED, _E.FOUND_BILLED): _A.CHARGED_AFTER_ALL,  # by R105 the shop asks otherwise
    (_S.CANCELLED, _E.FOUND_BILLED): _A.NOT_REFUNDED,
}

#: Pairs that need nobody although the status moves, or does not agree by its word alone, and why.
#: With ALERTS and the pairs in which the status stays they are all there are.
NEEDS_NOBODY: dict[tuple[PaymentStatus, Event], str] = {
    **{
        (_S.NEEDS_REVIEW, found): "要確認 waits for nothing but this (but see is_delivered)"
        for found in Event
        if found.is_found and found is not _E.FOUND_UNFINISHED
    },
    (_S.AUTHORIZED, _E.FOUND_SUBSCRIPTION_CHECK): "仮売上 of a subscription is 決済待ち (R21)",
    (_S.AWAITING_BILLING, _E.FOUND_PREORDER_CHECK): "決済待ち of a 予約 is 仮売上 (R111)",
    (_S.AWAITING_BILLING, _E.FOUND_BILLED): "the answer to its registration was lost",
    (_S.CAPTURED, _E.FOUND_BILLED): "paid both times: 決済完了 of a billing is 売上報告済",
}

#: The money is taken, so its amount can be compared with the order's.
_TAKEN = frozenset({Event.FOUND_CAPTURED, Event.FOUND_BILLED})
_CHECKS = frozenset({Event.FOUND_PREORDER_CHECK, Event.FOUND_SUBSCRIPTION_CHECK})
#: What a file may say that counts where SMBC-GP shows a mere card check.  The check stays whatever
#: becomes of the order, so it proves neither that a charge is still to come nor that none was made
#: elsewhere (protocol.md §3.6).
CLAIMS_BESIDE_CHECK = frozenset({_S.CANCELLED, _S.CAPTURED, _S.CAPTURE_FAILED, _S.BILLING_REPORTED})


@dataclass(frozen=True)
class Decision:
    """What follows from one look-up."""

    after: PaymentStatus
    #: what a person has to acknowledge
    alerts: tuple[AlertKind, ...] = ()


def decide(
    before: PaymentStatus | None,
    found: Event | None,
    *,
    total: int,
    found_total: int,
    is_first: bool = False,
    claimed: PaymentStatus | None = None,
    is_delivered: bool = False,
) -> Decision | None:
    """What a look-up that showed `found` (an Event.FOUND_…) means; None: nothing to compare.

    `total` is what the order says is to be charged, `found_total` what the gateway shows, in yen.
    On the first look-up of all (`is_first`) our status is what a file said of some earlier day: that
    it went on since is no news, that no money is reserved is.  `claimed` is what a file says of the
    payment, `is_delivered` whether everything left: that its payment was given back is always told,
    unless a file says the same.
    """
    if before is None or found is None or not is_possible(before, found):
        return None
    if before is _S.NEEDS_REVIEW and found in _CHECKS and claimed in CLAIMS_BESIDE_CHECK:
        return _beside_check(claimed, found, is_delivered=is_delivered)
    kinds = []
    alert = ALERTS.get((before, found))
    is_lost = found is _E.FOUND_CANCELLED and is_delivered and claimed is not _S.CANCELLED
    if is_lost and before is _S.NEEDS_REVIEW:
        alert = AlertKind.CANCELLED_ELSEWHERE
    is_news = not is_first or (alert not in _NOTICES and alert is not AlertKind.CHARGED_AFTER_ALL)
    is_news = is_news or is_lost
    if alert is not None and is_news:
        kinds.append(alert)
    after = next_status(before, found)
    is_taken = found in _TAKEN and alert is not AlertKind.UNEXPECTED_CHARGE
    is_for_nothing = found is Event.FOUND_AUTHORIZED and total < 1
    if (is_taken and found_total != total) or is_for_nothing:
        kinds.append(AlertKind.AMOUNT_DIFFERS)
    return Decision(after, tuple(kinds))


def _beside_check(claimed: PaymentStatus | None, found: Event, *, is_delivered: bool) -> Decision:
    """決済完了, or 注文キャンセル of what was delivered, no look-up can prove: a person has to."""
    is_told = is_delivered if claimed is _S.CANCELLED else claimed is not _S.CAPTURE_FAILED
    if claimed is _S.BILLING_REPORTED and found is _E.FOUND_SUBSCRIPTION_CHECK:
        is_told = False  # billed elsewhere, as a file may say of any subscription (R143)
    if is_told or claimed is None:
        return Decision(_S.NEEDS_REVIEW, (_A.CLAIM_UNPROVED,))
    return Decision(claimed)


def agrees(status: PaymentStatus, found: Event | None) -> bool:
    """Whether our status and what the gateway shows are the same by the table of R120 (P4)."""
    if found is None or not is_possible(status, found):
        return False
    return next_status(status, found) is status and (status, found) not in ALERTS
