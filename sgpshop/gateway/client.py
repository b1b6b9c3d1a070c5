"""The client of SMBC-GP's protocol type: one method an operation (protocol.md §2).

A method returns only what the gateway provably said.  Otherwise it raises one of three errors
(P9): GatewayRejected, GatewayUnreachable or GatewayOutcomeUnknown.  Nothing is ever sent twice.
"""

from collections.abc import Callable
from typing import TypeVar

import requests

from sgpshop.gateway import answers
from sgpshop.gateway.base_url import check_base_url
from sgpshop.gateway.error_codes import is_clear_no
from sgpshop.gateway.errors import GatewayOutcomeUnknown, GatewayRejected
from sgpshop.gateway.records import (
    Cancellation,
    Card,
    Job,
    Receipt,
    ShopCredentials,
    StoredCard,
    TradeAccess,
    TradeStatus,
)
from sgpshop.gateway.transport import Transport, new_session
from sgpshop.gateway.wire import (
    Answer,
    MalformedAnswer,
    UnencodableValue,
    encode_form,
    parse_answer,
)

_T = TypeVar("_T")

MAX_AMOUNT = 9_999_999  # seven digits, protocol.md §3.4

_LUMP_SUM = "1"  # Method
_CARD_PAYMENT = "0"  # PayType
_LOGICAL = "0"  # SeqMode


class SmbcGpGateway:
    """SMBC-GP for one shop.  Safe to use from many threads at once.

    ``connect_timeout`` (seconds) covers name, TCP and TLS, ``total_timeout`` the whole exchange,
    ``max_answer_bytes`` headers and body, ``pool_size`` the exchanges at one time (P12).  A
    ``session`` given is used as it is; by default the client makes one of its own with guarded
    connections.  Raises InvalidGatewayUrl for an address that is not allowed (S16).
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
        allow_loopback_http: bool = False,
    ) -> None:
        self._credentials = credentials
        self._session = session or new_session(pool_size)
        self._transport = Transport(
            check_base_url(base_url, allow_loopback_http=allow_loopback_http),
            self._session,
            connect_timeout=connect_timeout,
            total_timeout=total_timeout,
            max_answer_bytes=max_answer_bytes,
            pool_size=pool_size,
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def enter(self, order_id: str, job: Job | str, amount: int | None = None) -> TradeAccess:
        """Open a transaction (EntryTran); no card, no money yet.  CHECK takes no amount."""
        params = {"OrderID": order_id, "JobCd": str(job)}
        if amount is not None:
            params["Amount"] = _yen(amount)
        return self._ask(
            "EntryTran", self._shop() | params, lambda answer: answers.read_entry(answer, order_id)
        )

    def execute(self, access: TradeAccess, card: Card, *, job: Job | str) -> Receipt:
        """Run the authorisation of an entered transaction (ExecTran) without 3-D Secure.

        ``job`` is that of the entry; all but CHECK are paid in one sum.
        """
        params = {
            "AccessID": access.access_id,
            "AccessPass": access.access_pass,
            "OrderID": access.order_id,
        }
        if job != Job.CHECK:
            params["Method"] = _LUMP_SUM
        return self._ask(
            "ExecTran",
            self._shop() | params | _card_params(card),
            lambda answer: answers.read_execution(answer, access, self._credentials),
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
        received = self._transport.post(f"/payment/{api}.idPass", body)
        try:
            answer = parse_answer(received)
            if not answer.codes:
                return read(answer)
        except (MalformedAnswer, answers.UnbelievableAnswer) as flaw:
            raise GatewayOutcomeUnknown(f"answer:{flaw}") from None
        contradictory = any(name in answer for name in answers.PROOFS)
        if contradictory or not is_clear_no(answer.codes):
            raise GatewayOutcomeUnknown.by_codes(answer.codes)
        raise GatewayRejected.by_codes(answer.codes)

    def _shop(self) -> dict[str, str]:
        return {"ShopID": self._credentials.shop_id, "ShopPass": self._credentials.shop_pass}

    def _site(self) -> dict[str, str]:
        return {"SiteID": self._credentials.site_id, "SitePass": self._credentials.site_pass}


def _card_params(card: Card) -> dict[str, str]:
    if card.token:
        return {"Token": card.token}
    params = {"CardNo": card.number, "Expire": card.expire}
    return params | ({"SecurityCode": card.security_code} if card.security_code else {})


def _yen(amount: int) -> str:
    if not 0 <= amount <= MAX_AMOUNT:
        raise _refused_here(f"金額は0円から{MAX_AMOUNT:,}円までです。", "amount_out_of_range")
    return str(int(amount))


def _refused_here(problem: str, reason: str) -> GatewayRejected:
    return GatewayRejected(
        f"{problem}何も送信していないため、取引は変わっていません。", reason=reason
    )
