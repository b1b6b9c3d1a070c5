"""The money operations, one module each: what to see before sending, what to send, what proves it.

`payments` drives them, `resolver` asks them what a look-up proves.  A new operation is a word of
models.Operation, its events in domain.payment_status, and a module here.
"""

from sgpshop.models import Operation
from sgpshop.services.operations.cancel import CancelPlan
from sgpshop.services.operations.capture import CapturePlan
from sgpshop.services.operations.change_amount import ChangeAmountPlan, ExtendPlan
from sgpshop.services.operations.plan import Plan, Step

PLANS: dict[Operation, Plan] = {
    Operation.CAPTURE: CapturePlan(),
    Operation.CHANGE_AMOUNT: ChangeAmountPlan(),
    Operation.EXTEND: ExtendPlan(),
    Operation.CANCEL: CancelPlan(),
}

__all__ = ["PLANS", "Plan", "Step"]
