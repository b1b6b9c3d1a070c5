"""Forwarded headers count only when a proxy of ours sent them (S24)."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flask import Flask, current_app, request
from werkzeug.middleware.proxy_fix import ProxyFix

from sgpshop import logs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_KEY = "sgpshop.proxies"
_FORWARDED_FOR, _FORWARDED_PROTO = "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO"
#: In the environment of a request: https, says somebody whom we do not believe.
_SAYS_HTTPS = "sgpshop.says_https"


class TrustedProxies:
    """WSGI middleware: X-Forwarded-For, -Proto and -Host are believed from `proxies` only.

    What looks like a proxy that is not set up is logged once and kept for the settings page.
    """

    def __init__(self, app: WSGIApplication, proxies: Sequence[Network]) -> None:
        self._direct = app
        self._forwarded = ProxyFix(app, x_for=1, x_proto=1, x_host=1)
        self._proxies = proxies
        #: what is wrong, a Japanese sentence by kind
        self.problems: dict[str, str] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        says_https = environ.get(_FORWARDED_PROTO, "").strip().lower() == "https"
        if self._is_proxy(environ):
            is_told = _FORWARDED_PROTO in environ and _FORWARDED_FOR in environ
            if not is_told and environ.get("PATH_INFO") not in _PROBES:
                self._note("forwarded_headers_missing", environ)
            return self._forwarded(environ, start_response)
        if _FORWARDED_PROTO in environ or _FORWARDED_FOR in environ:
            self._note("forwarded_headers_not_trusted", environ)
        environ[_SAYS_HTTPS] = says_https
        return self._direct(environ, start_response)

    def _note(self, kind: str, environ: WSGIEnvironment) -> None:
        if kind in self.problems:
            return
        sender = str(environ.get("REMOTE_ADDR", ""))[:45]
        self.problems[kind] = _SENTENCES[kind].format(sender=sender)
        logs.event(
            kind,
            level=logging.WARNING,
            sender=sender,
            setting="SGPSHOP_TRUSTED_PROXIES",
            headers="X-Forwarded-For, X-Forwarded-Proto",
        )

    def _is_proxy(self, environ: WSGIEnvironment) -> bool:
        if not self._proxies:
            return False
        try:
            sender = ipaddress.ip_address(environ.get("REMOTE_ADDR", ""))
        except ValueError:  # a Unix socket has no address
            return False
        return any(sender in network for network in self._proxies)


#: In the environment of a request whose forwarded headers were believed (werkzeug's word).
_BELIEVED = "werkzeug.proxy_fix.orig"
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
#: What proxies add, one this and the other that.
_OF_PROXIES = (
    "Forwarded",
    "Via",
    "X-Real-IP",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "CF-Connecting-IP",
)
#: Asked by machines on the proxy's own machine, past the proxy.
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
_SENTENCES = {
    "forwarded_headers_missing": (
        "リバースプロキシ({sender})から X-Forwarded-For または X-Forwarded-Proto が届いていません。"
        "プロキシの設定で、この2つのヘッダーを付けるようにしてください。"
        "それまでは接続元のアドレスを区別できず、https も確認できません。"
    ),
    "forwarded_headers_not_trusted": (
        "{sender} から X-Forwarded- で始まるヘッダーが届きましたが、信頼していないため使っていません。"
        "お使いのリバースプロキシの場合は、環境変数 SGPSHOP_TRUSTED_PROXIES にこのアドレスを設定して、"
        "再起動してください。それまでは接続元のアドレスを区別できず、https も確認できません。"
    ),
}


def install(app: Flask) -> None:
    """Put the middleware around `app`."""
    proxies = TrustedProxies(app.wsgi_app, app.config["TRUSTED_PROXIES"])
    app.wsgi_app = proxies  # type: ignore[method-assign]
    app.extensions[_KEY] = proxies


def problems() -> list[str]:
    """What is wrong with the proxy in front, as far as requests of this process showed it."""
    proxies: TrustedProxies = current_app.extensions[_KEY]
    return list(proxies.problems.values())


def is_on_this_machine() -> bool:
    """Whether, in test mode, the browser runs on this very machine: of the name asked for, and of all addresses.

    Outside test mode nobody does: what a proxy, a tunnel or another program here passes on comes from a
    loopback address too, under whatever name its sender chose, and some add nothing that tells.
    """
    if not current_app.config["TEST_MODE"] or _name(request.host) not in _OWN_NAMES:
        return False
    if _BELIEVED in request.environ:
        told = request.environ.get(_FORWARDED_FOR, "")
        return bool(told) and all(_is_loopback(address.strip()) for address in told.split(","))
    is_passed_on = any(header in request.headers for header in _OF_PROXIES)
    return not is_passed_on and _is_loopback(request.remote_addr or "")


def _name(host: str) -> str:
    return re.sub(r":\d+$", "", host.lower())


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def needs_https() -> bool:
    """Whether this page was opened by plain http, so that the browser keeps no session (S3)."""
    return not (
        current_app.config["TEST_MODE"] or request.is_secure or request.environ.get(_SAYS_HTTPS)
    )
