"""承認: big acts wait for a second person, and everything is asked again before they run (R157)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from sqlalchemy.orm import Session

from sgpshop.domain.activities import ActivityKind
from sgpshop.domain.errors import NotPossible, ShopError
from sgpshop.domain.mail_kinds import MailKind
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.second_look import EXPIRES_AFTER, ApprovalState
from sgpshop.extensions import db
from sgpshop.models import (
    Activity,
    ActorKind,
    Approval,
    Attempt,
    BulkRun,
    FollowUp,
    HistoryEntry,
    ItemResult,
    Mail,
    Operation,
    Order,
    Person,
    Role,
    Scope,
    SlipRun,
    utc_now,
)
from sgpshop.services import approvals, settings
from sgpshop.services.access import activities, api_keys, people_admin
from sgpshop.services.approvals import AlreadyDecided, RequestVoid
from sgpshop.services.approvals.deciding import OwnRequest
from sgpshop.services.bulk import report, runs
from sgpshop.services.bulk.runs import RunChanged
from sgpshop.services.deliveries import slips
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.outgoing import mails
from sgpshop.services.payments import acts, cancelling, second_look
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.payments.second_look import ApprovalAsked, ApprovalNeeded, AskedBefore
from sgpshop.services.personal_data import erasing
from sgpshop.services.settings.rules import SettingRefused
from sgpshop.storage.database import writing
from sgpshop.storage.questions import answer
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, fresh, make_order, order_number
from tests.faults.test_races import all_at_once
from tests.gateway_world import World
from tests.services.acting import TANAKA, correct, effects, press, run_act, seen
from tests.services.running import items, prepare
from tests.services.slip_files import CAPTURE, slip, slip_file
from tests.services.slip_files import prepare as prepare_slips
from tests.services.slip_files import start as start_slips
from tests.signing_in import make_person

LIMIT = 5000
SUZUKI = "鈴木"


@pytest.fixture
def two(shop: World) -> tuple[Person, Person]:
    """田中, who asks, and 鈴木; from ¥5,000 on one needs the other."""
    both = make_person("田中"), make_person(SUZUKI, Role.OWNER)
    settings.save("test", approve_refunds_from=LIMIT, approve_captures_from=LIMIT)
    return both


def captured(world: World, total: int = 8000) -> Order:
    """An order that was paid before anybody wanted a second look."""
    settings.save("test", approve_captures_from=0)
    order = press(authorized_order(world, total=total, told=True), Operation.CAPTURE)
    settings.save("test", approve_captures_from=LIMIT)
    return order


def cancellation(order: Order) -> OperationRequest:
    return cancelling.operation_request(
        order.order_no, restock=True, return_points=False, refund_confirmed=True
    )


def asked(order: Order, wanted: OperationRequest, form: Seen | None = None) -> Approval:
    """What 田中 asked for by pressing."""
    with pytest.raises(ApprovalAsked) as waiting:
        acts.open_attempt(order.id, wanted, form or seen(order), TANAKA)
    return approvals.get(waiting.value.approval_id)


def agree(approval: Approval, by: str = SUZUKI) -> Approval:
    return approvals.approve(approval.id, by=by, seen=(approval.orders, approval.yen))


def told(order: Order) -> list[tuple[str, str, Any]]:
    """Event, actor and who agreed, of each entry since the capture."""
    db.session.rollback()
    rows = db.session.scalars(
        sa.select(HistoryEntry).filter_by(order_id=order.id).order_by(HistoryEntry.id)
    )
    return [(row.event, row.actor, row.detail.get("approved_by")) for row in rows]


def recorded() -> list[tuple[str, str, str]]:
    return [
        (row.event, row.actor, row.about)
        for row in db.session.scalars(sa.select(Activity).order_by(Activity.id))
        if row.event.startswith("approval")
    ]


def test_a_refund_waits_for_a_second_person_and_names_both(
    app: Flask, shop: World, two: object
) -> None:
    order = captured(shop)
    form = seen(order)
    approval = asked(order, cancellation(order), form)
    assert (approval.what, approval.yen, approval.is_refund) == ("注文キャンセル(返金)", 8000, True)
    assert asked(order, cancellation(order), form).id == approval.id  # the same form again (P19)
    with pytest.raises(AskedBefore):  # another tab
        acts.open_attempt(order.id, cancellation(order), seen(order), TANAKA)
    Worker(app).run(until_idle=True)
    assert effects(shop, order) == [("SALES", 8000)]
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    with pytest.raises(OwnRequest):
        agree(approval, "田中")
    for nobody in (make_person("佐藤", Role.VIEWER), make_person("高橋", Role.SHIPPER)):
        with pytest.raises(ShopError, match="オーナーと担当者"):
            agree(approval, nobody.name)
    assert effects(shop, order) == [("SALES", 8000)]
    done = agree(approval)
    assert done.state is ApprovalState.APPROVED
    assert done.attempt_id is not None
    run_act(done.attempt_id)
    assert fresh(order).payment_status is PaymentStatus.CANCELLED
    assert [job for job, _ in effects(shop, order)] == ["SALES", "VOID"]
    assert acts.open_attempt(order.id, cancellation(order), form, TANAKA) == done.attempt_id
    assert told(order)[-3:] == [
        ("approval_asked", "田中", None),
        ("approval_given", SUZUKI, None),
        ("cancel_done", "田中", SUZUKI),
    ]
    assert recorded() == [
        ("approval_asked", "田中", order.order_no),
        ("approval_given", SUZUKI, order.order_no),
    ]
    with pytest.raises(AlreadyDecided):
        agree(approval)


def test_who_asks_for_the_same_hears_of_that_request_and_no_other(shop: World, two: object) -> None:
    first, second = captured(shop), captured(shop)
    asked(first, cancellation(first))
    suzuki = Actor.person(SUZUKI)
    with pytest.raises(ApprovalAsked):
        acts.open_attempt(second.id, cancellation(second), seen(second), suzuki)
    with pytest.raises(AskedBefore, match=f"{SUZUKI}さんが依頼"):
        acts.open_attempt(second.id, cancellation(second), seen(second), TANAKA)


def test_smaller_acts_and_releases_need_nobody(shop: World, two: object) -> None:
    small = captured(shop, LIMIT - 1)
    run_act(acts.open_attempt(small.id, cancellation(small), seen(small), TANAKA))
    held = authorized_order(shop, total=90_000)  # nothing goes back: it was never taken
    run_act(acts.open_attempt(held.id, cancellation(held), seen(held), TANAKA))
    for order in (small, held):
        assert fresh(order).payment_status is PaymentStatus.CANCELLED
    little = press(authorized_order(shop, total=LIMIT - 1), Operation.CAPTURE)
    assert little.payment_status is PaymentStatus.CAPTURED


def test_what_may_turn_out_to_be_a_refund_waits_too(shop: World, two: object) -> None:
    number = order_number()
    shop.gateway.capture(shop.authorize(number, 8000), 8000)
    order = make_order(order_no=number, status=PaymentStatus.NEEDS_REVIEW, total=8000)
    approval = asked(order, cancellation(order))
    assert effects(shop, order) == [("SALES", 8000)]
    attempt_id = agree(approval).attempt_id
    assert attempt_id is not None
    run_act(attempt_id)
    assert effects(shop, order)[-1] == ("VOID", 8000)


def test_sending_and_capturing_waits_as_a_whole(shop: World, two: object) -> None:
    order = correct(authorized_order(shop, total=9000), 8000)
    approval = asked(order, OperationRequest(Operation.CHANGE_AMOUNT, FollowUp.CAPTURE))
    assert approval.what == "金額変更の送信と実売上処理"
    assert effects(shop, order) == []
    attempt_id = agree(approval).attempt_id
    assert attempt_id is not None
    run_act(attempt_id)
    assert effects(shop, order) == [("CHANGE", 8000), ("SALES", 8000)]
    assert [row[2] for row in told(order)][-2:] == [SUZUKI, SUZUKI]


def test_what_changed_meanwhile_makes_it_void(app: Flask, shop: World, two: object) -> None:
    order = authorized_order(shop, total=8000)
    before = asked(order, acts.CAPTURE)
    correct(order, 7000)
    assert approvals.what_it_is(before).void == second_look.CHANGED
    with pytest.raises(RequestVoid, match="注文が変わりました"):
        agree(before)
    assert (approvals.get(before.id).state, effects(shop, order)) == (ApprovalState.VOID, [])
    correct(order, 8000)
    again = asked(order, acts.CAPTURE)
    correct(order, 7500)
    correct(order, 8000)  # the same yen, another version: who agrees cannot know
    third = asked(order, acts.CAPTURE)  # takes the place of the one that is no good any more
    assert approvals.get(again.id).state is ApprovalState.VOID
    late = time_machine.travel(utc_now() + EXPIRES_AFTER + timedelta(minutes=1), tick=True)
    with late, pytest.raises(RequestVoid, match="7日が過ぎました"):
        agree(third)
    assert approvals.get(third.id).state is ApprovalState.EXPIRED
    asked(order, acts.CAPTURE)
    correct(order, 8500)
    approvals.tidy()
    assert approvals.waiting() == []
    assert effects(shop, order) == []


def test_who_lost_the_right_asks_for_nothing(shop: World, two: tuple[Person, Person]) -> None:
    order = authorized_order(shop, total=8000)
    approval = asked(order, acts.CAPTURE)
    people_admin.set_rights(two[0].id, Role.VIEWER, is_active=True)
    with pytest.raises(RequestVoid, match="権限"):
        agree(approval)
    assert effects(shop, order) == []


def test_it_is_refused_with_a_reason_or_withdrawn(shop: World, two: object) -> None:
    order = authorized_order(shop, total=8000)
    form = seen(order)
    approval = asked(order, acts.CAPTURE, form)
    for nothing in ("", "  ", "あ" * 201):
        with pytest.raises(ShopError, match="理由"):
            approvals.refuse(approval.id, by=SUZUKI, reason=nothing)
    with pytest.raises(OwnRequest):
        approvals.refuse(approval.id, by="田中", reason="やめる")
    approvals.refuse(approval.id, by=SUZUKI, reason="金額が違う")
    with pytest.raises(NotPossible, match=r"「却下」です\(理由:金額が違う\)"):
        acts.open_attempt(order.id, acts.CAPTURE, form, TANAKA)  # the same form: no second request
    other = asked(order, acts.CAPTURE)
    with pytest.raises(ShopError, match="本人だけ"):
        approvals.withdraw(other.id, by=SUZUKI)
    approvals.withdraw(other.id, by="田中")
    with pytest.raises(AlreadyDecided, match="取り下げ"):
        agree(other)
    assert [event for event, *_ in recorded()] == [
        "approval_asked", "approval_refused", "approval_asked", "approval_withdrawn",
    ]  # fmt: skip
    assert effects(shop, order) == []


def test_a_run_counts_its_orders_together(app: Flask, shop: World, two: tuple[Person, ...]) -> None:
    orders = [authorized_order(shop, total=total, told=True) for total in (2000, 2500, 3000)]
    run_id = prepare(orders, two[0])
    assert runs.preview(run_id, two[0].id).yen_to_approve == 7500
    for _ in range(2):  # a double click
        with pytest.raises(ApprovalAsked) as waiting:
            runs.start(run_id, person_id=two[0].id)
    approval = approvals.get(waiting.value.approval_id)
    assert (approval.orders, approval.yen) == (3, 7500)
    with time_machine.travel(utc_now() + timedelta(days=3), tick=True):
        runs.tidy()  # what is not started for a day goes, but not what waits
    Worker(app).run(until_idle=True)
    assert [effects(shop, order) for order in orders] == [[], [], []]
    correct(orders[0], 2100)
    content = approvals.what_it_is(approval)
    assert (content.count, content.yen, content.left_out) == (2, 5500, 1)
    with pytest.raises(RunChanged):  # what 鈴木 saw was another sum (P20)
        agree(approval)
    done = approvals.approve(approval.id, by=SUZUKI, seen=(2, 5500))
    assert done.state is ApprovalState.APPROVED
    Worker(app).run(until_idle=True)
    assert [effects(shop, order) for order in orders] == [[], [("SALES", 2500)], [("SALES", 3000)]]
    db.session.rollback()
    assert [line.result for line in items(run_id)] == [
        ItemResult.SKIPPED, ItemResult.SUCCEEDED, ItemResult.SUCCEEDED,
    ]  # fmt: skip
    assert told(orders[1])[-1] == ("capture_done", "田中", SUZUKI)
    assert report.progress(run_id).captured_yen == 5500


def test_a_run_of_which_nobody_is_left_is_void(shop: World, two: tuple[Person, ...]) -> None:
    order = authorized_order(shop, total=8000)
    run_id = prepare([order], two[0])
    with pytest.raises(ApprovalAsked) as waiting:
        runs.start(run_id, person_id=two[0].id)
    correct(order, 7000)
    with pytest.raises(RequestVoid):
        agree(approvals.get(waiting.value.approval_id))
    assert db.session.get_one(BulkRun, run_id, populate_existing=True).started_at is None


def test_a_slip_file_waits_with_its_captures(app: Flask, shop: World, two: object) -> None:
    orders = [authorized_order(shop, total=3000) for _ in range(2)]
    run_id = prepare_slips(slip_file(*(slip(order) for order in orders)), CAPTURE)
    for _ in range(2):
        with pytest.raises(ApprovalAsked) as waiting:
            start_slips(run_id)
    approval = approvals.get(waiting.value.approval_id)
    assert (approval.orders, approval.yen) == (2, 6000)
    person = db.session.query(Person).filter_by(name="田中").one()
    with pytest.raises(ShopError, match="承認を待っています"):
        slips.change_terms(run_id, replace(CAPTURE, capture=False), person_id=person.id)
    for _ in range(6):  # newer files only looked at do not push it out
        prepare_slips(slip_file(slip(orders[0], f"9{_}")), CAPTURE)
    Worker(app).run(until_idle=True)
    assert [effects(shop, order) for order in orders] == [[], []]
    agree(approval)
    Worker(app).run(until_idle=True)
    for order in orders:
        assert effects(shop, order) == [("SALES", 3000)]
        assert fresh(order).deliveries[0].slip_no == "1234-5678"
    assert db.session.get_one(SlipRun, run_id, populate_existing=True).started_at is not None


def test_what_begins_without_anybody_else_asks_nobody_any_more(
    app: Flask, shop: World, two: tuple[Person, ...]
) -> None:
    orders = [authorized_order(shop, total=8000, told=True) for _ in range(2)]
    run_id = prepare(orders[:1], two[0])
    file_id = prepare_slips(slip_file(slip(orders[1])), CAPTURE)
    begin = partial(runs.start, run_id, person_id=two[0].id), partial(start_slips, file_id)
    for start in begin:
        with pytest.raises(ApprovalAsked):
            start()
    asked_for = approvals.waiting()
    settings.save("test", approve_captures_from=0)
    for start in begin:
        start()
    assert approvals.waiting() == []
    for approval in asked_for:
        with pytest.raises(AlreadyDecided, match="無効"):
            agree(approval)
    Worker(app).run(until_idle=True)
    assert [effects(shop, order) for order in orders] == [[("SALES", 8000)], [("SALES", 8000)]]


def test_the_end_of_a_request_is_recorded_after_its_orders_are_locked(
    shop: World, two: tuple[Person, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever acts on one order locks it and then writes 操作の記録: the other way round both would wait."""
    orders = [authorized_order(shop, total=8000, told=True) for _ in range(2)]
    run_id = prepare(orders[:1], two[0])
    file_id = prepare_slips(slip_file(slip(orders[1])), CAPTURE)
    begin = partial(runs.start, run_id, person_id=two[0].id), partial(start_slips, file_id)
    for start in begin:
        with pytest.raises(ApprovalAsked):
            start()
    settings.save("test", approve_captures_from=0)
    opened, record = [], second_look.record

    def look(session: Session, *about: Any, **said: Any) -> None:
        opened.append(session.query(Attempt).count())
        record(session, *about, **said)

    monkeypatch.setattr(second_look, "record", look)
    for start in begin:
        start()
    assert opened == [1, 2]


def test_a_program_that_asks_for_much_makes_no_long_list(
    shop: World, two: tuple[Person, Person]
) -> None:
    api_keys.create("倉庫", [Scope.CAPTURE], by="田中")
    program = Actor(ActorKind.API_KEY, "倉庫")
    for who in (program, TANAKA, program):
        order = authorized_order(shop, total=8000)
        with pytest.raises(ApprovalAsked):
            acts.open_attempt(order.id, OperationRequest(Operation.CAPTURE), seen(order), who)
    of_suzuki = frozenset([two[1].id])
    assert approvals.ids_of_others(approvals.waiting()) == [of_suzuki] * 3
    assert [one.actor for one in approvals.waiting(2)] == ["倉庫", "田中"]
    assert answer(approvals.waiting_question()).count == 3


def test_a_command_is_told_to_use_the_screen(shop: World, two: object) -> None:
    order = authorized_order(shop, total=8000)
    run_id = slips.prepare(
        slips.Uploaded(slip_file(slip(order))), CAPTURE, person_id=None, actor="コマンド"
    )
    with pytest.raises(ApprovalNeeded):
        slips.start(run_id, person_id=None, sum_confirmed=True)
    assert approvals.waiting() == []


def test_who_made_the_key_of_a_program_is_no_second_person(
    shop: World, two: tuple[Person, Person]
) -> None:
    api_keys.create("倉庫", [Scope.CAPTURE], by=SUZUKI)
    order = authorized_order(shop, total=8000)
    with pytest.raises(ApprovalAsked) as waiting:
        acts.open_attempt(order.id, acts.CAPTURE, seen(order), Actor.api_key("倉庫"))
    approval = approvals.get(waiting.value.approval_id)
    with pytest.raises(OwnRequest):
        agree(approval)
    assert approvals.others(approval) == ["田中"]
    api_keys.revoke(api_keys.all_keys()[0].prefix, by="test")
    with pytest.raises(RequestVoid, match="権限"):
        agree(approval, "田中")
    assert effects(shop, order) == []


def test_what_a_revoked_key_asked_for_is_void_whatever_else_is_called_so(
    app: Flask, shop: World, two: tuple[Person, Person]
) -> None:
    """Names of keys are not unique: a new one of the same name takes nothing over."""
    key = api_keys.recognize(api_keys.create("倉庫", [Scope.CAPTURE], by="田中"))
    program = Actor.api_key(key.name, key.key_id)
    orders = [authorized_order(shop, total=8000) for _ in range(2)]
    for order in orders:
        with pytest.raises(ApprovalAsked):
            acts.open_attempt(order.id, acts.CAPTURE, seen(order), program)
    first, second = approvals.waiting()
    api_keys.revoke(key.prefix, by=SUZUKI)
    api_keys.create("倉庫", [Scope.CAPTURE], by="田中")
    with pytest.raises(RequestVoid, match="APIキーが無効"):
        agree(first)
    approvals.tidy()
    db.session.rollback()
    assert approvals.get(second.id).state is ApprovalState.VOID
    Worker(app).run(until_idle=True)
    assert [effects(shop, order) for order in orders] == [[], []]


def test_of_twin_files_approved_at_once_one_is_void_in_words(
    app: Flask, shop: World, two: tuple[Person, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PostgreSQL does with two at once: neither sees the other start, the database refuses one."""
    order = authorized_order(shop, total=8000)
    content = slip_file(slip(order))
    for _ in range(2):
        run_id = slips.prepare(slips.Uploaded(content), CAPTURE, person_id=two[0].id, actor="田中")
        with pytest.raises(ApprovalAsked):
            slips.start(run_id, person_id=two[0].id)
    first, second = approvals.waiting()
    agree(first)
    monkeypatch.setattr(slips.runs, "_started", lambda _session, _fingerprint: None)
    with pytest.raises(RequestVoid, match="すでに処理されています"):
        agree(second)
    assert approvals.get(second.id).state is ApprovalState.VOID
    Worker(app).run(until_idle=True)
    assert effects(shop, order) == [("SALES", 8000)]


def test_no_entrance_opens_it_without_having_asked(shop: World, two: object) -> None:
    order = authorized_order(shop, total=8000)
    with writing() as session, pytest.raises(ApprovalNeeded):
        acts.open(session, [session.get_one(Order, order.id)], acts.CAPTURE, TANAKA)
    assert db.session.query(Attempt).count() == 0


def test_one_alone_cannot_switch_it_on(shop: World) -> None:
    make_person("店長", Role.OWNER)
    make_person("辞めた人", Role.OWNER, is_active=False)
    make_person("経理", Role.ACCOUNTANT)
    for name in ("approve_refunds_from", "approve_captures_from"):
        with pytest.raises(SettingRefused, match="2人以上"):
            settings.save("店長", **{name: 1})
    make_person("担当")
    assert settings.save("店長", approve_refunds_from="1,000") == ["approve_refunds_from"]
    assert settings.load().approve_refunds_from == 1000
    [change] = activities.newest(ActivityKind.SETTINGS, 1)[0].detail["changes"]
    assert change == ["approve_refunds_from", "0", "1000"]


def test_those_who_may_are_told_by_mail(
    app: Flask, shop: World, two: tuple[Person, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "MAIL_SERVER", "mail.example")
    everybody = [*two, make_person("佐藤", Role.VIEWER), make_person("高橋")]
    with writing():
        for number, person in enumerate(everybody):
            person.email, person.mail_kinds = f"p{number}@example.jp", [MailKind.APPROVAL.value]
    order = authorized_order(shop, total=8000)
    approval = asked(order, acts.CAPTURE)
    assert mails.look_for_occasions() == 2
    assert mails.look_for_occasions() == 0
    found = db.session.scalars(sa.select(Mail)).all()
    assert {mail.person_id for mail in found} == {two[1].id, everybody[3].id}
    content = mails.contents.content_of(found[0])
    assert content is not None
    assert (content.subject, content.rows[0].path) == (
        "承認の依頼: 実売上処理 ¥8,000",
        f"/approvals/{approval.id}",
    )
    approvals.withdraw(approval.id, by="田中")
    db.session.rollback()
    assert mails.contents.content_of(found[0]) is None


def test_what_a_program_asks_for_by_the_hundred_is_told_in_one_mail(
    app: Flask, shop: World, two: tuple[Person, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "MAIL_SERVER", "mail.example")
    with writing():
        two[1].email, two[1].mail_kinds = "suzuki@example.jp", [MailKind.APPROVAL.value]
    about = {"what": "実売上処理", "operation": Operation.CAPTURE, "orders": 1}
    api_keys.create("倉庫", [Scope.CAPTURE], by="田中")
    program = Actor.api_key("倉庫", api_keys.all_keys()[0].id)
    with writing() as session, time_machine.travel("2027-02-01T03:10:00Z"):
        for n in range(30):
            second_look.ask(session, program, yen=5000 + n, **about)
    with time_machine.travel("2027-02-01T03:50:00Z"):
        assert mails.look_for_occasions() == 5
        first = approvals.waiting(1)[0]
        approvals.refuse(first.id, by=SUZUKI, reason="重複")  # no other moves up in its place
        assert mails.look_for_occasions() == 0
        with writing() as session:
            second_look.ask(session, TANAKA, yen=9000, **about)
        assert mails.look_for_occasions() == 1  # a person's is told at once all the same
    with time_machine.travel("2027-02-01T04:02:01Z"):
        assert mails.look_for_occasions() == 1
        assert mails.look_for_occasions() == 0
    [hour] = db.session.scalars(sa.select(Mail).where(Mail.event.like("%T%")))
    content = mails.contents.content_of(hour)
    assert content is not None
    yen = sum(5000 + n for n in range(5, 30))
    assert content.subject == f"承認の依頼: 25件 ¥{yen:,}"
    assert len(content.rows) == 20
    assert content.ending.startswith("ほか5件")


def test_a_buyer_stays_while_a_refund_waits(shop: World, two: object) -> None:
    order = captured(shop)
    asked(order, cancellation(order))
    with writing() as session:
        order = session.get_one(Order, order.id)
        order.deliveries[0].status = order.deliveries[0].status
        why = erasing.why_stays(session, order)
    assert why in ("承認を待っている操作があります", "発送がまだです")


@pytest.mark.postgresql
@pytest.mark.parametrize("guarded", [True, False])
def test_of_two_who_agree_at_once_one_is_first(
    app: Flask, shop: World, two: object, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_person("高橋")
    order = captured(shop)
    approval = asked(order, cancellation(order))
    if not guarded:
        monkeypatch.setattr(
            "sgpshop.services.approvals.deciding._require_waiting", lambda _approval: None
        )
    names = [SUZUKI, "高橋"]
    results = all_at_once(app, lambda n: agree(approval, names[n]).decided_by, number=2)
    db.session.rollback()
    lost = [one for one in results if isinstance(one, AlreadyDecided)]
    if not guarded:
        assert lost == []  # else this test would not notice
        assert approvals.get(approval.id).state is ApprovalState.VOID  # and the books are wrong
        return
    [winner] = [one for one in results if isinstance(one, str)]
    assert len(lost) == 1
    assert db.session.query(Attempt).filter_by(operation=Operation.CANCEL).count() == 1
    now = approvals.get(approval.id)
    assert (now.state, now.decided_by) == (ApprovalState.APPROVED, winner)
    assert [event for event, *_ in recorded()] == ["approval_asked", "approval_given"]
