// Who is in view, and who was lately: best crop, number, where now, and the route over cameras.

import { clock, serverNow } from "./clock.js";
import { byId, count, duration, element, numberLabel, setText } from "./text.js";

const STAYS_SHOWN = 6;
const SURE = 0.9;

const list = byId("person-list");
const cards = new Map();

function makeCard(person) {
  const item = element("li", "person");
  const frame = element("div", "crop");
  const body = element("div", "body");
  const line = element("div", "line");
  const number = numberLabel(person.person_id, person.colour);
  number.setAttribute("aria-label", `Person ${person.person_id}`);
  const where = element("strong", "where");
  line.append(number, where);
  const times = element("p", "facts");
  const route = element("ol", "route");
  route.setAttribute("aria-label", "Route");
  body.append(line, times, route);
  item.append(frame, body);
  return { item, frame, where, times, route, crop: null, shown: "" };
}

function showCrop(card, person) {
  if (card.crop === person.crop) return;
  card.crop = person.crop;
  card.frame.replaceChildren();
  if (!person.crop) {
    card.frame.append(element("span", "none", "no crop"));
    return;
  }
  const image = element("img");
  image.alt = `Person ${person.person_id}`;
  image.src = person.crop;
  card.frame.append(image);
}

function showRoute(card, person) {
  const shown = JSON.stringify(person.route.map((stay) => [stay.camera, stay.first_s]));
  if (card.shown === shown) return;
  card.shown = shown;
  const stays = person.route.slice(-STAYS_SHOWN);
  const items = stays.map((stay) => {
    const item = element("li");
    item.append(element("span", "stay", stay.camera), element("time", "", clock(stay.first_s, false)));
    item.title = `${stay.camera}, ${clock(stay.first_s)} to ${clock(stay.last_s)}`;
    return item;
  });
  const nBefore = person.route.length - stays.length;
  if (nBefore > 0) items.unshift(element("li", "before", `${nBefore} earlier`));
  card.route.replaceChildren(...items);
}

function updateCard(card, person) {
  const isHere = person.cameras.length > 0;
  const last = person.route.at(-1)?.camera;
  card.item.dataset.here = isHere;
  setText(card.where, isHere ? person.cameras.join(" + ") : `left ${last || ""}`);
  card.where.title = card.where.textContent;
  const since = `first seen ${clock(person.first_s, false)}, ${duration(serverNow() - person.first_s)} ago`;
  const gone = `last seen ${clock(person.last_s)}, ${duration(serverNow() - person.last_s)} ago`;
  const isSure = person.probability >= SURE;
  const doubt = isSure ? "" : ` · ${Math.round(100 * person.probability)} % sure`;
  setText(card.times, (isHere ? since : gone) + doubt);
  showCrop(card, person);
  showRoute(card, person);
}

/** Show people: those in view first, then those seen last. */
export function showPeople(given) {
  const here = given.filter((person) => person.cameras.length > 0);
  const gone = given.filter((person) => person.cameras.length === 0);
  gone.sort((first, second) => second.last_s - first.last_s);
  const ids = new Set(given.map((person) => person.person_id));
  for (const [id, card] of cards) {
    if (ids.has(id)) continue;
    card.item.remove();
    cards.delete(id);
  }
  [...here, ...gone].forEach((person, at) => {
    const card = cards.get(person.person_id) || makeCard(person);
    cards.set(person.person_id, card);
    if (list.children[at] !== card.item) list.insertBefore(card.item, list.children[at] || null);
    updateCard(card, person);
  });
  byId("no-people").hidden = given.length > 0;
  const pill = byId("n-people");
  pill.hidden = false;
  setText(pill, `${count(here.length, "person", "people")} in view`);
}
