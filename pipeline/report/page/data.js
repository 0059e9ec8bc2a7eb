// What the page shows, and words for it. Times are seconds since the origin of the run.

import { duration, element } from "./text.js";

export const data = JSON.parse(document.getElementById("data").textContent);
export const byId = (id) => document.getElementById(id);
export const people = new Map(data.people.map((person) => [person.id, person]));

// Places in the lists that data.py writes.
const [CAMERA, TRACK, FRAME, FIRST, LAST, PROBABILITY, CROP, STRETCHES] = [0, 1, 2, 3, 4, 5, 6, 7];
const FIRST_CLOCK_S = 1e9; // later origins count from 1970
const isClock = data.origin_s > FIRST_CLOCK_S;

/** Return a tracklet with names instead of places. */
export function tracklet(entry) {
  return {
    camera: entry[CAMERA],
    name: `${data.cameras[entry[CAMERA]].name}/${entry[TRACK]}@${entry[FRAME]}`,
    first: entry[FIRST],
    last: entry[LAST],
    probability: entry[PROBABILITY],
    crop: entry[CROP],
    stretches: entry[STRETCHES],
  };
}

/** Return the lowest probability among the links of a person; 1 where none was judged. */
export function weakest(person) {
  return person.links.reduce((least, link) => (link[2] < 0 ? least : Math.min(least, link[2])), 1);
}

/** Return a time of the run, or of the day, as text. */
export function moment(timeS, withTenths = true) {
  if (isClock) return clockOf(timeS);
  const perSecond = withTenths ? 10 : 1;
  const rounded = Math.round((data.origin_s + timeS) * perSecond) / perSecond;
  const sign = rounded < 0 ? "-" : "";
  const seconds = Math.abs(rounded);
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const rest = (seconds % 60).toFixed(withTenths ? 1 : 0).padStart(withTenths ? 4 : 2, "0");
  return hours ? `${sign}${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${sign}${minutes}:${rest}`;
}

function clockOf(timeS) {
  const time = new Date((data.origin_s + timeS) * 1000);
  const form = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const text = time.toLocaleTimeString([], form);
  const isLong = data.last > 20 * 3600;
  return isLong ? `${time.toLocaleDateString([], { month: "short", day: "numeric" })} ${text}` : text;
}

/** Return a length of time; short ones with tenths. */
export function span(lengthS) {
  return lengthS < 10 ? `${Math.max(0, lengthS).toFixed(1)} s` : duration(lengthS);
}

/** Return a probability as text, in the words of the command that explains links. */
export function percent(probability) {
  return probability > 0.995 ? "over 99%" : `${Math.round(100 * probability)}%`;
}

/** Return a person's colour, the one of their boxes in the videos. */
export function colour(id) {
  const hue = (Math.floor((id * 137.508) / 2) % 180) * 2;
  const value = id % 2 ? 1 : 200 / 255;
  const chroma = value * (200 / 255);
  const channel = (n) => {
    const k = (n + hue / 60) % 6;
    return Math.round(255 * (value - chroma * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return [channel(5), channel(3), channel(1)];
}

/** Return a label with a person's number, in their colour. */
export function numberOf(id) {
  const rgb = colour(id);
  const brightness = 0.2126 * (rgb[0] / 255) ** 2.2 + 0.7152 * (rgb[1] / 255) ** 2.2 + 0.0722 * (rgb[2] / 255) ** 2.2;
  const label = element("span", "number", String(id));
  label.style.background = `rgb(${rgb.join(" ")})`;
  label.style.color = brightness > 0.18 ? "#000" : "#fff";
  return label;
}

/** Return a link to a person. */
export function linkTo(id) {
  const link = element("a", "person-link");
  link.href = `#people/${id}`;
  link.setAttribute("aria-label", `Person ${id}`);
  link.append(numberOf(id));
  return link;
}

/** Return a button. */
export function button(text, onClick, className = "") {
  const made = element("button", className, text);
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}
