"""Searching orders: conditions, pages, rows and sums."""
