// Floor plans: the paths of people seen from above, all of them or those of one moment.

import { cameraName, camerasOf, colour, countPeople, data, linkTo, moment, people, times, triples } from "./data.js";
import { arrowStep, between, button, choice, clamp, note, shortName, slider } from "./parts.js";
import { FAINT, INK, picture, write } from "./picture.js";
import { element, setText } from "./text.js";

const PLAN_EDGE = 26; // pixels around the plan, for the numbers of its axes
const TRAIL_S = 8;
const NEAR_PX = 14;
const MAX_NUMBERS = 30; // people at one moment who have their number beside them
const STEPS_M = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
const USUAL_DOUBT = 0.2; // of an approximate plan: the focal length is assumed
const GRID = "#262d35";
const PLAN_FONT = "12px system-ui, sans-serif";

class Plan {
  constructor(plan, tell) {
    this.plan = plan;
    this.paths = plan.paths.map(([id, , ...flat]) => ({ id, points: triples(flat) })); // of seconds, and metres
    this.tell = tell;
    this.time = null;
    this.chosen = 0;
    const [left, low, right, high] = plan.bounds;
    this.wide = right - left;
    this.high = high - low;
    const shape = clamp(this.high / this.wide, 0.45, 1.15);
    const label = "Floor plan with the path of each person. Left and right arrow keys go from person to person, Enter shows the person.";
    const { canvas, redraw } = picture("floor", label, shape, this);
    this.canvas = canvas;
    this.redraw = redraw;
    this.ids = idsOf(this.paths);
    canvas.addEventListener("click", (event) => {
      const id = this.nearest(event); // a finger chooses first, and opens then
      if (id === this.chosen) this.open();
      else this.choose(id);
    });
  }

  point(event) {
    this.choose(event ? this.nearest(event) : 0);
  }

  actOf(event) {
    const step = arrowStep(event)?.[0];
    if (step) return () => this.chooseNext(step);
    return { Enter: () => this.open(), Escape: () => this.choose(0) }[event.key];
  }

  /** Choose the one after the chosen one, or before, of those who are shown. */
  chooseNext(step) {
    const shown = this.time === null ? this.ids : this.idsPresent();
    const at = shown.indexOf(this.chosen);
    const next = at < 0 && step < 0 ? -1 : at + step;
    this.choose(shown.at(next % shown.length) ?? 0);
  }

  open() {
    if (this.chosen) location.hash = `#people/${this.chosen}`;
  }

  choose(id) {
    if (id === this.chosen) return;
    this.chosen = id;
    this.canvas.style.cursor = id ? "pointer" : "";
    this.update();
  }

  /** Show those who are there at a time; null for the paths of all. */
  setTime(time) {
    this.time = time;
    this.update();
  }

  update() {
    this.redraw();
    this.tell();
  }

  /** Metres to pixels. */
  place(x, y) {
    const [left, low, , high] = this.plan.bounds;
    const up = this.plan.mirrored ? y - low : high - y;
    return [this.left + (x - left) * this.scale, this.top + up * this.scale];
  }

  draw(context, width, height) {
    this.scale = Math.min((width - 2 * PLAN_EDGE) / this.wide, (height - 2 * PLAN_EDGE) / this.high);
    this.left = (width - this.wide * this.scale) / 2;
    this.top = (height - this.high * this.scale) / 2;
    context.font = PLAN_FONT;
    this.drawGrid(context, width, height);
    context.lineJoin = "round";
    context.lineCap = "round";
    if (this.layer?.width !== context.canvas.width) this.layer = this.drawLayer(context);
    context.globalAlpha = this.chosen || this.time !== null ? 0.25 : 1;
    context.drawImage(this.layer, 0, 0, width, height);
    context.globalAlpha = 1;
    if (this.time !== null) this.drawMoment(context);
    if (this.chosen) this.drawChosen(context);
    for (const [camera, x, y] of this.plan.views) this.drawView(context, shortName(cameraName(camera)), this.place(x, y), width);
  }

  /** All paths, on a canvas of their own: they are the same whoever is chosen. */
  drawLayer(context) {
    const layer = element("canvas");
    layer.width = context.canvas.width;
    layer.height = context.canvas.height;
    const own = layer.getContext("2d");
    own.setTransform(context.getTransform());
    own.lineJoin = "round";
    this.drawPaths(own, this.paths, 1.8, this.paths.length > 500 ? 0.3 : 0.75);
    return layer;
  }

  /** Lines each so many metres, with their numbers where the coordinates are those of the site. */
  drawGrid(context, width, height) {
    const step = STEPS_M.find((each) => each * this.scale >= 44) ?? STEPS_M.at(-1);
    const [left, low, right, high] = this.plan.bounds;
    const far = this.left + this.wide * this.scale;
    const bottom = this.top + this.high * this.scale;
    const number = (value, x, y) => {
      if (this.plan.reference < 0) write(context, String(Number(value.toFixed(1))), x, y, FAINT);
    };
    context.textAlign = "center";
    for (let x = Math.ceil(left / step) * step; x <= right; x += step) {
      const [at] = this.place(x, low);
      stroke(context, GRID, 1, [at, this.top], [at, bottom]);
      number(x, at, Math.min(bottom + 16, height - 6));
    }
    context.textAlign = "right";
    for (let y = Math.ceil(low / step) * step; y <= high; y += step) {
      const [, at] = this.place(left, y);
      stroke(context, GRID, 1, [this.left, at], [far, at]);
      number(y, Math.max(this.left - 5, 24), at + 4);
    }
    const end = width - 14;
    const length = step * this.scale;
    stroke(context, INK, 2, [end - length, 12], [end - length, 17], [end, 17], [end, 12]);
    write(context, `${this.plan.reference < 0 ? "" : "about "}${step} m`, end, 33);
  }

  drawPaths(context, paths, width, alpha) {
    context.globalAlpha = alpha;
    for (const { id, points } of paths) stroke(context, colour(id), width, ...points.map(([, x, y]) => this.place(x, y)));
    context.globalAlpha = 1;
  }

  drawMoment(context) {
    const here = this.present();
    const trails = here.map(([{ id, points }, ...place]) => {
      const before = points.filter(([timeS]) => timeS > this.time - TRAIL_S && timeS < this.time);
      return { id, points: [...before, [this.time, ...place]] };
    });
    this.drawPaths(context, trails, 2.5, 1);
    context.textAlign = "left";
    const numbered = new Set(); // once for somebody whom two cameras see
    for (const [{ id }, x, y] of here) {
      const [left, top] = this.place(x, y);
      dot(context, left, top, 6, colour(id));
      if (here.length <= MAX_NUMBERS && !numbered.has(id)) write(context, String(id), left + 9, top + 4);
      numbered.add(id);
    }
  }

  /** Paths of those who are there at the chosen time, each with its place. */
  present() {
    return this.paths.flatMap((path) => {
      const place = placeAt(path, this.time);
      return place ? [[path, ...place]] : [];
    });
  }

  idsPresent() {
    return idsOf(this.present().map(([path]) => path));
  }

  drawChosen(context) {
    const paths = this.paths.filter(({ id }) => id === this.chosen);
    this.drawPaths(context, paths, 3.5, 1);
    const [, x, y] = paths.map(({ points }) => points[0]).reduce((first, each) => (each[0] < first[0] ? each : first));
    dot(context, ...this.place(x, y), 5, "#fff");
  }

  /** The name of a camera where its view begins. */
  drawView(context, name, [x, y], width) {
    context.font = `600 ${PLAN_FONT}`;
    const half = context.measureText(name).width / 2 + 8;
    context.textAlign = "center";
    write(context, name, clamp(x, half, width - half), y + 18);
    stroke(context, INK, 2, [x - 6, y + 4], [x, y - 4], [x + 6, y + 4]);
    context.font = PLAN_FONT;
  }

  /** Who is nearest to a pixel; 0 for nobody. */
  nearest({ offsetX, offsetY }) {
    let best = NEAR_PX;
    let nearest = 0;
    for (const { id, points } of this.paths) {
      for (const [timeS, ...place] of points) {
        if (this.time !== null && Math.abs(timeS - this.time) > TRAIL_S) continue;
        const [x, y] = this.place(...place);
        const off = Math.hypot(x - offsetX, y - offsetY);
        if (off < best) {
          best = off;
          nearest = id;
        }
      }
    }
    return nearest;
  }
}

function stroke(context, style, width, ...points) {
  context.strokeStyle = style;
  context.lineWidth = width;
  context.beginPath();
  for (const point of points) context.lineTo(...point);
  context.stroke();
}

function dot(context, x, y, radius, style) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = style;
  context.fill();
}

function idsOf(paths) {
  return [...new Set(paths.map(({ id }) => id))].sort((a, b) => a - b);
}

/** Where a path is at a time; nothing before its first and after its last point. */
function placeAt({ points }, time) {
  const at = points.findIndex(([timeS]) => timeS >= time);
  if (at < 0 || points[0][0] > time) return null;
  const [after, ...to] = points[at];
  const [before, ...from] = points[Math.max(0, at - 1)];
  return between(from, to, (time - before) / (after - before || 1));
}

function planName(plan) {
  return plan.views.map(([camera]) => cameraName(camera)).join(" + ");
}

function planNote(plan) {
  if (plan.reference < 0) return "Each line is a person's path, in their colour; metres of the site.";
  const name = cameraName(plan.reference);
  const off = Math.round(100 * Math.max(USUAL_DOUBT, plan.doubt));
  const joined = plan.views.length > 1 ? ` Other cameras are joined to ${name} by people seen by both.` : "";
  const measured = `Approximate, in the view of ${name}, whose floor was measured by the heights of people`;
  return `${measured}: distances may be off by ${off}%.${joined} A homography of each camera makes it exact.`;
}

function planView(plan) {
  const told = element("output", "facts");
  const tell = () => {
    const person = people.get(view.chosen);
    if (person) {
      const names = camerasOf(person).map(cameraName);
      told.replaceChildren(linkTo(person.id), ` ${times(person)} · ${names.join(", ")}`);
    } else if (view.time !== null) {
      setText(told, `${countPeople(view.idsPresent().length)} at ${moment(view.time)}`);
    } else {
      setText(told, `Paths of ${countPeople(view.ids.length)}. Point at one, or choose a time.`);
    }
  };
  const view = new Plan(plan, tell);
  const time = slider("Time on the plan", { max: data.last, step: Math.max(0.5, data.last / 2000), value: 0 }, (timeS) => setTime(timeS));
  const all = button("All times", () => setTime(null));
  const setTime = (timeS) => {
    all.disabled = timeS === null;
    time.setAttribute("aria-valuetext", timeS === null ? "all times" : moment(timeS));
    view.setTime(timeS);
  };
  setTime(null);
  return [view.canvas, element("div", "plan-bar", time, all), told, note(planNote(plan))];
}

/** Cameras with people that are on no plan. */
function onNoPlan() {
  const shown = new Set(data.plans.flatMap((plan) => plan.views.map(([camera]) => camera)));
  return data.cameras.filter((camera, number) => camera.people && !shown.has(number)).map((camera) => camera.name);
}

/** Return the floor plans: one is shown, the others are chosen by their cameras. */
export function floorPlans() {
  const target = element("div", "plan");
  const show = (plan) => target.replaceChildren(...planView(plan));
  const content = [];
  if (data.plans.length > 1) {
    const names = data.plans.map((plan, number) => [number, planName(plan)]);
    content.push(choice("Cameras of the plan", names, (number) => show(data.plans[number]), "plan-choice"));
  }
  if (data.plans.length) {
    show(data.plans[0]);
    content.push(target);
  }
  const names = onNoPlan();
  if (names.length) {
    content.push(note(`Not on a plan: ${names.join(", ")}. Too few people were seen in full, near and far; a homography of the camera puts it there.`));
  }
  return content;
}
