// What the page shows, and words for it. Times are seconds since the origin of the run.

import { byId, count, duration, element, labelled, numberLabel, timeOfDay } from "./text.js";

export const data = JSON.parse(byId("data").textContent);
export const people = new Map(data.people.map((person) => [person.id, person]));

/** Show other people than those that the run found. */
export function setPeople(all) {
  data.people = all;
  people.clear();
  for (const person of all) people.set(person.id, person);
}

/** Return the name of a camera. */
export const cameraName = (camera) => data.cameras[camera].name;

const BY_RULE = 2;
const FIRST_CLOCK_S = 1e9; // later origins count from 1970
const isClock = data.origin_s > FIRST_CLOCK_S;
const isLong = data.last > 20 * 3600;

/** Return a tracklet with names instead of places in a list, which are those of TRACKLET in people.py. */
export function tracklet([camera, track, frame, first, last, probability, image, stretches, lastFrame, nRows, box, nBoxes]) {
  const name = `${cameraName(camera)}/${track}@${frame}`;
  return { camera, name, frame, first, last, probability, crop: image, stretches, lastFrame, nRows, box, nBoxes };
}

/** Return the values of a list three at a time. */
export function triples(flat) {
  return Array.from({ length: flat.length / 3 }, (_, at) => flat.slice(3 * at, 3 * at + 3));
}

/** Return the bytes that an element holds in base64. */
export function bytesOf(source) {
  const text = atob(source.textContent);
  const bytes = new Uint8Array(text.length); // a function for each byte would take half a second
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** Return the cameras of a person, by their first appearance there. */
export function camerasOf(person) {
  return [...new Set(person.route.map(([camera]) => camera))];
}

/** Return from when to when a tracklet was seen, and whether it was filled in there, for each stretch. */
export function stretchesOf({ first, last, stretches }) {
  return stretches.length ? triples(stretches) : [[first, last, 0]];
}

/** Return how strong a link is: its probability, and more where a rule decided. */
export function strength(link) {
  return link[2] < 0 ? BY_RULE : link[2];
}

/** Return the lowest probability among the links of a person; 1 where none was judged. */
export function weakest(person) {
  return Math.min(1, ...person.links.map(strength));
}

/** Return a time of the run, or of the day, as text. */
export function moment(timeS, withTenths = true) {
  if (isClock) return timeOfDay(data.origin_s + timeS, isLong);
  const perSecond = withTenths ? 10 : 1;
  const rounded = Math.round((data.origin_s + timeS) * perSecond) / perSecond;
  const sign = rounded < 0 ? "-" : "";
  const seconds = Math.abs(rounded);
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const rest = (seconds % 60).toFixed(withTenths ? 1 : 0).padStart(withTenths ? 4 : 2, "0");
  return hours ? `${sign}${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${sign}${minutes}:${rest}`;
}

/** Return a length of time; short ones with tenths. */
export function span(lengthS) {
  return lengthS < 10 ? `${Math.max(0, lengthS).toFixed(1)} s` : duration(lengthS);
}

/** Return a round length of time. */
export function short(lengthS) {
  return span(lengthS).replace(".0 s", " s").replace(" h 0 min", " h");
}

/** Return when a person or a tracklet is seen first and last. */
export function times({ first, last }) {
  return `${moment(first)} to ${moment(last)}`;
}

/** Return when a tracklet is seen, and for how long. */
export function timesAndSpan(each) {
  return `${times(each)} (${span(each.last - each.first)})`;
}

/** Return a number of people. */
export function countPeople(n) {
  return count(n, "person", "people");
}

/** Return a probability as text, in the words of the command that explains links. */
export function percent(probability) {
  return probability > 0.995 ? "over 99%" : `${Math.round(100 * probability)}%`;
}

/** Return words that begin with a capital letter. */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Return a person's colour as #rrggbb, the one of their boxes in the videos. */
export function colour(id) {
  const hue = (Math.floor((id * 137.508) / 2) % 180) * 2;
  const value = id % 2 ? 1 : 200 / 255;
  const chroma = value * (200 / 255);
  const channel = (n) => {
    const k = (n + hue / 60) % 6;
    const level = Math.round(255 * (value - chroma * Math.max(0, Math.min(k, 4 - k, 1))));
    return level.toString(16).padStart(2, "0");
  };
  return `#${channel(5)}${channel(3)}${channel(1)}`;
}

/** Return a label with a person's number, in their colour. */
export function numberOf(id) {
  return numberLabel(id, colour(id));
}

/** Return a link to a person. */
export function linkTo(id) {
  const link = element("a", "person-link", numberOf(id));
  link.href = `#people/${id}`;
  return labelled(link, `Person ${id}`);
}
