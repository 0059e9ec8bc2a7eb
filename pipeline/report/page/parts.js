// What several views are made of: cards, tables, bars and SVG shapes.

import { element } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";

/** Return an SVG element. */
export function shape(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text) made.textContent = text;
  return made;
}

/** Return a section with a title. */
export function card(title, ...content) {
  const made = element("section", "card");
  made.append(element("h2", "", title), ...content);
  return made;
}

/** Return a table; heads and cells are text or elements. */
export function table(heads, body) {
  const made = element("div", "table");
  const inner = element("table");
  const head = element("tr");
  heads.forEach((each) => {
    const cell = element("th");
    cell.append(each);
    cell.scope = "col";
    head.append(cell);
  });
  const top = element("thead");
  top.append(head);
  const rows = element("tbody");
  for (const cells of body) {
    const row = element("tr");
    for (const each of cells) {
      const cell = element("td");
      cell.append(each);
      row.append(cell);
    }
    rows.append(row);
  }
  inner.append(top, rows);
  made.append(inner);
  return made;
}

/** Return a bar for each value. */
export function bars(values, most) {
  const made = element("div", "bars");
  for (const value of values) {
    const bar = element("span");
    bar.style.height = `${(100 * value) / most}%`;
    made.append(bar);
  }
  return made;
}
