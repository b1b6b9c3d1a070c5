"""Another contract is refused while something of the present one is open, and told why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from sgpshop.domain.shop_terms import BillingMode
from sgpshop.models import Billing, BillingFile, MonthlyResults, Operation, Order
from sgpshop.services import intake, settings
from sgpshop.services.orders import parcels
from sgpshop.services.payments import filed_numbers
from sgpshop.services.settings.rules import SettingRefused
from sgpshop.services.subscriptions import billing
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh
from tests.faults.judging import settle
from tests.gateway_world import World
from tests.services.acting import TANAKA, press, seen
from tests.services.arriving import SHOP_FRONT, open_shop, orders, subscription
from tests.services.subscribing import Travel, jst

pytestmark = pytest.mark.long

OTHERS = [{"shop_id": "tshop00000002"}, {"site_id": "tsite00000002"}, {"shop_id": ""}]
THE_10TH, THE_18TH = jst(2026, 12, 10, 6, 1), jst(2026, 12, 18, 7)


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {
        "QUIET_PERIOD": 0.0,
        "CHECKOUT_WAIT": 10.0,
        "GATEWAY_TRIES": 1,
        "CONGESTION_TRIES": 1,
    }


@pytest.fixture
def travel() -> Iterator[Travel]:
    """Our clock and the simulator's, which are this process's."""
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


def refused() -> str:
    """Every change of the contract is refused and nothing stored; what is said."""
    before, said = settings.load(), ""
    for other in OTHERS:
        with pytest.raises(SettingRefused) as refusal:
            settings.save("店長", title="新しい名前", **other)
        assert [refusal.value.field] == list(other)
        said = refusal.value.message
    assert settings.load() == before
    assert settings.save("店長", shop_pass="shoppass01") == ["shop_pass"]  # a password may
    return said


def is_free() -> bool:
    """Whether the contract can be changed."""
    return settings.save("店長", shop_id="tshop00000002") == ["shop_id"]


@pytest.mark.postgresql
def test_a_capture_in_doubt_holds_the_contract(shop: World) -> None:
    open_shop()
    order = authorized_order(shop)
    shop.fault("drop_after", "AlterTran")
    shop.wire.cut_off("SearchTrade")
    press(order, Operation.CAPTURE)
    assert "結果の出ていない決済の処理が1件" in refused()
    shop.wire.cut_off()
    settle(order.id)
    assert is_free()


def filed(shop: World, travel: Travel, fault: str) -> Order:
    """A subscription whose file was sent on the 10th."""
    billing.resume()
    open_shop()
    intake.place(subscription(shop), SHOP_FRONT)
    [order] = orders()
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    if fault:
        shop.fault(fault, "Batch")
    travel(THE_10TH)
    billing.resume()
    return fresh(order)


@pytest.mark.parametrize("fault", ["drop_after", "drop_before", ""])
def test_a_monthly_file_does_until_its_results_are_here(
    shop: World, travel: Travel, fault: str
) -> None:
    order = filed(shop, travel, fault)
    said = refused()
    assert ("決済の処理が1件" if fault else "売上ファイルが1件") in said
    for hour in (9, 10, 11):  # what never got there goes out in another file
        travel(jst(2026, 12, 10, hour))
        for _ in range(2):
            billing.resume()
        settle(order.id)
    said = refused()
    assert f"売上ファイルが{2 if fault == 'drop_before' else 1}件" in said
    travel(THE_18TH)
    billing.resume()
    assert is_free()


def test_a_file_that_may_be_there_does_though_its_lines_were_told(
    shop: World, travel: Travel
) -> None:
    """It was refused after a lost answer; its line was not found at that moment."""
    filed(shop, travel, "")
    with writing() as session:
        session.execute(sa.update(Billing).values(state="postponed", registered_at=None))
        session.execute(sa.update(BillingFile).values(is_doubtful=True))
    assert "売上ファイルが1件" in refused()


def test_nor_does_the_day_of_its_results_move_while_it_is_under_way(
    shop: World, travel: Travel
) -> None:
    """On the 13th its line would count as unpaid, be charged anew, and be charged by file on the 18th."""
    filed(shop, travel, "")
    for moment in (jst(2026, 12, 10, 9), jst(2026, 12, 17, 9)):
        travel(moment)
        with pytest.raises(SettingRefused, match="売上ファイルが1件") as refusal:
            settings.save("店長", billing_mode="refresh_bulk_auth")
        assert refusal.value.field == "billing_mode"
    travel(THE_18TH)
    billing.resume()
    assert settings.save("店長", billing_mode="refresh_bulk_auth") == ["billing_mode"]


def test_results_that_never_come_hold_it_no_longer_than_they_could(
    shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed(shop, travel, "")
    monkeypatch.setattr(shop.gateway, "fetch_monthly_result", lambda _month: None)
    travel(jst(2026, 12, 20, 7))
    billing.resume()
    assert settings.save("店長", billing_mode="refresh_bulk_auth") == ["billing_mode"]


def test_so_does_a_month_of_which_another_systems_file_may_bring_results(
    shop: World, travel: Travel
) -> None:
    """A number that is perhaps in a file our books do not know waits for them, by this contract."""
    open_shop()
    travel(THE_10TH)
    with writing() as session:
        month = filed_numbers.NOTHING_READ | {"window": date(2026, 12, 1), "due_at": THE_18TH}
        session.add(MonthlyResults(**month))
    assert "結果を待っている" in refused()
    other = next(mode for mode in BillingMode if mode != settings.load().billing_mode)
    with pytest.raises(SettingRefused, match="結果を待っている"):
        settings.save("店長", billing_mode=other.value)
    with writing() as session:
        session.execute(sa.update(MonthlyResults).values(due_at=None))
    assert settings.save("店長", billing_mode=other.value) == ["billing_mode"]
    assert is_free()
