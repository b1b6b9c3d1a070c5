"""Mail to people of the shop: what, to whom, once, whatever the mail server does (R156)."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from aiosmtpd.controller import Controller
from flask import Flask

from sgpshop.domain.mail_kinds import CHOICES, MailKind, MailState, is_mail_address
from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.models import (
    Alert,
    Attempt,
    AttemptState,
    BulkItem,
    CardTransaction,
    ItemResult,
    Mail,
    Operation,
    Order,
    Person,
    Role,
    WorkerBeat,
    utc_now,
)
from sgpshop.services.access import people, sessions
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.services.bulk import runs
from sgpshop.services.outgoing import mails
from sgpshop.services.outgoing.mails import sending
from sgpshop.services.outgoing.mails import server as mail_server
from sgpshop.services.outgoing.mails.choices import AddressRefused
from sgpshop.storage import shared_clock
from sgpshop.storage.database import writing
from tests.factories import authorized_order, make_order
from tests.gateway_world import World
from tests.processes import Processes
from tests.services.acting import press
from tests.signing_in import PASSWORD
from tests.waiting import wait_until, working

MORNING = datetime(2026, 11, 30, 8, tzinfo=JST)
ADDRESS = "tanaka@example.jp"


class Server:
    """A mail server on this machine, that does as it is told."""

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []
        self.to: list[str] = []
        self.answer = "250 OK"
        self.refuses_recipients = False
        #: what it says to an address
        self.says: dict[str, str] = {}
        #: what it says to who sends
        self.says_to_sender = "250 OK"
        self.sleeps = 0.0
        self._controller: Controller | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]

    # ---- aiosmtpd's side
    async def handle_MAIL(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.says_to_sender.startswith("250"):
            envelope.mail_from, envelope.mail_options = address, options
        return self.says_to_sender

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if self.refuses_recipients:
            return "550 nobody of that name"
        if address in self.says:
            return self.says[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        await asyncio.sleep(self.sleeps)
        if self.answer.startswith("250"):
            read = email.message_from_bytes(envelope.content, policy=email.policy.default)
            self.got.append(read)
            self.to += envelope.rcpt_tos
        return self.answer

    def start(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        """It is away, until it is started again."""
        if self._controller is not None:
            self._controller.stop()
        self._controller = None


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def overrides(server: Server) -> dict[str, Any]:
    return {
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": server.port,
        "MAIL_SECURITY": "off",
        "MAIL_FROM": "shop@example.jp",
        "MAIL_TIMEOUT": 2.0,
        "PUBLIC_URL": "https://shop.example.jp",
        "QUIET_PERIOD": 0.0,
        "DAILY_DIGEST_HOUR": 7,
    }


@pytest.fixture
def clock() -> Iterator[Any]:
    """Eight in the morning of 30 November in Japan."""
    with time_machine.travel(MORNING, tick=False) as traveller:
        yield traveller


@pytest.fixture
def tanaka(app: Flask) -> Iterator[int]:
    """Somebody who wants to hear of everything, since yesterday."""
    with app.app_context():
        yield somebody("田中")


def somebody(name: str, address: str = ADDRESS, *kinds: MailKind) -> int:
    person_id = people.create(name, PASSWORD, Role.OPERATOR)
    mails.save_choice(person_id, address, [kind.value for kind in kinds or CHOICES])
    with writing() as session:
        session.get_one(Person, person_id).mails_since = utc_now() - timedelta(days=1)
    return person_id


def rows(kind: MailKind | None = None) -> list[Mail]:
    db.session.rollback()
    found = db.session.scalars(sa.select(Mail).order_by(Mail.id)).all()
    db.session.expire_all()
    return [mail for mail in found if kind in (None, mail.kind)]


def plain(letter: EmailMessage) -> str:
    body = letter.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def failing() -> Order:
    return make_order(status=PaymentStatus.CAPTURE_FAILED)


#: What grows with the orders.  Alerts, runs, files, receivers and settings stay few.
GROWING = {
    "attempts",
    "billings",
    "bulk_items",
    "card_transactions",
    "deliveries",
    "history",
    "money_movements",
    "order_lines",
    "orders",
}


@contextmanager
def plans() -> Iterator[list[tuple[str, str]]]:
    """Each table that is looked into meanwhile, and how: `part` of an index, or what the planner says."""
    found: list[tuple[str, str]] = []
    is_postgresql = db.engine.dialect.name == "postgresql"
    indexes = _indexes()

    def listen(
        connection: sa.Connection, _: Any, statement: str, parameters: Any, *__: Any
    ) -> None:
        if not statement.startswith(("SELECT", "WITH")):
            return
        if is_postgresql:  # so few rows it would go through
            for way in ("seqscan", "mergejoin", "hashjoin"):
                connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
            rows = connection.exec_driver_sql("EXPLAIN (FORMAT JSON) " + statement, parameters)
            found.extend(_of_postgresql(rows.scalar_one()[0]["Plan"], indexes))
        else:
            rows = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)
            found.extend(_of_sqlite([row[3] for row in rows], indexes))

    sa.event.listen(db.engine, "before_cursor_execute", listen)
    try:
        yield found
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", listen)


def _indexes() -> dict[str, tuple[str, bool]]:
    """The table of each index, and whether it is a partial one."""
    asked = "SELECT name, tbl_name, sql LIKE '% WHERE %' FROM sqlite_master WHERE type = 'index'"
    if db.engine.dialect.name == "postgresql":
        asked = (
            "SELECT indexrelid::regclass::text, indrelid::regclass::text, indpred IS NOT NULL"
            " FROM pg_index"
        )
    return {name: (table, bool(part)) for name, table, part in db.session.execute(sa.text(asked))}


def _of_sqlite(steps: list[str], indexes: dict[str, tuple[str, bool]]) -> Iterator[tuple[str, str]]:
    for step in steps:
        if looked := re.match(r"(SCAN|SEARCH) (\w+?)(?:_\d+)?(?: USING .*INDEX (\w+).*)?$", step):
            is_part = looked[1] == "SEARCH" or (looked[3] in indexes and indexes[looked[3]][1])
            yield looked[2], "part" if is_part else step


def _of_postgresql(
    node: dict[str, Any], indexes: dict[str, tuple[str, bool]]
) -> Iterator[tuple[str, str]]:
    if index := node.get("Index Name"):
        table, is_partial = indexes[index]
        yield table, "part" if "Index Cond" in node or is_partial else str(node)
    elif "Relation Name" in node and node["Node Type"] != "Bitmap Heap Scan":
        yield node["Relation Name"], str(node)
    for inner in node.get("Plans", ()):
        yield from _of_postgresql(inner, indexes)


class TestTheMorning:
    @pytest.mark.postgresql
    def test_what_is_to_do_once_to_each_who_wants_it(
        self, tanaka: int, clock: Any, server: Server
    ) -> None:
        somebody("鈴木", "suzuki@example.jp", MailKind.MORNING)
        somebody("山田", "yamada@example.jp", MailKind.DIFFERENCE)
        failing()
        for _ in range(3):
            mails.look_for_occasions()
            mails.send_due()
        assert sorted(server.to) == ["suzuki@example.jp", ADDRESS]
        letter = server.got[0]
        assert letter["Subject"] == "[SGP Shop] 今日のやること 1項目"
        assert letter["From"] == "shop@example.jp"
        text = plain(letter)
        assert "売上失敗  1件" in text
        assert "https://shop.example.jp/orders?status=capture_failed" in text
        html = letter.get_body(("html",))
        assert html is not None
        assert "売上失敗" in html.get_content()
        assert "佐藤" not in text + html.get_content()
        assert {mail.state for mail in rows()} == {MailState.SENT}

    @pytest.mark.postgresql
    def test_among_a_million_orders_it_is_found_by_indexes(
        self, tanaka: int, clock: Any, server: Server, world: World
    ) -> None:
        """Of every kind of mail: a part of an index, or all of one that holds what is open and no more."""
        authorized_order(world)
        with writing() as session:
            session.execute(
                sa.update(CardTransaction).values(auth_expires_at=MORNING + timedelta(days=3))
            )
        failing()
        with plans() as found:
            mails.look_for_occasions()
            mails.send_due()
        assert len(server.got) >= 2
        assert {table for table, _ in found} >= {"orders", "card_transactions", "attempts"}
        assert [(table, how) for table, how in found if table in GROWING and how != "part"] == []

    def test_with_nothing_to_do_there_is_none(
        self, tanaka: int, clock: Any, server: Server
    ) -> None:
        mails.look_for_occasions()
        assert mails.send_due() == 0
        assert [mail.state for mail in rows()] == [MailState.DROPPED]
        failing()
        mails.look_for_occasions()
        assert mails.send_due() == 0, "of this morning it was decided"

    @pytest.mark.parametrize("hour", [6, 14])
    def test_not_before_its_hour_nor_long_after_it(
        self, tanaka: int, clock: Any, server: Server, hour: int
    ) -> None:
        clock.move_to(MORNING.replace(hour=hour))
        failing()
        assert mails.look_for_occasions() == 0

    def test_not_to_who_chose_it_only_afterwards(
        self, app: Flask, clock: Any, server: Server
    ) -> None:
        with app.app_context():
            person_id = somebody("田中")
            mails.save_choice(person_id, ADDRESS, [])
            mails.save_choice(person_id, ADDRESS, ["morning"])
            failing()
            assert mails.look_for_occasions() == 0
            clock.move_to(MORNING + timedelta(days=1))
            assert mails.look_for_occasions() == 1


def test_a_worker_process_which_has_no_screens_sends_what_waits(
    app: Flask, tanaka: int, overrides: dict[str, Any], server: Server
) -> None:
    app.config["DAILY_DIGEST_HOUR"] = utc_now().astimezone(JST).hour
    failing()
    assert mails.look_for_occasions() == 1
    folder, database = app.config["INSTANCE_PATH"], app.config["DATABASE_URL"]
    with Processes(folder, database, **overrides) as processes:
        processes.are_own = True
        processes.start("worker")
        wait_until(lambda: server.got)
    assert "https://shop.example.jp/orders?status=capture_failed" in plain(server.got[0])
    html = server.got[0].get_body(("html",))
    assert html is not None
    assert 'href="https://shop.example.jp/orders?status=capture_failed"' in html.get_content()


@pytest.mark.postgresql
def test_a_run_that_ended_with_failures(shop: World, tanaka: int, server: Server) -> None:
    order = authorized_order(shop, told=True)
    run = runs.prepare([order.id], "sgp_capture", person_id=tanaka, actor="田中")
    runs.start(run, person_id=tanaka)
    with writing() as session:
        session.execute(sa.update(BulkItem).values(result=ItemResult.PENDING, finished_at=None))
    assert not [one for one in looked() if one.kind is MailKind.RUN_FAILED]
    with writing() as session:
        session.execute(sa.update(BulkItem).values(result=ItemResult.FAILED, finished_at=utc_now()))
    looked()
    mails.send_due()
    [mail] = rows(MailKind.RUN_FAILED)
    assert mail.state is MailState.SENT
    letters = [one for one in server.got if "一括処理" in one["Subject"]]
    assert f"https://shop.example.jp/orders/bulk/{run}" in plain(letters[0])
    assert order.order_no in plain(letters[0])


def looked() -> list[Mail]:
    mails.look_for_occasions()
    return rows()


@pytest.mark.postgresql
def test_a_hold_is_told_three_days_before_its_end_and_not_again(
    shop: World, tanaka: int, server: Server
) -> None:
    now = utc_now().astimezone(JST)
    with time_machine.travel(now.replace(hour=8, minute=0), tick=False) as clock:
        order = authorized_order(shop, told=True)
        with writing() as session:
            there = session.get_one(CardTransaction, order.transaction.id)
            there.auth_expires_at = utc_now() + timedelta(days=4)
        looked()
        assert not rows(MailKind.HOLD_ENDS)
        for _ in range(3):
            clock.shift(timedelta(days=1))
            looked()
            mails.send_due()
    [mail] = rows(MailKind.HOLD_ENDS)
    assert mail.state is MailState.SENT
    [letter] = [one for one in server.got if "オーソリ期限" in one["Subject"]]
    assert f"注文 {order.order_no}  ¥3,000" in plain(letter)


@pytest.mark.postgresql
def test_outcomes_unknown_for_an_hour_are_told_by_the_hour(
    shop: World, tanaka: int, server: Server
) -> None:
    since = utc_now().replace(minute=10, second=0, microsecond=0)
    with time_machine.travel(since + timedelta(minutes=59), tick=False) as clock:
        for number in range(2):
            order = press(authorized_order(shop, told=True), Operation.CAPTURE)
            with writing() as session:
                attempt = session.scalars(
                    sa.select(Attempt).where(Attempt.order_id == order.id).order_by(Attempt.id)
                ).all()[-1]
                attempt.state = AttemptState.UNKNOWN
                attempt.uncertain_since = since + timedelta(minutes=10 * number)
        looked()
        assert not rows(MailKind.UNCERTAIN)
        clock.shift(timedelta(minutes=2))
        looked()
        clock.shift(timedelta(minutes=30))
        looked()
        mails.send_due()
    assert len(rows(MailKind.UNCERTAIN)) == 1
    [letter] = [one for one in server.got if "結果の分からない" in one["Subject"]]
    assert "2件あります" in letter["Subject"]


@pytest.mark.postgresql
def test_a_difference_is_told_when_its_hour_is_over(tanaka: int, server: Server) -> None:
    order = make_order()
    since = utc_now().replace(minute=10, second=0, microsecond=0)
    with writing() as session:
        session.add(Alert(order_id=order.id, kind=AlertKind.AMOUNT_DIFFERS, facts="…", since=since))
    with time_machine.travel(since + timedelta(minutes=20), tick=False) as clock:
        looked()
        assert not rows(MailKind.DIFFERENCE)
        clock.shift(timedelta(minutes=40))
        looked()
        mails.send_due()
        [mail] = rows(MailKind.DIFFERENCE)
        assert mail.state is MailState.SENT
    [letter] = [one for one in server.got if "食い違い" in one["Subject"]]
    assert AlertKind.AMOUNT_DIFFERS.label in plain(letter)


@pytest.mark.postgresql
def test_the_next_worker_tells_that_none_was_there(tanaka: int, server: Server) -> None:
    mails.worker_begins()
    assert not rows(), "the first worker ever"
    with writing() as session:
        session.add(WorkerBeat(worker="there-1", at=shared_clock.now() - timedelta(minutes=3)))
    mails.worker_begins()
    assert not rows(), "a restart"
    with writing() as session:
        session.execute(sa.update(WorkerBeat).values(at=shared_clock.now() - timedelta(minutes=30)))
    for _ in range(2):
        mails.worker_begins()
    mails.send_due()
    [mail] = rows()
    assert (mail.kind, mail.state) == (MailKind.WORKER_STOOD, MailState.SENT)
    assert "止まっていました" in server.got[0]["Subject"]


class TestTheServer:
    """Accepting, slow, refusing, away."""

    @pytest.fixture(autouse=True)
    def _waiting(self, tanaka: int) -> None:
        mails.send_test(tanaka)

    @staticmethod
    def later(minutes: int) -> int:
        """What is sent so much later."""
        with time_machine.travel(utc_now() + timedelta(minutes=minutes), tick=False):
            return mails.send_due()

    @pytest.mark.postgresql
    def test_away_it_is_tried_again_and_the_log_of_the_person_says_so(self, server: Server) -> None:
        server.stop()
        assert mails.send_due() == 0
        [mail] = rows()
        assert (mail.state, mail.tries) == (MailState.WAITING, 1)
        assert "システム担当者" in mail.problem
        assert mails.send_due() == 0, "not at once"
        server.start()
        assert self.later(2) == 1
        assert len(server.got) == 1

    def test_after_a_day_it_is_given_up(self, server: Server) -> None:
        server.stop()
        mails.send_due()
        assert self.later(25 * 60) == 0
        assert rows()[0].state is MailState.FAILED
        server.start()
        assert self.later(26 * 60) == 0

    def test_busy_it_is_tried_again(self, server: Server) -> None:
        server.answer = "451 later"
        assert mails.send_due() == 0
        assert rows()[0].state is MailState.WAITING
        server.answer = "250 OK"
        assert self.later(2) == 1

    @pytest.mark.parametrize("how", ["recipient", "content"])
    def test_a_refusal_is_final(self, server: Server, how: str) -> None:
        server.refuses_recipients = how == "recipient"
        server.answer = "554 no"
        assert mails.send_due() == 0
        assert rows()[0].state is MailState.FAILED
        server.refuses_recipients, server.answer = False, "250 OK"
        assert self.later(120) == 0

    @pytest.mark.parametrize("said", ["530 5.7.0 authentication required", "553 not your address"])
    def test_a_refusal_of_who_sends_may_be_put_right(
        self, tanaka: int, server: Server, said: str
    ) -> None:
        mails.send_test(somebody("鈴木", "suzuki@example.jp"))
        server.says_to_sender = said
        assert mails.send_due() == 0
        assert [(mail.state, mail.tries) for mail in rows()] == [
            (MailState.WAITING, 1),
            (MailState.WAITING, 0),
        ]
        assert "システム担当者" in rows()[0].problem
        server.says_to_sender = "250 OK"
        assert self.later(2) == 2

    def test_a_password_that_no_server_can_be_told_is_no_fault_of_the_mail(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def tell(*_: Any) -> None:
            "ひみつ".encode("ascii")

        with monkeypatch.context() as patch:
            patch.setattr(mail_server.Backend, "open", tell)
            assert mails.send_due() == 0
        assert rows()[0].state is MailState.WAITING
        assert "システム担当者" in rows()[0].problem
        assert self.later(2) == 1

    def test_slow_nothing_waits_for_ever(self, app: Flask, server: Server) -> None:
        server.sleeps = 30.0
        mail_server.of(app).timeout = 0.3
        started = time.monotonic()
        assert mails.send_due() == 0
        assert time.monotonic() - started < 20
        assert rows()[0].state is MailState.WAITING

    def test_who_died_while_sending_is_followed_by_another_with_the_same_message_id(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The server said yes, we died before we wrote that down: it goes out again (at least once)."""

        def die(*_: Any) -> bool:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("sgpshop.services.outgoing.mails.sending._end", die)
            with pytest.raises(KeyboardInterrupt):
                mails.send_due()
        assert rows()[0].state is MailState.SENDING
        assert mails.send_due() == 0, "its lease is not over"
        assert self.later(11) == 1
        first, second = server.got
        assert first["Message-ID"] == second["Message-ID"]
        assert rows()[0].state is MailState.SENT
        assert self.later(60) == 0

    @pytest.mark.postgresql
    def test_two_workers_send_it_once(self, server: Server) -> None:
        ours = sending._take()
        assert ours is not None
        assert sending._take() is None
        assert sending._send(ours)
        assert mails.send_due() == 0
        assert len(server.got) == 1

    def test_nothing_to_who_left_or_wants_nothing_any_more(
        self, tanaka: int, server: Server
    ) -> None:
        with writing() as session:
            session.get_one(Person, tanaka).is_active = False
        assert mails.send_due() == 0
        assert rows()[0].state is MailState.DROPPED

    def test_an_address_that_would_begin_another_header_sends_nothing(
        self, tanaka: int, server: Server
    ) -> None:
        with writing() as session:
            session.get_one(Person, tanaka).email = "a@example.jp\r\nBcc: all@example.jp"
        assert mails.send_due() == 0
        assert rows()[0].state is MailState.FAILED
        assert server.got == []

    def test_later_for_one_address_holds_up_nobody_else(self, tanaka: int, server: Server) -> None:
        mails.send_test(somebody("鈴木", "suzuki@example.jp"))
        server.says = {ADDRESS: "450 later"}
        assert mails.send_due() == 1
        assert server.to == ["suzuki@example.jp"]
        [first, _] = rows()
        assert first.state is MailState.WAITING
        assert "自動的にもう一度送信します" in first.problem
        server.says = {}
        assert self.later(2) == 1

    def test_one_that_cannot_be_made_holds_up_nobody_else(
        self, tanaka: int, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mails.send_test(somebody("鈴木", "suzuki@example.jp"))
        content_of = sending.content_of

        def broken(mail: Mail) -> Any:
            return 1 // 0 if mail.person_id == tanaka else content_of(mail)

        with monkeypatch.context() as patch:
            patch.setattr(sending, "content_of", broken)
            assert mails.send_due() == 1
        assert server.to == ["suzuki@example.jp"]
        [first, _] = rows()
        assert first.state is MailState.WAITING
        assert "システムの不具合" in first.problem
        assert self.later(2) == 1

    def test_a_server_that_closes_is_asked_no_more(self, tanaka: int, server: Server) -> None:
        mails.send_test(somebody("鈴木", "suzuki@example.jp"))
        server.says = {ADDRESS: "421 closing"}
        assert mails.send_due() == 0
        assert [mail.tries for mail in rows()] == [1, 0]


class TestTheConfirmingMail:
    """Its address may be anybody's (S23)."""

    @pytest.mark.postgresql
    def test_waits_once_and_is_tried_at_once_when_asked_for_again(
        self, tanaka: int, server: Server
    ) -> None:
        server.stop()
        for _ in range(3):
            mails.send_test(tanaka)
        assert len(rows()) == 1
        mails.send_due()
        assert not mails.is_any_due(), "it rests"
        server.start()
        mails.send_test(tanaka)
        assert mails.send_due() == 1
        assert [mail.state for mail in rows()] == [MailState.SENT]

    @pytest.mark.postgresql
    def test_goes_out_five_times_an_hour(self, tanaka: int, server: Server) -> None:
        since = utc_now()
        with time_machine.travel(since, tick=False) as clock:
            for _ in range(5):
                mails.send_test(tanaka)
                assert mails.send_due() == 1
                clock.shift(timedelta(minutes=1))
            with pytest.raises(TooOften, match="約55分後"):
                mails.send_test(tanaka)
            mails.send_test(somebody("鈴木"))  # counted for each person
            clock.move_to(since + timedelta(hours=1))
            mails.send_test(tanaka)
        assert len(rows()) == 7


@pytest.mark.postgresql
def test_after_a_month_a_mail_is_forgotten_and_what_it_told_is_not_told_again(
    shop: World, tanaka: int, server: Server
) -> None:
    mails.send_test(tanaka)
    order = press(authorized_order(shop, told=True), Operation.CAPTURE)
    with writing() as session:
        attempts = sa.select(Attempt).where(Attempt.order_id == order.id).order_by(Attempt.id)
        attempt = session.scalars(attempts).all()[-1]
        attempt.state, attempt.uncertain_since = AttemptState.UNKNOWN, utc_now()
    with time_machine.travel(utc_now() + timedelta(hours=1, minutes=1), tick=False) as clock:
        looked()
        mails.send_due()
        clock.shift(timedelta(days=29))
        mails.tidy()
        assert rows(MailKind.TEST)
        assert rows(MailKind.UNCERTAIN)
        clock.shift(timedelta(days=2))
        mails.tidy()
        assert not rows()
        looked()
        assert not rows(MailKind.UNCERTAIN)


@pytest.mark.parametrize(
    "address",
    [
        "tanaka", "a@b", "a b@example.jp", "a@example.jp\nBcc: b@example.jp", "a@example.jp,b@example.jp",
        "<a@example.jp>", "田中@example.jp", "a@例え.jp", ".a@example.jp", "a..b@example.jp",
        "a@-example.jp", f"{'a' * 65}@example.jp", f"a@{'b.' * 130}jp",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(tanaka: int, address: str) -> None:
    with pytest.raises(AddressRefused, match="形ではありません"):
        mails.save_choice(tanaka, address, [])


@pytest.mark.parametrize(
    "address", ["a@example.jp", "tanaka.taro+shop@mail.example.co.jp", "x_y-1@e.jp"]
)
def test_what_is_one_is_taken(address: str) -> None:
    assert is_mail_address(address)


@pytest.mark.postgresql
def test_a_sign_in_from_a_new_browser_is_told_to_that_person_alone(
    tanaka: int, server: Server
) -> None:  # S3
    somebody("鈴木", "suzuki@example.jp")
    edge = "Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36 Edg/130.0"

    def enter(device: str) -> None:
        sessions.sign_in("田中", PASSWORD, address="192.0.2.9", browser=edge, device=device)

    enter("first")  # where nothing was known yet, nothing is new
    enter("first")
    mails.look_for_occasions()
    assert rows(MailKind.NEW_DEVICE) == []
    enter("second")
    enter("second")
    for _ in range(2):
        mails.look_for_occasions()
        mails.send_due()
    told = [letter for letter in server.got if "新しい端末" in letter["Subject"]]
    assert [letter["To"] for letter in told] == [ADDRESS]
    assert "WindowsのEdge" in plain(told[0])
    assert "192.0.2.9" in plain(told[0])
    mails.save_choice(tanaka, ADDRESS, [])  # who stole a session could do this
    enter("third")
    mails.look_for_occasions()
    mails.send_due()
    assert len([letter for letter in server.got if "新しい端末" in letter["Subject"]]) == 2


@pytest.mark.parametrize("given", ["thief@example.com", ""])
def test_who_came_in_gives_another_address_too_late(
    tanaka: int, server: Server, given: str
) -> None:
    """A stolen password opens アカウント as well: the sign-in is told where it was before it (S3)."""
    for device in ("first", "stolen"):
        sessions.sign_in("田中", PASSWORD, address="192.0.2.9", browser="", device=device)
    mails.save_choice(tanaka, given, [])
    mails.save_choice(tanaka, given or "thief@example.com", [])
    mails.look_for_occasions()
    mails.send_due()
    assert server.to == [ADDRESS]
    assert "新しい端末" in server.got[0]["Subject"]


def test_of_before_an_address_was_given_nothing_is_told(app: Flask) -> None:
    with app.app_context():
        person_id = people.create("田中", PASSWORD, Role.OPERATOR)
        for device in ("first", "second"):
            sessions.sign_in("田中", PASSWORD, address="", browser="", device=device)
        mails.save_choice(person_id, ADDRESS, [])
        assert mails.look_for_occasions() == 0


def test_a_worker_sends_what_it_finds(app: Flask, tanaka: int, server: Server) -> None:
    """Without anybody pressing anything: it had stood still, and says so."""
    with writing() as session:
        session.add(WorkerBeat(worker="there-1", at=shared_clock.now() - timedelta(hours=1)))
    with working(app):
        wait_until(lambda: server.got)
        wait_until(lambda: rows()[0].state is MailState.SENT)
    assert "自動処理が止まっていました" in server.got[0]["Subject"]


class TestOff:
    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {}

    def test_without_a_server_nothing_is_written_or_sent(self, tanaka: int, clock: Any) -> None:
        failing()
        assert mails.look_for_occasions() == 0
        mails.worker_begins()
        assert (mails.is_any_due(), mails.send_due(), rows()) == (False, 0, [])
