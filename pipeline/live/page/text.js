// Words for times and numbers, and elements whose text is never read as HTML.

/** Return an element with a class, and with texts and elements in it; what is empty is left out. */
export function element(tag, className = "", ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content.filter(Boolean));
  return made;
}

/** Say what an element is to somebody who cannot see it, and return it. */
export function labelled(target, label, role = "") {
  if (role) target.setAttribute("role", role);
  target.setAttribute("aria-label", label);
  return target;
}

/** Return the element of an id. */
export const byId = (id) => document.getElementById(id);

/** Return a label with the number of a person, on their colour #rrggbb. */
export function numberLabel(id, colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
  const brightness = 0.2126 * red ** 2.2 + 0.7152 * green ** 2.2 + 0.0722 * blue ** 2.2;
  const label = element("span", "number", String(id));
  label.style.background = colour;
  label.style.color = brightness > 0.18 ? "#000" : "#fff"; // whichever is easier to read
  return label;
}

/** Set the text of an element if it differs: unchanged text keeps a selection, and costs nothing. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Return the time of day of a time since 1970, with the date if it is asked for. */
export function timeOfDay(timeS, withDate, withSeconds = true) {
  const time = new Date(timeS * 1000);
  const form = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (withSeconds) form.second = "2-digit";
  const text = time.toLocaleTimeString([], form);
  return withDate ? `${time.toLocaleDateString([], { month: "short", day: "numeric" })} ${text}` : text;
}

/** Return a length of time in words. */
export function duration(lengthS) {
  const seconds = Math.max(0, Math.round(lengthS));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}

/** Return a count with its noun. */
export function count(n, one, many = `${one}s`) {
  return `${n.toLocaleString()} ${n === 1 ? one : many}`;
}
