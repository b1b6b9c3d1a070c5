"""Result notifications as they come in (protocol.md §6): read, bounded and redacted, never believed.

They carry no signature (P24): what is read here says which order to ask SMBC-GP about, no more.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from sgpshop.domain.card_data import mask_card_numbers
from sgpshop.gateway.wire import ENCODING

#: ErrInfo of the connectivity test of SMBC-GP's console.
TEST_CODE = "E00000000"

_MOST_FIELDS = 100
_LONGEST_NAME = 40
_LONGEST_VALUE = 200
_LONGEST_CONTENT = 2000
_HIDDEN = "***"
#: Fields that may hold a password, a security code or an expiry: not kept, whatever is in them.
_SECRET = re.compile(r"pass|pwd|token|secret|secur|card_?no|expir|cvv|cvc|pin", re.IGNORECASE)
_AMOUNT = re.compile(r"[0-9]{1,7}")
_CODE = re.compile(r"[0-9A-Za-z]{1,20}")


@dataclass(frozen=True)
class Notice:
    """What a notification says; texts are cleaned and cut, "" where it says nothing."""

    shop_id: str
    order_id: str
    access_id: str
    status: str
    job: str
    #: Amount + Tax in yen, None unless both can be amounts
    amount: int | None
    tran_id: str
    #: yyyyMMddHHmmss, JST
    tran_date: str
    #: ErrInfo
    codes: tuple[str, ...]
    pay_type: str
    #: everything that came in, without passwords and card numbers, to be looked at by a person
    content: str

    @property
    def is_test(self) -> bool:
        """The connectivity test of the console: nothing happened to any order."""
        return self.codes == (TEST_CODE,)

    @property
    def is_card(self) -> bool:
        """About a card payment."""
        return self.pay_type in ("", "0")

    @property
    def fingerprint(self) -> str:
        """The same for the same notification sent again: its natural key and what else it says."""
        values = (
            self.access_id,
            self.tran_id,
            self.tran_date,
            self.job,
            self.status,
            self.codes,
            self.order_id,
            self.shop_id,
            self.pay_type,
            self.amount,
            "" if self.order_id else self.content,
        )
        return hashlib.sha256(repr(values).encode()).hexdigest()


def read_notice(body: bytes) -> Notice:
    """The notification in a form body of any charset; raises nothing, whatever came."""
    pairs = list(_pairs(body))
    values: dict[str, str] = {}
    for name, value in pairs:
        values.setdefault(name.lower(), value)
    return Notice(
        shop_id=values.get("shopid", "")[:13],
        order_id=values.get("orderid", "")[:40],
        access_id=values.get("accessid", "")[:32],
        status=values.get("status", "")[:20],
        job=values.get("jobcd", "")[:20],
        amount=_amount(values),
        tran_id=values.get("tranid", "")[:28],
        tran_date=values.get("trandate", "")[:14],
        codes=tuple(filter(_CODE.fullmatch, values.get("errinfo", "").split("|")))[:8],
        pay_type=values.get("paytype", "")[:2],
        content=_content(pairs),
    )


def _pairs(body: bytes) -> Iterator[tuple[str, str]]:
    for pair in body.strip().split(b"&", _MOST_FIELDS)[:_MOST_FIELDS]:
        name, equals, value = pair.partition(b"=")
        if equals:
            yield _text(name, _LONGEST_NAME), _text(value, _LONGEST_VALUE)


def _text(raw: bytes, longest: int) -> str:
    """One decoded line without card numbers; in whatever charset, what cannot be read is replaced."""
    # Cut before masking, which takes time, and after it, so that no rest of a number stays.
    octets = unquote_to_bytes(raw[: 8 * longest].replace(b"+", b" "))
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        text = octets.decode(ENCODING, errors="replace")
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
    return mask_card_numbers(plain[: 2 * longest])[:longest].strip()


def _amount(values: dict[str, str]) -> int | None:
    amount, tax = values.get("amount", ""), values.get("tax", "") or "0"
    if not (_AMOUNT.fullmatch(amount) and _AMOUNT.fullmatch(tax)):
        return None
    return int(amount) + int(tax)


def _content(pairs: list[tuple[str, str]]) -> str:
    shown = (f"{name}={_HIDDEN if _SECRET.search(name) else value}" for name, value in pairs)
    return mask_card_numbers("&".join(shown)[: 2 * _LONGEST_CONTENT])[:_LONGEST_CONTENT]
