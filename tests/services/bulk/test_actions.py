"""Each action with many orders is one object that everything about runs asks (R39, R51)."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest
from flask import Flask
from flask_login import login_user

from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.models import BulkRun, Role
from sgpshop.services import settings
from sgpshop.services.access.sessions import SignedIn
from sgpshop.services.bulk import actions, runs
from sgpshop.services.bulk.action import Action
from sgpshop.storage.database import writing
from sgpshop.web.order_search import choices
from tests.factories import authorized_order
from tests.gateway_world import World
from tests.services.running import prepare
from tests.signing_in import make_person

each_action = pytest.mark.parametrize("action", actions.ALL, ids=lambda action: action.word)


def test_every_module_of_an_action_is_in_the_list() -> None:
    modules = {module.name for module in pkgutil.iter_modules(actions.__path__)}
    written = {import_module(f"{actions.__name__}.{name}").ACTION.word for name in modules}
    assert {action.word for action in actions.ALL} == written
    assert len(actions.ALL) == len(modules)  # no word twice


@each_action
def test_it_has_all_its_parts(app: Flask, action: Action) -> None:
    template = app.jinja_env.get_template(action.fragment)  # TemplateNotFound when forgotten
    assert "follows" in template.blocks  # what pressing on will do
    assert (action.operation is None) is (action.do is not None)  # one of both carries it out
    assert action.reason("changed").label == "確認後に更新された"  # P20
    assert len(action.word) <= 32
    texts = (action.label, action.hint, action.done, action.failed, action.nothing)
    assert all(texts)


@each_action
def test_the_chooser_offers_it_to_whoever_may(app: Flask, shop: World, action: Action) -> None:
    settings.save("test", extend_auth_enabled=True)

    def found_by(role: Role) -> choices.Choice | None:
        with app.test_request_context():
            login_user(SignedIn(1, "田中", role, None, True, "", ""))
            return choices.find(action.word)

    assert found_by(Role.VIEWER) is None
    found = found_by(action.role)
    assert found is not None
    assert (found.run, found.label) == (action, action.label)


def test_an_action_of_another_version_has_words_and_starts_nothing(shop: World) -> None:
    person = make_person("田中")
    run_id = prepare([authorized_order(shop)], person)
    with writing() as session:
        session.get_one(BulkRun, run_id).action = "of_a_later_version"
    assert actions.named("of_a_later_version").label == "不明(of_a_later_version)"
    with pytest.raises(NotFound):
        runs.start(run_id, person_id=person.id)
    with pytest.raises(ShopError, match="処理内容が選択されていません"):
        prepare([authorized_order(shop)], person, "of_a_later_version")
