"""Request parameters and their checks (protocol.md §7; rule 6: missing, length, characters)."""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from .rules import ALTER_JOBS, CHANGE_JOBS, ENTRY_JOBS, Job
from .wire import CHARSET

Params = Mapping[str, str]
Check = tuple[str, Callable[[str], bool]]  # (code, is the value wrong?)

MAX_AMOUNT = 9_999_999
INSTALMENTS = frozenset({"3", "5", "6", "10", "12", "15", "18", "20", "24"})
METHODS_WITH_PAY_TIMES = ("2", "4")


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter: the code when it is missing ("" = optional) and its checks in order."""

    name: str
    missing: str
    checks: tuple[Check, ...] = ()

    def problems(self, params: Params) -> list[str]:
        """The codes this parameter earns; a missing one earns no other (rule 6)."""
        value = params.get(self.name, "")
        if not value:
            return [self.missing] if self.missing else []
        return [code for code, is_wrong in self.checks if is_wrong(value)]

    def optional(self) -> "Field":
        """The same parameter where it may be left out."""
        return replace(self, missing="")


def check(params: Params, fields: Iterable[Field]) -> list[str]:
    """The codes of all fields, accumulated in their order (rule 5)."""
    return [code for field in fields for code in field.problems(params)]


def _longer(limit: int) -> Callable[[str], bool]:
    return lambda value: len(value) > limit


def _shorter(limit: int) -> Callable[[str], bool]:
    return lambda value: len(value) < limit


def _more_bytes(limit: int) -> Callable[[str], bool]:
    return lambda value: len(value.encode(CHARSET, "replace")) > limit


def _unlike(pattern: str) -> Callable[[str], bool]:
    matches = re.compile(pattern).fullmatch
    return lambda value: matches(value) is None


_NOT_DIGITS = _unlike("[0-9]+")


def _outside(values: Iterable[str]) -> Callable[[str], bool]:
    allowed = frozenset(values)
    return lambda value: value not in allowed


def _job_field(allowed: frozenset[Job]) -> Field:
    """JobCd: an unknown word is E01050002, a known one of another call E01050004 (rule 8)."""
    elsewhere = frozenset(Job) - allowed
    return Field(
        "JobCd",
        "E01050001",
        (("E01050002", _outside(Job)), ("E01050004", lambda value: value in elsewhere)),
    )


SHOP_ID = Field("ShopID", "E01010001", (("E01010008", _unlike("[0-9A-Za-z]{1,13}")),))
SHOP_PASS = Field("ShopPass", "E01020001", (("E01020008", _unlike("[0-9A-Za-z]{1,10}")),))
SITE_ID = Field("SiteID", "E01190001", (("E01190008", _unlike("[0-9A-Za-z]{1,13}")),))
SITE_PASS = Field("SitePass", "E01200001", (("E01200008", _unlike("[0-9A-Za-z]{1,20}")),))

ORDER_ID = Field(
    "OrderID",
    "E01040001",
    (("E01040003", _longer(27)), ("E01040013", _unlike("[0-9A-Za-z-]+"))),
)
MULTI_ORDER_ID = Field(
    "OrderID",
    "M01004001",
    (("M01004012", _longer(27)), ("M01004013", _unlike("[0-9A-Za-z-]+"))),
)
PAY_TYPE = Field(
    "PayType", "M01051001", (("M01051005", _longer(2)), ("M01051011", _unlike("[0-9]{1,2}")))
)
ACCESS_ID = Field("AccessID", "E01090001", (("E01090008", _unlike("[0-9A-Za-z]{32}")),))
ACCESS_PASS = Field("AccessPass", "E01100001", (("E01100008", _unlike("[0-9A-Za-z]{32}")),))

ENTRY_JOB = _job_field(ENTRY_JOBS)
ALTER_JOB = _job_field(ALTER_JOBS)
CHANGE_JOB = _job_field(CHANGE_JOBS)

AMOUNT = Field("Amount", "E01060001", (("E01060005", _longer(7)), ("E01060006", _NOT_DIGITS)))
TAX = Field("Tax", "", (("E01070005", _longer(7)), ("E01070006", _NOT_DIGITS)))
SUM_TOO_LARGE = "E01490005"

ITEM_CODE = Field("ItemCode", "", (("E01450008", _unlike("[0-9A-Za-z]{7}")),))
#: The first 3-D Secure was withdrawn: a flag that asks for it contradicts the setting.
TD_FLAG = Field(
    "TdFlag", "", (("E01080007", _outside("012")), ("E01080010", lambda value: value == "1"))
)


def _is_no_shop_name(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True).decode("euc_jp")
    except ValueError:
        return True
    return False


#: The shop's name during 3-D Secure: base64 of EUC-JP.
TD_TENANT_NAME = Field(
    "TdTenantName", "", (("E01370012", _more_bytes(25)), ("E01370008", _is_no_shop_name))
)
_COMBINATION_WRONG = "E01840010"
TDS2_TYPE = Field("Tds2Type", "", ((_COMBINATION_WRONG, _outside("123")),))
#: Where the browser comes back to (rule 37).
RETURN_URL = Field(
    "RetUrl",
    _COMBINATION_WRONG,
    (("E01530005", _longer(2048)), (_COMBINATION_WRONG, _unlike(r"https?://[!-~]+"))),
)
CALLBACK_TYPE = Field("CallbackType", "", ((_COMBINATION_WRONG, _outside("13")),))

METHOD = Field("Method", "E01260001", (("E01260002", _outside("12345")),))
PAY_TIMES = Field("PayTimes", "", (("E01270005", _longer(2)), ("E01270006", _NOT_DIGITS)))

CARD_NO = Field(
    "CardNo",
    "E01170001",
    (("E01170003", _longer(16)), ("E01170011", _shorter(10)), ("E01170006", _NOT_DIGITS)),
)
EXPIRE = Field(
    "Expire",
    "E01180001",
    (
        ("E01180003", lambda value: len(value) != 4),
        ("E01180006", _NOT_DIGITS),
        # the month can only be judged where two digits are there for it
        (
            "E01180008",
            lambda value: bool(re.fullmatch("[0-9]{4}", value)) and not 1 <= int(value[2:]) <= 12,
        ),
    ),
)
SECURITY_CODE = Field("SecurityCode", "", (("E01460008", _unlike("[0-9]{3,4}")),))
HOLDER_NAME = Field(
    "HolderName",
    "",
    # what would break the answer of SearchCard is refused: values are never escaped there
    (("E01480011", _longer(50)), ("E01480008", _unlike("[ -%'-<>-{}~]+"))),
)
CARD_PASS = Field("CardPass", "", (("E01250008", _unlike("[0-9A-Za-z]{1,20}")),))

MEMBER_ID = Field(
    "MemberID",
    "E01220001",
    (("E01220005", _longer(60)), ("E01220008", _unlike("[0-9A-Za-z@._-]+"))),
)


def _is_no_day(value: str) -> bool:
    try:
        return not re.fullmatch("[0-9]{8}", value) or not date.fromisoformat(value)
    except ValueError:
        return True


USE_DATE = Field("UseDate", "E01750001", (("E01750008", _is_no_day),))
#: The codes for these are not public: those of the nearest parameter (rule 38).
RECURRING_ID = Field(
    "RecurringID",
    "E01040001",
    (("E01040003", _longer(15)), ("E01040013", _unlike("[0-9A-Za-z-]+"))),
)
CHARGE_DAY = Field(
    "ChargeDay", "E01750001", (("E01750008", _unlike("0[1-9]|[12][0-9]|3[01]|[1-9]")),)
)
CHARGE_MONTH = Field(
    "ChargeMonth", "", (("E01750008", _unlike(r"(0[1-9]|1[0-2])(\|(0[1-9]|1[0-2])){0,11}")),)
)
REGIST_TYPE = Field("RegistType", "E01840010", (("E01840010", _outside("123")),))

MEMBER_NAME = Field("MemberName", "", (("E01430012", _more_bytes(255)),))
SEQ_MODE = Field("SeqMode", "E01470008", (("E01470008", _outside("01")),))
CARD_SEQ = Field("CardSeq", "E01230001", (("E01230006", _unlike("[0-9]{1,4}")),))

CLIENT_FIELDS = (
    Field("ClientField1", "", (("E01320012", _more_bytes(100)),)),
    Field("ClientField2", "", (("E01330012", _more_bytes(100)),)),
    Field("ClientField3", "", (("E01340012", _more_bytes(100)),)),
    Field("ClientFieldFlag", "", (("E01400007", _outside("01")),)),
    Field("DeviceCategory", "", (("E01310007", _outside("01")),)),
)


def amount_problems(params: Params) -> list[str]:
    """Amount (required), Tax, and their sum where both can be read."""
    problems = check(params, (AMOUNT, TAX))
    if not problems and sum(amounts(params)) > MAX_AMOUNT:
        return [SUM_TOO_LARGE]
    return problems


def amounts(params: Params) -> tuple[int, int]:
    """Amount and Tax in yen, of parameters that passed `amount_problems`."""
    return int(params["Amount"]), int(params.get("Tax") or 0)


def method_problems(params: Params) -> list[str]:
    """Method (required), and PayTimes, which instalments need and choose from a list."""
    problems = check(params, (METHOD, PAY_TIMES))
    if params.get("Method") in METHODS_WITH_PAY_TIMES:
        times = params.get("PayTimes", "")
        if not times:
            problems.append("E01270001")
        elif not PAY_TIMES.problems(params) and times not in INSTALMENTS:
            problems.append("E01270010")
    return problems
