// Questions that a human answers, those that matter most first; what was answered, and how to apply it.

import { answer, answers, isSettled, isStored, onAnswers, personOf, restore, sides, undo, yaml } from "./answers.js";
import { crop } from "./crops.js";
import { button, data, linkTo, moment, percent, span, tracklet } from "./data.js";
import { byId, count, element, setText } from "./text.js";

const CROPS_SHOWN = 7;
const SHELL_SAFE = /^[\w./-]+$/;
const KINDS = {
  same: "One person",
  different: "Different people",
  not_a_person: "Not a person",
  split: "Two people, the later from",
  skip: "Skipped",
};
const reviewView = byId("review-view");
const pendingBar = byId("pending");
const settledSoFar = element("p", "facts");
settledSoFar.setAttribute("role", "status");
let watch = () => {};
let isSaved = true;

/** The questions that are open, with the people whom they are about now. */
function queue() {
  return data.questions.filter(([a, b]) => !isSettled(a, b));
}

function given() {
  return answers.filter(({ kind }) => kind !== "skip");
}

function questionSide(name, tracklets, title) {
  const made = element("section", "side");
  const all = tracklets.map(tracklet);
  const shown = all.find((each) => each.name === name) ?? all[0];
  const head = element("p", "line");
  head.append(linkTo(personOf(name).id), element("span", "facts", title));
  const strip = element("ul", "strip");
  const others = all.filter((each) => each !== shown && each.crop >= 0).sort((a, b) => b.last - b.first - (a.last - a.first));
  for (const each of [shown, ...others.slice(0, CROPS_SHOWN - 1)]) {
    const where = `${data.cameras[each.camera].name}, ${moment(each.first)}`;
    const open = button("", () => watch(each), "picture");
    open.title = `Watch ${where}`;
    open.append(crop(each.crop, where));
    const item = element("li", each === shown ? "asked" : "");
    item.append(open);
    strip.append(item);
  }
  const when = `${moment(shown.first)} to ${moment(shown.last)} (${span(shown.last - shown.first)})`;
  const where = element("p", "line");
  where.append(element("strong", "where", data.cameras[shown.camera].name), element("span", "facts", when));
  made.append(head, strip, where);
  if (all.length > 1) made.append(element("p", "facts", `and ${count(all.length - 1, "more tracklet")}`));
  return made;
}

function keyed(key, text, act, className = "") {
  const made = button("", act, className);
  made.append(element("kbd", "", key), ` ${text}`);
  made.setAttribute("aria-keyshortcuts", key);
  return made;
}

function say(kind) {
  const [question] = queue();
  if (question) answer(kind, question[0], question[1]);
}

function askedCard([a, b, probability, worth, why]) {
  const made = element("article", "card question");
  const isOne = personOf(a) === personOf(b);
  const [here, there] = sides(a, b);
  const pair = element("div", "sides");
  pair.append(questionSide(a, here, isOne ? "one part" : ""), questionSide(b, there, isOne ? "the other part" : ""));
  const stands = isOne ? "that they are one person, and linked them" : "that they are one person, and kept them apart";
  const moves = `An answer is expected to move ${count(Math.ceil(worth), "box", "boxes")}.`;
  const said = element("p", "", `The run says ${percent(probability)} ${stands}. ${moves}`);
  const buttons = element("div", "answers");
  buttons.append(
    keyed("S", "Same person", () => say("same"), "primary"),
    keyed("D", "Different people", () => say("different"), "primary"),
    keyed("K", "Skip", () => say("skip")),
    keyed("U", "Undo", () => undo()),
  );
  buttons.lastChild.disabled = !answers.length;
  const words = element("p", "facts", `${why.charAt(0).toUpperCase()}${why.slice(1)}.`);
  made.append(element("h2", "", "Are these two the same person?"), pair, said, words, buttons);
  return made;
}

function reviewProgress(open) {
  const made = element("div", "progress");
  const all = data.questions.length;
  const meter = element("progress");
  meter.max = all;
  meter.value = all - open.length;
  meter.setAttribute("aria-label", "Questions settled");
  const left = open.reduce((sum, [, , , worth]) => sum + worth, 0);
  setText(settledSoFar, `${all - open.length} of ${count(all, "question")} settled · the others are expected to move ${count(Math.ceil(left), "box", "boxes")}`);
  made.append(meter, settledSoFar);
  return made;
}

function folder() {
  const path = decodeURIComponent(location.pathname).replace(/\/[^/]*$/, "").replace(/^\/(?=[A-Za-z]:)/, "");
  if (location.protocol !== "file:" || !path) return "DIR";
  return SHELL_SAFE.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

function download() {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([yaml()], { type: "application/yaml" }));
  link.download = "corrections.yaml";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  isSaved = true;
}

function answerLine({ kind, names }, at) {
  const made = element("li", "line");
  const take = button("Undo", () => undo(at), "small");
  take.setAttribute("aria-label", `Undo ${KINDS[kind]} ${names.join(" ")}`);
  const shown = names.length > 3 ? [...names.slice(0, 2), `${names.length - 2} more`] : names;
  made.append(element("span", "where", `${KINDS[kind]}: ${shown.join(kind === "split" ? " at " : " and ")}`), take);
  return made;
}

function answersCard() {
  const made = element("section", "card said");
  made.append(element("h2", "", "Your answers"));
  if (!answers.length) {
    made.append(element("p", "facts", "None yet. The people of this page follow your answers at once; nothing is written until you apply them."));
    return made;
  }
  const list = element("ol", "answer-list");
  list.append(...answers.map(answerLine).reverse());
  made.append(list);
  if (given().length) {
    const how = element("p", "facts", "Download the corrections, then link again with them. This takes seconds, and reads no video:");
    const command = element("p");
    command.append(element("code", "command", `people-tracker apply ${folder()} corrections.yaml`));
    made.append(how, command);
  }
  const line = element("div", "line");
  if (given().length) line.append(button("Download corrections.yaml", download, "primary"));
  line.append(button("Undo all", () => undo(0, answers.length)));
  made.append(line);
  return made;
}

/** Show the question that matters most. */
export function showReview() {
  const open = queue();
  const asked = element("div", "asked-now");
  if (open.length) asked.append(reviewProgress(open), askedCard(open[0]));
  else asked.append(element("p", "card empty", data.questions.length ? "All questions are settled." : "No link of this run is in doubt."));
  const focused = reviewView.contains(document.activeElement) ? document.activeElement.textContent : "";
  reviewView.replaceChildren(asked, answersCard());
  [...reviewView.querySelectorAll("button")].find((each) => focused && each.textContent === focused)?.focus();
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
  byId("undo-last").addEventListener("click", () => undo(answers.findLastIndex(({ kind }) => kind !== "skip")));
  byId("download").addEventListener("click", download);
  document.addEventListener("keydown", (event) => {
    const act = SHORTCUTS[event.key.toLowerCase()];
    if (reviewView.hidden || !act || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    event.preventDefault();
    act();
  });
  addEventListener("beforeunload", (event) => {
    if (!isStored() && !isSaved && given().length) event.preventDefault();
  });
}
