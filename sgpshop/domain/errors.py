"""Refusals that a person reads: each carries one plain Japanese sentence and an HTTP status."""

from __future__ import annotations


class ShopError(Exception):
    """Something a person asked for cannot be done; nothing was changed."""

    status = 422
    #: what a class says that always says the same
    sentence = ""

    def __init__(self, message: str = "") -> None:
        self.message = message or self.sentence
        super().__init__(self.message)


class NotFound(ShopError):
    """What was asked for is not there."""

    status = 404


class OrderNotFound(NotFound):
    """No order has that number."""

    sentence = "この注文番号の注文はありません。"


class NotPossible(ShopError):
    """The order is in a state that does not allow this (rules.md §4.3, R42)."""

    def __init__(self, message: str, reason: str = "other") -> None:
        super().__init__(message)
        #: one word for programs: a Refusal, or a WhyNot of domain.order_acts
        self.reason = reason


class OrderChanged(ShopError):
    """Somebody changed the order since this person saw it (R61, P20)."""

    status = 409
    sentence = (
        "この注文は、開いている間に更新されました。今の操作は行っていません。"
        "最新の内容を確認してから、もう一度操作してください。"
    )


class AmountDiffers(OrderChanged):
    """The version is that of the order, and the amount was never its total: a caller's mistake."""

    sentence = "金額が注文の合計金額と違います。注文の内容を確認してください。何も行っていません。"


class FormUsed(ShopError):
    """The one-time token of this form belongs to something else that was done with it (P19)."""

    status = 409
    sentence = (
        "この画面の送信内容は、すでに別の操作に使われています。今回の操作では何も行っていません。"
        "画面を開き直して、もう一度操作してください。"
    )


class OrderBusy(ShopError):
    """Another operation of this order is still open (P7, R43)."""

    status = 409
    sentence = "この注文は処理中です。結果が出るまでお待ちください。"


class CouldNotAsk(ShopError):
    """Nothing is known, because database or gateway could not be asked (interfaces.md §2)."""


class EnvironmentUnusable(CouldNotAsk):
    """A variable of the environment does not serve, or where it leads: named, with what to do."""


class ContractMissing(CouldNotAsk):
    """No contract data, so nothing can be asked of the gateway (R2)."""

    sentence = "SGPの契約情報が未登録です。設定画面で登録してください。"


class ImpossibleTransition(Exception):
    """A programming error: the state table has no such move (rules.md §4.1)."""

    def __init__(self, now: str, event: str) -> None:
        super().__init__(f"no transition from {now} on {event}")


class CursorInvalid(ShopError):
    """A cursor that was not made by us, or belongs to another sorting."""

    sentence = "ページの指定が正しくないため、先頭のページを表示しています。"
