// A tile for each camera, and one camera in large with all that is known of it.

import { clock, serverNow } from "./clock.js";
import { byId, count, duration, element, setText } from "./text.js";
import { Pictures, Screen } from "./pictures.js";

const OVERVIEW_PER_S = matchMedia("(max-width: 700px)").matches ? 4 : 8;
const LARGE_PER_S = 12.5;
const OLD_S = 5;
const STATES = {
  connecting: "Connecting",
  live: "Live",
  stalled: "Stalled",
  frozen: "Frozen",
  lost: "Lost",
  ended: "Ended",
};
const EXPLAINED = {
  connecting: "no picture yet",
  stalled: "no new picture",
  frozen: "the picture does not change",
  lost: "no picture",
  ended: "the recording is over",
};
const CLOCKS = { unknown: "not known yet", sender: "camera's own", arrival: "arrival here" };
const BY_RATE = "rate";

const list = byId("camera-list");
const large = byId("large");
const largeScreen = new Screen(byId("large-picture"));
const tiles = new Map();
let cameras = [];
let largeName = "";
let isWatching = false;

const pictures = new Pictures((camera, blob) => {
  tiles.get(camera)?.screen.put(blob);
  if (camera === largeName) largeScreen.put(blob);
});

/** The share of pictures that were lost; those above the rate that is wanted were not. */
function share(camera) {
  const lost = Object.entries(camera.n_dropped).filter(([reason]) => reason !== BY_RATE);
  const n = lost.reduce((sum, [, dropped]) => sum + dropped, 0);
  if (n === 0) return "0 % dropped";
  const percent = (100 * n) / Math.max(camera.n_frames, n);
  return percent < 1 ? "< 1 % dropped" : `${Math.round(percent)} % dropped`;
}

/** What is wrong with a camera, as [title, since, why]; null for a live one. */
function problem(camera) {
  const now = serverNow();
  if (camera.state !== "live") {
    const length = duration(now - camera.since_s);
    const why = camera.reason || EXPLAINED[camera.state];
    return [STATES[camera.state], `since ${clock(camera.since_s)} (${length})`, why];
  }
  const shownS = pictures.shownS.get(camera.name);
  if (camera.picture_s > 0 && now - camera.picture_s > OLD_S && shownS) {
    return ["Old picture", `of ${clock(camera.picture_s)}`, "the tracker is behind"];
  }
  return null;
}

/** Write a problem over a picture: a title, since when, and why. */
function notice(target, camera) {
  const found = problem(camera);
  target.hidden = found === null;
  if (found === null) return;
  if (target.children.length === 0) {
    target.append(element("strong"), element("span", "since"), element("span", "why"));
  }
  found.forEach((text, i) => setText(target.children[i], text));
  target.title = found.join(", ");
}

function makeTile(name) {
  const item = element("li", "camera");
  const view = element("button", "view");
  view.type = "button";
  view.setAttribute("aria-label", `Show ${name} in large`);
  const image = element("img");
  image.alt = "";
  const noticed = element("p", "notice");
  view.append(image, noticed);
  const line = element("div", "line");
  const title = element("h3", "", name);
  title.title = name;
  const state = element("span", "state");
  line.append(title, state);
  const facts = element("p", "facts");
  const speed = element("span");
  const dropped = element("span", "dropped");
  facts.append(speed, dropped);
  const node = element("p", "facts node");
  node.hidden = true;
  item.append(view, line, facts, node);
  view.addEventListener("click", () => open(name));
  const tile = { item, image, noticed, state, speed, dropped, node, screen: new Screen(image) };
  tiles.set(name, tile);
  return tile;
}

function updateTile(tile, camera) {
  tile.item.dataset.state = camera.state;
  setText(tile.state, STATES[camera.state]);
  tile.image.alt = `Picture of ${camera.name}, ${STATES[camera.state].toLowerCase()}`;
  notice(tile.noticed, camera);
  const isLive = camera.state === "live";
  setText(tile.speed, isLive ? `${camera.fps.toFixed(1)} fps · ${camera.delay_s.toFixed(2)} s delay` : lastPicture(camera));
  setText(tile.dropped, isLive ? ` · ${share(camera)}` : "");
  const isInCluster = camera.node || !tile.node.hidden;  // the line stays, so that nothing jumps
  tile.node.hidden = !isInCluster;
  setText(tile.node, camera.node ? `on ${camera.node}` : "on no machine now");
  tile.node.title = camera.worker;
}

function lastPicture(camera) {
  return camera.picture_s > 0 ? `last picture ${clock(camera.picture_s)}` : "no picture yet";
}

function facts(camera) {
  const dropped = Object.entries(camera.n_dropped).map(([reason, n]) => {
    return `${n.toLocaleString()} ${reason === BY_RATE ? "above the rate" : reason}`;
  });
  const offset = camera.clock === "sender" ? ` (${camera.clock_offset_s.toFixed(3)} s off)` : "";
  const given = [
    ["State", `${STATES[camera.state]} since ${clock(camera.since_s)} (${duration(serverNow() - camera.since_s)})`],
    ["Frames a second", camera.fps.toFixed(1)],
    ["Delay", `${camera.delay_s.toFixed(2)} s`],
    ["Frames", camera.n_frames.toLocaleString()],
    ["Dropped", dropped.join(", ") || "none"],
    ["Reconnects", camera.n_reconnects.toLocaleString()],
    ["Clock", `${CLOCKS[camera.clock]}${offset}`],
  ];
  if (camera.state !== "live") {
    given.splice(1, 2, ["Last picture", camera.picture_s > 0 ? clock(camera.picture_s) : "none yet"]);
  }
  if (camera.worker) given.push(["Worker", camera.worker], ["Machine", camera.node]);
  if (camera.reason) given.splice(1, 0, ["Reason", camera.reason]);
  return given;
}

function updateLarge() {
  const camera = cameras.find((each) => each.name === largeName);
  if (!large.open) return;
  if (!camera) {
    large.close();
    return;
  }
  large.dataset.state = camera.state;
  setText(byId("large-name"), camera.name);
  setText(byId("large-state"), STATES[camera.state]);
  byId("large-picture").alt = `Picture of ${camera.name}, ${STATES[camera.state].toLowerCase()}`;
  notice(byId("large-notice"), camera);
  const rows = [];
  for (const [name, value] of facts(camera)) {
    const row = element("div");
    row.append(element("dt", "", name), element("dd", "", value));
    rows.push(row);
  }
  byId("large-facts").replaceChildren(...rows);
}

function open(name) {
  largeName = name;
  largeScreen.clear();
  const shown = tiles.get(name)?.image;
  if (!large.open) large.showModal();
  updateLarge();
  pictures.watch(name, LARGE_PER_S);
  if (shown?.complete && shown.naturalWidth) copyPicture(shown);
}

/** Show at once what the tile shows: a lost camera sends nothing new. */
function copyPicture(shown) {
  const canvas = document.createElement("canvas");
  canvas.width = shown.naturalWidth;
  canvas.height = shown.naturalHeight;
  canvas.getContext("2d").drawImage(shown, 0, 0);
  const name = largeName;
  canvas.toBlob((blob) => {
    if (blob && largeName === name && !byId("large-picture").src) largeScreen.put(blob);
  });
}

function step(by) {
  const at = cameras.findIndex((camera) => camera.name === largeName);
  open(cameras[(at + by + cameras.length) % cameras.length].name);
}

large.addEventListener("close", () => {
  const name = largeName;
  largeName = "";
  largeScreen.clear();
  watchAll();
  tiles.get(name)?.item.querySelector("button").focus();
});
large.addEventListener("keydown", (pressed) => {
  if (pressed.key === "ArrowLeft") step(-1);
  if (pressed.key === "ArrowRight") step(1);
});
large.addEventListener("click", (clicked) => {
  if (clicked.target === large) large.close();
});
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("close").addEventListener("click", () => large.close());

/** Take the pictures of all cameras; of a lost one, the last picture comes at once and only once. */
function watchAll() {
  isWatching = true;
  pictures.watch("", OVERVIEW_PER_S);
}

/** Take no pictures, while nobody looks. */
export function pause() {
  pictures.stop();
}

/** Go on after `pause`. */
export function resume() {
  if (largeName) pictures.watch(largeName, LARGE_PER_S);
  else watchAll();
}

/** Show how the cameras are doing. */
export function showCameras(given) {
  cameras = given;
  const names = new Set(given.map((camera) => camera.name));
  for (const [name, tile] of tiles) {
    if (names.has(name)) continue;
    tile.item.remove();
    tiles.delete(name);
  }
  given.forEach((camera, at) => {
    const tile = tiles.get(camera.name) || makeTile(camera.name);
    if (list.children[at] !== tile.item) list.insertBefore(tile.item, list.children[at] || null);
    updateTile(tile, camera);
  });
  byId("no-cameras").hidden = given.length > 0;
  if (!isWatching) watchAll();
  updateLarge();
  const nLive = given.filter((camera) => camera.state === "live").length;
  const pill = byId("n-cameras");
  setText(pill, `${nLive} of ${count(given.length, "camera")} live`);
  pill.dataset.level = nLive === given.length ? "good" : "bad";
}

byId("n-cameras").addEventListener("click", (clicked) => {
  const bad = cameras.find((camera) => camera.state !== "live");
  if (!bad) return;
  clicked.preventDefault();
  const { item } = tiles.get(bad.name);
  item.scrollIntoView({ block: "center" });
  item.querySelector("button").focus();
});
