"""From the shop's contract settings to the gateway client everybody uses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from urllib.parse import quote

from flask import Flask, current_app

from sgpshop import logs
from sgpshop.domain.errors import ContractMissing, CouldNotAsk, EnvironmentUnusable, ShopError
from sgpshop.gateway import (
    GatewayOutcomeUnknown,
    GatewayRejected,
    GatewayUnreachable,
    InvalidGatewayUrl,
    ShopCredentials,
    SmbcGpGateway,
    check_base_url,
)
from sgpshop.services import settings
from sgpshop.services.payments.connections import connections
from sgpshop.services.payments.connections import init_app as share_connections
from sgpshop.services.settings import CONTRACT_ID, ShopSettings
from sgpshop.storage import vault, waiting

_KEY = "sgpshop.gateway"
_NOBODYS_ORDER = "sgpshop-connection-check"
#: SearchCard's answer about a member it does not have (protocol.md §13.7, rule 29).
_NO_MEMBER = "E01390002"
#: Operations in a row share one reading of the settings; a change counts after so many seconds.
_MOMENT = 1.0


class _Holder:
    """One client for one set of credentials; a change of the settings makes a new one."""

    def __init__(self, fixed: SmbcGpGateway | None) -> None:
        self._fixed = fixed
        self._made: tuple[ShopSettings, SmbcGpGateway] | None = None
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def get(self, shop: ShopSettings) -> SmbcGpGateway:
        if self._fixed is not None:
            return self._fixed
        with self._lock:
            if self._made is None or self._made[0] != shop:
                self._made = (shop, _connect(shop))
            self._read_at = time.monotonic()
            return self._made[1]

    def get_if_just_read(self) -> SmbcGpGateway | None:
        """The client, if the settings were read within the last moment."""
        if self._fixed is not None:
            return self._fixed
        if self._made is None or time.monotonic() - self._read_at > _MOMENT:
            return None
        return self._made[1]


def init_app(app: Flask, gateway: SmbcGpGateway | None) -> None:
    """Remember a gateway given from outside (tests), else make one when first asked."""
    app.extensions[_KEY] = _Holder(gateway)
    share_connections(app)


def current_gateway(shop: ShopSettings | None = None) -> SmbcGpGateway:
    """The client for the contract in the settings.

    Raises ContractMissing without contract data (R2), ShopError when the address is unusable.
    """
    holder: _Holder = current_app.extensions[_KEY]
    just_read = holder.get_if_just_read() if shop is None else None
    return just_read or holder.get(shop or settings.load())


def allowed_hosts() -> list[str] | None:
    """Https hosts taken for SMBC-GP besides its own; None: every one, in test mode (S16)."""
    return None if current_app.config["TEST_MODE"] else current_app.config["GATEWAY_HOSTS"]


def require_address() -> None:
    """Raise EnvironmentUnusable unless GATEWAY_URL is an address we may talk to (T6, S16)."""
    config = current_app.config
    try:
        check_base_url(
            config["GATEWAY_URL"], allow_loopback_http=config["TEST_MODE"], hosts=allowed_hosts()
        )
    except InvalidGatewayUrl as problem:
        raise EnvironmentUnusable(f"SGPSHOP_GATEWAY_URL: {problem}") from None


def console_links(shop: ShopSettings) -> dict[str, str]:
    """Links to the gateway's consoles, by "site" and "shop"; without a valid id "" (R3, R4, R6)."""
    base = current_app.config["CONSOLE_URL"]
    ids = {"site": shop.site_id, "shop": shop.shop_id}
    return {
        kind: f"{base}/mulpayconsole/{kind}/{quote(contract_id, safe='')}/login/"
        if CONTRACT_ID.fullmatch(contract_id)
        else ""
        for kind, contract_id in ids.items()
    }


def check_connection() -> str:
    """Ask the gateway about an order and a member nobody has: it answers only to valid passwords.

    Returns a sentence that says what was found valid.  Raises ShopError with the reason in words:
    CouldNotAsk when nothing was found out, or too many requests wait for SMBC-GP already (P23).
    """
    with waiting.for_an_answer(1.0) as seconds:
        if not seconds:
            raise CouldNotAsk(
                "ほかの処理がSMBC-GPの応答を待っているため、確認していません。"
                "しばらくしてから、もう一度お試しください。"
            )
        return _checked()


def _checked() -> str:
    shop = settings.load()
    gateway = current_gateway(shop)
    _ask(lambda: gateway.search_trade(_NOBODYS_ORDER), "ショップ")
    connected = "SMBC-GPに接続できました。"
    if not shop.site_pass_sealed:
        return (
            f"{connected}ショップIDとショップパスワードは有効です。"
            "サイトパスワードは未登録のため、確認していません。"
        )
    _ask(lambda: gateway.search_cards(_NOBODYS_ORDER), "サイト", fine=_NO_MEMBER)
    return f"{connected}ショップとサイトのIDとパスワードは、すべて有効です。"


def require_answers() -> None:
    """Raise CouldNotAsk, in words, where SMBC-GP answers nothing just now; a refusal is an answer."""
    try:
        _ask(lambda: current_gateway().search_trade(_NOBODYS_ORDER), "ショップ")
    except CouldNotAsk:
        raise
    except ShopError:
        return


def _ask(question: Callable[[], object], whose: str, fine: str = "") -> None:
    try:
        question()
    except (GatewayOutcomeUnknown, GatewayUnreachable) as problem:
        raise CouldNotAsk(
            str(problem)
            if isinstance(problem, GatewayUnreachable)
            else "SMBC-GPから有効な応答がありませんでした。時間をおいて、もう一度お試しください。"
        ) from None
    except GatewayRejected as refusal:
        if refusal.codes == (fine,):
            return
        raise ShopError(f"{whose}のIDとパスワードを確認できませんでした。{refusal}") from None


def _connect(shop: ShopSettings) -> SmbcGpGateway:
    config = current_app.config
    if not (shop.has_contract and shop.shop_pass_sealed):
        raise ContractMissing
    credentials = ShopCredentials(
        shop_id=shop.shop_id,
        shop_pass=_opened(shop.shop_pass_sealed, "shop_pass"),
        site_id=shop.site_id,
        site_pass=_opened(shop.site_pass_sealed, "site_pass"),
    )
    try:
        return SmbcGpGateway(
            config["GATEWAY_URL"],
            credentials,
            connect_timeout=config["GATEWAY_CONNECT_TIMEOUT"],
            total_timeout=config["GATEWAY_TOTAL_TIMEOUT"],
            max_answer_bytes=config["GATEWAY_MAX_ANSWER"],
            pool_size=config["GATEWAY_CONCURRENCY"],
            free=connections(),
            allow_loopback_http=config["TEST_MODE"],  # T6
            hosts=allowed_hosts(),
        )
    except InvalidGatewayUrl as problem:
        raise EnvironmentUnusable(f"SGPSHOP_GATEWAY_URL: {problem}") from None


def _opened(sealed: str, name: str) -> str:
    if not sealed:
        return ""
    try:
        password = vault.unseal(sealed, f"setting:{name}")
    except vault.SealBroken:  # altered, or moved here from elsewhere: the key is the database's
        raise CouldNotAsk(
            "保存されたパスワードを読み取れません。SGPの設定画面で、もう一度登録してください。"
        ) from None
    logs.register_secret(password)
    return password
