// What is wrong with a person, said where it is seen.

import { answer, cutName, frameAt, namesOf } from "./answers.js";
import { crop } from "./crops.js";
import { cameraName, data, moment, people, span, times, timesAndSpan, tracklet } from "./data.js";
import { button, fillList, note } from "./parts.js";
import { element, labelled, setText } from "./text.js";

const PIECES_SHOWN = 12;
const MAX_TOGETHER_S = 0.5; // two people who are seen together for longer are joined on a second click only

/** The name of the tracklet that stands for a person, the longest. */
function longest(person) {
  return person.tracklets.map(tracklet).reduce((best, each) => (best.nRows >= each.nRows ? best : each)).name;
}

/** The camera that shows two people at the same time for longest, and how long. */
function together(one, other) {
  const lengths = data.cameras.map(() => 0);
  for (const a of one.tracklets.map(tracklet)) {
    for (const b of other.tracklets.map(tracklet)) {
      if (a.camera === b.camera) lengths[a.camera] += Math.max(0, Math.min(a.last, b.last) - Math.max(a.first, b.first));
    }
  }
  const longestS = Math.max(...lengths);
  return [lengths.indexOf(longestS), longestS];
}

/** Return the ways to correct a person, with `setTime` to say where the playhead is. */
export function makeCorrections(person, watch) {
  const problem = element("p", "doubt");
  problem.role = "alert";
  problem.hidden = true;
  let now = person.first;

  const say = (...what) => {
    const why = answer(...what);
    problem.hidden = !why;
    setText(problem, why);
  };

  const rows = element("ul", "pieces");
  const names = namesOf(person);
  const splits = []; // what follows the playhead

  function row(entry) {
    const each = tracklet(entry);
    const name = cameraName(each.camera);
    const where = `${name}, ${times(each)}`;
    const words = element("div", "words", element("strong", "", name), note(timesAndSpan(each)));
    const open = button("", () => watch(each), "picture", crop(each.crop, where, "tiny"));
    open.title = `Go to ${where}`;
    const others = names.filter((other) => other !== each.name);
    const notThis = button("Not this person", () => say("different", each.name, ...others));
    notThis.disabled = !others.length;
    const notAPerson = button("Not a person", () => say("not_a_person", each.name));
    const later = () => `${cutName(each.name)[0]}@${frameAt(entry, now)}`;
    const split = button("Split at playhead", () => say("split", each.name, later()));
    const follow = () => {
      const frame = each.first < now && now < each.last ? frameAt(entry, now) : -1;
      split.disabled = !(frame > each.frame && frame <= each.lastFrame);
      split.title = split.disabled ? "Move the playhead into this tracklet" : `Somebody else from ${moment(now)} on`;
    };
    splits.push(follow);
    follow();
    const acts = [notThis, notAPerson, split].map((act) => labelled(act, `${act.textContent}: ${where}`));
    return element("li", "piece", open, words, ...acts);
  }

  function setTime(timeS) {
    now = timeS;
    for (const follow of splits) follow();
  }

  fillList(rows, person.tracklets, PIECES_SHOWN, row);
  const hint = "To split a tracklet, move the scrubber to the time from which it shows somebody else.";
  const node = element("div", "correct", problem, sameAs(person, say), note(hint), rows);
  return { node, setTime };
}

function sameAs(person, say) {
  const field = element("input");
  field.type = "number";
  field.min = "1";
  field.id = "same-as";
  const label = element("label", "", "Same as person ", field);
  const shown = element("span", "shown");
  shown.role = "status";
  let isSure = false;
  const join = element("button", "", "They are one person");
  join.disabled = true;
  const other = () => {
    const found = people.get(Number(field.value));
    return found === person ? null : found;
  };
  const form = element("form", "same-as", label, shown, join);
  field.addEventListener("input", () => {
    const found = other();
    join.disabled = !found;
    isSure = false;
    const none = field.value && (Number(field.value) === person.id ? "This is that person" : `There is no person ${field.value}`);
    shown.replaceChildren(found ? crop(found.crop, `Person ${found.id}`, "tiny") : none);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const found = other();
    if (!found) return;
    const [camera, lengthS] = together(person, found);
    if (isSure || lengthS <= MAX_TOGETHER_S) {
      say("same", longest(person), longest(found));
      return;
    }
    isSure = true;
    shown.append(` Both are in ${cameraName(camera)} for ${span(lengthS)} at the same time. Click again if they are one person.`);
  });
  return form;
}
