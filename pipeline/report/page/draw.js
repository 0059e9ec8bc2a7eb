// Draw zones, and floor points of a camera, on its picture, and get the settings for them.
//
// By pointer: click to put a point, drag to move one. By keyboard: arrows move the cross on the picture, or the point that has
// the focus; Enter puts a point, Escape drops the shape, Backspace takes the last point back.

import { cameraName, data } from "./data.js";
import { errorOf, inverse, knownPoints, matrixOf, project } from "./homography.js";
import { arrowStep, button, card, choice, clamp, note, onKey, save, shape, table } from "./parts.js";
import { settingsOf } from "./settings.js";
import { count, element, labelled, setText } from "./text.js";
import { label, stillPicture, zoneColour, zoneShape } from "./zones.js";

const TOOLS = { area: "Area", line: "Line", floor: "Floor points" };
const HINTS = {
  area: "Put the corners in order along the border; a click on the first one, or Enter there, closes the area.",
  line: "Put both ends. “In” is to the right, as seen from the first end.",
  floor: "Put four points or more on the floor, far apart, and type where they are in metres.",
};
const STEP_PX = 20; // of the arrow keys; with Shift 1
const CLOSE_PX = 12;
const MAX_GRID_LINES = 30;

let state = {
  zones: data.zones.flatMap((zone) => zone.shapes.map((each) => ({ name: zone.zone, isLine: zone.is_line, ...each }))),
  floor: data.cameras.map(() => []), // of each camera [x, y, metres x, metres y], "" where not known yet
};
const drawnBefore = [];
let number = 0;
let tool = "area";
let draft = [];
let cross = null;
let parts = null;

const camera = () => data.cameras[number];
const unit = () => camera().width / (parts.stage.clientWidth || camera().width);
const snapshot = () => JSON.stringify(state);
let last = snapshot(); // as it was remembered last
let taken = last; // as it was copied or downloaded

const floorPoints = () => state.floor[number];
const colourOf = (zone) => zoneColour([...new Set(state.zones.map((each) => each.name))].indexOf(zone.name));
const within = ([x, y]) => [[x, camera().width], [y, camera().height]].map(([value, most]) => Math.round(10 * clamp(value, 0, most)) / 10);

/** Make it possible to go back to what was drawn before the last change. */
function remember() {
  const now = snapshot();
  if (now !== last) drawnBefore.push(last);
  last = now;
  parts.undo.disabled = !drawnBefore.length && !draft.length;
}

/** Change what is drawn, and show it. */
function changeDrawn(how) {
  how();
  showDrawn();
}

function undoDrawing() {
  if (draft.length) {
    draft.pop();
  } else if (drawnBefore.length) {
    last = drawnBefore.pop();
    state = JSON.parse(last);
  }
  showDrawn();
}

function put(point) {
  const [x, y] = within(point);
  if (tool === "floor") {
    changeDrawn(() => floorPoints().push([x, y, "", ""]));
    parts.panel.querySelector("tbody tr:last-child input")?.focus({ preventScroll: true });
    return;
  }
  const first = draft[0];
  if (tool === "area" && draft.length > 2 && Math.hypot(x - first[0], y - first[1]) < CLOSE_PX * unit()) {
    finish();
    return;
  }
  draft.push([x, y]);
  if (tool === "line" && draft.length === 2) finish();
  else showDrawn();
}

function finish() {
  const isLine = tool === "line";
  if (draft.length < (isLine ? 2 : 3)) return;
  const names = new Set(state.zones.map((zone) => zone.name));
  let nth = 1;
  while (names.has(`${tool} ${nth}`)) nth += 1;
  const made = { name: `${tool} ${nth}`, isLine, camera: number, points: draft };
  draft = [];
  changeDrawn(() => state.zones.push(made));
}

/** A point that can be dragged, and moved and removed by keyboard. */
function handle(name, point, remove, className = "") {
  const made = shape("circle", { cx: point[0], cy: point[1], r: 7 * unit(), class: `handle ${className}`, tabindex: 0, role: "button", "aria-label": name });
  const move = (to) => {
    [point[0], point[1]] = within(to);
    made.setAttribute("cx", point[0]);
    made.setAttribute("cy", point[1]);
    refreshPicture();
  };
  made.addEventListener("pointerdown", (event) => {
    if (draft.length) return;
    event.preventDefault();
    made.focus();
    made.setPointerCapture(event.pointerId);
    made.onpointermove = (moved) => move(placeOf(moved));
    made.onlostpointercapture = () => {
      made.onpointermove = null;
      remember();
    };
  });
  const moveBy = ([right, down]) => {
    move([point[0] + right, point[1] + down]);
    remember();
  };
  const drop = () => {
    changeDrawn(remove);
    parts.stage.focus();
  };
  onKey(made, (event) => {
    const by = arrowMove(event);
    if (by) return () => moveBy(by);
    return event.key === "Delete" ? drop : null;
  });
  return made;
}

/** How far an arrow key moves; nothing for other keys. */
function arrowMove(event) {
  const step = unit() * (event.shiftKey ? 1 : STEP_PX);
  return arrowStep(event)?.map((each) => step * each);
}

function placeOf(event) {
  const box = parts.stage.getBoundingClientRect();
  return [(event.clientX - box.left) * unit(), (event.clientY - box.top) * unit()];
}

function handles() {
  const made = [];
  state.zones.forEach((zone, at) => {
    if (zone.camera !== number) return;
    zone.points.forEach((point, corner) => {
      const remove = () => {
        if (zone.points.length > 3) zone.points.splice(corner, 1);
        else state.zones.splice(at, 1);
      };
      made.push(handle(`Point ${corner + 1} of ${zone.name}`, point, remove));
    });
  });
  floorPoints().forEach((point, at) => {
    const remove = () => floorPoints().splice(at, 1);
    made.push(label(String(at + 1), point[0], point[1] - 11 * unit(), unit()), handle(`Floor point ${at + 1}`, point, remove, "on-floor"));
  });
  return made;
}

/** Lines on the floor, a metre or a round number of metres apart, within the points. */
function grid(matrix, points) {
  const back = inverse(matrix);
  const [[left, right], [low, high]] = [2, 3].map((axis) => {
    const all = points.map((point) => point[axis]);
    return [Math.min(...all), Math.max(...all)];
  });
  const step = [1, 2, 5, 10, 20, 50].find((each) => (right - left + high - low) / each < MAX_GRID_LINES) ?? 100;
  const lines = [];
  const add = (from, to) => lines.push(shape("path", { class: "grid", d: `M${project(back, ...from)} L${project(back, ...to)}` }));
  for (let x = Math.ceil(left / step) * step; x <= right; x += step) add([x, low], [x, high]);
  for (let y = Math.ceil(low / step) * step; y <= high; y += step) add([left, y], [right, y]);
  return lines;
}

/** What is drawn in the picture, above the grid. */
function drawing() {
  const made = [];
  state.zones.forEach((zone) => {
    if (zone.camera === number) made.push(zoneShape({ ...zone, colour: colourOf(zone) }, unit()));
  });
  if (draft.length) {
    made.push(zoneShape({ name: "", points: draft, isLine: true, colour: zoneColour(state.zones.length) }, unit()));
    made.push(...draft.map(([x, y]) => shape("circle", { cx: x, cy: y, r: 6 * unit(), class: "handle" })));
  }
  if (cross) {
    const [x, y] = cross;
    const arm = 14 * unit();
    made.push(shape("path", { class: "cross", d: `M${x - arm} ${y}H${x + arm}M${x} ${y - arm}V${y + arm}` }));
  }
  return made;
}

/** Show what follows from the points: shapes, errors, and settings; nothing that can have the focus is made anew. */
function refreshPicture() {
  const points = knownPoints(floorPoints());
  const matrix = matrixOf(points);
  parts.shapes.replaceChildren(...(matrix ? grid(matrix, points) : []), ...drawing());
  setText(parts.yaml, settingsOf(state));
  parts.errors.forEach((cell, at) => {
    const [point] = knownPoints([floorPoints()[at]]);
    const [px, metres] = matrix && point ? errorOf(matrix, point) : [];
    setText(cell, px === undefined ? "–" : `${px.toFixed(1)} px, ${(100 * metres).toFixed(1)} cm`);
  });
  setText(parts.fit, fit(matrix, points.length));
}

function fit(matrix, n) {
  if (n < 4) return `${count(4 - n, "more point")} needed.`;
  if (!matrix) return "These points do not tell the floor: some lie on one line, or a number is wrong.";
  return n === 4 ? "Four points always fit: a fifth one shows how well." : `The floor that fits ${n} points best; the lines are on it.`;
}

function showDrawn() {
  parts.panel.replaceChildren(...(tool === "floor" ? floorRows() : zoneRows()));
  remember();
  parts.finish.hidden = tool !== "area" || draft.length < 3;
  for (const each of parts.tools) each.setAttribute("aria-pressed", String(each.dataset.tool === tool));
  setText(parts.hint, HINTS[tool]);
  showPicture();
}

function showPicture() {
  parts.width = parts.stage.clientWidth;
  const view = stillPicture(camera());
  parts.shapes = shape("g", {});
  view.append(parts.shapes, shape("g", {}, ...handles()));
  parts.stage.replaceChildren(view);
  refreshPicture();
}

/** A field of something drawn. */
function field(label, target, key, kind) {
  const made = labelled(element("input"), label);
  made.type = kind;
  if (kind === "number") made.step = "any";
  else made.maxLength = 80;
  made.value = target[key];
  made.addEventListener("input", () => {
    target[key] = kind === "number" ? made.value : made.value.trim() || "zone";
    refreshPicture();
  });
  made.addEventListener("change", remember);
  return made;
}

function zoneRows() {
  parts.errors = [];
  if (!state.zones.length) return [note("Nothing is drawn yet.")];
  return state.zones.map((zone, at) => {
    const swatch = element("span", "swatch");
    swatch.style.background = colourOf(zone);
    const where = zone.camera < 0 ? "on the floor" : cameraName(zone.camera);
    const remove = labelled(button("Remove", () => changeDrawn(() => state.zones.splice(at, 1))), `Remove ${zone.name}`);
    const facts = element("span", "facts", `${zone.isLine ? "line" : "area"}, ${where}`);
    return element("div", "zone-row", swatch, field(`Name of ${zone.name}`, zone, "name", "text"), facts, remove);
  });
}

function floorRows() {
  parts.errors = floorPoints().map(() => element("span"));
  const rows = floorPoints().map((point, at) => {
    const fields = [2, 3].map((axis) => field(`${"xy"[axis - 2]} of point ${at + 1}, metres`, point, axis, "number"));
    return [String(at + 1), ...fields, parts.errors[at]];
  });
  return rows.length ? [table(["Point", "x, metres", "y, metres", "Error"], rows), parts.fit] : [parts.fit];
}

function downloadSettings() {
  save("site.yaml", settingsOf(state));
  taken = snapshot();
}

async function copy(told) {
  try {
    await navigator.clipboard.writeText(settingsOf(state));
    taken = snapshot();
    setText(told, "Copied.");
  } catch {
    getSelection().selectAllChildren(parts.yaml);
    setText(told, "Marked: copy it with Ctrl+C.");
  }
}

function choose(name) {
  tool = name;
  draft = [];
  showDrawn();
}

function toolbar() {
  const cameras = choice("Camera", data.cameras.map((each, at) => [at, each.name]), (chosen) => {
    number = chosen;
    cross = null;
    choose(tool);
  });
  parts.tools = Object.entries(TOOLS).map(([name, words]) => {
    const each = button(words, () => choose(name));
    each.dataset.tool = name;
    return each;
  });
  parts.undo = button("Undo", undoDrawing);
  parts.finish = button("Close the area", finish, "primary");
  return element("div", "tools", cameras, ...parts.tools, parts.undo, parts.finish);
}

function listen(stage) {
  stage.addEventListener("click", (event) => {
    if (event.target.matches("circle[tabindex]") && !draft.length) return; // a point was chosen or moved
    cross = null;
    put(placeOf(event));
  });
  onKey(stage, (event) => {
    const by = arrowMove(event);
    if (by) return () => moveCross(by);
    return { Enter: cross && (() => put(cross)), Escape: () => choose(tool), Backspace: draft.length && undoDrawing }[event.key];
  });
}

function moveCross(by) {
  const from = cross ?? [camera().width / 2, camera().height / 2];
  cross = within(from.map((value, axis) => value + by[axis]));
  refreshPicture();
}

/** Show the view. */
export function showDraw(target) {
  if (parts || !data.cameras.length) return;
  const stage = labelled(element("div", "stage-picture"), "Picture of the camera: arrows move a cross, Enter puts a point", "application");
  stage.tabIndex = 0;
  const told = element("span", "facts");
  told.role = "status";
  parts = { stage, panel: element("div", "drawn"), hint: note(), yaml: element("pre"), fit: note(), errors: [] };
  parts.fit.role = "status";
  labelled(parts.yaml, "Settings").tabIndex = 0;
  const line = element("div", "line", button("Copy", () => copy(told)), button("Download", downloadSettings), told);
  const about = note("Save it as site.yaml beside the videos, or put the parts into your own file, and run with --config site.yaml.");
  if (data.is_correctable) {
    const command = element("code", "", "people-tracker apply DIR --zones site.yaml");
    about.append(" To count at these zones in the results that are here: ", command);
  }
  target.append(card("Draw", toolbar(), parts.hint, stage), card("Drawn", parts.panel), card("Settings", about, parts.yaml, line));
  listen(stage);
  onKey(document, (event) => {
    const isUndo = event.key === "z" && (event.ctrlKey || event.metaKey);
    return isUndo && !target.hidden && !event.target.matches("input, select") && undoDrawing;
  });
  addEventListener("beforeunload", (event) => {
    if (snapshot() !== taken) event.preventDefault();
  });
  new ResizeObserver(() => {
    if (stage.clientWidth !== parts.width) showPicture();
  }).observe(stage);
  showDrawn();
}
