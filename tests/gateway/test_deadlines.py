"""P9 and P12 over real sockets: what a misbehaving server can and cannot do to a call.

Every script that stalls does so until the test is over, so a call that returns at all has kept
its deadline.
"""

import gzip
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from sgpshop.gateway import (
    GatewayOutcomeUnknown,
    GatewayUnreachable,
    SmbcGpGateway,
    only_while,
    transport,
)
from tests.gateway.facts import ACCESS, ALTERED, CREDENTIALS
from tests.gateway.scripted_server import ScriptedServer, answering, http, reset

Serve = Callable[..., ScriptedServer]
Connect = Callable[..., SmbcGpGateway]
ANSWER = http(ALTERED.encode())


def unknown(gateway: SmbcGpGateway) -> str:
    with pytest.raises(GatewayOutcomeUnknown) as doubt:
        gateway.capture(ACCESS, 3000)
    return doubt.value.reason


def unreachable(gateway: SmbcGpGateway) -> str:
    with pytest.raises(GatewayUnreachable, match="何も送信していない") as failure:
        gateway.capture(ACCESS, 3000)
    return failure.value.reason


def test_what_is_not_wanted_once_the_connection_stands_is_not_sent(
    serve: Serve, connect: Connect
) -> None:
    """P17: between asking for a connection and having one, somebody else may have acted."""
    connected = threading.Event()

    def accept(connection: socket.socket, server: ScriptedServer) -> None:
        connected.set()
        answering(ANSWER)(connection, server)

    def is_wanted() -> bool:
        return not connected.wait(20)

    server = serve(accept)
    gateway = connect(server)
    with only_while(is_wanted):
        assert unreachable(gateway) == "connect:not_wanted"
    with only_while(lambda: bool(1 / 0)):
        assert unreachable(gateway) == "connect:not_wanted"
    assert server.forms == []
    assert gateway.capture(ACCESS, 3000).forward == "2a99662"


def test_a_request_arrives_as_one_form_post(serve: Serve, connect: Connect) -> None:
    server = serve(answering(ANSWER))
    assert connect(server).capture(ACCESS, 3000).forward == "2a99662"
    assert server.forms == [
        {
            "ShopID": CREDENTIALS.shop_id,
            "ShopPass": CREDENTIALS.shop_pass,
            "AccessID": ACCESS.access_id,
            "AccessPass": ACCESS.access_pass,
            "JobCd": "SALES",
            "Amount": "3000",
        }
    ]
    head = server.heads[0].decode("ascii")
    assert head.startswith("POST /payment/AlterTran.idPass HTTP/1.1")
    assert "Content-Type: application/x-www-form-urlencoded" in head
    assert "Accept-Encoding: identity" in head


# --- nothing was sent: REJECTED 通信エラー ---------------------------------------------------


def test_connection_refused(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert unreachable(connect(f"http://127.0.0.1:{port}")) == "connect:ConnectionRefusedError"


def test_unknown_host_name(connect: Connect) -> None:
    assert unreachable(connect("https://gateway.invalid")) == "connect:gaierror"


def test_a_host_that_does_not_accept(connect: Connect) -> None:
    # A full backlog leaves the connection attempt without an answer.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            gateway = connect(f"http://127.0.0.1:{port}", connect_timeout=0.2)
            assert unreachable(gateway) == "connect:TimeoutError"


def test_no_free_connection(serve: Serve, connect: Connect) -> None:
    held = threading.Event()

    def hold(connection: socket.socket, server: ScriptedServer) -> None:
        server.read_request(connection)
        held.set()
        server.pause(60)

    gateway = connect(serve(hold), pool_size=1, connect_timeout=0.2, total_timeout=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(unknown, gateway)
        assert held.wait(10)
        assert unreachable(gateway) == "connect:no_free_connection"
        assert first.result() == "exchange:ReadTimeout"


# --- something may have been sent: UNKNOWN ---------------------------------------------------


def silent(connection: socket.socket, server: ScriptedServer) -> None:
    server.read_request(connection)
    server.pause(60)


def dripping(answer: bytes) -> Callable[[socket.socket, ScriptedServer], None]:
    def script(connection: socket.socket, server: ScriptedServer) -> None:
        server.read_request(connection)
        for byte in answer:
            connection.sendall(bytes([byte]))
            server.pause(0.05)
        server.pause(60)

    return script


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS_HEADERS = b"HTTP/1.1 200 OK\r\n" + b"X-Pad: yes\r\n" * 90
STALLING = {
    "silence": silent,
    "dripping headers": dripping(ANSWER),
    "a header line without end": dripping(b"HTTP/1.1 200 OK\r\nX-Pad: " + b"x" * 1000),
    "endless interim answers": dripping(b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
}


@pytest.mark.parametrize("script", STALLING.values(), ids=list(STALLING))
def test_no_answer_within_the_total_time(
    serve: Serve,
    connect: Connect,
    script: Callable[[socket.socket, ScriptedServer], None],
) -> None:
    assert unknown(connect(serve(script), total_timeout=0.4)) == "exchange:ReadTimeout"


@pytest.mark.parametrize(
    "head", [ANSWER[: -len(ALTERED)], CHUNKED, b"HTTP/1.0 200 OK\r\n\r\n"], ids=repr
)
def test_a_dripping_body_does_not_stretch_the_total_time(
    serve: Serve, connect: Connect, head: bytes
) -> None:
    def script(connection: socket.socket, server: ScriptedServer) -> None:
        server.read_request(connection)
        connection.sendall(head)
        for letter in ALTERED.encode():
            connection.sendall(b"1\r\n%c\r\n" % letter if head is CHUNKED else bytes([letter]))
            server.pause(0.05)

    reason = unknown(connect(serve(script), total_timeout=0.6))
    assert reason in ("answer:ConnectionError", "answer:ReadTimeoutError")


def test_reset_after_the_request(serve: Serve, connect: Connect) -> None:
    def script(connection: socket.socket, server: ScriptedServer) -> None:
        server.read_request(connection)
        reset(connection)

    assert unknown(connect(serve(script))) == "exchange:ConnectionError"


def test_closed_without_a_word(serve: Serve, connect: Connect) -> None:
    server = serve(answering(b""))
    assert unknown(connect(server)) == "exchange:ConnectionError"
    assert len(server.bodies) == 1  # not sent again


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER[:-20],
        CHUNKED + b"64\r\n" + ALTERED.encode(),
        CHUNKED + b"%x\r\n%s\r\n" % (len(ALTERED), ALTERED.encode()),  # no closing chunk
        CHUNKED + b"xyz\r\n",
    ],
)
def test_a_body_cut_short(serve: Serve, connect: Connect, answer: bytes) -> None:
    reason = unknown(connect(serve(answering(answer))))
    assert reason == "answer:ChunkedEncodingError"


@pytest.mark.parametrize(
    "answer",
    [
        b"hello",
        b"SSH-2.0-server\r\n",
        b"HTTP/1.1 twohundred OK\r\n\r\n",
        ENDLESS_HEADERS * 2 + b"\r\n",
    ],
)
def test_what_is_not_http(serve: Serve, connect: Connect, answer: bytes) -> None:
    assert unknown(connect(serve(answering(answer)))).startswith("exchange:")


def test_an_answer_of_64_kib_and_more_is_not_read(serve: Serve, connect: Connect) -> None:
    padding = "&Pad=" + "x" * 65536
    assert unknown(connect(serve(answering(http((ALTERED + padding).encode()))))) == (
        "answer_too_large"
    )


def test_an_endless_answer_is_not_read(serve: Serve, connect: Connect) -> None:
    def script(connection: socket.socket, server: ScriptedServer) -> None:
        server.read_request(connection)
        connection.sendall(CHUNKED)
        while not server.stopping.is_set():
            connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    assert unknown(connect(serve(script))) == "answer_too_large"


def test_large_headers_count_as_well(serve: Serve, connect: Connect) -> None:
    headers = "".join(f"X-Pad-{n}: {'x' * 1000}\r\n" for n in range(80))
    assert unknown(connect(serve(answering(http(ALTERED.encode(), headers=headers))))) == (
        "answer_too_large"
    )


def test_a_compressed_answer_is_not_unpacked(serve: Serve, connect: Connect) -> None:
    bomb = http(gzip.compress(b"A=" + b"x" * 10_000_000), headers="Content-Encoding: gzip\r\n")
    assert unknown(connect(serve(answering(bomb)))) == "content_encoding"


def test_a_redirect_is_not_followed(serve: Serve, connect: Connect) -> None:
    elsewhere = serve(answering(ANSWER))
    location = f"Location: {elsewhere.url}/payment/AlterTran.idPass\r\n"
    server = serve(answering(http(b"", status="307 Temporary Redirect", headers=location)))
    assert unknown(connect(server)) == "http_status:307"
    assert elsewhere.connections == 0


@pytest.mark.parametrize("year", ["0", "99999", "9" * 30])
def test_a_date_that_is_none_spoils_no_answer(serve: Serve, connect: Connect, year: str) -> None:
    date = f"Date: Mon, 01 Jan {year} 00:00:00 GMT\r\n"
    assert connect(serve(answering(http(ALTERED.encode(), headers=date)))).capture(ACCESS, 3000)


def test_an_error_page(serve: Serve, connect: Connect) -> None:
    page = http(b"<html>Service Unavailable</html>", status="503 Service Unavailable")
    assert unknown(connect(serve(answering(page)))) == "http_status:503"


# --- connections ---------------------------------------------------------------------------


def test_connections_are_kept_between_calls(serve: Serve, connect: Connect) -> None:
    server = serve(answering(ANSWER, ANSWER, ANSWER))
    gateway = connect(server)
    for _ in range(3):
        gateway.capture(ACCESS, 3000)
    assert server.connections == 1


def test_a_connection_the_server_closed_meanwhile_is_not_used_again(
    serve: Serve, connect: Connect
) -> None:
    closed = threading.Event()

    def one_each(connection: socket.socket, server: ScriptedServer) -> None:
        server.read_request(connection)
        connection.sendall(ANSWER)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    server = serve(one_each)
    gateway = connect(server)
    gateway.capture(ACCESS, 3000)
    assert closed.wait(10)
    gateway.capture(ACCESS, 3000)  # would be an UNKNOWN for nothing
    assert server.connections == 2


def test_a_connection_that_idled_is_not_trusted(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_IDLE_SECONDS", 0.0)
    server = serve(lambda connection, it: answering(ANSWER, ANSWER)(connection, it))
    gateway = connect(server)
    gateway.capture(ACCESS, 3000)
    gateway.capture(ACCESS, 3000)
    assert server.connections == 2


def test_after_a_failure_the_next_call_works(serve: Serve, connect: Connect) -> None:
    answers = iter([ANSWER[:-20], ANSWER])

    def script(connection: socket.socket, server: ScriptedServer) -> None:
        answering(next(answers))(connection, server)

    gateway = connect(serve(script), pool_size=1)
    unknown(gateway)
    assert gateway.capture(ACCESS, 3000).access == ACCESS


def test_many_threads_share_one_client(serve: Serve, connect: Connect) -> None:
    def echo(connection: socket.socket, server: ScriptedServer) -> None:
        while server.read_request(connection):
            connection.sendall(ANSWER)

    server = serve(echo)
    gateway = connect(server, pool_size=4)
    with ThreadPoolExecutor(16) as pool:
        receipts = list(pool.map(lambda _: gateway.capture(ACCESS, 3000), range(100)))
    assert len({receipt.access for receipt in receipts}) == 1
    assert len(server.bodies) == 100
    assert server.connections <= 4


def test_the_environment_names_no_proxy(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(answering(ANSWER))
    server = serve(answering(ANSWER, ANSWER))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    connect(server).capture(ACCESS, 3000)  # S16
    connect(server, session=requests.Session()).capture(ACCESS, 3000)
    assert (proxy.connections, len(server.bodies)) == (0, 2)
