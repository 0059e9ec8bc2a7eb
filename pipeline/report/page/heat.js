// Heat maps: for how long people stood where in the picture of each camera, by their feet.

import { withStill } from "./crops.js";
import { data, short, span } from "./data.js";
import { arrowStep, clamp, note, scaleMark } from "./parts.js";
import { GROUND, picture } from "./picture.js";
import { element, labelled, setText } from "./text.js";

const HEAT_DECADES = 3; // from the longest time of a square down to the shortest that has a colour
const HEAT_TICKS_S = [0.1, 1, 10, 60, 600, 3600, 36000, 360000];
const squares = data.heat.map(({ cells }) => secondsOf(cells));
const hottestS = Math.max(0, ...squares.flatMap((seconds) => [...seconds.values()]));
const coolestS = Math.max(0.05, hottestS / 10 ** HEAT_DECADES);

/** The seconds of each square that has any. */
function secondsOf(cells) {
  const found = new Map();
  for (let at = 0; at < cells.length; at += 2) found.set(cells[at], cells[at + 1]);
  return found;
}

/** How long a time is, from 0 to 1 on the scale. */
function heatLevel(seconds) {
  return clamp(Math.log(seconds / coolestS) / Math.log(hottestS / coolestS || 2), 0, 1);
}

/** From dark violet over red to light yellow: in the OK colour space, lightness grows evenly. */
function heatColour(at) {
  const lightness = 0.36 + 0.6 * at;
  const chroma = 0.12 + 0.28 * at * (1 - at);
  return `oklch(${lightness} ${chroma} ${(295 + 165 * at) % 360} / ${0.25 + 0.7 * Math.sqrt(at)})`;
}

function heatSquares({ columns, rows }, seconds) {
  const made = element("canvas");
  made.width = columns;
  made.height = rows;
  const context = made.getContext("2d");
  for (const [cell, timeS] of seconds) {
    if (timeS < coolestS) continue;
    context.fillStyle = heatColour(heatLevel(timeS));
    context.fillRect(cell % columns, Math.floor(cell / columns), 1, 1);
  }
  return made;
}

/** Where in the picture a square is, in words. */
function spotOf(cell, { columns, rows }) {
  const across = Math.round((100 * ((cell % columns) + 0.5)) / columns);
  const down = Math.round((100 * (Math.floor(cell / columns) + 0.5)) / rows);
  return `${across}% from the left, ${down}% from the top`;
}

function heatSummary(camera, map, hottest) {
  if (!map.seconds) return `${camera.name}: nobody's feet were in the picture`;
  return `${camera.name}: people stood in the picture for ${span(map.seconds)}, longest at ${spotOf(hottest, map)}`;
}

function heatRest({ seconds, cut }) {
  const share = cut / (cut + seconds || 1);
  const hidden = share > 0.005 ? `, ${Math.round(100 * share)}% more with the feet outside` : "";
  return seconds ? `${span(seconds)}${hidden}` : "no feet in the picture";
}

class HeatMap {
  constructor(camera, map, seconds) {
    this.map = map;
    this.seconds = seconds;
    this.chosen = -1;
    [this.hottest] = [...seconds.keys()].sort((a, b) => seconds.get(b) - seconds.get(a));
    this.colours = heatSquares(map, seconds);
    this.still = new Image();
    const label = heatSummary(camera, map, this.hottest);
    const { canvas, redraw } = picture("heat-map", label, map.rows / map.columns, this);
    this.redraw = redraw;
    canvas.addEventListener("pointerdown", (event) => this.point(event));
    canvas.addEventListener("blur", () => this.point(null));
    this.still.addEventListener("load", redraw);
    withStill(camera, (url) => {
      this.still.src = url;
    });
    this.told = element("output", "facts", heatRest(map));
    this.node = element("figure", "heat", canvas, element("figcaption", "", element("strong", "", camera.name), this.told));
  }

  draw(context, width, height) {
    if (this.still.naturalWidth) {
      context.globalAlpha = 0.6;
      context.drawImage(this.still, 0, 0, width, height);
      context.globalAlpha = 1;
    }
    context.imageSmoothingQuality = "high";
    context.drawImage(this.colours, 0, 0, width, height);
    if (this.chosen < 0) return;
    const size = width / this.map.columns;
    const [column, row] = this.place();
    context.lineWidth = 2;
    context.strokeStyle = "#fff";
    context.strokeRect(column * size, row * size, size, size);
  }

  /** Column and row of the chosen square. */
  place() {
    return [this.chosen % this.map.columns, Math.floor(this.chosen / this.map.columns)];
  }

  choose(cell) {
    this.chosen = cell;
    const words = cell < 0 ? heatRest(this.map) : `${span(this.seconds.get(cell) ?? 0)} at ${spotOf(cell, this.map)}`;
    setText(this.told, words);
    this.redraw();
  }

  /** Choose the square of a column and a row, or the one at the edge. */
  chooseAt(column, row) {
    const { columns, rows } = this.map;
    this.choose(clamp(row, 0, rows - 1) * columns + clamp(column, 0, columns - 1));
  }

  point(event) {
    if (!event) {
      this.choose(-1);
      return;
    }
    const size = event.target.clientWidth / this.map.columns;
    this.chooseAt(Math.floor(event.offsetX / size), Math.floor(event.offsetY / size));
  }

  actOf(event) {
    const step = arrowStep(event);
    if (!step) return null;
    if (this.chosen < 0) return () => this.choose(this.hottest ?? 0);
    const [column, row] = this.place();
    return () => this.chooseAt(column + step[0], row + step[1]);
  }
}

function heatScale() {
  const stops = Array.from({ length: 17 }, (_, at) => heatColour(at / 16)).join(", ");
  const bar = element("div", "heat-colours");
  bar.style.background = `linear-gradient(90deg, ${stops}), ${GROUND}`;
  const ticks = HEAT_TICKS_S.filter((each) => each > coolestS && each < hottestS);
  const marks = ticks.map((tick) => scaleMark(short(tick), 100 * heatLevel(tick)));
  const label = `Colours from ${span(coolestS)}, dark, to ${span(hottestS)}, light`;
  return labelled(element("div", "heat-scale", bar, ...marks), label, "img");
}

/** Return the heat maps of all cameras, and their scale. */
export function heatMaps() {
  const grid = element("div", "heats");
  data.cameras.forEach((camera, number) => {
    if (data.heat[number].columns) grid.append(new HeatMap(camera, data.heat[number], squares[number]).node);
  });
  const said = "How long people stood in each spot (1/64 of the picture), by their feet. Point at a spot for its time.";
  return hottestS ? [note(said), grid, heatScale()] : [note("Nobody's feet were in a picture.")];
}
