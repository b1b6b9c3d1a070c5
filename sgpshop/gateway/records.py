"""What goes to the client and comes back from it, in the words of SMBC-GP (protocol.md §2, §3).

Amounts are int yen, times UTC.  Passwords and card data never show in a repr.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Job(StrEnum):
    """JobCd of an entry or an amount change: the state wanted afterwards."""

    CHECK = "CHECK"
    CAPTURE = "CAPTURE"
    AUTH = "AUTH"
    SAUTH = "SAUTH"


class Cancellation(StrEnum):
    """JobCd of a cancellation; protocol.md §3.3 says which fits which day."""

    VOID = "VOID"
    RETURN = "RETURN"
    RETURNX = "RETURNX"


class TradeState(StrEnum):
    """Status of a transaction at SMBC-GP (protocol.md §3.1)."""

    UNPROCESSED = "UNPROCESSED"
    AUTHENTICATED = "AUTHENTICATED"
    CHECK = "CHECK"
    AUTH = "AUTH"
    SAUTH = "SAUTH"
    CAPTURE = "CAPTURE"
    SALES = "SALES"
    VOID = "VOID"
    RETURN = "RETURN"
    RETURNX = "RETURNX"
    CANCEL = "CANCEL"
    UNKNOWN = "UNKNOWN"  # a word this version does not know: never a failure

    @classmethod
    def of(cls, word: str) -> "TradeState":
        """Return the state of a Status word as received; UNKNOWN for a new one."""
        return cls(word) if word in cls.__members__ else cls.UNKNOWN

    @property
    def is_authorized(self) -> bool:
        """The full amount is reserved and can be captured."""
        return self is TradeState.AUTH

    @property
    def is_reserved(self) -> bool:
        """Something is reserved, be it only the small amount of a simple authorisation."""
        return self in (TradeState.AUTH, TradeState.SAUTH)

    @property
    def is_captured(self) -> bool:
        """The money is taken."""
        return self in (TradeState.SALES, TradeState.CAPTURE)

    @property
    def is_cancelled(self) -> bool:
        """Nothing is reserved or taken any more."""
        return self in (
            TradeState.VOID,
            TradeState.RETURN,
            TradeState.RETURNX,
            TradeState.CANCEL,
        )

    @property
    def is_check(self) -> bool:
        """The card was found valid; nothing is reserved, nothing can be captured."""
        return self is TradeState.CHECK

    @property
    def is_unfinished(self) -> bool:
        """Entered, but not authorised (yet)."""
        return self in (TradeState.UNPROCESSED, TradeState.AUTHENTICATED)

    @property
    def label(self) -> str:
        """The word SMBC-GP's own console shows."""
        return _LABELS[self]


_LABELS = {
    TradeState.UNPROCESSED: "未決済",
    TradeState.AUTHENTICATED: "未決済(3D登録済)",
    TradeState.CHECK: "有効性チェック",
    TradeState.AUTH: "仮売上",
    TradeState.SAUTH: "簡易オーソリ",
    TradeState.CAPTURE: "即時売上",
    TradeState.SALES: "実売上",
    TradeState.VOID: "取消",
    TradeState.RETURN: "返品",
    TradeState.RETURNX: "月跨返品",
    TradeState.CANCEL: "キャンセル",
    TradeState.UNKNOWN: "不明",
}


@dataclass(frozen=True)
class ShopCredentials:
    """The contract: shop, and site if cards are stored (protocol.md §7)."""

    shop_id: str
    shop_pass: str = field(repr=False)
    site_id: str = ""
    site_pass: str = field(default="", repr=False)


@dataclass(frozen=True)
class TradeAccess:
    """The key to one transaction; whoever holds ``access_pass`` can move its money."""

    order_id: str
    access_id: str
    access_pass: str = field(repr=False)


@dataclass(frozen=True, repr=False)
class Card:
    """A card for one authorisation: number and expiry (YYMM), or a one-time token.

    Raises ValueError unless it is exactly one of the two.
    """

    number: str = ""
    expire: str = ""
    security_code: str = ""
    token: str = ""

    def __post_init__(self) -> None:
        if bool(self.token) == bool(self.number) or bool(self.number) != bool(self.expire):
            raise ValueError("a card is a number with its expiry, or a token")

    def __repr__(self) -> str:
        return "Card(token)" if self.token else f"Card(…{self.number[-4:]})"


@dataclass(frozen=True)
class Receipt:
    """What SMBC-GP returned for a money operation it carried out.

    ``processed_at`` is its TranDate; ``approve`` may begin with spaces.
    """

    access: TradeAccess
    tran_id: str
    approve: str
    forward: str
    processed_at: datetime
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TradeStatus:
    """One transaction as a look-up shows it.

    ``amount`` and ``tax`` are those of the last successful processing and ``processed_at`` its
    time; ``raw_status`` is the Status word as received.  ``card_last4`` holds the digits after
    the gateway's mask, at most four (how many is a contract setting), ``""`` before a card was
    used; the expiry is not kept (S11).  ``pay_times`` is None unless paid in instalments.
    """

    order_id: str
    state: TradeState
    raw_status: str
    job: str
    amount: int
    tax: int
    access: TradeAccess
    processed_at: datetime
    card_last4: str
    method: str
    pay_times: int | None
    tran_id: str
    approve: str
    forward: str
    site_id: str
    member_id: str
    client_fields: tuple[str, str, str]

    @property
    def total(self) -> int:
        """What is reserved or taken in yen: the gateway compares amount and tax together (§13)."""
        return self.amount + self.tax


@dataclass(frozen=True)
class StoredCard:
    """A card kept by SMBC-GP under a member id; ``masked_number`` shows four digits at most."""

    member_id: str
    seq: int
    masked_number: str
    is_default: bool = False
    is_deleted: bool = False
