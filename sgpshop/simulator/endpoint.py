"""From a form body to what goes back over the connection: rule 5's outer checks, limits, faults."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum, auto

from . import fields as f
from . import lookups, members, monthly_files, recurring, trade_records, trades
from .cards import SLOW_SECONDS, Behaviour
from .context import Context
from .delivery import AnswerDelivery
from .faults import BEFORE, Fault, FaultKind, Faults
from .fields import Params, check
from .processing import record_refusal
from .refusal import Refused, refuse_if
from .request_log import Entry, RequestLog
from .wire import Fields, encode, parse_form, render, render_errors

TOO_MANY_REQUESTS = "E92000002"
NO_SUCH_API = "E91099997"
SHOP_UNKNOWN = "E01030002"
SITE_UNKNOWN = "E01210002"

#: No form, and no text in cp932 either.
GARBAGE = b"\x81\x00\xfd\x85\x20\x81\x00"

#: What stands in front of a gateway answers this, whatever the status.
HTML_PAGE = (
    "<!DOCTYPE html><html><head><title>Service Unavailable</title></head>"
    "<body><h1>Service Unavailable</h1></body></html>"
)


class CallerId(Enum):
    """Whose id and password a call must carry."""

    SHOP = auto()
    SITE = auto()
    BOTH = auto()
    EITHER = auto()  # SearchCardDetail: the shop if it is named, the site with a member
    EXECUTION = auto()  # ExecTran: the shop if it is named, the site with a stored card


@dataclass(frozen=True, slots=True)
class Api:
    """One call: who may make it, what answers it, and whether it works on a transaction alone."""

    who: CallerId
    answer: Callable[[Context, Params], Fields]
    is_exclusive: bool = False


APIS: Mapping[str, Api] = {
    "EntryTran": Api(CallerId.SHOP, trades.entry_tran),
    "ExecTran": Api(CallerId.EXECUTION, trades.exec_tran, is_exclusive=True),
    "SecureTran2": Api(CallerId.EXECUTION, trades.secure_tran, is_exclusive=True),
    "AlterTran": Api(CallerId.SHOP, trades.alter_tran, is_exclusive=True),
    "ChangeTran": Api(CallerId.SHOP, trades.change_tran, is_exclusive=True),
    "SearchTrade": Api(CallerId.SHOP, lookups.search_trade),
    "SearchTradeMulti": Api(CallerId.SHOP, lookups.search_trade_multi),
    "SaveMember": Api(CallerId.SITE, members.save_member),
    "UpdateMember": Api(CallerId.SITE, members.update_member),
    "DeleteMember": Api(CallerId.SITE, members.delete_member),
    "SearchMember": Api(CallerId.SITE, members.search_member),
    "SaveCard": Api(CallerId.SITE, members.save_card),
    "DeleteCard": Api(CallerId.SITE, members.delete_card),
    "SearchCard": Api(CallerId.SITE, members.search_card),
    "TradedCard": Api(CallerId.BOTH, members.traded_card),
    "SearchCardDetail": Api(CallerId.EITHER, members.search_card_detail),
    "RegisterRecurringCredit": Api(CallerId.SHOP, recurring.register_recurring_credit),
    "ChangeRecurring": Api(CallerId.SHOP, recurring.change_recurring),
    "UnregisterRecurring": Api(CallerId.SHOP, recurring.unregister_recurring),
}


class Endpoint:
    """The payment endpoint over one desk.  `latency` is seconds every request takes."""

    def __init__(self, context: Context, faults: Faults, *, latency: float = 0.0) -> None:
        self.context = context
        self.faults = faults
        self.log = RequestLog()
        self.stopping = threading.Event()
        self.latency = latency
        self._lock = threading.Lock()
        self._in_flight = 0

    def answer(self, api_name: str, body: bytes) -> AnswerDelivery:
        """Serve one POST; never raises for anything a client can send."""
        entry = self.log.arrived(self.context.clock.now(), api_name)
        try:
            params = parse_form(body)
            entry.came_with(params)
            api = APIS.get(api_name)
            if api is None:
                raise Refused(NO_SUCH_API)
            entry.order_id, is_holder = self._order_of(params)
            with self._admitted():
                self._require_credentials(api, params)
                return self._serve(api, params, entry, alone=api.is_exclusive and is_holder)
        except Refused as refusal:
            return _delivered(entry, render_errors(refusal.codes))

    def wait(self, seconds: float) -> None:
        """Let time pass, but not beyond the end of the server."""
        if seconds:
            self.stopping.wait(seconds)

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        """Count a request in flight; raises Refused(E92000002) for one too many (rule 4)."""
        with self._lock:
            if self._in_flight >= self.context.contract.max_in_flight:
                raise Refused(TOO_MANY_REQUESTS)
            self._in_flight += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1

    def _order_of(self, params: Params) -> tuple[str | None, bool]:
        """The order a request is about, and whether it carries that transaction's AccessPass."""
        if access_id := params.get("AccessID"):
            with self.context.ledger.reading() as db:
                pair = trade_records.pair_of(db, access_id)
            if pair is not None:
                return pair[0], pair[1] == params.get("AccessPass")
        return params.get("OrderID") or None, False

    def _require_credentials(self, api: Api, params: Params) -> None:
        """Check shop and site before everything else (rule 5); raises Refused."""
        names_shop = bool(params.get("ShopID") or params.get("ShopPass"))
        uses_member = trades.card_way(params) == "member"
        shop = api.who in (CallerId.SHOP, CallerId.BOTH) or (
            api.who is CallerId.EXECUTION and names_shop
        )
        site = api.who in (CallerId.SITE, CallerId.BOTH) or (
            api.who is CallerId.EXECUTION and uses_member
        )
        if api.who is CallerId.EITHER:
            shop, site = names_shop, bool(params.get("SiteID")) or not names_shop
        if params.get("RegistType") == recurring.BY_MEMBER:
            site = True
        problems = check(params, (f.SHOP_ID, f.SHOP_PASS)) if shop else []
        problems += check(params, (f.SITE_ID, f.SITE_PASS)) if site else []
        refuse_if(problems)
        ours = self.context.contract
        if shop and (params["ShopID"], params["ShopPass"]) != (ours.shop_id, ours.shop_pass):
            raise Refused(SHOP_UNKNOWN)
        if site and (params["SiteID"], params["SitePass"]) != (ours.site_id, ours.site_pass):
            raise Refused(SITE_UNKNOWN)

    def _serve(self, api: Api, params: Params, entry: Entry, *, alone: bool) -> AnswerDelivery:
        """Carry a request out, or do what a fault wants instead, `alone` on its transaction."""
        fault = self.faults.take(entry.api, params.get("JobCd", ""), entry.order_id)
        entry.fault = fault.name if fault else None
        with ExitStack() as held:
            if alone and entry.order_id:
                held.enter_context(self.context.claims.exclusively(entry.order_id))
            self.wait(self.latency)
            monthly_files.settle_due(self.context)
            if fault is not None and fault.kind in BEFORE:
                return self._not_carried_out(fault, params, entry, leaves_line=alone)
            text = self._carried_out(api, params)
            if self.context.notices.sending.before_answer:
                self.context.notices.deliver_due()
            if fault is None:
                self.wait(self._slowness(entry))
                return _delivered(entry, text)
            if fault.kind is FaultKind.DELAY:
                self.wait(fault.seconds)
        return _spoilt(fault, entry, text)

    def _slowness(self, entry: Entry) -> float:
        """Seconds more that the answer takes because of the card it was about."""
        if entry.api != "ExecTran" or not entry.order_id:
            return 0.0
        with self.context.ledger.reading() as db:
            trade = trade_records.by_order(db, entry.order_id)
        is_slow = trade is not None and trade.card and trade.card.behaviour is Behaviour.SLOW
        return SLOW_SECONDS if is_slow else 0.0

    def _carried_out(self, api: Api, params: Params) -> str:
        try:
            return render(api.answer(self.context, params))
        except Refused as refusal:
            return render_errors(refusal.codes)

    def _not_carried_out(
        self, fault: Fault, params: Params, entry: Entry, *, leaves_line: bool
    ) -> AnswerDelivery:
        """What a fault answers in place of the operation."""
        if fault.kind is FaultKind.DROP_BEFORE:
            return AnswerDelivery(None)
        if fault.kind is FaultKind.HTTP:
            entry.answered(HTML_PAGE)
            return AnswerDelivery(encode(HTML_PAGE), fault.http_status, "text/html")
        if leaves_line:  # an error of the card company is in the history, like any other (rule 23)
            self._record(fault, params, entry)
        return _delivered(entry, render_errors(fault.codes))

    def _record(self, fault: Fault, params: Params, entry: Entry) -> None:
        with self.context.ledger.transaction() as db:
            trade = trade_records.by_order(db, entry.order_id or "")
            if trade is not None:
                job = params.get("JobCd") or trade.entry_job
                now = self.context.clock.timestamp()
                record_refusal(db, trade, entry.api, job, now, fault.codes)
                self.context.notices.tell(db, trade, job, fault.codes)


def _delivered(entry: Entry, text: str) -> AnswerDelivery:
    entry.answered(text)
    return AnswerDelivery(encode(text))


def _spoilt(fault: Fault, entry: Entry, text: str) -> AnswerDelivery:
    """What a fault makes of the answer to an operation that was carried out."""
    if fault.kind is FaultKind.DROP_AFTER:
        return AnswerDelivery(None)
    if fault.kind is FaultKind.GARBAGE:
        return AnswerDelivery(GARBAGE)
    if fault.kind is FaultKind.TRUNCATE:
        return _delivered(entry, text[: len(text) // 2])
    if fault.kind is FaultKind.ERROR_AFTER:
        return _delivered(entry, render_errors(fault.codes))
    entry.answered(text)
    drip = fault.seconds if fault.kind is FaultKind.SLOW_DRIP else 0.0
    return AnswerDelivery(encode(text), seconds_per_byte=drip)
