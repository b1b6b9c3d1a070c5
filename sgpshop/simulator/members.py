"""The calls on members and their cards (protocol.md §2.7, §2.8; rules 29-31)."""

import sqlite3
from dataclasses import replace

from . import card_records, trade_records
from . import fields as f
from .card_records import Member, StoredCard, take_token
from .cards import Card, brand_of, validate
from .context import Context
from .fields import Params, check
from .processing import FORWARD
from .refusal import Refused, refuse_if
from .rules import TRADE_MISSING, Status
from .wire import Fields

MEMBER_EXISTS = "E01390010"
MEMBER_MISSING = "E01390002"
CARD_MISSING = "E01240002"
TOO_MANY_CARDS = "E01230009"
TRADE_UNFINISHED = "E01110010"


def save_member(context: Context, params: Params) -> Fields:
    """Enter a member."""
    problems = check(params, (f.MEMBER_ID, f.MEMBER_NAME))
    with context.ledger.transaction() as db:
        if card_records.member(db, params.get("MemberID", "")):
            problems.append(MEMBER_EXISTS)
        refuse_if(problems)
        card_records.put_member(db, Member(params["MemberID"], params.get("MemberName", "")))
    return [("MemberID", params["MemberID"])]


def update_member(context: Context, params: Params) -> Fields:
    """Store a new name."""
    problems = check(params, (f.MEMBER_ID, f.MEMBER_NAME))
    with context.ledger.transaction() as db:
        member = require_member(db, params, problems)
        name = params.get("MemberName", "")
        card_records.put_member(db, Member(member.member_id, name))
    return [("MemberID", member.member_id)]


def delete_member(context: Context, params: Params) -> Fields:
    """Forget a member with all cards."""
    problems = check(params, (f.MEMBER_ID,))
    with context.ledger.transaction() as db:
        member = require_member(db, params, problems)
        card_records.remove_member(db, member.member_id)
    return [("MemberID", member.member_id)]


def search_member(context: Context, params: Params) -> Fields:
    """Look a member up."""
    problems = check(params, (f.MEMBER_ID,))
    with context.ledger.reading() as db:
        member = require_member(db, params, problems)
    return [("MemberID", member.member_id), ("MemberName", member.name), ("DeleteFlag", "0")]


def save_card(context: Context, params: Params) -> Fields:
    """Store a card, or replace the one of CardSeq, after asking the card company."""
    problems = check(params, (f.MEMBER_ID, f.SEQ_MODE.optional(), f.CARD_SEQ.optional()))
    if not params.get("Token"):
        problems += check(params, (f.CARD_NO, f.EXPIRE))
    problems += check(params, (f.CARD_PASS, f.HOLDER_NAME))
    with context.ledger.transaction() as db:
        member = require_member(db, params, problems)
        replaced = _chosen(db, params) if params.get("CardSeq") else None
        if replaced is None:
            _require_room(context, db, member)
        card = offered_card(context, db, params)
        verdict = validate(card, context.clock.now().date())
        refuse_if([verdict.code] if verdict.code else [])
        stored = _store(db, member, params, card, replaced)
        seq = _seq_shown(db, member, params, stored)
    return [("CardSeq", seq), ("CardNo", card.member_mask), ("Forward", FORWARD)]


def delete_card(context: Context, params: Params) -> Fields:
    """Mark a card deleted: logical numbers close up, physical ones keep it."""
    problems = check(params, (f.MEMBER_ID, f.SEQ_MODE.optional(), f.CARD_SEQ))
    with context.ledger.transaction() as db:
        member = require_member(db, params, problems)
        stored = _chosen(db, params)
        gone = replace(stored, is_deleted=True, is_default=False)
        card_records.put_card(db, member.member_id, gone)
    return [("CardSeq", params["CardSeq"])]


def search_card(context: Context, params: Params) -> Fields:
    """A member's cards, each key joined with `|`."""
    problems = check(params, (f.MEMBER_ID, f.SEQ_MODE, f.CARD_SEQ.optional()))
    with context.ledger.reading() as db:
        require_member(db, params, problems)
        found = _numbered(db, params)
    if params.get("CardSeq"):
        found = {seq: stored for seq, stored in found.items() if seq == int(params["CardSeq"])}
    if not found:
        raise Refused(CARD_MISSING)
    cards = found.values()
    return [
        ("CardSeq", "|".join(str(seq) for seq in found)),
        ("DefaultFlag", "|".join(str(int(stored.is_default)) for stored in cards)),
        ("CardName", "|".join(stored.name for stored in cards)),
        ("CardNo", "|".join(stored.card.member_mask for stored in cards)),
        ("Expire", "|".join(stored.card.expire for stored in cards)),
        ("HolderName", "|".join(stored.card.holder_name for stored in cards)),
        ("DeleteFlag", "|".join(str(int(stored.is_deleted)) for stored in cards)),
    ]


def search_card_detail(context: Context, params: Params) -> Fields:
    """What the card company says of a card: one that is offered, stored, or paid an order (§2.8).

    Every card here is domestic and neither debit nor prepaid; of one that is kept only digits are, so
    its brand is blank.
    """
    brand, way = "", trades_way(params)
    with context.ledger.transaction() as db:
        if way == "member":
            refuse_if(check(params, (f.SITE_ID, f.SITE_PASS)))  # a shop has no members
            problems = check(params, (f.MEMBER_ID, f.SEQ_MODE.optional(), f.CARD_SEQ))
            require_member(db, params, problems)
            card: Card | None = _chosen(db, params).card
        elif way == "order":
            refuse_if(check(params, (f.ORDER_ID,)))
            trade = trade_records.by_order(db, params["OrderID"])
            if trade is None:
                raise Refused(TRADE_MISSING)
            card = trade.card
        else:
            refuse_if([] if params.get("Token") else check(params, (f.CARD_NO,)))
            card = offered_card(context, db, {"Expire": "", **params})
            brand = brand_of(params.get("CardNo", ""))
    if card is None:
        raise Refused(CARD_MISSING)
    return [
        ("CardNo", card.trade_mask),
        ("Brand", brand),
        ("DomesticFlag", "1"),
        ("IssuerCode", FORWARD),
        ("DebitPrepaidFlag", "0"),
        ("DebitPrepaidIssuerName", ""),
        ("ForwardFinal", FORWARD),
    ]


def trades_way(params: Params) -> str:
    """Which card SearchCardDetail is asked about."""
    if params.get("MemberID"):
        return "member"
    return "order" if params.get("OrderID") else "card"


def traded_card(context: Context, params: Params) -> Fields:
    """Store the card of a finished transaction under a member (rule 30)."""
    problems = check(params, (f.ORDER_ID, f.MEMBER_ID, f.SEQ_MODE.optional(), f.HOLDER_NAME))
    with context.ledger.transaction() as db:
        trade = trade_records.by_order(db, params.get("OrderID", ""))
        if trade is None:
            raise Refused(*problems, TRADE_MISSING)
        member = require_member(db, params, problems)
        if trade.card is None or trade.status in (Status.UNPROCESSED, Status.AUTHENTICATED):
            raise Refused(TRADE_UNFINISHED)
        _require_room(context, db, member)
        holder = params.get("HolderName") or trade.card.holder_name
        card = replace(trade.card, holder_name=holder)
        stored = _store(db, member, params, card, None)
        seq = _seq_shown(db, member, params, stored)
    return [("CardSeq", seq), ("CardNo", card.trade_mask), ("Forward", FORWARD)]


def stored_card(db: sqlite3.Connection, params: Params) -> StoredCard:
    """The member's card that ExecTran asks for; raises Refused (member first, then card)."""
    require_member(db, params, [])
    return _chosen(db, params)


def require_member(db: sqlite3.Connection, params: Params, problems: list[str]) -> Member:
    """The member of the request, in which `problems` were found.

    Raises Refused with the problems, and E01390002 last if there is no such member (rule 5).
    """
    member = card_records.member(db, params.get("MemberID", ""))
    if member is None:
        raise Refused(*problems, MEMBER_MISSING)
    refuse_if(problems)
    return member


def _numbered(db: sqlite3.Connection, params: Params) -> dict[int, StoredCard]:
    physical = params.get("SeqMode") == "1"
    return card_records.cards(db, params["MemberID"], physical=physical)


def _chosen(db: sqlite3.Connection, params: Params) -> StoredCard:
    """The card of CardSeq in the numbering of SeqMode; raises Refused(E01240002)."""
    stored = _numbered(db, params).get(int(params["CardSeq"]))
    if stored is None or stored.is_deleted:
        raise Refused(CARD_MISSING)
    return stored


def _require_room(context: Context, db: sqlite3.Connection, member: Member) -> None:
    held = card_records.cards(db, member.member_id, physical=False)
    if len(held) >= context.contract.cards_per_member:
        raise Refused(TOO_MANY_CARDS)


def offered_card(context: Context, db: sqlite3.Connection, params: Params) -> Card:
    """The card whose number or token came; raises Refused for a token that is none."""
    holder = params.get("HolderName", "")
    if params.get("Token"):
        issued_after = context.clock.timestamp() - context.contract.token_seconds
        card = take_token(db, params["Token"], issued_after=issued_after)
        return replace(card, holder_name=holder) if holder else card
    return Card.from_number(params["CardNo"], params["Expire"], holder)


def _store(
    db: sqlite3.Connection,
    member: Member,
    params: Params,
    card: Card,
    replaced: StoredCard | None,
) -> StoredCard:
    """Write a card in place of `replaced`, or under the next physical number."""
    if replaced is None:
        seq = len(card_records.cards(db, member.member_id, physical=True))
        replaced = StoredCard(seq, card)
    stored = replace(
        replaced,
        card=card,
        name=params.get("CardName", replaced.name),
        is_default=params.get("DefaultFlag") == "1" or replaced.is_default,
    )
    card_records.put_card(db, member.member_id, stored)
    return stored


def _seq_shown(db: sqlite3.Connection, member: Member, params: Params, stored: StoredCard) -> str:
    numbered = _numbered(db, params)
    return next(str(seq) for seq, other in numbered.items() if other.seq == stored.seq)
