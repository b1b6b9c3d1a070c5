"""ヘルプ: what each word means, how a month is closed, and searching in it."""
