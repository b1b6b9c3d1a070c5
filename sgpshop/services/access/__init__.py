"""Who may do what: people, passwords, sessions, API keys, and how often somebody may try."""
