"""SGP:クレジットカードの設定 (`/settings/sgp`): R2-R6, R83-R87, R107, S5, S10."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import ShopCredentials
from sgpshop.models import (
    ActorKind,
    Attempt,
    AttemptState,
    LoginAttempt,
    LoginSession,
    Operation,
    Order,
    OrderKind,
    Role,
    Setting,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.access import activities
from sgpshop.services.payments import gateway_access
from sgpshop.services.settings.rules import RULES, SECRETS
from sgpshop.storage import vault, waiting
from sgpshop.storage.database import writing
from sgpshop.web.settings.file_settings import SCREENS as FILE_SCREENS
from tests.factories import authorized_order, fresh, make_order
from tests.forms import form_of, hidden_of, token_of
from tests.gateway_world import World
from tests.signing_in import PASSWORD, signed_in
from tests.web.pages import flat

FORM = {
    "site_id": "tsite00000001",
    "site_pass": "sitepass01",
    "shop_id": "tshop00000001",
    "shop_pass": "shoppass01",
    "auth_valid_days": "45",
    "needs_review_alert_hours": "12",
    "bulk_max": "300",
    "cancel_lock_minutes": "30",
    "extend_auth_enabled": "True",
    "tax_included": "True",
    "tax_rounding": "down",
    "enabled": "True",
    "title": "カード払い",
    "guide": "<b>1回払い</b>のみです。",
    "sales_mode": "auth_then_capture",
    "capture_on_slip": "True",
    "on_capture_failure": "keep",
    "three_ds_optional": "True",
    "subscription_enabled": "True",
    "billing_mode": "refresh_bulk_auth",
    "billing_driver": "api",
    "billing_day": "8",
    "shop_name": "お茶の見本堂",
    "shop_address": "見本県見本市1-2-3",
    "shop_tel": "03-0000-0000",
    "invoice_number": "T0000000000000",
}
URL = "/settings/sgp"


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OWNER, "店長")


def save(client: FlaskClient, **changed: str) -> TestResponse:
    token = token_of(client.get(URL))
    return client.post(URL, data={"csrf_token": token} | FORM | changed)


def test_the_contract_is_stored_and_shown(app: Flask, owner: FlaskClient) -> None:
    assert save(owner).status_code == 303
    page = owner.get(URL).text
    assert "設定を保存しました。" in page
    for shown in ("tsite00000001", "tshop00000001", 'value="45"', 'value="12"', 'value="300"'):
        assert shown in page
    with app.app_context():
        assert settings.load().has_contract  # R2


def test_passwords_are_never_shown(app: Flask, owner: FlaskClient) -> None:  # R86, S10
    assert "未登録です" in owner.get(URL).text
    save(owner)
    page = owner.get(URL).text
    assert "登録済みです" in page
    refused = save(owner, auth_valid_days="0")
    for text in (page, refused.text):
        assert "shoppass01" not in text
        assert "sitepass01" not in text
    with app.app_context():
        stored = " ".join(db.session.scalars(sa.select(Setting.value)))
        assert "shoppass01" not in stored
        assert "sitepass01" not in stored


def test_an_empty_password_keeps_the_old_one(app: Flask, owner: FlaskClient) -> None:
    save(owner)
    with app.app_context():
        before = settings.load()
    save(owner, shop_pass="", site_pass="", bulk_max="400")
    with app.app_context():
        after = settings.load()
    assert after.shop_pass_sealed == before.shop_pass_sealed
    assert after.bulk_max == 400


def test_the_names_of_changed_fields_are_logged_and_nothing_more(
    owner: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:  # R86
    save(owner)
    text = capsys.readouterr().out
    assert "settings_changed" in text
    assert '"shop_pass"' in text
    assert "店長" in text
    for value in ("shoppass01", "sitepass01", "tshop00000001"):
        assert value not in text


def test_a_value_that_cannot_be_used_is_explained_beside_its_field(
    app: Flask, owner: FlaskClient
) -> None:
    for field, value in (
        ("shop_id", "tshop-0000001"),  # R6
        ("shop_id", "t" * 14),
        ("shop_id", "ショップ"),
        ("site_id", "tsite00000001\n"),
        ("site_id", "<script>"),
        ("shop_pass", "パスワード"),
        ("auth_valid_days", "0"),
        ("auth_valid_days", "91"),
        ("auth_valid_days", "六十"),
        ("auth_valid_days", ""),
        ("needs_review_alert_hours", "-1"),
        ("bulk_max", "0"),
        ("bulk_max", "99999999999999999999"),
        ("title", "あ" * 16),
        ("shop_tel", "電話"),
        ("invoice_number", "T123"),
        ("billing_day", "11"),
    ):
        answer = save(owner, **{field: value})
        assert answer.status_code == 422, (field, value)
        assert f'id="{field}-error"' in answer.text, value
        assert f"{field}-error" in answer.text.split(f'name="{field}"')[0].rsplit("<input", 1)[1]
        assert "ください" in answer.text
        with app.app_context():
            assert settings.load() == settings.ShopSettings()


def test_another_contract_is_refused_beside_its_field_while_a_payment_is_in_doubt(
    app: Flask, owner: FlaskClient
) -> None:
    save(owner)
    with app.app_context():
        in_doubt(make_order())
    answer = save(owner, shop_id="tshop00000002", bulk_max="400")
    assert answer.status_code == 422
    assert 'id="shop_id-error"' in answer.text
    assert "処理がすべて終わってから、もう一度変更してください" in answer.text
    with app.app_context():
        now = settings.load()
    assert (now.shop_id, now.bulk_max) == ("tshop00000001", int(FORM["bulk_max"]))


def in_doubt(order: Order) -> None:
    """A capture of `order` whose answer was lost."""
    assert order.transaction is not None
    with writing() as session:
        session.add(
            Attempt(
                order_id=order.id,
                transaction_id=order.transaction.id,
                operation=Operation.CAPTURE,
                state=AttemptState.UNKNOWN,
                amount=order.total,
                gateway_order_id=order.order_no,
                actor_kind=ActorKind.PERSON,
                actor="田中",
                status_before=order.payment_status,
            )
        )


def test_fields_that_are_not_ours_to_set_are_ignored(app: Flask, owner: FlaskClient) -> None:  # S4
    save(owner, shop_pass_sealed="x", notify_salt="00", no_such_setting="x")
    with app.app_context():
        now = settings.load()
    assert now.shop_pass_sealed != "x"
    assert now.notify_salt == ""


def test_a_field_that_was_not_sent_stays(app: Flask, owner: FlaskClient) -> None:
    save(owner)
    token = token_of(owner.get(URL))
    numbers = {name: FORM[name] for name in FORM if name not in ("site_id", "shop_id")}
    owner.post(URL, data={"csrf_token": token} | numbers)
    with app.app_context():
        assert settings.load().shop_id == "tshop00000001"


def test_saving_nothing_new_says_so(owner: FlaskClient) -> None:
    unchanged = {"shop_pass": "", "site_pass": ""}
    save(owner)
    owner.get(URL)
    save(owner, **unchanged)
    assert "変更はありませんでした。" in owner.get(URL).text


def test_the_consoles_are_linked_with_the_ids(owner: FlaskClient) -> None:  # R3, R4, R6
    assert owner.get(URL).text.count("未設定") == 2
    save(owner)
    page = owner.get(URL).text
    assert "/mulpayconsole/site/tsite00000001/login/" in page
    assert "/mulpayconsole/shop/tshop00000001/login/" in page
    assert page.count('rel="noopener noreferrer"') == 2


#: Settings that have a screen of their own, or none.
_ELSEWHERE = {
    "notify_salt",
    "second_factor_for",
    "screen_networks",
    "api_networks",
    "personal_data_for",
    "approve_refunds_from",
    "approve_captures_from",
}


def test_every_field_of_the_reference_is_on_the_screen(app: Flask, owner: FlaskClient) -> None:
    """rules.md §10, each with its label, its effect in a line, and what is stored."""
    save(owner)
    page = owner.get(URL).text
    files = "".join(owner.get(f"/settings/files/{which}").text for which in FILE_SCREENS)
    for name in set(RULES) - _ELSEWHERE:
        page_of = files if f'<label for="{name}">' in files else page
        assert f'<label for="{name}">' in page_of
        assert f'id="{name}-hint"' in page_of
    for label in (
        "売上処理種類",
        "実売り同時処理",
        "実売り失敗時の動作",
        "オーソリ期間延長",
    ):  # §17
        assert label in page
    for shown in ("3Dセキュア", "支払回数", "チャージバック"):  # display only; R107
        assert shown in page
    with app.app_context():
        now = settings.load()
    for name in set(FORM) - SECRETS:
        assert str(getattr(now, name)) == FORM[name]


def test_all_mistakes_are_named_at_the_top_and_what_was_typed_stays(owner: FlaskClient) -> None:
    answer = save(owner, title="長" * 16, billing_day="31", shop_name="新しい店")
    assert answer.status_code == 422
    assert '<a href="#title">決済名称</a>' in answer.text
    assert '<a href="#billing_day">定期の登録日</a>' in answer.text
    assert 'value="新しい店"' in answer.text
    assert 'value="31"' in answer.text


@pytest.mark.parametrize("name", ["sales_mode", "enabled", "billing_mode", "tax_rounding"])
def test_a_choice_that_is_not_offered_is_refused(app: Flask, owner: FlaskClient, name: str) -> None:
    answer = save(owner, **{name: "something"})
    assert answer.status_code == 422
    assert f'id="{name}-error"' in answer.text
    with app.app_context():
        assert settings.load() == settings.ShopSettings()


def test_the_guide_is_cleaned_and_shown_as_it_will_be(app: Flask, owner: FlaskClient) -> None:
    typed = '<b onclick="alert(1)">1回払い</b><script>alert(1)</script>のみ'
    save(owner, guide=typed)
    page = owner.get(URL).text
    assert "使用できないHTMLを取り除き" in page
    assert '<div class="panel guide-preview" hx-disable><b>1回払い</b>のみ</div>' in page
    assert "<script>alert" not in page
    with app.app_context():
        assert settings.load().guide == "<b>1回払い</b>のみ"


def test_the_guide_that_is_refused_is_not_run_either(owner: FlaskClient) -> None:  # S7
    answer = save(owner, guide="</textarea><script>alert(1)</script>", billing_day="0")
    assert answer.status_code == 422
    assert "<script>alert" not in answer.text


def test_a_card_number_is_not_taken(owner: FlaskClient) -> None:  # S11
    answer = save(owner, guide="4111 1111 1111 1111")
    assert answer.status_code == 400
    assert "4111" not in answer.text


def test_the_owner_sees_who_changed_what(owner: FlaskClient) -> None:  # R86
    assert "まだ変更はありません" in owner.get(URL).text
    save(owner)
    page = flat(owner.get(URL))
    row = re.search(r'<tbody hx-disable> <tr> <td class="no">.*?</tr>', page)
    assert row
    assert "<bdi>店長</bdi>" in row[0]
    assert "ショップパスワード" in row[0]
    assert "売上処理種類" not in row[0]
    assert "shoppass01" not in page
    assert "オーソリ有効日数:<s>60</s> → <b>45</b>" in row[0]
    save(owner, sales_mode="immediate", sales_mode_confirmed="immediate", title="")
    page = flat(owner.get(URL))
    assert "売上処理種類:<s>仮売上・実売上</s> → <b>即時売上</b>" in page
    assert re.search("決済名称:<s>[^<]+</s> → <b>.空欄.</b>", page)


def test_a_change_from_when_no_values_were_kept_says_which_it_was(
    app: Flask, owner: FlaskClient
) -> None:
    with app.app_context(), writing() as session:
        activities.record(session, ActivityEvent.SETTINGS_CHANGED, changes=[["bulk_max"]])
    assert "<li>一括処理の上限件数</li>" in flat(owner.get(URL))


def test_a_form_from_before_somebody_elses_change_does_not_undo_it_unawares(
    app: Flask, owner: FlaskClient
) -> None:  # P20
    save(owner)
    seen = hidden_of(owner.get(URL))["seen"]
    with app.app_context():
        settings.save("副店長", title="新しい名前")
    stale = save(owner, seen=seen, bulk_max="9")
    assert stale.status_code == 409
    assert "<bdi>副店長</bdi>さんが次の項目を変更しました:決済名称。" in flat(stale)
    assert 'value="9"' in stale.text
    with app.app_context():
        assert (settings.load().title, settings.load().bulk_max) == ("新しい名前", 300)
    again = hidden_of(stale)["seen"]
    assert save(owner, seen=again, bulk_max="9").status_code == 303
    assert save(owner, seen=again, bulk_max="9").status_code == 303  # a second click
    assert save(owner, seen="x").status_code == 303


def test_the_setting_screens_lead_to_each_other(owner: FlaskClient) -> None:
    for path in (URL, "/settings/notifications"):
        page = flat(owner.get(path))
        menu = page.split('aria-label="設定メニュー"')[1].split("</nav>")[0]
        assert f'<a href="{path}" aria-current="page">' in menu
        assert f'href="{URL}"' in menu
        assert 'href="/settings/notifications"' in menu


class TestSalesMode:
    """R85: another 売上処理種類 is for orders to come; what stays to be captured is said first."""

    @pytest.fixture
    def waiting(self, app: Flask, world: World) -> None:
        with app.app_context():
            authorized_order(world, total=3000)
            authorized_order(world, total=4500)
            make_order(status=PaymentStatus.CAPTURED)

    def mode(self, app: Flask) -> str:
        with app.app_context():
            return settings.load().sales_mode

    def answer(self, owner: FlaskClient, question: TestResponse, answer: str) -> TestResponse:
        """Press one of the two buttons of the question."""
        return owner.post(URL, data=hidden_of(question) | {"answer": answer})

    @pytest.mark.usefixtures("waiting")
    def test_it_is_changed_after_a_question_that_counts(
        self, app: Flask, owner: FlaskClient
    ) -> None:
        question = save(owner, sales_mode="immediate", shop_pass="", site_pass="", bulk_max="77")
        assert question.status_code == 200
        page = flat(question)
        assert "data-confirm-yes" in page
        assert "data-confirm-no" in page
        assert "2 件" in page
        assert "¥7,500" in page
        assert self.mode(app) == "auth_then_capture"
        assert self.answer(owner, question, "yes").status_code == 303
        with app.app_context():
            now = settings.load()
        assert (now.sales_mode, now.bulk_max) == ("immediate", 77)

    @pytest.mark.usefixtures("waiting")
    def test_orders_that_wait_stay_as_they_are(self, app: Flask, owner: FlaskClient) -> None:
        question = save(owner, sales_mode="immediate", shop_pass="", site_pass="")
        self.answer(owner, question, "yes")
        page = owner.get("/orders?status=authorized&from=&to=").text
        assert page.count('data-payment-status="authorized"') == 2

    @pytest.mark.usefixtures("world")
    def test_no_changes_nothing_and_keeps_what_was_typed(
        self, app: Flask, owner: FlaskClient
    ) -> None:
        question = save(owner, sales_mode="immediate", shop_pass="", site_pass="", bulk_max="77")
        assert "0件、¥0" in question.text
        back = self.answer(owner, question, "back")
        assert back.status_code == 200
        assert 'value="77"' in back.text
        assert '<option selected value="auth_then_capture">' in back.text
        assert "まだ保存していません" in back.text
        with app.app_context():
            assert settings.load().bulk_max == 5000

    def test_a_typed_password_is_not_carried_but_asked_for_again(
        self, app: Flask, owner: FlaskClient
    ) -> None:  # S10
        question = save(owner, sales_mode="immediate", site_pass="")
        assert "shoppass01" not in question.text
        assert 'name="shop_pass"' in question.text
        assert "もう一度入力してください" in question.text
        assert 'name="site_pass"' not in question.text

    def test_a_confirmation_of_another_mode_does_not_count(
        self, app: Flask, owner: FlaskClient
    ) -> None:
        save(owner, sales_mode="immediate", sales_mode_confirmed="auth_then_capture")
        assert self.mode(app) == "auth_then_capture"

    def test_the_same_mode_is_not_asked_about(self, app: Flask, owner: FlaskClient) -> None:
        assert save(owner, sales_mode="auth_then_capture").status_code == 303


class TestPasswordAgain:
    """S5: the password within the last 10 minutes, or it is asked for in the form."""

    def age(self, app: Flask, **ago: int) -> None:
        with app.app_context(), writing() as session:
            then = utc_now() - timedelta(**ago)
            session.execute(sa.update(LoginSession).values(confirmed_at=then))

    def test_a_fresh_sign_in_is_not_asked(self, app: Flask, owner: FlaskClient) -> None:
        self.age(app, minutes=9)
        assert 'name="current_password"' not in owner.get(URL).text
        assert save(owner).status_code == 303

    def test_later_the_form_asks_and_loses_nothing(self, app: Flask, owner: FlaskClient) -> None:
        self.age(app, minutes=11)
        assert 'name="current_password"' in owner.get(URL).text
        asked = save(owner, shop_name="新しい店")
        assert asked.status_code == 422
        assert "パスワードをもう一度入力してください" in asked.text
        assert 'value="新しい店"' in asked.text
        assert "入力したサイトパスワード・ショップパスワードは" in asked.text
        assert "shoppass01" not in asked.text
        with app.app_context():
            assert settings.load() == settings.ShopSettings()
        assert save(owner, current_password=PASSWORD).status_code == 303
        assert save(owner, bulk_max="9").status_code == 303  # good for ten minutes
        with app.app_context():
            assert settings.load().bulk_max == 9

    def test_a_wrong_one_is_told_and_counted_as_at_the_login(
        self, app: Flask, owner: FlaskClient
    ) -> None:  # S2
        self.age(app, minutes=11)
        for _ in range(10):
            wrong = save(owner, current_password="not my password")
            assert wrong.status_code == 422
            assert "パスワードが違います" in wrong.text
            assert "not my password" not in wrong.text
        refused = save(owner, current_password=PASSWORD)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        with app.app_context():
            assert settings.load() == settings.ShopSettings()
            assert db.session.scalar(sa.select(sa.func.count(LoginAttempt.id))) == 10

    def test_it_need_not_be_typed_again_because_of_another_mistake(
        self, app: Flask, owner: FlaskClient
    ) -> None:
        self.age(app, minutes=11)
        answer = save(owner, current_password=PASSWORD, billing_day="0")
        assert answer.status_code == 422
        assert 'name="current_password"' not in answer.text

    def test_a_clock_set_back_does_not_make_it_good_for_longer(
        self, app: Flask, owner: FlaskClient
    ) -> None:  # P30
        self.age(app, minutes=-60)
        assert save(owner).status_code == 422

    def test_a_session_of_before_the_update_is_asked(self, app: Flask, owner: FlaskClient) -> None:
        with app.app_context(), writing() as session:
            session.execute(sa.update(LoginSession).values(confirmed_at=None))
        assert save(owner).status_code == 422


@pytest.mark.usefixtures("world")
def test_orders_that_are_here_are_handled_while_new_ones_are_not_taken(
    app: Flask, world: World, owner: FlaskClient
) -> None:  # R87
    with app.app_context():
        settings.save("test", enabled=False)
        orders = [authorized_order(world), authorized_order(world)]
    for order, act in zip(orders, ("capture", "cancel"), strict=True):
        url = f"/orders/{order.order_no}/{act}"
        owner.post(url, data=form_of(owner.get(url), url).fields)
    with app.app_context():
        assert [fresh(order).payment_status for order in orders] == [
            PaymentStatus.CAPTURED,
            PaymentStatus.CANCELLED,
        ]


@pytest.mark.usefixtures("world")
def test_the_day_of_registration_is_said_where_it_matters(app: Flask, owner: FlaskClient) -> None:
    with app.app_context():
        settings.save("test", billing_day=8, subscription_enabled=True)
        order = make_order(status=PaymentStatus.AWAITING_BILLING, kind=OrderKind.SUBSCRIPTION)
    assert "月8日頃にSMBC-GPへ登録されます" in owner.get(f"/orders/{order.order_no}/deliver").text
    assert flat(owner.get("/help")).count("翌月の登録日(8日頃)") == 2  # R102


class TestConnection:
    """「接続を確認」 asks the gateway and moves nothing."""

    @pytest.fixture
    def gateway(self, app: Flask) -> World:
        world = World()
        gateway_access.init_app(app, world.gateway)
        return world

    def check(self, owner: FlaskClient) -> str:
        token = token_of(owner.get(URL))
        owner.post(f"{URL}/check", data={"csrf_token": token})
        return owner.get(URL).text

    def test_too_many_who_wait_for_smbc_gp_already_are_not_joined(
        self, gateway: World, owner: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:  # P23
        monkeypatch.setattr(waiting, "_waiting", waiting.MOST_FOR_ANSWERS)
        page = self.check(owner)
        assert "確認していません。しばらくしてから" in page
        assert "接続できました" not in page
        monkeypatch.setattr(waiting, "_waiting", 0)
        assert "SMBC-GPに接続できました" in self.check(owner)

    @pytest.mark.usefixtures("gateway")
    def test_a_valid_contract_is_confirmed(self, owner: FlaskClient) -> None:
        assert "SMBC-GPに接続できました" in self.check(owner)

    @pytest.mark.usefixtures("gateway")
    def test_it_says_what_it_asked_about(self, app: Flask, owner: FlaskClient) -> None:
        assert "サイトパスワードは未登録のため、確認していません" in self.check(owner)
        with app.app_context():
            settings.save("test", site_pass="sitepass01")
        assert "ショップとサイトのIDとパスワードは、すべて有効です" in self.check(owner)

    def test_a_wrong_site_password_is_told(self, app: Flask, owner: FlaskClient) -> None:
        known = ShopCredentials("tshop00000001", "shoppass01", "tsite00000001", "another")
        with app.app_context():
            settings.save("test", site_pass="another")
        gateway_access.init_app(app, World(known).gateway)
        assert "サイトのIDとパスワードを確認できませんでした" in self.check(owner)

    def test_a_missing_contract_is_told(self, owner: FlaskClient) -> None:  # R2
        assert "SGPの契約情報が未登録です" in self.check(owner)

    def test_an_unreachable_gateway_is_told(self, app: Flask, owner: FlaskClient) -> None:
        app.config["GATEWAY_URL"] = "http://127.0.0.1:9"
        save(owner)
        assert "SMBC-GPに接続できませんでした" in self.check(owner)

    def test_a_password_that_does_not_open_any_more_is_told(
        self, app: Flask, owner: FlaskClient
    ) -> None:
        """Sealed with another key, or altered."""
        app.config["GATEWAY_URL"] = "http://127.0.0.1:9"
        save(owner)
        with app.app_context(), writing() as session:
            stored = session.get_one(Setting, "shop_pass_sealed")
            stored.value = vault.seal("shoppass01", "setting:site_pass")
        assert "もう一度登録してください" in self.check(owner)
