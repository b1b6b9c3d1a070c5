/* The little that HTML and htmx do not do by themselves: the header checkbox, the dialog, keys. */
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const boxes = () => all('#order-table tbody input[name="order_no"]');

  /* ---- Header checkbox: the rows of this page, or a dash when only some are ticked ---- */

  function showHeader() {
    const header = document.getElementById("select-page");
    if (!header) return;
    const ticked = boxes().filter((box) => box.checked).length;
    header.checked = ticked > 0 && ticked === boxes().length;
    header.indeterminate = ticked > 0 && !header.checked;
  }

  /* Before htmx sees the change: it sends what the boxes say when it asks for the new bar. */
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.id === "select-page") boxes().forEach((one) => { one.checked = box.checked; });
    else if (box.name !== "order_no") return;
    all('#bulk-bar input[name="all_hits"]').forEach((hidden) => hidden.remove());
    showHeader();
  }, true);

  /* 検索結果の全n件: the page shows what the server counts. */
  function showAllHits() {
    if (document.getElementById("bulk-bar")?.dataset.allHits === "true") {
      boxes().forEach((box) => { box.checked = true; });
    }
    showHeader();
  }

  /* ---- What htmx brought ---- */

  document.addEventListener("htmx:afterSettle", () => {
    all("dialog[data-modal]:not([open])").forEach((dialog) => dialog.showModal());
    showAllHits();
  });

  /* Empty conditions would only make the address long; the period says "all" by being empty. */
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.id !== "search") return;
    const { parameters } = event.detail;
    for (const name of Object.keys(parameters)) {
      if (parameters[name] === "" && name !== "from" && name !== "to") delete parameters[name];
    }
  });

  /* ---- Keys on the list: ↑↓ row, x tick, Enter open, / search, ? help ---- */

  const isTyping = (target) => target.closest("input:not([type=checkbox]), select, textarea, dialog, [popover]");

  function moveTo(row) {
    if (!row) return;
    row.querySelector("a").focus();
    row.scrollIntoView({ block: "nearest" });
  }

  function onKey(event) {
    const table = document.getElementById("order-table");
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const rows = table ? all("tbody tr", table) : [];
    const row = event.target.closest("#order-table tbody tr");
    const at = rows.indexOf(row);
    const actions = {
      ArrowDown: () => moveTo(rows[at + 1]),
      ArrowUp: () => moveTo(at < 0 ? rows.at(-1) : rows[at - 1]),
      x: () => row?.querySelector('input[name="order_no"]')?.click(),
      Enter: () => event.target.matches("input") && row?.querySelector("a").click(),
      "/": () => document.getElementById("search-order_no")?.focus(),
      "?": () => { window.location.href = "/help#keys"; },
    };
    const isOurs = event.key === "Enter" ? row && event.target.matches("input") : event.key in actions;
    if (!isOurs || (event.key.startsWith("Arrow") && !rows.length)) return;
    event.preventDefault();
    actions[event.key]();
  }

  /* ---- 納品書: the button is there only where it can do something ---- */

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) window.print();
  });

  document.addEventListener("DOMContentLoaded", () => {
    all("[data-print]").forEach((button) => { button.hidden = false; });
    all("[data-unscripted]").forEach((words) => { words.hidden = true; });
    if (document.getElementById("results")) document.addEventListener("keydown", onKey);
    showAllHits();
  });
})();
