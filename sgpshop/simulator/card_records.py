"""Members, their cards and one-time tokens as rows of the ledger."""

import re
import sqlite3
from dataclasses import dataclass

from .cards import Card
from .context import Context
from .refusal import Refused
from .trade_records import card_of, card_values

#: What is wrong with a token (rule 31).
NEVER_ISSUED = "EX1000301"
USED_UP = "EX1000302"
LAPSED = "EX1000303"
MALFORMED = "EX1000304"

ISSUED_PREFIX = "tok_"
#: What could be one; a number, of a card perhaps, could not.
_TOKEN = re.compile("[0-9A-Za-z_-]{1,200}")


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the site."""

    member_id: str
    name: str


@dataclass(frozen=True, slots=True)
class StoredCard:
    """A member's card; `seq` is its physical number, which never changes."""

    seq: int
    card: Card
    name: str = ""
    is_default: bool = False
    is_deleted: bool = False


def member(db: sqlite3.Connection, member_id: str) -> Member | None:
    """The member of that id."""
    row = db.execute("SELECT * FROM members WHERE member_id = ?", (member_id,)).fetchone()
    return None if row is None else Member(row["member_id"], row["name"])


def members(db: sqlite3.Connection, limit: int) -> list[Member]:
    """The first `limit` members by id."""
    rows = db.execute("SELECT * FROM members ORDER BY member_id LIMIT ?", (limit,))
    return [Member(row["member_id"], row["name"]) for row in rows]


def put_member(db: sqlite3.Connection, entry: Member) -> None:
    """Enter a member, or store the new name of one."""
    db.execute(
        "INSERT INTO members VALUES (?, ?) ON CONFLICT DO UPDATE SET name = excluded.name",
        (entry.member_id, entry.name),
    )


def remove_member(db: sqlite3.Connection, member_id: str) -> None:
    """Forget a member and the cards; the id is free again (rule 29)."""
    db.execute("DELETE FROM members WHERE member_id = ?", (member_id,))


def cards(db: sqlite3.Connection, member_id: str, *, physical: bool) -> dict[int, StoredCard]:
    """A member's cards by CardSeq: physical numbers with the deleted ones, or closed-up ones."""
    rows = db.execute("SELECT * FROM cards WHERE member_id = ? ORDER BY seq", (member_id,))
    every = [
        StoredCard(
            row["seq"], card_of(row), row["name"], bool(row["is_default"]), bool(row["is_deleted"])
        )
        for row in rows
    ]
    if physical:
        return {stored.seq: stored for stored in every}
    return dict(enumerate(stored for stored in every if not stored.is_deleted))


def put_card(db: sqlite3.Connection, member_id: str, stored: StoredCard) -> None:
    """Store a card under its physical number; a new default takes over from the old one."""
    if stored.is_default:
        db.execute("UPDATE cards SET is_default = 0 WHERE member_id = ?", (member_id,))
    db.execute(
        "INSERT OR REPLACE INTO cards VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            member_id,
            stored.seq,
            *card_values(stored.card),
            stored.name,
            stored.is_default,
            stored.is_deleted,
        ),
    )


def put_token(db: sqlite3.Connection, token: str, card: Card, now: int) -> None:
    """Keep the card of a token just issued."""
    db.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, 0)", (token, *card_values(card), now))


def new_token(context: Context, card: Card) -> str:
    """Issue a one-time token for a card, as the token script would."""
    with context.ledger.transaction() as db:
        token = ISSUED_PREFIX + context.ids.hex32(db)
        put_token(db, token, card, context.clock.timestamp())
    return token


def take_token(db: sqlite3.Connection, token: str, *, issued_after: int) -> Card:
    """Use a token up; raises Refused with EX1000301-304 (rule 31)."""
    if (card := Card.of_test_token(token)) is not None:
        return card
    if not _TOKEN.fullmatch(token) or token.isdecimal():
        raise Refused(MALFORMED)
    row = db.execute("SELECT * FROM tokens WHERE token = ?", (token,)).fetchone()
    if row is None:
        raise Refused(NEVER_ISSUED)
    if row["is_used"]:
        raise Refused(USED_UP)
    if row["issued_at"] < issued_after:
        raise Refused(LAPSED)
    db.execute("UPDATE tokens SET is_used = 1 WHERE token = ?", (token,))
    return card_of(row)
