"""Cards and the card company: which test card does what (protocol.md §5, rules 7, 12, 14).

A card number is looked at once and never kept: the ledger holds its last four digits and how
the card behaves.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Behaviour(StrEnum):
    """How the card company treats a card."""

    APPROVES = "approves"
    SHORT_OF_FUNDS = "short-of-funds"
    OVER_LIMIT = "over-limit"
    UNUSABLE = "unusable"
    LOSES_ANSWERS = "loses-answers"
    REFUSES_INCREASES = "refuses-increases"
    # approved at once, and answered after SLOW_SECONDS
    SLOW = "slow"
    # approved, once 3-D Secure has gone its way
    CHALLENGED = "challenged"
    ATTEMPTED = "attempted"
    NOT_ENROLLED = "not-enrolled"
    NOT_AUTHENTICATED = "not-authenticated"
    NOT_AVAILABLE = "not-available"
    REJECTED = "rejected"


#: Card numbers that are anything but approved; every other well-formed number is (rule 12).
TEST_CARDS = {
    "4999000000000002": Behaviour.SHORT_OF_FUNDS,
    "4999000000000010": Behaviour.OVER_LIMIT,
    "4999000000000028": Behaviour.UNUSABLE,
    "4999000000000036": Behaviour.LOSES_ANSWERS,
    "4999000000000044": Behaviour.REFUSES_INCREASES,
    "4999000000000051": Behaviour.SLOW,
    "4100000000005000": Behaviour.CHALLENGED,
    "5100000000005007": Behaviour.CHALLENGED,
    "3528000000005006": Behaviour.CHALLENGED,
    "4100000000100009": Behaviour.ATTEMPTED,
    "5100000000100006": Behaviour.ATTEMPTED,
    "4100000000200007": Behaviour.NOT_ENROLLED,
    "4100000000300005": Behaviour.NOT_AUTHENTICATED,
    "4100000000400003": Behaviour.NOT_AVAILABLE,
    "4100000000500000": Behaviour.REJECTED,
}

#: Tokens by name, for who tries the API: each stands for a card and is good as often as one likes.
TEST_TOKENS = {
    "tok_test_good": Behaviour.APPROVES,
    "tok_test_short_of_funds": Behaviour.SHORT_OF_FUNDS,
    "tok_test_over_limit": Behaviour.OVER_LIMIT,
    "tok_test_unusable": Behaviour.UNUSABLE,
    "tok_test_lost_answer": Behaviour.LOSES_ANSWERS,
    "tok_test_refuses_increase": Behaviour.REFUSES_INCREASES,
    "tok_test_slow": Behaviour.SLOW,
    "tok_test_3ds_challenge": Behaviour.CHALLENGED,
    "tok_test_3ds_attempted": Behaviour.ATTEMPTED,
    "tok_test_3ds_not_enrolled": Behaviour.NOT_ENROLLED,
    "tok_test_3ds_not_authenticated": Behaviour.NOT_AUTHENTICATED,
    "tok_test_3ds_not_available": Behaviour.NOT_AVAILABLE,
    "tok_test_3ds_rejected": Behaviour.REJECTED,
}
#: Longer than a shop waits for the payment of an order that is handed in, shorter than for an answer.
SLOW_SECONDS = 15.0
_GOOD_NUMBER, _GOOD_UNTIL = "4111111111111111", "9912"

_DECLINES = {
    Behaviour.SHORT_OF_FUNDS: "42G020000",
    Behaviour.OVER_LIMIT: "42G550000",
    Behaviour.UNUSABLE: "42G120000",
}
AMOUNT_WRONG = "42G680000"
EXPIRY_WRONG = "42G830000"
LIMIT_EXCEEDED = "42G550000"
NETWORK_FAILED = "42C010000"


_BRANDS = {
    "4": "VISA",
    "5": "MASTER",
    "2": "MASTER",
    "35": "JCB",
    "34": "AMEX",
    "37": "AMEX",
    "3": "DINERS",
}


def brand_of(number: str) -> str:
    """The brand of a full number by its first digits, "" for none."""
    return _BRANDS.get(number[:2]) or _BRANDS.get(number[:1], "")


@dataclass(frozen=True, slots=True)
class Card:
    """What the gateway keeps of a card; `expire` is YYMM."""

    last4: str
    expire: str
    behaviour: Behaviour
    holder_name: str = ""

    @classmethod
    def from_number(cls, number: str, expire: str, holder_name: str = "") -> "Card":
        """The card of a full number, which is forgotten."""
        behaviour = TEST_CARDS.get(number, Behaviour.APPROVES)
        return cls(number[-4:], expire, behaviour, holder_name)

    @classmethod
    def of_test_token(cls, token: str) -> "Card | None":
        """The card that a token stands for by its name; None: it was issued, if it is one."""
        wanted = TEST_TOKENS.get(token)
        numbers = {card: number for number, card in reversed(TEST_CARDS.items())}
        number = numbers.get(wanted, _GOOD_NUMBER) if wanted else ""
        return cls.from_number(number, _GOOD_UNTIL) if number else None

    @property
    def trade_mask(self) -> str:
        """The number as look-ups and TradedCard show it (rules 27 and 29)."""
        return "*" * 12 + self.last4

    @property
    def member_mask(self) -> str:
        """The number as SaveCard and SearchCard show it (rule 29)."""
        return "*" * 13 + self.last4[-3:]

    def is_expired(self, today: date) -> bool:
        """Whether the card's month lies before the current one."""
        return self.expire < today.strftime("%y%m")


@dataclass(frozen=True, slots=True)
class CardVerdict:
    """What the card company did and what it said; an empty code is a yes."""

    authorized: bool
    code: str = ""


def decide(card: Card, *, total: int, held: int | None, today: date) -> CardVerdict:
    """The card company on `total` yen, of which `held` is held already (None: a first time).

    A network failure is the one verdict that is authorized and says an error (rule 14).
    """
    if total == 0:
        return CardVerdict(False, AMOUNT_WRONG)
    return _decide_on_card(card, increases=held is not None and total > held, today=today)


def validate(card: Card, today: date) -> CardVerdict:
    """The card company on a card alone: CHECK and SaveCard, no amount."""
    return _decide_on_card(card, increases=False, today=today)


def _decide_on_card(card: Card, *, increases: bool, today: date) -> CardVerdict:
    if card.is_expired(today):
        return CardVerdict(False, EXPIRY_WRONG)
    if card.behaviour in _DECLINES:
        return CardVerdict(False, _DECLINES[card.behaviour])
    if card.behaviour is Behaviour.REFUSES_INCREASES and increases:
        return CardVerdict(False, LIMIT_EXCEEDED)
    if card.behaviour is Behaviour.LOSES_ANSWERS:
        return CardVerdict(True, NETWORK_FAILED)
    return CardVerdict(True)
