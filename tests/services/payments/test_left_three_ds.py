"""An order whose buyer left 3-D Secure and paid by another card, as earlier versions left it."""

from __future__ import annotations

from importlib import import_module

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations

from sgpshop.domain.errors import NotPossible
from sgpshop.domain.order_rules import Refusal
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import CardTransaction, Operation
from sgpshop.services.bulk import actions, selection
from sgpshop.storage.database import writing
from tests.factories import authorized_order
from tests.gateway_world import World
from tests.services.acting import press


@pytest.mark.postgresql
def test_it_is_captured_after_the_upgrade(shop: World) -> None:
    order = authorized_order(shop)
    with writing() as session:
        session.add(
            CardTransaction(
                order_id=order.id,
                sequence=1,
                is_current=False,
                gateway_order_id=f"{order.order_no}-1",
                gateway_state="AUTHENTICATED",
                challenge_url="https://acs.example.com/",
            )
        )
    with pytest.raises(NotPossible):  # the buyer may still finish there; told, not «busy»
        press(order, Operation.CAPTURE)
    chosen = selection.weigh([order.id], actions.find("sgp_capture"))
    assert chosen.left_out == ((Refusal.OTHERS_LIVE, 1),)  # nor does it break off a bulk run
    upgrade = import_module("sgpshop.migrations.versions.0016_left_three_ds").upgrade
    with writing() as session, Operations.context(MigrationContext.configure(session.connection())):
        upgrade()
    assert press(order, Operation.CAPTURE).payment_status is PaymentStatus.CAPTURED
