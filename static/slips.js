/* 発送: a scanner types a number and Enter; what is typed stays in this window until it is registered. */
"use strict";
(() => {
  const form = document.getElementById("slip-grid");
  const key = `slips ${document.body.dataset.person}`;
  const kept = () => JSON.parse(sessionStorage.getItem(key) ?? "{}");

  /* A result: what it tells of is typed no longer. */
  const told = document.querySelectorAll("#result tr[data-order-no]");
  if (told.length) {
    const numbers = new Set([...told].map((row) => row.dataset.orderNo));
    const left = Object.entries(kept()).filter(([parcel]) => !numbers.has(parcel.slice(parcel.indexOf(" ") + 1)));
    sessionStorage.setItem(key, JSON.stringify(Object.fromEntries(left)));
  }
  if (!form) return;

  const rows = [...form.querySelectorAll('input[name="parcel"]')].map((parcel) => {
    const place = parcel.closest("tr") ?? form;
    const isHere = place !== form;
    return {
      parcel: parcel.value,
      carrier: isHere ? place.querySelector("select") : parcel.nextElementSibling,
      slips: isHere ? place.querySelector(".slips") : parcel.nextElementSibling.nextElementSibling,
      isHere,
    };
  });
  const fields = rows.filter((row) => row.isHere).map((row) => row.slips);

  /* Said, and shown in the bar, which is always to be seen; "" takes it away. */
  function say(words) {
    for (const id of ["said", "slip-said"]) document.getElementById(id).textContent = words;
  }

  function keep() {
    const typed = rows.filter((row) => row.slips.value.trim());
    sessionStorage.setItem(key, JSON.stringify(Object.fromEntries(typed.map((row) => [row.parcel, [row.carrier.value, row.slips.value]]))));
    document.getElementById("slip-count").textContent = typed.length;
  }

  /* From before a reload, a lost connection or another screen; what the page brings counts more. */
  function bringBack() {
    for (const [parcel, [carrier, slips]] of Object.entries(kept())) {
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
    (field ?? document.getElementById("check-slips")).focus();
    field?.select();
    field?.scrollIntoView({ block: "center" });
  }

  /* The same label read twice: the next one overwrites it, and no row is left behind. */
  function takes(field) {
    const numbers = field.value.trim().split(/[\s,、]+/);
    const isTwice = field.value.trim() !== "" && (new Set(numbers).size < numbers.length
      || rows.some((row) => row.slips !== field && row.slips.value.trim().split(/[\s,、]+/).some((one) => numbers.includes(one))));
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

  form.querySelectorAll("[data-another], [data-all]").forEach((one) => { one.hidden = false; });
  bringBack();
  fields.find((field) => !field.value)?.focus({ preventScroll: true });
})();
