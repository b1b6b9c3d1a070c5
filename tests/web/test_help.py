"""ヘルプ explains every status, reason and badge, under the anchors other pages link to."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from sgpshop.domain.order_rules import Refusal, ReviewCause
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Role
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.web.pages import flat


@pytest.fixture
def page(app: Flask, world: World) -> str:
    return flat(signed_in(app, Role.VIEWER).get("/help"))


@pytest.mark.parametrize("status", list(PaymentStatus))
def test_every_status_has_its_words(page: str, status: PaymentStatus) -> None:
    assert f'<dt id="{status.value}">' in page
    assert status.label in page


@pytest.mark.parametrize("cause", list(ReviewCause))
def test_every_cause_of_a_review_has_its_anchor(page: str, cause: ReviewCause) -> None:
    assert f'<dt id="{cause.name.lower()}">' in page  # the badge links there (R18)


@pytest.mark.parametrize("refusal", list(Refusal))
def test_every_reason_to_be_left_out_is_explained(page: str, refusal: Refusal) -> None:
    assert f"対象外:{refusal.label}" in page
    assert refusal.sentence in page  # R42


def test_the_parcel_acts_and_their_badge_are_explained(page: str) -> None:
    for anchor in ("deliver", "return", "status-change", "waive-cancel", "returned_open"):
        assert f'<dt id="{anchor}">' in page
    assert "SMBC-GPの決済は取り消されません" in page  # R90


def test_the_console_links_carry_the_ids_of_the_contract(page: str) -> None:
    assert "/mulpayconsole/shop/tshop00000001/login/" in page  # R4
    assert "/mulpayconsole/site/tsite00000001/login/" in page  # R3


def test_every_link_within_the_page_leads_somewhere(page: str) -> None:
    targets = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= targets


def test_the_files_that_can_be_used_come_from_the_layouts(page: str) -> None:
    for program in ("GMO MakeShop 注文データ", "楽天RMS 受注CSV", "Shopify 注文のエクスポート"):
        assert program in page
    assert "金額がないため、注文として取り込めません" in page  # Amazon
