"""requests, without what it would guess an answer's letters by: SMBC-GP says them, and the tables are 3 MB."""

import warnings

from sgpshop.loading import without

with without("chardet", "charset_normalizer"), warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that it cannot guess
    import requests as requests
    from requests.adapters import HTTPAdapter as HTTPAdapter
