"""The tables.  They hold no rules and commit nothing; services do."""

from sgpshop.domain.rights import Role
from sgpshop.models.activity import ActivitiesEnd, Activity
from sgpshop.models.alert import Alert, DailyJob
from sgpshop.models.api_key import ApiCount, ApiKey, ApiRequest, Scope
from sgpshop.models.approval import Approval
from sgpshop.models.attempt import (
    AFTER_THREE_DS,
    CHECKOUTS,
    ENTERED_OTHERWISE,
    IN_FILE,
    ActorKind,
    Attempt,
    AttemptState,
    FollowUp,
    LateAnswer,
    Operation,
)
from sgpshop.models.base import Base, join_codes, split_codes, table_of, utc_now
from sgpshop.models.beginning import Beginning, BeginningsEnd, BeginningStep
from sgpshop.models.billing import (
    Billing,
    BillingFile,
    BillingState,
    FiledNumber,
    FileState,
    MonthlyResults,
)
from sgpshop.models.bulk_run import BulkItem, BulkRun, ItemResult
from sgpshop.models.feed import Feed, OrderChange, OrderEvent
from sgpshop.models.history import CLAIMS_FAILURE, CLAIMS_PAYMENT, IS_FAILURE, HistoryEntry
from sgpshop.models.import_run import ImportFile, ImportIssue, ImportMapping, ImportRun, IssueLevel
from sgpshop.models.installation import GatewayShare, InstallationFact, WorkerBeat
from sgpshop.models.job import Job, JobKind, JobPart
from sgpshop.models.mail import Mail
from sgpshop.models.money_movement import MoneyDay, MoneyMovement
from sgpshop.models.notification import Notification, NotificationLook, NotificationState
from sgpshop.models.order import (
    MISMATCH,
    SGP_METHOD,
    CardTransaction,
    Delivery,
    Order,
    OrderKind,
    OrderLine,
)
from sgpshop.models.order_sum import OrderSum
from sgpshop.models.order_text import OrderText, OrderTextDue
from sgpshop.models.order_wait import OrderWait
from sgpshop.models.recent_use import RecentUse
from sgpshop.models.refused_checkout import RefusedCheckout
from sgpshop.models.setback import Queue, Setback
from sgpshop.models.setting import Setting
from sgpshop.models.slip_run import SlipRow, SlipRun
from sgpshop.models.staff import (
    HAS_SECOND_FACTOR,
    KnownDevice,
    LoginAttempt,
    LoginSession,
    Passkey,
    Person,
    RecoveryCode,
    SavedView,
    Scheme,
)
from sgpshop.models.unknown_number import UnknownNumber
from sgpshop.models.webhook import Webhook, WebhookMessage
