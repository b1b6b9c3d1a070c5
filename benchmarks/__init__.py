"""`make bench`: figures as ratios within one run, so that a slow machine does not change them."""
