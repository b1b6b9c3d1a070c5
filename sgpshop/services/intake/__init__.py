"""Orders that come in with a card to be authorized (rules.md T1-T6, reliability P27)."""

from sgpshop.services.intake.coming_back import come_back
from sgpshop.services.intake.placing import place
from sgpshop.services.intake.problems import (
    BeingBilled,
    ChangedSince,
    Declined,
    IntakeClosed,
    NumberInQuestion,
    OrderNumberTaken,
    PaymentRefused,
    PaymentUnavailable,
    ThreeDsNotSetUp,
    TokenRefused,
)
from sgpshop.services.orders.subscription_rounds import RoundTaken
