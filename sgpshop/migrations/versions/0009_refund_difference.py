"""差額の返金: what was taken beyond the order's total can be given back."""

from sgpshop.migrations.words import take_words

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    take_words(
        "attempts",
        "operation",
        (
            "capture",
            "change_amount",
            "cancel",
            "extend",
            "authorize",
            "sale",
            "check_card",
            "register_card",
            "repay",
            "bill",
            "refund_difference",
        ),
        check="ck_attempts_operation",
    )
