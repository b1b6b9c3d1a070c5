"""The client of SMBC-GP: the only code that knows its words (AlterTran, JobCd, ErrInfo).

Others use what is exported here and nothing else.
"""

from sgpshop.gateway.base_url import InvalidGatewayUrl, check_base_url
from sgpshop.gateway.client import SmbcGpGateway, only_while
from sgpshop.gateway.elsewhere import ADDRESS_REFUSED, Elsewhere
from sgpshop.gateway.error_kinds import ErrorKind, worst
from sgpshop.gateway.error_words import UNCHANGED, explain, for_buyer, in_short, without_answer
from sgpshop.gateway.exceptions import (
    GatewayError,
    GatewayOutcomeUnknown,
    GatewayRejected,
    GatewayUnreachable,
)
from sgpshop.gateway.monthly_file import FileReceipt, FileResult, MonthlyLine, ResultLine
from sgpshop.gateway.notices import Notice, read_notice
from sgpshop.gateway.records import (
    Cancellation,
    Card,
    Challenge,
    IfUnsupported,
    Job,
    Receipt,
    RecurringCharge,
    ShopCredentials,
    StoredCard,
    ThreeDs,
    TradeAccess,
    TradeState,
    TradeStatus,
)
