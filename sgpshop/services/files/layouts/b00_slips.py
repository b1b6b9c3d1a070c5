"""Files of slip numbers that their headings tell: of carriers' programs, then of carts and order programs.

Where headings alone do not say all, a layout has a module of its own (b01, b08, b13).
"""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, Source, always, first, join, say


def _slips(
    id_: str, program: str, signature: tuple[str, ...], *, export: str, **columns: str | Source
) -> Layout:
    """`columns`: under which heading a field of a slip stands, as in any Layout."""
    return Layout(
        id=id_,
        program=program,
        purpose=Purpose.SLIPS,
        signature=signature,
        columns=columns,
        export=export,
    )


#: ヤマト運輸 B2 v6 and v7: 73 columns.
B2_OLD = _slips(
    "b02",
    "ヤマト運輸 B2(v6・v7)",
    ("送り状種別", "お届け予定（指定）日", "伝票番号"),
    order_no="お客様管理番号",
    slip_no="伝票番号",
    ship_date="出荷予定日",
    carrier=always("002"),
    export="B2の「発行済データ」から外部ファイルに出力してください。",
)
#: 佐川急便 e飛伝Ⅲ, 標準: 74 columns.
EHIDEN3 = _slips(
    "b03",
    "佐川急便 e飛伝Ⅲ",
    ("お客様管理番号", "お問い合せ送り状No.", "お届け先コード取得区分"),
    order_no="お客様管理番号",
    slip_no="お問い合せ送り状No.",
    ship_date="出荷日",
    carrier=always("003"),
    export="e飛伝Ⅲの「出荷履歴」から、標準テンプレートでCSV出力してください。",
)
#: 佐川急便 e飛伝Ⅲ, 出荷履歴: the same words in another order.
EHIDEN3_HISTORY = _slips(
    "b04",
    "佐川急便 e飛伝Ⅲ 出荷履歴",
    ("お客様管理番号", "お問い合せ送り状No."),
    order_no="お客様管理番号",
    slip_no="お問い合せ送り状No.",
    ship_date="出荷日",
    carrier=always("003"),
    export="e飛伝Ⅲの「出荷履歴」からCSV出力してください。",
)
#: 佐川急便 e飛伝Ⅱ, 出荷実績: 53 columns; 削除区分 1 is a label that was taken back.
EHIDEN2 = _slips(
    "b05",
    "佐川急便 e飛伝Ⅱ",
    ("お問合せ送り状№", "お客様管理ナンバー"),
    order_no="お客様管理ナンバー",
    slip_no="お問合せ送り状№",
    ship_date="出荷日時",
    deleted="削除区分",
    carrier=always("003"),
    export="e飛伝Ⅱの「出荷実績」からCSV出力してください。",
)
#: 佐川急便 e飛伝Pro: 149 columns.
EHIDEN_PRO = _slips(
    "b06",
    "佐川急便 e飛伝Pro",
    ("問い合せ№", "顧客管理番号"),
    order_no="顧客管理番号",
    slip_no="問い合せ№",
    ship_date="出荷日",
    carrier=always("003"),
    export="e飛伝Proの「出荷実績」からCSV出力してください。",
)
#: 佐川急便 BizLogi: 61 columns.
BIZLOGI = _slips(
    "b07",
    "佐川急便 BizLogi",
    ("問い合せ№", "お客様管理番号"),
    order_no="お客様管理番号",
    slip_no="問い合せ№",
    ship_date="出荷日",
    carrier=always("003"),
    export="BizLogiから出荷実績をCSV出力してください。",
)
#: 日本郵便 ゆうプリクラウド, 送り状データダウンロード: 9 columns.
YUPRI_CLOUD = _slips(
    "b10",
    "日本郵便 ゆうプリクラウド",
    ("お客様側管理番号", "お問い合わせ番号", "お届け先 郵便番号", "お届け先 名称"),
    order_no="お客様側管理番号",
    slip_no="お問い合わせ番号",
    ship_date="発送予定日",
    carrier=always("001"),
    export="ゆうプリクラウドの「送り状データダウンロード」を使ってください。",
)
#: 日本郵便 クリックポスト: no order number is in the file before somebody adds it.
CLICKPOST = _slips(
    "b11",
    "日本郵便 クリックポスト",
    ("申込日時", "お問い合わせ番号", "お届け先氏名"),
    order_no="注文番号",
    slip_no="お問い合わせ番号",
    ship_date="申込日時",
    carrier=always("027"),
    export="どの注文の伝票番号かが入っていないため、「注文番号」の列を足し、各行に注文番号を入れてから選んでください。",
)
#: 福山通運 iSTAR-2, 出荷実績: 34 columns.
ISTAR2 = _slips(
    "b12",
    "福山通運 iSTAR-2",
    ("荷受人コード", "送り状番号", "お客様管理番号"),
    order_no="お客様管理番号",
    slip_no="送り状番号",
    ship_date="出荷日付",
    carrier=always("007"),
    export="iSTAR-2の「出荷実績」から、見出しを付けてCSV出力してください。",
)
#: 日本通運 e発行: 49 columns below two lines of headings; the company has no code of ours.
E_HAKKO = _slips(
    "b14",
    "日本通運 e発行",
    ("お問い合わせ番号", "お客様番号", "発行種別"),
    order_no="お客様番号",
    slip_no="お問い合わせ番号",
    ship_date="受託日",
    carrier=always("日本通運"),
    export="e発行から出荷データをCSV出力してください。",
)
#: ネクストエンジン, 出荷確定: 伝票番号 is its own number, 発送伝票番号 the carrier's.
NEXT_ENGINE = _slips(
    "b15",
    "ネクストエンジン 出荷確定",
    ("発送伝票番号",),
    order_no=first("受注番号", "店舗伝票番号"),
    slip_no="発送伝票番号",
    ship_date="出荷確定日",
    carrier="発送方法",
    export="ネクストエンジンの出荷確定データに「受注番号」の列を入れて、CSVダウンロードしてください。",
)
#: ロジレス, 出荷済み: several numbers in a cell.
LOGILESS = _slips(
    "b16",
    "ロジレス",
    ("受注コード", "（出荷伝）配送追跡番号リスト"),
    order_no="受注コード",
    slip_no="（出荷伝）配送追跡番号リスト",
    carrier="（出荷伝）配送方法",
    export="ロジレスの受注一覧からCSVダウンロードしてください。",
)
#: 楽天RMS, 発送完了: a row for each number, companies by codes of Rakuten.
RMS = _slips(
    "b17",
    "楽天RMS 発送完了報告",
    ("注文番号", "お荷物伝票番号", "発送明細ID"),
    order_no="注文番号",
    slip_no="お荷物伝票番号",
    ship_date="発送日",
    carrier="配送会社",
    export="注文番号とお荷物伝票番号の列がある、RMSの発送完了報告のファイルを選んでください。",
)
#: EC-CUBE 4, 出荷CSV: no order number is in the file before somebody adds it.
ECCUBE4 = _slips(
    "b18",
    "EC-CUBE 4 出荷CSV",
    ("出荷ID", "お問い合わせ番号", "出荷日"),
    order_no="注文番号",
    slip_no="お問い合わせ番号",
    ship_date="出荷日",
    export="出荷IDはEC-CUBEの中だけの番号です。「注文番号」の列を足し、各行に注文番号を入れてから選んでください。",
)
#: カラーミーショップ: 配送先ID is its own number.
COLORME = _slips(
    "b19",
    "カラーミーショップ 伝票番号",
    ("注文ID", "配送伝票番号"),
    order_no="注文ID",
    slip_no="配送伝票番号",
    export="カラーミーショップの受注から、注文IDと配送伝票番号を入れてCSV出力してください。",
)
#: GoQSystem: a row for each item.
GOQ = _slips(
    "b20",
    "GoQSystem",
    ("GoQ管理番号", "お荷物伝票番号", "受注番号"),
    order_no="受注番号",
    slip_no="お荷物伝票番号",
    carrier="配送方法(複数配送先)",
    export="GoQSystemの受注から、受注番号とお荷物伝票番号を入れてCSV出力してください。",
)
#: Yahoo!ショッピング, 出荷: two numbers, companies by codes of Yahoo.
YAHOO = _slips(
    "b22",
    "Yahoo!ショッピング",
    ("OrderId", "ShipInvoiceNumber1"),
    order_no="OrderId",
    slip_no=join("ShipInvoiceNumber1", "ShipInvoiceNumber2", by=","),
    ship_date="ShipDate",
    carrier=say("ShipCompanyCode", {"100": "001", "103": "002", "104": "003"}),
    export="Yahoo!ショッピングの注文データに、OrderIdとShipInvoiceNumber1を入れて出力してください。",
)
#: 日本郵便 EMS.
EMS = _slips(
    "b23",
    "日本郵便 EMS",
    ("EMS item number", "Invoice number"),
    order_no="Invoice number",
    slip_no="EMS item number",
    carrier=always("008"),
    export="Invoice numberとEMS item numberの列がある、出荷データのファイルを選んでください。",
)


def _without_slips(id_: str, what: str, *signature: str) -> Layout:
    """ネクストエンジン without 発送伝票番号: its 伝票番号 would be taken for the carrier's."""
    return Layout(
        id=id_,
        program=f"ネクストエンジン {what}(発送伝票番号なし)",
        purpose=Purpose.SLIPS,
        signature=signature,
        without=("発送伝票番号",),
        columns={},
        refusal=(
            "「伝票番号」はネクストエンジンの中の番号で、送り状の番号ではありません。"
            "出荷確定データに「受注番号」と「発送伝票番号」の列を入れて、CSVダウンロードしてください。"
        ),
    )


NEXT_ENGINE_ORDERS = _without_slips("b24", "受注", "店舗伝票番号", "伝票番号")
NEXT_ENGINE_SHIPPED = _without_slips("b25", "出荷確定", "受注番号", "伝票番号", "出荷確定日")
