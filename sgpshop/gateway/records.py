"""What goes to the client and comes back from it, in the words of SMBC-GP (protocol.md §2, §3).

Amounts are int yen, times UTC.  Passwords and card data never show in a repr.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum

from sgpshop.domain.words import Labelled


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


class TradeState(Labelled):
    """Status of a transaction at SMBC-GP (protocol.md §3.1)."""

    UNPROCESSED = "UNPROCESSED", "未決済"
    AUTHENTICATED = "AUTHENTICATED", "未決済(3D登録済)"
    CHECK = "CHECK", "有効性チェック"
    AUTH = "AUTH", "仮売上"
    SAUTH = "SAUTH", "簡易オーソリ"
    CAPTURE = "CAPTURE", "即時売上"
    SALES = "SALES", "実売上"
    VOID = "VOID", "取消"
    RETURN = "RETURN", "返品"
    RETURNX = "RETURNX", "月跨返品"
    CANCEL = "CANCEL", "キャンセル"
    UNKNOWN = "UNKNOWN", "不明"  # a word this version does not know: never a failure

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
    def is_live(self) -> bool:
        """The buyer's money is reserved or taken."""
        return self.is_reserved or self.is_captured

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
    """A card for one authorisation, given in one of three ways.

    A one-time ``token``; a card stored at SMBC-GP, by ``member_id`` and ``card_seq``; or
    ``number`` and ``expire`` (YYMM), which only test contracts allow.  Raises ValueError unless
    it is exactly one of the three.
    """

    number: str = ""
    expire: str = ""
    security_code: str = ""
    token: str = ""
    member_id: str = ""
    card_seq: int | None = None

    def __post_init__(self) -> None:
        ways = [bool(self.token), bool(self.number), bool(self.member_id)]
        is_whole = bool(self.number) == bool(self.expire)
        is_whole = is_whole and bool(self.member_id) == (self.card_seq is not None)
        if ways.count(True) != 1 or not is_whole:
            raise ValueError("a card is a number with its expiry, a token, or a stored card")

    def __repr__(self) -> str:
        if self.token:
            return "Card(token)"
        if self.member_id:
            return f"Card({self.member_id!r}, {self.card_seq})"
        return f"Card(…{self.number[-4:]})"


class IfUnsupported(StrEnum):
    """Tds2Type: what happens to a card that does not support 3-D Secure 2."""

    REFUSE = "2"
    AUTHORIZE_WITHOUT = "3"


@dataclass(frozen=True)
class ThreeDs:
    """The wish for 3-D Secure 2 at an entry (protocol.md §2.1, §11).

    ``tenant_name`` is the shop's name that the buyer sees meanwhile; as much of it is sent as
    SMBC-GP takes (18 bytes of EUC-JP), nothing if it cannot be written so.
    """

    tenant_name: str = ""
    if_unsupported: IfUnsupported = IfUnsupported.REFUSE


@dataclass(frozen=True)
class Challenge:
    """The buyer must pass 3-D Secure before anything is authorised: send the browser there.

    ``redirect_url`` is https, or http to this machine in test mode.  Afterwards the browser
    comes back to our own address and ``finish_three_ds`` brings the result.
    """

    access: TradeAccess
    redirect_url: str


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

    @classmethod
    def entered(cls, access: TradeAccess, job: Job | str, amount: int) -> "TradeStatus":
        """What a look-up shows right after EntryTran answered (§2.5): no card, nothing done."""
        return cls(
            order_id=access.order_id,
            state=TradeState.UNPROCESSED,
            raw_status=TradeState.UNPROCESSED.value,
            job=str(job),
            amount=amount,
            tax=0,
            access=access,
            processed_at=datetime.now(UTC),
            card_last4="",
            method="",
            pay_times=None,
            tran_id="",
            approve="",
            forward="",
            site_id="",
            member_id="",
            client_fields=("", "", ""),
        )

    @property
    def total(self) -> int:
        """What is reserved or taken in yen: the gateway compares amount and tax together (§13)."""
        return self.amount + self.tax


@dataclass(frozen=True)
class StoredCard:
    """A card kept by SMBC-GP under a member id; ``masked_number`` shows four digits at most.

    ``last_month`` is asked alone whether it is over, and neither shown nor kept (S11); None: not told.
    """

    member_id: str
    seq: int
    masked_number: str
    is_default: bool = False
    is_deleted: bool = False
    last_month: date | None = field(default=None, repr=False)

    def is_over_in(self, month: date) -> bool:
        """Whether the card is said to end before ``month``."""
        return self.last_month is not None and self.last_month < month.replace(day=1)


@dataclass(frozen=True)
class CardDetail:
    """What the card company says of a card (protocol.md §2.8); None where it does not say."""

    masked_number: str
    brand: str
    #: cards issued abroad are not allowed for subscriptions (§10.1)
    is_domestic: bool | None
    issuer_code: str
    debit_prepaid: str


@dataclass(frozen=True)
class RecurringCharge:
    """A charge that SMBC-GP makes by itself (自動売上, protocol.md §10.2); ``next_on`` None: it is over.

    ``charge_day`` 31 is the last day of a month, amounts are yen.
    """

    recurring_id: str
    amount: int
    tax: int
    charge_day: int
    charge_months: frozenset[int]
    starts_on: date
    stops_on: date | None
    next_on: date | None
    masked_number: str
    member_id: str
