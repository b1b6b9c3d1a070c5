"""From the fields of an answer to our records, or the exact reason why it cannot be believed.

An answer counts as success only with every field its operation must return, all of them ours
(P9).  The lists are also what finds a cut answer: the last field of each is always required.
"""

import hmac
import re
from datetime import UTC, date, datetime, timedelta, timezone
from hashlib import md5

from sgpshop.gateway.base_url import is_redirect_url
from sgpshop.gateway.records import (
    CardDetail,
    Challenge,
    Receipt,
    RecurringCharge,
    ShopCredentials,
    StoredCard,
    TradeAccess,
    TradeState,
    TradeStatus,
)
from sgpshop.gateway.wire import Answer

_JST = timezone(timedelta(hours=9))
#: protocol.md §7; opaque, so what is longer may be cut as long as it always is
_LONGEST_TRAN_ID = 28
_BELIEVABLE_YEARS = range(2000, 2200)

ENTRY = ("AccessID", "AccessPass")
EXECUTION = (
    "OrderID",
    "Forward",
    "Method",
    "PayTimes",
    "Approve",
    "TranID",
    "TranDate",
    "CheckString",
)
#: What CheckString covers, in this order, before ShopPass.
_SIGNED = EXECUTION[:-1]
ALTERATION = ("AccessID", "AccessPass", "Forward", "Approve", "TranID", "TranDate")
TRADE = (
    "Status",
    "ProcessDate",
    "JobCd",
    "AccessID",
    "AccessPass",
    "ItemCode",
    "Amount",
    "Tax",
    "SiteID",
    "MemberID",
    "CardNo",
    "Expire",
    "Method",
    "PayTimes",
    "Forward",
    "TranID",
    "Approve",
    "ClientField1",
    "ClientField2",
    "ClientField3",
)
MEMBER = ("MemberID",)
TRADED_CARD = ("CardSeq", "CardNo", "Forward")
CARD_LIST = (
    "CardSeq",
    "DefaultFlag",
    "CardName",
    "CardNo",
    "Expire",
    "HolderName",
    "DeleteFlag",
)

#: Fields that an answer may rightly leave blank; the others must be filled.
CARD_DETAIL = (
    "CardNo",
    "Brand",
    "DomesticFlag",
    "IssuerCode",
    "DebitPrepaidFlag",
    "DebitPrepaidIssuerName",
    "ForwardFinal",
)
RECURRING = (
    "ShopID",
    "RecurringID",
    "Amount",
    "Tax",
    "ChargeDay",
    "ChargeMonth",
    "ChargeStartDate",
    "ChargeStopDate",
    "NextChargeDate",
    "Method",
    "CardNo",
    "Expire",
    "SiteID",
    "MemberID",
)
_MAY_BE_BLANK = {
    EXECUTION: {"Method", "PayTimes"},
    TRADE: set(TRADE[5:]),  # all card fields before the card was used, and the free ones
    CARD_LIST: set(CARD_LIST[1:]),
    CARD_DETAIL: set(CARD_DETAIL[1:]),
    RECURRING: {"ChargeStopDate", "NextChargeDate", *RECURRING[10:]},
}


#: Fields that only a success has; next to error codes they make an answer contradict itself.
PROOFS = frozenset({"ACS", "RedirectUrl", *EXECUTION, *ALTERATION, *MEMBER, "Status", "CardSeq"})


class UnbelievableAnswer(ValueError):
    """The answer does not prove what it claims.  str() is a short ASCII reason."""


def read_entry(answer: Answer, order_id: str) -> TradeAccess:
    """Return the key of the transaction just entered (EntryTran)."""
    _require(answer, ENTRY)
    _require_ours(answer, OrderID=order_id)  # newer answers repeat it
    return _access(answer, order_id)


def read_execution(answer: Answer, access: TradeAccess, credentials: ShopCredentials) -> Receipt:
    """Return the receipt of an authorisation (ExecTran) whose CheckString is right (§2.2)."""
    if answer.get("ACS") not in (None, "0"):
        raise UnbelievableAnswer("three_ds_wanted")  # not authorised, and may still be
    _require(answer, ("ACS",))
    return read_secured(answer, access, credentials)


def read_execution_or_challenge(
    answer: Answer, access: TradeAccess, credentials: ShopCredentials, *, allow_loopback_http: bool
) -> Receipt | Challenge:
    """Return the receipt, or where to send the buyer for 3-D Secure 2 (``ACS=2``, §11)."""
    if answer.get("ACS") != "2":
        return read_execution(answer, access, credentials)
    url = answer.get("RedirectUrl") or ""
    if not is_redirect_url(url, allow_loopback_http=allow_loopback_http):
        raise UnbelievableAnswer("malformed:RedirectUrl")
    return Challenge(access, url)


def read_secured(answer: Answer, access: TradeAccess, credentials: ShopCredentials) -> Receipt:
    """Return the receipt of SecureTran2: as an authorisation, but without ACS (§11)."""
    _require(answer, EXECUTION)
    _require_ours(answer, OrderID=access.order_id)
    signed = "".join(answer[name] for name in _SIGNED) + credentials.shop_pass
    expected = md5(signed.encode(), usedforsecurity=False).hexdigest()
    if not hmac.compare_digest(expected.encode(), answer["CheckString"].encode()):
        raise UnbelievableAnswer("check_string")
    return _receipt(answer, access)


def read_alteration(answer: Answer, access: TradeAccess) -> Receipt:
    """Return the receipt of a capture, a cancellation or an amount change."""
    _require(answer, ALTERATION)
    _require_ours(
        answer,
        AccessID=access.access_id,
        AccessPass=access.access_pass,
        OrderID=access.order_id,
    )
    return _receipt(answer, access)


def read_trade(answer: Answer, order_id: str, proof: str) -> TradeStatus:
    """Return what a look-up of ``order_id`` shows.

    ``proof`` is the field beyond TRADE which that look-up must answer: OrderID or PayType.
    """
    _require(answer, (proof,))
    _require(answer, TRADE)
    _require_ours(answer, OrderID=order_id)
    status = answer["Status"]
    return TradeStatus(
        order_id=order_id,
        state=TradeState.of(status),
        raw_status=status,
        job=answer["JobCd"],
        amount=_number(answer, "Amount"),
        tax=_number(answer, "Tax"),
        access=_access(answer, order_id),
        processed_at=_instant(answer, "ProcessDate"),
        card_last4=_last_digits(answer["CardNo"]),
        method=answer["Method"],
        pay_times=_number(answer, "PayTimes") if answer["PayTimes"] else None,
        tran_id=answer["TranID"][:_LONGEST_TRAN_ID],
        approve=answer["Approve"],
        forward=answer["Forward"],
        site_id=answer["SiteID"],
        member_id=answer["MemberID"],
        client_fields=(answer["ClientField1"], answer["ClientField2"], answer["ClientField3"]),
    )


def read_member(answer: Answer, member_id: str) -> None:
    """Check that the member just entered is ours (SaveMember)."""
    _require(answer, MEMBER)
    _require_ours(answer, MemberID=member_id)


def read_traded_card(answer: Answer, member_id: str) -> StoredCard:
    """Return the one card that TradedCard stored."""
    _require(answer, TRADED_CARD)
    return StoredCard(member_id, _number(answer, "CardSeq"), _masked(answer["CardNo"]))


def read_cards(answer: Answer, member_id: str) -> list[StoredCard]:
    """Return the cards of a SearchCard answer: the n-th item of every list is the n-th card."""
    _require(answer, CARD_LIST)
    names = ("CardSeq", "CardNo", "DefaultFlag", "DeleteFlag", "Expire")
    columns = [answer.items(name) for name in names]
    if len({len(column) for column in columns}) != 1:
        raise UnbelievableAnswer("card_lists_do_not_match")
    return [
        StoredCard(
            member_id,
            _digits(seq, "CardSeq"),
            _masked(number),
            default == "1",
            gone == "1",
            _month(expire),
        )
        for seq, number, default, gone, expire in zip(*columns, strict=True)
    ]


def read_card_detail(answer: Answer) -> CardDetail:
    """Return what the card company says of a card (SearchCardDetail)."""
    _require(answer, CARD_DETAIL)
    domestic = {"1": True, "0": False}.get(answer["DomesticFlag"])
    return CardDetail(
        masked_number=_masked(answer["CardNo"]),
        brand=answer["Brand"],
        is_domestic=domestic,
        issuer_code=answer["IssuerCode"],
        debit_prepaid=answer["DebitPrepaidFlag"],
    )


def read_recurring(answer: Answer, shop_id: str, recurring_id: str) -> RecurringCharge:
    """Return a charge of 自動売上 as it is registered by now."""
    _require(answer, RECURRING)
    _require_ours(answer, ShopID=shop_id, RecurringID=recurring_id, Method="RECURRING_CREDIT")
    months = answer["ChargeMonth"].split("|")
    if not set(months) <= {f"{month:02}" for month in range(1, 13)}:
        raise UnbelievableAnswer("malformed:ChargeMonth")
    return RecurringCharge(
        recurring_id=recurring_id,
        amount=_number(answer, "Amount"),
        tax=_number(answer, "Tax"),
        charge_day=_number(answer, "ChargeDay"),
        charge_months=frozenset(int(month) for month in months),
        starts_on=_day(answer, "ChargeStartDate"),
        stops_on=_day(answer, "ChargeStopDate") if answer["ChargeStopDate"] else None,
        next_on=_day(answer, "NextChargeDate") if answer["NextChargeDate"] else None,
        masked_number=_masked(answer["CardNo"]),
        member_id=answer["MemberID"],
    )


def _day(answer: Answer, name: str) -> date:
    try:
        return datetime.strptime(answer[name], "%Y%m%d").date()  # noqa: DTZ007 - a day, no moment
    except ValueError:
        raise UnbelievableAnswer(f"malformed:{name}") from None


def _month(expire: str) -> date | None:
    """YYMM; None for anything else: then nothing is known of the card's end."""
    found = re.fullmatch("([0-9]{2})(0[1-9]|1[0-2])", expire)
    return date(2000 + int(found[1]), int(found[2]), 1) if found else None


def _require(answer: Answer, names: tuple[str, ...]) -> None:
    may_be_blank = _MAY_BE_BLANK.get(names, set())
    for name in names:
        value = answer.get(name)
        if value is None or (value == "" and name not in may_be_blank):
            raise UnbelievableAnswer(f"missing:{name}")


def _require_ours(answer: Answer, **expected: str) -> None:
    """A field that came must be the value we sent; whether it must come is for _require."""
    for name, value in expected.items():
        got = answer.get(name)
        if got is not None and not hmac.compare_digest(got.encode(), value.encode()):
            raise UnbelievableAnswer(f"not_ours:{name}")


def _access(answer: Answer, order_id: str) -> TradeAccess:
    for name in ENTRY:
        if len(answer[name]) != 32:  # nothing follows AccessPass that would show it was cut
            raise UnbelievableAnswer(f"malformed:{name}")
    return TradeAccess(order_id, answer["AccessID"], answer["AccessPass"])


def _receipt(answer: Answer, access: TradeAccess) -> Receipt:
    return Receipt(
        access=access,
        tran_id=answer["TranID"][:_LONGEST_TRAN_ID],
        approve=answer["Approve"],
        forward=answer["Forward"],
        processed_at=_instant(answer, "TranDate"),
    )


def _instant(answer: Answer, name: str) -> datetime:
    """Read ``yyyyMMddHHmmss`` in Japan time as an instant in UTC."""
    text = answer[name]
    if re.fullmatch("[0-9]{14}", text):
        try:
            moment = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=_JST).astimezone(UTC)
            if moment.year in _BELIEVABLE_YEARS:
                return moment
        except (ValueError, OverflowError):
            pass
    raise UnbelievableAnswer(f"malformed:{name}")


def _number(answer: Answer, name: str) -> int:
    """Read a number; a transaction without an amount (CHECK) may leave it blank."""
    text = answer[name]
    if text == "" and answer.get("JobCd") == "CHECK":
        return 0
    return _digits(text, name)


def _digits(text: str, name: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise UnbelievableAnswer(f"malformed:{name}")
    return int(text)


def _last_digits(card_number: str) -> str:
    """Return the digits at the end, at most four, whatever mask the contract uses."""
    return card_number[len(card_number.rstrip("0123456789")) :][-4:]


def _masked(card_number: str) -> str:
    last = _last_digits(card_number)
    return "*" * (len(card_number) - len(last)) + last
