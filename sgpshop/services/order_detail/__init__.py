"""One order with everything a screen or another program is told of it."""
