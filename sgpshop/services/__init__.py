"""Use cases, one per function: the only code that commits."""
