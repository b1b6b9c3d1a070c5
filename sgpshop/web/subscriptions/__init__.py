"""定期購入 (`/subscriptions`)."""
