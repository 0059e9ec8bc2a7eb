// When a person was where: a lane per camera, with gaps as gaps, and a scrubber on the same clock.

import { cameraName, data, moment, percent, stretchesOf, timesAndSpan, tracklet } from "./data.js";
import { button, laneName, scaleMark, shareOf, slider } from "./parts.js";
import { element, labelled, setText } from "./text.js";

const TICKS_S = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400, 604800];
const MAX_TICKS = 6;
const MARGIN = 0.02;

/** Return the timeline of a person, with `setTime` to move its scrubber. */
export function makeTimeline(person, seek) {
  const length = Math.max(person.last - person.first, 1);
  const from = person.first - MARGIN * length;
  const to = person.last + MARGIN * length;
  const place = (timeS) => (100 * (timeS - from)) / (to - from);
  const node = element("div", "timeline");
  const told = element("p", "facts told", legend(person));
  told.role = "status";
  const lanes = makeLanes(person, place, pick);
  const head = element("div", "playhead");
  head.hidden = true;
  const scrubber = slider("Time", { min: from, max: to, step: 0.04, value: from }, (timeS) => seek(timeS, null));
  scrubber.className = "scrubber";
  const axis = element("div", "track axis", ...ticks(from, to, place), scrubber);
  const foot = element("div", "lane foot", element("span", "lane-name"), axis);
  node.append(...lanes, foot, element("div", "over", head), told);

  function pick(each, bar, event) {
    for (const other of node.querySelectorAll(".bar[aria-pressed=true]")) other.setAttribute("aria-pressed", "false");
    bar.setAttribute("aria-pressed", "true");
    setText(told, describe(each));
    const share = event.detail && shareOf(event, bar); // by keyboard it is 0
    seek(each.first + share * (each.last - each.first), each.camera);
  }

  for (const lane of lanes) {
    const track = lane.querySelector(".track");
    track.addEventListener("click", (event) => {
      if (event.target === track) seek(from + shareOf(event, track) * (to - from), Number(track.dataset.camera));
    });
  }

  function setTime(timeS) {
    head.hidden = timeS < from || timeS > to;
    head.style.left = `${place(timeS)}%`;
    scrubber.value = String(timeS);
    scrubber.setAttribute("aria-valuetext", moment(timeS));
  }
  return { node, setTime };
}

function legend(person) {
  const all = person.tracklets.map(tracklet);
  const parts = ["Click a bar, or drag the scrubber."];
  if (all.some((each) => stretchesOf(each).some(([, , isFilled]) => isFilled))) parts.push("Pale: not seen, filled in.");
  if (all.some((each) => each.probability < data.confirmed)) parts.push(`Amber: linked with less than ${percent(data.confirmed)}.`);
  return parts.join(" ");
}

function makeLanes(person, place, pick) {
  const byCamera = Map.groupBy(person.tracklets.map(tracklet), (each) => each.camera);
  return [...byCamera].map(([camera, all]) => {
    const track = element("div", "track", ...all.map((each) => makeBar(each, place, pick)));
    track.dataset.camera = camera;
    return element("div", "lane", laneName(cameraName(camera)), track);
  });
}

function makeBar(each, place, pick) {
  const bar = labelled(button("", (event) => pick(each, bar, event), "bar"), describe(each));
  bar.setAttribute("aria-pressed", "false");
  bar.title = describe(each);
  bar.style.left = `${place(each.first)}%`;
  bar.style.width = `${place(each.last) - place(each.first)}%`;
  if (each.probability < data.confirmed) bar.dataset.level = "warn";
  const length = Math.max(each.last - each.first, 0.01);
  for (const [from, to, isFilled] of stretchesOf(each)) {
    const part = element("span", isFilled ? "part filled" : "part");
    part.style.left = `${(100 * (from - each.first)) / length}%`;
    part.style.width = `${(100 * (to - from)) / length}%`;
    bar.append(part);
  }
  return bar;
}

function describe(each) {
  const sure = each.probability < 1 ? `, best link ${percent(each.probability)}` : "";
  return `${each.name}: ${timesAndSpan(each)}${sure}`;
}

function ticks(from, to, place) {
  const step = TICKS_S.find((each) => (to - from) / each <= MAX_TICKS) ?? (to - from) / 2;
  const made = [];
  const start = Math.ceil((data.origin_s + from) / step) * step - data.origin_s;
  for (let timeS = start; timeS <= to; timeS += step) {
    made.push(scaleMark(moment(timeS, step < 1), place(timeS), "tick"));
  }
  return made;
}
