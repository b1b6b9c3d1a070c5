"""設定: the contract, people, keys, notifications, the own account."""
