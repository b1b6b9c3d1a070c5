"""A gateway client against bytes that a test dictates, over `responses` or over real sockets."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import responses

from sgpshop.gateway import ShopCredentials, SmbcGpGateway
from tests.gateway.facts import BASE_URL, CREDENTIALS
from tests.gateway.scripted_server import Script, ScriptedServer


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    """Answers without sockets; what they are, the test says."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def gateway() -> Iterator[SmbcGpGateway]:
    client = SmbcGpGateway(BASE_URL, CREDENTIALS)
    yield client
    client.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Start a scripted server: ``serve(script)`` or ``serve(script, tls=context)``."""
    servers: list[ScriptedServer] = []

    def start(script: Script, tls: ssl.SSLContext | None = None) -> ScriptedServer:
        servers.append(ScriptedServer(script, tls=tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., SmbcGpGateway]]:
    """Make a client with short limits for a scripted server (or any URL)."""
    clients: list[SmbcGpGateway] = []

    def make(to: ScriptedServer | str, **limits: Any) -> SmbcGpGateway:
        credentials: ShopCredentials = limits.pop("credentials", CREDENTIALS)
        limits = {"connect_timeout": 0.5, "total_timeout": 5.0, **limits}
        url = to if isinstance(to, str) else to.url
        clients.append(SmbcGpGateway(url, credentials, allow_loopback_http=True, **limits))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
