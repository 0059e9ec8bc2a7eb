// Crops out of the sheets, and stills; they follow the script in the page and are decoded when needed.

import { bytesOf, data } from "./data.js";
import { byId, element, labelled } from "./text.js";

const { width: WIDTH, height: HEIGHT, columns: COLUMNS, per_sheet: PER_SHEET } = data.crops;
const urls = new Map();

function urlOf(id) {
  if (urls.has(id)) return urls.get(id);
  const source = byId(id);
  if (!source) return "";
  const url = URL.createObjectURL(new Blob([bytesOf(source)], { type: "image/jpeg" }));
  urls.set(id, url);
  return url;
}

/** Use the address of a picture, once the page has been read that far; not at all where there is none. */
function withUrl(id, use) {
  const url = urlOf(id);
  if (url) use(url);
  else if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => withUrl(id, use), { once: true });
}

function fill(target, number, url) {
  const sheet = Math.floor(number / PER_SHEET);
  const place = number % PER_SHEET;
  const nHere = Math.min(PER_SHEET, data.crops.n - sheet * PER_SHEET);
  const nColumns = Math.min(nHere, COLUMNS);
  const nRows = Math.ceil(nHere / COLUMNS);
  const column = place % COLUMNS;
  const row = Math.floor(place / COLUMNS);
  const share = (at, n) => (n > 1 ? `${(100 * at) / (n - 1)}%` : "0");
  target.style.backgroundImage = `url("${url}")`;
  target.style.backgroundSize = `${100 * nColumns}% ${100 * nRows}%`;
  target.style.backgroundPosition = `${share(column, nColumns)} ${share(row, nRows)}`;
}

/** Return a crop, as wide as its style says; a place without a picture for a number of -1. */
export function crop(number, label, className = "") {
  const made = labelled(element("span", `crop ${className}`), label, "img");
  if (number < 0) {
    made.append(element("span", "none", "no picture"));
    return labelled(made, `${label}, no picture`);
  }
  made.style.aspectRatio = `${WIDTH} / ${HEIGHT}`;
  withUrl(`sheet-${Math.floor(number / PER_SHEET)}`, (url) => fill(made, number, url));
  return made;
}

/** Use the address of the still of a camera as soon as it is there. */
export function withStill(camera, use) {
  withUrl(`still-${camera.still}`, use);
}
