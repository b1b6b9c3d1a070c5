"""詳細注文情報 (`/orders/<order_no>`) and the acts on it."""
