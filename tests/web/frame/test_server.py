"""The HTTP server over real sockets: crowds, silence, broken requests, leaving (P23, P33, S8)."""

from __future__ import annotations

import copy
import errno
import http.client
import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from flask import Flask, Response, jsonify, request
from waitress import parser

from sgpshop.storage import waiting
from sgpshop.web import server as module
from sgpshop.web.frame.attachments import at_readers_pace
from sgpshop.web.frame.security import public
from sgpshop.web.server import Server, make_server

#: Seconds that only a server which answers nobody lets pass.
PATIENCE = 20


@pytest.fixture
def gate(app: Flask) -> threading.Event:
    """While it is shut, /slow and /api/slow have not ended."""
    gate = threading.Event()

    @public
    def slow() -> object:
        gate.wait(PATIENCE)
        return jsonify(done=True)

    app.add_url_rule("/slow", "slow", slow)
    app.add_url_rule("/waits", "waits", public(lambda: _wait(gate)))
    return gate


def _wait(gate: threading.Event) -> object:
    with waiting.for_an_answer(PATIENCE) as seconds:
        gate.wait(seconds)
    return jsonify(waited=seconds > 0)


@pytest.fixture
def server(app: Flask, gate: threading.Event) -> Iterator[Server]:
    server = make_server(app, "127.0.0.1", 0, 100_000)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield server
    gate.set()
    server.leave()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "still not so"
        time.sleep(0.02)


def connect(server: Server, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(server.effective_port)), PATIENCE)
    try:
        connection.sendall(sent)
    except OSError:  # the server closed it meanwhile
        connection.close()
        raise
    return connection


def answers(server: Server, path: str) -> int:
    connection = http.client.HTTPConnection(
        "127.0.0.1", int(server.effective_port), timeout=PATIENCE
    )
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def read_all(connection: socket.socket) -> tuple[bytes, dict[str, str], bytes]:
    """Status line, headers by lower name and body of everything until the server hangs up."""
    content = bytearray()  # which grows in place: of bytes each piece would copy all before it
    while piece := connection.recv(65_536):
        content += piece
    head, _, body = bytes(content).partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = dict(line.decode().split(": ", 1) for line in lines)
    return first, {name.lower(): value for name, value in headers.items()}, body


class TestCrowds:
    @pytest.mark.parametrize("begun", [b"", b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
    def test_hundreds_who_send_nothing_or_half_a_request_keep_nobody_out(
        self, server: Server, begun: bytes
    ) -> None:
        with ExitStack() as stack:
            for _ in range(module._MOST_CONNECTIONS + 30):
                stack.enter_context(connect(server, begun))
            assert answers(server, "/healthz") == 200
            assert answers(server, "/login") == 200

    def test_idle_browsers_keep_nobody_out(self, server: Server) -> None:
        with ExitStack() as stack:
            for _ in range(120):
                idle = stack.enter_context(
                    connect(server, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                )
                assert idle.recv(12) == b"HTTP/1.1 200"
            assert answers(server, "/healthz") == 200
            assert answers(server, "/login") == 200

    def test_who_is_being_answered_is_not_put_out_for_the_crowd(
        self, server: Server, gate: threading.Event
    ) -> None:
        with ExitStack() as stack:
            asked = stack.enter_context(
                connect(server, b"GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            )
            for _ in range(module._MOST_CONNECTIONS + 30):
                stack.enter_context(connect(server))
            gate.set()
            assert asked.recv(12) == b"HTTP/1.1 200"

    def test_half_a_request_is_given_up_after_a_while(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_HEAD_WITHIN", 0.1)
        with connect(server, b"GET /login HTTP/1.1\r\n") as half:
            assert half.recv(1) == b""

    def test_of_many_who_wait_for_an_answer_the_late_ones_are_told_at_once(
        self, server: Server, gate: threading.Event
    ) -> None:
        with ExitStack() as stack:
            asked = [
                stack.enter_context(
                    connect(server, b"GET /waits HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                )
                for _ in range(waiting.WEB_THREADS + 10)
            ]
            until(lambda: waiting._waiting == waiting.MOST_FOR_ANSWERS)
            assert answers(server, "/healthz") == 200
            assert answers(server, "/login") == 200
            gate.set()
            told = [json.loads(read_all(connection)[2])["waited"] for connection in asked]
        # One that came up only when the gate was open waited for nothing.
        assert waiting.MOST_FOR_ANSWERS <= told.count(True) < len(told)

    def test_whoever_watches_us_is_answered_while_all_threads_are_busy(
        self, server: Server, gate: threading.Event
    ) -> None:
        with ExitStack() as stack:
            busy = [
                stack.enter_context(
                    connect(server, b"GET /slow HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                )
                for _ in range(waiting.WEB_THREADS + 10)
            ]
            until(lambda: len(server.task_dispatcher.queue) >= 10)
            assert answers(server, "/healthz") == 200
            gate.set()
            assert all(b"200" in read_all(connection)[0] for connection in busy)


class TestALongAnswer:
    """Given out as it is read: what nobody reads fills no disk, and who does not read is put out."""

    PARTS = 100
    ASKED = b"GET /long HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"

    @pytest.fixture
    def given(self, app: Flask) -> list[int]:
        """The parts of a megabyte that were taken so far; -1 when the answer is over."""
        given: list[int] = []

        def parts() -> Iterator[bytes]:
            try:
                for number in range(self.PARTS):
                    given.append(number)
                    yield b"%03d" % number + bytes((1 << 20) - 3)
            finally:
                given.append(-1)

        def long() -> Response:
            at_readers_pace()
            return Response(parts())

        app.add_url_rule("/long", "long", public(long))
        return given

    def test_who_does_not_read_is_given_little_and_put_out(
        self, given: list[int], server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_GOES_ON_WITHIN", 0.5)
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", int(server.effective_port)))
            connection.sendall(self.ASKED)
            until(lambda: -1 in given)
        assert len(given) < self.PARTS // 2
        assert answers(server, "/login") == 200

    def test_who_reads_gets_all_of_it(self, given: list[int], server: Server) -> None:
        with connect(server, self.ASKED) as connection:
            _, _, body = read_all(connection)
        assert len(body) == self.PARTS << 20
        assert [int(body[at : at + 3]) for at in range(0, len(body), 1 << 20)] == given[:-1]


class TestBrokenRequests:
    SENT = {
        "header": (400, b"GET {} HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n"),
        "large header": (431, b"GET {} HTTP/1.1\r\nX: " + b"4-" * 30_000 + b"\r\n\r\n"),
        "large body": (413, b"POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"),
        "chunk": (
            400,
            b"POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        ),
        "chunk without end": (
            400,
            b"POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 20_000,
        ),
        "trailer without end": (
            400,
            b"POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
            + b"a" * 20_000,
        ),
        "length": (
            400,
            b"POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        ),
        "blanks": (400, b"GET {} HTTP/1.1\r\nX:" + b" " * 32_000 + b"\x01\r\n\r\n"),
        "encoding": (501, b"POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"),
        "two lengths": (
            400,
            b"POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
            b"\r\n0\r\n\r\n",
        ),
    }

    @pytest.mark.parametrize("kind", SENT)
    def test_what_the_server_refuses_looks_like_any_refusal(
        self, server: Server, kind: str
    ) -> None:
        status, sent = self.SENT[kind]
        with connect(server, sent.replace(b"{}", b"/orders")) as connection:
            first, headers, body = read_all(connection)
        assert first.split()[1] == str(status).encode()
        assert headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["connection"] == "close"
        assert "set-cookie" not in headers  # who chose too large a file stays signed in
        assert "waitress" not in body.decode()
        assert "ホームに戻る" in body.decode()

    @pytest.mark.parametrize("kind", SENT)
    def test_under_the_api_it_is_a_problem_document(self, server: Server, kind: str) -> None:
        status, sent = self.SENT[kind]
        with connect(server, sent.replace(b"{}", b"/api/v1/orders?x=1")) as connection:
            _, headers, body = read_all(connection)
        assert headers["content-type"] == "application/problem+json"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert json.loads(body)["status"] == status

    @pytest.mark.parametrize("kind", SENT)
    def test_what_follows_a_refused_request_is_no_second_one(
        self, server: Server, kind: str
    ) -> None:
        _, sent = self.SENT[kind]
        smuggled = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        with connect(server, sent.replace(b"{}", b"/orders") + smuggled) as connection:
            _, _, body = read_all(connection)
        assert b"HTTP/1.1" not in body
        assert b'"ok"' not in body

    def test_an_address_that_is_none_is_refused_in_words(self, server: Server) -> None:
        with connect(server, b"GET http://[ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") as connection:
            first, _, body = read_all(connection)
        assert first == b"HTTP/1.1 400 BAD REQUEST"
        assert "受け付けられない内容です" in body.decode()

    @pytest.mark.parametrize(
        "head",
        [
            b"GET http://" + b"1" * 32_000 + b"  x",
            b"GET http://" + b"1" * 32_000 + b" x",
            b"GET / HTTP/1.1\r\nX:" + b" " * 32_000 + b"\x01",
            b"GET / HTTP/1.1\r\nX:" + b" " * 16_000 + b"\r\n " + b" " * 16_000 + b"\x7f",
            b"GET / HTTP/1.1\r\nX:" + b" " * 32_000 + b"x",
            b"GET / HTTP/1.1\r\nX: " + b"\t" * 32_000 + b"\xff",
            b"GET / HTTP/1.1\r\nX:" + b"\r\n " * 10_000 + b"x",
        ],
    )
    def test_what_is_no_head_is_not_looked_at_for_long(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, head: bytes
    ) -> None:
        """waitress would for a minute and more, and answer nobody meanwhile."""
        looked_at: list[bytes] = []
        looking = SimpleNamespace(match=looked_at.append, fullmatch=looked_at.append)
        monkeypatch.setattr(parser, "HEADER_FIELD_RE", looking)
        monkeypatch.setattr(parser, "first_line_re", looking)
        with connect(server, head + b"\r\n\r\n") as connection:
            assert read_all(connection)[0].split()[1] == b"400"
        assert not looked_at

    @pytest.mark.parametrize(
        ("head", "is_so"),
        [
            (b"GET /healthz HTTP/1.1\r\nHost: x", True),
            (b"HEAD /healthz HTTP/1.0", True),
            (b"POST /healthz HTTP/1.1\r\nHost: x", False),
            (b"GET /healthz HTTP/1.1\r\nContent-Length: x", False),
            (b"GET /login HTTP/1.1", False),
        ],
    )
    def test_who_watches_us_waits_for_no_page_of_others(
        self, server: Server, head: bytes, is_so: bool
    ) -> None:
        """What is refused, or no question of his, may look into the database."""
        asked = module._Parser(server.adj)
        asked.received(head + b"\r\n\r\n")
        assert asked.completed
        assert asked.is_about_health is is_so


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n", b"200"),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 0\r\n", b"405"),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 900000\r\n", b"413"),
    ],
)
def test_who_has_nothing_to_send_is_not_told_to_go_on(
    server: Server, head: bytes, status: bytes
) -> None:
    """waitress would, and wait for more in place of an answer."""
    asks = b"Host: 127.0.0.1\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    with connect(server, head + asks) as connection:
        assert read_all(connection)[0].split()[1] == status


class TestAFullDisk:
    """What waits to be read, or is still coming in, lies in a file only where it is long (P32)."""

    @pytest.fixture(autouse=True)
    def _full(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(tempfile, "TemporaryFile", full)

    def test_a_long_page_is_shown(self, app: Flask, server: Server) -> None:
        app.add_url_rule("/page", "page", public(lambda: "x" * 700_000))
        with connect(server, b"GET /page HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n") as connection:
            assert len(read_all(connection)[2]) == 700_000

    def test_who_sends_much_is_told(self, server: Server) -> None:
        head = b"POST /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 90000\r\n\r\n"
        with connect(server, head + b"a" * 90_000) as connection:
            first, _, body = read_all(connection)
        assert first.split()[1] == b"503"
        assert "ただいまデータを保存できません" in body.decode()


def test_of_a_body_that_comes_in_little_is_kept_in_memory(server: Server) -> None:
    """Strangers send one on each of 400 connections and do not end it."""
    adj = copy.copy(server.adj)
    adj.max_request_body_size = 1_000_000
    asked = module._Parser(adj)
    asked.received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n")
    kept = asked.body_rcv.getbuf()
    for _ in range(12):
        assert not kept.overflowed
        asked.received(b"a" * 5_000)
    asked.received(b"a" * 8_000)
    assert kept.overflowed
    kept.close()


class TestAskedAhead:
    """Several requests on one connection, sent before the first was answered."""

    ASKED = b"GET /static/htmx-2.0.11.min.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    def test_some_are_answered_one_after_the_other(self, server: Server) -> None:
        last = self.ASKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        with connect(server, self.ASKED * 3 + last) as connection:
            assert _all_of(connection).count(b"HTTP/1.1 200 OK") == 4

    def test_who_asks_for_more_than_he_reads_gets_one_answer(self, server: Server) -> None:
        """All of them would be laid up, each with its open file, and nobody else be let in."""
        with connect(server, self.ASKED * 80) as connection:
            answers = _all_of(connection)
        assert answers.count(b"HTTP/1.1 200 OK") == 1
        assert b"Connection: close" in answers

    def test_long_answers_are_not_laid_up_one_upon_the_other(
        self, app: Flask, server: Server
    ) -> None:
        given: list[int] = []
        app.add_url_rule("/long", "long", public(lambda: given.append(1) or "x" * 4_000_000))
        asked = b"GET /long HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * module._MOST_AHEAD
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", int(server.effective_port)))
            connection.sendall(asked)
            assert _all_of(connection).count(b"Connection: close") == 1
        assert len(given) < module._MOST_AHEAD

    def test_no_file_stays_open_until_its_reader_has_it(self, app: Flask, server: Server) -> None:
        given: list[object] = []
        app.add_url_rule(
            "/given",
            "given",
            public(lambda: given.append("wsgi.file_wrapper" in request.environ) or ""),
        )
        assert answers(server, "/given") == 200
        assert given == [False]


def _all_of(connection: socket.socket) -> bytes:
    content = bytearray()
    while piece := connection.recv(65_536):
        content += piece
    return bytes(content)


class TestLeaving:
    def test_what_was_accepted_is_answered_and_nobody_else_is_let_in(
        self, server: Server, gate: threading.Event
    ) -> None:
        with (
            connect(server, b"GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") as under_way,
            connect(server) as silent,
        ):
            until(lambda: any(c.requests for c in list(server.active_channels.values())))
            server.leave()
            until(lambda: not _listens(server))
            silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            first, headers, _ = read_all(silent)
            assert first == b"HTTP/1.1 200 OK"
            assert headers["connection"] == "close"
            gate.set()
            first, headers, body = read_all(under_way)
            assert first == b"HTTP/1.1 200 OK"
            assert headers["connection"] == "close"
            assert json.loads(body) == {"done": True}

    def test_silent_connections_are_closed_before_long(self, server: Server) -> None:
        with connect(server) as silent:
            until(lambda: server.active_channels)
            server.leave()
            assert silent.recv(1) == b""


def _listens(server: Server) -> bool:
    try:
        connect(server).close()
    except OSError:
        return False
    return True
