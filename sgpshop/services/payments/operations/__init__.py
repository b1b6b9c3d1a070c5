"""The money operations, one module each: what to see before sending, what to send, what proves it.

`payments` drives them, `resolver` asks them what a look-up proves.  A new operation is a word of
models.Operation, its events in domain.payment_status, and a module here.
"""

from sgpshop.gateway import Job
from sgpshop.models import Operation
from sgpshop.services.payments.operations.cancel import CancelPlan
from sgpshop.services.payments.operations.capture import CapturePlan
from sgpshop.services.payments.operations.change_amount import ChangeAmountPlan, ExtendPlan
from sgpshop.services.payments.operations.entering import EnteringPlan
from sgpshop.services.payments.operations.plan import Plan, Step
from sgpshop.services.payments.operations.refund_difference import RefundDifferencePlan

#: Operations on a transaction that is at SMBC-GP.
_ON_TRANSACTION: dict[Operation, Plan] = {
    Operation.CAPTURE: CapturePlan(),
    Operation.CHANGE_AMOUNT: ChangeAmountPlan(),
    Operation.EXTEND: ExtendPlan(),
    Operation.CANCEL: CancelPlan(),
    Operation.REFUND_DIFFERENCE: RefundDifferencePlan(),
}
#: Operations that make one, and what they ask for.
_ENTERING: dict[Operation, Plan] = {
    operation: EnteringPlan(operation, job)
    for operation, job in {
        Operation.AUTHORIZE: Job.AUTH,
        Operation.SALE: Job.CAPTURE,
        Operation.CHECK_CARD: Job.CHECK,
        Operation.REGISTER_CARD: Job.CHECK,
        Operation.REPAY: Job.CAPTURE,
        Operation.BILL: Job.CAPTURE,
        Operation.CAPTURE: Job.CAPTURE,
    }.items()
}


def plan_of(operation: Operation, *, is_unpaid_charge: bool) -> Plan:
    """How `operation` is carried out on a transaction that is still to be paid, or is there."""
    is_new = operation.enters(is_unpaid_charge=is_unpaid_charge)
    return (_ENTERING if is_new else _ON_TRANSACTION)[operation]


__all__ = ["Plan", "Step", "plan_of"]
