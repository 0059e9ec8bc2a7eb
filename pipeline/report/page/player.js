// One video at a time, on the clock of the run: a camera's, or all in one. It can follow a person
// from camera to camera.

import { button, data, tracklet } from "./data.js";
import { element, setText } from "./text.js";

const ALL = -1;
const SEEK_MARGIN_S = 0.04; // a seek lands on the frame before otherwise

/** The player, which belongs to the whole page and moves from person to person. */
export class Player {
  constructor() {
    this.camera = null;
    this.person = null;
    this.isLoading = false;
    this.target = 0;
    this.onTime = () => {};
    this.node = element("div", "player");
    this.video = element("video");
    this.video.controls = true;
    this.video.preload = "metadata";
    this.video.playsInline = true;
    this.video.muted = true;
    this.message = element("p", "empty");
    this.message.hidden = true;
    this.choice = element("div", "choice");
    this.choice.setAttribute("role", "group");
    this.choice.setAttribute("aria-label", "Video");
    this.follow = element("input");
    this.follow.type = "checkbox";
    this.follow.checked = true;
    const label = element("label", "follow");
    label.append(this.follow, element("span", "", "follow the person"));
    const bar = element("div", "player-bar");
    this.play = button("Play the route", () => this.playRoute(), "primary");
    bar.append(this.play, label, this.choice);
    this.node.append(this.video, this.message, bar);
    this.makeChoice();
    this.video.addEventListener("timeupdate", () => this.tick());
    this.video.addEventListener("seeked", () => {
      this.isLoading = false; // a new video is at its own beginning until then
      this.tell();
    });
    this.video.addEventListener("error", () => this.fail());
    this.video.addEventListener("loadedmetadata", () => {
      this.video.currentTime = this.target;
      this.video.style.aspectRatio = `${this.video.videoWidth} / ${this.video.videoHeight}`;
    });
  }

  get exists() {
    return this.sources.size > 0;
  }

  makeChoice() {
    this.sources = new Map();
    if (data.mosaic) {
      const starts = data.cameras.filter((camera) => camera.video).map((camera) => camera.start);
      this.sources.set(ALL, { name: "All cameras", file: data.mosaic, start: Math.min(...starts) });
    }
    data.cameras.forEach((camera, number) => {
      if (camera.video) this.sources.set(number, { name: camera.name, file: camera.video, start: camera.start });
    });
    this.buttons = new Map();
    for (const [number, source] of this.sources) {
      const made = button(source.name, () => this.choose(number));
      this.buttons.set(number, made);
      this.choice.append(made);
    }
    this.node.hidden = !this.exists;
  }

  /** The time on the clock of the run. */
  get now() {
    const timeS = this.isLoading ? this.target : this.video.currentTime;
    return timeS + (this.sources.get(this.camera)?.start ?? 0);
  }

  /** Show a person's first appearance, without playing. */
  show(person) {
    this.person = person;
    if (!this.exists) return;
    this.video.pause();
    const first = tracklet(person.tracklets[0]);
    this.seek(first.first, first.camera);
  }

  choose(number) {
    const now = this.now;
    this.follow.checked = number === ALL ? this.follow.checked : false;
    this.load(number, now, !this.video.paused);
  }

  load(number, timeS, plays) {
    const source = this.sources.get(number);
    if (!source) return;
    for (const [each, made] of this.buttons) made.setAttribute("aria-pressed", String(each === number));
    const offset = Math.max(0, timeS - source.start + SEEK_MARGIN_S);
    if (this.camera !== number) {
      this.camera = number;
      this.message.hidden = true;
      this.video.hidden = false;
      this.video.setAttribute("aria-label", `Video of ${source.name}`);
      this.isLoading = true;
      this.target = offset;
      this.video.src = source.file.split("/").map(encodeURIComponent).join("/");
    } else if (this.isLoading) {
      this.target = offset;
    } else {
      this.video.currentTime = offset;
    }
    if (plays) this.video.play().catch(() => {});
  }

  /** Go to a time; to a camera if it is given and not all are shown. */
  seek(timeS, camera = null) {
    if (!this.exists) {
      this.onTime(timeS);
      return;
    }
    const known = camera !== null && this.sources.has(camera) ? camera : this.camera;
    const shown = this.sources.has(ALL) && (this.camera === ALL || this.camera === null) ? ALL : known;
    this.load(shown ?? this.sources.keys().next().value, timeS, !this.video.paused);
    this.onTime(timeS);
  }

  playRoute() {
    if (!this.person) return;
    this.follow.checked = true;
    const first = tracklet(this.person.tracklets[0]);
    this.seek(first.first, first.camera);
    this.video.play().catch(() => {});
  }

  tell() {
    this.onTime(this.now);
  }

  tick() {
    if (this.video.seeking || this.isLoading) return;
    this.tell();
    if (!this.follow.checked || !this.person || this.video.paused) return;
    const now = this.now;
    const all = this.person.tracklets.map(tracklet);
    const here = all.filter((each) => each.first <= now && now <= each.last);
    if (here.some((each) => this.camera === ALL || each.camera === this.camera)) return;
    const next = here[0] ?? all.find((each) => each.first > now);
    if (!next) {
      this.video.pause();
    } else if (here.length || next.first - now > 0.3) {
      this.seek(Math.max(now, next.first), next.camera);
    }
  }

  fail() {
    const source = this.sources.get(this.camera);
    if (!source || !this.video.getAttribute("src")) return;
    this.video.hidden = true;
    this.message.hidden = false;
    setText(this.message, `${source.file} cannot be played from here: keep this page in the folder of the results.`);
  }
}
