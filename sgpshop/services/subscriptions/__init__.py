"""定期購入 (R101-R109): the list by stage of billing, what is registered next, the monthly files."""

from sgpshop.services.subscriptions.again import (
    failed_months,
    failed_of,
    failed_question,
    take_again,
)
from sgpshop.services.subscriptions.csv_file import as_csv
from sgpshop.services.subscriptions.facts import guarantee, refused_since
from sgpshop.services.subscriptions.lost_lines import charged_question, lost_lines, take_for_theirs
from sgpshop.services.subscriptions.monthly_files import (
    ListedFile,
    acknowledge,
    files,
    notices_of,
    trouble,
    trouble_question,
)
from sgpshop.services.subscriptions.outlook import (
    Outlook,
    Urgent,
    outlook,
    outlook_question,
    urgent_question,
)
from sgpshop.services.subscriptions.rows import ListedSubscription
from sgpshop.services.subscriptions.searching import search, tab_totals
from sgpshop.services.subscriptions.stages import (
    SubscriptionCriteria,
    SubscriptionDate,
    SubscriptionTab,
)
from sgpshop.services.subscriptions.use import in_use, in_use_question
