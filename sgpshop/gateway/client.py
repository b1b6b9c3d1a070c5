"""The client of SMBC-GP's protocol type: one method an operation (protocol.md §2).

A method returns only what the gateway provably said.  Otherwise it raises one of three errors
(P9): GatewayRejected, GatewayUnreachable or GatewayOutcomeUnknown.  Nothing is ever sent twice.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar, overload

from sgpshop import metrics
from sgpshop.domain.other_clock import OtherClock
from sgpshop.gateway import answers, monthly_file
from sgpshop.gateway.base_url import check_base_url
from sgpshop.gateway.error_kinds import is_clear_no
from sgpshop.gateway.exceptions import GatewayOutcomeUnknown, GatewayRejected
from sgpshop.gateway.records import (
    Cancellation,
    Card,
    CardDetail,
    Challenge,
    Job,
    Receipt,
    RecurringCharge,
    ShopCredentials,
    StoredCard,
    ThreeDs,
    TradeAccess,
    TradeStatus,
)
from sgpshop.gateway.wire import (
    Answer,
    MalformedAnswer,
    UnencodableValue,
    encode_form,
    parse_answer,
)

if TYPE_CHECKING:
    import requests

    from sgpshop.gateway.transport import Connections

_T = TypeVar("_T")

log = logging.getLogger(__name__)

MAX_AMOUNT = 9_999_999  # seven digits, protocol.md §3.4

_LUMP_SUM = "1"  # Method
_CARD_PAYMENT = "0"  # PayType
_LOGICAL = "0"  # SeqMode
_THREE_DS_2 = "2"  # TdFlag
_BY_POST = "1"  # CallbackType: the browser brings AccessID back in a form
_TENANT_NAME_BYTES = 18  # 24 characters of base64, of the 25 allowed
_MEMBER_EXISTS = "E01390010"


def _always() -> bool:
    return True


#: Asked when a connection stands and the first byte of a request comes next: is it wanted still?
#: And whether it is asked of each request, or of the first.
_may_send: ContextVar[tuple[Callable[[], bool], bool]] = ContextVar(
    "may_send", default=(_always, True)
)


@contextmanager
def only_while(may_send: Callable[[], bool], *, each: bool = False) -> Iterator[None]:
    """The first request of this block leaves only if `may_send` says so right before its first byte.

    GatewayUnreachable (NOT_WANTED) otherwise, and where `may_send` raises (P17).  Those that follow
    are not asked about: GatewayUnreachable means that nothing was sent.  Unless all of them only ask:
    then `each` is.
    """
    token = _may_send.set((may_send, each))
    try:
        yield
    finally:
        _may_send.reset(token)


def is_wanted() -> bool:
    """Whether the request that comes next is wanted still; from then on the following are."""
    try:
        may_send, is_each = _may_send.get()
        said = may_send()
        if not is_each:
            _may_send.set((_always, True))
    except Exception:  # who cannot be asked has not said yes
        log.exception("whether a request is wanted still could not be asked")
        return False
    return said


class SmbcGpGateway:
    """SMBC-GP for one shop.  Safe to use from many threads at once.

    ``connect_timeout`` (seconds) covers name, TCP and TLS, ``total_timeout`` the whole exchange,
    ``max_answer_bytes`` headers and body, ``pool_size`` the exchanges at one time (P12).  A
    ``session`` given is used as it is; by default the client makes one of its own with guarded
    connections.  ``hosts`` are taken for SMBC-GP besides its own; None: every https host is.  Raises
    InvalidGatewayUrl for an address that is not allowed (S16).
    """

    def __init__(
        self,
        base_url: str,
        credentials: ShopCredentials,
        *,
        session: requests.Session | None = None,
        connect_timeout: float = 5.0,
        total_timeout: float = 30.0,
        max_answer_bytes: int = 65536,
        pool_size: int = 4,
        free: Connections | None = None,
        allow_loopback_http: bool = False,
        hosts: Collection[str] | None = None,
    ) -> None:
        from sgpshop.gateway.transport import Transport, new_session  # loads an HTTP client (5 MB)

        self._credentials = credentials
        self._allow_loopback_http = allow_loopback_http
        self._session = session or new_session(pool_size)
        self._transport = Transport(
            check_base_url(base_url, allow_loopback_http=allow_loopback_http, hosts=hosts),
            self._session,
            connect_timeout=connect_timeout,
            total_timeout=total_timeout,
            max_answer_bytes=max_answer_bytes,
            pool_size=pool_size,
            free=free,
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    @property
    def shop_id(self) -> str:
        """The shop whose transactions these are."""
        return self._credentials.shop_id

    @property
    def clock(self) -> OtherClock:
        """SMBC-GP's time, as far as its answers told it."""
        return self._transport.clock

    def read_clock(self) -> None:
        """Hear SMBC-GP's time without asking for anything (an HTTP HEAD)."""
        self._transport.read_clock()

    def enter(
        self,
        order_id: str,
        job: Job | str,
        amount: int | None = None,
        *,
        three_ds: ThreeDs | None = None,
    ) -> TradeAccess:
        """Open a transaction (EntryTran); no card, no money yet.  CHECK takes no amount.

        With ``three_ds`` the buyer will have to authenticate: pass ``return_to`` to execute().
        """
        params = {"OrderID": order_id, "JobCd": str(job)}
        if amount is not None:
            params["Amount"] = _yen(amount)
        if three_ds is not None:
            params |= _three_ds_params(three_ds)
        return self._ask(
            "EntryTran", self._shop() | params, lambda answer: answers.read_entry(answer, order_id)
        )

    @overload
    def execute(self, access: TradeAccess, card: Card, *, job: Job | str) -> Receipt: ...
    @overload
    def execute(
        self, access: TradeAccess, card: Card, *, job: Job | str, return_to: str | None
    ) -> Receipt | Challenge: ...
    def execute(
        self, access: TradeAccess, card: Card, *, job: Job | str, return_to: str | None = None
    ) -> Receipt | Challenge:
        """Run the authorisation of an entered transaction (ExecTran).

        ``job`` is that of the entry; all but CHECK are paid in one sum.  ``return_to`` is our
        address to which the browser comes back from 3-D Secure, by a POST with ``AccessID``;
        only with it the answer may be a Challenge: nothing is authorised then (AUTHENTICATED).
        """
        params = {
            "AccessID": access.access_id,
            "AccessPass": access.access_pass,
            "OrderID": access.order_id,
        }
        if job != Job.CHECK:
            params["Method"] = _LUMP_SUM
        params |= self._card_params(card)
        if return_to is None:
            return self._ask(
                "ExecTran",
                self._shop() | params,
                lambda answer: answers.read_execution(answer, access, self._credentials),
            )
        return self._ask(
            "ExecTran",
            self._shop() | params | {"RetUrl": return_to, "CallbackType": _BY_POST},
            lambda answer: answers.read_execution_or_challenge(
                answer,
                access,
                self._credentials,
                allow_loopback_http=self._allow_loopback_http,
            ),
        )

    def finish_three_ds(self, access: TradeAccess) -> Receipt:
        """Authorise after the buyer came back from 3-D Secure (SecureTran2).

        GatewayRejected with E21030… when the buyer did not pass, E21030007 when the browser is
        not done yet, 42G… when the card was declined, E11010001 when it was finished before.
        """
        keys = {"AccessID": access.access_id, "AccessPass": access.access_pass}
        return self._ask(
            "SecureTran2",
            self._shop() | keys,
            lambda answer: answers.read_secured(answer, access, self._credentials),
        )

    def authorize(
        self, order_id: str, amount: int, card: Card, *, job: Job | str = Job.AUTH
    ) -> Receipt:
        """Enter and execute: AUTH reserves the amount, CAPTURE takes it at once."""
        return self.execute(self.enter(order_id, job, amount), card, job=job)

    def check_card(self, order_id: str, card: Card) -> Receipt:
        """Enter and execute a CHECK: is the card valid?  Nothing is reserved."""
        return self.execute(self.enter(order_id, Job.CHECK), card, job=Job.CHECK)

    def capture(self, access: TradeAccess, amount: int) -> Receipt:
        """Take the reserved money (AlterTran SALES); ``amount`` must be the one reserved."""
        return self._alter("AlterTran", access, {"JobCd": "SALES", "Amount": _yen(amount)})

    def cancel(self, access: TradeAccess, how: Cancellation) -> Receipt:
        """Cancel the whole amount; the caller chose ``how`` by protocol.md §3.3."""
        return self._alter("AlterTran", access, {"JobCd": str(how)})

    def change_amount(self, access: TradeAccess, amount: int, *, job: Job | str) -> Receipt:
        """Replace the amount by the new total (ChangeTran); ``job`` is the state afterwards.

        Never repeat it blindly: the gateway would cancel and authorise once more (§9).
        """
        return self._alter("ChangeTran", access, {"JobCd": str(job), "Amount": _yen(amount)})

    def search_trade(self, order_id: str) -> TradeStatus | None:
        """Look an order up (SearchTrade).  None: the gateway says there is no such order."""
        return self._find(
            "SearchTrade",
            self._shop() | {"OrderID": order_id},
            lambda answer: answers.read_trade(answer, order_id, proof="OrderID"),
            nothing="E01110002",
        )

    def search_trade_multi(self, order_id: str) -> TradeStatus | None:
        """The same by SearchTradeMulti, whose answer does not repeat the order number."""
        return self._find(
            "SearchTradeMulti",
            self._shop() | {"OrderID": order_id, "PayType": _CARD_PAYMENT},
            lambda answer: answers.read_trade(answer, order_id, proof="PayType"),
            nothing="M01004002",
        )

    def save_member(self, member_id: str) -> None:
        """Enter a member under which cards can be stored (SaveMember); one that exists is fine."""
        try:
            self._ask(
                "SaveMember",
                self._site() | {"MemberID": member_id},
                lambda answer: answers.read_member(answer, member_id),
            )
        except GatewayRejected as refusal:
            if refusal.codes != (_MEMBER_EXISTS,):
                raise

    def store_traded_card(self, order_id: str, member_id: str) -> StoredCard:
        """Store the card of a finished order under a member id (TradedCard)."""
        return self._ask(
            "TradedCard",
            self._shop() | {"OrderID": order_id} | self._site() | {"MemberID": member_id},
            lambda answer: answers.read_traded_card(answer, member_id),
        )

    def search_cards(self, member_id: str, seq: int | None = None) -> list[StoredCard]:
        """Return the stored cards of a member (SearchCard), or the one numbered ``seq``."""
        params = self._site() | {"MemberID": member_id, "SeqMode": _LOGICAL}
        if seq is not None:
            params["CardSeq"] = str(seq)
        found = self._find(
            "SearchCard",
            params,
            lambda answer: answers.read_cards(answer, member_id),
            nothing="E01240002",
        )
        return found or []

    def search_card_detail(
        self, *, member_id: str = "", seq: int = 0, order_id: str = ""
    ) -> CardDetail:
        """What the card company says of a member's card, or of the one that paid an order."""
        if member_id:
            card = {"MemberID": member_id, "SeqMode": _LOGICAL, "CardSeq": str(seq)}
            params = self._site() | card
        else:
            params = self._shop() | {"OrderID": order_id}
        return self._ask("SearchCardDetail", params, answers.read_card_detail)

    def register_recurring(
        self, recurring_id: str, amount: int, charge_day: int, *, member_id: str
    ) -> RecurringCharge:
        """Have SMBC-GP charge a member's card every month (RegisterRecurringCredit).

        ``charge_day`` 31 is the last day of each month.  It begins tomorrow.
        """
        params = {
            "RecurringID": recurring_id,
            "Amount": _yen(amount),
            "ChargeDay": str(charge_day),
            "RegistType": "1",
            "MemberID": member_id,
        }
        return self._of_recurring("RegisterRecurringCredit", params | self._site())

    def change_recurring(self, recurring_id: str, amount: int) -> RecurringCharge:
        """Have it charge another amount from the next time on (ChangeRecurring)."""
        params = {"RecurringID": recurring_id, "Amount": _yen(amount)}
        return self._of_recurring("ChangeRecurring", params)

    def unregister_recurring(self, recurring_id: str) -> RecurringCharge:
        """Have it charge no more (UnregisterRecurring)."""
        return self._of_recurring("UnregisterRecurring", {"RecurringID": recurring_id})

    def upload_monthly_file(self, yyyymm: str, content: bytes) -> monthly_file.FileReceipt:
        """Hand in a file of subscription sales (monthly_file.render) in the month ``yyyymm``.

        The same content may be sent again: it gives the same receipt and charges once.
        GatewayRejected with FILE_WINDOW_CLOSED outside the 1st to the 10th: nothing was taken.
        """
        return monthly_file.upload(self._transport, self._credentials, yyyymm, content)

    def fetch_monthly_result(self, yyyymm: str) -> list[monthly_file.ResultLine] | None:
        """Return how the charges of that month's files ended; None: no result yet."""
        return monthly_file.fetch_result(self._transport, self._credentials, yyyymm)

    def _of_recurring(self, api: str, params: dict[str, str]) -> RecurringCharge:
        return self._ask(
            api,
            params | self._shop(),
            lambda answer: answers.read_recurring(answer, self.shop_id, params["RecurringID"]),
        )

    def _alter(self, api: str, access: TradeAccess, params: dict[str, str]) -> Receipt:
        keys = {"AccessID": access.access_id, "AccessPass": access.access_pass}
        return self._ask(
            api,
            self._shop() | keys | params,
            lambda answer: answers.read_alteration(answer, access),
        )

    def _find(
        self, api: str, params: dict[str, str], read: Callable[[Answer], _T], *, nothing: str
    ) -> _T | None:
        """Ask; None if the only thing the gateway says is ``nothing``: it does not exist."""
        try:
            return self._ask(api, params, read)
        except GatewayRejected as refusal:
            # Only this code alone: beside another one it is no proof that nothing is there.
            if refusal.codes == (nothing,):
                return None
            raise

    def _ask(self, api: str, params: dict[str, str], read: Callable[[Answer], _T]) -> _T:
        """Send one request and return what ``read`` makes of a success (P9, row by row)."""
        try:
            body = encode_form(params)
        except UnencodableValue as flaw:
            raise _refused_here(
                f"{flaw.field}に、SMBC-GPへ送れない文字（絵文字など）があります。",
                f"unencodable:{flaw.field}",
            ) from None
        with metrics.gateway_call(api):
            received = self._transport.post(f"/payment/{api}.idPass", body)
        try:
            answer = parse_answer(received)
            # Fields of a success are demanded even without an error: a cut answer has no codes either (P9).
            if not answer.codes:
                return read(answer)
        except (MalformedAnswer, answers.UnbelievableAnswer) as flaw:
            raise GatewayOutcomeUnknown(f"answer:{flaw}") from None
        # Codes beside the fields of a success prove nothing: it may have been done, and then gone wrong.
        contradictory = any(name in answer for name in answers.PROOFS)
        if contradictory or not is_clear_no(answer.codes):
            raise GatewayOutcomeUnknown.by_codes(answer.codes)
        refusal = GatewayRejected.by_codes(answer.codes)
        if refusal.is_congestion:
            self._transport.free.congested()
        raise refusal

    def _card_params(self, card: Card) -> dict[str, str]:
        if card.token:
            return {"Token": card.token}
        if card.member_id:
            stored = {"MemberID": card.member_id, "SeqMode": _LOGICAL}
            return self._site() | stored | {"CardSeq": str(card.card_seq)}
        # The demo and tests alone: nothing of ours ever takes a card number (S11).
        params = {"CardNo": card.number, "Expire": card.expire}
        return params | ({"SecurityCode": card.security_code} if card.security_code else {})

    def _shop(self) -> dict[str, str]:
        return {"ShopID": self._credentials.shop_id, "ShopPass": self._credentials.shop_pass}

    def _site(self) -> dict[str, str]:
        return {"SiteID": self._credentials.site_id, "SitePass": self._credentials.site_pass}


def _three_ds_params(three_ds: ThreeDs) -> dict[str, str]:
    params = {"TdFlag": _THREE_DS_2, "Tds2Type": str(three_ds.if_unsupported)}
    try:
        name = three_ds.tenant_name.encode("euc_jp")[:_TENANT_NAME_BYTES]
    except UnicodeEncodeError:
        return params
    name = name.decode("euc_jp", "ignore").encode("euc_jp")  # without a character cut in two
    return params | ({"TdTenantName": base64.b64encode(name).decode("ascii")} if name else {})


def _yen(amount: int) -> str:
    if not 0 <= amount <= MAX_AMOUNT:
        raise _refused_here(f"金額は0円から{MAX_AMOUNT:,}円までです。", "amount_out_of_range")
    return str(int(amount))


def _refused_here(problem: str, reason: str) -> GatewayRejected:
    return GatewayRejected(
        f"{problem}何も送信していないため、取引は変わっていません。", reason=reason
    )
