// The list of people: filters, and only the rows that are in view.

import { crop } from "./crops.js";
import { cameraName, camerasOf, countPeople, data, moment, numberOf, percent, times, weakest } from "./data.js";
import { clamp, note, onKey } from "./parts.js";
import { byId, element, setText } from "./text.js";

const ROW_PX = 84;
const OVERSCAN = 6;
const list = byId("person-list");
const rows = list.querySelector(".rows");
const known = new Map();
let about = [];
let found = [];
let chosen = 0;
let time = null;
let onChoose = () => {};

function describePerson(person) {
  const cameras = camerasOf(person);
  const names = cameras.map(cameraName);
  return { person, cameras, names, least: weakest(person), text: names.join(" ").toLowerCase() };
}

const ORDERS = {
  first: (a, b) => a.person.first - b.person.first,
  weakest: (a, b) => a.least - b.least,
  cameras: (a, b) => b.cameras.length - a.cameras.length,
  longest: (a, b) => b.person.last - b.person.first - (a.person.last - a.person.first),
};

const DOUBTS = {
  "": () => true,
  doubtful: (each) => each.person.doubtful,
  weak: (each) => each.least < data.confirmed,
  sure: (each) => !each.person.doubtful && each.least >= data.confirmed,
};

/** Whether a stay is within the chosen times, in part at least. */
function isWithin([, first, last]) {
  return first <= time[1] && last >= time[0];
}

function matches(each, words, camera, doubt) {
  if (camera !== "" && !each.cameras.includes(Number(camera))) return false;
  if (!DOUBTS[doubt](each)) return false;
  if (time && !each.person.route.some(isWithin)) return false;
  return !words || String(each.person.id) === words || (Number.isNaN(Number(words)) && each.text.includes(words));
}

/** Apply the filters. */
function findPeople() {
  const words = byId("search").value.trim().toLowerCase();
  const camera = byId("by-camera").value;
  const doubt = byId("by-doubt").value;
  found = about.filter((each) => matches(each, words, camera, doubt));
  found.sort(ORDERS[byId("order").value]);
  const all = countPeople(about.length);
  setText(byId("n-found"), found.length === about.length ? all : `${found.length} of ${all}`);
  rows.style.height = `${found.length * ROW_PX}px`;
  list.scrollTop = 0;
  known.clear();
  rows.replaceChildren();
  if (!found.length) rows.append(element("p", "empty", data.people.length ? "Nobody matches the filters" : "Nobody was found"));
  draw();
}

function draw() {
  const first = Math.max(0, Math.floor(list.scrollTop / ROW_PX) - OVERSCAN);
  const last = Math.min(found.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW_PX) + OVERSCAN);
  for (const [at, row] of known) {
    if (at >= first && at < last) continue;
    row.remove();
    known.delete(at);
  }
  for (let at = first; at < last; at += 1) {
    if (known.has(at)) continue;
    const row = makeRow(found[at], at);
    known.set(at, row);
    rows.append(row);
  }
}

function makeRow({ person, names, least }, at) {
  const where = element("strong", "where", names.join(", "));
  where.title = where.textContent;
  const line = element("div", "line", numberOf(person.id), where);
  const body = element("div", "body", line, note(times(person)), doubtMark(person, least));
  const row = element("div", "row", crop(person.crop, `Person ${person.id}`), body);
  row.id = `row-${person.id}`;
  const states = { role: "option", ariaSelected: person.id === chosen, ariaSetSize: found.length, ariaPosInSet: at + 1 };
  Object.assign(row, states);
  row.style.top = `${at * ROW_PX}px`;
  row.addEventListener("click", () => onChoose(person));
  return row;
}

/** What is in doubt about a person; nothing where all is sure. */
function doubtMark(person, least) {
  const doubt = person.doubtful ? "doubtful" : least < data.confirmed && "probable";
  const kind = person.isPreview ? "corrected" : doubt;
  if (!kind) return "";
  const weak = least < 1 && `weakest link ${percent(least)}`;
  const more = person.isPreview ? doubt : weak;
  const made = element("span", "mark", more ? `${kind} · ${more}` : kind);
  made.dataset.doubt = kind;
  return made;
}

/** Mark a person as chosen, and bring them into view where they are in the list. */
export function mark(id) {
  chosen = id;
  for (const row of known.values()) row.setAttribute("aria-selected", String(row.id === `row-${id}`));
  list.setAttribute("aria-activedescendant", `row-${id}`);
  const at = found.findIndex((each) => each.person.id === id);
  if (at < 0) return;
  const [top, bottom] = [at * ROW_PX, (at + 1) * ROW_PX];
  if (top < list.scrollTop) list.scrollTop = top;
  else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
  draw();
}

/** Read the people again. */
export function readPeople() {
  about = data.people.map(describePerson);
  const top = list.scrollTop;
  findPeople();
  list.scrollTop = top;
  draw();
}

/** The stay of a person within the chosen times, and when it is first in them; nothing without such times. */
export function chosenStay(person) {
  const stay = time && person.route.find(isWithin);
  return stay && { camera: stay[0], first: Math.max(stay[1], time[0]) };
}

/** Show only who was in view between two times; null for any time. */
export function setTimes(between) {
  time = between;
  byId("chosen-time").hidden = !between;
  if (between) setText(byId("chosen-time").firstElementChild, `In view ${moment(between[0])} to ${moment(between[1])}`);
  findPeople();
}

/** Show only who was in a camera. */
export function setCamera(camera) {
  byId("by-camera").value = String(camera);
  findPeople();
}

/** Show only who is doubtful. */
export function setDoubtful() {
  byId("filters").reset();
  byId("by-doubt").value = "doubtful";
  setTimes(null);
}

/** Fill the filters, and listen. */
export function startList(choose) {
  onChoose = choose;
  byId("by-camera").append(...data.cameras.map((camera, number) => new Option(camera.name, number)));
  byId("search").addEventListener("input", findPeople);
  for (const each of document.querySelectorAll("#filters select")) each.addEventListener("change", findPeople);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("any-time").addEventListener("click", () => setTimes(null));
  list.addEventListener("scroll", draw, { passive: true });
  new ResizeObserver(draw).observe(list);
  onKey(list, ({ key }) => {
    const page = Math.max(1, Math.floor(list.clientHeight / ROW_PX) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -found.length, End: found.length };
    if (!(key in steps) || !found.length) return null;
    const at = found.findIndex((each) => each.person.id === chosen);
    return () => onChoose(found[clamp(at + steps[key], 0, found.length - 1)].person);
  });
  readPeople();
}

/** The person at the top of the list, if there is one. */
export function firstFound() {
  return found[0]?.person;
}
