"""2段階認証 (`/account/second-factor`): set up, signing in with it, lost, wanted by the shop (S2, S3, S5)."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from datetime import timedelta

import pyotp
import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.cli import commands
from sgpshop.extensions import db
from sgpshop.models import LoginSession, Person, RecoveryCode, Role, utc_now
from sgpshop.services import settings
from sgpshop.services.access import one_time_codes, sessions
from sgpshop.services.access.sessions import key_of
from sgpshop.storage.database import writing
from tests.forms import hidden_of
from tests.signing_in import PASSWORD, make_person, signed_in
from tests.web.frame.test_auth import enter
from tests.web.pages import flat
from tests.web.settings.test_people_screen import let_time_pass, post

URL = "/account/second-factor"


def seed_on(page: TestResponse) -> str:
    """The seed as a telephone reads it from the page."""
    found = re.search(r"otpauth://totp/\S+?secret=([A-Z2-7]+)", page.text)
    assert found is not None
    return found[1]


def code(seed: str, *, later: int = 0) -> str:
    """What the telephone shows now, or so many spans of 30 seconds later."""
    return pyotp.TOTP(seed).at(int(time.time()) + 30 * later)


def set_up(client: FlaskClient, page: str = URL) -> tuple[str, list[str]]:
    """The seed that is in use then, and the 予備コード."""
    shown = client.get(page)
    seed = seed_on(shown)
    answer = client.post(URL, data=hidden_of(shown) | {"code": code(seed)})
    assert answer.status_code == 200
    return seed, re.findall(r"[A-Z2-9]{4}(?:-[A-Z2-9]{4}){5}", answer.text)


def second(client: FlaskClient, page: TestResponse, **typed: str) -> TestResponse:
    """Send the form of the second step."""
    return client.post("/login/code", data=hidden_of(page) | typed)


@pytest.fixture
def tanaka(app: Flask) -> FlaskClient:
    """田中's browser; she has not set anything up."""
    return signed_in(app, Role.OPERATOR, "田中")


def test_a_code_is_wanted_besides_the_password(app: Flask, tanaka: FlaskClient) -> None:  # S2
    seed, _ = set_up(tanaka)
    assert "設定済みです" in flat(tanaka.get(URL))
    browser = app.test_client()
    page = enter(browser)
    assert (page.status_code, "認証コード(6桁)" in page.text) == (200, True)
    assert browser.get("/orders").location.startswith("/login")  # not yet
    entered = second(browser, page, code=code(seed, later=1))
    assert (entered.status_code, entered.location) == (303, "/")
    assert browser.get("/orders").status_code == 200


def test_codes_may_be_typed_as_people_type(app: Flask, tanaka: FlaskClient) -> None:
    seed, _ = set_up(tanaka)
    browser = app.test_client()
    now = code(seed, later=1)
    wide = f"{now[:3]} {now[3:]}".translate({ord("0") + n: ord("0") + n for n in range(10)})
    assert second(browser, enter(browser), code=wide).status_code == 303


def test_a_code_works_once(app: Flask, tanaka: FlaskClient) -> None:  # S2
    with time_machine.travel(time.time(), tick=False) as clock:
        seed, _ = set_up(tanaka)
        browser = app.test_client()
        used = second(browser, enter(browser), code=code(seed))  # that of the set-up
        assert (used.status_code, "すでに使われています" in used.text) == (422, True)
        clock.shift(timedelta(seconds=30))
        assert second(browser, used, code=code(seed)).status_code == 303
        other = app.test_client()
        assert second(other, enter(other), code=code(seed)).status_code == 422
        assert second(other, enter(other), code=code(seed, later=-1)).status_code == 422
        clock.shift(timedelta(seconds=90))
        assert second(other, enter(other), code=code(seed, later=-2)).status_code == 422
        assert second(other, enter(other), code=code(seed)).status_code == 303


@pytest.mark.postgresql
def test_of_two_who_send_the_same_code_at_once_one_gets_in(
    app: Flask, tanaka: FlaskClient
) -> None:  # S2
    seed, _ = set_up(tanaka)
    with app.app_context(), pytest.raises(sessions.CodeNeeded) as wanted:
        sessions.sign_in("田中", PASSWORD, address="192.0.2.7", browser="")
    now, got = code(seed, later=1), []

    def try_it() -> None:
        with app.app_context():
            try:
                sessions.sign_in_second(
                    wanted.value.step,
                    lambda session, person: one_time_codes.use(session, person, now),
                    address="192.0.2.7",
                    browser="",
                )
                got.append("in")
            except Exception as refused:
                got.append(type(refused).__name__)

    threads = [threading.Thread(target=try_it) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["CodeRefused", "CodeRefused", "in"]


def test_the_second_step_has_a_limit_of_its_own(app: Flask, tanaka: FlaskClient) -> None:  # S2
    seed, _ = set_up(tanaka)
    browser = app.test_client()
    with time_machine.travel(time.time(), tick=False) as clock:
        page = enter(browser)
        wrong = f"{(int(code(seed)) + 1) % 1_000_000:06}"
        statuses = [second(browser, page, code=wrong).status_code for _ in range(5)]
        assert statuses == [422] * 5
        shut = second(browser, page, code=code(seed, later=1))  # the right one does not help now
        assert (shut.status_code, shut.headers["Retry-After"]) == (429, "300")
        clock.shift(timedelta(seconds=301))
        late = second(browser, page, code=code(seed))  # the password is too long ago
        assert (late.status_code, "ユーザー名とパスワードから" in late.text) == (422, True)
        assert second(browser, enter(browser), code=code(seed)).status_code == 303


def test_what_the_password_opened_is_shut_by_another_password(
    app: Flask, tanaka: FlaskClient
) -> None:  # S3
    seed, _ = set_up(tanaka)
    browser = app.test_client()
    page = enter(browser)
    typed = {"current_password": PASSWORD} | dict.fromkeys(
        ("password", "password_again"), "another good passphrase"
    )
    assert post(tanaka, "/account/password", page="/account", **typed).status_code == 303
    late = second(browser, page, code=code(seed, later=1))
    assert (late.status_code, "もう一度ユーザー名とパスワードから" in late.text) == (422, True)
    assert browser.get("/orders").location.startswith("/login")


@pytest.mark.parametrize("step", ["", "v1.abc", "x" * 5000])
def test_the_second_step_alone_opens_nothing(client: FlaskClient, step: str) -> None:
    page = client.get("/login")
    answer = client.post(
        "/login/code", data=hidden_of(page) | {"second_step": step, "code": "123456"}
    )
    assert answer.status_code == 422
    assert client.get("/login/code").location == "/login"


def test_a_recovery_code_opens_once(app: Flask, tanaka: FlaskClient) -> None:
    _, codes = set_up(tanaka)
    assert len(set(codes)) == 10
    browser = app.test_client()
    typed = codes[0].lower().replace("-", " ")
    assert second(browser, enter(browser), recovery_code=typed).status_code == 303
    assert "予備コードを1つ使いました(残り9個)" in flat(browser.get("/account"))
    other = app.test_client()
    assert second(other, enter(other), recovery_code=codes[0]).status_code == 422
    renewed = post(browser, f"{URL}/codes", page=URL)
    assert renewed.status_code == 200
    assert codes[1] not in renewed.text
    assert second(other, enter(other), recovery_code=codes[1]).status_code == 422


def test_a_recovery_code_of_before_is_good_until_it_is_used(
    app: Flask, tanaka: FlaskClient
) -> None:
    set_up(tanaka)
    old = "ABCDEFGHJKMNPQRS"  # they had 16 signs
    with app.app_context():
        person = db.session.query(Person).filter_by(name="田中").one()
        kept = hashlib.sha256(old.encode()).hexdigest()
        db.session.add(RecoveryCode(person_id=person.id, code_hash=kept))
        db.session.commit()
    for status in (303, 422):
        browser = app.test_client()
        assert second(browser, enter(browser), recovery_code=old).status_code == status


def test_neither_seed_nor_codes_lie_open(app: Flask, tanaka: FlaskClient) -> None:  # S10
    seed, codes = set_up(tanaka)
    with app.app_context():
        person = db.session.scalars(sa.select(Person)).one()
        kept = [str(person.totp_sealed), *db.session.scalars(sa.select(RecoveryCode.code_hash))]
    assert not any(seed in one or codes[0].replace("-", "") in one for one in kept)
    for page in (tanaka.get(URL), tanaka.get("/account")):
        assert seed not in page.text
        assert codes[0] not in page.text


def test_a_wrong_first_code_sets_nothing_up_and_keeps_the_picture(tanaka: FlaskClient) -> None:
    page = tanaka.get(URL)
    seed = seed_on(page)
    wrong = f"{(int(code(seed)) + 1) % 1_000_000:06}"
    again = tanaka.post(URL, data=hidden_of(page) | {"code": wrong})
    assert (again.status_code, seed_on(again)) == (422, seed)
    assert "<svg" in again.text
    assert tanaka.post(URL, data=hidden_of(again) | {"code": code(seed)}).status_code == 200


def test_a_picture_of_somebody_else_or_of_yesterday_sets_nothing_up(
    app: Flask, tanaka: FlaskClient
) -> None:
    other = signed_in(app, Role.VIEWER, "見学")
    page = other.get(URL)
    stolen = hidden_of(page)["set_up_secret"]
    fields = {"set_up_secret": stolen, "code": code(seed_on(page))}
    answer = tanaka.post(URL, data=hidden_of(tanaka.get(URL)) | fields)
    assert answer.status_code == 422
    assert seed_on(answer) != seed_on(page)
    own = tanaka.get(URL)
    with time_machine.travel(time.time() + 3601):
        with app.app_context(), writing() as session:  # used since, so it is not over
            session.execute(sa.update(LoginSession).values(seen_at=utc_now()))
        late = tanaka.post(
            URL, data=hidden_of(own) | {"code": code(seed_on(own)), "current_password": PASSWORD}
        )
    assert "新しいQRコード" in late.text
    with app.app_context():
        assert db.session.scalars(sa.select(Person.totp_sealed)).all() == [None, None]


def test_other_sessions_end_at_the_set_up_and_this_one_stays(
    app: Flask, tanaka: FlaskClient
) -> None:  # S3
    with app.app_context(), writing() as session:
        session.add(LoginSession(id=key_of("elsewhere"), person_id=1))
    set_up(tanaka)
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count(LoginSession.id))) == 1
    assert tanaka.get("/orders").status_code == 200


def test_password_or_code_is_asked_for_again(app: Flask, tanaka: FlaskClient) -> None:  # S5
    let_time_pass(app)
    page = tanaka.get(URL)
    fields = hidden_of(page) | {"code": code(seed_on(page))}
    assert tanaka.post(URL, data=fields).status_code == 422
    assert tanaka.post(URL, data=fields | {"current_password": "wrong one"}).status_code == 422
    assert tanaka.post(URL, data=fields | {"current_password": PASSWORD}).status_code == 200
    seed = seed_on(page)
    let_time_pass(app)
    for act in ("codes", "off"):
        asked = post(tanaka, f"{URL}/{act}", page=URL)
        assert (asked.status_code, "パスワードまたは認証コード" in asked.text) == (422, True)
    used = post(tanaka, f"{URL}/off", page=URL, current_password=fields["code"])
    assert used.status_code == 422  # that of the set-up
    right = code(seed, later=1)
    assert post(tanaka, f"{URL}/off", page=URL, current_password=right).status_code == 303
    assert enter(app.test_client()).status_code == 303  # the password alone


def test_guesses_at_the_code_asked_for_again_are_counted(app: Flask, tanaka: FlaskClient) -> None:
    seed, _ = set_up(tanaka)
    let_time_pass(app)
    wrong = f"{(int(code(seed)) + 1) % 1_000_000:06}"
    got = [
        post(tanaka, f"{URL}/off", page=URL, current_password=wrong).status_code for _ in range(6)
    ]
    assert got == [422] * 5 + [429]


def test_another_telephone_takes_the_place_of_the_first(app: Flask, tanaka: FlaskClient) -> None:
    first, codes = set_up(tanaka)
    new, _ = set_up(tanaka, f"{URL}?again=1")
    browser = app.test_client()
    assert second(browser, enter(browser), code=code(first, later=1)).status_code == 422
    assert second(browser, enter(browser), recovery_code=codes[0]).status_code == 422
    assert second(browser, enter(browser), code=code(new, later=1)).status_code == 303


def test_who_lost_everything_is_let_in_by_an_owner(app: Flask, tanaka: FlaskClient) -> None:
    set_up(tanaka)
    owner = signed_in(app, Role.OWNER, "店長")
    person = "/settings/people/1"
    assert 'value="second"' in owner.get(person).text
    let_time_pass(app)
    assert post(owner, person, act="second").status_code == 422  # S5
    assert post(owner, person, act="second", current_password=PASSWORD).status_code == 303
    assert tanaka.get("/orders").location.startswith("/login")  # S3
    assert enter(app.test_client()).status_code == 303
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count(RecoveryCode.id))) == 0
    assert 'value="second"' not in owner.get(person).text


def test_or_by_a_command(app: Flask, tanaka: FlaskClient) -> None:
    set_up(tanaka)
    runner = app.test_cli_runner()
    assert runner.invoke(commands, ["reset-second-factor", "誰か"]).exit_code == 1
    assert runner.invoke(commands, ["reset-second-factor", "田中"]).exit_code == 0
    assert enter(app.test_client()).status_code == 303


class TestWantedByTheShop:
    """An owner may require it of owners, or of everybody (S2)."""

    def require(self, app: Flask, whom: str) -> None:
        with app.app_context():
            settings.save("test", second_factor_for=whom)

    def test_nobody_works_without_it(self, app: Flask, tanaka: FlaskClient) -> None:
        self.require(app, "all")
        for path in ("/", "/orders", "/account", "/settings/sgp"):
            answer = tanaka.get(path)
            assert (answer.status_code, answer.location) in {(303, URL), (403, None)}
        fragment = tanaka.get("/orders", headers={"HX-Request": "true"})
        assert fragment.headers["HX-Redirect"] == URL
        page = tanaka.get(URL)
        assert "2段階認証が必須です" in page.text
        sent = tanaka.post("/account/shortcuts", data=hidden_of(page))
        assert (sent.status_code, sent.location) == (303, URL)
        assert "操作はまだ行っていません" in tanaka.get(URL).text
        set_up(tanaka)
        assert tanaka.get("/orders").status_code == 200
        assert post(tanaka, f"{URL}/off", page=URL).status_code == 422
        assert "必須のため、解除できません" in tanaka.get(URL).text

    def test_or_owners_alone(self, app: Flask, tanaka: FlaskClient) -> None:
        owner = signed_in(app, Role.OWNER, "店長")
        page = "/settings/people"
        chosen = {"second_factor_for": "owners"}
        let_time_pass(app)
        assert post(owner, f"{page}/second-factor", page=page, **chosen).status_code == 422  # S5
        right = chosen | {"current_password": PASSWORD}
        assert post(owner, f"{page}/second-factor", page=page, **right).status_code == 303
        assert tanaka.get("/orders").status_code == 200
        assert owner.get("/orders").location == URL
        set_up(owner)
        assert owner.get("/orders").status_code == 200
        assert "設定済み" in owner.get(page).text

    def test_a_choice_that_is_none_is_refused(self, app: Flask) -> None:
        owner = signed_in(app, Role.OWNER, "店長")
        page = "/settings/people"
        answer = post(owner, f"{page}/second-factor", page=page, second_factor_for="x")
        assert answer.status_code == 422


def test_a_form_that_came_after_the_end_is_carried_over_both_steps(
    app: Flask, tanaka: FlaskClient
) -> None:  # S3
    seed, _ = set_up(tanaka)
    with app.app_context(), writing() as session:
        session.execute(sa.delete(LoginSession))
    late = tanaka.post("/slips", data={"pasted": "P1,0,002,1234"})
    page = tanaka.post(
        "/login?next=/slips", data=hidden_of(late) | {"name": "田中", "password": PASSWORD}
    )
    assert "認証コード(6桁)" in page.text
    again = second(tanaka, page, code=code(seed, later=1))
    assert "「伝票番号の読み込み」はまだ行っていません" in again.text
    assert hidden_of(again)["pasted"] == "P1,0,002,1234"


def test_somebody_disabled_meanwhile_stays_out(app: Flask, tanaka: FlaskClient) -> None:
    seed, _ = set_up(tanaka)
    browser = app.test_client()
    page = enter(browser)
    with app.app_context(), writing() as session:
        session.execute(sa.update(Person).values(is_active=False))
    assert second(browser, page, code=code(seed, later=1)).status_code == 422


def test_nobody_learns_from_the_first_step_who_has_a_second(
    app: Flask, tanaka: FlaskClient
) -> None:
    set_up(tanaka)
    with app.app_context():
        make_person("鈴木")
    refused = {
        enter(app.test_client(), name=name, password="wrong").status_code
        for name in ("田中", "鈴木", "誰か")
    }
    assert refused == {422}
