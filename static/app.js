/* What HTML and htmx do not do by themselves: ticks, dialogs, focus, what is said, keys, what is not saved. */
"use strict";
const byId = (id) => document.getElementById(id);
const first = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const on = (event, act, capture) => document.addEventListener(event, act, capture);
const ROW = "#order-table tbody tr";
const rows = () => all(ROW);
const boxes = () => all(`${ROW} [name=order_no]`);
const ticked = () => boxes().filter((box) => box.checked);
const isPoll = (element) => element.getAttribute("hx-trigger")?.includes("load");
const hidden = (name, value) => Object.assign(document.createElement("input"), { type: "hidden", name, value });
const recall = (key) => JSON.parse(sessionStorage.getItem(key) ?? "[]");
const keep = (key, value) => sessionStorage.setItem(key, JSON.stringify(value));

/* Ticks stay over an order, Back, paging and reload: by person and search, in this window. */

function showHeader() {
  const header = byId("select-page"), number = ticked().length;
  if (!header) return;
  header.checked = number > 0 && number === boxes().length;
  header.indeterminate = number > 0 && !header.checked;
}

const searchKey = () => `ticks ${document.body.dataset.person} ${byId("bulk-conditions")?.dataset.search}`;

function onOtherPages() {
  const here = boxes().map((box) => box.value);
  return recall(searchKey()).filter((number) => !here.includes(number));
}

const keepTicks = () => keep(searchKey(), [...onOtherPages(), ...ticked().map((box) => box.value)]);

/* Those of other pages go with the form: the server acts on all. */
const carry = (numbers) => byId("elsewhere").replaceChildren(...numbers.map((number) => hidden("order_no", number)));

/* Before htmx sees the change: it sends what the boxes say when it asks for the new bar. */
on("change", ({ target }) => {
  if (target.id === "select-page") boxes().forEach((box) => { box.checked = target.checked; });
  else if (target.name !== "order_no") return;
  first("#bulk-bar [name=all_hits]")?.remove();
  showHeader();
  keepTicks();
}, true);

let tickedFor = "", warning = "";

/* A list that was just brought: its ticks come back, and the bar is asked to count them. */
function bringTicks() {
  const bar = byId("bulk-bar"), table = byId("order-table");
  if (bar?.dataset.allHits === "true") boxes().forEach((box) => { box.checked = true; });
  else if (bar && !bar.classList.contains("is-progress") && !table?.dataset.ticks) {
    const before = tickedFor, numbers = recall(tickedFor = searchKey());
    if (table) table.dataset.ticks = "brought";
    if (before && before !== tickedFor && recall(before).length) {
      warning = "条件が変わったため、前の条件で選択した注文は含まれていません。";
    }
    if (numbers.length) {
      boxes().forEach((box) => { box.checked = numbers.includes(box.value); });
      carry(onOtherPages());
      htmx.trigger(table, "change");
    } else if (ticked().length) keepTicks();
  }
  showHeader();
}

/* A click on a row opens it, shift-click ticks from the last. */
let lastTicked = null;
on("click", ({ target, shiftKey }) => {
  if (target.matches("#order-table .tick")) return target.firstElementChild.click();
  const row = target.closest(ROW);
  if (!row) return;
  if (target.name === "order_no") {
    const [from, to] = [lastTicked, target].map((box) => boxes().indexOf(box)).sort((a, b) => a - b);
    if (shiftKey && from >= 0) boxes().slice(from, to).forEach((box) => { box.checked = target.checked; });
    lastTicked = target;
  } else if (!target.closest("a, button, input, label, summary") && !window.getSelection().toString()) {
    row.querySelector("a")?.click();
  }
});

/* What was done is said, by one region outside of all that is swapped. */

const tell = (words) => { byId("said").textContent = words; };
const wordsOf = (one) => one.dataset.say || one.textContent.trim().replace(/\s+/g, " ");
const heard = new Map();

/* Each [data-say] once, and again when its words change. */
function tellNews() {
  const news = all("[data-say]").filter((one) => heard.get(one.id || one) !== wordsOf(one));
  news.forEach((one) => heard.set(one.id || one, wordsOf(one)));
  const words = warning || news.map(wordsOf).join(" ");
  if (words) tell(words);
  warning = "";
}

/* The focus stays where it was, on what stands there now; else it goes to what was said. */

let last = null;
on("focusin", ({ target }) => { if (!target.closest("dialog")) last = target; });
on("mousedown", () => { last = null; });
on("htmx:beforeRequest", () => { if (document.activeElement !== document.body) last = document.activeElement; });

/* A dialog closed: the browser would give the focus back to a button that was off when it opened. */
on("close", () => {
  document.activeElement.blur();
  holdFocus();
}, true);

const isSame = (one) => ["textContent", "name", "value", "href"].every((part) => one[part] === last[part]);

function holdFocus() {
  if (document.activeElement !== document.body || !last || first("dialog[open]")) return;
  const again = byId(last.id) ?? all(last.localName).find(isSame);
  for (const one of [again, ...all("[data-land]"), byId("content")]) {
    one?.focus({ preventScroll: one !== again });
    if (document.activeElement !== document.body) return;
  }
}

/* No answer is said, a poll goes on.  A request whose answer was lost may have arrived: never «nothing was sent». */
const NO_ANSWER = {
  get: "通信できませんでした。接続を確認して、もう一度お試しください。",
  post: "通信できませんでした。操作が届いたかどうかは、この画面を開き直すと表示されます。もう一度押す前に確認してください。",
};

function say(textContent) {
  const told = Object.assign(document.createElement("p"), { className: "notice is-error", tabIndex: -1, textContent });
  byId("messages").replaceChildren(told);
  told.scrollIntoView({ block: "nearest" });
  tell(textContent);
}

for (const event of ["sendError", "timeout", "responseError"]) {
  on(`htmx:${event}`, ({ detail: { elt, requestConfig, xhr: { status } } }) => {
    if (!isPoll(elt)) status || say(NO_ANSWER[requestConfig.verb] ?? NO_ANSWER.post);
    else if (!status || status >= 500) setTimeout(htmx.ajax, 5000, "get", requestConfig.path, { source: elt }); // "load delay" fires once
  });
}

on("htmx:configRequest", ({ target, detail: { elt, headers, parameters } }) => {
  if (isPoll(elt)) headers["X-Poll"] = "1"; // no sign of life: it keeps no session open (security.py)
  if (target.id !== "search") return;
  /* Empty conditions would only make the address long; the period says "all" by being empty. */
  for (const name of Object.keys(parameters)) {
    if (parameters[name] === "" && name !== "from" && name !== "to") delete parameters[name];
  }
});

/* 注文内容修正: nothing is sent or charged while something typed is not saved, and leaving asks. */

const isTyped = () => first(".is-typed") !== null;
const showUnsaved = () => all("#order-edit [data-able]").forEach((button) => { button.disabled = isTyped(); });

on("input", ({ target }) => {
  const form = target.closest("#content-form, #total-form"), reason = byId("unsaved-reason");
  if (form && reason && !isTyped()) tell(reason.textContent);
  form?.classList.add("is-typed");
  showUnsaved();
});
window.addEventListener("beforeunload", (event) => { if (isTyped()) event.preventDefault(); });

/* ‹ 3/10 ›: the orders of the list that this one was opened from, as they stood. */

on("click", ({ target }) => {
  if (!target.closest(ROW)) return;
  const name = first("#status-tabs [aria-current] .tab-name")?.textContent ?? "";
  const links = rows().map((row) => row.querySelector("a")?.pathname);
  const more = first(".pager [rel]") ? ` (全${first("#hits *").textContent})` : "";
  keep("list", { from: location.pathname + location.search, name, links, more });
}, true);

function showNeighbours() {
  const { from, name, more, links = [] } = recall("list");
  const at = links.indexOf(location.pathname), nav = byId("neighbours");
  if (!nav || at < 0) return;
  nav.hidden = false;
  nav.querySelector("span").textContent = `${name} ${at + 1}/${links.length}${more}`;
  for (const [link, path] of [["prev", links[at - 1]], ["next", links[at + 1]]]) {
    if (path) nav.querySelector(`[rel=${link}]`).href = path;
  }
  first(".breadcrumb a")?.setAttribute("href", from);
  if (name === "仮売上" && links[at + 1]) byId("next-to-capture")?.setAttribute("href", links[at + 1]);
}

/* Keys: / search, ? help; on the list ↑↓ row, x tick, b bar, Enter open, Esc closes; on an order j k next, previous, c cancel. */

function goToRow(row) {
  row?.querySelector("a").focus();
  row?.scrollIntoView({ block: "nearest" });
}

function actOf(key, target) {
  const row = target.closest(ROW);
  const at = rows().indexOf(row);
  const opener = first("#choose-action[aria-expanded=true]");
  const box = byId("find-word");
  const go = (link) => link && (() => link.click());
  return {
    ArrowDown: rows().length && (() => goToRow(rows()[at + 1])),
    ArrowUp: rows().length && (() => goToRow(rows().at(at < 0 ? -1 : at - 1))),
    x: go(row?.querySelector('[name=order_no]')),
    b: byId("choose-action") && (() => (first("#run-bulk:enabled") ?? byId("choose-action")).focus()),
    Escape: opener && (() => { opener.focus(); opener.click(); }),
    Enter: target.matches("input") && go(row?.querySelector("a")),
    "/": box && (() => { box.focus(); box.select(); }),
    "?": () => { location.href = "/help#keys"; },
    j: go(first("#neighbours [rel=next]")),
    k: go(first("#neighbours [rel=prev]")),
    c: go(first(".acts [action$='/cancel'] button")),
  }[key];
}

on("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || (key.length === 1 && document.body.dataset.keys === "off")) return;
  if (target.closest("input:not([type=checkbox]), select, textarea, dialog, [popover]")) return;
  const act = actOf(key, target);
  if (!act) return;
  event.preventDefault();
  act();
});

/* Of a page and of each piece that is swapped in. */
function show() {
  bringTicks();
  showNeighbours();
  /* Buttons only where they can do something: a page by plain http has no clipboard. */
  all(`[data-print], [data-another], [data-all]${navigator.clipboard ? ", [data-copy]" : ""}`).forEach((button) => { button.hidden = false; });
  /* The chosen tab may stand beyond the edge of a telephone. */
  const tab = first("#status-tabs [aria-current]");
  if (tab) tab.closest("ul").scrollLeft = tab.offsetLeft - 60;
}

on("htmx:afterSettle", () => {
  all("dialog[data-modal]:not([open])").forEach((dialog) => dialog.showModal());
  if (first("#bulk-bar.is-progress")) {
    sessionStorage.removeItem(searchKey());
    carry([]);
  }
  show();
  showUnsaved();
  holdFocus();
  tellNews();
});

on("click", async ({ target }) => {
  if (target.closest("[data-print]")) window.print();
  if (!target.dataset.copy) return;
  const from = byId(target.dataset.copy);
  await navigator.clipboard.writeText(from.value ?? from.textContent);
  tell(target.textContent = "コピーしました");
});

on("DOMContentLoaded", () => {
  show();
  all("[data-say]:not(.notice)").forEach((one) => heard.set(one.id || one, wordsOf(one)));
  setTimeout(tellNews, 100); // a status region that is filled while the page loads is not heard
});
