"""3-D Secure 2, stored cards and tokens through the client: protocol.md §2.1, §2.2, §2.8, §11."""

from base64 import b64decode
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl
from urllib.request import urlopen

import pytest
import responses

from sgpshop.gateway import (
    Card,
    Challenge,
    GatewayError,
    GatewayOutcomeUnknown,
    GatewayRejected,
    IfUnsupported,
    Job,
    Receipt,
    SmbcGpGateway,
    ThreeDs,
    TradeState,
)
from tests.gateway.facts import ACCESS, BASE_URL, CARD, CREDENTIALS, ENTERED, executed, sent_in
from tests.simulator.live import LiveGateway

RETURN = "https://shop.example/three-ds/order-1"
REDIRECT = "https://gateway.example/brw/secure?transId=0123&t=abc&x=%41"
FRICTIONLESS = Card(number="4100000000000100", expire="3012")


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    with LiveGateway(tmp_path_factory.mktemp("simulator") / "ledger.db") as live:
        yield live


@pytest.fixture
def shop(simulator: LiveGateway, connect: Callable[..., SmbcGpGateway]) -> SmbcGpGateway:
    return connect(f"http://127.0.0.1:{simulator.port}")


def begun(shop: SmbcGpGateway, order_id: str, card: Card = FRICTIONLESS) -> Challenge:
    access = shop.enter(order_id, Job.AUTH, 3000, three_ds=ThreeDs("練習の店"))
    challenge = shop.execute(access, card, job=Job.AUTH, return_to=RETURN)
    assert isinstance(challenge, Challenge)
    return challenge


def browse(challenge: Challenge) -> None:
    """The buyer's browser goes there; the card asks nothing."""
    with urlopen(challenge.redirect_url) as page:
        assert "ショップに戻る" in page.read().decode()


def answer_of(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, text: str
) -> Receipt | Challenge | GatewayError:
    """What ExecTran with a way back comes to if this is the answer."""
    wire.upsert("POST", f"{BASE_URL}/payment/ExecTran.idPass", body=text.encode("cp932"))
    try:
        return gateway.execute(ACCESS, CARD, job=Job.AUTH, return_to=RETURN)
    except GatewayError as error:
        return error


def test_a_buyer_passes_and_the_order_is_authorised(shop: SmbcGpGateway) -> None:
    challenge = begun(shop, "passes")
    trade = shop.search_trade("passes")
    assert trade is not None
    assert trade.state is TradeState.AUTHENTICATED
    with pytest.raises(GatewayRejected) as early:
        shop.finish_three_ds(challenge.access)
    assert early.value.codes == ("E21030007",)
    browse(challenge)
    receipt = shop.finish_three_ds(challenge.access)
    assert receipt.access == challenge.access
    trade = shop.search_trade("passes")
    assert trade is not None
    assert (trade.state, trade.tran_id) == (TradeState.AUTH, receipt.tran_id)
    with pytest.raises(GatewayRejected) as twice:
        shop.finish_three_ds(challenge.access)
    assert twice.value.is_wrong_state


def test_a_buyer_who_does_not_pass_or_a_card_that_is_declined(shop: SmbcGpGateway) -> None:
    for number, code in (("4100000000300005", "E21030202"), ("4999000000000002", "42G020000")):
        challenge = begun(shop, f"fails-{number[-4:]}", Card(number=number, expire="3012"))
        browse(challenge)
        with pytest.raises(GatewayRejected) as refused:
            shop.finish_three_ds(challenge.access)
        assert refused.value.codes == (code,)
        assert "取引は変わっていません" in str(refused.value)


def test_a_lost_answer_of_secure_tran_is_in_doubt(
    simulator: LiveGateway, shop: SmbcGpGateway
) -> None:
    challenge = begun(shop, "lost")
    browse(challenge)
    rule = {"api": "SecureTran2", "order_id": "lost", "times": 1, "fault": "drop_after"}
    simulator.control("POST", "faults", rule)
    with pytest.raises(GatewayOutcomeUnknown):
        shop.finish_three_ds(challenge.access)
    trade = shop.search_trade("lost")
    assert trade is not None
    assert trade.state is TradeState.AUTH


def test_a_card_without_three_ds_may_be_authorised_all_the_same(shop: SmbcGpGateway) -> None:
    card = Card(number="4100000000200007", expire="3012")
    wish = ThreeDs(if_unsupported=IfUnsupported.AUTHORIZE_WITHOUT)
    access = shop.enter("without-1", Job.AUTH, 3000, three_ds=wish)
    assert isinstance(shop.execute(access, card, job=Job.AUTH, return_to=RETURN), Receipt)
    access = shop.enter("without-2", Job.AUTH, 3000, three_ds=ThreeDs())
    with pytest.raises(GatewayRejected) as refused:
        shop.execute(access, card, job=Job.AUTH, return_to=RETURN)
    assert refused.value.codes == ("E21030201",)


def test_who_did_not_ask_for_a_challenge_gets_none(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    body = f"ACS=2&RedirectUrl={REDIRECT}"
    wire.post(f"{BASE_URL}/payment/ExecTran.idPass", body=body)
    with pytest.raises(GatewayOutcomeUnknown) as doubt:
        gateway.execute(ACCESS, CARD, job=Job.AUTH)
    assert doubt.value.reason == "answer:three_ds_wanted"


def test_the_address_takes_the_rest_of_the_line(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:  # protocol.md §1.3
    challenge = answer_of(wire, gateway, f"ACS=2&RedirectUrl={REDIRECT}\r\n")
    assert challenge == Challenge(ACCESS, REDIRECT)
    assert answer_of(wire, gateway, executed()) == answer_of(wire, gateway, executed())
    assert isinstance(answer_of(wire, gateway, executed()), Receipt)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://gateway.example/brw?transId=1&t=2",  # not https
        "http://127.0.0.1/brw?transId=1&t=2",  # this machine only in test mode
        "javascript:alert(1)//?transId=1&t=2",
        "//gateway.example/brw?transId=1&t=2",
        "https://user@gateway.example/brw?transId=1&t=2",
        "https://gateway.example\\@evil.example/?transId=1&t=2",
        "https://gateway.example/brw?transId=1&t=2 x",
        "https://gateway.example/brw?transId=1&t=<script>",
        *(REDIRECT[:length] for length in range(len(REDIRECT.partition("&t=")[0]) + 4)),
    ],
)
def test_a_buyer_is_not_sent_just_anywhere(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, url: str
) -> None:
    error = answer_of(wire, gateway, f"ACS=2&RedirectUrl={url}")
    assert isinstance(error, GatewayOutcomeUnknown)
    assert error.reason == "answer:malformed:RedirectUrl"


@pytest.mark.parametrize(
    "answer", ["ACS=2", "ACS=1&ACSUrl=https://x&PaReq=1&MD=2", "ACS=", "ACS=9"]
)
def test_an_answer_of_another_kind_is_in_doubt(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, answer: str
) -> None:
    assert type(answer_of(wire, gateway, answer)) is GatewayOutcomeUnknown


def test_a_secure_tran_answer_is_believed_only_with_its_check_string(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    url = f"{BASE_URL}/payment/SecureTran2.idPass"
    good = executed().removeprefix("ACS=0&")
    wire.upsert("POST", url, body=good)
    assert gateway.finish_three_ds(ACCESS).tran_id == "1303011158111111111111198881"
    for bad in (executed("other").removeprefix("ACS=0&"), good.replace("order-1", "order-2")):
        wire.upsert("POST", url, body=bad)
        with pytest.raises(GatewayOutcomeUnknown):
            gateway.finish_three_ds(ACCESS)
    for length in range(len(good)):  # cut anywhere
        wire.upsert("POST", url, body=good[:length])
        with pytest.raises(GatewayOutcomeUnknown):
            gateway.finish_three_ds(ACCESS)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("", None),
        ("お茶の練習堂", "お茶の練習堂"),
        ("お茶の練習堂本店別館", "お茶の練習堂本店別"),  # 18 bytes at most
        ("Aお茶の練習堂本店別館", "Aお茶の練習堂本店"),  # and no half character
        ("茶😀", None),  # cannot be written in EUC-JP
    ],
)
def test_the_wish_in_the_gateways_words(
    wire: responses.RequestsMock, gateway: SmbcGpGateway, name: str, sent: str | None
) -> None:
    wire.post(f"{BASE_URL}/payment/EntryTran.idPass", body=ENTERED)
    gateway.enter("order-1", Job.AUTH, 3000, three_ds=ThreeDs(name))
    body = dict(parse_qsl(sent_in(wire.calls[-1])))
    assert (body["Amount"], body["TdFlag"], body["Tds2Type"]) == ("3000", "2", "2")
    tenant = body.get("TdTenantName")
    assert (b64decode(tenant).decode("euc_jp") if tenant else None) == sent
    gateway.enter("order-1", Job.AUTH, 3000)
    assert "TdFlag" not in sent_in(wire.calls[-1])


def test_the_three_ways_to_name_a_card(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    wire.post(f"{BASE_URL}/payment/ExecTran.idPass", body=executed())

    def sent(card: Card) -> str:
        gateway.execute(ACCESS, card, job=Job.AUTH)
        return sent_in(wire.calls[-1]).partition("&Method=1&")[2]

    assert sent(Card(token="tok_1")) == "Token=tok_1"
    assert sent(Card(member_id="m", card_seq=0)) == (
        "SiteID=tsite00000001&SitePass=sitepass01&MemberID=m&SeqMode=0&CardSeq=0"
    )
    assert sent(CARD) == "CardNo=4111111111111111&Expire=3012&SecurityCode=123"


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"number": "4111111111111111"},
        {"expire": "3012"},
        {"token": "t", "number": "4111111111111111", "expire": "3012"},
        {"token": "t", "member_id": "m", "card_seq": 0},
        {"member_id": "m"},
        {"card_seq": 0},
    ],
)
def test_a_card_is_one_thing(parts: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a card is"):
        Card(**parts)  # type: ignore[arg-type]


def test_a_card_does_not_show_what_it_is() -> None:
    assert repr(Card(token="tok_1")) == "Card(token)"
    assert repr(Card(member_id="m", card_seq=1)) == "Card('m', 1)"
    assert repr(CARD) == "Card(…1111)"


def test_a_token_and_the_card_it_left_behind(simulator: LiveGateway, shop: SmbcGpGateway) -> None:
    """How a preorder is paid: checked at order time, charged later (protocol.md §3.6)."""
    wish = {"card_no": "4111111111111111", "expire": "3012"}
    token = simulator.control("POST", "tokens", wish)["token"]
    shop.check_card("preorder", Card(token=token))
    shop.save_member("member-of-preorder")
    shop.save_member("member-of-preorder")  # one that exists is fine
    stored = shop.store_traded_card("preorder", "member-of-preorder")
    card = Card(member_id="member-of-preorder", card_seq=stored.seq)
    shop.authorize("preorder-1", 3000, card, job=Job.CAPTURE)
    trade = shop.search_trade("preorder-1")
    assert trade is not None
    assert trade.state is TradeState.CAPTURE
    assert (trade.site_id, trade.member_id) == (CREDENTIALS.site_id, "member-of-preorder")
    with pytest.raises(GatewayRejected) as used:
        shop.check_card("preorder-2", Card(token=token))
    assert used.value.codes == ("EX1000302",)


def test_a_member_that_could_not_be_entered(
    wire: responses.RequestsMock, gateway: SmbcGpGateway
) -> None:
    url = f"{BASE_URL}/payment/SaveMember.idPass"
    wire.upsert("POST", url, body="ErrCode=E01&ErrInfo=E01210002")
    with pytest.raises(GatewayRejected):
        gateway.save_member("m")
    for body in ("MemberID=other", "MemberID=", "", "ErrCode=E91&ErrInfo=E91019999"):
        wire.upsert("POST", url, body=body)
        with pytest.raises(GatewayOutcomeUnknown):
            gateway.save_member("m")
