"""States, what may follow, dates and limits: protocol.md §3 as pure functions."""

from collections.abc import Mapping
from datetime import date
from enum import Enum, StrEnum, auto

from .contract import Contract
from .refusal import Refused

SECONDS_PER_DAY = 86_400


class Status(StrEnum):
    """The states of protocol.md §3.1."""

    UNPROCESSED = "UNPROCESSED"
    AUTHENTICATED = "AUTHENTICATED"
    CHECK = "CHECK"
    AUTH = "AUTH"
    SAUTH = "SAUTH"
    CAPTURE = "CAPTURE"
    SALES = "SALES"
    VOID = "VOID"
    RETURN = "RETURN"
    RETURNX = "RETURNX"


class Job(StrEnum):
    """Every JobCd that is defined at all; which call takes which is below."""

    CHECK = "CHECK"
    CAPTURE = "CAPTURE"
    AUTH = "AUTH"
    SAUTH = "SAUTH"
    SALES = "SALES"
    VOID = "VOID"
    RETURN = "RETURN"
    RETURNX = "RETURNX"
    CANCEL = "CANCEL"


AUTHORIZATIONS = frozenset({Job.AUTH, Job.CAPTURE, Job.SAUTH})
CANCELLATIONS = frozenset({Job.VOID, Job.RETURN, Job.RETURNX, Job.CANCEL})
ENTRY_JOBS = AUTHORIZATIONS | {Job.CHECK}
ALTER_JOBS = AUTHORIZATIONS | CANCELLATIONS | {Job.SALES}
CHANGE_JOBS = AUTHORIZATIONS


class TransitionKind(Enum):
    """The columns of protocol.md §3.2."""

    EXECUTE = auto()
    SELL = auto()
    CANCEL = auto()
    REAUTHORIZE = auto()
    CHANGE = auto()
    FINISH = auto()  # SecureTran2, after 3-D Secure


TRADE_MISSING = "E01110002"
ALREADY_EXECUTED = "E11010001"
NOT_EXECUTED = "E11010002"
IMPOSSIBLE_NOW = "E11010003"
OPERATION_TOO_LATE = "E11010010"
SALE_TOO_LATE = "E01420010"

_OK = ""


def _row(
    execute: str, sell: str, cancel: str, reauthorize: str, change: str
) -> dict[TransitionKind, str]:
    finish = ALREADY_EXECUTED  # but for AUTHENTICATED, and for what never began
    return dict(
        zip(TransitionKind, (execute, sell, cancel, reauthorize, change, finish), strict=True)
    )


_UNTOUCHED = {
    **_row(_OK, NOT_EXECUTED, NOT_EXECUTED, NOT_EXECUTED, NOT_EXECUTED),
    TransitionKind.FINISH: NOT_EXECUTED,
}
_CANCELLED = _row(ALREADY_EXECUTED, IMPOSSIBLE_NOW, IMPOSSIBLE_NOW, _OK, IMPOSSIBLE_NOW)
_SOLD = _row(ALREADY_EXECUTED, IMPOSSIBLE_NOW, _OK, IMPOSSIBLE_NOW, _OK)

#: protocol.md §3.2: (status, step) -> the code that stops it; an empty string lets it pass.
STOPS: Mapping[Status, Mapping[TransitionKind, str]] = {
    Status.UNPROCESSED: _UNTOUCHED,
    Status.AUTHENTICATED: {
        **_UNTOUCHED,
        TransitionKind.EXECUTE: ALREADY_EXECUTED,
        TransitionKind.FINISH: _OK,
    },
    Status.CHECK: {
        **_SOLD,
        TransitionKind.CANCEL: IMPOSSIBLE_NOW,
        TransitionKind.CHANGE: IMPOSSIBLE_NOW,
    },
    Status.AUTH: {**_SOLD, TransitionKind.SELL: _OK},
    Status.SAUTH: _SOLD,  # rule 20: it must be changed to AUTH or CAPTURE first
    Status.CAPTURE: _SOLD,
    Status.SALES: _SOLD,
    Status.VOID: _CANCELLED,
    Status.RETURN: _CANCELLED,
    Status.RETURNX: _CANCELLED,
}


def step_of(job: Job) -> TransitionKind:
    """The step that AlterTran with this JobCd asks for."""
    if job is Job.SALES:
        return TransitionKind.SELL
    return TransitionKind.CANCEL if job in CANCELLATIONS else TransitionKind.REAUTHORIZE


def may(status: Status, step: TransitionKind) -> bool:
    """Whether the state alone lets `step` pass (dates and limits come on top)."""
    return not STOPS[status][step]


def require_possible(status: Status, step: TransitionKind) -> None:
    """Raise Refused with the code of §3.2 if `step` is not possible in `status`."""
    code = STOPS[status][step]
    if code:
        raise Refused(code)


def cancellation_by_date(status: Status, processed: date, today: date) -> Job:
    """VOID, RETURN or RETURNX for JST days, as protocol.md §3.3 chooses."""
    if today <= processed:
        return Job.VOID
    was_sold = status in (Status.CAPTURE, Status.SALES)
    if was_sold and (today.year, today.month) != (processed.year, processed.month):
        return Job.RETURNX
    return Job.RETURN


def cancellation(asked: Job, status: Status, processed: date, today: date) -> Job:
    """The cancellation to carry out for the JobCd asked (rules 17 and 18).

    CANCEL leaves the choice to the gateway, RETURN also passes on the same day.
    Raises Refused(E11010003) for one that does not fit the date.
    """
    fitting = cancellation_by_date(status, processed, today)
    if asked is Job.CANCEL:
        return fitting
    if asked is fitting or (asked is Job.RETURN and fitting is Job.VOID):
        return asked
    raise Refused(IMPOSSIBLE_NOW)


def require_sale_in_time(authorized_at: int, now: int, contract: Contract) -> None:
    """Raise Refused(E01420010) once the authorization has lapsed (rule 16)."""
    if now - authorized_at > contract.authorization_days * SECONDS_PER_DAY:
        raise Refused(SALE_TOO_LATE)


def require_operation_in_time(processed_at: int, now: int, contract: Contract) -> None:
    """Raise Refused(E11010010) when the last processing is too old to undo (rule 16)."""
    if now - processed_at > contract.operation_days * SECONDS_PER_DAY:
        raise Refused(OPERATION_TOO_LATE)
