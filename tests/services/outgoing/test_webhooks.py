"""Webhooks: each event, signed, in the order of its order, at least once, to public addresses alone (S16a)."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from standardwebhooks import WebhookVerificationError

from sgpshop.domain import webhook_rules
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.mail_kinds import MailKind
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.webhook_rules import GIVE_UP, WebhookState
from sgpshop.extensions import db
from sgpshop.models import Activity, Order, Webhook, WebhookMessage, utc_now
from sgpshop.services import dashboard, settings
from sgpshop.services.access.people import LONGEST_NAME
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.services.orders import feed, history
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.outgoing import webhooks
from sgpshop.services.outgoing.mails import occasions
from sgpshop.services.outgoing.webhooks import sending
from sgpshop.services.outgoing.webhooks.receivers import WebhookRefused
from sgpshop.services.payments import acts
from sgpshop.storage import shared_clock
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import World
from tests.services.webhook_receiver import Receiver
from tests.waiting import wait_until, working

pytestmark = [pytest.mark.long, pytest.mark.postgresql]
TANAKA = Actor.person("田中")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def hook(shop: World, receiver: Receiver) -> int:
    """A shop that tells the receiver of everything from now on."""
    receiver.secret = webhooks.create(receiver.url, by="店長")
    return webhooks.all_receivers()[0].id


def happens(order: Order, *events: str) -> None:
    for event in events:
        with writing() as session:
            locked = session.get_one(Order, order.id, populate_existing=True)
            history.record_change(locked, event, TANAKA, before=locked.payment_status)


def send(hook: int) -> int:
    webhooks.write_due()
    return webhooks.send_due(hook)


def rows() -> list[WebhookMessage]:
    db.session.rollback()
    db.session.expire_all()
    return list(db.session.scalars(sa.select(WebhookMessage).order_by(WebhookMessage.id)))


def later() -> None:
    """All pauses and leases are over."""
    with writing() as session:
        due_at = shared_clock.now() - timedelta(seconds=1)
        session.execute(sa.update(WebhookMessage).values(due_at=due_at))


def test_each_event_arrives_once_signed_and_without_personal_data(
    shop: World, hook: int, receiver: Receiver
) -> None:
    order = make_order(told=True, buyer="佐藤 花子")
    happens(order, "delivered")
    assert send(hook) == 2
    assert send(hook) == 0
    (first_id, first), (_, second) = receiver.got
    assert (first["type"], second["type"]) == ("order.received", "order.delivery")
    assert first["data"]["order_no"] == order.order_no
    assert first["data"]["total"] == 3000
    assert first["data"]["payment_status"] == "authorized"
    assert "佐藤" not in str(receiver.got)
    told, _, _ = feed.events("", 10)
    assert first_id == first["data"]["id"] == feed.cursor(feed.generation(), told[0][0].position)
    assert {row.state for row in rows()} == {WebhookState.SENT}


def test_whoever_registers_it_may_have_a_long_name(shop: World, receiver: Receiver) -> None:
    name = "山" * LONGEST_NAME
    assert webhooks.create(receiver.url, by=name)
    [made] = webhooks.all_receivers()
    assert name.startswith(made.created_by)


def test_who_was_deleted_hears_nothing_that_is_meant_for_the_next(
    app: Flask, shop: World, hook: int, receiver: Receiver
) -> None:
    """A wrong address is deleted and the right one registered while the first still thinks about a message."""
    make_order(told=True)
    following, orders = Receiver(), []

    def mend() -> None:
        receiver.meanwhile = lambda: None
        with app.app_context():
            webhooks.delete(hook, by="店長")
            following.secret = webhooks.create(following.url, by="店長")
            orders.append(make_order(told=True).order_no)
            webhooks.write_due()

    receiver.meanwhile = mend
    assert send(hook) == 1
    assert webhooks.send_due(webhooks.all_receivers()[0].id) == 1
    assert [said["data"]["order_no"] for _, said in following.got] == orders
    assert len(receiver.tried) == 1
    following.stop()


@pytest.mark.alike
def test_another_key_does_not_verify(shop: World, hook: int, receiver: Receiver) -> None:
    receiver.says[""] = 200
    webhooks.send_test(hook, 1)
    [row] = rows()
    headers = sending._signed(receiver.secret, row.event_id, row.body)
    assert receiver.take(headers, row.body.encode()) == 200
    with pytest.raises(WebhookVerificationError):
        receiver.take(headers, row.body.replace("test-", "best-").encode())


@pytest.mark.alike
def test_what_happened_before_is_not_told(shop: World, receiver: Receiver) -> None:
    make_order(told=True)
    webhooks.create(receiver.url, by="店長")
    assert send(webhooks.all_receivers()[0].id) == 0


def test_one_order_waits_in_its_order_and_the_others_go_on(
    shop: World, hook: int, receiver: Receiver
) -> None:
    stuck, other = make_order(told=True), make_order(told=True)
    receiver.says[stuck.order_no] = 500
    happens(stuck, "delivered")
    happens(other, "delivered")
    assert send(hook) == 2
    assert receiver.of(other.order_no) == ["imported", "delivered"]
    assert len([one for one in receiver.tried if one[1]["data"]["order_no"] == stuck.order_no]) == 1
    assert rows()[0].problem == "送信先がHTTP 500を返しました。"
    assert send(hook) == 0, "a pause first"
    receiver.says.clear()
    later()
    assert send(hook) == 2
    assert receiver.of(stuck.order_no) == ["imported", "delivered"]


def test_pauses_grow_and_a_message_is_given_up_after_three_days(
    shop: World, hook: int, receiver: Receiver
) -> None:
    pauses = [webhook_rules.pause_after(tries) for tries in range(1, 12)]
    assert pauses == sorted(pauses)
    assert pauses[0] < timedelta(minutes=1) < timedelta(hours=1) < pauses[-1]
    receiver.status = 503
    happens(make_order(), "received", "delivered")
    send(hook)
    [first, _] = rows()
    assert first.state is WebhookState.WAITING
    assert first.due_at > shared_clock.now()
    with writing() as session:  # others arrived meanwhile: the receiver itself is well
        session.execute(sa.update(Webhook).values(failing_since=None))
        long_ago = {"first_tried_at": shared_clock.now() - GIVE_UP}
        session.execute(
            sa.update(WebhookMessage).where(WebhookMessage.id == first.id).values(long_ago)
        )
    later()
    send(hook)
    later()
    first, second = rows()
    assert first.state is WebhookState.FAILED
    receiver.status = 200
    assert send(hook) == 1, "the next of that order goes on"
    assert rows()[1].id == second.id


def test_who_dies_after_the_answer_sends_again_under_the_same_id(
    shop: World, hook: int, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_order(told=True)
    with monkeypatch.context() as killed:
        killed.setattr(sending, "_arrived", lambda _message: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            send(hook)
    assert send(hook) == 0, "it is under a lease"
    later()
    assert send(hook) == 1
    (one, _), (two, _) = receiver.got
    assert one == two


def test_what_arrived_is_written_down_although_a_failure_could_not_be(
    shop: World, hook: int, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is busy just then: what arrived beside it does not come twice."""
    first, second, third = (make_order(told=True) for _ in range(3))
    receiver.says[second.order_no] = 500
    with monkeypatch.context() as busy:
        busy.setattr(sending, "_try_later", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            send(hook)
    assert [row.state for row in rows()] == [
        WebhookState.SENT,
        WebhookState.SENDING,
        WebhookState.SENT,
    ]
    receiver.says.clear()
    later()
    assert send(hook) == 1
    assert {said["data"]["order_no"] for _, said in receiver.got} == {
        first.order_no,
        third.order_no,
        second.order_no,
    }
    assert receiver.got[-1][1]["data"]["order_no"] == second.order_no
    assert len(receiver.got) == 3


def test_several_are_taken_at_once_and_none_by_two(
    shop: World, hook: int, receiver: Receiver
) -> None:
    orders = [make_order(told=True) for _ in range(3)]
    happens(orders[0], "delivered")
    webhooks.write_due()
    taken = sending._take(hook)
    assert [one.order_no for one in taken] == [order.order_no for order in orders]
    assert sending._take(hook) == [], "the second of an order waits for the first"
    sending._put_back(taken)
    assert {(row.state, row.tries, row.first_tried_at) for row in rows()} == {
        (WebhookState.WAITING, 0, None)
    }
    assert webhooks.send_due(hook) == 4
    assert receiver.of(orders[0].order_no) == ["imported", "delivered"]


def test_a_receiver_that_thinks_about_each_is_told_of_several_orders_at_once(
    shop: World, hook: int, receiver: Receiver
) -> None:
    """One after the other, a bulk capture would leave it minutes behind."""
    for _ in range(4):
        make_order(told=True)
    together = threading.Barrier(3, timeout=8)
    receiver.meanwhile = lambda: receiver.got and together.wait()  # the first goes alone
    assert send(hook) == 4


@pytest.mark.alike
def test_a_receiver_that_is_away_is_tried_later(shop: World, hook: int, receiver: Receiver) -> None:
    receiver.stop()
    make_order(told=True)
    make_order(told=True)
    assert send(hook) == 0
    first, second = rows()
    assert first.problem == "送信先に接続できませんでした。"
    assert (first.tries, second.tries) == (1, 0), "nobody waits for the same twice in a row"


@pytest.mark.alike
def test_a_redirect_is_not_followed(shop: World, hook: int, receiver: Receiver) -> None:
    elsewhere = Receiver()
    receiver.status, receiver.headers = 307, {"Location": elsewhere.url}
    make_order(told=True)
    assert send(hook) == 0
    assert "転送" in rows()[0].problem
    assert elsewhere.tried == []
    elsewhere.stop()


@pytest.mark.alike
class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1",
            "10.0.0.5",
            "172.16.3.4",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "fec0::1",
            "2002:a00:1::",
            "2001:0:a00:1::",
            "ff02::1",
            "::7f00:1",
            "nobody",
        ],
    )
    def test_inner_ones_are_not_public(self, address: str) -> None:
        assert not webhook_rules.is_public(address)

    @pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "8.8.8.8"])
    def test_those_of_the_internet_are(self, address: str) -> None:
        assert webhook_rules.is_public(address)

    @pytest.mark.parametrize(
        "url",
        [
            "http://shop.example.jp/hook",
            "https://user:pw@shop.example.jp/hook",
            "https://shop.example.jp/hook#part",
            "https://shop.example.jp/フック",
            "https://127.0.0.1/hook",
            "https://localhost/hook",
            "https://[::1]/hook",
            "https://10.0.0.1:8443/hook",
            "http://127.0.0.1:8000/hook",
            "ftp://shop.example.jp/",
            "https://shop.example.jp\\@10.0.0.1/",
            "https://.example.jp/hook",
            "https://shop..example.jp/hook",
            "https://shop.example.jp:70000/hook",
            "https://shop.example.jp:0/hook",
            "https://[:::]/hook",
            "https://" + "a" * 600,
            "",
        ],
    )
    def test_what_cannot_be_a_receiver_is_refused(
        self, app: Flask, shop: World, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(app.config, "TEST_MODE", False)
        with pytest.raises(WebhookRefused):
            webhooks.create(url, by="店長")
        assert webhooks.all_receivers() == []

    def test_a_name_that_leads_inside_is_not_connected_to(
        self, app: Flask, shop: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However it answered before: asked is the address that would be connected to."""
        monkeypatch.setitem(app.config, "TEST_MODE", False)
        webhooks.create(f"https://shop.example.jp:{receiver.port}/", by="店長")
        here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [here])
        make_order(told=True)
        accepted: list[Any] = []
        monkeypatch.setattr(socket.socket, "connect", lambda *told: accepted.append(told))
        if db.engine.dialect.name == "postgresql":
            db.session.connection()  # it is there before connections are counted
        hook = webhooks.all_receivers()[0].id
        assert send(hook) == 0
        assert "内部のネットワーク" in rows()[0].problem
        assert accepted == []

    def test_no_proxy_of_the_environment_is_asked(
        self, shop: World, hook: int, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = Receiver()
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        make_order(told=True)
        assert send(hook) == 1
        assert proxy.tried == []
        proxy.stop()


class TestSwitchedOff:
    def fail_for_days(self, hook: int, receiver: Receiver) -> None:
        receiver.status = 500
        happens(make_order(), "received", "delivered")
        send(hook)
        with writing() as session:
            session.execute(sa.update(Webhook).values(failing_since=shared_clock.now() - GIVE_UP))
        later()
        send(hook)

    def test_after_days_without_anything_arriving(
        self, shop: World, hook: int, receiver: Receiver
    ) -> None:
        self.fail_for_days(hook, receiver)
        [off] = webhooks.all_receivers()
        assert (off.is_active, off.given_up_at is None) == (False, False)
        assert dashboard.figures(settings.load()).given_up_webhooks == 1
        [told] = list(occasions._webhooks_off(utc_now()))
        assert told.kind is MailKind.WEBHOOK_OFF
        assert len(told.event) <= 64
        later()
        tries = len(receiver.tried)
        assert (send(hook), webhooks.waiting_receivers()) == (0, [])
        assert len(receiver.tried) == tries

    def test_on_again_it_is_told_of_all_that_happened_meanwhile(
        self, shop: World, hook: int, receiver: Receiver
    ) -> None:
        self.fail_for_days(hook, receiver)
        order = make_order(told=True)
        receiver.status = 200
        webhooks.switch(hook, is_on=True, by="店長")
        assert send(hook) == 3
        assert receiver.of(order.order_no) == ["imported"]
        assert dashboard.figures(settings.load()).given_up_webhooks == 0
        assert webhooks.all_receivers()[0].failing_since is None

    @pytest.mark.parametrize("is_deleted", [False, True])
    def test_by_hand_nothing_more_of_what_was_taken_goes_out(
        self,
        app: Flask,
        shop: World,
        hook: int,
        receiver: Receiver,
        monkeypatch: pytest.MonkeyPatch,
        is_deleted: bool,
    ) -> None:
        first, *_ = [make_order(told=True) for _ in range(3)]
        real = sending._post

        def post(*told: Any, **more: Any) -> tuple[str, bool]:
            answer = real(*told, **more)
            with app.app_context():
                if is_deleted:
                    webhooks.delete(hook, by="店長")
                else:
                    webhooks.switch(hook, is_on=False, by="店長")
            return answer

        with monkeypatch.context() as stopping:
            stopping.setattr(sending, "_post", post)
            assert send(hook) == 1
        assert [said["data"]["order_no"] for _, said in receiver.got] == [first.order_no]
        if is_deleted:
            assert rows() == []
        else:
            waiting = [WebhookState.WAITING] * 2
            assert [row.state for row in rows()] == [WebhookState.SENT, *waiting]
            webhooks.switch(hook, is_on=True, by="店長")
            assert send(hook) == 2

    def test_one_arrival_and_the_days_are_counted_anew(
        self, shop: World, hook: int, receiver: Receiver
    ) -> None:
        receiver.status = 500
        make_order(told=True)
        send(hook)
        receiver.status = 200
        later()
        assert send(hook) == 1
        db.session.expire_all()
        assert webhooks.all_receivers()[0].failing_since is None


@pytest.mark.alike
def test_by_hand_a_test_and_one_message_again(shop: World, hook: int, receiver: Receiver) -> None:
    make_order(told=True)
    send(hook)
    webhooks.send_again(hook, rows()[0].id, 1)
    webhooks.send_test(hook, 1)
    assert send(hook) == 2
    assert [said["type"] for _, said in receiver.got] == [
        "order.received",
        "order.received",
        "test",
    ]
    assert receiver.got[0][0] == receiver.got[1][0]
    webhooks.switch(hook, is_on=False, by="店長")
    webhooks.send_test(hook, 1)
    assert send(hook) == 1, "a test goes also where nothing else does"
    tests = iter(lambda: webhooks.send_test(hook, 1), False)
    with pytest.raises(TooOften):
        list(itertools.islice(tests, 2 * 20 + 1))  # a minute may begin anew meanwhile
    refused = sa.select(Activity.about).where(Activity.event == ActivityEvent.LIMITED)
    assert db.session.scalars(refused).all() == ["Webhookのテスト送信・再送"]
    webhooks.delete(hook, by="店長")
    assert rows() == []


@pytest.mark.alike
def test_its_key_lies_sealed_and_no_more_than_five_are_taken(
    shop: World, hook: int, receiver: Receiver
) -> None:
    stored = db.session.execute(sa.text("SELECT * FROM webhooks")).one()
    assert receiver.secret.removeprefix("whsec_") not in str(tuple(stored))
    with pytest.raises(WebhookRefused, match="すでに登録"):
        webhooks.create(receiver.url, by="店長")
    for number in range(4):
        webhooks.create(f"https://shop.example.jp/{number}", by="店長")
    with pytest.raises(WebhookRefused, match="5件まで"):
        webhooks.create("https://shop.example.jp/5", by="店長")


@pytest.mark.alike
def test_a_slow_receiver_holds_up_no_capture(
    app: Flask, shop: World, hook: int, receiver: Receiver
) -> None:
    order = authorized_order(shop, told=True)
    receiver.goes_on.clear()
    with working(app):
        wait_until(lambda: [row for row in rows() if row.state is WebhookState.SENDING])
        acts.open_attempt(order.id, acts.CAPTURE, Seen(order.version, order.total, "t"), TANAKA)
        wait_until(lambda: fresh(order).payment_status is PaymentStatus.CAPTURED)
        assert receiver.got == []
        receiver.goes_on.set()
        wait_until(lambda: len(receiver.of(order.order_no)) >= 2)
    assert receiver.of(order.order_no)[0] == "imported"


@pytest.mark.alike
def test_a_worker_that_had_nobody_to_tell_asks_nothing_and_tells_the_first_that_comes(
    app: Flask, shop: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    ask = webhooks.write_due
    monkeypatch.setattr(webhooks, "write_due", lambda: (asked.append(1), ask()))
    with working(app):
        captured = authorized_order(shop, told=True)
        acts.open_attempt(
            captured.id, acts.CAPTURE, Seen(captured.version, captured.total, "t"), TANAKA
        )
        wait_until(lambda: fresh(captured).payment_status is PaymentStatus.CAPTURED)
        assert asked == []
        receiver.secret = webhooks.create(receiver.url, by="店長")
        order = make_order(told=True)
        wait_until(lambda: receiver.of(order.order_no))
    assert receiver.of(order.order_no) == ["imported"]
