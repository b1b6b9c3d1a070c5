"""One bounded HTTP exchange with the gateway, and the proof whether a byte of it left (P9, P12).

Two facts must never be guessed here.  *Did a request byte leave?*  Requests reports a failed
TLS handshake and a cut answer with the same exception, so our connections turn every failure
before the first request byte into urllib3's NewConnectionError; nothing else raises that one.
*How long may it take?*  A read timeout starts again with every received byte, so our sockets
measure each read against one deadline, and a server that drips its answer gains nothing.
"""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from sgpshop.domain.other_clock import OtherClock
from sgpshop.gateway.client import is_wanted
from sgpshop.gateway.exceptions import (
    NO_FREE_CONNECTION,
    NOT_WANTED,
    AddressRefused,
    GatewayOutcomeUnknown,
    GatewayUnreachable,
)
from sgpshop.gateway.http_client import HTTPAdapter, requests

log = logging.getLogger(__name__)

#: A server may close a connection that idles, at the very moment we use it again; that would
#: be an UNKNOWN for nothing.  Common servers wait 5 s and more, so we stop trusting sooner.
MAX_IDLE_SECONDS = 3.0

#: Seconds in which the time must be heard: it is asked for while somebody waits.
_CLOCK_PATIENCE = 5.0

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",  # a compressed answer could unpack to any size
    "User-Agent": "sgpshop",
}


def require_wanted(connection: HTTPConnection) -> None:
    """Raise NewConnectionError if the request that comes next is not wanted any more."""
    if not is_wanted():
        raise NewConnectionError(connection, NOT_WANTED.partition(":")[2])


class _DeadlineMixin:
    """A socket whose reads all end at ``deadline`` (monotonic seconds)."""

    deadline: float = float("inf")

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)  # type: ignore[attr-defined]
        return super().recv_into(*args, **kwargs)  # type: ignore[misc, no-any-return]


class _DeadlineSocket(_DeadlineMixin, socket.socket):
    pass


class _DeadlineSSLSocket(_DeadlineMixin, ssl.SSLSocket):
    pass


def any_address(_address: str) -> bool:
    """Where the host is set by configuration and not by a screen."""
    return True


class _GuardedConnection(HTTPConnection):
    """Raises NewConnectionError for every failure before the first request byte, only then.

    The connect timeout covers all addresses of the name, the TCP and the TLS handshake.
    """

    sock: Any
    #: Asked of each address that the name has now; exactly what it allowed is connected to (S16).
    may_connect: Callable[[str], bool] = staticmethod(any_address)
    last_used = 0.0
    _is_begun = False

    def _new_conn(self) -> socket.socket:
        deadline = time.monotonic() + float(self.timeout or 0)
        failure: OSError = OSError("no address")
        for family, kind, proto, _, address in socket.getaddrinfo(
            self._dns_host, self.port, type=socket.SOCK_STREAM
        ):
            if not self.may_connect(str(address[0])):
                failure = AddressRefused()
                continue
            try:
                return _connected(_DeadlineSocket(family, kind, proto), address, deadline)
            except OSError as error:
                failure = error
        raise failure

    def connect(self) -> None:
        try:
            super().connect()
        # TLS errors look like cut answers to requests; here it is certain that no byte of ours left.
        except Exception as error:
            raise NewConnectionError(self, type(error).__name__) from None

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        self._is_begun = False
        super().putrequest(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        if not self._is_begun:
            require_wanted(self)
            self._is_begun = True
        self.sock.settimeout(self.timeout)
        super().send(data)

    def getresponse(self) -> Any:
        # urllib3 has just set our timeout to what is left of the whole exchange.
        self.sock.deadline = time.monotonic() + float(self.timeout or 0)
        response = super().getresponse()
        self.last_used = time.monotonic()
        return response


class _GuardedTLSConnection(_GuardedConnection, HTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        if self.ssl_context is None:  # one context a connection: they are not shared by threads
            self.ssl_context = create_urllib3_context()
            self.ssl_context.sslsocket_class = _DeadlineSSLSocket
        super().connect()
        if self.sock.version() is None:  # reset so early that ssl left the handshake out
            raise NewConnectionError(self, "NotConnected")


def _connected(sock: socket.socket, address: Any, deadline: float) -> socket.socket:
    try:
        sock.settimeout(_left(deadline))
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(_left(deadline))  # for the TLS handshake that may follow
    except OSError:
        sock.close()
        raise
    return sock


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _FreshMixin:
    """A pool that opens a connection anew rather than trusting one that idled too long."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        conn = super()._get_conn(timeout)  # type: ignore[misc]
        if time.monotonic() - conn.last_used > MAX_IDLE_SECONDS:
            conn.close()
        return conn


class _Pool(_FreshMixin, HTTPConnectionPool):
    ConnectionCls = _GuardedConnection


class _TLSPool(_FreshMixin, HTTPSConnectionPool):
    ConnectionCls = _GuardedTLSConnection


class GuardedAdapter(HTTPAdapter):
    """The requests adapter with these connections: no retries, ``pool_size`` of them at most.

    They go to addresses that ``may_connect`` allows.
    """

    def __init__(self, pool_size: int, may_connect: Callable[[str], bool] = any_address) -> None:
        self._may_connect = may_connect
        super().__init__(pool_connections=1, pool_maxsize=pool_size, max_retries=0, pool_block=True)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": self._checked(_Pool),
            "https": self._checked(_TLSPool),
        }

    def _checked(self, pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        asks = {"may_connect": staticmethod(self._may_connect)}
        connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), asks)
        return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def new_session(
    pool_size: int, may_connect: Callable[[str], bool] = any_address
) -> requests.Session:
    """Return a session for one gateway client: guarded connections, no environment."""
    session = requests.Session()
    session.trust_env = False
    for scheme in ("https://", "http://"):
        session.mount(scheme, GuardedAdapter(pool_size, may_connect))
    return session


@dataclass(frozen=True)
class _Call:
    """One request, and what counts as an answer to it."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]
    statuses: Collection[int]
    max_answer_bytes: int


#: HTTP status and body.
_Received = tuple[int, bytes]


class Connections(Protocol):
    """What says when one more exchange may begin: a semaphore of this process, or of the whole shop."""

    def acquire(self, *, timeout: float) -> bool:
        """Whether one may begin, within so many seconds."""

    def release(self) -> None:
        """It is over."""

    def congested(self) -> None:
        """SMBC-GP says E92: fewer at once from now on (P12)."""


class _OfThisProcess(threading.BoundedSemaphore):
    """As many as there are; who paces a single process is its caller."""

    def congested(self) -> None:
        pass


class Transport:
    """Exchanges with one base URL within the limits of P12.  Safe for many threads.

    At most ``pool_size`` exchanges run at once, or as many as ``free`` says; waiting for a free
    one counts as connecting.
    """

    def __init__(
        self,
        base_url: str,
        session: requests.Session,
        *,
        connect_timeout: float,
        total_timeout: float,
        max_answer_bytes: int,
        pool_size: int,
        free: Connections | None = None,
    ) -> None:
        self._base_url = base_url
        self._session = session
        self._connect_timeout = connect_timeout
        self._total_timeout = total_timeout
        self._max_answer_bytes = max_answer_bytes
        self.free: Connections = free or _OfThisProcess(pool_size)
        #: what the answers say of the time there
        self.clock = OtherClock()

    def read_clock(self) -> None:
        """Ask for nothing, to hear the time in the answer's head; errors as send()."""
        patience = min(_CLOCK_PATIENCE, self._total_timeout)
        self.send("HEAD", "/", None, {}, statuses=range(100, 600), patience=patience)

    def post(self, path: str, body: bytes) -> bytes:
        """Send a form body once and return the bytes of a 200 answer; errors as send()."""
        return self.send("POST", path, body, _FORM)[1]

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        statuses: Collection[int] = (200,),
        max_answer_bytes: int | None = None,
        patience: float | None = None,
    ) -> tuple[int, bytes]:
        """Send one request once and return HTTP status and body, both as received.

        ``statuses`` are those that are an answer at all; ``max_answer_bytes`` replaces the
        limit of this transport, ``patience`` its seconds for the exchange.  Raises
        GatewayUnreachable if provably no byte of the request was sent, otherwise
        GatewayOutcomeUnknown for whatever is not a complete answer in time and size.  The
        exceptions of the HTTP library hold the request, passwords included, so none of them
        leaves this method, not even as a context.
        """
        limit = max_answer_bytes or self._max_answer_bytes
        call = _Call(method, path, body, {**_HEADERS, **headers}, statuses, limit)
        total = patience or self._total_timeout
        patience = min(self._connect_timeout, total)
        # Before the wait: while we hold a connection nobody else can use it.
        prepared = self._prepared(call)
        begun = time.monotonic()
        if not self.free.acquire(timeout=patience):
            raise GatewayUnreachable(NO_FREE_CONNECTION)
        try:
            now = time.monotonic()
            if now - begun > patience:  # frozen while waiting: too late to send anything (P17)
                raise GatewayUnreachable(NO_FREE_CONNECTION)
            outcome = self._exchange(call, prepared, now + total)
        finally:
            self.free.release()
        if isinstance(outcome, tuple):
            return outcome
        raise outcome

    def _prepared(self, call: _Call) -> requests.PreparedRequest:
        return requests.Request(
            call.method, self._base_url + call.path, data=call.body, headers=dict(call.headers)
        ).prepare()

    def _exchange(
        self, call: _Call, prepared: requests.PreparedRequest, deadline: float
    ) -> _Received | GatewayUnreachable | GatewayOutcomeUnknown:
        left = deadline - time.monotonic()
        if left <= 0:
            return GatewayUnreachable("connect:too_late")
        timeout: Any = Timeout(total=left, connect=min(self._connect_timeout, left), read=left)
        try:
            # Not session.send(): that one reads the body of a redirect to its end, keeps
            # cookies for the next call and asks the environment for proxies.
            response = self._session.get_adapter(self._base_url).send(
                prepared,
                stream=True,
                timeout=timeout,
                verify=self._session.verify or True,  # there is no way around verification (S16)
                cert=self._session.cert,
                proxies={},
            )
        except Exception as error:  # whatever it is, it may have come after the first byte
            unsent = _reason_nothing_was_sent(error)
            if unsent:
                return GatewayUnreachable(f"connect:{unsent}")
            return GatewayOutcomeUnknown(f"exchange:{type(error).__name__}")
        self._hear(response)
        try:
            return self._read(response, call, deadline)
        except Exception as error:
            return GatewayOutcomeUnknown(f"answer:{type(error).__name__}")
        finally:
            response.close()

    def _hear(self, response: requests.Response) -> None:
        try:
            moment = parsedate_to_datetime(response.headers.get("Date", ""))
        except (ValueError, OverflowError):
            return
        if moment.tzinfo is not None:
            self.clock.note(moment)

    def _read(
        self, response: requests.Response, call: _Call, deadline: float
    ) -> _Received | GatewayOutcomeUnknown:
        if response.status_code not in call.statuses:
            return GatewayOutcomeUnknown(f"http_status:{response.status_code}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            return GatewayOutcomeUnknown("content_encoding")
        size = sum(len(name) + len(value) for name, value in response.headers.items())
        parts = []
        for part in response.iter_content(8192):
            size += len(part)
            if size > call.max_answer_bytes:
                return GatewayOutcomeUnknown("answer_too_large")
            if time.monotonic() > deadline:
                return GatewayOutcomeUnknown("answer_too_late")
            parts.append(part)
        return response.status_code, b"".join(parts)


def _reason_nothing_was_sent(error: Exception) -> str:
    """Return the name of the failure that came before the first request byte, or ``""``."""
    if isinstance(error, requests.ConnectTimeout):
        return "ConnectTimeout"
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(reason, ConnectTimeoutError):  # NewConnectionError is one of them
        return str(reason).rpartition(": ")[2]
    return ""
