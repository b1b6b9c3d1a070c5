"""The client against the practice gateway over a real socket: the life of a transaction."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from sgpshop.gateway import (
    Cancellation,
    Card,
    GatewayError,
    GatewayOutcomeUnknown,
    GatewayRejected,
    Job,
    SmbcGpGateway,
    TradeState,
)
from tests.gateway.facts import CARD, CREDENTIALS
from tests.simulator.live import LiveGateway


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    with LiveGateway(tmp_path_factory.mktemp("simulator") / "ledger.db") as live:
        yield live


@pytest.fixture
def shop(simulator: LiveGateway, connect: Callable[..., SmbcGpGateway]) -> SmbcGpGateway:
    return connect(f"http://127.0.0.1:{simulator.port}")


def state(shop: SmbcGpGateway, order_id: str) -> tuple[TradeState, int]:
    trade = shop.search_trade(order_id)
    assert trade is not None
    again = shop.search_trade_multi(order_id)
    assert again == trade
    return trade.state, trade.amount


def test_an_order_is_authorised_changed_captured_and_returned(shop: SmbcGpGateway) -> None:
    access = shop.authorize("life-1", 3000, CARD).access
    assert state(shop, "life-1") == (TradeState.AUTH, 3000)
    shop.change_amount(access, 2500, job=Job.AUTH)
    assert state(shop, "life-1") == (TradeState.AUTH, 2500)
    receipt = shop.capture(access, 2500)
    trade = shop.search_trade("life-1")
    assert trade is not None
    assert trade.state is TradeState.SALES
    assert trade.access == access
    assert (trade.tran_id, trade.processed_at) == (receipt.tran_id, receipt.processed_at)
    assert (trade.card_last4, trade.method, trade.pay_times) == ("1111", "1", None)
    shop.cancel(access, Cancellation.VOID)
    assert state(shop, "life-1") == (TradeState.VOID, 2500)


def test_the_gateways_no_is_told_apart(shop: SmbcGpGateway) -> None:
    access = shop.authorize("no-1", 3000, CARD).access
    with pytest.raises(GatewayRejected) as other_amount:
        shop.capture(access, 2999)
    assert other_amount.value.is_amount_mismatch
    shop.capture(access, 3000)
    with pytest.raises(GatewayRejected) as twice:
        shop.capture(access, 3000)
    assert twice.value.is_wrong_state
    with pytest.raises(GatewayRejected) as declined:
        shop.authorize("no-2", 3000, Card(number="4999000000000002", expire="3012"))
    assert declined.value.codes == ("42G020000",)
    assert state(shop, "no-2") == (TradeState.UNPROCESSED, 3000)


def test_an_order_nobody_entered(shop: SmbcGpGateway) -> None:
    assert shop.search_trade("nobody") is None
    assert shop.search_trade_multi("nobody") is None


def test_a_checked_card_is_stored_under_a_member(
    simulator: LiveGateway, shop: SmbcGpGateway
) -> None:
    simulator.call(
        "SaveMember",
        SiteID=CREDENTIALS.site_id,
        SitePass=CREDENTIALS.site_pass,
        MemberID="member-1",
    )
    assert shop.search_cards("member-1") == []
    shop.check_card("check-1", CARD)
    assert state(shop, "check-1") == (TradeState.CHECK, 0)
    stored = shop.store_traded_card("check-1", "member-1")
    assert stored.masked_number.endswith("1111")
    assert [card.seq for card in shop.search_cards("member-1")] == [stored.seq]


@pytest.mark.parametrize(
    ("fault", "outcome", "after"),
    [
        ("drop_before", GatewayOutcomeUnknown, TradeState.AUTH),
        ("drop_after", GatewayOutcomeUnknown, TradeState.SALES),
        ("http:503", GatewayOutcomeUnknown, TradeState.AUTH),
        ("truncate", GatewayOutcomeUnknown, TradeState.SALES),
        ("garbage", GatewayOutcomeUnknown, TradeState.SALES),
        ("error:E92000001", GatewayRejected, TradeState.AUTH),
        ("error:42G550000", GatewayRejected, TradeState.AUTH),
        ("error:E91019999", GatewayOutcomeUnknown, TradeState.AUTH),
        ("error_after:E91019999", GatewayOutcomeUnknown, TradeState.SALES),
    ],
)
def test_a_misbehaving_gateway_never_makes_us_guess(
    simulator: LiveGateway,
    shop: SmbcGpGateway,
    fault: str,
    outcome: type[GatewayError],
    after: TradeState,
) -> None:
    order_id = "fault-" + fault.replace(":", "-").replace("_", "-")
    access = shop.authorize(order_id, 3000, CARD).access
    rule = {"api": "AlterTran", "order_id": order_id, "times": 1, "fault": fault}
    simulator.control("POST", "faults", rule)
    with pytest.raises(outcome):
        shop.capture(access, 3000)
    assert state(shop, order_id) == (after, 3000)


def test_a_token_that_nobody_issued_is_a_clear_no(shop: SmbcGpGateway) -> None:  # rule 31
    access = shop.enter("token-1", Job.AUTH, 100)
    with pytest.raises(GatewayRejected) as refusal:
        shop.execute(access, Card(token="tok_" + "0" * 32), job=Job.AUTH)
    assert refusal.value.codes == ("EX1000301",)


def test_a_recurring_charge_is_entered_changed_and_ended(shop: SmbcGpGateway) -> None:  # rule 38
    with pytest.raises(GatewayRejected) as nobody:
        shop.register_recurring("R-1", 500, 31, member_id="of-r-1")
    assert nobody.value.codes == ("E01390002",)
    shop.save_member("of-r-1")
    entered = shop.register_recurring("R-1", 500, 31, member_id="of-r-1")
    assert (entered.amount, entered.charge_day, entered.member_id) == (500, 31, "of-r-1")
    assert entered.next_on is not None
    assert (entered.next_on + timedelta(days=1)).day == 1
    with pytest.raises(GatewayRejected) as twice:
        shop.register_recurring("R-1", 500, 31, member_id="of-r-1")
    assert twice.value.codes == ("E01040010",)
    changed = shop.change_recurring("R-1", 700)
    assert changed == replace(entered, amount=700)
    assert shop.unregister_recurring("R-1") == replace(changed, next_on=None)
    for over in (
        lambda: shop.change_recurring("R-1", 900),
        lambda: shop.unregister_recurring("R-1"),
        lambda: shop.unregister_recurring("R-2"),
    ):
        with pytest.raises(GatewayRejected) as refusal:
            over()
        assert refusal.value.codes == ("E01110002",)
    assert shop.search_trade("R-1") is None  # no charge is made here


def test_a_lost_answer_to_a_recurring_charge_is_in_doubt(
    simulator: LiveGateway, shop: SmbcGpGateway
) -> None:
    shop.save_member("of-r-3")
    cut = {"api": "RegisterRecurringCredit", "times": 1, "fault": "truncate"}
    simulator.control("POST", "faults", cut)
    with pytest.raises(GatewayOutcomeUnknown):
        shop.register_recurring("R-3", 500, 1, member_id="of-r-3")
    assert shop.change_recurring("R-3", 500).amount == 500  # it was entered


def test_what_the_card_company_says_of_a_card(shop: SmbcGpGateway) -> None:  # rule 39
    shop.authorize("detail-1", 100, CARD)
    of_order = shop.search_card_detail(order_id="detail-1")
    assert (of_order.masked_number, of_order.is_domestic) == ("************1111", True)
    assert of_order.debit_prepaid == "0"
    shop.save_member("of-detail")
    stored = shop.store_traded_card("detail-1", "of-detail")
    assert shop.search_card_detail(member_id="of-detail", seq=stored.seq) == of_order
    for wrong, code in (
        ({"member_id": "of-detail", "seq": 3}, "E01240002"),
        ({"member_id": "nobody"}, "E01390002"),
        ({"order_id": "detail-2"}, "E01110002"),
    ):
        with pytest.raises(GatewayRejected) as refusal:
            shop.search_card_detail(**wrong)  # type: ignore[arg-type]
        assert refusal.value.codes == (code,)
