// Questions that a human answers, those that matter most first; what was answered, and how to apply it.

import { answer, answers, askAgain, given, isSettled, isSkipped, isStored, onAnswers, personOf, restore, sides, undo, yaml } from "./answers.js";
import { crop } from "./crops.js";
import { cameraName, capital, data, linkTo, moment, percent, timesAndSpan, tracklet } from "./data.js";
import { button, card, note, onKey, save } from "./parts.js";
import { byId, count, element, labelled, setText } from "./text.js";

const CROPS_SHOWN = 7;
const SHELL_SAFE = /^[\w./-]+$/;
const KINDS = {
  same: "One person",
  different: "Different people",
  not_a_person: "Not a person",
  split: "Two people, the later from",
  skip: "Skipped",
};
const SIGNS = { same: " = ", different: " ≠ ", skip: " and " };
const reviewView = byId("review-view");
const pendingBar = byId("pending");
const soFar = note();
soFar.role = "status";
let watch = () => {};
let isSaved = true;

/** The questions that no answer settles, skipped ones or the others. */
function queue(areSkipped = false) {
  return data.questions.filter(([a, b]) => !isSettled(a, b) && isSkipped(a, b) === areSkipped);
}

function questionSide(name, tracklets, title) {
  const all = tracklets.map(tracklet);
  const shown = all.find((each) => each.name === name) ?? all[0];
  const head = element("p", "line", linkTo(personOf(name).id), element("span", "facts", title));
  const strip = element("ul", "strip");
  const others = all.filter((each) => each !== shown && each.crop >= 0).sort((a, b) => b.last - b.first - (a.last - a.first));
  for (const each of [shown, ...others.slice(0, CROPS_SHOWN - 1)]) {
    const where = `${cameraName(each.camera)}, ${moment(each.first)}`;
    const open = button("", () => watch(each), "picture", crop(each.crop, where));
    open.title = `Watch ${where}`;
    strip.append(element("li", each === shown ? "asked" : "", open));
  }
  const where = element("p", "line", element("strong", "where", cameraName(shown.camera)), element("span", "facts", timesAndSpan(shown)));
  const more = all.length > 1 && note(`and ${count(all.length - 1, "more tracklet")}`);
  return element("section", "side", head, strip, where, more);
}

function keyed(key, text, act, className = "") {
  const made = button("", act, className, element("kbd", "", key), ` ${text}`);
  made.setAttribute("aria-keyshortcuts", key);
  return made;
}

function say(kind) {
  const [question] = queue();
  if (question) answer(kind, question[0], question[1]);
}

function askedCard([a, b, probability, worth, why, rule]) {
  const isOne = personOf(a) === personOf(b);
  const [here, there] = sides(a, b);
  const pair = element("div", "sides", questionSide(a, here, isOne && "one part"), questionSide(b, there, isOne && "the other part"));
  const apart = rule ? `but a rule keeps them apart: ${rule}` : "and kept them apart";
  const moves = `An answer is expected to move ${count(Math.ceil(worth), "box", "boxes")}.`;
  const said = element("p", "", `The run says ${percent(probability)} that they are one person, ${isOne ? "and linked them" : apart}. ${moves}`);
  const buttons = element(
    "div",
    "answers",
    keyed("S", "Same person", () => say("same"), "primary"),
    keyed("D", "Different people", () => say("different"), "primary"),
    keyed("K", "Skip", () => say("skip")),
    keyed("U", "Undo", () => undo()),
  );
  buttons.lastChild.disabled = !answers.length;
  const made = card("Are these two the same person?", pair, said, note(`${capital(why)}.`), buttons);
  made.classList.add("question");
  return made;
}

function reviewProgress(open, nSkipped) {
  const meter = labelled(element("progress"), "Questions answered");
  meter.max = data.questions.length;
  meter.value = meter.max - open.length - nSkipped;
  const left = open.reduce((sum, [, , , worth]) => sum + worth, 0);
  setText(soFar, `${meter.value} answered · ${nSkipped} skipped · ${open.length} left, expected to move ${count(Math.ceil(left), "box", "boxes")}`);
  return element("div", "progress", meter, soFar);
}

/** What is said instead of a question. */
function doneCard(nSkipped) {
  const none = data.questions.length ? "All questions are settled." : "No link of this run is in doubt.";
  if (!nSkipped) return element("p", "card empty", none);
  const again = button(`Go through the ${nSkipped} skipped`, askAgain, "primary");
  return element("p", "card empty", "All other questions are settled. ", again);
}

function folder() {
  const path = decodeURIComponent(location.pathname).replace(/\/[^/]*$/, "").replace(/^\/(?=[A-Za-z]:)/, "");
  if (location.protocol !== "file:" || !path) return "DIR";
  return SHELL_SAFE.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

function download() {
  save("corrections.yaml", yaml());
  isSaved = true;
}

/** Whom an answer is about: people by number where those tell them apart, or else tracklets. */
function whom({ kind, names, ids = [] }) {
  const numbers = new Set(ids.filter(Boolean));
  if (kind in SIGNS && numbers.size === names.length) return [...numbers].join(SIGNS[kind]);
  const shown = names.length > 3 ? [...names.slice(0, 2), `${names.length - 2} more`] : names;
  return shown.join(kind === "split" ? " at " : " and ");
}

function answerLine(each, at) {
  const { kind, names } = each;
  const take = labelled(button("Undo", () => undo(at)), `Undo ${KINDS[kind]} ${names.join(" ")}`);
  return element("li", "line", element("span", "where", `${KINDS[kind]}: ${whom(each)}`), take);
}

function answersCard() {
  const made = card("Your answers");
  made.classList.add("said");
  if (!answers.length) {
    made.append(note("None yet. The people of this page follow your answers at once; nothing is written until you apply them."));
    return made;
  }
  made.append(element("ol", "answer-list", ...answers.map(answerLine).reverse()));
  const line = element("div", "line", button("Undo all", () => undo(0, answers.length)));
  if (given().length) {
    const how = note("Download the corrections, then link again with them. This takes seconds, and reads no video:");
    const command = element("code", "command", `people-tracker apply ${folder()} corrections.yaml`);
    made.append(how, element("p", "", command));
    line.prepend(button("Download corrections.yaml", download, "primary"));
  }
  made.append(line);
  return made;
}

/** Show the question that matters most. */
export function showReview() {
  const open = queue();
  const nSkipped = queue(true).length;
  const asked = open.length ? [reviewProgress(open, nSkipped), askedCard(open[0])] : [doneCard(nSkipped)];
  const focused = reviewView.contains(document.activeElement) ? document.activeElement.textContent : "";
  reviewView.replaceChildren(element("div", "asked-now", ...asked), answersCard());
  const buttons = [...reviewView.querySelectorAll("button")];
  if (focused) (buttons.find((each) => each.textContent === focused) ?? buttons[0])?.focus();
}

function showPending() {
  const n = given().length;
  pendingBar.hidden = !n;
  setText(pendingBar.firstElementChild, `Preview with ${count(n, "correction")}`);
}

const SHORTCUTS = { s: () => say("same"), d: () => say("different"), k: () => say("skip"), u: () => answers.length && undo() };

/** Show the questions; `refresh` shows the people again, `watchAt` a tracklet. */
export function startReview(refresh, watchAt) {
  watch = watchAt;
  restore();
  showPending();
  onAnswers(() => {
    isSaved = false;
    showPending();
    refresh();
  });
  byId("undo-last").addEventListener("click", () => undo(answers.indexOf(given().at(-1))));
  byId("download").addEventListener("click", download);
  onKey(document, (event) => {
    const isOther = event.ctrlKey || event.metaKey || event.altKey || event.repeat;
    return reviewView.hidden || isOther ? null : SHORTCUTS[event.key.toLowerCase()];
  });
  addEventListener("beforeunload", (event) => {
    if (!isStored() && !isSaved && given().length) event.preventDefault();
  });
}
