"""Which addresses the client may talk to at all (promises.md S16, T6)."""

import ipaddress
import re
from collections.abc import Collection

#: SMBC-GP's own, production and test (protocol.md §1.1).
GATEWAY_HOSTS = frozenset({"p01.smbc-gp.co.jp", "pt01.smbc-gp.co.jp"})

#: Scheme, host, port, path; no user, no query, nothing that two parsers could read differently.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:/[\w.~-]+)*/?",
    re.ASCII | re.IGNORECASE,
)
#: Where the gateway sends a buyer; the query names the authentication (protocol.md §1.3).
_REDIRECT = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?/[\w.~!$'()*+,;:@%/-]*"
    r"\?(?=.*\btransId=[^&])(?=.*&t=[^&])[\w.~!$&'()*+,;=:@%/?-]+",
    re.ASCII | re.IGNORECASE,
)


class InvalidGatewayUrl(ValueError):
    """The configured address of SMBC-GP is refused; str() is a Japanese sentence."""


def check_base_url(
    base_url: str,
    *,
    allow_loopback_http: bool = False,
    hosts: Collection[str] | None = None,
) -> str:
    """Return ``base_url`` without a closing slash.

    HTTPS is accepted to ``hosts`` besides SMBC-GP's own, or to any host if that is None (test
    mode); plain HTTP only to this machine itself and only if ``allow_loopback_http`` (test mode,
    simulator).  Raises InvalidGatewayUrl.
    """
    if not base_url:
        raise InvalidGatewayUrl(
            "SMBC-GPの接続先URLが設定されていません。SGPSHOP_GATEWAY_URLに"
            " https://p01.smbc-gp.co.jp (テスト環境は https://pt01.smbc-gp.co.jp)を指定してください。"
        )
    parts = _URL.fullmatch(base_url)
    if not parts:
        raise InvalidGatewayUrl("SMBC-GPの接続先URLの形式が正しくありません。")
    if parts["scheme"].lower() == "https":
        if hosts is not None and not _is_among(parts["host"], hosts):
            raise InvalidGatewayUrl(
                f"SMBC-GPの接続先URLのホスト {parts['host']} はSMBC-GPのものではありません。"
                "中継サーバーなどを使う場合は、そのホスト名をSGPSHOP_GATEWAY_HOSTSに指定してください。"
            )
        return base_url.rstrip("/")
    if allow_loopback_http and _is_loopback(parts["host"]):
        return base_url.rstrip("/")
    raise InvalidGatewayUrl(
        "SMBC-GPの接続先URLは https:// で始めてください"
        "（http:// はテスト用に、このコンピューター自身だけに使えます）。"
    )


def _is_among(host: str, hosts: Collection[str]) -> bool:
    return host.lower() in GATEWAY_HOSTS | {name.lower() for name in hosts}


def is_redirect_url(url: str, *, allow_loopback_http: bool = False) -> bool:
    """Return whether a buyer may be sent to ``url`` for 3-D Secure: the same two schemes.

    An address without the two parameters that every one of them has was cut on its way, perhaps
    in its host name.
    """
    parts = _REDIRECT.fullmatch(url)
    if not parts:
        return False
    return parts["scheme"].lower() == "https" or (
        allow_loopback_http and _is_loopback(parts["host"])
    )


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
