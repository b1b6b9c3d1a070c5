"""The JSON API `/api/v1` (interfaces.md §5): other programs, by key, never by cookie (S6)."""
