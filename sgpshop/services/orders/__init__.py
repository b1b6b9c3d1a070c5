"""One order: read, locked for an act, its history and what has to be told about it."""
