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
    keepTicks();
  }, true);

  /* ---- Ticks stay over an order, Back, paging and reload: by person and search, in this window ---- */

  /* The same search, whichever page of it and however sorted. */
  function searchKey() {
    const asked = new URLSearchParams(document.getElementById("bulk-conditions")?.value);
    for (const [name, value] of [...asked]) {
      if (!value || ["cursor", "sort", "dir", "size"].includes(name)) asked.delete(name, value);
    }
    asked.sort();
    return `ticks ${document.body.dataset.person} ${asked}`;
  }

  const kept = () => JSON.parse(sessionStorage.getItem(searchKey()) ?? "[]");

  /* Those of other pages go with the form, so that the server counts and acts on all. */
  function carry(numbers) {
    const here = new Set(boxes().map((box) => box.value));
    all("#bulk > [data-kept]").forEach((hidden) => hidden.remove());
    numbers.filter((number) => !here.has(number)).forEach((number) => {
      const hidden = Object.assign(document.createElement("input"), { type: "hidden", name: "order_no", value: number });
      hidden.dataset.kept = "";
      document.getElementById("bulk").append(hidden);
    });
  }

  function keepTicks() {
    const here = new Set(boxes().map((box) => box.value));
    const ticked = boxes().filter((box) => box.checked).map((box) => box.value);
    sessionStorage.setItem(searchKey(), JSON.stringify([...kept().filter((number) => !here.has(number)), ...ticked]));
  }

  let tickedFor = "", warning = "";

  /* A list that was just brought: its ticks come back, and the bar is asked to count them. */
  function bringTicks() {
    const bar = document.getElementById("bulk-bar");
    if (!bar || bar.classList.contains("is-progress") || document.querySelector("#order-table[data-ticks]")) return;
    const before = tickedFor;
    tickedFor = searchKey();
    document.getElementById("order-table")?.setAttribute("data-ticks", "");
    if (bar.dataset.allHits === "true") return;
    const numbers = kept();
    if (before && before !== tickedFor && JSON.parse(sessionStorage.getItem(before) ?? "[]").length) {
      warning = "条件が変わったため、前の条件で選択した注文は含まれていません。";
    }
    if (!numbers.length) {
      if (boxes().some((box) => box.checked)) keepTicks();
      return;
    }
    boxes().forEach((box) => { box.checked = numbers.includes(box.value); });
    carry(numbers);
    window.htmx.trigger("#order-table", "change");
  }

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
    if (document.querySelector("#bulk-bar.is-progress")) {
      sessionStorage.removeItem(searchKey());
      carry([]);
    }
    bringTicks();
    showAllHits();
    holdFocus();
    tellNews();
  });

  /* ---- What was done is said: by the one status region, outside of all that is swapped ---- */

  const tell = (words) => { document.getElementById("said").textContent = words; };
  const heard = new Map();

  /* Each [data-say] once, and again when its words change. */
  function tellNews() {
    const news = all("[data-say]").filter((one) => {
      const key = one.id || one;
      const isNew = heard.get(key) !== wordsOf(one);
      heard.set(key, wordsOf(one));
      return isNew;
    });
    const words = warning || news.map(wordsOf).join(" ");
    if (words) tell(words);
    warning = "";
  }

  const wordsOf = (one) => one.dataset.say || one.textContent.trim().replace(/\s+/g, " ");

  /* ---- The focus stays where it was, on what stands there now; else it goes to what was said ---- */

  let last = null;
  document.addEventListener("focusin", (event) => { if (!event.target.closest("dialog")) last = event.target; });
  document.addEventListener("mousedown", () => { last = null; });
  document.addEventListener("htmx:beforeRequest", () => {
    if (document.activeElement !== document.body) last = document.activeElement;
  });

  /* A dialog closed: the browser would give the focus back to a button that was off when it opened. */
  document.addEventListener("close", () => {
    document.activeElement.blur();
    holdFocus();
  }, true);

  const isSame = (one) => one.textContent === last.textContent && one.name === last.name && one.value === last.value
    && one.getAttribute("href") === last.getAttribute("href");

  function holdFocus() {
    const lost = document.activeElement === document.body || !document.activeElement;
    if (!lost || !last || document.querySelector("dialog[open]")) return;
    const again = document.getElementById(last.id) ?? all(last.localName).find(isSame);
    for (const one of [again, ...all("[data-land]"), document.getElementById("content")]) {
      one?.focus({ preventScroll: one !== again });
      if (document.activeElement !== document.body) return;
    }
  }

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
    told.tabIndex = -1;
    told.textContent = words;
    document.getElementById("messages").replaceChildren(told);
    told.scrollIntoView({ block: "nearest" });
    tell(words);
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

  /* ---- Keys: / search and ? help everywhere; on the list ↑↓ row, x tick, b bar, Enter open, Esc closes ---- */

  const isTyping = (target) => target.closest("input:not([type=checkbox]), select, textarea, dialog, [popover]");

  function moveTo(row) {
    if (!row) return;
    row.querySelector("a").focus();
    row.scrollIntoView({ block: "nearest" });
  }

  function onKey(event) {
    const table = document.getElementById("order-table");
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const isPlain = event.key.length === 1;
    if (isPlain && document.body.dataset.keys === "off") return;
    const rows = table ? all("tbody tr", table) : [];
    const row = event.target.closest("#order-table tbody tr");
    const at = rows.indexOf(row);
    const actions = {
      ArrowDown: () => moveTo(rows[at + 1]),
      ArrowUp: () => moveTo(at < 0 ? rows.at(-1) : rows[at - 1]),
      x: () => row?.querySelector('input[name="order_no"]')?.click(),
      b: () => (document.querySelector("#run-bulk:enabled") ?? document.getElementById("choose-action"))?.focus(),
      Escape: () => {
        const opener = document.querySelector("#choose-action[aria-expanded=true]");
        opener?.focus();
        opener?.click();
      },
      Enter: () => event.target.matches("input") && row?.querySelector("a").click(),
      "/": () => { const box = document.getElementById("find-word"); box?.focus(); box?.select(); },
      "?": () => { window.location.href = "/help#keys"; },
    };
    const isOurs = event.key === "Enter" ? row && event.target.matches("input") : event.key in actions && (table || "/?".includes(event.key));
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
    document.addEventListener("keydown", onKey);
    bringTicks();
    showAllHits();
    all("[data-say]").forEach((one) => { if (!one.closest("#messages")) heard.set(one.id || one, wordsOf(one)); });
    setTimeout(tellNews, 100); // a status region that is filled while the page loads is not heard
  });
})();
