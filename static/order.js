/* One order: what is typed and not saved. */
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
  window.addEventListener("beforeunload", (event) => {
    if (document.querySelector(".is-typed")) event.preventDefault();
  });
})();
