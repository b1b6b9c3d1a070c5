"""Notifications in tests: the simulator's sender hands them straight to the app, without a socket."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from flask import Flask

from sgpshop.extensions import db
from sgpshop.gateway import read_notice
from sgpshop.models import (
    Attempt,
    CardTransaction,
    Notification,
    NotificationLook,
    NotificationState,
)
from sgpshop.services import settings
from sgpshop.services.payments import notifications
from sgpshop.services.settings import ShopSettings
from sgpshop.simulator.notices import Notices, parse_sending
from sgpshop.storage.database import writing
from tests.gateway_world import World

FORM = "application/x-www-form-urlencoded"
SHOP_ID = "tshop00000001"


def connect(app: Flask, world: World, **sending: Any) -> Notices:
    """Let the simulator notify `app`; what is due goes out with `deliver_due()`."""
    with app.app_context():
        settings.save("test", site_id="tsite00000001", shop_id=SHOP_ID)
        path = f"/notify/{notifications.secret_of(settings.load())}"
    notices: Notices = world.simulator.extensions["endpoint"].context.notices

    def post(url: str, body: bytes) -> str | None:
        assert url.endswith(path)
        answer = app.test_client().post(path, data=body, content_type=FORM)
        return answer.text if answer.status_code == 200 else None

    notices.post = post
    notices.use(parse_sending({"url": f"http://127.0.0.1{path}", "delay_seconds": 0} | sending))
    return notices


def body(order_no: str, **said: str) -> bytes:
    """The form of a notification that says the order was captured, unless told otherwise."""
    fields = {
        "ShopID": SHOP_ID,
        "ShopPass": "*" * 10,
        "AccessID": "a" * 32,
        "AccessPass": "*" * 32,
        "OrderID": order_no,
        "Status": "SALES",
        "JobCd": "SALES",
        "Amount": "3000",
        "Tax": "0",
        "Currency": "JPN",
        "TranID": "2611251200111111111111000001",
        "TranDate": "20261125120000",
        "ErrCode": "",
        "ErrInfo": "",
        "PayType": "0",
    }
    return urlencode(fields | said, encoding="cp932").encode()


def tell(order_no: str, **said: str) -> NotificationState:
    """A notification comes in."""
    shop = ShopSettings(shop_id=SHOP_ID)
    return notifications.receive(read_notice(body(order_no, **said)), "192.0.2.7", shop)


def received() -> list[Notification]:
    """All that is stored, oldest first."""
    db.session.rollback()
    wanted = sa.select(Notification).order_by(Notification.id)
    return list(db.session.scalars(wanted.execution_options(populate_existing=True)))


def time_passes(seconds: float) -> None:
    """As if everything we wrote down had happened so much earlier."""
    ago = timedelta(seconds=seconds)
    for column in (
        NotificationLook.at,
        Notification.asked_at,
        Notification.last_at,
        CardTransaction.looked_up_at,
        CardTransaction.next_look_at,
        Attempt.finished_at,
        Attempt.looked_up_at,
        Attempt.due_at,
        Attempt.sent_at,
        Attempt.uncertain_since,
    ):
        with writing() as session:
            for row in session.scalars(sa.select(column.class_).where(column.is_not(None))):
                setattr(row, column.key, getattr(row, column.key) - ago)
