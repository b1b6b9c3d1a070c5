"""Many orders at once: what is chosen, started, and came of it."""
