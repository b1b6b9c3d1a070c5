/* One order: what is typed and not saved, its neighbours in the list; and that a poll is no sign of life. */
"use strict";
(() => {
  /* 注文内容修正: nothing is sent or charged while something typed is not saved, and leaving asks. */
  function showUnsaved() {
    const edit = document.getElementById("order-edit");
    if (!edit) return;
    const isTyped = edit.querySelector(".is-typed") !== null;
    for (const button of edit.querySelectorAll("[data-able]")) button.disabled = isTyped;
  }

  document.addEventListener("input", ({ target }) => {
    target.closest("#content-form, #total-form")?.classList.add("is-typed");
    showUnsaved();
  });
  document.addEventListener("htmx:afterSettle", showUnsaved);
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (detail.elt.getAttribute("hx-trigger")?.includes("load")) detail.headers["X-Poll"] = "1";
  });
  window.addEventListener("beforeunload", (event) => {
    if (document.querySelector(".is-typed")) event.preventDefault();
  });

  /* ‹ 3/10 ›: the orders of the list it was opened from, in the order they stood there; j and k. */
  const LIST = "list";
  document.addEventListener("click", ({ target }) => {
    if (!target.closest("#order-table tbody tr")) return;
    const links = [...document.querySelectorAll("#order-table tbody tr")].map((row) => row.querySelector("a")?.pathname);
    const name = document.querySelector("#status-tabs [aria-current]")?.firstChild.textContent.trim() ?? "";
    sessionStorage.setItem(LIST, JSON.stringify({ from: location.pathname + location.search, name, links }));
  }, true);

  document.addEventListener("DOMContentLoaded", () => {
    const nav = document.getElementById("neighbours");
    const { from, name, links = [] } = JSON.parse(sessionStorage.getItem(LIST) ?? "{}");
    const at = links.indexOf(location.pathname);
    if (!nav || at < 0) return;
    nav.hidden = false;
    nav.querySelector("span").textContent = `${name} ${at + 1}/${links.length}`;
    const keys = { k: [nav.querySelector("[rel=prev]"), links[at - 1]], j: [nav.querySelector("[rel=next]"), links[at + 1]] };
    for (const [link, path] of Object.values(keys)) {
      if (path) link.href = path;
    }
    document.querySelector(".breadcrumb a")?.setAttribute("href", from);
    document.addEventListener("keydown", (event) => {
      const isFree = !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest("input, select, textarea, dialog");
      if (isFree) keys[event.key]?.[0].click();
    });
  });
})();
