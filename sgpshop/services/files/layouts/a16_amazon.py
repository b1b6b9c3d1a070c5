"""Amazon 出荷レポート: delivery data only."""

from sgpshop.services.files.layout import Layout, Purpose

LAYOUT = Layout(
    id="a16",
    program="Amazon 出荷/未出荷レポート",
    purpose=Purpose.ORDERS,
    signature=("order-id", "quantity-to-ship"),
    columns={"order_no": "order-id"},
    refusal=(
        "このレポートには金額がないため、注文として取り込めません。"
        "Amazonの注文はAmazonが決済するため、ここへの登録も不要です。"
    ),
)
