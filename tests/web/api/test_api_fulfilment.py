"""A warehouse's program: slip numbers, 配送完了 and 返送, and capture where it is asked for (R79-R82)."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import OnCaptureFailure
from sgpshop.extensions import db
from sgpshop.models import (
    ActorKind,
    Delivery,
    HistoryEntry,
    Order,
    Scope,
    SlipRow,
    SlipRun,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.access import api_keys
from sgpshop.services.bulk import runs
from sgpshop.services.dashboard import recent
from sgpshop.services.deliveries import slips
from sgpshop.services.deliveries.slips import handed_in
from sgpshop.services.deliveries.slips import writing as writing_module
from sgpshop.services.deliveries.slips.decisions import _CODES, code_of
from sgpshop.storage.database import writing
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, days_ago, fresh, make_order
from tests.gateway_world import Killed, World
from tests.services.acting import correct
from tests.web.api_calls import Program, problem

PATH = "/api/v1/fulfilments"


@pytest.fixture
def program(app: Flask) -> Program:
    return Program(app)


def order_in(app: Flask, world: World, **more: Any) -> Order:
    with app.app_context():
        return authorized_order(world, told=True, **more)


def parcel(**more: Any) -> dict[str, Any]:
    return {"status": "delivered", "carrier_code": "002", "slip_numbers": ["1234"]} | more


def of(order: Order, *parcels: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"order_no": order.order_no, "parcels": list(parcels or [parcel()]), **more}


def tell(program: Program, *orders: dict[str, Any], again: str = "", **more: Any) -> dict[str, Any]:
    answer = program.post(PATH, {"orders": list(orders), **more}, again=again)
    assert answer.status_code in (200, 202), answer.text
    said = dict(answer.get_json())
    assert answer.status_code == (200 if said["is_finished"] else 202)
    return said


def outcomes(said: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(one["result"], one["code"]) for order in said["orders"] for one in order["parcels"]]


def stored(app: Flask, order: Order) -> list[Delivery]:
    with app.app_context():
        db.session.rollback()
        return list(db.session.get_one(Order, order.id, populate_existing=True).deliveries)


def in_two(app: Flask, order: Order) -> None:
    with app.app_context(), writing() as session:
        [first] = session.query(Delivery).filter_by(order_id=order.id)
        first.number = 1
        session.add(Delivery(order_id=order.id, number=2, name="二"))


def test_slip_numbers_and_delivered(app: Flask, world: World, program: Program) -> None:
    order = order_in(app, world)
    said = tell(
        program,
        of(order, parcel(slip_numbers=["1234", "5678"], day=jst_day(utc_now()).isoformat())),
    )
    assert (said["failed"], outcomes(said)) == (0, [("done", None)])
    [one] = said["orders"]
    assert (one["processing_class"], one["payment_status"]) == ("delivered", "authorized")
    [found] = stored(app, order)
    assert (found.slip_no, found.more_slips, found.carrier_code) == ("1234", "5678", "002")
    assert found.status is DeliveryStatus.DELIVERED
    assert world.requests(order.order_no) == []  # no money moves unless that is asked for
    with app.app_context():
        entry = db.session.query(HistoryEntry).filter_by(event="slips_registered").one()
        assert entry.actor_kind is ActorKind.API_KEY


def test_a_wrong_slip_number_is_taken_away(app: Flask, world: World, program: Program) -> None:
    order = order_in(app, world)
    tell(program, of(order, parcel(slip_numbers=["1234", "5678"])))
    assert outcomes(tell(program, of(order, parcel(slip_numbers=["5678"])))) == [("done", None)]
    [found] = stored(app, order)
    assert (found.slip_no, found.more_slips) == ("5678", "")
    assert outcomes(tell(program, of(order, parcel(slip_numbers=None)))) == [("unchanged", None)]
    assert stored(app, order)[0].slip_no == "5678"


def test_what_a_program_said_is_forgotten_after_eight_weeks(
    app: Flask, world: World, program: Program
) -> None:
    order = order_in(app, world)
    before, later = (tell(program, of(order, parcel(slip_numbers=[no])))["id"] for no in "12")
    with app.app_context():
        with writing() as session:
            session.get_one(SlipRun, before).started_at = days_ago(57)
        runs.tidy()
        assert db.session.query(SlipRow.run_id).scalar() == later
    problem(program.get(f"{PATH}/{before}"), 404, "not_found")
    assert program.get(f"{PATH}/{later}").status_code == 200


def test_what_is_there_already_is_unchanged(app: Flask, world: World, program: Program) -> None:
    order = order_in(app, world)
    tell(program, of(order))
    assert outcomes(tell(program, of(order))) == [("unchanged", None)]


def test_what_is_not_said_stays(app: Flask, world: World, program: Program) -> None:
    order = order_in(app, world)
    tell(program, of(order, parcel(status="preparing", slip_numbers=["12", "34"])))
    tell(program, of(order, {"status": "delivered"}))
    [found] = stored(app, order)
    assert (found.slip_no, found.more_slips, found.carrier_code) == ("12", "34", "002")
    assert found.status is DeliveryStatus.DELIVERED


def test_goods_that_came_back(app: Flask, world: World, program: Program) -> None:
    order = order_in(app, world)
    tell(program, of(order))
    assert outcomes(tell(program, of(order, {"status": "returned"}))) == [("done", None)]
    [found] = stored(app, order)
    assert found.status is DeliveryStatus.RETURNED
    assert (found.slip_no, found.returned_on is not None) == ("1234", True)
    assert outcomes(tell(program, of(order))) == [("failed", "moves_back")]


def test_each_order_has_an_answer_of_its_own(app: Flask, world: World, program: Program) -> None:
    with app.app_context():
        cancelled = make_order(status=PaymentStatus.CANCELLED, told=True)
        unsure = make_order(status=PaymentStatus.NEEDS_REVIEW, told=True)
    good, two = order_in(app, world), order_in(app, world)
    in_two(app, two)
    said = tell(
        program,
        of(cancelled),
        of(unsure),
        of(good, parcel(day="2026-11-01")),
        {"order_no": "P404", "parcels": [parcel()]},
        of(two, parcel(number=1), parcel(number=2, slip_numbers=["99"]), parcel(number=3)),
    )
    assert outcomes(said) == [
        ("failed", "cancelled"),
        ("failed", "needs_review"),
        ("failed", "bad_day"),
        ("failed", "not_found"),
        ("done", None),
        ("done", None),
        ("failed", "no_such_parcel"),
    ]
    assert said["failed"] == 5
    assert [one.slip_no for one in stored(app, two)] == ["1234", "99"]
    assert said["orders"][3] | {"version": None, "payment_status": None} == said["orders"][3]


def test_an_order_that_is_not_as_it_was_seen_stays(
    app: Flask, world: World, program: Program
) -> None:
    order = order_in(app, world)
    for seen, code in (
        ({"version": 7}, "stale"),
        ({"version": 7, "amount": 1}, "stale"),
        ({"amount": 1}, "amount_differs"),
        ({"version": 1, "amount": 1}, "amount_differs"),
    ):
        assert outcomes(tell(program, of(order, **seen))) == [("failed", code)]
    [found] = stored(app, order)
    assert found.status is DeliveryStatus.UNPROCESSED


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("moment", "capture"), [("_start", False), ("_start", True), ("_work_off", False)]
)
def test_nor_is_it_touched_when_it_changes_before_it_is_carried_out(
    app: Flask,
    world: World,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    *,
    capture: bool,
) -> None:
    """Somebody corrects it just then; the program saw it as it was before."""
    order, other = order_in(app, world), order_in(app, world)
    carry_on = getattr(handed_in, moment)

    def changed(*given: Any, **more: Any) -> Any:
        monkeypatch.setattr(handed_in, moment, carry_on)
        correct(order, 2000)
        return carry_on(*given, **more)

    monkeypatch.setattr(handed_in, moment, changed)
    with app.app_context():
        settings.save("田中", on_capture_failure=OnCaptureFailure.KEEP.value)
        seen = {"version": fresh(order).version, "amount": 3000}
    said = tell(program, of(order, **seen), of(other, amount=3000), capture=capture)
    assert outcomes(said)[0] == ("failed", "stale")
    assert outcomes(said)[1][0] in ("done", "waiting")
    [found] = stored(app, order)
    assert (found.status, found.slip_no) == (DeliveryStatus.UNPROCESSED, "")
    assert world.sales(order.order_no) == 0


def test_a_call_that_died_finds_it_changed_when_it_comes_again(
    app: Flask, world: World, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = order_in(app, world)
    with app.app_context():
        said = of(order, version=fresh(order).version)

    def dies(*_given: Any, **_more: Any) -> Any:
        raise Killed

    with monkeypatch.context() as killed:
        killed.setattr(handed_in, "_start", dies)
        with pytest.raises(Killed):
            tell(program, said, again="call-1")
    with app.app_context():
        correct(order, 2000)
    assert outcomes(tell(program, said, again="call-1")) == [("failed", "stale")]
    [found] = stored(app, order)
    assert found.status is DeliveryStatus.UNPROCESSED


class TestCapturing:
    def test_with_the_last_parcel(self, app: Flask, world: World, program: Program) -> None:
        order = order_in(app, world)
        in_two(app, order)
        said = tell(program, of(order, parcel(number=1), amount=3000), capture=True)
        assert outcomes(said) == [("done", None)]
        assert world.sales(order.order_no) == 0
        said = tell(program, of(order, parcel(number=2), amount=3000), capture=True)
        assert outcomes(said) == [("done", None)]
        assert said["orders"][0]["payment_status"] == "captured"
        assert world.sales(order.order_no) == 1

    def test_of_many_goes_on_by_itself(self, app: Flask, world: World, program: Program) -> None:
        orders = [order_in(app, world) for _ in range(3)]
        said = tell(program, *(of(order, amount=3000) for order in orders), capture=True)
        assert {result for result, _ in outcomes(said)} == {"waiting"}
        with app.app_context():
            Worker(app).run(until_idle=True)
        now = program.get(f"{PATH}/{said['id']}").get_json()
        assert outcomes(now) == [("done", None)] * 3
        assert {one["payment_status"] for one in now["orders"]} == {"captured"}

    def test_of_another_amount_does_nothing(
        self, app: Flask, world: World, program: Program
    ) -> None:
        order = order_in(app, world)
        said = tell(program, of(order, amount=2999), capture=True)
        assert outcomes(said) == [("failed", "amount_differs")]
        assert world.requests(order.order_no) == []
        [found] = stored(app, order)
        assert found.slip_no == ""

    def test_refused_by_the_card_company(self, app: Flask, world: World, program: Program) -> None:
        with app.app_context():
            settings.save("test", on_capture_failure="skip")
        order = order_in(app, world)
        world.fault("error:42G120000", "AlterTran")
        said = tell(program, of(order, amount=3000), capture=True)
        assert outcomes(said) == [("failed", "capture_failed")]
        [one] = said["orders"][0]["parcels"]
        assert (one["error_codes"], one["is_registered"]) == (["42G120000"], False)

    def test_a_lost_answer_is_uncertain(self, app: Flask, world: World, program: Program) -> None:
        order = order_in(app, world)
        world.fault("drop_after", "AlterTran")
        said = tell(program, of(order, amount=3000), capture=True)
        assert outcomes(said) == [("uncertain", None)]

    def test_much_is_confirmed_first(self, app: Flask, world: World, program: Program) -> None:
        order = order_in(app, world, total=1_000_001)
        body = {"orders": [of(order, amount=1_000_001)], "capture": True}
        problem(program.post(PATH, body), 422, "large_amount_not_confirmed")
        assert world.requests(order.order_no) == []
        body["confirm_large_amount"] = True
        assert program.post(PATH, body).get_json()["orders"][0]["payment_status"] == "captured"

    def test_needs_its_own_scope_and_the_amount(
        self, app: Flask, world: World, program: Program
    ) -> None:
        order = order_in(app, world)
        warehouse = Program(app, Scope.FULFIL)
        body = {"orders": [of(order, amount=3000)], "capture": True}
        problem(warehouse.post(PATH, body), 403, "forbidden")
        del body["orders"][0]["amount"]  # type: ignore[index]
        said = problem(program.post(PATH, body), 422, "invalid")
        assert [one["pointer"] for one in said["errors"]] == ["/orders/0/amount"]
        assert outcomes(tell(warehouse, of(order))) == [("done", None)]


def test_the_same_request_again_is_one(app: Flask, world: World, program: Program) -> None:
    order = order_in(app, world)
    first = tell(program, of(order), again="w-1")
    assert tell(program, of(order), again="w-1") == first
    with app.app_context():
        assert db.session.query(SlipRun).count() == 1


def test_a_run_is_told_to_its_own_key_alone(app: Flask, world: World, program: Program) -> None:
    said = tell(program, of(order_in(app, world)))
    path = f"{PATH}/{said['id']}"
    assert program.get(path).get_json() == said
    problem(Program(app).get(path), 404, "not_found")
    problem(program.get(f"{PATH}/{'0' * 32}"), 404, "not_found")


def test_other_keys_may_not(app: Flask, world: World) -> None:
    seller = Program(app, Scope.INTAKE, Scope.READ, Scope.CAPTURE)
    problem(seller.post(PATH, {"orders": [of(order_in(app, world))]}), 403, "forbidden")


@pytest.mark.parametrize(
    ("orders", "pointer"),
    [
        ([{"order_no": "P1", "parcels": [parcel()]}] * 2, "/orders/1/order_no"),
        ([{"order_no": "P1", "parcels": []}], "/orders/0/parcels"),
        ([{"order_no": "P1", "parcels": [parcel(status="lost")]}], "/orders/0/parcels/0/status"),
        (
            [{"order_no": "P1", "parcels": [parcel(carrier_code="005")]}],
            "/orders/0/parcels/0/carrier_code",
        ),
        ([], "/orders"),
    ],
)
def test_what_makes_no_sense_is_refused(program: Program, orders: Any, pointer: str) -> None:
    said = problem(program.post(PATH, {"orders": orders}), 422, "invalid")
    assert [one["pointer"] for one in said["errors"]] == [pointer]


def test_what_programs_say_is_no_file_of_anybody(
    app: Flask, world: World, program: Program
) -> None:
    tell(program, of(order_in(app, world)))
    with app.app_context():
        assert list(slips.recent(20)) == []
        assert recent.recent() == []
        assert len(api_keys.all_keys()) == 1


def test_every_label_of_a_problem_has_a_code() -> None:
    for label, code in _CODES.items():
        assert code_of(f"{label}：理由") == code
    assert code_of("3行目と重複しています。") == "duplicate"
    done = "実売上処理は完了しましたが、登録できませんでした。処理中：待ち"
    assert code_of(done) == "busy"
    assert code_of("カード会社に断られました。") == "capture_failed"


def test_more_parcels_than_are_begun_at_once_are_refused(app: Flask, program: Program) -> None:
    orders = [{"order_no": f"P{n}", "parcels": [parcel()] * 50} for n in range(21)]
    refused = program.post(PATH, {"orders": orders})
    assert problem(refused, 422, "invalid")["errors"] == [
        {
            "pointer": "/orders",
            "detail": "お届け先は合わせて1,000件までです。何回かに分けて送ってください。",
        }
    ]
    with app.app_context():
        assert db.session.query(SlipRun).count() == 0


def test_orders_of_many_parcels_are_written_a_few_at_a_time(
    app: Flask, world: World, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction takes so many rows, whole orders, so that nobody else waits for the database."""
    orders = [order_in(app, world) for _ in range(3)]
    for order in orders:
        in_two(app, order)
    at_once: list[int] = []
    write = writing_module._write

    def counted(session: Any, run: Any, groups: Any, *more: Any) -> None:
        at_once.append(sum(len(rows) for _, rows in groups))
        write(session, run, groups, *more)

    monkeypatch.setattr(writing_module, "_write", counted)
    monkeypatch.setattr(writing_module, "_CHUNK", 3)
    said = tell(program, *(of(one, parcel(number=1), parcel(number=2)) for one in orders))
    assert outcomes(said) == [("done", None)] * 6
    assert at_once == [4, 2]
