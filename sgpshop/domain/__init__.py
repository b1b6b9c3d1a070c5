"""Plain Python about orders and payments: no Flask, database, network or clock."""
