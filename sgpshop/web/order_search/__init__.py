"""注文検索/一括処理 (`/orders`): list, bulk runs, files and sheets of chosen orders."""
