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

  /* ---- No answer: said where everything else is said, and a poll goes on by itself ---- */

  /* A request whose answer was lost may have arrived: never «nothing was sent». */
  const NO_ANSWER = {
    get: "通信できませんでした。接続を確認して、もう一度お試しください。",
    post: "通信できませんでした。操作が届いたかどうかは、この画面を開き直すと表示されます。もう一度押す前に確認してください。",
  };
  const POLL_AGAIN_MS = 5000;

  function say(words) {
    const told = document.createElement("p");
    told.className = "notice is-error";
    told.setAttribute("role", "alert");
    told.tabIndex = -1;
    told.textContent = words;
    document.getElementById("messages").replaceChildren(told);
    told.scrollIntoView({ block: "nearest" });
  }

  /* "load delay" fires once an element; its copy asks again. */
  function pollAgain(element) {
    setTimeout(() => {
      if (!element.isConnected) return;
      const again = element.cloneNode(true);
      element.replaceWith(again);
      window.htmx.process(again);
    }, POLL_AGAIN_MS);
  }

  const isPoll = (element) => element.getAttribute("hx-trigger")?.includes("load");

  for (const lost of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(lost, ({ detail }) => {
      if (isPoll(detail.elt)) pollAgain(detail.elt);
      else say(NO_ANSWER[detail.requestConfig.verb] ?? NO_ANSWER.post);
    });
  }
  document.addEventListener("htmx:responseError", ({ detail }) => {
    if (isPoll(detail.elt) && detail.xhr.status >= 500) pollAgain(detail.elt);
  });

  /* ---- Something is under way: a bar under the header, for whatever takes longer than a blink ---- */

  let underWay = 0;
  for (const [moment, step] of [["htmx:beforeSend", 1], ["htmx:afterRequest", -1]]) {
    document.addEventListener(moment, ({ detail }) => {
      if (isPoll(detail.elt)) return;
      underWay = Math.max(0, underWay + step);
      document.documentElement.classList.toggle("is-under-way", underWay > 0);
    });
  }

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

  /* ---- A click on a row opens it, shift-click ticks from the last one on ---- */

  let lastTicked = null;

  document.addEventListener("click", (event) => {
    const row = event.target.closest("#order-table tbody tr");
    if (!row) return;
    const box = event.target.closest('input[name="order_no"]');
    if (box) {
      const rows = boxes();
      const [from, to] = [rows.indexOf(lastTicked), rows.indexOf(box)].sort((a, b) => a - b);
      if (event.shiftKey && from >= 0) {
        rows.slice(from, to).forEach((one) => { one.checked = box.checked; });
      }
      lastTicked = box;
      return;
    }
    const isOther = event.target.closest("a, button, input, label, summary");
    if (isOther || window.getSelection().toString()) return;
    row.querySelector("a")?.click();
  });

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
