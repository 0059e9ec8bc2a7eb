// One person: pictures per camera, when and where, what ties the pieces, and who else it could be.

import { personOf } from "./answers.js";
import { makeCorrections } from "./correct.js";
import { crop } from "./crops.js";
import { cameraName, camerasOf, capital, data, linkTo, moment, numberOf, people, percent, span, strength, times, tracklet, weakest } from "./data.js";
import { button, fillList, note } from "./parts.js";
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
    watchTracklet(each);
    stage.scrollIntoView();
  });
  player.onTime = (timeS) => {
    timeline.setTime(timeS);
    corrections.setTime(timeS);
  };
  const stage = element("div", "stage", element("div", "watch", player.node, pictures(person)), timeline.node);
  if (!player.exists) {
    stage.prepend(note(`No videos beside this page: ${data.no_videos}.`));
  }
  detail.replaceChildren(
    heading(person, onBack, () => {
      corrections.node.parentElement.scrollIntoView();
      byId("same-as").focus({ preventScroll: true });
    }),
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

/** Go to a tracklet or a stay of the person who is shown. */
export function watchTracklet(each) {
  player.seek(each.first, each.camera);
}

function block(title, ...content) {
  return element("section", "block", element("h3", "", title), ...content);
}

/** A button that shows where a tracklet begins. */
function goTo(each, className, label, caption) {
  const open = button("", () => watchTracklet(each), className, crop(each.crop, label), caption);
  open.title = `Go to ${moment(each.first)} in ${cameraName(each.camera)}`;
  return open;
}

function heading(person, onBack, onCorrect) {
  const title = element("h2", "", "Person ", numberOf(person.id));
  title.id = "person-title";
  title.tabIndex = -1; // has the focus after a correction
  const facts = [times(person), span(person.last - person.first), count(camerasOf(person).length, "camera"), count(person.tracklets.length, "tracklet")];
  const made = element("div", "heading", button("‹ All people", onBack, "back"), title, note(facts.join(" · ")));
  if (data.is_correctable) made.append(button("Correct…", onCorrect, "to-correct"));
  if (person.isPreview) made.append(element("p", "doubt mild", "Corrected: a preview until the corrections are applied."));
  const least = weakest(person);
  if (person.doubtful) {
    made.append(element("p", "doubt", "Doubtful: ", ...doubt(person)));
  } else if (least < data.confirmed) {
    made.append(element("p", "doubt mild", `The weakest link is ${percent(least)}, which is not confirmed.`));
  }
  return made;
}

/** Why a person is doubtful, with the names of the tracklets and of the other person where they are known. */
function doubt(person) {
  const link = person.links.toSorted((a, b) => strength(a) - strength(b)).find((each) => each[8] && each[0] >= 0 && each[1] >= 0);
  if (!link) return ["a link rests on appearance alone, and somebody else here looks the same."];
  const [one, other] = link.slice(0, 2).map((at) => tracklet(person.tracklets[at]).name);
  const who = personOf(link[8]);
  const said = `the link of ${one} and ${other} rests on appearance alone, and ${who ? "person " : link[8]}`;
  return [said, who && linkTo(who.id), " looks the same."];
}

function pictures(person) {
  const made = element("ul", "pictures");
  const shown = new Set();
  const all = person.tracklets.map(tracklet).sort((a, b) => a.crop - b.crop);
  for (const each of all.filter(({ crop: number }) => number >= 0)) {
    if (shown.has(each.camera)) continue;
    shown.add(each.camera);
    const name = cameraName(each.camera);
    made.append(element("li", "", goTo(each, "picture", `Person ${person.id} in ${name}`, element("span", "caption", name))));
  }
  made.classList.toggle("many", shown.size > 2);
  if (!shown.size) made.append(element("li", "facts", "No pictures were kept of this person."));
  return made;
}

function route(person) {
  const made = element("ol", "stays");
  const shown = person.route.slice(0, STAYS_SHOWN);
  shown.forEach(([camera, first, last], at) => {
    const between = at && first - person.route[at - 1][2];
    const words = between > 0 ? `${span(between)} later` : "at the same time";
    const when = element("span", "facts", `${moment(first)} · ${span(last - first)}`);
    const open = button("", () => player.seek(first, camera), "stay", element("strong", "", cameraName(camera)), when);
    made.append(element("li", "", at && element("span", "between", `→ ${words}`), open));
  });
  const more = person.route.length - shown.length;
  if (more > 0) made.append(element("li", "facts", `and ${more} more`));
  return made;
}

function links(person) {
  if (!person.links.length) return note("It is one tracklet: nothing had to be linked.");
  const made = element("ul", "links");
  const all = person.links.toSorted((a, b) => strength(a) - strength(b));
  fillList(made, all, LINKS_SHOWN, (link) => linkCard(person, link));
  return made;
}

function side(person, at) {
  if (at < 0) return element("div");
  const each = tracklet(person.tracklets[at]);
  const name = cameraName(each.camera);
  const when = moment(each.first);
  const words = element("span", "caption", element("strong", "", name), element("span", "facts", when));
  return goTo(each, "picture small", `${name} at ${when}`, words);
}

function linkCard(person, [first, second, probability, status, why, choice, rival, lookalike]) {
  const isByRule = probability < 0;
  const state = element("span", "state", isByRule ? "by rule" : status);
  if (!isByRule) state.dataset.status = status;
  return element(
    "li",
    "link",
    element("div", "pair", side(person, first), element("span", "arrow", "→"), side(person, second)),
    element(
      "div",
      "words",
      element("p", "line", element("strong", "", isByRule ? "certain" : percent(probability)), state),
      !isByRule && meter(probability),
      element("p", "why", capital(why)),
      lookalike && element("p", "doubt", capital(lookalike)),
    ),
    choice && rivalBox(rival, choice),
  );
}

function meter(probability) {
  const bar = element("span");
  bar.style.width = `${100 * probability}%`;
  if (probability < data.confirmed) bar.dataset.level = "warn";
  return element("div", "meter", bar);
}

function cropOf(id) {
  return crop(people.get(id)?.crop ?? -1, `Person ${id}`, "tiny");
}

function rivalBox(id, words) {
  const text = note(capital(words), " ", people.has(id) && linkTo(id));
  return element("div", "rival", cropOf(id), text);
}

function near(person) {
  if (!person.near.length) return note("No other person was close to being linked.");
  const made = element("ul", "near");
  for (const [id, probability, why] of person.near) {
    const who = people.has(id) ? linkTo(id) : element("span", "", `Person ${id}`);
    const line = element("p", "line", who, element("strong", "", percent(probability)));
    made.append(element("li", "link", cropOf(id), element("div", "words", line, element("p", "why", capital(why)))));
  }
  return made;
}
