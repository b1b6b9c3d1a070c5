"""Nobody pays an order twice: the database refuses a payment beside one that is reserved or taken.

The services refuse it before (services/charges.py); this holds whoever writes.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

#: Under another number: reserved, taken, or a buyer at 3-D Secure who can still finish.  Under its
#: own: taken, or reserved where it is not the capture of just that.
_IS_SECOND = """
    NEW.state IN ('queued', 'sending', 'unknown')
    AND NEW.operation IN
        ('capture', 'authorize', 'sale', 'check_card', 'register_card', 'repay', 'bill')
    AND EXISTS (
        SELECT 1 FROM card_transactions t WHERE t.order_id = NEW.order_id AND (
            t.id <> NEW.transaction_id AND (
                t.gateway_state IN ('AUTH', 'SAUTH', 'SALES', 'CAPTURE')
                OR t.gateway_state = 'AUTHENTICATED' AND t.challenge_url <> ''
            )
            OR t.id = NEW.transaction_id AND (
                t.gateway_state IN ('SALES', 'CAPTURE')
                OR t.gateway_state IN ('AUTH', 'SAUTH') AND NEW.operation <> 'capture'
            )
        )
    )
"""
_WHY = "the order has a live transaction"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER attempts_one_live BEFORE INSERT ON attempts WHEN {_IS_SECOND}"
            f" BEGIN SELECT RAISE(ABORT, '{_WHY}'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION attempts_refuse_second() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF {_IS_SECOND} THEN RAISE EXCEPTION '{_WHY}' USING ERRCODE = 'check_violation'; END IF;"
        " RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER attempts_one_live BEFORE INSERT ON attempts"
        " FOR EACH ROW EXECUTE FUNCTION attempts_refuse_second()"
    )
