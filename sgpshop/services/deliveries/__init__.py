"""Parcels: 配送完了, 返送処理, ステータスの変更, and the sheet that goes into them."""
