// The videos on one clock, that of the run: all cameras at once (the mosaic, or up to four videos
// side by side), or one camera. It can follow a person from camera to camera.

import { cameraName, data, moment, tracklet } from "./data.js";
import { button, choice, clamp, onKey } from "./parts.js";
import { ALL, Screen, partsOf } from "./screen.js";
import { element, labelled, setText } from "./text.js";

const MAX_SCREENS = 4;
const SPEEDS = [0.5, 1, 2, 4];
const TELL_S = 0.1; // while it plays, the time is told so often
const MAX_STEP_S = 0.25; // the clock stands still while nobody looks at the page
const SKIP_S = 0.3; // a gap that is shorter is not skipped when a person is followed
const KEYS = "Keys: space plays, arrows move by a second (with shift by ten), comma and dot by a picture, < and > change the speed";

/** The player, which belongs to the whole page and moves from person to person. */
export class Player {
  constructor() {
    this.now = 0; // on the clock of the run
    this.camera = null;
    this.person = null;
    this.shownFor = null; // the person for whom the screens were chosen
    this.tracklets = [];
    this.isPlaying = false;
    this.speed = 1;
    this.toldAt = 0;
    this.onTime = () => {};
    this.withVideo = data.cameras.map((_, number) => number).filter((number) => partsOf(number).length);
    this.hasAll = Boolean(data.mosaic) || this.withVideo.length > 1;
    this.wall = element("div", "screens");
    this.screens = [];
    this.node = labelled(element("div", "player", this.wall, this.makeBar()), "Player", "group");
    this.node.hidden = !this.exists;
    onKey(document, (event) => this.actOf(event));
    document.addEventListener("visibilitychange", () => document.hidden && this.pause());
  }

  get exists() {
    return this.hasAll || this.withVideo.length > 0;
  }

  makeBar() {
    this.toggle = button("Play", () => this.setPlaying(!this.isPlaying), "toggle");
    this.toggle.title = KEYS;
    this.clock = element("output", "clock");
    const route = button("Play the route", () => this.playRoute(), "primary");
    this.follow = element("input");
    this.follow.type = "checkbox";
    this.follow.checked = true;
    const label = element("label", "follow", this.follow, element("span", "", "Follow"));
    label.title = "Go where the person goes, and skip the time when nobody sees them";
    this.speeds = choice("Speed", SPEEDS.map((speed) => [speed, `${speed} ×`]), (speed) => this.setSpeed(speed));
    this.speeds.value = "1";
    const cameras = this.withVideo.map((number) => [number, cameraName(number)]);
    this.choice = choice("Video", [...(this.hasAll ? [[ALL, "All cameras"]] : []), ...cameras], (number) => this.choose(number));
    this.choice.hidden = this.choice.length < 2;
    const large = labelled(button("", () => this.wall.requestFullscreen?.().catch(() => {}), "enlarge"), "Full screen");
    large.title = "Full screen";
    return element("div", "player-bar", this.toggle, this.clock, route, label, this.speeds, this.choice, large);
  }

  /** Show a person's first appearance, without playing. */
  show(person) {
    this.person = person;
    if (!this.exists) return;
    this.pause();
    this.tracklets = person.tracklets.map(tracklet);
    if (this.camera === null) this.camera = this.hasAll ? ALL : this.withVideo[0];
    this.toStart();
  }

  toStart() {
    const [first] = this.tracklets;
    this.seek(first.first, first.camera);
  }

  /** Show a camera alone, or all. */
  choose(number) {
    if (number !== ALL) this.follow.checked = false;
    this.camera = number;
    this.arrange();
  }

  /** Go to a time, and to a camera if one is given. */
  seek(timeS, camera = null) {
    this.now = timeS;
    if (this.exists) {
      const isOther = camera !== null && !this.shows(camera) && this.withVideo.includes(camera);
      if (isOther && this.camera !== ALL) this.camera = camera;
      this.arrange(isOther ? camera : null);
    }
    this.tell();
  }

  /** Whether a camera is seen now, or would be if it had a picture. */
  shows(camera) {
    return this.screens.some((screen) => screen.views.has(camera));
  }

  /** The cameras to be shown, `wanted` among them: where the person is, was or will be, soonest. */
  chosen(wanted) {
    if (this.camera !== ALL) return [this.camera];
    if (data.mosaic) return [ALL];
    if (this.withVideo.length <= MAX_SCREENS) return this.withVideo;
    const before = this.screens.map((screen) => screen.number);
    if (before.length === MAX_SCREENS && this.shownFor === this.person && wanted === null) return before;
    this.shownFor = this.person;
    const away = new Map(this.withVideo.map((number) => [number, number === wanted ? -1 : Infinity]));
    for (const { camera, first, last } of this.tracklets) {
      if (away.has(camera)) away.set(camera, Math.min(away.get(camera), Math.max(0, first - this.now, this.now - last)));
    }
    const nearest = this.withVideo.toSorted((a, b) => away.get(a) - away.get(b) || a - b);
    return nearest.slice(0, MAX_SCREENS).sort((a, b) => a - b);
  }

  /** Put the videos onto the screens, at the present time. */
  arrange(wanted = null) {
    const chosen = this.chosen(wanted);
    while (this.screens.length > chosen.length) {
      const screen = this.screens.pop();
      screen.assign(null);
      screen.node.remove();
    }
    while (this.screens.length < chosen.length) {
      const screen = new Screen((number) => this.choose(this.camera === ALL ? number : ALL), () => this.tell());
      this.screens.push(screen);
      this.wall.append(screen.node);
    }
    this.wall.dataset.n = String(chosen.length);
    this.choice.value = String(this.camera);
    this.screens.forEach((screen, at) => {
      const number = chosen[at];
      screen.assign(number);
      screen.mark(this.person?.id ?? 0, this.tracklets);
      if (number === ALL || !this.hasAll) screen.setCorner("", "");
      else if (this.camera === ALL) screen.setCorner(cameraName(number), `Show ${cameraName(number)} alone`);
      else screen.setCorner("All cameras", "Show all cameras");
    });
    this.aim();
  }

  aim() {
    for (const screen of this.screens) screen.aim(this.now, this.isPlaying ? this.speed : 0);
  }

  setPlaying(isPlaying) {
    if (this.isPlaying === isPlaying || !this.exists) return;
    this.isPlaying = isPlaying;
    setText(this.toggle, isPlaying ? "Pause" : "Play");
    this.aim();
    if (isPlaying) {
      this.turnedAt = performance.now();
      requestAnimationFrame((at) => this.turn(at));
    }
    this.tell();
  }

  pause() {
    this.setPlaying(false);
  }

  setSpeed(speed) {
    this.speed = speed;
    this.speeds.value = String(speed);
    this.aim();
  }

  /** Let the time go on, unless a video is not there yet: all wait for each other. */
  turn(at) {
    if (!this.isPlaying) return;
    const passedS = Math.min(Math.max(0, at - this.turnedAt) / 1000, MAX_STEP_S);
    this.turnedAt = at;
    if (!this.screens.some((screen) => screen.isLoading)) this.now += passedS * this.speed;
    this.followPerson();
    if (this.screens.every((screen) => screen.isOver)) this.pause();
    this.aim();
    if (at - this.toldAt >= 1000 * TELL_S) this.tell();
    requestAnimationFrame((next) => this.turn(next));
  }

  followPerson() {
    if (!this.follow.checked || !this.person) return;
    const all = this.tracklets.filter((each) => this.shows(each.camera) || this.withVideo.includes(each.camera));
    const here = all.filter((each) => each.first <= this.now && this.now <= each.last);
    if (here.some((each) => this.shows(each.camera))) return;
    const next = here[0] ?? all.find((each) => each.first > this.now);
    if (!next) this.pause();
    else if (here.length || next.first - this.now > SKIP_S) this.seek(Math.max(this.now, next.first), next.camera);
  }

  playRoute() {
    if (!this.person) return;
    this.follow.checked = true;
    this.toStart();
    this.setPlaying(true);
  }

  tell() {
    this.toldAt = performance.now();
    setText(this.clock, moment(this.now));
    this.onTime(this.now);
  }

  /** Move by a picture, which is as long as the shortest one that is shown. */
  step(sign) {
    this.pause();
    const rates = this.screens.flatMap((screen) => [...screen.views.keys()].map((number) => data.cameras[number].fps));
    this.seek(this.now + sign / Math.max(...rates, 1));
  }

  actOf(event) {
    if (!this.exists || event.ctrlKey || event.metaKey || event.altKey || !this.node.checkVisibility()) return null;
    if (event.target.matches("input, select") || (event.target.matches("button") && event.key === " ")) return null;
    const wideS = event.shiftKey ? 10 : 1;
    const faster = (by) => this.setSpeed(SPEEDS[clamp(SPEEDS.indexOf(this.speed) + by, 0, SPEEDS.length - 1)]);
    return {
      " ": () => this.setPlaying(!this.isPlaying),
      ArrowLeft: () => this.seek(this.now - wideS),
      ArrowRight: () => this.seek(this.now + wideS),
      ",": () => this.step(-1),
      ".": () => this.step(1),
      "<": () => faster(-1),
      ">": () => faster(1),
    }[event.key];
  }
}
