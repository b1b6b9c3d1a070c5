"""Where webhooks may be sent to, when one is tried again, and when all of them are given up (S16a)."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta

from sgpshop.domain import web_addresses
from sgpshop.domain.words import Labelled

LONGEST_URL = 500
#: So many receivers a shop may have.
MOST = 5
#: Seconds after a try that failed; then the last of them again and again.
_PAUSES = (5, 30, 120, 600, 1800, 3600, 10_800, 21_600)
#: So long a message is tried, and so long a receiver may fail before it is switched off.
GIVE_UP = timedelta(days=3)
#: Nothing that two parsers could read differently: no user, no fragment, ASCII alone.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
    r"(?:/[\w.~!$'()*+,;:@%/-]*)?(?:\?[\w.~!$&'()*+,;=:@%/?-]*)?",
    re.ASCII | re.IGNORECASE,
)
#: An IPv6 address in which one of IPv4 hides, for a translator on the way.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


class WebhookState(Labelled):
    """How far a message is."""

    WAITING = "waiting", "送信待ち"
    SENDING = "sending", "送信中"
    SENT = "sent", "送信済み"
    FAILED = "failed", "送信できませんでした"


def is_public(address: str) -> bool:
    """Whether that address of the network is one of the Internet, and nothing hides in it."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.sixtofour is not None or ip.teredo is not None or ip in _TRANSLATED:
            return False
        if ip.is_site_local:  # fec0::/10: of before fc00::/7, and Python calls it global
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


def is_loopback(address: str) -> bool:
    """Whether it is this machine."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def problem_of(url: str, *, in_test_mode: bool) -> str:
    """Why nothing can be sent to `url`, in Japanese; "": it has the form of an address.

    What its name leads to is asked when something is sent.  Plain HTTP only to this machine, in
    test mode.
    """
    parts = _URL.fullmatch(url)
    if parts is None or len(url) > LONGEST_URL:
        return f"送信先のURLを、https:// から{LONGEST_URL}文字以内の半角文字で入力してください。"
    try:
        web_addresses.split(url)
    except ValueError:
        return "送信先のURLのホスト名かポート番号に誤りがあります。"
    host = parts["host"].strip("[]").lower()
    is_here = host == "localhost" or is_loopback(host)
    if is_here and in_test_mode:
        return ""
    if parts["scheme"].lower() != "https":
        return "送信先のURLは https:// で始めてください。"
    if is_here or (_is_address(host) and not is_public(host)):
        return "内部のネットワークのアドレスには送信できません。"
    return ""


def pause_after(tries: int) -> timedelta:
    """How long to wait after so many tries that failed."""
    return timedelta(seconds=_PAUSES[min(tries, len(_PAUSES)) - 1])


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
