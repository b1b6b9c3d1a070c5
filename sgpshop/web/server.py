"""The HTTP server: waitress, with what a shop needs when many connect and when it is to end.

Beyond waitress: nobody who sends half a request or nothing at all keeps others out; what the server
itself refuses looks like any other refusal of ours (S8, S22); on leaving it stops listening first
and answers whatever was accepted (P33).
"""

from __future__ import annotations

import copy
import logging
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest, Error

from sgpshop import logs
from sgpshop.storage.waiting import WEB_THREADS
from sgpshop.web.frame.attachments import AT_READERS_PACE
from sgpshop.web.frame.security import REFUSED

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: Connections at once; the next one takes the place of the one that has been silent for longest.
_MOST_CONNECTIONS = 400
#: Bytes of one body that comes in, and of one answer that waits for its reader, that are kept in memory; what
#: is longer lies in a file.  Four hundred strangers may send as much at once; to none of them a long answer is
#: given, and no page has to wait for a disk that may be full.
_BODY_IN_MEMORY, _ANSWER_IN_MEMORY = 65_536, 1 << 20
#: Seconds between two requests of a browser or proxy that keeps its connection.
_IDLE = 75
#: Seconds in which the head of a request must have come, and in which its body or our answer moves on.
_HEAD_WITHIN = 15
_GOES_ON_WITHIN = 30
#: Seconds in which who was refused may read why, while what he still sends is thrown away.
_PARTING = 2
#: Bytes of a request line with its headers.
_LONGEST_HEAD = 32_768
_LONGEST_PATH = 2_000
#: waitress reads a first line that is none, and blanks before what a header says, in the square of their
#: length: 32 kB of it held up everybody for a minute.  A line that goes on would join short rows of them.
_FIRST_LINE = re.compile(rb"[^ ]+ [^ ]+(?: HTTP/[0-9]\.[0-9])?")
_IN_NO_HEAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\n[ \t]|[ \t]{100}")
#: Bytes of what stands between the pieces of a body: waitress keeps them in memory, whatever comes.
_LONGEST_CHUNK_LINE = 1_000
#: Requests that may wait on one connection, and bytes of earlier answers that nobody has read yet; browsers and
#: proxies send the next one after the answer.
_MOST_AHEAD, _MOST_UNREAD = 8, 262_144
#: Whoever watches us asks here whether we answer at all (T3).
_HEALTH = "/healthz"
#: Never reached: a thread is not held up by a reader who takes his time; the rest waits in a file.
_NO_WATERMARK = 1 << 40
#: But what asks for it is given out as it is read, with so many bytes in hand (AT_READERS_PACE).
_IN_HAND = 1 << 20
#: On leaving, seconds after which: silent connections are closed; the last answers are given up.
_SILENT_STAY, _LEAVE_AFTER = 1.0, 20.0


def make_server(app: WSGIApplication, host: str, port: int, most_bytes: int) -> Server:
    """A server that listens there (port 0: any); a body of `most_bytes` or more is refused (S17).

    Raises OSError when it cannot listen.
    """
    settings = Adjustments(
        host=host,
        port=port,
        ident=None,
        clear_untrusted_proxy_headers=False,
        max_request_body_size=most_bytes,
        max_request_header_size=_LONGEST_HEAD,
        inbuf_overflow=_BODY_IN_MEMORY,
        outbuf_overflow=_ANSWER_IN_MEMORY,
        connection_limit=2 * _MOST_CONNECTIONS,
        backlog=1024,
        asyncore_use_poll=True,  # select() knows no file number above 1023
        outbuf_high_watermark=_NO_WATERMARK,
    )
    dispatcher = _Dispatcher()
    dispatcher.set_thread_count(WEB_THREADS)
    return Server(app, map={}, dispatcher=dispatcher, adj=settings, sockinfo=settings.listen[0])


class _Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """The threads that answer, and one of its own for /healthz, which waits for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._for_health = ThreadedTaskDispatcher()
        self._for_health.set_thread_count(1)

    def add_task(self, task: _Connection) -> None:
        if task.requests and task.requests[0].is_about_health:
            self._for_health.add_task(task)
        else:
            super().add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        self._for_health.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))


class _NoRoom(Error):  # type: ignore[misc]
    """What came in could not be kept."""

    code = HTTPStatus.SERVICE_UNAVAILABLE


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """A request; one that gives two lengths for its body is refused (request smuggling)."""

    path = query = ""
    completed = False
    _first_line = b""

    def received(self, data: bytes) -> int:
        """What was taken of `data`: all of it behind a mistake, for where a next request would
        begin cannot be told any more."""
        if self.body_rcv is None and len(self._first_line) < _LONGEST_PATH:
            self._first_line += data[:_LONGEST_PATH]
        try:
            taken: int = super().received(data)
        except OSError as problem:  # the disk is full: a body lies in a file
            logs.event("no_room", level=logging.ERROR, reason=problem.strerror)
            self.error, self.completed, taken = _NoRoom("No room for the body"), True, 0
        if self.chunked and not self.completed and self._is_line_too_long():
            self.error, self.completed = BadRequest("Chunk line too long"), True
        if self.error or self.body_rcv is None:
            # Nothing is to come: waitress would say «continue», and wait for it.
            self.expect_continue = False
        return len(data) if self.error else taken

    def _is_line_too_long(self) -> bool:
        body = self.body_rcv
        return len(body.control_line) + len(body.trailer) > _LONGEST_CHUNK_LINE

    @property
    def is_about_health(self) -> bool:
        """Whether its answer needs nothing; what is refused there gets a page as everywhere."""
        return self.path == _HEALTH and not self.error and self.command in ("GET", "HEAD")

    def parse_header(self, header_plus: bytes) -> None:
        first_line = header_plus.partition(b"\r\n")[0].rstrip()
        if _IN_NO_HEAD.search(header_plus) or not _FIRST_LINE.fullmatch(first_line):
            raise ParsingError("No head of a request")
        try:
            super().parse_header(header_plus)
        except ValueError as problem:  # an address or a length that Python takes for none
            raise ParsingError(type(problem).__name__) from None
        has_encoding = self.chunked or "TRANSFER_ENCODING" in self.headers
        if has_encoding and ("CONTENT_LENGTH" in self.headers or self.version != "1.1"):
            raise ParsingError("Content-Length and Transfer-Encoding")

    @property
    def wanted_path(self) -> str:
        """The path of what could not be read, as far as it is known."""
        words = self._first_line.lstrip().split(b"\r\n")[0].split(b" ")
        return words[1].split(b"?")[0].decode("latin-1") if len(words) > 1 else "/"


class _Request(WSGITask):  # type: ignore[misc]
    """What the application answers."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        # A file that waits for its reader would stay open; what was read of it needs none.
        environ.pop("wsgi.file_wrapper", None)
        return environ | {AT_READERS_PACE: self.channel.keep_pace}

    def build_response_header(self) -> bytes:
        channel = self.channel
        # Who asks on and on without reading would have all answers laid up for him.
        ahead = len(channel.requests)
        is_unread = ahead > 1 and channel.total_outbufs_len > _MOST_UNREAD
        if channel.server.is_leaving or ahead > _MOST_AHEAD or is_unread:
            self.set_close_on_finish()  # says `Connection: close`
        header: bytes = super().build_response_header()
        return header


class _Refusal(WSGITask):  # type: ignore[misc]
    """What the server refuses: said by the application, which has the words and the headers."""

    def get_environment(self) -> dict[str, Any]:
        request = self.request
        request.command, request.query = "GET", ""
        request.path = request.request_uri = request.wanted_path
        request.url_scheme, request.headers, request.body_rcv = "http", {}, None
        environ: dict[str, Any] = super().get_environment()
        return environ | {REFUSED: request.error.code}

    def build_response_header(self) -> bytes:
        self.set_close_on_finish()
        # Without the cookies of the request the application has begun a session of its own: kept,
        # it would end the one of whoever chose too large a file.
        headers = self.response_headers
        headers[:] = [one for one in headers if one[0].lower() != "set-cookie"]
        header: bytes = super().build_response_header()
        return header

    def execute(self) -> None:
        self.channel.is_refused = True
        try:
            super().execute()
        except ClientDisconnected:
            raise
        except Exception:
            logs.failure("refusal_failed")
            if not self.wrote_header:
                self.complete = True
                ErrorTask.execute(self)


class _Connection(HTTPChannel):  # type: ignore[misc]
    """One connection, which knows since when it keeps us waiting (monotonic seconds)."""

    parser_class = _Parser
    task_class = _Request
    error_task_class = _Refusal

    #: a request of it was refused before all of it had come
    is_refused = False
    #: We have said everything and read on for a moment: closing at once would destroy our answer
    #: on its way, for the other side is still sending.
    parted_at: float | None = None

    def __init__(self, *arguments: Any, **more: Any) -> None:
        #: when something came or went last; when the request that is coming in began
        self.moved_at = self.began_at = time.monotonic()
        super().__init__(*arguments, **more)

    def received(self, data: bytes) -> bool:
        self.moved_at = time.monotonic()
        if self.request is None:
            self.began_at = self.moved_at
        return bool(super().received(data))

    def _flush_some(self, do_close: bool = True) -> bool:
        has_sent = bool(super()._flush_some(do_close=do_close))
        if has_sent:
            self.moved_at = time.monotonic()
        return has_sent

    def service(self) -> None:
        self.adj = self.server.adj
        super().service()

    def keep_pace(self) -> None:
        """The thread of this answer waits for its reader: no more than _IN_HAND is laid up for him."""
        self.adj = copy.copy(self.server.adj)
        self.adj.outbuf_high_watermark = _IN_HAND

    def write_soon(self, data: bytes) -> int:
        if self.total_outbufs_len < self.adj.send_bytes:
            self.moved_at = time.monotonic()  # the reader has all there was, and waited for us
        return int(super().write_soon(data))

    def readable(self) -> bool:
        return self.parted_at is not None or bool(super().readable())

    def handle_read(self) -> None:
        if self.parted_at is None:
            super().handle_read()
            return
        with suppress(OSError):
            self.recv(self.adj.recv_bytes)  # closes when the other side has

    def handle_close(self) -> None:
        if self.is_refused and self.connected and self.parted_at is None:
            self.parted_at = time.monotonic()
            self.will_close = False
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
                return
        super().handle_close()

    @property
    def is_busy(self) -> bool:
        """A request of it is being answered, or its answer is on the way."""
        return bool(self.requests or self.total_outbufs_len)

    @property
    def is_silent(self) -> bool:
        """Between two requests, or before the first."""
        return not self.is_busy and self.request is None

    def is_overdue(self, now: float) -> bool:
        """Whether it had its time: to send the next request or the rest of this one, or to read."""
        if self.requests and self.total_outbufs_len < self.adj.send_bytes:
            return False  # he waits for us
        if self.parted_at is not None:
            return now - self.parted_at > _PARTING
        if self.request is not None and not self.request.headers_finished:
            return now - self.began_at > _HEAD_WITHIN
        return now - self.moved_at > (_IDLE if self.is_silent else _GOES_ON_WITHIN)


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Serves until `leave` is called, from a signal handler or another thread."""

    channel_class = _Connection
    is_leaving = False
    _tidied_at = 0.0

    def leave(self) -> None:
        """Stop listening, answer what was accepted, return from `run`."""
        self.is_leaving = True
        with suppress(OSError):  # it has left already
            self.pull_trigger()

    def run(self) -> None:
        """Serve until somebody called `leave`."""
        while not self.is_leaving:
            self._turn(1.0)
        self._stop_listening()
        began = time.monotonic()
        while self.active_channels and (passed := time.monotonic() - began) < _LEAVE_AFTER:
            if passed > _SILENT_STAY:
                self._close(lambda connection: connection.is_silent)
            self._turn(0.1)
        self.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map)

    def _turn(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._map, count=1)
        now = time.monotonic()
        if now - self._tidied_at > 1:
            self._tidied_at = now
            self._close(lambda connection: connection.is_overdue(now))

    def maintenance(self, now: float) -> None:
        """Nothing: waitress asks the clock on the wall, which people set; see `_turn`."""

    def handle_accept(self) -> None:
        """Take a connection in; one too many takes the place of the most silent one."""
        super().handle_accept()
        if len(self.active_channels) > _MOST_CONNECTIONS:
            waiting = [c for c in self.active_channels.values() if not c.requests]
            if waiting:
                min(waiting, key=lambda connection: connection.began_at).handle_close()

    def _close(self, which: Callable[[_Connection], bool]) -> None:
        for connection in list(self.active_channels.values()):
            if which(connection):
                connection.handle_close()

    def _stop_listening(self) -> None:
        """What knocked before is let in: closing the door would turn it away unanswered."""
        before = -1
        while len(self.active_channels) > before:
            before = len(self.active_channels)
            self.handle_accept()
        wasyncore.dispatcher.close(self)  # the listening socket alone
