"""The outcome table of P9, row by row: what one answer makes of a money operation."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import requests
import responses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgpshop.gateway import (
    Cancellation,
    ErrorKind,
    GatewayError,
    GatewayOutcomeUnknown,
    GatewayRejected,
    GatewayUnreachable,
    Receipt,
    SmbcGpGateway,
    TradeState,
)
from tests.gateway.facts import (
    ACCESS,
    ALTERED,
    BASE_URL,
    CARD,
    CREDENTIALS,
    TRADE,
    executed,
    sent_in,
)

DONE, REJECTED, UNKNOWN = Receipt, GatewayRejected, GatewayOutcomeUnknown
Operation = Callable[[SmbcGpGateway], object]


def capture(gateway: SmbcGpGateway) -> Receipt:
    return gateway.capture(ACCESS, 3000)


def run(
    wire: responses.RequestsMock,
    gateway: SmbcGpGateway,
    text: str | bytes,
    operation: Operation = capture,
) -> object:
    """What comes of ``operation`` if this is the answer: its result, or the error it raises."""
    body = text if isinstance(text, bytes) else text.encode("cp932")
    for api in ("EntryTran", "ExecTran", "AlterTran", "ChangeTran", "SearchTrade", "SearchCard"):
        wire.upsert("POST", f"{BASE_URL}/payment/{api}.idPass", body=body)
    try:
        return operation(gateway)
    except GatewayError as error:
        return error


def errors(*codes: str) -> str:
    """An error answer: E… and M… carry their class in front, card companies' in the middle."""
    classes = [code[2:5] if code.startswith("42") else code[:3] for code in codes]
    return f"ErrCode={'|'.join(classes)}&ErrInfo={'|'.join(codes)}"


@pytest.mark.parametrize(
    ("codes", "outcome"),
    [
        # input, merchant setting, card declined, 3-D Secure, token
        (["E00000010"], REJECTED),
        (["E01060010"], REJECTED),
        (["E01060010", "E01070005", "42G020000"], REJECTED),
        (["E11010001"], REJECTED),
        (["E21020002"], REJECTED),
        (["E31500014"], REJECTED),
        (["E41170099"], REJECTED),
        (["E61010001"], REJECTED),
        (["EX1000302"], REJECTED),
        (["M01004002"], REJECTED),
        (["42G020000"], REJECTED),
        (["E91099997"], REJECTED),  # no such API: configuration
        # flow limit
        (["E92000001"], REJECTED),
        (["E92000001", "E92000002"], REJECTED),
        # system, communication, exclusion
        (["E90010001"], UNKNOWN),
        (["E91019999"], UNKNOWN),
        (["E91020001"], UNKNOWN),
        (["E91050001"], UNKNOWN),
        (["42C010000"], UNKNOWN),
        (["E82010001"], UNKNOWN),
        (["E11010999"], UNKNOWN),
        (["M11010099"], UNKNOWN),
        (["M91099999"], UNKNOWN),
        # codes of different rows
        (["E01060010", "E92000001"], UNKNOWN),
        (["42G020000", "E91019999"], UNKNOWN),
        (["E11010001", "E11010999"], UNKNOWN),
        # not in the list, although its beginning is
        (["E01060099"], UNKNOWN),
        (["E92000003"], UNKNOWN),
        (["42G999999"], UNKNOWN),
        (["E01060010", "ZZ9"], UNKNOWN),
        (["e01060010"], UNKNOWN),
        # other payment methods, browser tokens
        (["B01000002"], UNKNOWN),
        (["P01010002"], UNKNOWN),
        (["000"], UNKNOWN),
    ],
)
def test_error_codes(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, codes: list[str], outcome: type
) -> None:
    error = run(wire, gateway, errors(*codes))
    assert type(error) is outcome
    assert isinstance(error, GatewayError)
    assert error.codes == tuple(codes)
    assert error.reason == "codes:" + "|".join(codes)
    assert all(code in str(error) for code in codes)
    if outcome is UNKNOWN:
        assert "まだ分かりません" in str(error)
        assert "変わっていません" not in str(error)
    else:
        assert "取引は変わっていません" in str(error)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "answer:empty"),
        ("<html><body>Service Unavailable</body></html>", "answer:not_key_value"),
        (b"AccessID=\x83", "answer:not_cp932"),
        (b"\xff\xfe\x00\x01", "answer:control_character"),
        ("ErrCode=E01", "answer:half_an_error"),
        ("ErrInfo=E01060010", "answer:half_an_error"),
        ("ErrCode=&ErrInfo=", "answer:error_lists_do_not_match"),
        ("ErrCode=E01&ErrInfo=E01060010|E01060005", "answer:error_lists_do_not_match"),
        ("Unknown=1", "answer:missing:AccessID"),
        (ALTERED.replace(ACCESS.access_id, "b" * 32), "answer:not_ours:AccessID"),
        (ALTERED.replace(ACCESS.access_pass, "b" * 32), "answer:not_ours:AccessPass"),
        (ALTERED + "&OrderID=order-2", "answer:not_ours:OrderID"),
        (ALTERED + "&TranID=1", "answer:key_twice_with_different_values"),
        (
            ALTERED.replace("TranID=1303011158111111111111198881", "TranID="),
            "answer:missing:TranID",
        ),
        (ALTERED.replace("20130301235937", "20130231235937"), "answer:malformed:TranDate"),
        (
            ALTERED.replace("20130301235937", "２０１３０３０１２３５９３７"),
            "answer:malformed:TranDate",
        ),
        (ALTERED.replace("20130301235937", "00010101000000"), "answer:malformed:TranDate"),
        (errors("E01060010") + "&TranID=1303011158111111111111198881", "codes:E01060010"),
        (errors("E01060010") + "&" + ALTERED, "codes:E01060010"),
    ],
)
def test_an_answer_that_proves_nothing_leaves_the_outcome_unknown(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, text: str | bytes, reason: str
) -> None:
    error = run(wire, gateway, text)
    assert type(error) is UNKNOWN
    assert error.reason == reason
    assert "結果確認中" in str(error)


def test_an_answer_cut_anywhere_is_never_taken_for_a_success(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    operations: list[tuple[str, Operation]] = [
        (ALTERED, capture),
        (ALTERED.partition("&Forward")[0], lambda it: it.enter("order-1", "AUTH", 3000)),
        (executed(), lambda it: it.execute(ACCESS, CARD, job="AUTH")),
        (TRADE.removesuffix("ClientField3="), lambda it: it.search_trade("order-1")),
    ]
    for text, operation in operations:
        for length in range(len(text)):
            assert type(run(wire, gateway, text[:length], operation)) is UNKNOWN


def test_an_answer_with_every_field_is_done(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    # new keys may be appended at any time (protocol.md §1.3)
    receipt = run(wire, gateway, ALTERED + "&NewKey=%41&Another=\r\n")
    assert receipt == Receipt(
        access=ACCESS,
        tran_id="1303011158111111111111198881",
        approve=" 416261",  # seven characters: a leading space belongs to it
        forward="2a99662",
        processed_at=datetime(2013, 3, 1, 14, 59, 37, tzinfo=UTC),
    )


def test_each_operation_asks_in_the_gateways_words(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    def sent(operation: Operation) -> str:
        run(wire, gateway, ALTERED, operation)
        return sent_in(wire.calls[-1]).partition("&AccessPass=")[2][33:]

    assert sent(capture) == "JobCd=SALES&Amount=3000"
    assert sent(lambda it: it.cancel(ACCESS, Cancellation.RETURNX)) == "JobCd=RETURNX"
    assert sent(lambda it: it.change_amount(ACCESS, 2500, job="AUTH")) == "JobCd=AUTH&Amount=2500"


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 404, 500, 503])
def test_any_status_but_200_leaves_the_outcome_unknown(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, status: int
) -> None:
    url = f"{BASE_URL}/payment/AlterTran.idPass"
    wire.post(url, body=ALTERED, status=status, headers={"Location": url})
    with pytest.raises(GatewayOutcomeUnknown) as doubt:
        capture(gateway)
    assert doubt.value.reason == f"http_status:{status}"
    assert len(wire.calls) == 1  # not followed, not repeated


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (requests.ConnectTimeout(), GatewayUnreachable),
        (requests.ReadTimeout(), GatewayOutcomeUnknown),
        (requests.ConnectionError(), GatewayOutcomeUnknown),
        (requests.exceptions.SSLError(), GatewayOutcomeUnknown),
        (ValueError(), GatewayOutcomeUnknown),
    ],
)
def test_only_a_failure_that_names_the_connect_phase_counts_as_unsent(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, failure: Exception, outcome: type
) -> None:
    wire.post(f"{BASE_URL}/payment/AlterTran.idPass", body=failure)
    with pytest.raises(outcome):
        capture(gateway)
    assert len(wire.calls) == 1


def test_an_authorisation_is_an_entry_and_an_execution(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    url = f"{BASE_URL}/payment/"
    wire.post(url + "EntryTran.idPass", body=ALTERED.partition("&Forward")[0])
    wire.post(url + "ExecTran.idPass", body=executed())
    receipt = gateway.authorize("order-1", 3000, CARD)
    assert receipt.access == ACCESS
    assert receipt.tran_id == "1303011158111111111111198881"
    assert "Amount=3000" in sent_in(wire.calls[0])
    assert "Method=1&CardNo=4111111111111111&Expire=3012" in sent_in(wire.calls[1])


def test_a_card_check_has_neither_amount_nor_method(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    url = f"{BASE_URL}/payment/"
    wire.post(url + "EntryTran.idPass", body=ALTERED.partition("&Forward")[0])
    wire.post(url + "ExecTran.idPass", body=executed(Method=""))
    assert gateway.check_card("order-1", CARD).access == ACCESS
    assert sent_in(wire.calls[0]).endswith("OrderID=order-1&JobCd=CHECK")
    assert "Method" not in sent_in(wire.calls[1])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (executed().replace("6416261", "6416262"), "answer:check_string"),
        (executed(shop_pass="another"), "answer:check_string"),
        (executed(OrderID="order-2"), "answer:not_ours:OrderID"),
        (executed().replace("ACS=0&", ""), "answer:missing:ACS"),
        ("ACS=2&RedirectUrl=https://acs.example/?a=1&b=2", "answer:three_ds_wanted"),
    ],
)
def test_an_execution_is_believed_only_if_signed_and_ours(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, text: str, reason: str
) -> None:
    error = run(wire, gateway, text, lambda it: it.execute(ACCESS, CARD, job="AUTH"))
    assert type(error) is UNKNOWN
    assert error.reason == reason


def test_a_look_up_shows_the_transaction(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    run(wire, gateway, TRADE)
    trade = gateway.search_trade("order-1")
    assert trade is not None
    assert trade.state is TradeState.AUTH
    assert trade.access == ACCESS
    assert (trade.amount, trade.card_last4, trade.approve) == (3000, "1111", "6416261")


def test_a_look_up_keeps_an_unknown_status_word(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    run(wire, gateway, TRADE.replace("Status=AUTH", "Status=PAYSTART"))
    trade = gateway.search_trade("order-1")
    assert trade is not None
    assert (trade.state, trade.raw_status) == (TradeState.UNKNOWN, "PAYSTART")


def test_a_look_up_never_keeps_a_whole_card_number(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    run(wire, gateway, TRADE.replace("************1111", "4111111111111111"))  # S11
    trade = gateway.search_trade("order-1")
    assert trade is not None
    assert trade.card_last4 == "1111"
    assert "411111" not in repr(trade)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("OrderID=order-1", "OrderID=order-2"),
        ("OrderID=order-1&", ""),
        ("Amount=3000", "Amount="),
        ("Amount=3000", "Amount=3,000"),
        ("ProcessDate=20130301115932", "ProcessDate="),
        ("Status=AUTH", "Status="),
        (ACCESS.access_id, "short"),
        ("&ClientField3=", ""),
    ],
)
def test_a_look_up_that_is_not_whole_and_ours_proves_nothing(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, before: str, after: str
) -> None:
    text = TRADE.replace(before, after)
    assert type(run(wire, gateway, text, lambda it: it.search_trade("order-1"))) is UNKNOWN


def test_an_order_the_gateway_does_not_have_is_none(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    search: Operation = lambda it: it.search_trade("order-1")  # noqa: E731 - one line reads better beside its use
    assert run(wire, gateway, errors("E01110002"), search) is None
    # anything beside it, or instead of it, is not that statement
    assert type(run(wire, gateway, errors("E01040013", "E01110002"), search)) is REJECTED
    assert type(run(wire, gateway, errors("E01030002"), search)) is REJECTED
    assert type(run(wire, gateway, errors("E91019999"), search)) is UNKNOWN


def test_stored_cards_come_as_parallel_lists(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    lists = (
        "CardSeq=0|1&DefaultFlag=0|1&CardName=ポ|表&CardNo=*************111|************2222"
        "&Expire=3012|3101&HolderName=A & B|&DeleteFlag=0|1"
    )
    search: Operation = lambda it: it.search_cards("member-1")  # noqa: E731 - one line reads better beside its use
    cards = run(wire, gateway, lists, search)
    assert isinstance(cards, list)
    assert [(card.seq, card.masked_number, card.is_default, card.is_deleted) for card in cards] == [
        (0, "*************111", False, False),
        (1, "************2222", True, True),
    ]
    assert run(wire, gateway, errors("E01240002"), search) == []
    cut = lists.replace("DefaultFlag=0|1", "DefaultFlag=0")
    assert type(run(wire, gateway, cut, search)) is UNKNOWN


def test_what_cannot_be_sent_is_refused_before_sending(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    for operation in (
        lambda: gateway.search_trade("注文😀"),
        lambda: gateway.capture(ACCESS, 10_000_000),
        lambda: gateway.capture(ACCESS, -1),
    ):
        with pytest.raises(GatewayRejected, match="何も送信していない") as refusal:
            operation()
        assert refusal.value.codes == ()
        assert refusal.value.kind is ErrorKind.MERCHANT
    assert len(wire.calls) == 0


def test_a_refusal_says_what_its_caller_has_to_know() -> None:
    congested = GatewayRejected.by_codes(("E92000001", "E92000002"))
    assert (congested.is_congestion, congested.is_wrong_state) == (True, False)
    done_already = GatewayRejected.by_codes(("E11010003",))
    assert (done_already.is_congestion, done_already.is_wrong_state) == (False, True)
    mismatch = GatewayRejected.by_codes(("42G020000", "E01060010"))
    assert mismatch.is_amount_mismatch
    assert mismatch.kind is ErrorKind.MERCHANT
    assert "「変更内容をSMBC-GPに送信」" in str(mismatch)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda t: t.encode()), st.data())
)
def test_any_bytes_give_a_result_or_one_of_the_three_errors(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, drawn: object
) -> None:
    if isinstance(drawn, bytes):
        body = drawn
    else:  # a real answer, damaged in one place
        assert isinstance(drawn, st.DataObject)
        whole = drawn.draw(st.sampled_from([ALTERED, TRADE, executed(), errors("E01060010")]))
        at = drawn.draw(st.integers(0, len(whole)))
        body = whole[:at].encode() + drawn.draw(st.binary(max_size=4)) + whole[at + 1 :].encode()
    operations: list[Operation] = [
        capture,
        lambda it: it.enter("order-1", "AUTH", 1),
        lambda it: it.execute(ACCESS, CARD, job="AUTH"),
        lambda it: it.search_trade("order-1"),
        lambda it: it.search_cards("member-1"),
    ]
    for operation in operations:
        outcome = run(wire, gateway, body, operation)
        if isinstance(outcome, Exception):
            assert type(outcome) in (GatewayRejected, GatewayOutcomeUnknown)
            assert CREDENTIALS.shop_pass not in str(outcome)
