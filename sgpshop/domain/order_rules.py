"""What may be done with an order, and why not: asked by buttons, bulk runs and services alike.

Functions take anything shaped like models.Order; they read, never change (rules.md §4.3, R40, R42).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.payment_status import (
    CAPTURABLE,
    PAID,
    PaymentStatus,
)
from sgpshop.domain.words import Reason

#: Words of a transaction at SMBC-GP (protocol.md §3.1): reserved, taken, and a mere card check.
HELD_STATES = frozenset({"AUTH", "SAUTH"})
TAKEN_STATES = frozenset({"SALES", "CAPTURE"})
LIVE_STATES = HELD_STATES | TAKEN_STATES
CHECK_STATE = "CHECK"
#: entered, perhaps at 3-D Secure: somebody may be paying
UNFINISHED_STATES = frozenset({"UNPROCESSED", "AUTHENTICATED"})
#: what SMBC-GP says to any call on a transaction that a monthly file brought there (protocol.md §13.9)
ONLY_BY_FILE = "E01410010"
#: an order's last number at SMBC-GP is `<order number>-99`: it takes no longer one (R141)
MOST_NUMBERS = 99


class Transaction(Protocol):
    """What the rules need to know of a card transaction."""

    @property
    def gateway_amount(self) -> int | None: ...
    @property
    def sequence(self) -> int: ...
    @property
    def is_linked(self) -> bool: ...
    @property
    def is_charge(self) -> bool: ...
    @property
    def others_live(self) -> bool: ...
    @property
    def is_mismatched(self) -> bool: ...
    @property
    def is_filed(self) -> bool: ...
    @property
    def captured_at(self) -> datetime | None: ...
    @property
    def given_by_hand(self) -> int: ...
    @property
    def gateway_state(self) -> str | None: ...
    @property
    def auth_expires_at(self) -> datetime | None: ...
    @property
    def next_look_at(self) -> datetime | None: ...


class OpenAttempt(Protocol):
    """What the rules need to know of an operation that has not ended."""

    @property
    def operation(self) -> str: ...
    @property
    def uncertain_since(self) -> datetime | None: ...


class Parcel(Protocol):
    """What the rules need to know of a delivery."""

    @property
    def status(self) -> DeliveryStatus: ...
    @property
    def delivered_at(self) -> datetime | None: ...


class OrderFacts(Protocol):
    """What the rules and the table of acts need to know of an order; deliveries for 返送 alone."""

    @property
    def version(self) -> int: ...
    @property
    def is_sgp(self) -> bool: ...
    @property
    def kind(self) -> str: ...
    @property
    def payment_status(self) -> PaymentStatus | None: ...
    @property
    def processing_class(self) -> ProcessingClass: ...
    @property
    def ordered_at(self) -> datetime: ...
    @property
    def edited_at(self) -> datetime | None: ...
    @property
    def cancel_waived_at(self) -> datetime | None: ...
    @property
    def refunded_on(self) -> date | None: ...
    @property
    def total(self) -> int: ...
    @property
    def transaction(self) -> Transaction | None: ...
    @property
    def open_attempt(self) -> OpenAttempt | None: ...
    @property
    def is_called_off(self) -> bool: ...
    @property
    def is_asked(self) -> bool: ...
    @property
    def deliveries(self) -> Sequence[Parcel]: ...


class Refusal(Reason):
    """Why an order cannot be captured now; the values are stored with run lines (R42)."""

    OTHER_METHOD = ("other_method", "決済方法が異なる", "SGPカード決済の注文ではありません。")
    CAPTURED = ("captured", "決済完了済み", "すでに決済完了しています。")
    CANCELLED = ("cancelled", "注文キャンセル済み", "注文キャンセル済みです。")
    SUBSCRIPTION = (
        "subscription",
        "定期購入",
        "定期購入の注文に実売上処理は不要です。配送完了にした翌月の登録日(初期設定は10日)に自動で売上報告されます。",
    )
    BUSY = ("busy", "処理中", "処理中です。結果が出るまでお待ちください。")
    BEING_PAID = (
        "being_paid",
        "購入手続き中",
        "購入者が購入手続き中です。決済の結果が出るまでお待ちください。",
    )
    NEEDS_REVIEW = (
        "needs_review",
        "要確認",
        "要確認の注文です。決済の状態が確認できるまで実売上処理はできません。",
    )
    NOT_LINKED = (
        "not_linked",
        "取引情報を確認中",
        "SMBC-GPの取引情報をまだ受け取っていません。確認が終わるまでお待ちください。",
    )
    UNSENT_AMOUNT = (
        "unsent_amount",
        "修正額が未送信",
        "金額の変更がSMBC-GPに送信されていません。合計金額とSMBC-GP側金額が一致するまで実売上処理はできません。",
    )
    CALLED_OFF = (
        "called_off",
        "ファイルで注文キャンセル",
        "注文ファイルで注文キャンセルになった注文です。そのまま販売するなら、注文の画面の通知を確認済みにしてから実行してください。",
    )
    UNKNOWN_NUMBER = (
        "unknown_number",
        "どの注文の決済か未確認",
        "この注文の決済か、別の注文の決済か分からない取引がSMBC-GPにあります。"
        "二重に請求しないため、注文の画面の通知で、どの注文の決済かを選んでから実行してください"
        "(支払いの途中のものは、終わるか、30分ほどで自動的に分かります)。",
    )
    CHANGED = ("changed", "確認後に更新された", "確認した後で注文の内容が更新されました。")
    OTHERS_LIVE = (
        "others_live",
        "別の取引が残っている",
        "この注文には、SMBC-GPで仮売上か売上の取引がほかの番号に残っています。"
        "二重に請求しないため、SMBCマルチペイメント管理画面で不要な取引を取り消し、照合をしてから実行してください。",
    )
    IN_FILE = (
        "in_file",
        "月次ファイルの結果待ち",
        "この注文は月次ファイルでSMBC-GPに登録されている可能性があり、まもなく請求されます。"
        "二重に請求しないため、結果が届くまでお待ちください。",
    )
    NUMBERS_USED_UP = (
        "numbers_used_up",
        "番号を使い切った",
        f"この注文番号では、これ以上決済できません(SMBC-GPで使える番号を「-{MOST_NUMBERS}」まで使い切りました)。"
        "新しい注文番号の注文として、もう一度手続きしてください。",
    )
    OTHER_TRANSACTION = (
        "other_transaction",
        "取引IDが一致しない",
        "登録されている取引IDは、SMBC-GPにあるこのオーダーIDの取引のものではありません。"
        "SMBCマルチペイメント管理画面で確認し、正しい取引IDの注文ファイルを取り込んで、照合をしてください。",
    )
    NOTHING_TO_CAPTURE = (
        "nothing_to_capture",
        "金額が0円",
        "合計金額が0円のため、売上にする金額がありません。",
    )


#: Here a changed amount can still be sent, or could be once the doubt has ended.
HOLDING_STATUSES = CAPTURABLE | {PaymentStatus.NEEDS_REVIEW}

#: Operations of the buyer's own payment; an order may be taken back when the first is declined.
_CHECKOUTS = frozenset({"authorize", "sale", "check_card", "register_card", "repay"})


def busy_with(attempt: OpenAttempt) -> Refusal:
    """Why nothing else is possible while that is under way."""
    if is_being_paid(attempt):
        return Refusal.BEING_PAID
    return Refusal.NEEDS_REVIEW if attempt.uncertain_since else Refusal.BUSY


def is_being_paid(attempt: OpenAttempt | None) -> bool:
    """Whether the buyer's own payment is under way, and nobody is in doubt about it (yet)."""
    if attempt is None or attempt.uncertain_since is not None:
        return False
    return attempt.operation in _CHECKOUTS


def is_to_be_charged(transaction: Transaction | None) -> bool:
    """Whether money would come by a new charge only: a card check is there, or an unpaid charge (R112).

    What the transaction is decides about money, never what the order is said to be.
    """
    if transaction is None or transaction.gateway_state in LIVE_STATES:
        return False
    return transaction.is_charge or transaction.gateway_state == CHECK_STATE


def reserves_nothing(order: OrderFacts) -> bool:
    """Whether nothing of the order's money is reserved; before SMBC-GP has said so, by its kind."""
    state = order.transaction.gateway_state if order.transaction else None
    if state in LIVE_STATES:
        return False
    if is_to_be_charged(order.transaction) or order.kind == "subscription":
        return True
    return state is None and order.kind == "preorder"


def is_unsent(order: OrderFacts) -> bool:
    """Whether our total differs from the amount SMBC-GP holds (R72a, P21).

    Of a payment that was captured or cancelled nothing is to be sent any more.
    """
    transaction = order.transaction
    if transaction is None or transaction.gateway_amount in (None, order.total):
        return False
    if order.payment_status not in HOLDING_STATUSES:
        return False
    if transaction.gateway_state in LIVE_STATES:
        return not transaction.is_charge or transaction.gateway_state in HELD_STATES
    return order.kind == "normal" and not is_to_be_charged(transaction)


def increase(order: OrderFacts) -> int:
    """Yen by which a change that is not sent yet reserves more than the buyer agreed to; else 0."""
    held = order.transaction.gateway_amount if order.transaction else None
    return max(0, order.total - held) if held is not None and is_unsent(order) else 0


def taken_too_much(order: OrderFacts) -> int:
    """Yen that SMBC-GP took beyond our total, less what went back by hand (返金済み).

    0 where nothing was taken, or not more.
    """
    more = _taken_beyond(order)
    return max(0, more - order.transaction.given_by_hand) if more > 0 and order.transaction else 0


def given_back_there(order: OrderFacts) -> int:
    """Yen that SMBC-GP took less than our total: a part was refunded in its console (B5); else 0."""
    return max(0, -_taken_beyond(order))


def _taken_beyond(order: OrderFacts) -> int:
    there = order.transaction
    if there is None or there.gateway_amount is None or order.payment_status not in PAID:
        return 0
    return there.gateway_amount - order.total if there.gateway_state in TAKEN_STATES else 0


def is_mismatched(order: OrderFacts) -> bool:
    """Whether what we would act on at SMBC-GP was seen not to be this order's transaction (P14)."""
    return order.transaction is not None and order.transaction.is_mismatched


def capture_refusal(order: OrderFacts) -> Refusal | None:
    """Why this order cannot be captured, or None when it can (R40, R42, R43, R72a)."""
    status = order.payment_status
    if not order.is_sgp or status is None:
        return Refusal.OTHER_METHOD
    if order.open_attempt is not None:
        return busy_with(order.open_attempt)
    if status is PaymentStatus.CAPTURED:
        return Refusal.CAPTURED
    if status is PaymentStatus.CANCELLED:
        return Refusal.CANCELLED
    transaction = order.transaction
    if order.kind == "subscription" and (status not in CAPTURABLE or reserves_nothing(order)):
        return Refusal.SUBSCRIPTION
    if status not in CAPTURABLE:
        return Refusal.NEEDS_REVIEW
    if order.is_called_off:
        return Refusal.CALLED_OFF
    if is_mismatched(order):
        return Refusal.OTHER_TRANSACTION
    if transaction is None or not transaction.is_linked:
        return Refusal.NOT_LINKED
    if transaction.gateway_state in TAKEN_STATES:
        return Refusal.CAPTURED  # the order is told so by its next look-up
    if reserves_nothing(order) and not is_to_be_charged(transaction):
        return Refusal.NOT_LINKED  # a charge needs SMBC-GP's word that nothing is reserved yet
    if transaction.others_live:
        return Refusal.OTHERS_LIVE
    # Where a new charge is wanted SMBC-GP is asked once more, and it may be there no longer.
    if order.is_asked and not reserves_nothing(order):
        return Refusal.UNKNOWN_NUMBER
    if is_unsent(order):
        return Refusal.UNSENT_AMOUNT
    if is_to_be_charged(transaction) and transaction.sequence >= MOST_NUMBERS:
        return Refusal.NUMBERS_USED_UP
    return Refusal.NOTHING_TO_CAPTURE if order.total < 1 else None


#: Above either, a capture is confirmed a second time (S21, R47).
SECOND_CONFIRMATION_ORDERS = 100
SECOND_CONFIRMATION_YEN = 1_000_000


def is_big(orders: int, yen: int) -> bool:
    """Whether a capture of so many orders and yen has to be confirmed a second time (S21)."""
    return orders > SECOND_CONFIRMATION_ORDERS or yen > SECOND_CONFIRMATION_YEN


class ReviewCause(StrEnum):
    """Why an order shows 要確認, told apart by a badge (R18)."""

    OUTCOME_UNKNOWN = "結果確認中"
    LOOKING_UP = "確認中"
    CHECKOUT_UNFINISHED = "購入手続き未完了"


def review_cause(order: OrderFacts) -> ReviewCause | None:
    """The badge beside 要確認; None for every other status (R18, R143)."""
    if order.payment_status is not PaymentStatus.NEEDS_REVIEW:
        return None
    if order.open_attempt is not None:
        return ReviewCause.OUTCOME_UNKNOWN
    transaction = order.transaction
    if transaction is not None and transaction.gateway_state is None and transaction.next_look_at:
        return ReviewCause.LOOKING_UP
    return ReviewCause.CHECKOUT_UNFINISHED


@dataclass(frozen=True)
class Button:
    """How a button stands (rules.md §4.3): absent, enabled, or disabled with a reason."""

    is_shown: bool
    reason: str = ""

    @property
    def is_enabled(self) -> bool:
        """Whether pressing it can do anything."""
        return self.is_shown and not self.reason
