"""The shop's logo for paper: its picture is kept beside the settings, so that no page reads it for nothing."""

from __future__ import annotations

import base64
import hashlib

import sqlalchemy as sa

from sgpshop import logs
from sgpshop.domain import logos
from sgpshop.domain.activities import ActivityEvent
from sgpshop.extensions import db
from sgpshop.models import Setting
from sgpshop.services.access import activities
from sgpshop.storage.database import write_alone, writing

#: The row that has the picture; `ShopSettings.paper_logo` says which it is.
PICTURE = "paper_logo_picture"
_NAME = "paper_logo"


def store(actor: str, content: bytes) -> None:
    """Keep this picture, or none for b"".  Raises LogoRefused; then the one before stays."""
    mark = f"{logos.kind_of(content)}-{hashlib.sha256(content).hexdigest()[:16]}" if content else ""
    with writing() as session:
        write_alone(session, Setting)
        for name, text in ((_NAME, mark), (PICTURE, base64.b64encode(content).decode())):
            session.merge(Setting(name=name, value=text, updated_by=actor))
        activities.record(session, ActivityEvent.SETTINGS_CHANGED, by=actor, changes=[[_NAME]])
    logs.event("settings_changed", by=actor, fields=[_NAME])


def picture() -> bytes:
    """The picture; b"" when there is none."""
    text = db.session.scalar(sa.select(Setting.value).where(Setting.name == PICTURE))
    return base64.b64decode(text or "")
