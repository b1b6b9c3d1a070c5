"""The tables.  They hold no rules and commit nothing; services do."""

from sgpshop.models.alert import Alert, DailyJob
from sgpshop.models.attempt import (
    ActorKind,
    Attempt,
    AttemptState,
    FollowUp,
    LateAnswer,
    Operation,
)
from sgpshop.models.base import Base, table_of, utc_now
from sgpshop.models.bulk_run import BulkAction, BulkItem, BulkRun, ItemResult
from sgpshop.models.history import HistoryEntry
from sgpshop.models.import_run import ImportIssue, ImportRun, IssueLevel
from sgpshop.models.notification import Notification, NotificationLook, NotificationState
from sgpshop.models.order import (
    SGP_METHOD,
    CardTransaction,
    Delivery,
    Order,
    OrderKind,
    OrderLine,
)
from sgpshop.models.setting import Setting, WorkerBeat
from sgpshop.models.staff import LoginAttempt, LoginSession, Person, Role

__all__ = [
    "SGP_METHOD",
    "ActorKind",
    "Alert",
    "Attempt",
    "AttemptState",
    "Base",
    "BulkAction",
    "BulkItem",
    "BulkRun",
    "CardTransaction",
    "DailyJob",
    "Delivery",
    "FollowUp",
    "HistoryEntry",
    "ImportIssue",
    "ImportRun",
    "IssueLevel",
    "ItemResult",
    "LateAnswer",
    "LoginAttempt",
    "LoginSession",
    "Notification",
    "NotificationLook",
    "NotificationState",
    "Operation",
    "Order",
    "OrderKind",
    "OrderLine",
    "Person",
    "Role",
    "Setting",
    "WorkerBeat",
    "table_of",
    "utc_now",
]
