"""Who goes on when a capture has ended, in the transaction that records the end.

Payments know nobody who waits for them: the app is made with a short explicit list (create_app).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Flask, current_app
from sqlalchemy.orm import Session

from sgpshop.models import AttemptState

_FOLLOWERS = "sgpshop.followers"

#: Called with the session, the attempt's id, closing's row of it, what its end means for a line of
#: a run or file, and the time (UTC).  What a follower raises breaks the end off as a whole.
Follower = Callable[[Session, int, Any, AttemptState, datetime], None]


def follow_captures(app: Flask, *followers: Follower) -> None:
    """Have `followers` told, in this order, of each capture that ended and is no line of a bulk run."""
    app.extensions[_FOLLOWERS] = followers


def notify(session: Session, attempt_id: int, row: Any, state: AttemptState, now: datetime) -> None:
    """Tell everybody who follows; see Follower."""
    for follower in current_app.extensions[_FOLLOWERS]:
        follower(session, attempt_id, row, state, now)
