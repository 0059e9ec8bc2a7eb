// One person: pictures per camera, when and where, what ties the pieces, and who else it could be.

import { makeCorrections } from "./correct.js";
import { crop } from "./crops.js";
import { button, data, linkTo, moment, numberOf, people, percent, span, tracklet, weakest } from "./data.js";
import { Player } from "./player.js";
import { makeTimeline } from "./timeline.js";
import { byId, count, element } from "./text.js";

const STAYS_SHOWN = 40;
const LINKS_SHOWN = 8;
const detail = byId("detail");
const player = new Player();

/** Stop the videos, when something else is looked at. */
export function pauseVideos() {
  player.pause();
}

/** Show a person. */
export function showPerson(person, onBack) {
  const timeline = makeTimeline(person, (timeS, camera) => player.seek(timeS, camera));
  const corrections = makeCorrections(person, (each) => {
    player.seek(each.first, each.camera);
    stage.scrollIntoView();
  });
  player.onTime = (timeS) => {
    timeline.setTime(timeS);
    corrections.setTime(timeS);
  };
  const stage = element("div", "stage");
  const watch = element("div", "watch");
  watch.append(player.node, pictures(person));
  stage.append(watch, timeline.node);
  if (!player.exists) {
    stage.prepend(element("p", "facts hint", `No videos beside this page: ${data.no_videos}.`));
  }
  detail.replaceChildren(
    heading(person, onBack, () => corrections.node.parentElement.scrollIntoView()),
    block("When and where", stage),
    block("Route", route(person)),
    block("Why this is one person", links(person)),
    block("Who else it could be", near(person)),
  );
  if (data.is_correctable) detail.append(block("Correct this person", corrections.node));
  detail.hidden = false;
  detail.scrollTop = 0;
  player.show(person);
  if (!player.exists) timeline.setTime(person.first);
}

/** Go to a tracklet of the person who is shown. */
export function watchTracklet(each) {
  player.seek(each.first, each.camera);
}

function block(title, ...content) {
  const made = element("section", "block");
  made.append(element("h3", "", title), ...content);
  return made;
}

function heading(person, onBack, onCorrect) {
  const made = element("div", "heading");
  const title = element("h2", "", "Person ");
  title.id = "person-title";
  title.append(numberOf(person.id));
  const nCameras = new Set(person.route.map((stay) => stay[0])).size;
  const facts = `${moment(person.first)} to ${moment(person.last)} · ${span(person.last - person.first)} · ${count(nCameras, "camera")} · ${count(person.tracklets.length, "tracklet")}`;
  made.append(button("‹ All people", onBack, "back"), title, element("p", "facts", facts));
  if (data.is_correctable) made.append(button("Correct…", onCorrect, "to-correct"));
  if (person.isPreview) made.append(element("p", "doubt mild", "Corrected: a preview until the corrections are applied."));
  const least = weakest(person);
  if (person.doubtful) {
    made.append(element("p", "doubt", "Doubtful: a link rests on appearance alone, and somebody else here looks the same."));
  } else if (least < data.confirmed) {
    made.append(element("p", "doubt mild", `The weakest link is ${percent(least)}, which is not confirmed.`));
  }
  return made;
}

function pictures(person) {
  const made = element("ul", "pictures");
  const shown = new Set();
  const all = person.tracklets.map(tracklet);
  const withCrop = all.filter((each) => each.crop >= 0).sort((a, b) => a.crop - b.crop);
  for (const each of withCrop) {
    if (shown.has(each.camera)) continue;
    shown.add(each.camera);
    const name = data.cameras[each.camera].name;
    const item = element("li");
    const open = button("", () => player.seek(each.first, each.camera), "picture");
    open.title = `Go to ${moment(each.first)} in ${name}`;
    open.append(crop(each.crop, `Person ${person.id} in ${name}`), element("span", "caption", name));
    item.append(open);
    made.append(item);
  }
  made.classList.toggle("many", shown.size > 2);
  if (!shown.size) made.append(element("li", "facts", "No pictures were kept of this person."));
  return made;
}

function route(person) {
  const made = element("ol", "stays");
  const shown = person.route.slice(0, STAYS_SHOWN);
  shown.forEach(([camera, first, last], at) => {
    const item = element("li");
    if (at) {
      const between = first - person.route[at - 1][2];
      const words = between > 0 ? `${span(between)} later` : "at the same time";
      item.append(element("span", "between", `→ ${words}`));
    }
    const open = button("", () => player.seek(first, camera), "stay");
    const name = element("strong", "", data.cameras[camera].name);
    open.append(name, element("span", "facts", `${moment(first)} · ${span(last - first)}`));
    item.append(open);
    made.append(item);
  });
  const more = person.route.length - shown.length;
  if (more > 0) made.append(element("li", "facts", `and ${more} more`));
  return made;
}

function links(person) {
  if (!person.links.length) return element("p", "facts", "It is one tracklet: nothing had to be linked.");
  const made = element("ul", "links");
  const all = person.links.toSorted((a, b) => rank(a) - rank(b));
  made.append(...all.slice(0, LINKS_SHOWN).map((link) => linkCard(person, link)));
  const rest = all.slice(LINKS_SHOWN);
  if (rest.length) {
    const more = element("li");
    const open = button(`Show ${rest.length} more`, () => more.replaceWith(...rest.map((link) => linkCard(person, link))));
    more.append(open);
    made.append(more);
  }
  return made;
}

/** The weakest first; what a rule decided last. */
function rank(link) {
  return link[2] < 0 ? 2 : link[2];
}

function side(person, at) {
  const made = element("div", "side-of");
  if (at < 0) return made;
  const each = tracklet(person.tracklets[at]);
  const open = button("", () => player.seek(each.first, each.camera), "picture small");
  open.title = `Go to ${moment(each.first)}`;
  const name = data.cameras[each.camera].name;
  open.append(crop(each.crop, `${name} at ${moment(each.first)}`));
  const words = element("span", "caption");
  words.append(element("strong", "", name), element("span", "facts", moment(each.first)));
  open.append(words);
  made.append(open);
  return made;
}

function linkCard(person, [first, second, probability, status, why, choice, rival, lookalike]) {
  const made = element("li", "link");
  const pair = element("div", "pair");
  pair.append(side(person, first), element("span", "arrow", "→"), side(person, second));
  const words = element("div", "words");
  const line = element("p", "line");
  words.append(line);
  if (probability < 0) {
    line.append(element("strong", "", "certain"), element("span", "state", "by rule"));
  } else {
    line.append(element("strong", "", percent(probability)), state(status));
    words.append(meter(probability));
  }
  words.append(element("p", "why", capital(why)));
  if (lookalike) words.append(element("p", "doubt", capital(lookalike)));
  made.append(pair, words);
  if (choice) made.append(rivalBox(rival, choice));
  return made;
}

function state(status) {
  const made = element("span", "state", status);
  made.dataset.status = status;
  return made;
}

function meter(probability) {
  const made = element("div", "meter");
  const bar = element("span");
  bar.style.width = `${100 * probability}%`;
  if (probability < data.confirmed) bar.dataset.level = "warn";
  made.append(bar);
  return made;
}

function rivalBox(id, words) {
  const made = element("div", "rival");
  const other = people.get(id);
  made.append(crop(other?.crop ?? -1, `Person ${id}`, "tiny"));
  const text = element("p", "facts");
  text.append(capital(words), " ");
  if (other) text.append(linkTo(id));
  made.append(text);
  return made;
}

function near(person) {
  if (!person.near.length) return element("p", "facts", "No other person was close to being linked.");
  const made = element("ul", "near");
  for (const [id, probability, why] of person.near) {
    const item = element("li", "link");
    const other = people.get(id);
    const words = element("div", "words");
    const line = element("p", "line");
    if (other) line.append(linkTo(id));
    else line.append(element("span", "", `Person ${id}`));
    line.append(element("strong", "", percent(probability)));
    words.append(line, element("p", "why", capital(why)));
    item.append(crop(other?.crop ?? -1, `Person ${id}`, "tiny"), words);
    made.append(item);
  }
  return made;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
