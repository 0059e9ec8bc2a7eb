// The site: cameras and ways between them, people over time, how long they stay, and the floor.

import { given } from "./answers.js";
import { cameraName, countPeople, data, moment, short, span } from "./data.js";
import { heatMaps } from "./heat.js";
import { bars, between, button, card, clamp, laneName, note, scaleMark, shape, shareOf, shortName, slider, table } from "./parts.js";
import { floorPlans } from "./plan.js";
import { count, element, labelled, setText } from "./text.js";
import { zonesCard } from "./zones.js";

const MAX_LABELLED = 14; // ways with numbers in the graph; the table has all
const AT = 0.38; // where the label of a way is, from its start to its end: in the middle many meet
const MAX_NODES = 24;
const MAX_ROWS = 30;
const MIN_BINS = 10; // of the times between cameras
const WAY_TICKS_S = [0, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 4 * 3600, 12 * 3600];

const asFound = element("p", "doubt mild as-found", "This view shows the people as the run found them. It follows your corrections once they are applied.");

function seconds(step) {
  const said = [];
  if (step.seconds.length) {
    const [low, middle, high] = step.seconds;
    const spread = span(low) === span(high) ? "" : ` (most ${span(low)} to ${span(high)})`;
    said.push(`about ${span(middle)}${spread}`);
  }
  if (step.at_once) {
    const howOften = step.at_once === step.n ? "" : `${step.at_once} times `;
    said.push(`${howOften}seen by both at once`);
  }
  return said.join(", ");
}

/** Where the cameras are in the graph, and how large. */
function layOut() {
  const n = data.cameras.length;
  const isLarge = n > 4;
  const width = isLarge ? 640 : 460;
  const lowHeight = n > 2 ? 320 : 170;
  const height = isLarge ? 480 : lowHeight;
  const angle = (at) => (2 * Math.PI * at) / n + (n === 2 ? Math.PI : -Math.PI / 2);
  const radius = n > 1 ? [width / 2 - 70, height / 2 - 56] : [0, 0];
  const places = data.cameras.map((_, at) => [
    width / 2 + radius[0] * Math.cos(angle(at)),
    height / 2 + radius[1] * Math.sin(angle(at)),
  ]);
  const largest = Math.max(...data.cameras.map((camera) => camera.people), 1);
  const radii = data.cameras.map((camera) => 14 + (isLarge ? 10 : 16) * Math.sqrt(camera.people / largest));
  return { width, height, places, radii };
}

function arrowHead() {
  const marker = shape("marker", {
    id: "arrow",
    viewBox: "0 0 8 8",
    refX: 7,
    refY: 4,
    markerWidth: 9,
    markerHeight: 9,
    markerUnits: "userSpaceOnUse",
    orient: "auto",
  });
  marker.append(shape("path", { d: "M0 0 8 4 0 8z" }));
  return shape("defs", {}, marker);
}

/** A bent arrow between two cameras: its ends, the middle that bends it, and what is square to it. */
function bow(step, { places, radii }) {
  const from = places[step.from];
  const to = places[step.to];
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]);
  const normal = [(from[1] - to[1]) / length, (to[0] - from[0]) / length];
  const bend = Math.min(46, length / 4);
  const middle = between(from, to, 0.5).map((value, axis) => value + normal[axis] * bend);
  const reach = Math.hypot(length / 2, bend);
  const start = between(from, middle, (radii[step.from] + 2) / reach);
  const end = between(to, middle, (radii[step.to] + 4) / reach);
  return { start, middle, end, normal };
}

function arrow(step, { start, middle, end }, most) {
  return shape("path", { class: "way", d: `M${start} Q${middle} ${end}`, "stroke-width": 1 + (4 * step.n) / most, "marker-end": "url(#arrow)" });
}

/** A label beside a way; nothing where others are already. */
function wayLabel(step, { start, middle, end, normal }, others) {
  const out = Math.abs(normal[0]) > 0.5 ? 22 : 12;
  const along = between(between(start, middle, AT), between(middle, end, AT), AT);
  const [x, y] = along.map((value, axis) => value + normal[axis] * out + 4 * axis);
  const isLater = 2 * step.at_once < step.n;
  const words = isLater ? `${step.n} · ${span(step.seconds[1])}` : String(step.n);
  const half = 4.5 * words.length; // letters are larger where the screen is narrow
  if (others.some((other) => Math.abs(other.x - x) < half + other.half && Math.abs(other.y - y) < 17)) return [];
  others.push({ x, y, half });
  return [shape("text", { x, y, class: "way-label" }, words)];
}

function cameraShapes(camera, [x, y], radius, isNameAbove) {
  const nameY = isNameAbove ? y - radius - 6 : y + radius + 17;
  return [
    shape("circle", { cx: x, cy: y, r: radius, class: "node" }),
    shape("text", { x, y: y + 5, class: "node-count" }, camera.people),
    shape("text", { x, y: nameY, class: "node-name" }, shortName(camera.name)),
  ];
}

function graph() {
  const n = data.cameras.length;
  const layout = layOut();
  const ys = layout.places.map(([, y]) => y);
  const top = Math.min(...ys);
  const bottom = Math.max(...ys);
  const view = shape("svg", { class: "graph", viewBox: `0 ${top - 58} ${layout.width} ${bottom - top + 116}` }, arrowHead());
  const made = labelled(view, `Ways between ${count(n, "camera")}; the table lists them`, "img");
  const most = Math.max(...data.steps.map((step) => step.n), 1);
  const bent = data.steps.map((step) => bow(step, layout));
  made.append(...data.steps.map((step, at) => arrow(step, bent[at], most)));
  const labels = [];
  data.steps.slice(0, MAX_LABELLED).forEach((step, at) => made.append(...wayLabel(step, bent[at], labels)));
  data.cameras.forEach((camera, at) => {
    const place = layout.places[at];
    const isNameAbove = n > 2 && place[1] < layout.height / 2 - 1;
    made.append(...cameraShapes(camera, place, layout.radii[at], isNameAbove));
  });
  return made;
}

/** First and last bin of the times between cameras that any way has, and a few more. */
function bins() {
  const used = data.steps.flatMap(({ counts }) => counts.flatMap((n, at) => (n ? [at] : [])));
  const end = Math.max(...used, MIN_BINS) + 2;
  return [Math.max(0, Math.min(...used, end - MIN_BINS) - 1), end];
}

/** How long people took on a way: bars on the same scale of time for all ways, and the median. */
function distribution(step, [first, end]) {
  const width = 160;
  const height = 30;
  const view = shape("svg", { class: "spread", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
  const made = labelled(view, `Time between: ${seconds(step)}`, "img");
  const most = Math.max(...step.counts);
  const wide = width / (end - first);
  step.counts.forEach((n, at) => {
    const tall = (height * n) / most;
    if (n) made.append(shape("rect", { x: (at - first) * wide + 0.5, y: height - tall, width: wide - 1, height: tall }));
  });
  const x = clamp((binOf(step.seconds[1]) - first) * wide, 0, width);
  made.append(shape("line", { x1: x, x2: x, y1: 0, y2: height, class: "median" }));
  return made;
}

/** Where a time is on the scale of bins, which is that of a logarithm from the first edge on. */
function binOf(timeS) {
  const edges = data.gap_edges;
  if (timeS <= edges[0]) return timeS / edges[0];
  return 1 + Math.log(timeS / edges[0]) / Math.log(edges.at(-1) / edges[0]) * (edges.length - 1);
}

function timeScale([first, end]) {
  const made = element("div", "time-scale");
  let before = -1;
  for (const tick of WAY_TICKS_S) {
    const at = (binOf(tick) - first) / (end - first);
    if (at < 0 || at > 0.96 || at < before + 0.18) continue;
    before = at;
    made.append(scaleMark(short(tick), 100 * at));
  }
  return made;
}

function wayRow(step, range) {
  const spread = step.counts.length && distribution(step, range);
  const times = element("div", "between-times", element("span", "", seconds(step)), spread);
  return [`${cameraName(step.from)} → ${cameraName(step.to)}`, String(step.n), times];
}

function ways() {
  const content = data.cameras.length <= MAX_NODES ? [graph()] : [];
  if (!data.steps.length) {
    content.push(note("Nobody was seen in more than one camera."));
  } else {
    const range = bins();
    const head = element("div", "", "Time between", data.steps.some(({ counts }) => counts.length) && timeScale(range));
    const body = data.steps.slice(0, MAX_ROWS).map((step) => wayRow(step, range));
    content.push(table(["Way", "Steps", head], body));
    const more = data.steps.length - MAX_ROWS;
    if (more > 0) content.push(note(`and ${more} more`));
  }
  return card("Ways between cameras", ...content);
}

function cameras(showCamera) {
  const body = data.cameras.map((camera, number) => [
    button(camera.name, () => showCamera(number), "as-link"),
    String(camera.people),
    span(camera.dwell),
    camera.dropped ? `${camera.frames} (${camera.dropped} lost)` : String(camera.frames),
    camera.boxes ? `${Math.round((100 * camera.in_tracks) / camera.boxes)}%` : "–",
  ]);
  const said = "Stay: median of the time that people are in view. In tracks: share of the detected boxes that belong to a track.";
  return card("Cameras", note(said), table(["Camera", "People", "Stay", "Frames", "In tracks"], body));
}

function occupancy(showTimes) {
  const { bin_s: bin, site, cameras: perCamera } = data.occupancy;
  const most = Math.max(...site, 1);
  const all = bars(site, most, `People over time, ${most} at most`);
  all.classList.add("large");
  const told = element("output", "facts");
  let at = site.indexOf(Math.max(...site));
  const choose = (chosen) => {
    at = chosen;
    [...all.children].forEach((bar, place) => bar.toggleAttribute("data-chosen", place === at));
    setText(told, `${countPeople(site[at])} within ${span(bin)} from ${moment(at * bin, false)}`);
    time.setAttribute("aria-valuetext", told.textContent);
  };
  const time = slider("Time", { max: site.length - 1, value: at }, choose);
  all.addEventListener("click", (event) => {
    time.value = Math.floor(shareOf(event, all) * site.length);
    choose(Number(time.value));
  });
  choose(at);
  const line = element("div", "line", told, button("Show them", () => showTimes([at * bin, (at + 1) * bin])));
  const chart = element("div", "chart", note(`${most} at most`), all, time, line);
  const lanes = data.cameras.map((camera, number) => {
    const own = perCamera[number];
    const small = bars(own, most, `${camera.name}: ${Math.max(...own, 0)} at most`);
    return element("div", "small-lane", laneName(camera.name), small);
  });
  return card("People over time", chart, ...lanes);
}

function dwell() {
  const { edges, counts, median } = data.dwell;
  const most = Math.max(...counts, 1);
  const made = element("dl", "dwell");
  const nShown = counts.findLastIndex((n) => n > 0) + 1;
  const low = edges.map(short);
  const middle = low.slice(1).map((high, at) => `${low[at]} to ${high}`);
  const words = [`under ${low[0]}`, ...middle, `over ${low.at(-1)}`];
  counts.slice(0, nShown).forEach((n, at) => {
    const bar = element("span", "dwell-bar");
    bar.style.width = `${(100 * n) / most}%`;
    made.append(element("dt", "", words[at]), element("dd", "", bar, element("span", "", String(n))));
  });
  return card("How long people stay", note(`From first to last seen, median ${span(median)}`), made);
}

/** Show the site, which is that of the people whom the run found; answers do not change it. */
export function showSite(target, showCamera, showTimes) {
  asFound.hidden = !given().length;
  if (target.childElementCount) return;
  const plans = floorPlans();
  target.append(
    asFound,
    ways(),
    ...(plans.length ? [card("Floor plan", ...plans)] : []),
    cameras(showCamera),
    occupancy(showTimes),
    card("Where people stand", ...heatMaps()),
    dwell(),
    zonesCard(),
  );
}
