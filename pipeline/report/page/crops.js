// Crops out of the sheets, and stills; they follow the script in the page and are decoded when needed.

import { bytesOf, data } from "./data.js";
import { byId, element } from "./text.js";

const { width: WIDTH, height: HEIGHT, columns: COLUMNS, per_sheet: PER_SHEET } = data.crops;
const urls = new Map();
const waiting = [];

function urlOf(id) {
  if (urls.has(id)) return urls.get(id);
  const source = byId(id);
  if (!source) return "";
  const url = URL.createObjectURL(new Blob([bytesOf(source)], { type: "image/jpeg" }));
  urls.set(id, url);
  return url;
}

function fill(target, number) {
  const sheet = Math.floor(number / PER_SHEET);
  const url = urlOf(`sheet-${sheet}`);
  if (!url) {
    waiting.push([target, number]);
    return;
  }
  const place = number % PER_SHEET;
  const nHere = Math.min(PER_SHEET, data.crops.n - sheet * PER_SHEET);
  const [nColumns, nRows] = [Math.min(nHere, COLUMNS), Math.ceil(nHere / COLUMNS)];
  const [row, column] = [Math.floor(place / COLUMNS), place % COLUMNS];
  const share = (at, n) => (n > 1 ? `${(100 * at) / (n - 1)}%` : "0");
  target.style.backgroundImage = `url("${url}")`;
  target.style.backgroundSize = `${100 * nColumns}% ${100 * nRows}%`;
  target.style.backgroundPosition = `${share(column, nColumns)} ${share(row, nRows)}`;
}

document.addEventListener("DOMContentLoaded", () => {
  for (const [target, number] of waiting.splice(0)) fill(target, number);
});

/** Return a crop, as wide as its style says; a place without a picture for a number of -1. */
export function crop(number, label, className = "") {
  const made = element("span", `crop ${className}`);
  made.setAttribute("role", "img");
  if (number === undefined || number < 0) {
    made.setAttribute("aria-label", `${label}, no picture`);
    made.append(element("span", "none", "no picture"));
    return made;
  }
  made.setAttribute("aria-label", label);
  made.style.aspectRatio = `${WIDTH} / ${HEIGHT}`;
  fill(made, number);
  return made;
}

/** Return the address of the still of a camera, to be shown as an image; "" where there is none. */
export function stillOf(camera) {
  return camera.still < 0 ? "" : urlOf(`still-${camera.still}`);
}
