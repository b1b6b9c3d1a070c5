/* What axe says of a page, for `test_every_screen.py`.

Whether text can be read hangs on its look alone: its colour, its size and what lies behind it.  Of each look that
was not found readable before, on this page or another, axe is asked about some elements, not about all: by far
the most of its work. */

const SOME = 3;

const grounds = new Map();
const ground = (one) => {
  if (one === null) return "";
  if (!grounds.has(one)) {
    const {backgroundColor, backgroundImage, opacity} = getComputedStyle(one);
    const own = `${backgroundColor} ${backgroundImage} ${opacity}`;
    grounds.set(one, ground(one.parentElement) + (own === "rgba(0, 0, 0, 0) none 1" ? "" : `/${own}`));
  }
  return grounds.get(one);
};

/* What cannot be used may be faint. */
const isOff = (one) => one.closest(":disabled, [aria-disabled=true]") !== null || one.closest("label")?.control?.disabled === true;

const look = (one) => {
  const {color, fontSize, fontWeight, textShadow} = getComputedStyle(one);
  return [color, fontSize, fontWeight, textShadow, isOff(one), ground(one)].join(" ");
};

const isText = (one) => one.matches("input, select, textarea")
  || [...one.childNodes].some((part) => part.nodeType === Node.TEXT_NODE && part.data.trim().length > 1);
const isSeen = (one) => one.getBoundingClientRect().width > 1
  && one.checkVisibility({visibilityProperty: true, opacityProperty: true});

const unread = () => {
  grounds.clear();
  const found = new Map();
  for (const one of document.body.querySelectorAll("*")) {
    if (!isText(one) || !isSeen(one) || readable.has(look(one))) continue;
    const few = found.get(look(one)) ?? [];
    found.set(look(one), few.length < SOME ? [...few, one] : few);
  }
  return [...found.values()].flat();
};

const told = ({violations}) => violations.map(({id, impact, nodes}) =>
  ({id, impact, nodes: nodes.map((node) => node.html.slice(0, 120))}));

const byContrast = async () => {
  const include = unread();
  if (!include.length) return [[], []];
  const said = await axe.run({include}, {runOnly: ["color-contrast"], elementRef: true, preload: false});
  const looks = new Set(said.passes.flatMap(({nodes}) => nodes.map((node) => look(node.element))));
  looks.forEach((one) => readable.add(one));
  return [told(said), [...looks]];
};

/* What is in order axe would describe and the browser hand over at length: nobody reads it. */
const byOtherRules = async () => told(await axe.run(
  {rules: {"color-contrast": {enabled: false}}, reporter: "no-passes", preload: false}));

let readable = new Set();
window.judge = async (isWhole, known) => {
  readable = new Set([...readable, ...known]);
  const [faint, looks] = await byContrast();
  return [[...(isWhole ? await byOtherRules() : []), ...faint], looks];
};
