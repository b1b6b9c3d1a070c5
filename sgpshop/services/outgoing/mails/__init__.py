"""Mail to people of the shop about what they chose to hear of (R156).

`occasions` finds what there is to tell and writes a row for each person, `contents` says it,
`sending` hands it to the mail `server`.
"""

from sgpshop.services.outgoing.mails.choices import is_on, last_mails, save_choice, send_test
from sgpshop.services.outgoing.mails.occasions import look_for_occasions, tidy, worker_begins
from sgpshop.services.outgoing.mails.sending import is_any_due, send_due
