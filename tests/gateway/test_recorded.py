"""Exchanges with the real test environment, read by the public client (recorded/README.md)."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import responses

from sgpshop.gateway import (
    Card,
    GatewayOutcomeUnknown,
    GatewayRejected,
    RecurringCharge,
    SmbcGpGateway,
    StoredCard,
    TradeAccess,
    TradeState,
)
from sgpshop.gateway.wire import parse_answer
from tests.gateway.facts import BASE_URL, CREDENTIALS, executed, sent_in

RECORDED = Path(__file__).parents[1] / "recorded" / "card.jsonl"
EXCHANGES = {
    exchange["id"]: exchange
    for exchange in map(json.loads, RECORDED.read_text(encoding="utf-8").splitlines())
}
CARD = Card(number="4111111111111111", expire="1405")


def ids(api: str, *, failed: bool = False) -> list[str]:
    return [
        key
        for key, exchange in EXCHANGES.items()
        if exchange["endpoint"] == f"/payment/{api}.idPass"
        and exchange["response_raw"].startswith("ErrCode") is failed
    ]


def replay(wire: responses.RequestsMock, key: str, text: str | None = None) -> dict[str, str]:
    """Let the wire give the recorded answer (or ``text``); return the recorded request."""
    exchange = EXCHANGES[key]
    wire.post(
        BASE_URL + exchange["endpoint"],
        body=(exchange["response_raw"] if text is None else text).encode("cp932"),
        status=exchange["http_status"],
        content_type=exchange["content_type"],
    )
    request: dict[str, str] = exchange["request"]
    return request


def raw(key: str) -> dict[str, str]:
    return dict(parse_answer(EXCHANGES[key]["response_raw"].encode("cp932")).fields)


def access_of(request: dict[str, str]) -> TradeAccess:
    order_id = request.get("OrderID", "1362106775")
    return TradeAccess(order_id, request["AccessID"], request["AccessPass"])


def test_there_are_27_exchanges() -> None:
    assert len(EXCHANGES) == 27


@pytest.mark.parametrize("key", EXCHANGES)
def test_every_answer_splits_into_its_fields_and_back(key: str) -> None:
    text = EXCHANGES[key]["response_raw"].replace("{SHOP_ID}", "s").replace("{SITE_ID}", "t")
    answer = parse_answer(text.encode("cp932"))
    assert "&".join(f"{name}={value}" for name, value in answer.fields) == text
    assert bool(answer.codes) is text.startswith("ErrCode")


@pytest.mark.parametrize("key", ids("EntryTran"))
def test_entries(wire: responses.RequestsMock, gateway: SmbcGpGateway, key: str) -> None:
    request = replay(wire, key)
    amount = int(request["Amount"]) if "Amount" in request else None
    access = gateway.enter(request["OrderID"], request["JobCd"], amount)
    assert access == TradeAccess(request["OrderID"], raw(key)["AccessID"], raw(key)["AccessPass"])


@pytest.mark.parametrize("key", ids("ExecTran"))
def test_executions(wire: responses.RequestsMock, gateway: SmbcGpGateway, key: str) -> None:
    # The recordings' ShopPass is masked, so their CheckString is made anew with ours.
    fields = raw(key)
    signed = ("OrderID", "Forward", "Method", "PayTimes", "Approve", "TranID", "TranDate")
    request = replay(wire, key, executed(**{name: fields[name] for name in signed}))
    receipt = gateway.execute(access_of(request), CARD, job="AUTH")
    assert receipt.access == access_of(request)
    assert (receipt.tran_id, receipt.approve, receipt.forward) == (
        fields["TranID"],
        fields["Approve"],
        "2a99662",
    )


@pytest.mark.parametrize("key", ids("ExecTran"))
def test_an_execution_signed_with_another_password_is_not_believed(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, key: str
) -> None:
    request = replay(wire, key)
    with pytest.raises(GatewayOutcomeUnknown, match="照合") as doubt:
        gateway.execute(access_of(request), CARD, job="AUTH")
    assert doubt.value.reason == "answer:check_string"


def test_the_capture(wire: responses.RequestsMock, gateway: SmbcGpGateway) -> None:
    (key,) = ids("AlterTran")
    request = replay(wire, key)
    receipt = gateway.capture(access_of(request), int(request["Amount"]))
    assert receipt.tran_id == "1303011158111111111111198881"
    assert receipt.approve == "6416261"
    assert receipt.processed_at == datetime(2013, 3, 1, 2, 59, 37, tzinfo=UTC)


def test_the_refused_capture(wire: responses.RequestsMock, gateway: SmbcGpGateway) -> None:
    (key,) = ids("AlterTran", failed=True)
    request = replay(wire, key)
    with pytest.raises(GatewayRejected) as refusal:
        gateway.capture(access_of(request), 100)
    assert refusal.value.codes == ("E01090008", "E01100008", "E01110002")


def test_the_refused_entry(wire: responses.RequestsMock, gateway: SmbcGpGateway) -> None:
    (key,) = ids("EntryTran", failed=True)
    replay(wire, key)
    with pytest.raises(GatewayRejected) as refusal:
        gateway.enter("null", "null", 100)
    assert refusal.value.codes == ("E01050002", "E01060006")


def test_the_look_ups(wire: responses.RequestsMock, gateway: SmbcGpGateway) -> None:
    for search, api in (
        (gateway.search_trade, "SearchTrade"),
        (gateway.search_trade_multi, "SearchTradeMulti"),
    ):
        (key,) = ids(api)
        replay(wire, key)
        trade = search("1362106772")
        assert trade is not None
        assert trade.order_id == "1362106772"
        assert trade.state is TradeState.UNPROCESSED
        assert (trade.amount, trade.tax, trade.job) == (100, 0, "AUTH")
        assert trade.access.access_id == "3618be802c7ac572414274731e50cb6c"
        assert trade.access.access_pass == raw(key)["AccessPass"]
        assert trade.processed_at == datetime(2013, 3, 1, 2, 59, 32, tzinfo=UTC)
        assert (trade.card_last4, trade.method, trade.pay_times) == ("", "", None)
        assert (trade.tran_id, trade.approve, trade.member_id) == ("", "", "")


def test_the_refused_look_up_is_not_taken_for_an_unknown_order(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    # M01004002 is among the codes, but others say that we asked wrongly.
    (key,) = ids("SearchTradeMulti", failed=True)
    replay(wire, key)
    with pytest.raises(GatewayRejected):
        gateway.search_trade_multi("null")


def test_the_stored_cards(wire: responses.RequestsMock, gateway: SmbcGpGateway) -> None:
    (key,) = ids("TradedCard")
    replay(wire, key)
    assert gateway.store_traded_card("1371958258", "1371958259") == StoredCard(
        "1371958259", 0, "************1111"
    )
    (key,) = ids("SearchCard")
    replay(wire, key)
    assert gateway.search_cards("1362106780", seq=0) == [
        StoredCard("1362106780", 0, "*************111", last_month=date(2014, 5, 1))
    ]


def test_the_recurring_charge(wire: responses.RequestsMock, gateway: SmbcGpGateway) -> None:
    (key,) = ids("RegisterRecurringCredit")
    ours = {"{SHOP_ID}": CREDENTIALS.shop_id, "{SITE_ID}": CREDENTIALS.site_id}
    text = EXCHANGES[key]["response_raw"]
    for mask, value in ours.items():
        text = text.replace(mask, value)
    request = replay(wire, key, text)
    charge = gateway.register_recurring("1535964921", 100, 31, member_id="member-dev-1")
    assert charge == RecurringCharge(
        recurring_id="1535964921",
        amount=100,
        tax=0,
        charge_day=31,
        charge_months=frozenset(range(1, 13)),
        starts_on=date(2018, 9, 4),
        stops_on=None,
        next_on=date(2018, 9, 30),
        masked_number="",
        member_id="member-dev-1",
    )
    sent = dict(pair.split("=") for pair in sent_in(wire.calls[0]).split("&"))
    secrets = {
        "ShopID": CREDENTIALS.shop_id,
        "ShopPass": CREDENTIALS.shop_pass,
        "SiteID": CREDENTIALS.site_id,
        "SitePass": CREDENTIALS.site_pass,
    }
    assert sent == request | secrets


def test_a_recurring_charge_of_somebody_else_is_not_believed(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    (key,) = ids("RegisterRecurringCredit")
    replay(wire, key)  # its ShopID is a mask
    with pytest.raises(GatewayOutcomeUnknown) as doubt:
        gateway.register_recurring("1535964921", 100, 31, member_id="member-dev-1")
    assert doubt.value.reason == "answer:not_ours:ShopID"


def test_what_was_asked_is_what_the_recordings_asked(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    (key,) = ids("AlterTran")
    request = replay(wire, key)
    gateway.capture(access_of(request), 100)
    body = sent_in(wire.calls[0])
    sent = dict(pair.split("=") for pair in body.split("&"))
    assert sent == request | {
        "ShopID": CREDENTIALS.shop_id,
        "ShopPass": CREDENTIALS.shop_pass,
    }
