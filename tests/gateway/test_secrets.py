"""Passwords and card data stay out of every text this package makes (S10, S11, S12)."""

import logging
import traceback
from collections.abc import Callable

import pytest
import responses

from sgpshop.gateway import Card, GatewayError, SmbcGpGateway
from sgpshop.gateway.wire import encode_form, parse_answer
from tests.gateway.facts import ACCESS, ALTERED, BASE_URL, CARD, CREDENTIALS, SECRETS, TRADE
from tests.gateway.scripted_server import ScriptedServer, answering, http


def assert_clean(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text


def test_reprs(wire: responses.RequestsMock, gateway: SmbcGpGateway) -> None:
    wire.post(f"{BASE_URL}/payment/SearchTrade.idPass", body=TRADE)
    wire.post(f"{BASE_URL}/payment/AlterTran.idPass", body=ALTERED)
    things = [
        CREDENTIALS,
        ACCESS,
        CARD,
        Card(token="tok_secret"),
        gateway,
        gateway.search_trade("order-1"),
        gateway.capture(ACCESS, 3000),
        parse_answer(TRADE.encode()),
    ]
    for thing in things:
        assert_clean(f"{thing!r} {thing!s}")
    assert "tok_secret" not in repr(things)


def test_a_card_is_a_number_or_a_token() -> None:
    for wrong in ({}, {"number": "4111111111111111"}, {"number": "1", "expire": "1", "token": "t"}):
        with pytest.raises(ValueError, match="a card is"):
            Card(**wrong)


FAILURES = {
    "refused by the gateway": http(b"ErrCode=E01&ErrInfo=E01060010"),
    "garbage": http(b"<html>" + encode_form({"AccessPass": ACCESS.access_pass})),
    "cut": http(ALTERED.encode())[:-20],
    "closed": b"",
    "not HTTP": ALTERED.encode() + b"\r\n\r\n",
    "status": http(ALTERED.encode(), status="500 No"),
    "not ours": http(ALTERED.replace("a1&", "a2&").encode()),
}


@pytest.mark.parametrize("answer", FAILURES.values(), ids=list(FAILURES))
def test_errors_tracebacks_and_logs(
    serve: Callable[..., ScriptedServer],
    connect: Callable[..., SmbcGpGateway],
    caplog: pytest.LogCaptureFixture,
    answer: bytes,
) -> None:
    caplog.set_level(logging.DEBUG)
    gateway = connect(serve(answering(answer)))
    with pytest.raises(GatewayError) as caught:
        gateway.execute(ACCESS, CARD, job="AUTH") if b"Err" in answer else gateway.capture(
            ACCESS, 1
        )
    error = caught.value
    assert_clean(f"{error} {error!r} {error.reason} {error.args}")
    assert_clean("".join(traceback.format_exception(error)))
    assert_clean(caplog.text)
    assert error.reason.isascii()


def test_no_library_exception_with_the_request_inside_comes_along(
    connect: Callable[..., SmbcGpGateway],
) -> None:
    with pytest.raises(GatewayError) as caught:
        connect("https://gateway.invalid").capture(ACCESS, 3000)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
