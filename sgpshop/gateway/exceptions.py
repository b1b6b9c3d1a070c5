"""What is true at SMBC-GP after a call that brought no usable success (promises.md P9).

Three answers are possible and callers must treat them differently, so they are three
exceptions.  ``str()`` is a Japanese sentence for staff, ``reason`` a short ASCII word for the
journal; neither ever holds a password or card data.
"""

from sgpshop.gateway.error_kinds import ErrorKind, worst
from sgpshop.gateway.error_words import explain

#: «Already done» or «not possible in this state»: look the order up before anything else.
_WRONG_STATE = frozenset(
    {
        "E01040010",
        "E01050004",
        "E01110010",
        "E11010001",
        "E11010002",
        "E11010003",
        "M01004010",
        "M01004014",
        "M01054004",
    }
)
#: The amount sent is not the amount of the transaction (rules.md §13).
_AMOUNT_MISMATCH = frozenset({"E01060010", "E01060021", "M01055010"})

#: `GatewayUnreachable.reason` when no connection of our own became free in time.
NO_FREE_CONNECTION = "connect:no_free_connection"
#: The same when whoever asked did not want it any more by the time a byte could leave.
NOT_WANTED = "connect:not_wanted"

#: An answer may carry any number of codes; a sentence and the journal show the first few.
_SHOWN = 10
#: of `reason`, as the journal keeps it
_LONGEST = 120


class GatewayError(Exception):
    """SMBC-GP did not confirm the operation.

    ``codes`` are the ErrInfo codes received, in their order, if any.
    """

    def __init__(self, message: str, *, reason: str, codes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.codes = codes


class GatewayRejected(GatewayError):
    """It said no, or the request was refused here before sending; nothing changed there."""

    @classmethod
    def by_codes(cls, codes: tuple[str, ...]) -> "GatewayRejected":
        """Build the refusal from the codes of an answer; the worst one gives the sentence."""
        return cls(_sentence(codes), reason=_joined(codes), codes=codes)

    @property
    def kind(self) -> ErrorKind:
        """Kind of the worst code; a request refused on our side is a MERCHANT matter."""
        return explain(worst(self.codes)).kind if self.codes else ErrorKind.MERCHANT

    @property
    def is_congestion(self) -> bool:
        """E92…: refused unread for load; the same request may be sent again after a pause."""
        return bool(self.codes) and all(code.startswith("E92") for code in self.codes)

    @property
    def is_wrong_state(self) -> bool:
        """The transaction is not where we thought: look up first, perhaps it is done already."""
        return not _WRONG_STATE.isdisjoint(self.codes)

    @property
    def is_amount_mismatch(self) -> bool:
        """The amount sent is not the one SMBC-GP holds: an edit was not sent yet."""
        return not _AMOUNT_MISMATCH.isdisjoint(self.codes)


class GatewayUnreachable(GatewayError):
    """Provably not one byte of the request left us; it is safe to try again."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "通信エラー：SMBC-GPに接続できませんでした。何も送信していないため、取引は変わっていません。"
            "時間をおいて、もう一度実行してください。",
            reason=reason,
        )

    @property
    def is_own_limit(self) -> bool:
        """All connections we allow ourselves were busy, or we held back: that is not the gateway's."""
        return self.reason in (NO_FREE_CONNECTION, NOT_WANTED)


class GatewayOutcomeUnknown(GatewayError):
    """Something may have been sent and there is no usable answer: only a look-up can tell."""

    def __init__(self, reason: str, codes: tuple[str, ...] = ()) -> None:
        message = (
            "SMBC-GPから有効な応答がありませんでした。処理されたかどうかはまだ分かりません。"
            "結果確認中です（自動で照合します）。"
        )
        if codes:
            decisive = worst(codes)
            clear = explain(decisive).kind is not ErrorKind.OUTCOME_UNKNOWN  # a mixture of rows
            message = _with_codes(message, codes) if clear else _sentence(codes)
        super().__init__(message, reason=reason, codes=codes)

    @classmethod
    def by_codes(cls, codes: tuple[str, ...]) -> "GatewayOutcomeUnknown":
        """Build the doubt from the codes of an answer."""
        return cls(_joined(codes), codes)


def _joined(codes: tuple[str, ...]) -> str:
    return ("codes:" + "|".join(codes[:_SHOWN]))[:_LONGEST]


def _sentence(codes: tuple[str, ...]) -> str:
    explanation = explain(worst(codes))
    return _with_codes(explanation.sentence + explanation.next_step, codes)


def _with_codes(message: str, codes: tuple[str, ...]) -> str:
    return f"{message}（{'、'.join(codes[:_SHOWN])}）"


class AddressRefused(OSError):
    """No address of the name is one that may be connected to."""
