"""3-D Secure 2 at the gateway: wished for at entry, begun by ExecTran, ended by SecureTran2.

The part in between is the browser's (`three_ds_pages.py`); here are the rows of the ledger and
what each test card comes to (protocol.md §5, §11, rule 37).
"""

import base64
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields, replace

from .cards import Behaviour, Card
from .context import Context
from .fields import Params
from .processing import ProcessingRequest
from .rules import ALREADY_EXECUTED, Status
from .trade_records import Trade
from .wire import Fields

PATH = "three-ds/"

#: Results as Tds2TransResult has them, "X" where the buyer broke off; "" while there is none.
YES, ATTEMPT, NO, UNAVAILABLE, REJECTED, BROKEN_OFF = "Y", "A", "N", "U", "R", "X"

NOT_PERFORMED = "E21030007"
UNSUPPORTED = "E21030201"
_ERRORS = {
    "": NOT_PERFORMED,  # the browser is not done
    YES: "",
    ATTEMPT: "",
    NO: "E21030202",
    UNAVAILABLE: NOT_PERFORMED,
    REJECTED: "E21030001",
    BROKEN_OFF: "E21030001",
}

#: What comes of a card without asking the buyer; all cards that are not here come to YES.
_FRICTIONLESS: Mapping[Behaviour, str] = {
    Behaviour.CHALLENGED: "",
    Behaviour.ATTEMPTED: ATTEMPT,
    Behaviour.NOT_AUTHENTICATED: NO,
    Behaviour.NOT_AVAILABLE: UNAVAILABLE,
    Behaviour.REJECTED: REJECTED,
}

BY_FORM, BY_ADDRESS = "1", "3"
_WITHOUT = "3"  # Tds2Type: authorize a card that does not support it all the same


@dataclass(frozen=True, slots=True)
class ThreeDs:
    """The 3-D Secure of one transaction, from the wish on."""

    order_id: str
    if_unsupported: str
    tenant_name: str
    trans_id: str | None = None
    secret: str = ""
    return_url: str = ""
    callback_type: str = ""
    result: str = ""
    #: SecureTran2 has made use of the result
    is_used: bool = False


_NAMES = [field.name for field in fields(ThreeDs)]
_PLACES = ", ".join("?" * len(_NAMES))
_PUT = f"INSERT OR REPLACE INTO three_ds VALUES ({_PLACES})"  # noqa: S608 - question marks only


def put(db: sqlite3.Connection, record: ThreeDs) -> None:
    """Store it as it is now."""
    db.execute(_PUT, astuple(record))


def by_trans_id(db: sqlite3.Connection, trans_id: str) -> ThreeDs | None:
    """The one whose browser part has this transId."""
    row = db.execute("SELECT * FROM three_ds WHERE trans_id = ?", (trans_id,)).fetchone()
    return None if row is None else _record(row)


def request_of(db: sqlite3.Connection, trade: Trade | None) -> ThreeDs | None:
    """The 3-D Secure of a transaction, None if it was not wished for."""
    if trade is None:
        return None
    row = db.execute("SELECT * FROM three_ds WHERE order_id = ?", (trade.order_id,)).fetchone()
    return None if row is None else _record(row)


def _record(row: sqlite3.Row) -> ThreeDs:
    record = ThreeDs(*(row[name] for name in _NAMES))
    return replace(record, is_used=bool(record.is_used))


def note_request(db: sqlite3.Connection, trade: Trade, params: Params) -> None:
    """Note at entry (TdFlag=2) that the buyer is to be authenticated."""
    name = base64.b64decode(params.get("TdTenantName", "")).decode("euc_jp")
    put(db, ThreeDs(trade.order_id, params.get("Tds2Type", ""), name))


def before(note_request: ThreeDs, work: ProcessingRequest, card: Card) -> ProcessingRequest:
    """The execution as 3-D Secure changes it: put off, refused, or let through without."""
    if card.behaviour is not Behaviour.NOT_ENROLLED:
        return replace(work, is_to_authenticate=True)
    if note_request.if_unsupported == _WITHOUT:
        return work
    return replace(work, three_ds_error=UNSUPPORTED)


def begin(
    context: Context, db: sqlite3.Connection, note_request: ThreeDs, params: Params
) -> Fields:
    """Answer where the browser is to go."""
    # a stranger must not find it, so it is never repeatable
    trans_id, secret = context.ids.hex32(db), secrets.token_urlsafe(24)
    begun = replace(
        note_request,
        trans_id=trans_id,
        secret=secret,
        return_url=params["RetUrl"],
        callback_type=params.get("CallbackType") or BY_FORM,
    )
    put(db, begun)
    url = f"{context.address()}{PATH}?transId={trans_id}&t={secret}"
    return [("ACS", "2"), ("RedirectUrl", url)]


def frictionless_result(card: Card) -> str:
    """What comes of a card at once; "" if the buyer must be asked."""
    return _FRICTIONLESS.get(card.behaviour, YES)


def finish(db: sqlite3.Connection, trade: Trade) -> str:
    """Use the result up, once; returns what it has against an authorization ("" = nothing)."""
    record = request_of(db, trade)
    if record is None or trade.status is not Status.AUTHENTICATED:
        return ""  # the state will say why not
    if record.is_used:
        return ALREADY_EXECUTED
    if record.result:
        put(db, replace(record, is_used=True))
    return _ERRORS[record.result]
