"""TLS: verified always, and a failed handshake is a call that was never sent (P9, S16)."""

import ipaddress
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sgpshop.gateway import GatewayOutcomeUnknown, GatewayUnreachable, SmbcGpGateway, transport
from sgpshop.gateway.transport import new_session
from tests.gateway.facts import ACCESS, ALTERED
from tests.gateway.scripted_server import ScriptedServer, answering, http, reset

Serve = Callable[..., ScriptedServer]
Connect = Callable[..., SmbcGpGateway]
ANSWER = http(ALTERED.encode())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for "localhost", with its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting(connect: Connect, certificate: Path) -> Connect:
    """A client that trusts the certificate of the test."""

    def make(to: ScriptedServer | str, **limits: float) -> SmbcGpGateway:
        session = new_session(pool_size=4)
        session.verify = str(certificate)
        return connect(to, session=session, **limits)

    return make


def test_calls_over_tls(serve: Serve, trusting: Connect, tls: ssl.SSLContext) -> None:
    server = serve(answering(ANSWER, ANSWER), tls=tls)
    gateway = trusting(server)
    for _ in range(2):
        assert gateway.capture(ACCESS, 3000).access == ACCESS
    assert server.connections == 1


def test_a_dripping_answer_over_tls(serve: Serve, trusting: Connect, tls: ssl.SSLContext) -> None:
    def script(connection: socket.socket, server: ScriptedServer) -> None:
        server.read_request(connection)
        for byte in ANSWER:
            connection.sendall(bytes([byte]))
            server.pause(0.05)

    with pytest.raises(GatewayOutcomeUnknown) as doubt:
        trusting(serve(script, tls=tls), total_timeout=0.6).capture(ACCESS, 3000)
    assert doubt.value.reason == "exchange:ReadTimeout"


def test_a_reset_after_the_request_over_tls(
    serve: Serve, trusting: Connect, tls: ssl.SSLContext
) -> None:
    def script(connection: socket.socket, server: ScriptedServer) -> None:
        server.read_request(connection)
        reset(connection)

    with pytest.raises(GatewayOutcomeUnknown):
        trusting(serve(script, tls=tls)).capture(ACCESS, 3000)


@pytest.mark.parametrize("given_session", [False, True])
def test_a_certificate_nobody_vouches_for(
    serve: Serve, connect: Connect, tls: ssl.SSLContext, given_session: bool
) -> None:
    server = serve(answering(ANSWER), tls=tls)
    session = new_session(pool_size=4) if given_session else None
    if session:
        session.verify = False  # no way around
    with pytest.raises(GatewayUnreachable) as failure:
        connect(server, session=session).capture(ACCESS, 3000)
    assert failure.value.reason == "connect:SSLCertVerificationError"
    assert server.bodies == []


def test_a_certificate_of_another_host(
    serve: Serve, trusting: Connect, tls: ssl.SSLContext
) -> None:
    server = serve(answering(ANSWER), tls=tls)
    with pytest.raises(GatewayUnreachable) as failure:
        trusting(f"https://127.0.0.1:{server.port}").capture(ACCESS, 3000)
    assert failure.value.reason == "connect:SSLCertVerificationError"
    assert server.bodies == []


def stalled(connection: socket.socket, server: ScriptedServer) -> None:
    server.pause(60)


def dripping(connection: socket.socket, server: ScriptedServer) -> None:
    for byte in b"\x16\x03\x03\x00\x7a\x02" + b"\x00" * 200:
        connection.sendall(bytes([byte]))
        server.pause(0.02)


def hang_up(connection: socket.socket, server: ScriptedServer) -> None:
    connection.recv(1)
    reset(connection)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (stalled, "connect:TimeoutError"),
        (dripping, "connect:TimeoutError"),
        (hang_up, "connect:ConnectionResetError"),
        (
            lambda connection, server: connection.sendall(b"HTTP/1.1 400 no\r\n\r\n"),
            "connect:SSLError",
        ),
    ],
)
def test_a_handshake_that_comes_to_nothing(
    serve: Serve, connect: Connect, script: Callable[..., None], reason: str
) -> None:
    server = serve(script)
    gateway = connect(server.url.replace("http:", "https:"), connect_timeout=0.3)
    with pytest.raises(GatewayUnreachable) as failure:
        gateway.capture(ACCESS, 3000)
    assert failure.value.reason == reason


def test_a_connection_lost_before_the_handshake(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python wraps such a socket without a handshake and without an error.
    lost = transport._DeadlineSocket()
    monkeypatch.setattr(transport._GuardedConnection, "_new_conn", lambda self: lost)
    with pytest.raises(GatewayUnreachable) as failure:
        connect("https://gateway.example").capture(ACCESS, 3000)
    assert failure.value.reason == "connect:NotConnected"
