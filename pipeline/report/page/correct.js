// What is wrong with a person, said where it is seen.

import { answer, frameAt } from "./answers.js";
import { crop } from "./crops.js";
import { button, data, moment, people, span, tracklet } from "./data.js";
import { element, setText } from "./text.js";

const PIECES_SHOWN = 12;

/** The name of the tracklet that stands for a person, the longest. */
function longest(person) {
  return person.tracklets.map(tracklet).reduce((best, each) => (best.nRows >= each.nRows ? best : each)).name;
}

/** Return the ways to correct a person, with `setTime` to say where the playhead is. */
export function makeCorrections(person, watch) {
  const node = element("div", "correct");
  const problem = element("p", "doubt");
  problem.setAttribute("role", "alert");
  problem.hidden = true;
  let now = person.first;

  const say = (...what) => {
    const why = answer(...what);
    problem.hidden = !why;
    setText(problem, why);
  };

  const rows = element("ul", "pieces");
  const cuts = [];
  const addRows = (some) => rows.append(...some.map((entry) => row(entry)));

  function row(entry) {
    const each = tracklet(entry);
    const item = element("li", "piece");
    const where = `${data.cameras[each.camera].name}, ${moment(each.first)} to ${moment(each.last)}`;
    const words = element("div", "words");
    words.append(element("strong", "", data.cameras[each.camera].name), element("p", "facts", `${moment(each.first)} to ${moment(each.last)} (${span(each.last - each.first)})`));
    const open = button("", () => watch(each), "picture");
    open.title = `Go to ${where}`;
    open.append(crop(each.crop, where, "tiny"));
    item.append(open, words);
    const others = person.tracklets.map((other) => tracklet(other).name).filter((name) => name !== each.name);
    const acts = [button("Not this person", () => say("different", each.name, ...others)), button("Not a person", () => say("not_a_person", each.name))];
    acts[0].disabled = !others.length;
    const split = button("Split at playhead", () => say("split", each.name, `${each.name.slice(0, each.name.lastIndexOf("@"))}@${frameAt(entry, now)}`));
    cuts.push([entry, each, split]);
    for (const act of [...acts, split]) act.setAttribute("aria-label", `${act.textContent}: ${where}`);
    item.append(...acts, split);
    return item;
  }

  function setTime(timeS) {
    now = timeS;
    for (const [entry, each, split] of cuts) {
      const frame = each.first < now && now < each.last ? frameAt(entry, now) : -1;
      split.disabled = !(frame > each.frame && frame <= each.lastFrame);
      split.title = split.disabled ? "Move the playhead into this tracklet" : `Somebody else from ${moment(now)} on`;
    }
  }

  addRows(person.tracklets.slice(0, PIECES_SHOWN));
  const rest = person.tracklets.slice(PIECES_SHOWN);
  const hint = "To split a tracklet, move the scrubber to the time from which it shows somebody else.";
  node.append(problem, sameAs(person, say), element("p", "facts", hint), rows);
  if (rest.length) {
    const more = button(`Show ${rest.length} more`, () => {
      more.remove();
      addRows(rest);
      setTime(now);
    });
    node.append(more);
  }
  setTime(now);
  return { node, setTime };
}

function sameAs(person, say) {
  const form = element("form", "same-as");
  const field = element("input");
  field.type = "number";
  field.min = "1";
  field.id = "same-as";
  const label = element("label", "", "Same as person ");
  label.append(field);
  const shown = element("span", "shown");
  const join = element("button", "", "They are one person");
  join.disabled = true;
  const other = () => {
    const found = people.get(Number(field.value));
    return found === person ? null : found;
  };
  field.addEventListener("input", () => {
    const found = other();
    join.disabled = !found;
    shown.replaceChildren(...(found ? [crop(found.crop, `Person ${found.id}`, "tiny")] : []));
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const found = other();
    if (found) say("same", longest(person), longest(found));
  });
  form.append(label, shown, join);
  return form;
}
