// What several views are made of: cards, tables, bars, SVG shapes, buttons, fields, and the keys that move things.

import { element, labelled } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const MAX_LETTERS = 18; // of the name of a camera in a picture
const SAVED_MS = 60_000; // a file has been saved after so long, also where the machine is busy

/** Return a value, or the end of a range that it is beyond. */
export function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}

/** Return the point at a share of the way from one point to another. */
export function between(from, to, share) {
  return [0, 1].map((axis) => from[axis] + share * (to[axis] - from[axis]));
}

/** Do what `actOf(event)` returns for a key, once, and not what the browser would do. */
export function onKey(target, actOf) {
  target.addEventListener("keydown", (event) => {
    const act = event.defaultPrevented ? null : actOf(event);
    if (!act) return;
    event.preventDefault();
    act();
  });
}

/** Return the mean of values. */
export function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Return the step [right, down] of an arrow key, and nothing for other keys. */
export function arrowStep({ key }) {
  return ARROWS[key];
}

/** Return where in the width of an element an event is, as a share of it. */
export function shareOf({ clientX }, target) {
  const { left, width } = target.getBoundingClientRect();
  return (clientX - left) / width;
}

/** Return a name, cut where it is long. */
export function shortName(name) {
  return name.length > MAX_LETTERS ? `${name.slice(0, MAX_LETTERS - 1)}…` : name;
}

/** Return an SVG element. */
export function shape(tag, attributes, ...content) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...content);
  return made;
}

/** Return a section with a title. */
export function card(title, ...content) {
  return element("section", "card", element("h2", "", title), ...content);
}

/** Return a button. */
export function button(text, onClick, className = "", ...content) {
  const made = element("button", className, text, ...content);
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}

/** Return words beside what is shown. */
export function note(...content) {
  return element("p", "facts", ...content);
}

/** Put items into a list: some at first, and a button for the others. */
export function fillList(list, items, nShown, make) {
  list.append(...items.slice(0, nShown).map(make));
  const rest = items.slice(nShown);
  if (!rest.length) return;
  const more = element("li", "", button(`Show ${rest.length} more`, () => more.replaceWith(...rest.map(make))));
  list.append(more);
}

/** Return a table; heads and cells are text or elements. */
export function table(heads, body) {
  const head = heads.map((each) => {
    const cell = element("th", "", each);
    cell.scope = "col";
    return cell;
  });
  const rows = body.map((cells) => element("tr", "", ...cells.map((each) => element("td", "", each))));
  const whole = [element("thead", "", element("tr", "", ...head)), element("tbody", "", ...rows)];
  return element("div", "table", element("table", "", ...whole));
}

/** Return a bar for each value. */
export function bars(values, most, label) {
  const made = labelled(element("div", "bars"), label, "img");
  for (const value of values) {
    const bar = element("span");
    bar.style.height = `${(100 * value) / most}%`;
    made.append(bar);
  }
  return made;
}

/** Return the name of a lane. */
export function laneName(name) {
  const made = element("span", "lane-name", name);
  made.title = name;
  return made;
}

/** Return a mark of a scale, at a percentage of its width. */
export function scaleMark(text, percent, className = "") {
  const made = element("span", className, text);
  made.style.left = `${percent}%`;
  return made;
}

/** Return a slider from `min` to `max`. */
export function slider(label, range, onInput) {
  const made = labelled(element("input"), label);
  Object.assign(made, { type: "range", min: 0, ...range });
  made.addEventListener("input", () => onInput(Number(made.value)));
  return made;
}

/** Return a field to choose one of some options, [number, text] each. */
export function choice(label, options, onChoose, className = "") {
  const made = labelled(element("select", className), label);
  made.append(...options.map(([value, text]) => new Option(text, value)));
  made.addEventListener("change", () => onChoose(Number(made.value)));
  return made;
}

/** Save text as a file. */
export function save(name, text) {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), SAVED_MS);
}
