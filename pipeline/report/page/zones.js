// Zones: their shapes on pictures of cameras, and what was counted at them.

import { withStill } from "./crops.js";
import { data, span } from "./data.js";
import { bars, between, card, laneName, mean, note, shape, table } from "./parts.js";
import { element, labelled } from "./text.js";

const COLOURS = ["#ffd23f", "#4cc9f0", "#ff7ab6", "#80ed99", "#ff9f1c", "#b8a1ff"];

/** Return the colour of a zone on pictures, by its place in the list of zones. */
export function zoneColour(number) {
  return COLOURS[number % COLOURS.length];
}

/** Return the picture of a camera, with pixels of the camera as the units of what is drawn on it. */
export function stillPicture(camera) {
  const { width, height } = camera;
  const made = shape("svg", { class: "still", viewBox: `0 0 ${width} ${height}` });
  made.append(shape("rect", { width, height, class: "no-still" }));
  if (camera.still < 0) {
    const where = { x: width / 2, y: height / 2, "font-size": width / 24 };
    made.append(shape("text", { class: "no-still-text", ...where }, "no picture of this camera"));
  }
  const image = shape("image", { width, height, preserveAspectRatio: "none" });
  withStill(camera, (url) => image.setAttribute("href", url));
  made.append(image);
  return made;
}

/** Return a polygon or a line with its name, as a group; `unit` is how many pixels of the camera are one on the screen. */
export function zoneShape({ name, points, isLine, colour }, unit) {
  const made = shape("g", { class: "zone" });
  made.style.setProperty("--zone", colour);
  const outline = points.map((point) => point.join(",")).join(" ");
  for (const kind of ["under", "over"]) made.append(shape(isLine ? "polyline" : "polygon", { class: kind, points: outline }));
  if (isLine && points.length === 2) made.append(...inArrow(points, unit));
  const top = points.reduce((highest, point) => (point[1] < highest[1] ? point : highest));
  const middle = mean(points.map(([x]) => x));
  const [x, y] = isLine ? [top[0], top[1] - 12 * unit] : [middle, top[1] + 22 * unit];
  if (name) made.append(label(name, x, Math.max(y, 16 * unit), unit));
  return made;
}

/** Return words on a picture, legible on whatever is there. */
export function label(words, x, y, unit) {
  return shape("text", { x, y, class: "on-picture", "font-size": 14 * unit, "stroke-width": 4 * unit }, words);
}

/** An arrow to the right of a line as seen from its first point, which is the direction "in". */
function inArrow([[x1, y1], [x2, y2]], unit) {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const along = [(x2 - x1) / length, (y2 - y1) / length];
  const right = [-along[1], along[0]];
  const middle = between([x1, y1], [x2, y2], 0.5);
  const at = (ahead, aside) => middle.map((value, axis) => value + unit * (right[axis] * ahead + along[axis] * aside));
  const path = `M${at(0, 0)} L${at(30, 0)} M${at(20, -8)} L${at(30, 0)} L${at(20, 8)}`;
  const [x, y] = at(44, 0);
  return [
    ...["under", "over"].map((kind) => shape("path", { class: kind, d: path })),
    label("in", x, y + 5 * unit, unit),
  ];
}

function zonePictures() {
  const made = element("div", "stills");
  data.cameras.forEach((camera, number) => {
    const own = data.zones.flatMap((zone, place) => zone.shapes.filter((each) => each.camera === number)
      .map((each) => ({ name: zone.zone, points: each.points, isLine: zone.is_line, colour: zoneColour(place) })));
    if (!own.length) return;
    const view = labelled(stillPicture(camera), `${camera.name} with ${own.map((each) => each.name).join(", ")}`, "img");
    view.append(...own.map((each) => zoneShape(each, camera.width / 380)));
    made.append(element("figure", "", view, element("figcaption", "facts", camera.name)));
  });
  return made;
}

function lanes(areas) {
  const most = Math.max(...areas.map((zone) => zone.most), 1);
  return areas.map((zone) => {
    const inside = bars(zone.occupancy, most, `${zone.zone}: people inside over time, ${zone.most} at most`);
    return element("div", "small-lane", laneName(zone.zone), inside);
  });
}

function howTo() {
  const link = element("a", "", "Draw areas and lines");
  link.href = "#draw";
  return note(link, " on a picture to count who enters, stays and passes.");
}

/** Return what was counted at zones. */
export function zonesCard() {
  const areas = data.zones.filter((zone) => !zone.is_line);
  const lines = data.zones.filter((zone) => zone.is_line);
  const content = [zonePictures()];
  if (areas.length) {
    const body = areas.map((area) => {
      const counts = [area.entries, area.exits, area.inside, area.most];
      return [area.zone, ...counts.map(String), area.exits ? span(area.dwell_s) : "–"];
    });
    content.push(table(["Area", "Entries", "Exits", "Inside", "Most", "Stay"], body));
    content.push(note("Inside: people at the end. Most: people at once. Stay: median of the stays that ended."));
    content.push(element("p", "facts lanes-title", "People inside over time"), ...lanes(areas));
  }
  if (lines.length) content.push(table(["Line", "In", "Out"], lines.map((zone) => [zone.zone, String(zone.entries), String(zone.exits)])));
  if (!data.zones.length) content.push(howTo());
  return card("Zones", ...content);
}
