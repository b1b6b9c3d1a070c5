"""How the gateway misbehaves on request (protocol.md §13.8, interfaces.md §6).

Faults live in memory: a restarted gateway is a well-behaved one.
"""

import random
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_SECONDS = 600.0
MAX_TIMES = 1_000_000
DRIP_SECONDS = 0.2


class FaultKind(StrEnum):
    """The faults of rule 32."""

    DROP_BEFORE = "drop_before"  # connection closed, not carried out
    DROP_AFTER = "drop_after"  # carried out, connection closed without an answer
    DELAY = "delay"  # carried out, answered late
    HTTP = "http"  # an HTML page of that status, not carried out
    TRUNCATE = "truncate"  # carried out, well-formed HTTP around half the answer
    GARBAGE = "garbage"  # carried out, bytes that are no answer
    ERROR = "error"  # these codes, not carried out
    ERROR_AFTER = "error_after"  # carried out, then these codes
    SLOW_DRIP = "slow_drip"  # carried out, one byte at a time


#: Faults under which the request is never carried out.
BEFORE = frozenset({FaultKind.DROP_BEFORE, FaultKind.HTTP, FaultKind.ERROR})

_WITHOUT_ARGUMENT = frozenset(
    {FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER, FaultKind.TRUNCATE, FaultKind.GARBAGE}
)
_SECONDS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?")
_HTTP_STATUS = re.compile(r"[345][0-9]{2}")
_ERROR_CODES = re.compile(r"[0-9A-Z]{9}(\|[0-9A-Z]{9})*")


class BadFault(ValueError):
    """A fault that cannot be set; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave, read from its name and argument ("delay:3")."""

    name: str
    kind: FaultKind
    seconds: float = 0.0
    http_status: int = 0
    codes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, name: str) -> "Fault":
        """Read a fault of §13.8; raises BadFault."""
        word, colon, argument = name.partition(":")
        try:
            kind = FaultKind(word)
        except ValueError:
            known = ", ".join(FaultKind)
            raise BadFault(f"unknown fault {word!r}; known are {known}") from None
        if kind in _WITHOUT_ARGUMENT:
            if colon:
                raise BadFault(f"{kind} takes no argument")
            return cls(name, kind)
        if kind is FaultKind.SLOW_DRIP and not colon:
            return cls(name, kind, seconds=DRIP_SECONDS)
        if kind in (FaultKind.DELAY, FaultKind.SLOW_DRIP):
            if not _SECONDS.fullmatch(argument) or float(argument) > MAX_SECONDS:
                raise BadFault(f"{kind} needs seconds from 0 to {MAX_SECONDS:.0f}, as {kind}:3")
            return cls(name, kind, seconds=float(argument))
        if kind is FaultKind.HTTP:
            if not _HTTP_STATUS.fullmatch(argument):
                raise BadFault("http needs a status from 300 to 599, as http:503")
            return cls(name, kind, http_status=int(argument))
        if not _ERROR_CODES.fullmatch(argument):
            raise BadFault(f"{kind} needs an ErrInfo of 9 characters, as {kind}:E91019999")
        return cls(name, kind, codes=tuple(argument.split("|")))


@dataclass(slots=True)
class FaultRule:
    """A fault and the requests it hits; a condition left None hits them all."""

    fault: Fault
    api: str
    job_cd: str | None
    order_id: str | None
    times: int
    probability: float

    def matches(self, api: str, job_cd: str, order_id: str | None) -> bool:
        """Whether a request is one of those this rule is for."""
        return (
            self.api == api
            and self.job_cd in (None, job_cd)
            and (self.order_id is None or self.order_id == order_id)
        )

    def described(self) -> dict[str, Any]:
        """The rule as the control interface shows it; `times` is what is left."""
        return {
            "api": self.api,
            "job_cd": self.job_cd,
            "order_id": self.order_id,
            "times": self.times,
            "fault": self.fault.name,
            "probability": self.probability,
        }


def parse_rule(body: Mapping[str, Any], apis: frozenset[str]) -> FaultRule:
    """Read a control body `{api, job_cd?, order_id?, times, fault, probability?}`.

    Raises BadFault for anything that would never fire or is not understood.
    """
    unknown = body.keys() - {"api", "job_cd", "order_id", "times", "fault", "probability"}
    if unknown:
        raise BadFault(f"unknown keys: {', '.join(sorted(unknown))}")
    api, fault = body.get("api"), body.get("fault")
    if api not in apis:
        raise BadFault(f"api must be one of {', '.join(sorted(apis))}")
    if not isinstance(fault, str):
        raise BadFault('fault must be a string, as "drop_after" or "delay:3"')
    times, probability = body.get("times"), body.get("probability", 1)
    if type(times) is not int or not 1 <= times <= MAX_TIMES:
        raise BadFault(f"times must be a whole number from 1 to {MAX_TIMES}")
    if type(probability) not in (int, float) or not 0 < probability <= 1:
        raise BadFault("probability must be above 0 and at most 1")
    for key in ("job_cd", "order_id"):
        if body.get(key) is not None and not isinstance(body[key], str):
            raise BadFault(f"{key} must be a string")
    return FaultRule(
        Fault.parse(fault), str(api), body.get("job_cd"), body.get("order_id"), times, probability
    )


class Faults:
    """The faults that are set; the first rule that matches and fires is used up by one."""

    def __init__(self, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self._rules: list[FaultRule] = []
        self._random = random.Random(seed)  # noqa: S311 - dice for tests, no secret

    def add(self, rule: FaultRule) -> None:
        """Set a fault, behind those already set."""
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        """Behave again."""
        with self._lock:
            self._rules.clear()

    def take(self, api: str, job_cd: str, order_id: str | None) -> Fault | None:
        """The fault this request is to meet, if any."""
        if not self._rules:
            return None
        with self._lock:
            for rule in self._rules:
                if not rule.matches(api, job_cd, order_id):
                    continue
                if rule.probability < 1 and self._random.random() >= rule.probability:
                    continue
                rule.times -= 1
                if not rule.times:
                    self._rules.remove(rule)
                return rule.fault
        return None

    def described(self) -> list[dict[str, Any]]:
        """All rules that still have something to do."""
        with self._lock:
            return [rule.described() for rule in self._rules]
