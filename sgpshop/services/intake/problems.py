"""Why an order that was handed in is not taken, in one sentence each."""

from __future__ import annotations

from sgpshop.domain.errors import ShopError
from sgpshop.gateway import ErrorKind, explain, worst
from sgpshop.models import split_codes
from sgpshop.services.payments.error_content import content_of

#: The buyer can do something about these: another card, another try.
_OF_BUYER = frozenset({ErrorKind.BUYER_CARD, ErrorKind.THREE_DS})
#: These pass by themselves, and so does whatever has no code because SMBC-GP gave no answer.
_PASSING = frozenset({ErrorKind.RETRYABLE, ErrorKind.OUTCOME_UNKNOWN})
_UNANSWERED = frozenset({"unreachable", "look_failed", "stopping", "not_carried_out", "internal"})


class IntakeClosed(ShopError):
    """The shop takes no new orders of this kind (R87)."""

    status = 403
    sentence = "このショップは、いま新しい注文を受け付けていません。"


class OrderNumberTaken(ShopError):
    """The number belongs to an order with other content; nothing was changed (P27)."""

    status = 409
    sentence = "この注文番号は、内容の異なる注文ですでに使われています。"


class NumberInQuestion(OrderNumberTaken):
    """A person is asked whose the payment under this number is: no new card is charged beside it (R141)."""

    sentence = (
        "SMBC-GPに、この注文番号と同じオーダーIDの決済がすでにあり、どの注文のものか確認中です。"
        "別の注文番号で、もう一度手続きしてください。"
    )


class ChangedSince(OrderNumberTaken):
    """The order was changed after it came in: another card does not pay what was asked for then."""

    sentence = (
        "この注文は受付後に内容が変更されたため、このお支払いは受け付けられません。"
        "注文の内容を確認してください。"
    )


class ThreeDsNotSetUp(ShopError):
    """The buyer has to pass 3-D Secure, and nobody told where the bank sends them back to us."""

    status = 409

    def __init__(self, *, is_optional: bool) -> None:
        super().__init__(
            "3Dセキュアの戻り先が未設定のため、注文を受け付けられません。"
            "管理者に、環境変数 SGPSHOP_PUBLIC_URL(例 https://shop.example.jp)の設定を依頼してください。"
            + (
                "購入者がその場にいない注文は、three_ds に none を指定すれば受け付けます。"
                if is_optional
                else ""
            )
        )


class BeingBilled(ShopError):
    """The card of before is, or will be, charged: another one would be dropped unused."""

    status = 409

    def __init__(self, *, is_later: bool = False) -> None:
        super().__init__(
            "この注文は、登録済みのカードで請求します。別のカードでお支払いいただくには、"
            "この注文をキャンセルし、新しい注文番号の注文として、もう一度手続きしてください。"
            if is_later
            else "この注文は、登録済みのカードでの決済の結果を待っているため、"
            "別のカードでのお支払いは受け付けられません。結果が出てから、もう一度送信してください。"
        )


class Declined(ShopError):
    """The card did not pay; the order was not kept.  `codes` are SMBC-GP's ErrInfo codes."""

    status = 402

    def __init__(self, codes: tuple[str, ...] = ()) -> None:
        sentence = explain(worst(codes)).sentence if codes else "カードでの決済ができませんでした。"
        super().__init__(sentence)
        self.codes = codes

    @property
    def is_of_authentication(self) -> bool:
        """The buyer was not who they should be, or did not say so: not the card's fault."""
        return bool(self.codes) and explain(worst(self.codes)).kind is ErrorKind.THREE_DS


class PaymentUnavailable(ShopError):
    """Nothing could be paid, through no fault of the card; the order was not kept."""

    status = 503

    def __init__(self, codes: tuple[str, ...] = ()) -> None:
        super().__init__(
            "いま決済を行えないため、注文を受け付けていません。時間をおいて、もう一度送信してください。"
        )
        self.codes = codes


class PaymentRefused(ShopError):
    """What was handed in cannot be paid as it is, for instance by a member nobody knows.

    Sending it again changes nothing until somebody mends what `message` names; the order was not
    kept.
    """

    def __init__(self, codes: tuple[str, ...], reason: str) -> None:
        content = content_of(codes, reason)
        super().__init__(f"{content.sentence}{content.next_step}")
        self.codes = codes


class TokenRefused(PaymentRefused):
    """The one-time token of the card is unknown, used or over; the order was not kept."""

    def __init__(self, codes: tuple[str, ...], reason: str) -> None:
        super().__init__(codes, reason)
        self.message = (
            f"{explain(worst(codes)).sentence}新しいトークンを作成して、もう一度送信してください。"
        )


def declined(error_codes: str, reason: str) -> Declined | PaymentRefused | PaymentUnavailable:
    """The refusal for an attempt that ended with these codes (joined by "|") and this reason."""
    codes = split_codes(error_codes)
    kind = explain(worst(codes)).kind if codes else None
    if kind in _OF_BUYER:
        return Declined(codes)
    if kind is ErrorKind.TOKEN:
        return TokenRefused(codes, reason)
    if reason == "no_card":
        return Declined()
    if kind in _PASSING or (kind is None and reason.partition(":")[0] in _UNANSWERED):
        return PaymentUnavailable(codes)
    return PaymentRefused(codes, reason)
