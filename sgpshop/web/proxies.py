"""Forwarded headers count only when a proxy of ours sent them (S24)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedProxies:
    """WSGI middleware: X-Forwarded-For, -Proto and -Host are believed from `proxies` only."""

    def __init__(self, app: WSGIApplication, proxies: Sequence[Network]) -> None:
        self._direct = app
        self._forwarded = ProxyFix(app, x_for=1, x_proto=1, x_host=1)
        self._proxies = proxies

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        app = self._forwarded if self._is_proxy(environ) else self._direct
        return app(environ, start_response)

    def _is_proxy(self, environ: WSGIEnvironment) -> bool:
        if not self._proxies:
            return False
        try:
            sender = ipaddress.ip_address(environ.get("REMOTE_ADDR", ""))
        except ValueError:  # a Unix socket has no address
            return False
        return any(sender in network for network in self._proxies)
