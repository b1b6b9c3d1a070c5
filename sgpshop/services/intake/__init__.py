"""Orders that come in with a card to be authorized (domain.md T1-T6, reliability P27)."""
