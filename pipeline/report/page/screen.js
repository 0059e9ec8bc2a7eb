// One picture of the player: a camera, or all of them in the mosaic, at the time that the player
// says, with a box around the chosen person.

import { boxAt } from "./boxes.js";
import { cameraName, colour, data } from "./data.js";
import { button, clamp } from "./parts.js";
import { element, labelled, setText } from "./text.js";

export const ALL = -1;
const SEEK_MARGIN_S = 0.01; // times here are rounded to this, and a seek lands on the frame before otherwise
const MAX_DRIFT_S = 0.25; // beyond it a playing video seeks; below it plays a little faster or slower
const HOLD_S = 1; // the last picture of a video stays so long, since the next one may follow
const FREE_DRIFT_S = 0.02;
const MAX_NUDGE = 0.1;
const NO_VIDEO = "No video at this time";

/** Return the videos of a camera or of the mosaic, in order: their names, and when they begin. */
export function partsOf(number) {
  if (number === ALL) {
    if (!data.mosaic) return [];
    const starts = data.cameras.filter((camera) => camera.tile.length).map((camera) => camera.start);
    return [{ start: Math.min(...starts), file: data.mosaic }];
  }
  const camera = data.cameras[number];
  if (camera.video) return [{ start: camera.start, file: camera.video }];
  return camera.segments.map(([start, name]) => ({ start, file: `segments/${camera.name}/${name}` }));
}

export class Screen {
  /** `onButton` is called when the button in the corner is clicked, `onChange` when a video is ready. */
  constructor(onButton, onChange) {
    this.number = null;
    this.parts = [];
    this.part = null;
    this.tracklets = [];
    this.target = 0;
    this.speed = 0; // 0: it stands still
    this.shown = null; // time of the picture that is seen
    this.video = element("video");
    this.video.preload = "auto";
    this.video.playsInline = true;
    this.video.muted = true;
    this.views = new Map();
    this.message = element("p", "empty");
    this.message.hidden = true;
    this.corner = button("", () => onButton(this.number), "corner");
    this.frame = element("div", "frame", this.video);
    this.node = element("div", "screen", this.frame, this.message, this.corner);
    const again = () => {
      this.aim(this.target, this.speed);
      onChange();
    };
    for (const each of ["loadedmetadata", "seeked", "ended"]) this.video.addEventListener(each, again);
    this.video.addEventListener("loadedmetadata", () => this.setShape(this.video.videoWidth / this.video.videoHeight));
    this.video.addEventListener("error", () => this.fail());
    this.watch();
  }

  /** Show a camera, or the mosaic; null for nothing. */
  assign(number) {
    if (number === this.number) return;
    this.number = number;
    this.parts = number === null ? [] : partsOf(number);
    this.load(null);
    if (number === null) return;
    const isAll = number === ALL;
    labelled(this.video, `Video of ${isAll ? "all cameras" : cameraName(number)}`);
    if (!isAll) this.setShape(data.cameras[number].width / data.cameras[number].height);
    for (const view of this.views.values()) view.remove();
    this.views = new Map();
    data.cameras.forEach((camera, at) => {
      if (isAll ? !camera.tile.length : at !== number) return;
      const view = element("div", "view");
      const [left, top, width, height] = isAll ? camera.tile : [0, 0, 1, 1];
      place(view, left, top, width, height);
      this.views.set(at, view);
      this.frame.append(view);
    });
  }

  setShape(ratio) {
    this.node.style.setProperty("--ratio", String(ratio));
  }

  /** Set what the button in the corner says; "" for none. */
  setCorner(text, label) {
    this.corner.hidden = !text;
    setText(this.corner, text);
    labelled(this.corner, label);
  }

  load(part) {
    this.part = part;
    this.shown = null;
    this.hasFailed = false;
    this.video.pause();
    if (part) this.video.src = part.file.split("/").map(encodeURIComponent).join("/");
    else if (this.video.hasAttribute("src")) {
      this.video.removeAttribute("src");
      this.video.load();
    }
  }

  /** The time within the present video. */
  get offset() {
    return this.target - this.part.start + SEEK_MARGIN_S;
  }

  get isReady() {
    return this.video.readyState >= HTMLMediaElement.HAVE_METADATA;
  }

  get isPast() {
    return this.isReady && this.offset > this.video.duration + HOLD_S;
  }

  /** Whether the clock should wait for this picture. */
  get isLoading() {
    if (!this.part || this.hasFailed || this.isPast) return false;
    return this.video.seeking || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA;
  }

  /** Whether there is no video at this time nor later. */
  get isOver() {
    if (this.hasFailed || !this.parts.length) return true;
    return this.part === this.parts.at(-1) && this.isPast;
  }

  /** Be at a time, and go on at a speed; 0 stands still. */
  aim(timeS, speed) {
    this.target = timeS;
    this.speed = speed;
    const part = this.parts.findLast((each) => each.start <= timeS + SEEK_MARGIN_S) ?? null;
    if (part !== this.part) this.load(part);
    if (this.hasFailed) return;
    const isMissing = !part || this.isPast;
    this.say(isMissing ? NO_VIDEO : "");
    if (isMissing) {
      this.video.pause();
      return;
    }
    if (this.isReady && !this.video.seeking) this.follow();
  }

  follow() {
    const { video } = this;
    const offset = clamp(this.offset, 0, video.duration);
    const drift = offset - video.currentTime;
    if (!this.speed) {
      if (!video.paused) video.pause();
      if (Math.abs(drift) > 0.002) video.currentTime = offset;
    } else if (Math.abs(drift) > MAX_DRIFT_S * Math.max(1, this.speed)) {
      video.currentTime = offset;
    } else {
      const nudge = Math.abs(drift) < FREE_DRIFT_S ? 0 : clamp(drift, -MAX_NUDGE, MAX_NUDGE);
      video.playbackRate = this.speed * (1 + nudge);
      if (video.paused && !video.ended) video.play().catch(() => {});
    }
  }

  say(text) {
    this.message.hidden = !text;
    this.frame.hidden = Boolean(text);
    if (text) setText(this.message, text);
  }

  fail() {
    if (!this.part || !this.video.hasAttribute("src")) return;
    this.hasFailed = true;
    this.say(`${this.part.file} cannot be played from here: keep this page in the folder of the results.`);
  }

  /** Draw a box around a person in every picture that comes. */
  watch() {
    const { video } = this;
    const drawAt = (offsetS) => {
      this.shown = this.part ? this.part.start + offsetS : null;
      this.draw();
    };
    if (!video.requestVideoFrameCallback) {
      for (const each of ["timeupdate", "seeked"]) video.addEventListener(each, () => drawAt(video.currentTime));
      return;
    }
    const onFrame = (_, { mediaTime }) => {
      drawAt(mediaTime);
      video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
  }

  /** Mark a person, whose tracklets are given, from now on. */
  mark(id, tracklets) {
    this.tracklets = tracklets;
    this.node.style.setProperty("--person", colour(id));
    this.draw();
  }

  draw() {
    for (const [camera, view] of this.views) {
      const here = this.shown === null ? [] : this.tracklets.filter((each) => each.camera === camera);
      const boxes = here.map((each) => boxAt(each, this.shown)).filter(Boolean);
      while (view.childElementCount > boxes.length) view.lastChild.remove();
      while (view.childElementCount < boxes.length) view.append(element("div", "person-box"));
      boxes.forEach(({ sides: [left, top, right, bottom], isFilled }, at) => {
        const made = view.children[at];
        place(made, left, top, right - left, bottom - top);
        made.classList.toggle("filled", isFilled);
        made.classList.toggle("second", at > 0);
      });
    }
  }
}

function place(target, left, top, width, height) {
  for (const [side, share] of Object.entries({ left, top, width, height })) target.style[side] = `${100 * share}%`;
}
