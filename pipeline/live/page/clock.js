// The clock of the server, on which all times of a live run are.

import { timeOfDay } from "./text.js";

let offsetS = 0;

/** Take the time of the server. */
export function setServerTime(nowS) {
  offsetS = nowS - Date.now() / 1000;
}

/** Return the time of the server, seconds since 1970. */
export function serverNow() {
  return Date.now() / 1000 + offsetS;
}

/** Return the time of day, with the date if it is not today's; of a span, without seconds. */
export function clock(timeS, withSeconds = true) {
  const today = new Date(serverNow() * 1000).toDateString();
  return timeOfDay(timeS, new Date(timeS * 1000).toDateString() !== today, withSeconds);
}
