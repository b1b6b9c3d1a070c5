"""注文内容修正 (`/orders/<order_no>/edit`)."""
