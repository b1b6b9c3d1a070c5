/* 発送: a scanner types a number and Enter; what is typed stays in this window until it is registered. */
"use strict";
const form = byId("slip-grid");
const PARCELS = `parcels ${document.body.dataset.person}`;
const inForm = (event, act) => form?.addEventListener(event, act);

/* A result: what it tells of is typed no longer. */
const told = all("#result tr[data-order-no]").map((row) => row.dataset.orderNo);
keep(PARCELS, recall(PARCELS).filter(([parcel]) => !told.includes(parcel.slice(parcel.indexOf(" ") + 1))));

const parcels = all("#slip-grid [name=parcel]").map((parcel) => {
  const place = parcel.closest("tr"), next = parcel.nextElementSibling;
  return {
    parcel: parcel.value,
    carrier: place ? place.querySelector("select") : next,
    slips: place ? place.querySelector(".slips") : next.nextElementSibling,
    isHere: place !== null,
  };
});
const fields = parcels.filter(({ isHere }) => isHere).map(({ slips }) => slips);

/* Said, and shown in the bar, which is always to be seen; "" takes it away. */
function sayOfSlips(words) {
  tell(words);
  byId("slip-said").textContent = words;
}

function keepSlips() {
  const typed = parcels.filter(({ slips }) => slips.value.trim());
  keep(PARCELS, typed.map(({ parcel, carrier, slips }) => [parcel, carrier.value, slips.value]));
  byId("slip-count").textContent = typed.length;
}

/* From before a reload, a lost connection or another screen; what the page brings counts more. */
function bringSlips() {
  for (const [parcel, carrier, slips] of recall(PARCELS)) {
    const row = parcels.find((one) => one.parcel === parcel);
    if (row && !row.slips.value) [row.carrier.value, row.slips.value] = [carrier, slips];
    if (row) continue;
    const inputs = [hidden("parcel", parcel), hidden("carrier_code", carrier), hidden("slips", slips)];
    form.append(...inputs);
    parcels.push({ parcel, carrier: inputs[1], slips: inputs[2], isHere: false });
  }
  keepSlips();
  fields.find((field) => !field.value)?.focus({ preventScroll: true });
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
    || parcels.some(({ slips }) => slips !== field && numbersIn(slips).some((one) => numbers.includes(one)));
  field.setAttribute("aria-invalid", isTwice);
  sayOfSlips(isTwice ? `${numbers.at(-1)} は入力済みです。この荷物の伝票番号を読み取ってください。` : "");
  if (isTwice) field.select();
  return !isTwice;
}

inForm("keydown", (event) => {
  const { key, target, shiftKey, isComposing } = event, at = fields.indexOf(target);
  const step = { Enter: shiftKey ? -1 : 1, ArrowDown: 1, ArrowUp: -1 }[key];
  if (at < 0 || !step || isComposing) return;
  event.preventDefault();
  if (key !== "Enter" || takes(target)) goTo(fields[Math.max(0, at + step)]);
});

inForm("click", ({ target }) => {
  if (!target.matches("[data-another]")) return;
  const field = target.previousElementSibling;
  field.value = `${field.value.trim()} `.trimStart();
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
});

inForm("change", ({ target }) => {
  if (target.matches("[data-all]")) all("#slip-grid [name=order_no]").forEach((box) => { box.checked = target.checked; });
  /* Parcels go out by one company, one after the other. */
  const from = parcels.findIndex(({ carrier }) => carrier === target);
  if (from >= 0) parcels.slice(from + 1).forEach(({ isHere, carrier, slips }) => { if (isHere && !slips.value) carrier.value = target.value; });
});
inForm("input", keepSlips);
inForm("change", keepSlips);
inForm("submit", (event) => {
  if (navigator.onLine) return;
  event.preventDefault();
  sayOfSlips("通信できませんでした。入力した内容は残っています。接続を確認して、もう一度お試しください。");
});

if (form) bringSlips();
