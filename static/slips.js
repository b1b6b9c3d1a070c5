/* 発送: a scanner types a number and Enter; what is typed stays in this window until it is registered. */
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const form = byId("slip-grid");
  const key = `parcels ${document.body.dataset.person}`;
  const recall = () => JSON.parse(sessionStorage.getItem(key) ?? "[]");
  const store = (typed) => sessionStorage.setItem(key, JSON.stringify(typed));

  /* A result: what it tells of is typed no longer. */
  const told = [...document.querySelectorAll("#result tr[data-order-no]")].map((row) => row.dataset.orderNo);
  store(recall().filter(([parcel]) => !told.includes(parcel.slice(parcel.indexOf(" ") + 1))));
  if (!form) return;

  const rows = [...form.querySelectorAll('input[name="parcel"]')].map((parcel) => {
    const place = parcel.closest("tr"), next = parcel.nextElementSibling;
    return {
      parcel: parcel.value,
      carrier: place ? place.querySelector("select") : next,
      slips: place ? place.querySelector(".slips") : next.nextElementSibling,
      isHere: place !== null,
    };
  });
  const fields = rows.filter((row) => row.isHere).map((row) => row.slips);

  /* Said, and shown in the bar, which is always to be seen; "" takes it away. */
  function say(words) {
    for (const id of ["said", "slip-said"]) byId(id).textContent = words;
  }

  function keep() {
    const typed = rows.filter((row) => row.slips.value.trim());
    store(typed.map((row) => [row.parcel, row.carrier.value, row.slips.value]));
    byId("slip-count").textContent = typed.length;
  }

  /* From before a reload, a lost connection or another screen; what the page brings counts more. */
  function bringBack() {
    for (const [parcel, carrier, slips] of recall()) {
      const row = rows.find((one) => one.parcel === parcel);
      if (row && !row.slips.value) [row.carrier.value, row.slips.value] = [carrier, slips];
      if (row) continue;
      const inputs = [["parcel", parcel], ["carrier_code", carrier], ["slips", slips]].map(([name, value]) =>
        Object.assign(document.createElement("input"), { type: "hidden", name, value }));
      form.append(...inputs);
      rows.push({ parcel, carrier: inputs[1], slips: inputs[2], isHere: false });
    }
    keep();
  }

  function goTo(field) {
    (field ?? byId("check-slips")).focus();
    field?.select();
    field?.scrollIntoView({ block: "center" });
  }

  /* The same label read twice: the next one overwrites it, and no row is left behind. */
  const numbersIn = (field) => field.value.split(/[\s,、]+/).filter(Boolean);
  function takes(field) {
    const numbers = numbersIn(field);
    const isTwice = new Set(numbers).size < numbers.length
      || rows.some(({ slips }) => slips !== field && numbersIn(slips).some((one) => numbers.includes(one)));
    field.setAttribute("aria-invalid", isTwice);
    say(isTwice ? `${numbers.at(-1)} は入力済みです。この荷物の伝票番号を読み取ってください。` : "");
    if (!isTwice) return true;
    field.select();
    return false;
  }

  form.addEventListener("keydown", (event) => {
    const at = fields.indexOf(event.target);
    const step = { Enter: event.shiftKey ? -1 : 1, ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (at < 0 || !step || event.isComposing) return;
    event.preventDefault();
    if (event.key === "Enter" && !takes(event.target)) return;
    goTo(fields[Math.max(0, at + step)]);
  });

  form.addEventListener("click", ({ target }) => {
    if (!target.matches("[data-another]")) return;
    const field = target.previousElementSibling;
    field.value = `${field.value.trim()} `.trimStart();
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  });

  form.addEventListener("change", ({ target }) => {
    if (target.matches("[data-all]")) form.querySelectorAll('input[name="order_no"]').forEach((box) => { box.checked = target.checked; });
    /* Parcels go out by one company, one after the other. */
    const from = rows.findIndex((row) => row.carrier === target);
    if (from >= 0) rows.slice(from + 1).forEach((row) => { if (row.isHere && !row.slips.value) row.carrier.value = target.value; });
  });
  form.addEventListener("input", keep);
  form.addEventListener("change", keep);
  form.addEventListener("submit", (event) => {
    if (navigator.onLine) return;
    event.preventDefault();
    say("通信できませんでした。入力した内容は残っています。接続を確認して、もう一度お試しください。");
  });

  bringBack();
  fields.find((field) => !field.value)?.focus({ preventScroll: true });
})();
